"""The conditional guidance network of IDGBR: image and rough map enter every level of a denoiser.

Paper: Wang et al., IEEE TPAMI 2026, arXiv 2507.01573.

Symbols:
    f        features of the noisy latent at one level, float32 [B, C, h, w]
    c_i, c_r features of image and rough map there, float32 [B, C_i, h, w] and [B, C_r, h, w]

    h = W [f, c_i, c_r];  h <- h + O attention(Q h; K [c_i, c_r], V [c_i, c_r]);  f <- f + Z h

Z alone starts at zero: the denoiser begins as if there were no guidance, and from the second step
on the gradient reaches everything behind Z. (The authors' release starts every parameter of this
module at zero; its attention then never gets a gradient, and only W and Z learn.)

No layer has a bias, so guidance that is set to zero (the unconditional branch) adds nothing but
Z W f. W is split into the parts that see f and that see the guidance; what does not depend on f,
that is W [c_i, c_r], K and V, is computed once per image.

Deviations from the paper: attention runs in windows of 8 x 8 with a learned bias for every offset
(Liu et al., "Swin Transformer", ICCV 2021) that prefers near places at first, not over all pixels;
h is normalised before it asks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

WINDOW = 8
HEAD_WIDTH = 32
EPS = 1e-5


@dataclass(frozen=True, eq=False)
class LevelGuidance:
    """What one fusion needs of image and rough map.

    Attributes:
        mixed: W [c_i, c_r], float32 [B, C, h, w].
        keys_values: K and V of [c_i, c_r], float32 [B, 2 C, h, w].
    """

    mixed: Tensor
    keys_values: Tensor

    def times(self, kept: Tensor) -> LevelGuidance:
        """Keep (1) or drop (0) the guidance of each sample, kept float32 [B]."""
        factor = kept.view(-1, 1, 1, 1)
        return LevelGuidance(self.mixed * factor, self.keys_values * factor)

    def repeated(self, count: int) -> LevelGuidance:
        """Give every sample `count` times, one after the other."""
        return LevelGuidance(
            self.mixed.repeat_interleave(count, 0), self.keys_values.repeat_interleave(count, 0)
        )


Guidance = tuple[LevelGuidance, ...]
"""One entry for each fusion."""


def dropped(guidance: Guidance, kept: Tensor) -> Guidance:
    """Set the guidance of some samples to zero, kept float32 [B] with 0 and 1."""
    return tuple(level.times(kept) for level in guidance)


def repeated(guidance: Guidance, count: int) -> Guidance:
    """Give the guidance of every sample `count` times, one after the other."""
    return tuple(level.repeated(count) for level in guidance)


def stacked(parts: list[Guidance]) -> Guidance:
    """Put the guidance of several batches into one batch."""
    return tuple(
        LevelGuidance(
            torch.cat([level.mixed for level in levels]),
            torch.cat([level.keys_values for level in levels]),
        )
        for levels in zip(*parts, strict=True)
    )


def window_of(side: int) -> int:
    """Largest power of two, at most 8, that divides a side."""
    return min(WINDOW, side & -side)


def normalized(features: Tensor) -> Tensor:
    """Bring each sample to mean 0 and variance 1, float32 [B, C, h, w]."""
    variance, mean = torch.var_mean(features, dim=(1, 2, 3), correction=0, keepdim=True)
    return (features - mean) / torch.sqrt(variance + EPS)


def _nearness() -> Tensor:
    """Bias of every offset at first, [15, 15]: near places are asked more than far ones."""
    steps = torch.arange(1 - WINDOW, WINDOW)
    return -0.5 * torch.hypot(steps[:, None].float(), steps[None, :].float())


class GuidedFusion(nn.Module):
    """Fuses guidance into the features of one level."""

    def __init__(self, channels: int, guide_channels: int) -> None:
        """Build the fusion; its last projection is zero.

        Args:
            channels: C of the features.
            guide_channels: C_i + C_r.
        """
        super().__init__()
        self.heads = math.gcd(channels, max(1, channels // HEAD_WIDTH))
        self.mix_own = nn.Conv2d(channels, channels, 1, bias=False)
        self.mix_guidance = nn.Conv2d(guide_channels, channels, 1, bias=False)
        self.query = nn.Conv2d(channels, channels, 1, bias=False)
        self.keys_values = nn.Conv2d(guide_channels, 2 * channels, 1, bias=False)
        self.offsets = nn.Parameter(_nearness().repeat(self.heads, 1, 1))
        self.out = nn.Conv2d(channels, channels, 1, bias=False)
        self.last = nn.Conv2d(channels, channels, 1, bias=False)
        nn.init.zeros_(self.last.weight)

    def guidance(self, c_image: Tensor, c_rough: Tensor) -> LevelGuidance:
        """Compute what does not depend on the noisy latent."""
        both = torch.cat([c_image, c_rough], dim=1)
        return LevelGuidance(self.mix_guidance(both), self.keys_values(both))

    def forward(self, features: Tensor, level: LevelGuidance) -> Tensor:
        """Give f with the guidance in it, float32 [B, C, h, w]."""
        mixed = self.mix_own(features) + level.mixed
        asked = self.query(normalized(mixed))
        mixed = mixed + self.out(self._attended(asked, level.keys_values))
        return features + torch.as_tensor(self.last(mixed))

    def _attended(self, asked: Tensor, keys_values: Tensor) -> Tensor:
        """Attend within windows, float32 [B, C, h, w]."""
        height, width = asked.shape[2:]
        rows, columns = window_of(height), window_of(width)
        keys, values = keys_values.chunk(2, dim=1)
        query, key, value = (self._windows(each, rows, columns) for each in (asked, keys, values))
        bias = self._bias(rows, columns)
        scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5 + bias
        return self._unwindowed(scores.softmax(dim=-1) @ value, (rows, columns), asked.shape)

    def _windows(self, features: Tensor, rows: int, columns: int) -> Tensor:
        """Cut [B, C, h, w] into windows, [B * windows, heads, rows * columns, C / heads]."""
        batch, channels, height, width = features.shape
        cut = features.view(
            batch, self.heads, -1, height // rows, rows, width // columns, columns
        ).permute(0, 3, 5, 1, 4, 6, 2)
        return cut.reshape(-1, self.heads, rows * columns, channels // self.heads)

    def _unwindowed(self, tokens: Tensor, window: tuple[int, int], shape: torch.Size) -> Tensor:
        """Undo `_windows`."""
        (rows, columns), (batch, channels, height, width) = window, shape
        cut = tokens.view(
            batch, height // rows, width // columns, self.heads, rows, columns, -1
        ).permute(0, 3, 6, 1, 4, 2, 5)
        return cut.reshape(batch, channels, height, width)

    def _bias(self, rows: int, columns: int) -> Tensor:
        """Bias of every pair of places in a window, [heads, N, N], N = rows * columns."""
        y, x = torch.meshgrid(
            torch.arange(rows, device=self.offsets.device),
            torch.arange(columns, device=self.offsets.device),
            indexing="ij",
        )
        y, x = y.flatten(), x.flatten()
        down = y[:, None] - y[None, :] + WINDOW - 1
        across = x[:, None] - x[None, :] + WINDOW - 1
        return self.offsets[:, down, across]
