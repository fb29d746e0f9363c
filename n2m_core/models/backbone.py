"""The timestep-conditioned attention UNet under Noise2Map, as a diffusers `UNet2DModel`.

Two configurations: the paper's (`google/ddpm-church-256`: 113,673,219 parameters, 248.5 GMAC per
256 px tile) and a compact one that runs at half the image's resolution.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from n2m_core.diffusion.library import UNet2DModel
from n2m_core.errors import CheckpointError

Variant = Literal["compact", "paper"]

PAPER_PARAMETERS = 113_673_219
REPOSITORY = re.compile(r"^[\w][\w.-]*/[\w][\w.-]*(/[\w][\w./-]*)?$")
"""A Hugging Face repository `owner/name`, perhaps with a subfolder."""
UNREADABLE = (OSError, ValueError, RuntimeError, TypeError)
"""What diffusers raises for what it can't find, read or build (of senseless settings the last)."""

PAPER: dict[str, Any] = {
    "sample_size": 256,
    "in_channels": 3,
    "out_channels": 3,
    "layers_per_block": 2,
    "block_out_channels": (128, 128, 256, 256, 512, 512),
    "down_block_types": ("DownBlock2D",) * 4 + ("AttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "AttnUpBlock2D") + ("UpBlock2D",) * 4,
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "attention_head_dim": None,
    "norm_eps": 1e-6,
    "norm_num_groups": 32,
}

COMPACT: dict[str, Any] = {
    "sample_size": 128,
    "in_channels": 16,
    "out_channels": 16,
    "layers_per_block": 1,
    "block_out_channels": (16, 32, 96, 160, 192),
    "down_block_types": ("DownBlock2D",) * 4 + ("AttnDownBlock2D",),
    "up_block_types": ("AttnUpBlock2D",) + ("UpBlock2D",) * 4,
    "attention_head_dim": 32,
    "norm_num_groups": 8,
}


class Backbone(nn.Module):
    """A diffusers `UNet2DModel` with types: features and timestep in, features out."""

    def __init__(self, network: UNet2DModel) -> None:
        """Hold the network; its parameters keep diffusers' names below `unet`."""
        super().__init__()
        self.unet: Any = network  # diffusers carries no usable types

    @property
    def config(self) -> dict[str, Any]:
        """The diffusers configuration."""
        return dict(self.unet.config)

    @property
    def levels(self) -> int:
        """Number of resolutions; each but the last halves the size."""
        return len(tuple(self.config["block_out_channels"]))

    def timestep_sinusoids(self, t: Tensor) -> Tensor:
        """Give the sinusoids that the first learned layer of the timestep sees.

        With c = C / 2, i = 0..c - 1 and s = freq_shift: sin(t w_i) and cos(t w_i),
        w_i = 10000^(-i / (c - s)); the sines come first, or second with flip_sin_to_cos.

        Args:
            t: timesteps, [B].

        Returns:
            float32 [B, C] in [-1, 1], C the channels of the first level.
        """
        return torch.as_tensor(self.unet.time_proj(t)).float()

    @property
    def skip_channels(self) -> list[int]:
        """Channels of what `encode` gives: finest first, that behind the middle last."""
        widths = [int(w) for w in self.config["block_out_channels"]]
        layers = int(self.config["layers_per_block"])
        each = [w for w in widths for _ in range(layers + 1)][:-1]  # the last has no strided layer
        return [widths[0], *each, widths[-1]]

    def forward(self, features: Tensor, t: Tensor) -> Tensor:
        """Give features of the input's size, float32 [B, C_out, H, W]; t is int64 [B]."""
        return cast("Tensor", self.unet(features, t).sample)

    def encode(self, features: Tensor, t: Tensor) -> tuple[list[Tensor], Tensor]:
        """Run the way down and the middle.

        Args:
            features: float32 [B, C_in, H, W].
            t: timesteps, int64 [B].

        Returns:
            (what the way up takes, as `skip_channels` lists it; embedding of t, [B, E]).
        """
        net = self.unet
        embedding = net.time_embedding(net.time_proj(t).to(features.dtype))
        hidden = net.conv_in(features)
        skips = [hidden]
        for block in net.down_blocks:
            hidden, passed = block(hidden_states=hidden, temb=embedding)
            skips.extend(passed)
        return [*skips, net.mid_block(hidden, embedding)], embedding

    def shallow(self, features: Tensor, t: Tensor, levels: int) -> list[Tensor]:
        """Run the first levels of the way down alone.

        Args:
            features: float32 [B, C_in, H, W].
            t: timesteps, int64 [B].
            levels: how many.

        Returns:
            What each level's last block gives, finest first, float32 [B, C, h, w].
        """
        net = self.unet
        embedding = net.time_embedding(net.time_proj(t).to(features.dtype))
        hidden = net.conv_in(features)
        found = []
        for block in net.down_blocks[:levels]:
            hidden, passed = block(hidden_states=hidden, temb=embedding)
            found.append(passed[len(block.resnets) - 1])
        return found

    def decode(self, skips: list[Tensor], embedding: Tensor) -> Tensor:
        """Run the way up on what `encode` gave, perhaps changed between.

        Returns:
            The same as `forward` where nothing was changed, float32 [B, C_out, H, W].
        """
        net = self.unet
        *skips, hidden = skips
        for block in net.up_blocks:
            count = len(block.resnets)
            hidden = block(hidden, tuple(skips[-count:]), embedding)
            skips = skips[:-count]
        return torch.as_tensor(net.conv_out(net.conv_act(net.conv_norm_out(hidden))))


def full_settings(variant: Variant, overrides: dict[str, Any]) -> dict[str, Any]:
    """Give every entry of a backbone's diffusers configuration, with JSON values."""
    merged = {**(PAPER if variant == "paper" else COMPACT), **overrides}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in merged.items()}


def build_backbone(variant: Variant, overrides: dict[str, Any] | None = None) -> Backbone:
    """Build a backbone with random weights.

    Args:
        variant: "paper" or "compact".
        overrides: entries of the diffusers configuration to replace (tests make tiny ones).

    Returns:
        The network in training mode.
    """
    settings = full_settings(variant, overrides or {})
    return Backbone(UNet2DModel(**settings))  # type: ignore[no-untyped-call]  # diffusers


def load_backbone(folder: Path) -> Backbone:
    """Load a backbone from a local folder in diffusers format, safetensors only.

    Args:
        folder: holds config.json and diffusion_pytorch_model.safetensors.

    Returns:
        The network with its weights, float32.

    Raises:
        CheckpointError: the folder lacks a file, or the weights do not fit the configuration.
    """
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        if not (folder / name).is_file():
            raise CheckpointError(
                f"{folder} has no {name}; give a folder in diffusers format with both files."
            )
    try:
        return _opened(folder, use_safetensors=True, local_files_only=True)
    except UNREADABLE as e:
        raise CheckpointError(f"The weights in {folder} can't be loaded: {e}") from e


def open_backbone(name: str, *, cache: Path | None = None, is_offline: bool = False) -> Backbone:
    """Load a backbone from a local folder or a Hugging Face repository.

    A repository's weights are read as safetensors, or, where it has none, as a state file with
    PyTorch's restricted unpickler, which runs no code.

    Args:
        name: a folder in diffusers format; else `owner/name`, or `owner/name/subfolder`.
        cache: folder for what is downloaded; None for Hugging Face's own.
        is_offline: look into the cache alone.

    Returns:
        The network with its weights, float32.

    Raises:
        CheckpointError: neither a folder nor a repository, the repository can't be reached, or its
            weights don't fit its configuration.
    """
    if Path(name).expanduser().is_dir():
        return load_backbone(Path(name).expanduser())
    if not REPOSITORY.match(name) or ".." in name:
        raise CheckpointError(
            f"'{name}' is neither a folder nor a Hugging Face repository; give a folder in "
            "diffusers format, or owner/name with an optional /subfolder."
        )
    owner, repository, *subfolder = name.split("/", 2)
    try:
        return _opened(
            f"{owner}/{repository}",
            subfolder=subfolder[0] if subfolder else None,
            cache_dir=cache,
            local_files_only=is_offline,
        )
    except UNREADABLE as e:
        raise CheckpointError(
            f"The backbone {name} can't be loaded from Hugging Face or its cache: {e} Check the "
            "name and the connection, or download it and give the folder."
        ) from e


def _opened(name: str | Path, **options: str | Path | bool | None) -> Backbone:
    """Load what diffusers finds, float32; it would leave random what the weights lack.

    Raises:
        CheckpointError: a name in the weights or in the network has no counterpart.
        UNREADABLE: from diffusers, for what it can't find or read.
    """
    network, told = UNet2DModel.from_pretrained(  # type: ignore[no-untyped-call]  # diffusers
        name, torch_dtype=torch.float32, output_loading_info=True, **options
    )
    odd = {"lack": told["missing_keys"], "also hold": told["unexpected_keys"]}
    found = [f"{word} {min(keys)} ({len(keys)} in all)" for word, keys in odd.items() if keys]
    if found:
        raise CheckpointError(
            f"The weights of {name} don't fit the network that its config.json describes: they "
            f"{' and '.join(found)}. Export the bare UNet2DModel with save_pretrained."
        )
    return Backbone(network)


def adopted_settings(backbone: Backbone, overrides: dict[str, Any], name: str) -> dict[str, Any]:
    """Give the entries of a loaded backbone's configuration, to build the same network again.

    Args:
        backbone: with its weights.
        overrides: entries that the person asked for.
        name: where the backbone comes from, for the message.

    Returns:
        Every entry of its diffusers configuration, with JSON values.

    Raises:
        CheckpointError: an entry that was asked for differs from the backbone's.
    """
    public = {k: v for k, v in backbone.config.items() if not k.startswith("_")}
    settings = {k: list(v) if isinstance(v, tuple) else v for k, v in public.items()}
    asked = {k: list(v) if isinstance(v, tuple) else v for k, v in overrides.items()}
    other = [k for k, v in asked.items() if settings.get(k) != v]
    if other:
        raise CheckpointError(
            f"The backbone {name} has {other[0]} = {settings.get(other[0])}, the configuration "
            f"asks for {overrides[other[0]]}; leave network.overrides out."
        )
    return settings
