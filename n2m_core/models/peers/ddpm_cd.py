"""Change from the features of a frozen diffusion model, several noisy looks at both dates.

Paper: Bandara, Nair, Patel, "DDPM-CD: Denoising Diffusion Probabilistic Models as Feature
Extractors for Change Detection", WACV 2025, arXiv 2206.11892.

A denoiser that was pretrained on unlabelled images stays as it is. Both dates are noised to
t = 50, 100 and 400; the features of the denoiser's decoder, joined over t, are compared level by
level, and a light head maps the absolute differences. That makes six passes of the denoiser.

Deviations from the paper: the noise is one fixed draw, the same for both dates, so that a map
depends neither on chance nor on the order of a batch; to the head of absolute differences, which
can't tell the order of the dates, a linear term of the signed ones is added, without bias: where
the dates are exchanged it changes its sign (`FullSizeDetector` has no such term).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from n2m_core.diffusion.noise import NoiseProcess, make_schedule, position_noise
from n2m_core.errors import ParameterError
from n2m_core.models.backbone import full_settings
from n2m_core.models.network import NetworkConfig, bands_of_one_date, stacked_dates
from n2m_core.models.noise2map import Noise2Map
from n2m_core.models.peers.base import AbstractPeer, upsampled
from n2m_core.models.peers.sr3_unet import SR3UNet

TIMESTEPS = (50, 100, 400)
LEAN = {"block_out_channels": [8, 16, 32, 64, 160]}
"""What differs from our compact network in a denoiser whose six passes cost less than two of it."""
EMBEDDING = 64
"""Channels before the last convolution of the paper's head."""


class DifferenceHead(nn.Module):
    """From features of both dates at every level to logits, coarse to fine."""

    def __init__(
        self,
        channels: Sequence[int],
        looks: int,
        classes: int,
        *,
        embedding: int = EMBEDDING,
        is_directed: bool = False,
    ) -> None:
        """Build the head.

        Args:
            channels: of the features at every level, coarse to fine.
            looks: timesteps that the features are joined over.
            classes: logits.
            embedding: channels before the last convolution.
            is_directed: add the linear term of signed differences.
        """
        super().__init__()
        self.join = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(looks * width, width, 1),
                nn.ReLU(),
                nn.Conv2d(width, width, 3, padding=1),
                nn.ReLU(),
            )
            for width in channels
        )
        self.refine = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(coarse, fine, 3, padding=1), nn.ReLU(), ChannelSpatialAttention(fine)
            )
            for coarse, fine in pairwise(channels)
        )
        self.classify = nn.Sequential(
            nn.Conv2d(channels[-1], embedding, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(embedding, classes, 3, padding=1),
        )
        self.direct = nn.ModuleList(
            nn.Conv2d(width, classes, 1, bias=False) for width in (channels if is_directed else ())
        )

    def forward(self, levels: Sequence[Tensor], like: Tensor) -> Tensor:
        """Give logits.

        Args:
            levels: features of the stacked dates joined over the looks, coarse to fine, float32
                [2B, looks * channels, h, w].
            like: gives height and width.

        Returns:
            Logits, float32 [B, K, H, W].
        """
        signed = []
        for join, level in zip(self.join, levels, strict=True):
            before, after = join(level).chunk(2)
            signed.append(after - before)
        found = signed[0].abs()
        for refine, finer in zip(self.refine, signed[1:], strict=True):
            found = finer.abs() + upsampled(refine(found), finer)
        logits = self.classify(upsampled(found, like))
        for direct, level in zip(self.direct, signed, strict=len(self.direct) > 0):
            logits = logits + upsampled(direct(level), like)
        return torch.as_tensor(logits)


class ChannelSpatialAttention(nn.Module):
    """Weigh channels and places; the larger of both counts (Roy, Navab, Wachinger, MICCAI 2018)."""

    def __init__(self, channels: int) -> None:
        """Build both gates."""
        super().__init__()
        half = max(channels // 2, 1)
        self.channel = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, half, 1),
            nn.ReLU(),
            nn.Conv2d(half, channels, 1),
            nn.Sigmoid(),
        )
        self.place = nn.Sequential(nn.Conv2d(channels, 1, 1), nn.Sigmoid())

    def forward(self, features: Tensor) -> Tensor:
        """Give features of the same shape."""
        return torch.maximum(features * self.channel(features), features * self.place(features))


class FrozenFeatureDetector(AbstractPeer):
    """A frozen denoiser that `n2m pretrain` taught, and a head that learns.

    The denoiser's weights and configuration are part of the checkpoint, which loads on its own.
    """

    DEFAULTS: ClassVar[dict[str, Any]] = {
        "denoiser": NetworkConfig(
            "compact", 3, 3, overrides=full_settings("compact", LEAN)
        ).to_dict(),
        "timesteps": list(TIMESTEPS),
        "noise_seed": 0,
    }
    DESIGN: ClassVar[str] = "Frozen diffusion features in DDPM-CD's manner, six passes"

    def __init__(self, config: NetworkConfig) -> None:
        """Build the network with random weights.

        Raises:
            ParameterError: the denoiser takes other bands than one date has.
        """
        super().__init__(config)
        bands = bands_of_one_date(config)
        self.denoiser = Noise2Map(NetworkConfig(**self.settings["denoiser"]))
        if self.denoiser.config.in_channels != bands:
            raise ParameterError(
                f"The denoiser takes {self.denoiser.config.in_channels} bands, one date has "
                f"{bands}; pretrain one on the same bands."
            )
        self.denoiser.requires_grad_(False)
        widths = tuple(self.denoiser.backbone.config["block_out_channels"])[::-1]
        looks = len(self.settings["timesteps"])
        self.head = DifferenceHead(
            widths, looks, config.classes, embedding=widths[-1], is_directed=True
        )
        self.noise = FixedNoise(self.settings["noise_seed"], self.settings["timesteps"])

    @property
    def multiple(self) -> int:
        """Height and width of the input must be multiples of this, px."""
        return self.denoiser.multiple

    def train(self, mode: bool = True) -> FrozenFeatureDetector:
        """Set the head's mode; the denoiser stays as it was pretrained."""
        super().train(mode)
        self.denoiser.eval()
        return self

    def take_denoiser(self, pretrained: nn.Module) -> None:
        """Copy a pretrained denoiser's weights."""
        self.denoiser.load_state_dict(pretrained.state_dict())

    def logits(self, x: Tensor) -> Tensor:
        """Give logits [B, K, H, W] of pairs [B, 2C, H, W]."""
        with torch.no_grad():
            looks = [
                decoder_features(self.denoiser, x_t, t)
                for x_t, t in self.noise.looks(stacked_dates(x))
            ]
        return torch.as_tensor(self.head(_joined(looks), x))


class FullSizeDetector(nn.Module):
    """DDPM-CD at its published size, to measure what it costs: 391.05 and 46.41 million weights."""

    def __init__(self, classes: int = 2) -> None:
        """Build the network with random weights; three bands a date."""
        super().__init__()
        self.unet = SR3UNet().requires_grad_(False)
        self.head = DifferenceHead(self.unet.channels, len(TIMESTEPS), classes)
        self.noise = FixedNoise(0, TIMESTEPS)

    def forward(self, pair: Tensor) -> Tensor:
        """Give logits [B, K, H, W] of pairs [B, 6, H, W] whose sides are multiples of 16."""
        with torch.no_grad():
            looks = [self.unet.features(x_t, t) for x_t, t in self.noise.looks(stacked_dates(pair))]
        return torch.as_tensor(self.head(_joined(looks), pair))


class FixedNoise:
    """Noises images to several timesteps, always with the same draw."""

    def __init__(self, seed: int, timesteps: Sequence[int]) -> None:
        """Name the draw, one for each timestep."""
        self.seed, self.timesteps = seed, tuple(timesteps)
        self.process = NoiseProcess("gaussian", make_schedule("ddpm"))
        self._kept: Tensor | None = None

    def looks(self, images: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Give (x_t, t) at every timestep of images float32 [B, C, H, W]."""
        draws = self._draws(images).chunk(len(self.timesteps), dim=1)
        looks = []
        for step, draw in zip(self.timesteps, draws, strict=True):
            t = torch.full((len(images),), step, dtype=torch.int64, device=images.device)
            looks.append((self.process.mix(images, t, draw), t))
        return looks

    def _draws(self, images: Tensor) -> Tensor:
        """Noise of all timesteps, float32 [1, T C, H, W]; the last size is kept."""
        bands, height, width = images.shape[1:]
        shape = (1, len(self.timesteps) * bands, height, width)
        kept = self._kept
        if kept is None or kept.shape != shape or kept.device != images.device:
            drawn = position_noise(self.seed, shape[1], height, width)
            kept = torch.from_numpy(drawn)[None].to(images.device)
            self._kept = kept
        return kept


def decoder_features(denoiser: Noise2Map, x_t: Tensor, t: Tensor) -> list[Tensor]:
    """Give what every block of a denoiser's decoder gives, coarse to fine.

    Args:
        denoiser: any size of Noise2Map.
        x_t: noisy images, float32 [B, C, H, W].
        t: timestep, int64 [B].

    Returns:
        Features, float32 [B, c, h, w] each.
    """
    unet = denoiser.backbone.unet
    embedded = unet.time_embedding(unet.time_proj(t).to(unet.dtype))
    level = unet.conv_in(denoiser.stem(x_t))
    skips = [level]
    for block in unet.down_blocks:
        level, passed = block(hidden_states=level, temb=embedded)
        skips.extend(passed)
    level = unet.mid_block(level, embedded)
    features = []
    for block in unet.up_blocks:
        count = len(block.resnets)
        level = block(level, tuple(skips[-count:]), embedded)
        del skips[-count:]
        features.append(level)
    return features


def _joined(looks: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Join every level's features over the timesteps."""
    return [torch.cat(level, dim=1) for level in zip(*looks, strict=True)]
