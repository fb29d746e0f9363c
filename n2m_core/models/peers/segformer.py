"""SegFormer: a hierarchical transformer without positions, and a decoder of linear layers.

Paper: Xie, Wang, Yu, Anandkumar, Alvarez, Luo, "SegFormer", NeurIPS 2021, as transformers builds
it.

Deviations from the paper: widths between its B0 and B1; no dropout and no stochastic depth; logits
at a quarter of the size are brought up bilinearly, as in the paper's evaluation.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from n2m_core.models.network import NetworkConfig
from n2m_core.models.peers.base import AbstractPeer, upsampled


def encoder_config(settings: dict[str, Any], in_channels: int, **head: int) -> Any:  # noqa: ANN401
    """Give transformers' configuration of the encoder; `head` adds the decoder's entries."""
    from transformers import SegformerConfig

    return SegformerConfig(
        num_channels=in_channels,
        hidden_sizes=settings["widths"],
        depths=settings["depths"],
        num_attention_heads=settings["heads"],
        drop_path_rate=0.0,
        classifier_dropout_prob=0.0,
        **head,
    )


class SegFormer(AbstractPeer):
    """transformers' `SegformerForSemanticSegmentation`."""

    DEFAULTS: ClassVar[dict[str, Any]] = {
        "widths": [48, 96, 240, 384],
        "depths": [2, 2, 2, 2],
        "heads": [1, 2, 5, 8],
        "decoder": 256,
    }
    DESIGN: ClassVar[str] = "SegFormer (transformers)"
    STRIDE: ClassVar[int] = 32

    def __init__(self, config: NetworkConfig) -> None:
        """Build the network with random weights."""
        from transformers import SegformerForSemanticSegmentation

        super().__init__(config)
        self.net = SegformerForSemanticSegmentation(
            encoder_config(
                self.settings,
                config.in_channels,
                decoder_hidden_size=self.settings["decoder"],
                num_labels=config.classes,
            )
        )

    def logits(self, x: Tensor) -> Tensor:
        """Give logits [B, K, H, W]."""
        return upsampled(self.net(x).logits, x)
