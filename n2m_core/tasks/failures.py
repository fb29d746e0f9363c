"""Where a checkpoint fails: labelled scenes cut into blocks and ranked by their scores.

A scene is mapped whole, so that no block suffers from being cut out, and then counted block by
block with the counts and scores of `n2m evaluate`. Its objects (see `metrics.objects`) are found in
the whole scene too and belong to the block that holds their middle. An object is missed when less
than half of a true one is mapped, and invented when less than half of a mapped one is true.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from n2m_core.checkpoints import LoadedModel
from n2m_core.datasets.base import Sample
from n2m_core.errors import DatasetError, LabelError
from n2m_core.geo_image import Progress
from n2m_core.metrics.confusion import IGNORE, ConfusionCounts
from n2m_core.metrics.objects import SIZE_EDGES_M2, objects_of, size_bins, size_edges
from n2m_core.metrics.report import ClassScheme, headline, target_counts
from n2m_core.tasks.by_timestep import pixel_areas
from n2m_core.tasks.evaluate import EvaluateParams, maker_of, scheme_of
from n2m_core.tasks.tally import Setting

BLOCK_M = 128.0
"""Blocks are the largest equal parts of a side that are no longer than this, metres."""
LEAST_PX = 64
"""Unless that would be fewer pixels: 10 m pixels make blocks of 640 m."""
BLOCK_PX = 256
"""The same in pixels where the ground resolution is unknown."""

RIGHT, MISSED, INVENTED, WRONG_CLASS = 0, 1, 2, 3
"""Values of an error map; 255 counts nowhere."""

Labels = NDArray[np.uint8]
Window = tuple[slice, slice]


@dataclass(frozen=True)
class WrongObject:
    """A true object that the map lacks, or a mapped one that is not there.

    Attributes:
        kind: "missed" or "invented".
        index: its class.
        area_m2: its area; None where the ground resolution is unknown.
    """

    kind: Literal["missed", "invented"]
    index: int
    area_m2: float | None


@dataclass(frozen=True, eq=False)
class FailureScene:
    """A scene, in the classes that its truth tells apart.

    Attributes:
        name: of the sample.
        scheme: the checkpoint's classes; two, the target's united, where the truth is binary.
        truth: class indices, uint8 [H, W]; 255 counts nowhere.
        labels: the map, uint8 [H, W]; 255 where there is no data.
        pixel_m2: ground area of a pixel of each row, float64 [H]; None where it is unknown.
    """

    name: str
    scheme: ClassScheme
    truth: Labels
    labels: Labels
    pixel_m2: NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class Block:
    """A part of a scene.

    Attributes:
        scene: number of the scene.
        place: row and column of the block in its scene, counted from 1.
        window: its rows and columns, pixels.
        counts: its pixels.
        wrong: objects whose middle lies in it and that are missed or invented.
    """

    scene: int
    place: tuple[int, int]
    window: Window
    counts: ConfusionCounts
    wrong: tuple[WrongObject, ...]


@dataclass(frozen=True, eq=False)
class Failures:
    """All blocks of all scenes.

    Attributes:
        scheme: the checkpoint's classes; two, the target's united, where every truth is binary.
        scenes: in the order of the samples.
        blocks: those with any labelled pixel.
        notes: what the person should know, a sentence each.
        edges_m2: lower ends of the size bins that `rank` knows.
    """

    scheme: ClassScheme
    scenes: tuple[FailureScene, ...]
    blocks: tuple[Block, ...]
    notes: tuple[str, ...] = ()
    edges_m2: tuple[float, ...] = SIZE_EDGES_M2


@dataclass(frozen=True, eq=False)
class Ranked:
    """A block with its score for one class, or for the target.

    Attributes:
        block: the block.
        f1: in [0, 1].
        missed_px: pixels of the class (of any class where no target is) mapped otherwise.
        invented_px: pixels mapped so that are another class.
        missed: number of missed objects.
        invented: number of invented objects.
    """

    block: Block
    f1: float
    missed_px: int
    invented_px: int
    missed: int
    invented: int


def run(
    samples: Sequence[Sample],
    model: LoadedModel,
    params: EvaluateParams | None = None,
    progress: Progress | None = None,
) -> Failures:
    """Map scenes in the checkpoint's own way and count their blocks.

    Args:
        samples: labelled samples of the checkpoint's task.
        model: the checkpoint.
        params: how maps are made; timesteps have no part in it.
        progress: told after every scene; may raise to stop.

    Returns:
        The blocks, scene by scene.

    Raises:
        DatasetError: there are no samples.
        LabelError: a binary label for a checkpoint without a target, or values that are no class.
    """
    if not samples:
        raise DatasetError("There are no samples with a truth; nothing can be ranked.")
    params = params or EvaluateParams()
    scheme = scheme_of(model.card)
    make = maker_of(model, params)
    scenes: list[FailureScene] = []
    notes: list[str] = []
    for done, sample in enumerate(samples):
        inner = _within(progress, done, len(samples), sample.name)
        result = make(sample, Setting(params.timestep, params.seed), inner)
        scenes.append(_scene(sample, result.labels, scheme, params.resolution_m))
        notes += [note for note in result.notes if note not in notes]
    found = [block for index, scene in enumerate(scenes) for block in _cut(index, scene)]
    if all(scene.scheme != scheme for scene in scenes):
        scheme = scheme.binary()
    if progress is not None:
        progress(len(samples), len(samples), "done")
    edges = size_edges(model.card.resolution_m)
    return Failures(scheme, tuple(scenes), tuple(found), tuple(notes), edges)


def rank(
    found: Failures,
    *,
    index: int | None = None,
    size_bin: int | None = None,
    scene: int | None = None,
) -> list[Ranked]:
    """List blocks, the worst first.

    Args:
        found: all blocks.
        index: rank by the F1 of this class, leaving out scenes whose truth does not tell it apart;
            None for the target's, or the class mean.
        size_bin: keep the blocks with a wrong object (of the class) in this bin of
            `found.edges_m2`; None for all.
        scene: keep the blocks of this scene; None for all.

    Returns:
        Blocks by F1, lowest first, those with more wrong pixels first among equals; blocks that
        hold the class neither in truth nor in the map have no F1 and are left out.
    """
    ranked = []
    for block in found.blocks:
        scheme = found.scenes[block.scene].scheme
        is_told = index is None or scheme == found.scheme
        if not is_told or scene not in (None, block.scene):
            continue
        f1, missed_px, invented_px = _score(block.counts, scheme, index)
        wrong = [each for each in block.wrong if index in (None, each.index)]
        if math.isnan(f1):
            continue
        if size_bin is not None and not _has_size(wrong, size_bin, found.edges_m2):
            continue
        missed = sum(each.kind == "missed" for each in wrong)
        ranked.append(Ranked(block, f1, missed_px, invented_px, missed, len(wrong) - missed))
    return sorted(ranked, key=lambda each: (each.f1, -each.missed_px - each.invented_px))


def error_map(found: Failures, scene: int, index: int | None = None) -> Labels:
    """Mark what a map misses and invents.

    Args:
        found: all blocks.
        scene: number of the scene.
        index: a class; None for the target, or, where there is none, for all classes.

    Returns:
        uint8 [H, W]: 0 right, 1 missed, 2 invented, 3 another class than the true one where both
        count (of the target, or of all), 255 not counted.
    """
    truth, labels = found.scenes[scene].truth, found.scenes[scene].labels
    wanted = (index,) if index is not None else found.scenes[scene].scheme.target
    errors = np.where(truth != labels, WRONG_CLASS, RIGHT).astype(np.uint8)
    if wanted:
        true, mapped = np.isin(truth, wanted), np.isin(labels, wanted)
        errors[true & ~mapped] = MISSED
        errors[~true & mapped] = INVENTED
        errors[~true & ~mapped] = RIGHT
    errors[(truth == IGNORE) | (labels == IGNORE)] = IGNORE
    return errors


def _scene(
    sample: Sample, labels: Labels, scheme: ClassScheme, resolution_m: float | None
) -> FailureScene:
    """Bring truth and map to the classes that the truth tells apart."""
    truth = sample.label
    if sample.label_kind == "binary" and len(scheme.names) > 2:
        if not scheme.target:
            raise LabelError(
                f"{sample.name} has a binary label and the checkpoint {len(scheme.names)} classes "
                "without a target; give labels of class indices."
            )
        labels, scheme = _united(labels), scheme.binary()
    return FailureScene(sample.name, scheme, truth, labels, pixel_areas(sample, resolution_m))


def _cut(index: int, scene: FailureScene) -> list[Block]:
    """Cut a scene into blocks."""
    height, width = scene.truth.shape
    side_m = None if scene.pixel_m2 is None else float(np.sqrt(np.median(scene.pixel_m2)))
    tops, lefts = _edges(height, side_m), _edges(width, side_m)
    wrong = _wrong_objects(scene, tops, lefts)
    blocks = []
    for (i, rows), (j, columns) in itertools.product(
        enumerate(itertools.pairwise(tops)), enumerate(itertools.pairwise(lefts))
    ):
        window = slice(*rows), slice(*columns)
        counts = ConfusionCounts.from_labels(
            scene.truth[window], scene.labels[window], len(scene.scheme.names)
        )
        if counts.total:
            here = tuple(wrong.get((i, j), ()))
            blocks.append(Block(index, (i + 1, j + 1), window, counts, here))
    return blocks


def _edges(length: int, side_m: float | None) -> list[int]:
    """Cut a side into the fewest equal parts that are no longer than a block."""
    block_px = BLOCK_PX if side_m is None else max(BLOCK_M / side_m, LEAST_PX)
    parts = min(length, max(1, math.ceil(length / block_px - 1e-6)))
    return [round(length * part / parts) for part in range(parts + 1)]


def _wrong_objects(
    scene: FailureScene, tops: Sequence[int], lefts: Sequence[int]
) -> dict[tuple[int, int], list[WrongObject]]:
    """Find missed and invented objects and the block that holds the middle of each."""
    areas = np.ones(len(scene.truth)) if scene.pixel_m2 is None else scene.pixel_m2
    wrong: dict[tuple[int, int], list[WrongObject]] = {}
    kinds: tuple[Literal["missed", "invented"], ...] = ("missed", "invented")
    for index in scene.scheme.target or range(len(scene.scheme.names)):
        pair = objects_of(scene.truth, scene.labels, index, areas)
        for kind, objects in zip(kinds, pair, strict=True):
            rows = np.searchsorted(tops, objects.row + 0.5, side="right") - 1
            columns = np.searchsorted(lefts, objects.column + 0.5, side="right") - 1
            for which in np.flatnonzero(~objects.is_matched):
                area = None if scene.pixel_m2 is None else float(objects.area_m2[which])
                place = int(rows[which]), int(columns[which])
                wrong.setdefault(place, []).append(WrongObject(kind, index, area))
    return wrong


def _score(
    counts: ConfusionCounts, scheme: ClassScheme, index: int | None
) -> tuple[float, int, int]:
    """F1, missed and invented pixels of a class, or of the target or all classes."""
    if index is None:
        f1 = headline(counts, scheme)[0]
        binary = target_counts(counts, scheme)
        if binary is None:
            wrong = counts.total - int(counts.matrix.trace())
            return f1, wrong, wrong
        counts, index = binary, 1
    else:
        f1 = float(counts.f1[index])
    hits = int(counts.matrix[index, index])
    missed = int(counts.matrix[index].sum()) - hits
    return f1, missed, int(counts.matrix[:, index].sum()) - hits


def _has_size(wrong: Sequence[WrongObject], size_bin: int, edges_m2: Sequence[float]) -> bool:
    """Whether any of the objects falls into a size bin."""
    areas = np.array([each.area_m2 for each in wrong if each.area_m2 is not None])
    return bool((size_bins(areas, edges_m2) == size_bin).any())


def _united(labels: Labels) -> Labels:
    """Unite all classes but the first: 1 target, 0 rest, 255 left out."""
    return np.where(labels == IGNORE, IGNORE, np.minimum(labels, 1)).astype(np.uint8)


def _within(progress: Progress | None, done: int, total: int, note: str) -> Progress | None:
    """Report scenes, but let the person stop within one."""
    if progress is None:
        return None
    report = progress
    return lambda _done, _total, _note: report(done, total, note)
