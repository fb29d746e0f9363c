"""What every fusion method takes and gives.

Dates are numbered as in SA-STF: 0 and 2 are the dates with a fine and a coarse image, 1 is the
target date with only a coarse one. Axes are `[C, H, W]`: bands, rows, columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from n2m_core.errors import BandError, GridError
from n2m_core.geo_image import Progress

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class FusionInputs:
    """Five images on one fine grid, reflectance as float32 (usual range 0..1).

    Attributes:
        fine0: fine image of date 0, float32 [C, H, W].
        coarse0: coarse image of date 0, resampled to the fine grid, [C, H, W].
        fine2: fine image of date 2, [C, H, W].
        coarse2: coarse image of date 2, [C, H, W].
        coarse1: coarse image of the target date, [C, H, W].
        valid: bool [H, W], False where any input is masked (nodata, cloud).
        scale: sides of a coarse pixel in fine pixels, such as 16.
        spread: standard deviation of the fine images of dates 0 and 2 over a whole scene that these
            images are a part of, reflectance, two tuples of C; None when they are the whole.
        bias: by how much the coarse images of dates 0 and 2 are brighter than the fine ones, over
            that whole scene, reflectance, a value a band; None when they are the whole.
    """

    fine0: FloatArray
    coarse0: FloatArray
    fine2: FloatArray
    coarse2: FloatArray
    coarse1: FloatArray
    valid: BoolArray
    scale: int
    spread: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    bias: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Check shapes, the mask and the scale.

        Raises:
            BandError: the images differ in bands.
            GridError: they differ in size, no pixel is valid, or the scale is below 1.
        """
        images = (self.fine0, self.coarse0, self.fine2, self.coarse2, self.coarse1)
        if len({image.shape[0] for image in images}) != 1:
            counts = ", ".join(str(image.shape[0]) for image in images)
            raise BandError(f"The five images have {counts} bands; all need the same bands.")
        if {image.shape[1:] for image in images} != {self.valid.shape}:
            raise GridError("The five images and the mask differ in size; put them on one grid.")
        if not self.valid.any():
            raise GridError(
                "No pixel is valid in all five images: masks, clouds or nodata cover the whole "
                "scene. Choose other dates or another part."
            )
        if self.scale < 1:
            raise GridError(f"The scale factor is {self.scale}; it is 1 or more, such as 16.")

    @property
    def bands(self) -> int:
        """Number of bands C."""
        return int(self.fine0.shape[0])


def sensor_bias(inputs: FusionInputs, valid: BoolArray) -> NDArray[np.float64]:
    """How much brighter the coarse sensor sees the ground than the fine one, float64 [C].

    Args:
        inputs: the five images; where they say their bias, it is given back.
        valid: bool [H, W], which pixels to look at.
    """
    if inputs.bias is not None:
        return np.array(inputs.bias, np.float64)
    pairs = ((inputs.coarse0, inputs.fine0), (inputs.coarse2, inputs.fine2))
    gaps = [(coarse - fine)[:, valid].mean(axis=1, dtype=np.float64) for coarse, fine in pairs]
    bias: NDArray[np.float64] = np.mean(gaps, axis=0)
    return bias


@dataclass(frozen=True, eq=False)
class FusionOutput:
    """A predicted fine image.

    Attributes:
        fine1: float32 [C, H, W], reflectance; NaN-free; meaningless where not valid.
        valid: bool [H, W].
        layers: views into the method, float32 [H, W] by name: "unchanged" in 0..1, "reference".
    """

    fine1: FloatArray
    valid: BoolArray
    layers: dict[str, FloatArray]


class FusionMethod(Protocol):
    """A method that predicts the fine image of date 1."""

    name: str

    def predict(self, inputs: FusionInputs, progress: Progress) -> FusionOutput:
        """Predict; `progress` is told of every step and may raise to stop."""


WatchFusion = Callable[[int, FloatArray, FloatArray], None]
"""(step done, image on the way, fine image predicted in it), reflectance float32 [C, H, W]."""


@runtime_checkable
class SteppedMethod(FusionMethod, Protocol):
    """A method that walks to its image in steps, which can be watched.

    Attributes:
        timesteps: where the image on the way stands after each step, falling to 0, the fine image;
            empty for a method in one pass.
    """

    timesteps: tuple[int, ...]

    def predict(
        self, inputs: FusionInputs, progress: Progress, watch: WatchFusion | None = None
    ) -> FusionOutput:
        """Predict; `watch` is given the image after every step, of the first six bands."""
