"""IDGBR: regenerate a rough class map with better boundaries, by conditional diffusion.

Paper: Wang, Hu, Guo, Li, Tao, "A Gift from the Integration of Discriminative and Diffusion-based
Generative Learning: Boundary Refinement Remote Sensing Semantic Segmentation", IEEE TPAMI 2026,
arXiv 2507.01573. Written from the paper; nothing of the authors' release is in it.

Symbols:
    z0   latent of the true class map, float32 [B, C, h, w]
    z_t  sqrt(alpha_bar[t]) z0 + sqrt(1 - alpha_bar[t]) eps, scaled linear betas
    t    timestep, int64 [B] in 0..999
    eps  standard normal, what the denoiser predicts

| part | compact | paper |
|---|---|---|
| label codec | small autoencoder, a quarter of the size | pseudo-RGB, Stable Diffusion's VAE |
| denoiser | `UNet2DModel` of four levels | Stable Diffusion 1.5's UNet, empty prompt |
| image features | a whole segmentation network | frozen copy of the UNet's way down |
| rough map's features | strided convolutions on its latent | the same copy on its latent |

Deviations from the paper: the compact network takes its image features from a segmentation network
(`n2m-buildings` and the like), from the way up, where they are most of a map already; and it is
preconditioned: eps = sqrt(1 - alpha_bar) z_t + sqrt(alpha_bar) F(z_t, t), where F = 0 gives the
best linear guess without a picture. Fusion: see `models.guidance`; codecs: `models.label_codec`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from n2m_core.diffusion.noise import ScheduleName, make_schedule
from n2m_core.errors import ParameterError
from n2m_core.models.backbone import COMPACT, Backbone, build_backbone
from n2m_core.models.guidance import Guidance, GuidedFusion, normalized
from n2m_core.models.label_codec import AbstractCodec, LearnedCodec, PseudoRgbCodec
from n2m_core.models.network import AbstractNetwork, NetworkConfig
from n2m_core.models.stable_diffusion import UNET, VAE, StableUNet, build_vae

SCHEDULE: ScheduleName = "scaled_linear"

COMPACT_SETTINGS: dict[str, Any] = {
    "latent_channels": 8,
    "codec_width": 64,
    "preconditioned": True,
    "teacher_width": 0,
    "image_encoder": {k: list(v) if isinstance(v, tuple) else v for k, v in COMPACT.items()},
    "denoiser": {
        "sample_size": 64,
        "layers_per_block": 1,
        "block_out_channels": [24, 40, 80, 128],
        "down_block_types": ["DownBlock2D"] * 3 + ["AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D"] + ["UpBlock2D"] * 3,
        "attention_head_dim": 32,
        "norm_num_groups": 8,
    },
}
PAPER_SETTINGS: dict[str, Any] = {
    "preconditioned": False,
    "teacher_width": 0,
    "unet": dict(UNET),
    "vae": dict(VAE),
}


class Refiner(AbstractNetwork):
    """Label codec, denoiser and conditional guidance network.

    Attributes:
        config: builds the same network again.
        codec: between class maps and latents.
        denoiser: the UNet on latents.
        conditions: gives features of image and rough map.
        fusions: one for each level of skips and one for the middle.
        projector: from the deepest guidance to a teacher's width; None where none is aligned to.
        has_trained_encoder: whether the image encoder came trained, and is to stay as it is.
    """

    def __init__(self, config: NetworkConfig) -> None:
        """Build the network with random weights.

        Raises:
            ParameterError: a setting is unknown.
        """
        super().__init__()
        is_paper = config.variant == "idgbr-paper"
        defaults = PAPER_SETTINGS if is_paper else COMPACT_SETTINGS
        unknown = sorted(config.overrides.keys() - defaults.keys())
        if unknown:
            raise ParameterError(
                f"Network {config.variant} has no setting {', '.join(unknown)}; it has "
                f"{', '.join(defaults)}."
            )
        self.settings = {**defaults, **config.overrides}
        self.config = NetworkConfig(
            config.variant, config.in_channels, config.classes, overrides=dict(self.settings)
        )
        self.codec: AbstractCodec
        self.denoiser: Backbone | StableUNet
        self.conditions: CompactConditions | PaperConditions
        if is_paper:
            self.codec = PseudoRgbCodec(config.classes, build_vae(self.settings["vae"]))
            self.denoiser = StableUNet(self.settings["unet"])
            self.conditions = PaperConditions(self.settings["unet"])
        else:
            channels = int(self.settings["latent_channels"])
            self.codec = LearnedCodec(config.classes, channels, int(self.settings["codec_width"]))
            latent = {"in_channels": channels, "out_channels": channels}
            self.denoiser = build_backbone("compact", {**self.settings["denoiser"], **latent})
            self.conditions = CompactConditions(
                config.in_channels, self.settings["image_encoder"], self.denoiser, channels
            )
        pairs = zip(self.denoiser.skip_channels, self.conditions.channels, strict=True)
        self.fusions = nn.ModuleList(GuidedFusion(own, guide) for own, guide in pairs)
        width, deepest = int(self.settings["teacher_width"]), self.denoiser.skip_channels[-1]
        self.projector = _projector(deepest, width) if width else None
        self.has_trained_encoder = False
        self.codec.eval()
        schedule = make_schedule(SCHEDULE)
        self.register_buffer("signal", schedule.signal, persistent=False)
        self.register_buffer("noise", schedule.noise, persistent=False)

    @property
    def multiple(self) -> int:
        """Height and width of the image must be multiples of this, px."""
        return self.codec.factor << (self.denoiser.levels - 1)

    @property
    def design(self) -> str:
        """What the network is, for the card."""
        if self.config.variant == "idgbr-paper":
            return "IDGBR on Stable Diffusion 1.5"
        return "IDGBR, compact: UNet2DModel on label latents, guided at every level"

    def guidance(self, image: Tensor, rough: Tensor) -> Guidance:
        """Compute what every step is guided by, once per image.

        Args:
            image: float32 [B, 3, H, W] in [-1, 1].
            rough: class map to refine, int64 [B, H, W] in 0..K-1.

        Returns:
            The guidance of every fusion.

        Raises:
            ParameterError: height or width is not a multiple of `multiple`.
        """
        self.check_sides(image)
        z_rough = self.codec.encode(rough)
        if isinstance(self.conditions, PaperConditions):
            assert isinstance(self.codec, PseudoRgbCodec)
            found = self.conditions(self.codec.encode_picture(image), z_rough)
        else:
            found = self.conditions(image, z_rough)
        made = []
        for fusion, (c_image, c_rough) in zip(self.fusions, found, strict=True):
            assert isinstance(fusion, GuidedFusion)
            made.append(fusion.guidance(c_image, c_rough))
        return tuple(made)

    def forward(self, z_t: Tensor, t: Tensor, guidance: Guidance) -> Tensor:
        """Predict eps.

        Args:
            z_t: noisy latent, float32 [B, C, h, w].
            t: timestep of each sample, int64 [B].
            guidance: from `guidance`, perhaps dropped for some samples.

        Returns:
            float32 [B, C, h, w].
        """
        skips, embedding = self.denoiser.encode(z_t, t)
        fused = [
            fusion(skip, level)
            for fusion, skip, level in zip(self.fusions, skips, guidance, strict=True)
        ]
        found = self.denoiser.decode(fused, embedding)
        if not self.settings["preconditioned"]:
            return found
        signal, noise = (torch.as_tensor(w)[t].view(-1, 1, 1, 1) for w in (self.signal, self.noise))
        return noise * z_t + signal * found

    def mix(self, z0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """Mix z_t = sqrt(alpha_bar[t]) z0 + sqrt(1 - alpha_bar[t]) eps."""
        signal, noise = (torch.as_tensor(w)[t].view(-1, 1, 1, 1) for w in (self.signal, self.noise))
        return signal * z0 + noise * eps

    def frozen_parts(self) -> list[nn.Module]:
        """The parts that the denoiser's training leaves as they are."""
        return [self.codec, *([self.conditions.frozen] if self.has_trained_encoder else [])]

    def train(self, mode: bool = True) -> Refiner:
        """Switch everything but the codec, which learns on its own and then stays."""
        super().train(mode)
        self.codec.eval()
        return self


def _projector(channels: int, width: int) -> nn.Module:
    """The MLP of the alignment, on [B, C, h, w]."""
    return nn.Sequential(nn.Conv2d(channels, width, 1), nn.SiLU(), nn.Conv2d(width, width, 1))


class ImageTrunk(nn.Module):
    """The compact segmentation network without its head; parameters are named as in Noise2Map."""

    def __init__(self, bands: int, settings: dict[str, Any]) -> None:
        """Build it with random weights."""
        super().__init__()
        self.backbone = build_backbone("compact", settings)
        width = int(self.backbone.config["in_channels"])
        self.stem = nn.ModuleDict({"to_half": nn.Conv2d(bands, width, 3, stride=2, padding=1)})

    @property
    def channels(self) -> list[int]:
        """Channels of what `forward` gives."""
        config = self.backbone.config
        widths = [int(w) for w in config["block_out_channels"]]
        # Half the size has its say through the features of the last layer, four pixels as one.
        return [widths[2] + 4 * int(config["out_channels"]), *widths[3:], widths[-1]]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Give the features of the way up at 1/4, 1/8, ... of the size, and of the middle last."""
        net = self.backbone.unet
        t = torch.zeros(len(image), dtype=torch.int64, device=image.device)
        half = functional.silu(self.stem["to_half"](image))
        skips, embedding = self.backbone.encode(half, t)
        *skips, hidden = skips
        found = [hidden]
        for block in net.up_blocks:
            count = len(block.resnets)
            hidden = block(hidden, tuple(skips[-count:]), embedding)
            skips = skips[:-count]
            found.append(hidden)
        last = net.conv_out(net.conv_act(net.conv_norm_out(hidden)))
        *coarser, quarter = found[:-2]
        finest = torch.cat([quarter, functional.pixel_unshuffle(last, 2)], dim=1)
        return [finest, *reversed(coarser)]


class CompactConditions(nn.Module):
    """Features of image and rough map at every level of the compact denoiser."""

    def __init__(
        self, bands: int, encoder: dict[str, Any], denoiser: Backbone, latent_channels: int
    ) -> None:
        """Build both encoders.

        Args:
            bands: of the image.
            encoder: entries of the image network's diffusers configuration.
            denoiser: whose levels the features are for.
            latent_channels: of the rough map's latent.
        """
        super().__init__()
        widths = [int(w) for w in denoiser.config["block_out_channels"]]
        layers = int(denoiser.config["layers_per_block"])
        self.levels = skip_levels(len(widths), layers)
        self.channels = [2 * widths[level] for level in self.levels]
        self.trunk = ImageTrunk(bands, encoder)
        if self.trunk.backbone.levels != len(widths) + 1:
            raise ParameterError(
                f"The image encoder has {self.trunk.backbone.levels} levels from half the size on "
                f"and the denoiser {len(widths)} from a quarter on; one less is wanted. Give "
                "block_out_channels that fit."
            )
        self.from_image = nn.ModuleList(
            nn.Sequential(nn.Conv2d(own, width, 1), nn.SiLU())
            for own, width in zip(self.trunk.channels, widths, strict=True)
        )
        before = [latent_channels, *widths]
        self.from_rough = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before[k], width, 3, stride=1 if k == 0 else 2, padding=1),
                nn.SiLU(),
                nn.Conv2d(width, width, 3, padding=1),
                nn.SiLU(),
            )
            for k, width in enumerate(widths)
        )

    @property
    def frozen(self) -> nn.Module:
        """The part that comes trained."""
        return self.trunk

    def forward(self, image: Tensor, z_rough: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Give (c_image, c_rough) for every fusion."""
        # Not nn.GroupNorm: its backward crashes on the processor where the input needs no gradient.
        seen = [
            project(normalized(each))
            for project, each in zip(self.from_image, self.trunk(image), strict=True)
        ]
        told = [z_rough]
        for stage in self.from_rough:
            told.append(stage(told[-1]))
        return [(seen[level], told[level + 1]) for level in self.levels]


class PaperConditions(nn.Module):
    """A frozen copy of the UNet's way down, on the latents of image and rough map."""

    def __init__(self, settings: dict[str, Any]) -> None:
        """Build it with random weights."""
        super().__init__()
        self.encoder = StableUNet(settings, is_encoder=True)
        self.channels = [2 * each for each in self.encoder.skip_channels]

    @property
    def frozen(self) -> nn.Module:
        """The part that comes trained."""
        return self.encoder

    def forward(self, z_image: Tensor, z_rough: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Give (c_image, c_rough) for every fusion."""
        t = torch.zeros(len(z_image), dtype=torch.int64, device=z_image.device)
        seen, _ = self.encoder.encode(z_image, t)
        told, _ = self.encoder.encode(z_rough, t)
        return list(zip(seen, told, strict=True))


def skip_levels(levels: int, layers: int) -> list[int]:
    """Level (0 is the finest) of every skip of a diffusers UNet, and of the middle last."""
    found = [0]
    for level in range(levels):
        found += [level] * layers
        if level + 1 < levels:
            found.append(level + 1)
    return [*found, levels - 1]
