"""UPerNet: pyramid pooling over a ResNet and a feature pyramid that joins all its levels.

Paper: Xiao, Liu, Zhou, Jiang, Sun, "Unified Perceptual Parsing for Scene Understanding", ECCV 2018,
as transformers builds it.

Deviations from the paper: basic blocks in place of bottlenecks; no auxiliary head, since every
network here has the same loss.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from n2m_core.models.network import NetworkConfig
from n2m_core.models.peers.base import AbstractPeer


class UPerNet(AbstractPeer):
    """transformers' `UperNetForSemanticSegmentation` on its ResNet."""

    DEFAULTS: ClassVar[dict[str, Any]] = {
        "stem": 48,
        "widths": [48, 96, 192, 384],
        "depths": [2, 2, 2, 2],
        "decoder": 96,
    }
    DESIGN: ClassVar[str] = "UPerNet on a ResNet (transformers)"
    STRIDE: ClassVar[int] = 32

    def __init__(self, config: NetworkConfig) -> None:
        """Build the network with random weights."""
        from transformers import ResNetConfig, UperNetConfig, UperNetForSemanticSegmentation

        super().__init__(config)
        chosen = self.settings
        encoder = ResNetConfig(
            num_channels=config.in_channels,
            embedding_size=chosen["stem"],
            hidden_sizes=chosen["widths"],
            depths=chosen["depths"],
            layer_type="basic",
            out_features=[f"stage{level + 1}" for level in range(len(chosen["widths"]))],
        )
        self.net = UperNetForSemanticSegmentation(
            UperNetConfig(
                backbone_config=encoder,
                hidden_size=chosen["decoder"],
                use_auxiliary_head=False,
                num_labels=config.classes,
            )
        )

    def logits(self, x: Tensor) -> Tensor:
        """Give logits [B, K, H, W]."""
        return torch.as_tensor(self.net(x).logits)
