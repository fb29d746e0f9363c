"""Building blocks of the fusion networks.

Paper of the residual block's form: Ho, Jain, Abbeel, "Denoising Diffusion Probabilistic Models",
NeurIPS 2020.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


class LevelEmbedding(nn.Module):
    """Sinusoids of a level, then two linear layers: width -> 4 width -> width."""

    def __init__(self, width: int) -> None:
        """Build the layers."""
        super().__init__()
        self.width = width
        self.layers = nn.Sequential(
            nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width)
        )

    def forward(self, level: Tensor) -> Tensor:
        """Give [B, width] from levels [B]."""
        half = self.width // 2
        rates = torch.exp(-math.log(1e4) * torch.arange(half, device=level.device) / half)
        angles = level[:, None].float() * rates
        return torch.as_tensor(self.layers(torch.cat([angles.sin(), angles.cos()], dim=1)))


class ResidualBlock(nn.Module):
    """Group normalisation, Swish and convolution, twice, around a level; with a way past them."""

    def __init__(
        self, in_channels: int, out_channels: int, groups: int, embedding: int = 0
    ) -> None:
        """Build the layers.

        Args:
            in_channels: of the input.
            out_channels: of the output.
            groups: of the normalisations.
            embedding: size of the level's embedding; 0 for a block that is told none.
        """
        super().__init__()
        self.first = normed_conv(in_channels, out_channels, groups)
        self.level = nn.Linear(embedding, out_channels) if embedding else None
        self.second = normed_conv(out_channels, out_channels, groups)
        self.past = shortcut(in_channels, out_channels)

    def forward(self, features: Tensor, embedded: Tensor | None = None) -> Tensor:
        """Give [B, out_channels, h, w] from [B, in_channels, h, w] and an embedding [B, E]."""
        found = self.first(features)
        if self.level is not None and embedded is not None:
            found = found + self.level(functional.silu(embedded))[:, :, None, None]
        return torch.as_tensor(self.second(found) + self.past(features))


class LightBlock(nn.Module):
    """Group normalisation, Swish and convolution, once, with a way past them."""

    def __init__(self, in_channels: int, out_channels: int, groups: int) -> None:
        """Build the layers."""
        super().__init__()
        self.first = normed_conv(in_channels, out_channels, groups)
        self.past = shortcut(in_channels, out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """Give [B, out_channels, h, w] from [B, in_channels, h, w]."""
        return torch.as_tensor(self.first(features) + self.past(features))


class NoisyEncoder(nn.Module):
    """A convolution, then a residual block a level with strided convolutions between."""

    def __init__(self, in_channels: int, channels: list[int], groups: int, embedding: int) -> None:
        """Build the layers; `channels` lists the levels', finest first."""
        super().__init__()
        self.entry = nn.Conv2d(in_channels, channels[0], 3, padding=1)
        self.blocks = nn.ModuleList(
            ResidualBlock(before, after, groups, embedding)
            for before, after in zip([channels[0], *channels], channels, strict=False)
        )
        self.shrink = nn.ModuleList(strided(each) for each in channels[:-1])

    def forward(self, x: Tensor, embedded: Tensor | None = None) -> list[Tensor]:
        """Give the features of every level, finest first."""
        level = self.entry(x)
        found = []
        for number, block in enumerate(self.blocks):
            level = block(level if number == 0 else self.shrink[number - 1](level), embedded)
            found.append(level)
        return found


class Decoder(nn.Module):
    """A residual block on features and skip a level, nearest upsampling and convolution between."""

    def __init__(self, channels: list[int], out_channels: int, groups: int, embedding: int) -> None:
        """Build the layers; `channels` lists the levels', finest first."""
        super().__init__()
        upward = channels[::-1]
        self.blocks = nn.ModuleList(
            ResidualBlock(2 * each, each, groups, embedding) for each in upward
        )
        self.grow = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(upward)
        )
        self.exit = normed_conv(channels[0], out_channels, groups)

    def start_at_zero(self) -> None:
        """Let the last convolution give nothing at first."""
        last = self.exit[-1]
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, deep: Tensor, skips: tuple[Tensor, ...], embedded: Tensor) -> Tensor:
        """Give [B, out_channels, h, w] at the finest level.

        Args:
            deep: deepest features.
            skips: a level each, finest first.
            embedded: the level's embedding, [B, E].
        """
        level = deep
        for number, skip in enumerate(reversed(skips)):
            if number:
                level = self.grow[number - 1](functional.interpolate(level, scale_factor=2.0))
            level = self.blocks[number](torch.cat([level, skip], dim=1), embedded)
        return torch.as_tensor(self.exit(level))


class SelfAttention(nn.Module):
    """Every place looks at every other; added to the features."""

    def __init__(self, channels: int, groups: int, heads: int) -> None:
        """Build the layers."""
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.look = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Give features of the same shape, [B, C, h, w]."""
        query, key, value = self.look(self.norm(features)).chunk(3, dim=1)
        return torch.as_tensor(features + self.out(attended(query, key, value, self.heads)))


def attended(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Average a value over all places by likeness of query and key.

    Args:
        query: float32 [B, C, h, w].
        key: same shape.
        value: same shape.
        heads: groups of channels that look on their own.

    Returns:
        float32 [B, C, h, w].
    """
    batch, channels = query.shape[:2]
    query_t, key_t, value_t = (
        part.reshape(batch, heads, channels // heads, -1).transpose(2, 3)
        for part in (query, key, value)
    )
    seen = functional.scaled_dot_product_attention(query_t, key_t, value_t)
    return seen.transpose(2, 3).reshape(query.shape)


def normed_conv(in_channels: int, out_channels: int, groups: int) -> nn.Sequential:
    """Group normalisation, Swish, 3x3 convolution."""
    return nn.Sequential(
        nn.GroupNorm(groups, in_channels),
        nn.SiLU(),
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
    )


def strided(channels: int) -> nn.Conv2d:
    """3x3 convolution that halves the size."""
    return nn.Conv2d(channels, channels, 3, stride=2, padding=1)


def shortcut(in_channels: int, out_channels: int) -> nn.Module:
    """The way past a block: a 1x1 convolution where the channels differ."""
    if in_channels == out_channels:
        return nn.Identity()
    return nn.Conv2d(in_channels, out_channels, 1)
