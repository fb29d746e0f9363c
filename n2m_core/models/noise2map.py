"""Noise2Map: one pass from a noisy image (or pair) and its timestep to class logits.

Paper: Shibli, Nascetti, Ban, "Noise2Map: End-to-End Diffusion Model for Semantic Segmentation and
Change Detection", IEEE TGRS 2026, arXiv 2604.27889.

Symbols:
    x_t  noisy input, float32 [B, C, H, W]
    t    timestep, int64 [B] in 0..999

Deviations from the paper: the compact network works at half the resolution. A strided convolution
brings the image down, pixel shuffle brings the features up, and features of the image itself rejoin
there so that boundaries stay sharp. The paper's configuration is built as published.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from n2m_core.models.backbone import build_backbone
from n2m_core.models.network import AbstractNetwork, NetworkConfig

__all__ = ["NetworkConfig", "Noise2Map"]

UP_CHANNELS = 16
EDGE_CHANNELS = 8


class Noise2Map(AbstractNetwork):
    """Backbone between an input and an output convolution (paper) or a strided stem (compact)."""

    def __init__(self, config: NetworkConfig) -> None:
        """Build the network with random weights."""
        super().__init__()
        self.config = config
        assert config.variant == "compact" or config.variant == "paper"
        self.backbone = build_backbone(config.variant, config.overrides)
        width = int(self.backbone.config["in_channels"])
        if config.variant == "paper":
            self.stem: nn.Module = nn.Conv2d(config.in_channels, width, 3, padding=1)
            self.head: nn.Module = nn.Conv2d(width, config.classes, 3, padding=1)
        else:
            self.stem = CompactStem(config.in_channels, width)
            self.head = CompactHead(config.in_channels, width, config.classes)

    @property
    def multiple(self) -> int:
        """Height and width of the input must be multiples of this, px."""
        halvings = self.backbone.levels - 1 + (0 if self.config.variant == "paper" else 1)
        return 1 << halvings

    @property
    def design(self) -> str:
        """What the network is, for the card."""
        return f"UNet2DModel, {self.config.variant}"

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
        if isinstance(self.head, CompactHead):
            logits = self.head(self.backbone(self.stem(x_t), t), x_t)
        else:
            logits = self.head(self.backbone(self.stem(x_t), t))
        return torch.as_tensor(logits)


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

    def __init__(self, in_channels: int, width: int, classes: int) -> None:
        """Build the up path."""
        super().__init__()
        self.to_full = nn.Conv2d(width, 4 * UP_CHANNELS, 1)
        self.edges = nn.Conv2d(in_channels, EDGE_CHANNELS, 3, padding=1)
        self.logits = nn.Conv2d(UP_CHANNELS + EDGE_CHANNELS, classes, 3, padding=1)

    def forward(self, half: Tensor, x_t: Tensor) -> Tensor:
        """Give logits [B, K, H, W] from features at half the resolution and the input."""
        up = functional.silu(functional.pixel_shuffle(self.to_full(half), 2))
        edges = functional.silu(self.edges(x_t))
        return torch.as_tensor(self.logits(torch.cat([up, edges], dim=1)))
