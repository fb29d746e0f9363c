"""Scores by the size of objects: connected areas of one class, in truth and in map.

An object is a region of pixels that share edges, as in the exported polygons. A size bin knows true
objects and mapped objects, each by its own size, so recall and precision have their own pixels:

    recall    = mapped pixels of the true objects of that size / all their pixels
    precision = true pixels of the mapped objects of that size / all their pixels
    F1        = 2 precision recall / (precision + recall)

A pixel outside every object counts nowhere here; a false alarm counts through the mapped object
that it belongs to. Summed over the bins both numerators are the true positives, so "all sizes"
gives the F1 of the confusion counts. Houses that the map joins make one larger mapped object.

A true object is found, and a mapped object right, when at least half of its pixels are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from n2m_core.errors import LabelError, ParameterError
from n2m_core.metrics.confusion import IGNORE, Scores

SIZE_EDGES_M2 = (0.0, 50.0, 100.0, 200.0, 400.0)
"""Lower ends of the size bins, m2; each reaches to the next, the last has no end."""
COARSE_EDGES_M2 = (0.0, 5_000.0, 10_000.0, 20_000.0, 40_000.0)
"""The same where a pixel is larger than a hut: 0.5 to 4 ha."""
COARSE_FROM_M = 3.0
FOUND_SHARE = 0.5

Mask = NDArray[np.bool_]


def size_edges(resolution_m: float) -> tuple[float, ...]:
    """Give the size bins of a checkpoint, m2, from the ground size of its pixels."""
    return SIZE_EDGES_M2 if resolution_m < COARSE_FROM_M else COARSE_EDGES_M2


@dataclass(frozen=True, eq=False)
class Objects:
    """The objects of one mask, in the order in which a row by row walk meets them.

    Attributes:
        area_m2: ground area, float64 [N].
        pixels: int64 [N].
        hits: those of the pixels that the other mask holds too, int64 [N].
        row: mean row of its pixels, float64 [N].
        column: mean column, float64 [N].
    """

    area_m2: NDArray[np.float64]
    pixels: NDArray[np.int64]
    hits: NDArray[np.int64]
    row: NDArray[np.float64]
    column: NDArray[np.float64]

    @property
    def is_matched(self) -> Mask:
        """Whether at least half of each object is in the other mask, bool [N]."""
        matched: Mask = self.hits >= FOUND_SHARE * self.pixels
        return matched


def find_objects(inside: Mask, other: Mask, pixel_m2: NDArray[np.float64]) -> Objects:
    """List the objects of a mask and how far another mask holds them.

    Args:
        inside: the mask, bool [H, W].
        other: the mask to compare with, bool [H, W].
        pixel_m2: ground area of a pixel of each row, float64 [H].

    Returns:
        The objects.

    Raises:
        LabelError: the masks differ in size.
    """
    if inside.shape != other.shape or len(pixel_m2) != len(inside):
        raise LabelError(
            f"The masks are {inside.shape} and {other.shape}, with areas of {len(pixel_m2)} rows; "
            "all must lie on one grid."
        )
    regions, count = ndimage.label(inside)
    at = regions[inside] - 1
    rows, columns = np.nonzero(inside)
    pixels = np.bincount(at, minlength=count).astype(np.int64)
    return Objects(
        area_m2=np.bincount(at, weights=pixel_m2[rows], minlength=count).astype(np.float64),
        pixels=pixels,
        hits=np.bincount(at[other[inside]], minlength=count).astype(np.int64),
        row=np.bincount(at, weights=rows, minlength=count) / pixels,
        column=np.bincount(at, weights=columns, minlength=count) / pixels,
    )


def size_bins(area_m2: NDArray[np.float64], edges_m2: Sequence[float]) -> NDArray[np.int64]:
    """Find the size bin of each area; one on an edge falls into the upper bin.

    Args:
        area_m2: float64 [N].
        edges_m2: lower ends of the bins, ascending from 0.

    Returns:
        int64 [N].

    Raises:
        ParameterError: the edges do not ascend from 0.
    """
    if not len(edges_m2) or edges_m2[0] != 0 or bool(np.any(np.diff(edges_m2) <= 0)):
        raise ParameterError(f"Size bins begin at {tuple(edges_m2)} m2; they must ascend from 0.")
    return np.searchsorted(np.asarray(edges_m2), area_m2, side="right").astype(np.int64) - 1


@dataclass(frozen=True, eq=False)
class SizeCounts:
    """Objects and their pixels by size; sums over maps are counts too.

    Attributes:
        true: pixels of true objects, of those mapped, true objects, and those found, int64 [4, B].
        mapped: pixels of mapped objects, of those true, mapped objects, and those right, [4, B].
    """

    true: NDArray[np.int64]
    mapped: NDArray[np.int64]

    @classmethod
    def from_objects(
        cls, true: Objects, mapped: Objects, edges_m2: Sequence[float] = SIZE_EDGES_M2
    ) -> SizeCounts:
        """Count objects by size.

        Args:
            true: the true objects, compared with the map.
            mapped: the mapped objects, compared with the truth.
            edges_m2: lower ends of the bins, ascending from 0.
        """
        return cls(_by_size(true, edges_m2), _by_size(mapped, edges_m2))

    def add(self, other: SizeCounts) -> SizeCounts:
        """Pool with the counts of another map or class."""
        return SizeCounts(self.true + other.true, self.mapped + other.mapped)

    @property
    def recall(self) -> Scores:
        """Share of the true objects' pixels that is mapped, float64 [B]; NaN without any."""
        return _ratio(self.true[1], self.true[0])

    @property
    def precision(self) -> Scores:
        """Share of the mapped objects' pixels that is true, float64 [B]; NaN without any."""
        return _ratio(self.mapped[1], self.mapped[0])

    @property
    def f1(self) -> Scores:
        """Harmonic mean of both, float64 [B]; 0 where one of them has no object, NaN where both."""
        return f1_of(self.precision, self.recall)

    @property
    def whole(self) -> SizeCounts:
        """All sizes in one bin."""
        return SizeCounts(
            self.true.sum(axis=1, keepdims=True), self.mapped.sum(axis=1, keepdims=True)
        )


def f1_of(precision: Scores, recall: Scores) -> Scores:
    """2 p r / (p + r), where a side without objects counts as 0 unless both have none."""
    p, r = np.nan_to_num(precision), np.nan_to_num(recall)
    scores = np.divide(2 * p * r, p + r, out=np.zeros_like(p), where=p + r > 0)
    return np.where(np.isnan(precision) & np.isnan(recall), np.nan, scores)


def count_sizes(
    truth: NDArray[Any],
    predicted: NDArray[Any],
    classes: Sequence[int],
    pixel_m2: NDArray[np.float64],
    *,
    edges_m2: Sequence[float] = SIZE_EDGES_M2,
) -> SizeCounts:
    """Count the objects of some classes, each class for itself.

    Args:
        truth: class indices [H, W]; a pixel of 255 here or in the map belongs to no object.
        predicted: the same for the map.
        classes: the classes whose objects count.
        pixel_m2: ground area of a pixel of each row, float64 [H].
        edges_m2: lower ends of the bins, ascending from 0.

    Returns:
        The counts, summed over the classes.
    """
    total = SizeCounts(*np.zeros((2, 4, len(edges_m2)), np.int64))
    for index in classes:
        true, mapped = objects_of(truth, predicted, index, pixel_m2)
        total = total.add(SizeCounts.from_objects(true, mapped, edges_m2))
    return total


def objects_of(
    truth: NDArray[Any], predicted: NDArray[Any], index: int, pixel_m2: NDArray[np.float64]
) -> tuple[Objects, Objects]:
    """List the true and the mapped objects of one class; arguments as in `count_sizes`."""
    counted = (truth != IGNORE) & (predicted != IGNORE)
    true, mapped = (truth == index) & counted, (predicted == index) & counted
    return find_objects(true, mapped, pixel_m2), find_objects(mapped, true, pixel_m2)


def _by_size(objects: Objects, edges_m2: Sequence[float]) -> NDArray[np.int64]:
    """Pixels, hits, objects and matched objects in each bin, int64 [4, B]."""
    place = size_bins(objects.area_m2, edges_m2)
    columns = (objects.pixels, objects.hits, np.ones_like(objects.pixels), objects.is_matched)
    counted = [np.bincount(place, weights=each, minlength=len(edges_m2)) for each in columns]
    return np.stack(counted).astype(np.int64)


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> Scores:
    """Divide, with NaN where there is nothing."""
    result = np.full(whole.shape, np.nan, np.float64)
    np.divide(part, whole, out=result, where=whole != 0)
    return result
