"""DeepLabV3+: atrous pyramid over a ResNet, and a decoder that brings fine features back in.

Paper: Chen, Zhu, Papandreou, Schroff, Adam, "Encoder-Decoder with Atrous Separable Convolution for
Semantic Image Segmentation", ECCV 2018.

Deviations from the paper: transformers' ResNet of basic blocks ends after its third stage, at 1/16
of the size, in place of a fourth, dilated one; plain convolutions in place of separable ones; rates
2, 4 and 6, since a training crop of 128 px leaves 8 x 8 features.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from n2m_core.models.network import NetworkConfig
from n2m_core.models.peers.base import AbstractPeer, conv_norm, upsampled

LOW_CHANNELS = 32  # few, so that the decoder can't lean on fine features alone (section 3.1)


class DeepLabV3Plus(AbstractPeer):
    """ResNet, atrous spatial pyramid pooling, decoder at a quarter of the size."""

    DEFAULTS: ClassVar[dict[str, Any]] = {
        "stem": 64,
        "widths": [64, 128, 384],
        "depths": [2, 2, 2],
        "pyramid": 128,
        "rates": [2, 4, 6],
        "decoder": 96,
    }
    DESIGN: ClassVar[str] = "DeepLabV3+ on a ResNet (transformers)"
    STRIDE: ClassVar[int] = 16

    def __init__(self, config: NetworkConfig) -> None:
        """Build the network with random weights."""
        from transformers import ResNetBackbone, ResNetConfig

        super().__init__(config)
        chosen = self.settings
        self.encoder = ResNetBackbone(
            ResNetConfig(
                num_channels=config.in_channels,
                embedding_size=chosen["stem"],
                hidden_sizes=chosen["widths"],
                depths=chosen["depths"],
                layer_type="basic",
                out_features=["stage1", f"stage{len(chosen['widths'])}"],
            )
        )
        self.pyramid = AtrousPyramid(chosen["widths"][-1], chosen["pyramid"], chosen["rates"])
        self.low = conv_norm(chosen["widths"][0], LOW_CHANNELS, 1)
        self.decoder = nn.Sequential(
            conv_norm(chosen["pyramid"] + LOW_CHANNELS, chosen["decoder"], 3),
            conv_norm(chosen["decoder"], chosen["decoder"], 3),
            nn.Conv2d(chosen["decoder"], config.classes, 1),
        )

    def logits(self, x: Tensor) -> Tensor:
        """Give logits [B, K, H, W]."""
        low, high = self.encoder(x).feature_maps
        joined = torch.cat([upsampled(self.pyramid(high), low), self.low(low)], dim=1)
        return upsampled(self.decoder(joined), x)


class AtrousPyramid(nn.Module):
    """Views of the same features at several dilations, and of the whole window."""

    def __init__(self, in_channels: int, channels: int, rates: list[int]) -> None:
        """Build the branches."""
        super().__init__()
        self.branches = nn.ModuleList(
            [
                conv_norm(in_channels, channels, 1),
                *(conv_norm(in_channels, channels, 3, rate) for rate in rates),
            ]
        )
        # Without batch normalisation: one value a channel and image has no spread to divide by.
        self.whole = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(in_channels, channels, 1), nn.ReLU()
        )
        self.project = conv_norm((len(rates) + 2) * channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Give features [B, channels, h, w]."""
        views = [branch(features) for branch in self.branches]
        views.append(self.whole(features).expand_as(views[0]))
        return torch.as_tensor(self.project(torch.cat(views, dim=1)))
