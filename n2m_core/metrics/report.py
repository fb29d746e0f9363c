"""The report of `n2m evaluate`: a pure function of counts and boundary scores.

What is counted: every pixel of every tile that has data and a label. F1 and IoU are of counts
pooled over tiles and noise seeds; boundary scores are of single maps, averaged. A score that does
not exist (an absent class, a task without a target) is null, never NaN.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from n2m_core.metrics.boundary import BoundaryScores
from n2m_core.metrics.confusion import ConfusionCounts, f1_scores, iou_scores, mean_present
from n2m_core.metrics.intervals import Statistic, bootstrap

Scores = NDArray[np.float64]
Json = dict[str, Any]
IntervalOver = Literal["tiles", "blocks"]

BOUNDARY_KEYS = ("wfm", "boundary_iou", "f1_1px", "f1_3px", "f1_5px")


@dataclass(frozen=True)
class ClassScheme:
    """The classes of a report.

    Attributes:
        names: one a class, in the order of the indices.
        target: indices of the classes that are looked for, united in the target's scores; empty
            where no class is (land cover), then class means stand in for the target.
    """

    names: tuple[str, ...]
    target: tuple[int, ...]

    @property
    def groups(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Indices of the rest and of the target."""
        rest = tuple(index for index in range(len(self.names)) if index not in self.target)
        return rest, self.target

    def binary(self) -> ClassScheme:
        """The scheme of two classes: the rest, and the target's classes united."""
        rest, target = self.groups
        united = (" or ".join(self.names[i] for i in group) for group in (rest, target))
        return ClassScheme(tuple(united), (1,))


@dataclass(frozen=True, eq=False)
class RunCounts:
    """Counts of all maps made at one timestep.

    Attributes:
        timestep: the step.
        counts: int64 [S, N, K, K], one matrix for each seed and unit.
        boundary: scores of each seed and tile that were computed; the curve has boundary IoU only.
    """

    timestep: int
    counts: NDArray[np.int64]
    boundary: Mapping[str, Sequence[float]]

    @property
    def pooled(self) -> ConfusionCounts:
        """Counts over all seeds and units."""
        return ConfusionCounts(self.counts.sum(axis=(0, 1)))


def class_rows(counts: ConfusionCounts, names: Sequence[str]) -> list[Json]:
    """One row a class: name, f1, iou, precision, recall, support."""
    columns = zip(
        names, counts.f1, counts.iou, counts.precision, counts.recall, counts.support, strict=True
    )
    return [
        {
            "name": name,
            "f1": number(f1),
            "iou": number(iou),
            "precision": number(precision),
            "recall": number(recall),
            "support": int(support),
        }
        for name, f1, iou, precision, recall, support in columns
    ]


def target_counts(counts: ConfusionCounts, scheme: ClassScheme) -> ConfusionCounts | None:
    """Counts of rest against target; None where the scheme has no target."""
    return counts.united(scheme.groups) if scheme.target else None


def headline(counts: ConfusionCounts, scheme: ClassScheme) -> tuple[float, float]:
    """(F1, IoU) of the target, or the class means where there is no target."""
    binary = target_counts(counts, scheme)
    if binary is None:
        return counts.mean_f1, counts.mean_iou
    return float(binary.f1[1]), float(binary.iou[1])


def all_positive(counts: ConfusionCounts, scheme: ClassScheme) -> Json:
    """What a map of nothing but the target would score: IoU = p, F1 = 2 p / (1 + p)."""
    binary = target_counts(counts, scheme)
    if binary is None or not binary.total:
        return {"f1": None, "iou": None}
    share = float(binary.support[1] / binary.total)
    return {"f1": 2 * share / (1 + share), "iou": share}


def headline_statistic(scheme: ClassScheme) -> Statistic:
    """Pooled counts [R, K, K] -> F1 of the target, or the class mean, float64 [R]."""

    def statistic(pooled: NDArray[Any]) -> Scores:
        if not scheme.target:
            return mean_f1_statistic(pooled)
        target = list(scheme.target)
        hits = pooled[:, target][:, :, target].sum(axis=(1, 2))
        sizes = pooled[:, target].sum(axis=(1, 2)) + pooled[:, :, target].sum(axis=(1, 2))
        scores = np.full(len(pooled), np.nan)
        np.divide(2 * hits, sizes, out=scores, where=sizes != 0)
        return scores

    return statistic


def mean_f1_statistic(pooled: NDArray[Any]) -> Scores:
    """Mean F1 over the classes that are not absent, float64 [R]; NaN where all are."""
    return _class_means(f1_scores(pooled))


def mean_iou_statistic(pooled: NDArray[Any]) -> Scores:
    """Mean IoU over the classes that are not absent, float64 [R]; NaN where all are."""
    return _class_means(iou_scores(pooled))


def _class_means(scores: Scores) -> Scores:
    """Mean over the classes [R, K] that are not NaN, float64 [R]."""
    present = ~np.isnan(scores)
    total = np.where(present, scores, 0.0).sum(axis=-1)
    means = np.full(len(scores), np.nan)
    np.divide(total, present.sum(axis=-1), out=means, where=present.any(axis=-1))
    return means


def timestep_row(run: RunCounts, scheme: ClassScheme, seed: int) -> Json:
    """One point of the curve over timesteps."""
    pooled = run.pooled
    f1, iou = headline(pooled, scheme)
    low, high = bootstrap(run.counts, headline_statistic(scheme), _generator(seed))
    return {
        "t": run.timestep,
        "f1": number(f1),
        "iou": number(iou),
        "mean_iou": number(pooled.mean_iou),
        "boundary_iou": _average(run.boundary, "boundary_iou"),
        "low": number(low),
        "high": number(high),
        "classes": class_rows(pooled, scheme.names),
    }


def score_blocks(run: RunCounts, scheme: ClassScheme, seed: int) -> Json:
    """The report's keys `classes`, `mean`, `target`, `all_positive`, `overall`, `boundary`."""
    pooled = run.pooled
    binary = target_counts(pooled, scheme)
    rows = class_rows(binary, ("rest", "target")) if binary is not None else []
    target = rows[1] if rows else dict.fromkeys(("f1", "iou", "precision", "recall"))
    low, high = bootstrap(run.counts, headline_statistic(scheme), _generator(seed))
    mean_low, mean_high = bootstrap(run.counts, mean_f1_statistic, _generator(seed))
    return {
        "classes": class_rows(pooled, scheme.names),
        "mean": {
            "f1": number(pooled.mean_f1),
            "iou": number(pooled.mean_iou),
            "low": number(mean_low),
            "high": number(mean_high),
        },
        "target": {
            **{key: target[key] for key in ("f1", "iou", "precision", "recall")},
            "low": number(low) if rows else None,
            "high": number(high) if rows else None,
        },
        "all_positive": all_positive(pooled, scheme),
        "overall": {
            "accuracy": number(pooled.overall_accuracy),
            "kappa": number(pooled.kappa),
        },
        "boundary": {key: _average(run.boundary, key) for key in BOUNDARY_KEYS},
    }


def tile_row(name: str, counts: ConfusionCounts, scheme: ClassScheme) -> Json:
    """One row of `per_tile`: name, f1, iou of the target (or class means)."""
    f1, iou = headline(counts, scheme)
    return {"name": name, "f1": number(f1), "iou": number(iou)}


def boundary_values(scores: BoundaryScores) -> dict[str, float]:
    """Boundary scores by their keys in the report."""
    return {key: float(getattr(scores, key)) for key in BOUNDARY_KEYS}


def number(value: float) -> float | None:
    """A float that JSON can hold: None for NaN and infinities."""
    return float(value) if math.isfinite(value) else None


def _average(scores: Mapping[str, Sequence[float]], key: str) -> float | None:
    """Mean over the maps that have the score."""
    return number(mean_present(np.array(scores.get(key, ()), np.float64)))


def _generator(seed: int) -> np.random.Generator:
    """The draws of one interval; the same for every score, so that scores compare like to like."""
    return np.random.default_rng(seed)
