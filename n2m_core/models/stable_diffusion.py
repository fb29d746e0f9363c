"""Stable Diffusion 1.5 as IDGBR's denoiser and guidance encoder, from local folders.

Papers: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", CVPR 2022;
Wang et al. (IDGBR), IEEE TPAMI 2026, arXiv 2507.01573; teacher: Oquab et al., "DINOv2", TMLR 2024.

A folder has diffusers' layout: `unet/` and `vae/` with config.json and safetensors weights, and
transformers' `text_encoder/`, whose answer to the empty prompt is all that is used of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from n2m_core.diffusion.library import stable_diffusion_parts
from n2m_core.errors import CheckpointError

PROMPT_TOKENS = 77
UNET: dict[str, Any] = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}
"""What Stable Diffusion 1.5 changes of diffusers' defaults."""
VAE: dict[str, Any] = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
}


class StableUNet(nn.Module):
    """diffusers' `UNet2DConditionModel` asked with the empty prompt, cut between down and up."""

    def __init__(self, settings: dict[str, Any], *, is_encoder: bool = False) -> None:
        """Build it with random weights.

        Args:
            settings: entries of the diffusers configuration.
            is_encoder: leave the way up out.
        """
        super().__init__()
        model, _ = stable_diffusion_parts()
        self.unet: Any = model(**settings)
        width = int(self.unet.config["cross_attention_dim"])
        self.register_buffer("prompt", torch.zeros(1, PROMPT_TOKENS, width))
        if is_encoder:
            self.unet.up_blocks = nn.ModuleList()
            self.unet.conv_norm_out = self.unet.conv_act = self.unet.conv_out = None

    @property
    def levels(self) -> int:
        """Number of resolutions; each but the last halves the size."""
        return len(tuple(self.unet.config["block_out_channels"]))

    @property
    def skip_channels(self) -> list[int]:
        """Channels of what `encode` gives: finest first, that behind the middle last."""
        widths = [int(w) for w in self.unet.config["block_out_channels"]]
        layers = int(self.unet.config["layers_per_block"])
        each = [w for w in widths for _ in range(layers + 1)][:-1]
        return [widths[0], *each, widths[-1]]

    def encode(self, z: Tensor, t: Tensor) -> tuple[list[Tensor], Tensor]:
        """Run the way down and the middle; see `Backbone.encode`."""
        net = self.unet
        embedding = net.time_embedding(net.time_proj(t).to(z.dtype))
        hidden = net.conv_in(z)
        skips = [hidden]
        for block in net.down_blocks:
            hidden, passed = block(hidden_states=hidden, temb=embedding, **self._asked(block, z))
            skips.extend(passed)
        middle = net.mid_block(hidden, embedding, **self._asked(net.mid_block, z))
        return [*skips, middle], embedding

    def decode(self, skips: list[Tensor], embedding: Tensor) -> Tensor:
        """Run the way up; see `Backbone.decode`."""
        net = self.unet
        *skips, hidden = skips
        for block in net.up_blocks:
            count = len(block.resnets)
            passed, skips = tuple(skips[-count:]), skips[:-count]
            hidden = block(
                hidden_states=hidden,
                res_hidden_states_tuple=passed,
                temb=embedding,
                **self._asked(block, hidden),
            )
        return torch.as_tensor(net.conv_out(net.conv_act(net.conv_norm_out(hidden))))

    def _asked(self, block: nn.Module, like: Tensor) -> dict[str, Tensor]:
        """The prompt, for a block that looks at it."""
        if not getattr(block, "has_cross_attention", False):
            return {}
        prompt = torch.as_tensor(self.prompt).to(like.dtype)
        return {"encoder_hidden_states": prompt.expand(len(like), -1, -1)}


def build_vae(settings: dict[str, Any]) -> Any:  # noqa: ANN401 - diffusers carries no types
    """Build the autoencoder with random weights."""
    _, model = stable_diffusion_parts()
    return model(**settings)


def folder_settings(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the configurations of `unet/` and `vae/`, JSON values.

    Raises:
        CheckpointError: one of them is missing or damaged.
    """
    found = []
    for part, model in zip(("unet", "vae"), stable_diffusion_parts(), strict=True):
        try:
            config = model.load_config(folder / part, local_files_only=True)
        except (OSError, ValueError) as e:
            raise CheckpointError(
                f"{folder / part} has no readable config.json; give a folder of Stable Diffusion "
                "in diffusers format, with unet/, vae/ and text_encoder/."
            ) from e
        found.append({k: v for k, v in config.items() if not k.startswith("_")})
    return found[0], found[1]


def folder_weights(folder: Path) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
    """Read the weights of a folder.

    Returns:
        (of the UNet, of the autoencoder, the empty prompt [1, 77, D]).

    Raises:
        CheckpointError: a part is missing, damaged or not safetensors.
    """
    from transformers import CLIPTextModel

    try:
        parts = [
            model.from_pretrained(
                folder / part,
                use_safetensors=True,
                local_files_only=True,
                torch_dtype=torch.float32,
            )
            for part, model in zip(("unet", "vae"), stable_diffusion_parts(), strict=True)
        ]
        text = CLIPTextModel.from_pretrained(
            folder / "text_encoder", use_safetensors=True, local_files_only=True
        )
    except (OSError, ValueError, RuntimeError) as e:
        raise CheckpointError(f"The weights in {folder} can't be loaded: {e}") from e
    # The tokenizer's answer to "": its last two words begin and end a text, the end fills it up.
    words = int(text.config.vocab_size)
    tokens = torch.full((1, PROMPT_TOKENS), words - 1)
    tokens[0, 0] = words - 2
    with torch.no_grad():
        prompt = text(input_ids=tokens).last_hidden_state
    return parts[0].state_dict(), parts[1].state_dict(), torch.as_tensor(prompt).float()


class Teacher(nn.Module):
    """A frozen DINOv2, asked for the patch tokens of an image."""

    MEAN = (0.485, 0.456, 0.406)
    STD = (0.229, 0.224, 0.225)

    def __init__(self, folder: Path) -> None:
        """Load it from a folder in transformers format.

        Raises:
            CheckpointError: the folder can't be read.
        """
        from transformers import Dinov2Model

        super().__init__()
        try:
            self.net = Dinov2Model.from_pretrained(
                folder, use_safetensors=True, local_files_only=True
            )
        except (OSError, ValueError, RuntimeError) as e:
            raise CheckpointError(f"The teacher in {folder} can't be loaded: {e}") from e
        self.net.eval().requires_grad_(False)

    @property
    def width(self) -> int:
        """Numbers in a token."""
        return int(self.net.config.hidden_size)

    @torch.no_grad()
    def tokens(self, image: Tensor) -> Tensor:
        """Give the patch tokens, float32 [B, D, h, w], of images float32 [B, 3, H, W] in [-1, 1].

        The image is resized to whole patches, near its own size.
        """
        patch = int(self.net.config.patch_size)
        rows, columns = (max(1, round(side / patch)) for side in image.shape[2:])
        sized = functional.interpolate(
            image, (rows * patch, columns * patch), mode="bilinear", antialias=True
        )
        mean, std = (
            torch.tensor(v, device=image.device).view(1, 3, 1, 1) for v in (self.MEAN, self.STD)
        )
        found = self.net(pixel_values=((sized + 1) / 2 - mean) / std).last_hidden_state[:, 1:]
        return torch.as_tensor(found).movedim(1, 2).reshape(len(image), -1, rows, columns)


def alignment_loss(projected: Tensor, tokens: Tensor) -> Tensor:
    """Representation alignment (Yu et al., "REPA", ICLR 2025): the negative mean cosine.

    Args:
        projected: features brought to the teacher's width, float32 [B, D, h, w].
        tokens: the teacher's, float32 [B, D, r, c]; brought to h x w.

    Returns:
        Scalar in [-1, 1].
    """
    sized = functional.interpolate(tokens, projected.shape[2:], mode="bilinear")
    return -functional.cosine_similarity(projected, sized, dim=1).mean()
