"""Noise2Map: one pass from a noisy image (or pair) and its timestep to class logits.

Paper: Shibli, Nascetti, Ban, "Noise2Map: End-to-End Diffusion Model for Semantic Segmentation and
Change Detection", IEEE TGRS 2026, arXiv 2604.27889.

Symbols:
    x_t  noisy input, float32 [B, C, H, W]
    t    timestep, int64 [B] in 0..999

Deviations from the paper: the compact network works at half the resolution. A strided convolution
brings the image down, pixel shuffle brings the features up, and features of the image itself rejoin
there so that boundaries stay sharp. With `shares_dates` both halves of a pair go through one
backbone side by side, so that what it knows of one date serves both; each way up is shown the
other date's features at every level, and the last convolution sees both. It costs twice the
operations. The paper's configuration is built as published.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from n2m_core.models.backbone import build_backbone
from n2m_core.models.network import (
    AbstractMapper,
    NetworkConfig,
    bands_of_one_date,
    stacked_dates,
)

__all__ = ["NetworkConfig", "Noise2Map"]

UP_CHANNELS = 16
EDGE_CHANNELS = 8


class Noise2Map(AbstractMapper):
    """Backbone between an input and an output convolution (paper) or a strided stem (compact)."""

    def __init__(self, config: NetworkConfig) -> None:
        """Build the network with random weights.

        Raises:
            ParameterError: dates are to be shared among an odd number of bands.
        """
        super().__init__()
        self.config = config
        assert config.variant == "compact" or config.variant == "paper"
        self.dates = 2 if config.shares_dates else 1
        bands = bands_of_one_date(config) if config.shares_dates else config.in_channels
        self.backbone = build_backbone(config.variant, config.overrides)
        levels = self.backbone.skip_channels if config.shares_dates else []
        self.meetings = nn.ModuleList(Meeting(channels) for channels in levels)
        width = int(self.backbone.config["in_channels"])
        if config.variant == "paper":
            self.stem: nn.Module = nn.Conv2d(bands, width, 3, padding=1)
            self.head: nn.Module = nn.Conv2d(self.dates * width, config.classes, 3, padding=1)
        else:
            self.stem = CompactStem(bands, width)
            self.head = CompactHead(bands, width, config.classes, self.dates)

    @property
    def multiple(self) -> int:
        """Height and width of the input must be multiples of this, px."""
        halvings = self.backbone.levels - 1 + (0 if self.config.variant == "paper" else 1)
        return 1 << halvings

    @property
    def design(self) -> str:
        """What the network is, for the card."""
        shared = ", shared by both dates" if self.config.shares_dates else ""
        return f"UNet2DModel, {self.config.variant}{shared}"

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Give class logits in one pass.

        Args:
            x_t: noisy (or clean) input, float32 [B, C, H, W].
            t: timestep of each sample, int64 [B].

        Returns:
            Logits, float32 [B, K, H, W].

        Raises:
            ParameterError: height or width is not a multiple of `multiple`.
        """
        self.check_sides(x_t)
        if not self.config.time_conditioning:
            t = torch.zeros_like(t)
        apart = stacked_dates(x_t) if self.config.shares_dates else x_t
        features = self.through_backbone(self.stem(apart), t.repeat(self.dates))
        if isinstance(self.head, CompactHead):
            together = torch.cat(self.head.raised(features, apart).chunk(self.dates), dim=1)
            return torch.as_tensor(self.head.logits(together))
        return torch.as_tensor(self.head(torch.cat(features.chunk(self.dates), dim=1)))

    def through_backbone(self, stem: Tensor, t: Tensor) -> Tensor:
        """Run the backbone; where dates share it, each looks at the other between down and up.

        Args:
            stem: features of the input, float32 [B, C, H, W]; [2B, C, H, W] for two dates.
            t: timestep of each, int64 [B] or [2B].

        Returns:
            Features of the same size, float32 [B, C_out, H, W] or [2B, ...].
        """
        if not self.meetings:
            return torch.as_tensor(self.backbone(stem, t))
        skips, embedding = self.backbone.encode(stem, t)
        met = [meet(skip) for meet, skip in zip(self.meetings, skips, strict=True)]
        return self.backbone.decode(met, embedding)


class Meeting(nn.Module):
    """Show each date's features at one level to the other date.

    y_a = x_a + W [x_a, x_b], y_b = x_b + W [x_b, x_a], with W a 1x1 convolution that starts at
    zero: each date begins as if it were alone, and what swaps the dates swaps the result.
    """

    def __init__(self, channels: int) -> None:
        """Build the convolution, all zero."""
        super().__init__()
        self.other = nn.Conv2d(2 * channels, channels, 1)
        nn.init.zeros_(self.other.weight)
        nn.init.zeros_(self.other.bias)  # type: ignore[arg-type]  # has one

    def forward(self, features: Tensor) -> Tensor:
        """Give [2B, C, H, W] for the first date's B above the second's."""
        before, after = features.chunk(2)
        swapped = torch.cat([after, before])
        return features + torch.as_tensor(self.other(torch.cat([features, swapped], dim=1)))


class CompactStem(nn.Module):
    """Bring the image to half its resolution in one strided convolution."""

    def __init__(self, in_channels: int, width: int) -> None:
        """Build the convolution."""
        super().__init__()
        self.to_half = nn.Conv2d(in_channels, width, 3, stride=2, padding=1)

    def forward(self, x_t: Tensor) -> Tensor:
        """Give features [B, width, H/2, W/2]."""
        return functional.silu(torch.as_tensor(self.to_half(x_t)))


class CompactHead(nn.Module):
    """Bring features up by pixel shuffle and join them with features of the image itself."""

    def __init__(self, bands: int, width: int, classes: int, dates: int) -> None:
        """Build the up path of one date, and the classifier of one or both."""
        super().__init__()
        self.to_full = nn.Conv2d(width, 4 * UP_CHANNELS, 1)
        self.edges = nn.Conv2d(bands, EDGE_CHANNELS, 3, padding=1)
        self.logits = nn.Conv2d(dates * (UP_CHANNELS + EDGE_CHANNELS), classes, 3, padding=1)

    def raised(self, half: Tensor, x_t: Tensor) -> Tensor:
        """Give features [B, 24, H, W] from those at half the resolution and the input."""
        up = functional.silu(functional.pixel_shuffle(self.to_full(half), 2))
        edges = functional.silu(self.edges(x_t))
        return torch.cat([up, edges], dim=1)
