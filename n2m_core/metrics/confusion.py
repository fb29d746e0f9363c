"""Confusion counts, and the scores that are pure functions of them.

Counts of several tiles are added before any ratio is taken, so a score is pooled over all pixels of
a split and does not depend on how the split was cut into tiles.

Rule for absent classes: a class that neither the truth nor the map holds has no F1 and no IoU (NaN)
and is left out of the mean. A class that only the map holds scores 0 and is not left out: a false
alarm must cost. Precision is NaN where nothing was mapped, recall where nothing is true. Overall
accuracy and kappa are of pixels, not of classes: an absent class adds nothing to either.

Kappa: J. Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological
Measurement 20, 1960.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from n2m_core.errors import LabelError

IGNORE = 255
"""The label of a pixel that counts nowhere: unlabelled, or without data."""

Counts = NDArray[np.int64]
Scores = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ConfusionCounts:
    """How many pixels of each true class were mapped to each class.

    Attributes:
        matrix: int64 [K, K]; row = true class, column = mapped class.
    """

    matrix: Counts

    def __post_init__(self) -> None:
        """Check the shape.

        Raises:
            LabelError: the matrix is not square.
        """
        if self.matrix.ndim != 2 or self.matrix.shape[0] != self.matrix.shape[1]:
            raise LabelError(
                f"Confusion counts have shape {self.matrix.shape}; a square is needed."
            )

    @classmethod
    def zeros(cls, classes: int) -> ConfusionCounts:
        """Counts of no pixel at all."""
        return cls(np.zeros((classes, classes), np.int64))

    @classmethod
    def from_labels(
        cls,
        truth: NDArray[Any],
        predicted: NDArray[Any],
        classes: int,
        ignore: int = IGNORE,
    ) -> ConfusionCounts:
        """Count the pixels of one map.

        Args:
            truth: integer class indices 0..K-1 or `ignore`, any shape.
            predicted: the same for the map, of the same shape.
            classes: K.
            ignore: a pixel with this value in either array counts nowhere.

        Returns:
            The counts of all other pixels.

        Raises:
            LabelError: the shapes differ, or a value is neither a class nor `ignore`.
        """
        if truth.shape != predicted.shape:
            raise LabelError(
                f"The truth has shape {truth.shape} and the map {predicted.shape}; "
                "both must lie on one grid."
            )
        counted = (truth != ignore) & (predicted != ignore)
        true = truth[counted].astype(np.int64)
        mapped = predicted[counted].astype(np.int64)
        for name, values in (("truth", true), ("map", mapped)):
            if values.size and (values.min() < 0 or values.max() >= classes):
                raise LabelError(
                    f"The {name} holds values {values.min()}..{values.max()}; classes are "
                    f"0..{classes - 1} and {ignore} is left out. Check the label's classes."
                )
        flat = np.bincount(true * classes + mapped, minlength=classes * classes)
        return cls(flat.reshape(classes, classes).astype(np.int64))

    def add(self, other: ConfusionCounts) -> ConfusionCounts:
        """Pool with the counts of other pixels."""
        return ConfusionCounts(self.matrix + other.matrix)

    def united(self, groups: Sequence[Sequence[int]]) -> ConfusionCounts:
        """Merge classes: one new class for each group of old class indices."""
        rows = np.stack([self.matrix[list(group)].sum(axis=0) for group in groups])
        merged = np.stack([rows[:, list(group)].sum(axis=1) for group in groups], axis=1)
        return ConfusionCounts(merged)

    @property
    def classes(self) -> int:
        """Number of classes K."""
        return int(self.matrix.shape[0])

    @property
    def total(self) -> int:
        """Number of pixels counted."""
        return int(self.matrix.sum())

    @property
    def support(self) -> Counts:
        """True pixels of each class, int64 [K]."""
        return np.asarray(self.matrix.sum(axis=1), np.int64)

    @property
    def precision(self) -> Scores:
        """TP / (TP + FP) of each class, float64 [K] in [0, 1] or NaN."""
        return _ratio(self.matrix.diagonal(), self.matrix.sum(axis=0))

    @property
    def recall(self) -> Scores:
        """TP / (TP + FN) of each class, float64 [K] in [0, 1] or NaN."""
        return _ratio(self.matrix.diagonal(), self.matrix.sum(axis=1))

    @property
    def f1(self) -> Scores:
        """2 TP / (2 TP + FP + FN) of each class, float64 [K] in [0, 1] or NaN."""
        return f1_scores(self.matrix)

    @property
    def iou(self) -> Scores:
        """TP / (TP + FP + FN) of each class, float64 [K] in [0, 1] or NaN."""
        return iou_scores(self.matrix)

    @property
    def mean_f1(self) -> float:
        """Unweighted mean F1 over the classes that are not absent; NaN when all are."""
        return mean_present(self.f1)

    @property
    def mean_iou(self) -> float:
        """Unweighted mean IoU over the classes that are not absent; NaN when all are."""
        return mean_present(self.iou)

    @property
    def overall_accuracy(self) -> float:
        """Share of the pixels that are mapped rightly, in [0, 1]; NaN without any pixel."""
        return int(self.matrix.trace()) / self.total if self.total else float("nan")

    @property
    def kappa(self) -> float:
        """Cohen's kappa (p_o - p_e) / (1 - p_e), p_e the agreement of two random maps, <= 1.

        NaN without any pixel, and where truth and map are of one and the same class: agreement is
        then certain, and nothing is left to be better than chance at.
        """
        if not self.total:
            return float("nan")
        true, mapped = (self.matrix.sum(axis=axis) / self.total for axis in (1, 0))
        chance = float(true @ mapped)
        return (self.overall_accuracy - chance) / (1 - chance) if chance < 1 else float("nan")


def f1_scores(matrix: NDArray[Any]) -> Scores:
    """F1 of each class from counts.

    Args:
        matrix: counts [..., K, K]; row = true class.

    Returns:
        float64 [..., K]; NaN where the class is absent.
    """
    hits = np.diagonal(matrix, axis1=-2, axis2=-1)
    return _ratio(2 * hits, matrix.sum(axis=-1) + matrix.sum(axis=-2))


def iou_scores(matrix: NDArray[Any]) -> Scores:
    """IoU of each class from counts.

    Args:
        matrix: counts [..., K, K]; row = true class.

    Returns:
        float64 [..., K]; NaN where the class is absent.
    """
    hits = np.diagonal(matrix, axis1=-2, axis2=-1)
    return _ratio(hits, matrix.sum(axis=-1) + matrix.sum(axis=-2) - hits)


def mean_present(scores: Scores) -> float:
    """Mean of the scores that are not NaN; NaN when there is none."""
    present = scores[~np.isnan(scores)]
    return float(present.mean()) if present.size else float("nan")


def _ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> Scores:
    """Divide, with NaN where the denominator is 0."""
    result = np.full(denominator.shape, np.nan, np.float64)
    np.divide(numerator, denominator, out=result, where=denominator != 0)
    return result
