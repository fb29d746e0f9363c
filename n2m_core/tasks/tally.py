"""Counts and scores gathered map by map while a checkpoint is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from n2m_core.datasets.base import Sample
from n2m_core.errors import LabelError
from n2m_core.metrics.boundary import boundary_iou, boundary_scores
from n2m_core.metrics.confusion import IGNORE, ConfusionCounts
from n2m_core.metrics.intervals import block_counts
from n2m_core.metrics.report import ClassScheme, Json, RunCounts, boundary_values, tile_row

Labels = NDArray[np.uint8]

MAX_NOTES = 20
"""Different notes kept in a report; a large split could have one of its own for every tile."""


class ScoredMap(Protocol):
    """The part of a `MapResult` that is scored."""

    @property
    def labels(self) -> Labels:
        """Class index, uint8 [H, W]; 255 where there is no data."""

    @property
    def timestep(self) -> int:
        """The step that the network was told."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about the map."""

    @property
    def seconds(self) -> float:
        """Wall time of the run."""


@dataclass(frozen=True)
class Setting:
    """How one map is made: its timestep (None for the card's own way) and its noise seed."""

    timestep: int | None
    seed: int


@dataclass(eq=False)
class _Run:
    """What one timestep has gathered: for each seed the counts of the units, and scores."""

    timestep: int = 0
    counts: dict[int, list[ConfusionCounts]] = field(default_factory=dict)
    boundary: dict[str, list[float]] = field(default_factory=dict)


class Tally:
    """Counts and scores of all maps made so far."""

    def __init__(self, scheme: ClassScheme, *, is_single: bool) -> None:
        """Begin; a single tile is counted block by block."""
        self.scheme = scheme
        self.is_single = is_single
        self.is_binary = False
        self.runs: dict[int | None, _Run] = {}
        self.tiles: list[tuple[str, ConfusionCounts]] = []
        self.notes: list[str] = []
        self.seconds = 0.0
        self.pixels = 0

    def open(self, sample: Sample) -> None:
        """Begin the next tile.

        Raises:
            LabelError: the label is binary and no class is the target.
        """
        many = len(self.scheme.names) > 2
        if sample.label_kind == "binary" and not self.scheme.target:
            raise LabelError(
                f"{sample.name} has a binary label and the checkpoint {len(self.scheme.names)} "
                "classes without a target; give labels of class indices."
            )
        self.tiles.append((sample.name, ConfusionCounts.zeros(self._classes(sample))))
        if sample.label_kind == "binary" and many and not self.is_binary:
            self.is_binary = True
            self.notes.append(
                f"The labels are binary: {self.scheme.binary().names[1]} are scored together."
            )
        self._remember(sample.notes)

    def add(self, sample: Sample, setting: Setting, result: ScoredMap, *, is_main: bool) -> None:
        """Count one map."""
        if result.labels.shape != sample.label.shape:
            raise LabelError(
                f"{sample.name}: the map is {result.labels.shape} and the label "
                f"{sample.label.shape}; both must lie on the image's grid."
            )
        truth, predicted, classes = self._comparable(sample, result.labels)
        units = self._units(truth, predicted, classes)
        run = self.runs.setdefault(setting.timestep, _Run())
        run.timestep = result.timestep
        run.counts.setdefault(setting.seed, []).extend(units)
        for key, score in self._boundary(sample, result.labels, is_main=is_main).items():
            run.boundary.setdefault(key, []).append(score)
        if is_main:
            name, counted = self.tiles[-1]
            self.tiles[-1] = (name, _sum([counted, *units]))
        self._remember(result.notes)
        self.seconds += result.seconds
        self.pixels += result.labels.size

    def finished(self, timestep: int | None) -> RunCounts:
        """Give the counts of one timestep as one array."""
        run = self.runs[timestep]
        size = len(self.final_scheme.names)
        per_seed = [[self._unified(unit).matrix for unit in units] for units in run.counts.values()]
        counts = np.array(per_seed, np.int64).reshape(len(per_seed), -1, size, size)
        return RunCounts(run.timestep, counts, run.boundary)

    def finished_tiles(self) -> list[Json]:
        """Give the rows of `per_tile`."""
        return [
            tile_row(name, self._unified(counts), self.final_scheme) for name, counts in self.tiles
        ]

    @property
    def final_scheme(self) -> ClassScheme:
        """The classes of the report: two where any label is binary."""
        return self.scheme.binary() if self.is_binary else self.scheme

    def _remember(self, notes: Sequence[str]) -> None:
        """Keep what was not said before."""
        for note in notes:
            if note not in self.notes and len(self.notes) < MAX_NOTES:
                self.notes.append(note)

    def _comparable(self, sample: Sample, labels: Labels) -> tuple[Labels, Labels, int]:
        """Truth and map in the classes that both have."""
        classes = self._classes(sample)
        if sample.label_kind == "binary":
            return sample.label, self._target_map(labels), classes
        return sample.label, labels, classes

    def _classes(self, sample: Sample) -> int:
        """Number of classes that the label tells apart."""
        return 2 if sample.label_kind == "binary" else len(self.scheme.names)

    def _target_map(self, labels: Labels) -> Labels:
        """Unite the target's classes: 1 target, 0 rest, 255 left out."""
        table = np.zeros(256, np.uint8)
        table[list(self.scheme.target)] = 1
        table[IGNORE] = IGNORE
        return table[labels]

    def _units(self, truth: Labels, predicted: Labels, classes: int) -> list[ConfusionCounts]:
        """Counts of the tile, or of its blocks when it is the only one."""
        if self.is_single:
            return [ConfusionCounts(m) for m in block_counts(truth, predicted, classes)]
        return [ConfusionCounts.from_labels(truth, predicted, classes)]

    def _boundary(self, sample: Sample, labels: Labels, *, is_main: bool) -> dict[str, float]:
        """Boundary scores of one map: all of the main one, boundary IoU on the curve."""
        truth, predicted = sample.label, labels
        targets = tuple(range(len(self.scheme.names)))
        if self.scheme.target:
            predicted, targets = self._target_map(labels), (1,)
            truth = truth if sample.label_kind == "binary" else self._target_map(truth)
        if is_main:
            return boundary_values(boundary_scores(truth, predicted, targets=targets))
        return {"boundary_iou": boundary_iou(truth, predicted, targets=targets)}

    def _unified(self, counts: ConfusionCounts) -> ConfusionCounts:
        """Bring counts to the classes of the report."""
        if counts.classes == len(self.final_scheme.names):
            return counts
        return counts.united(self.scheme.groups)


def _sum(units: Sequence[ConfusionCounts]) -> ConfusionCounts:
    """Pool counts."""
    return ConfusionCounts(np.sum([unit.matrix for unit in units], axis=0))
