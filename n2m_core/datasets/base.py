"""What every labelled dataset gives: samples with an image, a label map, perhaps a second date."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from n2m_core.errors import LabelError
from n2m_core.geo_image import GeoImage
from n2m_core.metrics.confusion import IGNORE

Task = Literal["segment", "change"]
LabelKind = Literal["classes", "binary"]
"""`classes`: the label holds class indices. `binary`: 0 and 1 only, 1 being any target class."""


class LabelClass(Protocol):
    """The part of a checkpoint's class that reading a mask needs."""

    @property
    def name(self) -> str:
        """Name shown to people."""

    @property
    def mask_colour(self) -> str | int | None:
        """How the class is drawn in masks: "#rrggbb", a pixel value, or None."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One labelled scene.

    Attributes:
        name: the file stem, unique within its dataset.
        image: the scene; the earlier date in change detection.
        label: uint8 [H, W] on the grid of `image`; class indices, 255 where a pixel counts nowhere.
        after: the later date, None in segmentation.
        label_kind: whether the label tells the classes apart or only target from the rest.
        notes: what was done to read the sample, each a sentence for the person.
        rough: another model's map of the scene, as `label`; None where there is none.
    """

    name: str
    image: GeoImage
    label: NDArray[np.uint8]
    after: GeoImage | None = None
    label_kind: LabelKind = "classes"
    notes: tuple[str, ...] = ()
    rough: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        """Check that label, rough map and image share a grid.

        Raises:
            LabelError: the label or the rough map has another dtype or size.
        """
        self._check("label", self.label)
        if self.rough is not None:
            self._check("rough map", self.rough)

    def _check(self, what: str, labels: NDArray[np.uint8]) -> None:
        """Check that labels fit the image."""
        shape = self.image.valid.shape
        if labels.dtype != np.uint8 or labels.shape != shape:
            raise LabelError(
                f"{self.name}: the {what} is {labels.dtype} {labels.shape}; uint8 {shape} is "
                "needed, the size of the image."
            )


def class_count(classes: tuple[LabelClass, ...]) -> int:
    """Number of classes K, checked.

    Raises:
        LabelError: fewer than two classes, or more than a uint8 label can hold.
    """
    if not 2 <= len(classes) < IGNORE:
        raise LabelError(f"{len(classes)} classes given; 2 to {IGNORE - 1} are possible.")
    return len(classes)


def values_of(pixels: NDArray[Any]) -> NDArray[Any]:
    """Distinct values of a label raster, sorted."""
    if pixels.dtype == np.uint8:
        return np.flatnonzero(np.bincount(pixels.ravel(), minlength=256))
    return np.unique(pixels)
