"""Whether a map's confidence can be believed: reliability counts and their error.

Expected calibration error: M. P. Naeini, G. Cooper, M. Hauskrecht, "Obtaining Well Calibrated
Probabilities Using Bayesian Binning", AAAI 2015:
ECE = sum over bins of n_b / n * |accuracy_b - confidence_b|.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from n2m_core.errors import LabelError, ParameterError
from n2m_core.metrics.confusion import IGNORE, Scores

BINS = 10


@dataclass(frozen=True, eq=False)
class ReliabilityCounts:
    """Pixels by confidence, in bins of equal width over 0..1.

    Attributes:
        pixels: int64 [bins], pixels whose confidence falls into the bin.
        right: int64 [bins], those of them that are mapped rightly.
        confidence: float64 [bins], sum of their confidences.
    """

    pixels: NDArray[np.int64]
    right: NDArray[np.int64]
    confidence: Scores

    @classmethod
    def from_map(
        cls,
        truth: NDArray[Any],
        predicted: NDArray[Any],
        confidence: NDArray[Any],
        *,
        bins: int = BINS,
        ignore: int = IGNORE,
    ) -> ReliabilityCounts:
        """Count one map.

        Args:
            truth: class indices, any shape; `ignore` counts nowhere.
            predicted: the map, of the same shape.
            confidence: probability of the mapped class in [0, 1], of the same shape.
            bins: how many bins; a confidence on an edge falls into the upper bin, 1 into the last.
            ignore: the value left out.

        Returns:
            The counts.

        Raises:
            LabelError: the shapes differ.
            ParameterError: fewer than one bin.
        """
        if bins < 1:
            raise ParameterError(f"{bins} bins of confidence; at least 1 is needed.")
        if not truth.shape == predicted.shape == confidence.shape:
            raise LabelError(
                f"Truth {truth.shape}, map {predicted.shape} and confidence {confidence.shape} "
                "must lie on one grid."
            )
        counted = (truth != ignore) & (predicted != ignore)
        sure = confidence[counted].astype(np.float64)
        right = truth[counted] == predicted[counted]
        place = np.clip((sure * bins).astype(np.int64), 0, bins - 1)
        return cls(
            np.bincount(place, minlength=bins).astype(np.int64),
            np.bincount(place[right], minlength=bins).astype(np.int64),
            np.bincount(place, weights=sure, minlength=bins).astype(np.float64),
        )

    def add(self, other: ReliabilityCounts) -> ReliabilityCounts:
        """Pool with the counts of other pixels."""
        return ReliabilityCounts(
            self.pixels + other.pixels,
            self.right + other.right,
            self.confidence + other.confidence,
        )

    @property
    def accuracy(self) -> Scores:
        """Share of right pixels in each bin, float64 [bins]; NaN in an empty bin."""
        return _share(self.right, self.pixels)

    @property
    def mean_confidence(self) -> Scores:
        """Mean confidence in each bin, float64 [bins]; NaN in an empty bin."""
        return _share(self.confidence, self.pixels)

    @property
    def expected_error(self) -> float:
        """Expected calibration error in [0, 1]; NaN without any pixel."""
        total = self.pixels.sum()
        if not total:
            return math.nan
        return float(np.abs(self.right - self.confidence).sum() / total)


def _share(part: NDArray[Any], whole: NDArray[Any]) -> Scores:
    """Divide, with NaN where there is nothing."""
    result = np.full(whole.shape, np.nan, np.float64)
    np.divide(part, whole, out=result, where=whole != 0)
    return result
