"""Triplets with a known target image: what fusion is trained and scored on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from n2m_core.errors import GridError
from n2m_core.fusion.inputs import FloatArray, FusionInputs
from n2m_core.lineage import DataCredit


@dataclass(frozen=True, eq=False)
class FusionTriplet:
    """Five images and the fine image that they are to give.

    Attributes:
        inputs: the five images.
        fine1: truth, reflectance float32 [C, H, W]; meaningless where `inputs.valid` is False.
    """

    inputs: FusionInputs
    fine1: FloatArray

    def __post_init__(self) -> None:
        """Check that truth and inputs have one shape.

        Raises:
            GridError: they don't.
        """
        if self.fine1.shape != self.inputs.fine0.shape:
            raise GridError(
                f"The true fine image has shape {self.fine1.shape}, the others "
                f"{self.inputs.fine0.shape}; put them on one grid with the same bands."
            )


class TripletSource(Protocol):
    """Where training triplets come from.

    Attributes:
        bands: what each band is, of `fusion.bands.BAND_SLOTS`.
    """

    bands: tuple[str, ...]

    @property
    def credit(self) -> DataCredit:
        """What the card says about it."""

    def sample(self, rng: np.random.Generator, size: int) -> FusionTriplet:
        """Draw a triplet of size x size px."""
