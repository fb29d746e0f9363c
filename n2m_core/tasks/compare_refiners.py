"""Refiners beside each other on the same rough maps: scores, gains with intervals, error spectra.

A gain is the score of the refined maps less that of the rough ones, each of all tiles together. Its
interval is over tiles: both maps of a tile are drawn together, so that what makes a tile hard drops
out. Scores are those of `n2m evaluate refine`; both maps are scored where the rough map says
something.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from n2m_core.checkpoints import CheckpointCard
from n2m_core.datasets.base import Sample
from n2m_core.errors import ParameterError
from n2m_core.metrics.confusion import IGNORE
from n2m_core.metrics.intervals import bootstrap
from n2m_core.metrics.repair import RepairCounts, repair_counts
from n2m_core.metrics.report import (
    Json,
    mean_f1_statistic,
    mean_iou_statistic,
    number,
    score_blocks,
)
from n2m_core.metrics.spectrum import ErrorSpectrum
from n2m_core.tasks.evaluate import scheme_of
from n2m_core.tasks.evaluate_refine import GivenMap
from n2m_core.tasks.frequency import map_spectrum
from n2m_core.tasks.repairing import repair_block, targets_of
from n2m_core.tasks.tally import Setting, Tally

Labels = NDArray[np.uint8]
Pooled = NDArray[Any]

AREA_SCORES: dict[str, Callable[[Pooled], NDArray[np.float64]]] = {
    "mean_iou": mean_iou_statistic,
    "mean_f1": mean_f1_statistic,
}
BOUNDARY_SCORES = ("wfm", "f1_3px")
SCORES = (*AREA_SCORES, *BOUNDARY_SCORES)
_SETTING = Setting(None, 0)


@dataclass(frozen=True)
class Gain:
    """A difference of two scores; None for what does not exist, as an interval of one tile."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(eq=False)
class ComparedMaps:
    """What one maker's maps have come to so far, tile by tile.

    Attributes:
        card: of the refiner: its classes are scored.
    """

    card: CheckpointCard
    _tally: Tally = field(init=False)
    _repairs: list[dict[int, RepairCounts]] = field(init=False, default_factory=list)
    _spectra: list[ErrorSpectrum] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        """Begin without a tile."""
        self._tally = Tally(scheme_of(self.card), is_single=False)

    def add(self, sample: Sample, rough: Labels, labels: Labels) -> None:
        """Count the map of one tile.

        Args:
            sample: the tile with its truth.
            rough: its rough map, uint8 [H, W]; where it is 255, nothing is scored.
            labels: the map, uint8 [H, W]; the rough map itself to count that one.

        Raises:
            LabelError: a map has another size than the label, or classes of its own.
        """
        counted = np.where(rough == IGNORE, IGNORE, labels).astype(np.uint8)
        self._tally.open(sample)
        made = GivenMap(counted, self.card.inference_timestep)
        self._tally.add(sample, _SETTING, made, is_main=True)
        classes = len(self.card.classes)
        self._repairs.append(
            {
                target: repair_counts(rough, counted, sample.label, target=target)
                for target in targets_of(classes)
            }
        )
        self._spectra.append(map_spectrum(sample.label, counted, classes))

    @property
    def tiles(self) -> int:
        """Tiles counted."""
        return len(self._spectra)

    @property
    def spectrum(self) -> ErrorSpectrum:
        """Spectrum of the error, added over the tiles."""
        first, *others = self._spectra
        return sum(others, first)

    def scores(self) -> dict[str, float | None]:
        """The `SCORES` of all tiles together, as in a report."""
        report = score_blocks(self._tally.finished(None), self._tally.final_scheme, 0)
        area = {"mean_iou": report["mean"]["iou"], "mean_f1": report["mean"]["f1"]}
        return {**area, **{key: report["boundary"][key] for key in BOUNDARY_SCORES}}

    def gains(self, rough: ComparedMaps, *, seed: int = 0) -> dict[str, Gain]:
        """Compare with the rough maps of the same tiles.

        Args:
            rough: what the rough maps have come to.
            seed: of the draws of the intervals.

        Returns:
            The gain in each of `SCORES`.

        Raises:
            ParameterError: the two were not counted on as many tiles.
        """
        if self.tiles != rough.tiles:
            raise ParameterError(
                f"{self.tiles} refined maps can't be compared with {rough.tiles} rough ones; "
                "count both of every tile."
            )
        pair = [rough._tally.finished(None), self._tally.finished(None)]
        before, after = rough.scores(), self.scores()
        areas = np.stack([run.counts for run in pair], axis=2)  # [1, N, 2, K, K]
        found = {}
        for key in SCORES:
            if key in AREA_SCORES:
                ends = _interval(areas, _difference(AREA_SCORES[key]), seed)
            else:
                each = [_sums(run.boundary[key]) for run in pair]
                ends = _interval(np.stack(each, axis=2), _difference(_means), seed)
            old, new = before[key], after[key]
            found[key] = Gain(None if old is None or new is None else new - old, *ends)
        return found

    def repair(self, k: float = 1.0, *, seed: int = 0) -> Json:
        """Count what was repaired on all tiles.

        Args:
            k: weight of what was broken.
            seed: of the draws of the interval.

        Returns:
            As `repairing.repair_block`, and low and high, the interval of iou_imp over the tiles.
        """
        names = [entry.name for entry in self.card.classes]
        totals = {
            target: sum((tile[target] for tile in self._repairs), RepairCounts())
            for target in targets_of(len(names))
        }
        rows = [astuple(sum(tile.values(), RepairCounts())) for tile in self._repairs]

        def scores(pooled: Pooled) -> NDArray[np.float64]:
            """The repair score of each replicate."""
            each = (RepairCounts(*map(int, row)).iou_imp(k) for row in pooled)
            return np.array([np.nan if value is None else value for value in each])

        low, high = _interval(np.array(rows, np.int64)[None], scores, seed)
        return {**repair_block(totals, names, k), "low": low, "high": high}


def _difference(
    score: Callable[[Pooled], NDArray[np.float64]],
) -> Callable[[Pooled], NDArray[np.float64]]:
    """Score of the second of two maps less that of the first, of counts [R, 2, ...]."""
    return lambda pooled: score(pooled[:, 1]) - score(pooled[:, 0])


def _sums(scores: Sequence[float]) -> NDArray[np.float64]:
    """Scores of tiles as sums that pool: value and number of those that exist, [1, N, 2]."""
    values = np.asarray(scores, np.float64)
    exists = ~np.isnan(values)
    return np.stack([np.where(exists, values, 0.0), exists], axis=-1)[None]


def _means(pooled: Pooled) -> NDArray[np.float64]:
    """Mean of the tiles' scores, of sums [R, 2]; NaN where none exists."""
    means = np.full(len(pooled), np.nan)
    np.divide(pooled[:, 0], pooled[:, 1], out=means, where=pooled[:, 1] != 0)
    return means


def _interval(
    counts: Pooled, statistic: Callable[[Pooled], NDArray[np.float64]], seed: int
) -> tuple[float | None, float | None]:
    """Both ends of the interval over tiles."""
    low, high = bootstrap(counts, statistic, np.random.default_rng(seed))
    return number(low), number(high)
