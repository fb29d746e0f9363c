"""What every network that fuses has in common, whichever paper it is of.

Symbols:
    F0, C0, F2, C2, C1  fine and coarse images of dates 0 and 2, coarse image of the target date 1
    F1                  the fine image wanted
    x                   noisy image on the way from C1 to F1
    S                   band slots of the network; an image fills some and leaves the others empty

Images are float32 [B, S, H, W] in model range, 2 reflectance - 1. Inside, every slot is brought to
(value - centre) / spread, and to 0 where it is empty.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from n2m_core.errors import ParameterError

FusionDesign = Literal["sa-stf", "stfdiff"]
Guess = Literal["none", "temporal"]
GUESS_FLOOR = 0.01
"""Coarse change, in model range, below which a date counts as unchanged: half a percent."""


@dataclass(frozen=True)
class FusionNetworkConfig:
    """What it takes to build the network again.

    Attributes:
        design: whose network.
        slots: S, bands that it takes at most.
        width: channels of the first level.
        multipliers: of the width, one a level; each level but the last halves the size.
        groups: of the group normalisations.
        shrink: the first level works at 1 / shrink of the resolution, on pixels folded into
            channels; 1 is the papers'.
        heads: of the attentions.
        guess: what the network's output is added to: nothing (the papers), or both dates'
            F_k + C1 - C_k, weighted by how little the coarse images changed.
        centre: value, in model range, that becomes 0 inside.
        spread: distance from it that becomes 1.
        has_diffusion: whether there is a noise encoder; without, one pass is all it can.
        has_taylor: SA-STF: the residual's features are estimated and taken off.
        has_tfa: SA-STF: temporal feature alignment.
        has_saf: SA-STF: semantic adaptive fusion; else a 1x1 convolution joins the dates.
    """

    design: FusionDesign
    slots: int = 6
    width: int = 64
    multipliers: tuple[int, ...] = (1, 2, 4, 8, 8)
    groups: int = 32
    shrink: int = 1
    heads: int = 1
    guess: Guess = "none"
    centre: float = 0.0
    spread: float = 1.0
    has_diffusion: bool = True
    has_taylor: bool = True
    has_tfa: bool = True
    has_saf: bool = True

    def __post_init__(self) -> None:
        """Check that the parts fit each other.

        Raises:
            ParameterError: they don't.
        """
        if min(self.slots, self.width, self.shrink, *self.multipliers) < 1 or self.spread <= 0:
            raise ParameterError("Sizes of a fusion network are 1 or more, its spread is above 0.")
        if len(self.multipliers) < 2:
            raise ParameterError(f"{len(self.multipliers)} level; a fusion network needs 2.")
        odd = [dim for dim in self.channels if dim % self.groups or dim % self.heads]
        if odd or self.width % 2:
            raise ParameterError(
                f"Channels {self.channels} must be even and multiples of {self.groups} groups and "
                f"{self.heads} heads."
            )
        if self.design == "stfdiff" and not self.has_diffusion:
            raise ParameterError("STFDiff is nothing without diffusion; set has_diffusion to true.")

    @property
    def channels(self) -> list[int]:
        """Channels of every level, finest first."""
        return [self.width * each for each in self.multipliers]

    def to_dict(self) -> dict[str, Any]:
        """Give the configuration as JSON values."""
        return {**asdict(self), "multipliers": list(self.multipliers)}

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> FusionNetworkConfig:
        """Read what `to_dict` gave.

        Raises:
            TypeError: a key is unknown or missing.
            ParameterError: the values don't fit each other.
        """
        return cls(**{**raw, "multipliers": tuple(raw.get("multipliers", cls.multipliers))})


@dataclass(frozen=True, eq=False)
class FusionImages:
    """What a fusion is made from: float32 [B, S, H, W] each, in model range.

    Attributes:
        present: float32 [B, S], 1 where a slot is filled and 0 where it is empty.
    """

    fine0: Tensor
    coarse0: Tensor
    fine2: Tensor
    coarse2: Tensor
    coarse1: Tensor
    present: Tensor


@dataclass(frozen=True, eq=False)
class Condition:
    """All that does not depend on the noise level, computed once per image.

    Attributes:
        features: a level each, finest first, float32 [B, C, h, w].
        coarse: deepest features of C1, or of all images where they go in together.
        base: what the network's output is added to, float32 [B, S, H, W] in model range.
        present: see `FusionImages`.
        predicted: the coarse target features as predicted from each reference; for the loss.
        unchanged: share of the channels that copy F0, float32 [B, 1, h, w] in 0..1.
        second: share of the channels for which date 2 is the better reference, same shape.
    """

    features: tuple[Tensor, ...]
    coarse: Tensor
    base: Tensor
    present: Tensor
    predicted: tuple[Tensor, ...] = ()
    unchanged: Tensor | None = None
    second: Tensor | None = None


class AbstractFusionNetwork(nn.Module, ABC):
    """A network that predicts F1 from five images, with or without a noisy one.

    Attributes:
        config: builds the same network again.
    """

    def __init__(self, config: FusionNetworkConfig) -> None:
        """Hold the configuration; subclasses build the layers."""
        super().__init__()
        self.config = config

    @property
    def multiple(self) -> int:
        """Height and width of the input must be multiples of this, px."""
        return self.config.shrink << (len(self.config.multipliers) - 1)

    @property
    @abstractmethod
    def design(self) -> str:
        """What the network is, a few words for the checkpoint's card."""

    @abstractmethod
    def condition(self, images: FusionImages) -> Condition:
        """Compute what does not depend on the noise level.

        Args:
            images: the five images.

        Returns:
            Input of `denoise` and `one_pass`.

        Raises:
            ParameterError: height or width is not a multiple of `multiple`.
        """

    @abstractmethod
    def denoise(self, x: Tensor, levels: Tensor, condition: Condition) -> Tensor:
        """Predict F1 from a noisy image.

        Args:
            x: float32 [B, S, H, W] in model range.
            levels: (A T, B T) of each sample, float32 [B, 2]; see `diffusion.residual`.
            condition: of the same images.

        Returns:
            F1, float32 [B, S, H, W] in model range; meaningless in empty slots.

        Raises:
            ParameterError: the network has no diffusion.
        """

    @abstractmethod
    def one_pass(self, condition: Condition) -> Tensor:
        """Predict F1 without diffusion; see `denoise`.

        Raises:
            ParameterError: the design has no such pass.
        """

    def standardized(self, values: Tensor, present: Tensor) -> Tensor:
        """Bring model range to what the layers see; empty slots become 0."""
        scaled = (values - self.config.centre) / self.config.spread
        return scaled * present[:, :, None, None]

    def folded(self, values: Tensor) -> Tensor:
        """Fold pixels into channels, [B, C, H, W] to [B, C shrink^2, H / shrink, W / shrink].

        Raises:
            ParameterError: height or width is not a multiple of `multiple`.
        """
        height, width = values.shape[2:]
        if height % self.multiple or width % self.multiple:
            raise ParameterError(
                f"Images are {height}x{width}; both sides must be multiples of {self.multiple}. "
                "Pad them."
            )
        return functional.pixel_unshuffle(values, self.config.shrink)

    def corrected(self, output: Tensor, base: Tensor) -> Tensor:
        """Unfold the last layer's output and add it to the base, in model range."""
        return base + self.config.spread * functional.pixel_shuffle(output, self.config.shrink)

    def base(self, images: FusionImages) -> Tensor:
        """Give what the output is added to, float32 [B, S, H, W] in model range."""
        if self.config.guess == "temporal":
            return temporal_guess(images)
        return torch.full_like(images.coarse1, self.config.centre)


def temporal_guess(images: FusionImages) -> Tensor:
    """Weigh F0 + C1 - C0 and F2 + C1 - C2 by how little the coarse image changed since.

    w_k = 1 / (mean over filled slots of |C1 - C_k| + 0.01), normalised to sum 1 at every pixel: the
    temporal weight of STARFM and ESTARFM, with all bands deciding together.

    Args:
        images: the five images.

    Returns:
        float32 [B, S, H, W] in model range.
    """
    filled = images.present[:, :, None, None]
    count = filled.sum(1, keepdim=True).clamp(min=1)
    weights, guesses = [], []
    for fine, coarse in ((images.fine0, images.coarse0), (images.fine2, images.coarse2)):
        change = images.coarse1 - coarse
        size = (change.abs() * filled).sum(1, keepdim=True) / count
        weights.append(1 / (size + GUESS_FLOOR))
        guesses.append(fine + change)
    total = weights[0] + weights[1]
    return (weights[0] * guesses[0] + weights[1] * guesses[1]) / total
