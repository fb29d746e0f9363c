"""UNet for one date or two stacked ones, and a Siamese UNet.

Papers: Ronneberger, Fischer, Brox, "U-Net", MICCAI 2015, as monai's `BasicUNet` (Falk et al.,
Nature Methods 2019); Daudt, Le Saux, Boulch, "Fully Convolutional Siamese Networks for Change
Detection", ICIP 2018 (FC-EF: both dates stacked; FC-Siam-diff: one encoder for both, differences
into the decoder).

Deviations from the papers: group normalisation with 8 groups, as in our compact network. The
Siamese UNet hands signed differences (after - before) to its decoder at every level, the deepest
included: ours must tell built from demolished, which absolute differences can't.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from n2m_core.models.network import NetworkConfig, bands_of_one_date, stacked_dates
from n2m_core.models.peers.base import AbstractPeer

GROUPS = 8


def _basic_unet(in_channels: int, classes: int, features: list[int]) -> Any:  # noqa: ANN401
    """Build monai's UNet; Any, since monai carries no usable types."""
    from monai.networks.nets.basic_unet import BasicUNet

    norm = ("group", {"num_groups": GROUPS})
    return BasicUNet(2, in_channels, classes, features, norm=norm)


class UNet(AbstractPeer):
    """monai's UNet. Given two dates it sees them stacked from the first convolution on."""

    DEFAULTS: ClassVar[dict[str, Any]] = {"features": [16, 32, 80, 192, 576, 16]}
    DESIGN: ClassVar[str] = "UNet (monai BasicUNet)"
    STRIDE: ClassVar[int] = 16

    def __init__(self, config: NetworkConfig) -> None:
        """Build the network with random weights."""
        super().__init__(config)
        self.net = _basic_unet(config.in_channels, config.classes, self.settings["features"])

    def logits(self, x: Tensor) -> Tensor:
        """Give logits [B, K, H, W]."""
        return torch.as_tensor(self.net(x))


class SiameseUNet(AbstractPeer):
    """monai's UNet with one encoder for both dates; its decoder sees their differences alone."""

    DEFAULTS: ClassVar[dict[str, Any]] = {"features": [16, 24, 64, 160, 512, 16]}
    DESIGN: ClassVar[str] = "Siamese UNet (monai BasicUNet), signed differences"
    STRIDE: ClassVar[int] = 16

    def __init__(self, config: NetworkConfig) -> None:
        """Build the network with random weights."""
        super().__init__(config)
        bands = bands_of_one_date(config)
        self.net = _basic_unet(bands, config.classes, self.settings["features"])

    def logits(self, x: Tensor) -> Tensor:
        """Give logits [B, K, H, W] of pairs [B, 2C, H, W]."""
        net = self.net
        level = net.conv_0(stacked_dates(x))
        differences = [_difference(level)]
        for down in (net.down_1, net.down_2, net.down_3, net.down_4):
            level = down(level)
            differences.append(_difference(level))
        up = differences.pop()
        for join in (net.upcat_4, net.upcat_3, net.upcat_2, net.upcat_1):
            up = join(up, differences.pop())
        return torch.as_tensor(net.final_conv(up))


def _difference(both: Tensor) -> Tensor:
    """After minus before, [B, C, H, W], of stacked dates [2B, C, H, W]."""
    before, after = both.chunk(2)
    return after - before
