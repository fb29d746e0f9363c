"""The UNet under DDPM-CD at its published size: 391,048,067 parameters, 717 GMAC a 256 px image.

Papers: Saharia et al., "Image Super-Resolution via Iterative Refinement" (SR3), TPAMI 2022, whose
UNet DDPM-CD took over; Bandara, Nair, Patel, "DDPM-CD", WACV 2025: widths 128 times (1, 2, 4, 8,
8), two residual blocks a level, attention at 16 px.

Deviations from the papers: the timestep itself is embedded, in place of its noise level, and
nothing is dropped out; neither changes size or cost.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH = 128
MULTIPLIERS = (1, 2, 4, 8, 8)
BLOCKS = 2
GROUPS = 32
BANDS = 3


class SR3UNet(nn.Module):
    """Denoiser whose decoder's features are read.

    Attributes:
        channels: of the features, coarse to fine.
    """

    def __init__(self) -> None:
        """Build the network with random weights."""
        super().__init__()
        widths = [WIDTH * each for each in MULTIPLIERS]
        self.channels = tuple(reversed(widths))
        self.time = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.SiLU(), nn.Linear(4 * WIDTH, WIDTH)
        )
        self.entry = nn.Conv2d(BANDS, WIDTH, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.shrink = nn.ModuleList(nn.Conv2d(w, w, 3, stride=2, padding=1) for w in widths[:-1])
        self.grow = nn.ModuleList(nn.Conv2d(w, w, 3, padding=1) for w in self.channels[:-1])
        skips, before = [WIDTH], WIDTH
        for number, width in enumerate(widths):
            is_deepest = number == len(widths) - 1
            level = nn.ModuleList()
            for _ in range(BLOCKS):
                level.append(Residual(before, width, is_deepest))
                skips.append(width)
                before = width
            self.down.append(level)
            skips += [] if is_deepest else [width]
        self.middle = nn.ModuleList([Residual(before, before, True), Residual(before, before)])
        for number, width in enumerate(self.channels):
            level = nn.ModuleList()
            for _ in range(BLOCKS + 1):
                level.append(Residual(before + skips.pop(), width, number == 0))
                before = width
            self.up.append(level)
        # Belongs to the denoiser, though features alone are read here.
        self.exit = nn.Sequential(
            nn.GroupNorm(GROUPS, WIDTH), nn.SiLU(), nn.Conv2d(WIDTH, BANDS, 3, padding=1)
        )

    def features(self, x_t: Tensor, t: Tensor) -> list[Tensor]:
        """Give the last features of every level of the decoder, coarse to fine.

        Args:
            x_t: noisy images, float32 [B, 3, H, W], sides multiples of 16.
            t: timestep, int64 [B].

        Returns:
            Features, float32 [B, channels, h, w] each.
        """
        embedded = self.time(_sinusoids(t))
        level = self.entry(x_t)
        skips = [level]
        for number, blocks in enumerate(self.down):
            for block in blocks.children():
                level = block(level, embedded)
                skips.append(level)
            if number < len(self.shrink):
                level = self.shrink[number](level)
                skips.append(level)
        for block in self.middle:
            level = block(level, embedded)
        found = []
        for number, blocks in enumerate(self.up):
            for block in blocks.children():
                level = block(torch.cat([level, skips.pop()], dim=1), embedded)
            found.append(level)
            if number < len(self.grow):
                level = self.grow[number](functional.interpolate(level, scale_factor=2.0))
        return found


class Residual(nn.Module):
    """Two convolutions around the timestep, with a way past them; attention where asked for."""

    def __init__(self, in_channels: int, out_channels: int, has_attention: bool = False) -> None:
        """Build the layers."""
        super().__init__()
        self.first = _norm_conv(in_channels, out_channels)
        self.time = nn.Linear(WIDTH, out_channels)
        self.second = _norm_conv(out_channels, out_channels)
        self.past: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.past = nn.Conv2d(in_channels, out_channels, 1)
        self.attention: nn.Module = Attention(out_channels) if has_attention else nn.Identity()

    def forward(self, features: Tensor, embedded: Tensor) -> Tensor:
        """Give features [B, out_channels, h, w] from features and the timestep's [B, WIDTH]."""
        found = self.first(features) + self.time(embedded)[:, :, None, None]
        return torch.as_tensor(self.attention(self.second(found) + self.past(features)))


class Attention(nn.Module):
    """Every place looks at every other, one head; added to the features."""

    def __init__(self, channels: int) -> None:
        """Build the layers."""
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.look = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Give features of the same shape."""
        looked = self.look(self.norm(features)).flatten(2).transpose(1, 2)
        query, key, value = looked.chunk(3, dim=2)
        seen = functional.scaled_dot_product_attention(query, key, value)
        return torch.as_tensor(features + self.out(seen.transpose(1, 2).reshape(features.shape)))


def _norm_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    """Group normalisation, SiLU, 3x3 convolution."""
    return nn.Sequential(
        nn.GroupNorm(GROUPS, in_channels),
        nn.SiLU(),
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
    )


def _sinusoids(t: Tensor) -> Tensor:
    """Embed timesteps int64 [B] as sines and cosines, float32 [B, WIDTH]."""
    half = WIDTH // 2
    rates = torch.exp(-math.log(1e4) * torch.arange(half, device=t.device) / half)
    angles = t[:, None].float() * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)
