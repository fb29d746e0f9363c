"""What the peers share: settings with defaults, checked sides, small building blocks."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

from n2m_core.errors import ParameterError
from n2m_core.models.network import AbstractMapper, NetworkConfig


class AbstractPeer(AbstractMapper):
    """A network that looks at clean images and knows no timestep.

    Attributes:
        DEFAULTS: settings with JSON values; a configuration's overrides replace some.
        DESIGN: what the network is, for the card.
        STRIDE: how much smaller its coarsest features are; sides must be multiples of it, px.
        settings: all of them; they stand in the checkpoint, so that it stays readable when the
            defaults move on.
    """

    DEFAULTS: ClassVar[dict[str, Any]]
    DESIGN: ClassVar[str]
    STRIDE: ClassVar[int]

    def __init__(self, config: NetworkConfig) -> None:
        """Merge the settings; subclasses build the layers.

        Raises:
            ParameterError: a setting is unknown.
        """
        super().__init__()
        unknown = sorted(config.overrides.keys() - self.DEFAULTS.keys())
        if unknown:
            raise ParameterError(
                f"Network {config.variant} has no setting {', '.join(unknown)}; it has "
                f"{', '.join(self.DEFAULTS)}."
            )
        self.settings = {**self.DEFAULTS, **config.overrides}
        self.config = dataclasses.replace(
            config, time_conditioning=False, overrides=dict(self.settings)
        )

    @property
    def multiple(self) -> int:
        """Height and width of the input must be multiples of this, px."""
        return self.STRIDE

    @property
    def design(self) -> str:
        """What the network is, for the card."""
        return self.DESIGN

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Give class logits; see `AbstractMapper`. t is not looked at."""
        self.check_sides(x_t)
        return self.logits(x_t)

    @abstractmethod
    def logits(self, x: Tensor) -> Tensor:
        """Give logits, float32 [B, K, H, W], of images whose sides fit, float32 [B, C, H, W]."""


def conv_norm(in_channels: int, out_channels: int, kernel: int, dilation: int = 1) -> nn.Sequential:
    """Convolution of the same size, batch normalisation, ReLU."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(
            in_channels, out_channels, kernel, padding=padding, dilation=dilation, bias=False
        ),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


def upsampled(features: Tensor, like: Tensor) -> Tensor:
    """Bring features to the height and width of others, bilinear."""
    return nn.functional.interpolate(
        features, size=like.shape[2:], mode="bilinear", align_corners=False
    )
