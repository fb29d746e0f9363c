"""A Siamese transformer: SegFormer's encoder on both dates, differences learned at every level.

Paper: Bandara, Patel, "A Transformer-Based Siamese Network for Change Detection", IGARSS 2022
(ChangeFormer).

Deviations from the paper: narrower; the last two upsamplings have few channels, where the paper
keeps 256 up to the full size; no dropout and no auxiliary outputs.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from n2m_core.models.network import NetworkConfig, bands_of_one_date, stacked_dates
from n2m_core.models.peers.base import AbstractPeer, conv_norm, upsampled
from n2m_core.models.peers.segformer import SegFormer, encoder_config


class ChangeFormer(AbstractPeer):
    """Shared encoder, a difference module a level, a decoder of 1x1 convolutions."""

    DEFAULTS: ClassVar[dict[str, Any]] = {
        "widths": [48, 96, 240, 384],
        "depths": [2, 2, 2, 2],
        "heads": [1, 2, 5, 8],
        "embedding": 96,
        "half": 32,
        "full": 16,
    }
    DESIGN: ClassVar[str] = "Siamese transformer in ChangeFormer's manner (transformers)"
    STRIDE: ClassVar[int] = SegFormer.STRIDE

    def __init__(self, config: NetworkConfig) -> None:
        """Build the network with random weights."""
        from transformers import SegformerModel

        super().__init__(config)
        chosen = self.settings
        width = chosen["embedding"]
        self.encoder: Any = SegformerModel(encoder_config(chosen, bands_of_one_date(config)))
        self.embed = nn.ModuleList(nn.Conv2d(each, width, 1) for each in chosen["widths"])
        self.compare = nn.ModuleList(
            nn.Sequential(conv_norm(2 * width, width, 3), conv_norm(width, width, 3))
            for _ in chosen["widths"]
        )
        self.fuse = conv_norm(len(chosen["widths"]) * width, width, 1)
        self.to_half = Doubling(width, chosen["half"])
        self.to_full = Doubling(chosen["half"], chosen["full"])
        self.classify = nn.Conv2d(chosen["full"], config.classes, 3, padding=1)

    def encoded(self, images: Tensor) -> list[Tensor]:
        """Give the features of single dates, fine to coarse, [B, width, h, w] each."""
        levels = []
        level = images
        for stage in self.encoder.stages:
            level = stage(level)
            levels.append(level)
        return levels

    def logits(self, x: Tensor) -> Tensor:
        """Give logits [B, K, H, W] of pairs [B, 2C, H, W]."""
        levels = [
            torch.cat(embed(level).chunk(2), dim=1)
            for embed, level in zip(self.embed, self.encoded(stacked_dates(x)), strict=True)
        ]
        differences: list[Tensor] = []
        for compare, level in zip(reversed(self.compare), reversed(levels), strict=True):
            found = compare(level)
            if differences:
                found = found + upsampled(differences[-1], found)
            differences.append(found)
        finest = differences[-1]
        joined = self.fuse(torch.cat([upsampled(each, finest) for each in differences], dim=1))
        return torch.as_tensor(self.classify(self.to_full(self.to_half(joined))))


class Doubling(nn.Module):
    """Twice the size by a transposed convolution, then a residual block."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        """Build the layers."""
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1)
        self.block = nn.Sequential(
            conv_norm(out_channels, out_channels, 3),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Give features of twice the height and width."""
        up = self.up(features)
        return torch.as_tensor(up + self.block(up))
