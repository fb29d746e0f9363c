"""What every network that maps has in common, whichever paper it is of.

Symbols:
    x_t  noisy (or clean) input, float32 [B, C, H, W]; for a pair the channels are (before, after)
    t    timestep, int64 [B] in 0..999
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeVar, get_args

import torch
from torch import Tensor, nn

from n2m_core.errors import ParameterError

PeerName = Literal[
    "unet",
    "deeplabv3plus",
    "segformer",
    "upernet",
    "siamese-unet",
    "changeformer",
    "ddpm-cd",
]
"""Networks that Noise2Map is compared with; see `models.peers`."""
NetworkName = Literal["compact", "paper", PeerName]
"""Noise2Map in two sizes, and its peers."""
RefinerName = Literal["idgbr", "idgbr-paper"]
"""IDGBR in two sizes; see `models.idgbr`."""
PEERS: tuple[PeerName, ...] = get_args(PeerName)
NETWORKS: tuple[NetworkName, ...] = get_args(NetworkName)
REFINERS: tuple[RefinerName, ...] = get_args(RefinerName)

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class NetworkConfig:
    """What it takes to build the network again.

    Attributes:
        variant: Noise2Map's size ("compact" or "paper"), the name of a peer, or IDGBR's.
        in_channels: bands of the input; both dates counted for a pair.
        classes: number of logits.
        time_conditioning: whether t reaches the network; False gives every sample the embedding of
            t = 0, the ablation without timestep. Peers have no timestep.
        overrides: entries of the backbone's diffusers configuration, or of the peer's settings,
            that differ from the variant's.
        shares_dates: whether both halves of a pair go through one backbone side by side and meet in
            the head (Noise2Map alone); False lets them enter it together, as in the paper.
        pair_classes: number of logits for pairs, where one network maps images and pairs (Noise2Map
            alone); `in_channels` and `classes` are then those of images. None for one task.
    """

    variant: NetworkName | RefinerName
    in_channels: int
    classes: int
    time_conditioning: bool = True
    overrides: dict[str, Any] = field(default_factory=dict)
    shares_dates: bool = False
    pair_classes: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give the configuration as JSON values."""
        return asdict(self)


class AbstractNetwork(nn.Module, ABC):
    """A network that a checkpoint holds.

    Attributes:
        config: builds the same network again.
    """

    config: NetworkConfig

    @property
    @abstractmethod
    def multiple(self) -> int:
        """Height and width of the input must be multiples of this, px."""

    @property
    @abstractmethod
    def design(self) -> str:
        """What the network is, a few words for the checkpoint's card."""

    def check_sides(self, x_t: Tensor) -> None:
        """Check the input's size.

        Raises:
            ParameterError: height or width is not a multiple of `multiple`.
        """
        if x_t.shape[2] % self.multiple or x_t.shape[3] % self.multiple:
            raise ParameterError(
                f"Input is {x_t.shape[2]}x{x_t.shape[3]}; "
                f"both sides must be multiples of {self.multiple}. Pad it."
            )


class AbstractMapper(AbstractNetwork):
    """A network from an input and its timestep to class logits of the input's size."""

    @abstractmethod
    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Give class logits in one pass.

        Args:
            x_t: noisy (or clean) input, float32 [B, C, H, W].
            t: timestep of each sample, int64 [B]; peers don't look at it.

        Returns:
            Logits, float32 [B, K, H, W].

        Raises:
            ParameterError: height or width is not a multiple of `multiple`.
        """


def bands_of_one_date(config: NetworkConfig) -> int:
    """Give the bands of each date of a pair.

    Raises:
        ParameterError: the input is no pair.
    """
    if config.in_channels % 2:
        raise ParameterError(
            f"Network {config.variant} compares two dates with the same bands; it was given "
            f"{config.in_channels} channels. Use it for change."
        )
    return config.in_channels // 2


def stacked_dates(pair: Tensor) -> Tensor:
    """Put (before, after) [B, 2C, H, W] below each other, [2B, C, H, W], for one shared encoder."""
    return torch.cat(pair.chunk(2, dim=1))


def channels_last(model: Module) -> Module:
    """Lay the kernels out channels last, which convolutions like better; in place."""
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    return model
