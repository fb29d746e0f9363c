"""A job from its first block to its finished files."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from n2m_core.checkpoints import CheckpointCard
from n2m_core.errors import GridError, ParameterError
from n2m_core.geo_image import GeoImage, Progress
from n2m_core.raster_io import (
    PartSpec,
    finish_cog,
    ground_areas_m2,
    strips_of,
    write_block,
    write_strips,
)
from n2m_core.streaming.engine import Meter, run_here
from n2m_core.streaming.jobs import BlockResult, BlockWork, Job
from n2m_core.streaming.journal import Journal
from n2m_core.streaming.rasters import CLASSES, CONFIDENCE, PROBABILITIES, UNCERTAINTY
from n2m_core.streaming.regions import REACH_PX, filled, polygons_of, without_small
from n2m_core.tasks.labelling import has_background
from n2m_core.vectorize import write_vector

Engine = Literal["stream", "dask"]
LEAST_SIDE_PX = 64


@dataclass(frozen=True)
class StreamOptions:
    """How the blocks are worked through.

    Attributes:
        engine: "stream" on this machine, "dask" on workers.
        scheduler: address of dask's scheduler; None for workers of this machine.
        is_resumed: whether to go on with what an earlier run left.
        side_px: about how large a block is, lattice pixels; None for the usual size.
    """

    engine: Engine = "stream"
    scheduler: str | None = None
    is_resumed: bool = False
    side_px: int | None = None

    def __post_init__(self) -> None:
        """Check the choices.

        Raises:
            ParameterError: blocks too small, or a scheduler without dask.
        """
        if self.side_px is not None and self.side_px < LEAST_SIDE_PX:
            raise ParameterError(
                f"Blocks of {self.side_px} px are too small; give at least {LEAST_SIDE_PX}."
            )
        if self.scheduler is not None and self.engine != "dask":
            raise ParameterError("A scheduler is for the engine dask; add --engine dask.")


@dataclass(frozen=True)
class Worked:
    """How the blocks went.

    Attributes:
        blocks: in all.
        resumed: of these, done by an earlier run.
        megapixels: of the blocks done now.
        seconds: that they took.
    """

    blocks: int
    resumed: int
    megapixels: float
    seconds: float


@dataclass(frozen=True, eq=False)
class MapOutputs:
    """Where the results of a streamed map go; None for what is not wanted."""

    out: Path
    probabilities: Path | None = None
    vector: Path | None = None
    uncertainty: Path | None = None

    @property
    def extras(self) -> tuple[str, ...]:
        """Rasters that are needed beside the classes."""
        wanted = {
            PROBABILITIES: self.probabilities,
            CONFIDENCE: self.vector,
            UNCERTAINTY: self.uncertainty,
        }
        return tuple(name for name, path in wanted.items() if path is not None)


@dataclass(frozen=True, eq=False)
class StreamedMap:
    """What a streamed map holds; its pixels are in the files.

    Attributes:
        header: grid of the map.
        classes: figures as of `export.class_figures`.
        polygons: how many were written; None when none were asked for.
        counts: what the blocks counted, added up.
        worked: how the blocks went.
        notes: what the person should know, a sentence each.
        seconds: wall time, files included.
    """

    header: GeoImage
    classes: list[dict[str, Any]]
    polygons: int | None
    counts: dict[str, int]
    worked: Worked
    notes: tuple[str, ...]
    seconds: float


def work_through(
    job: Job,
    work: BlockWork,
    out: Path,
    options: StreamOptions,
    progress: Progress | None = None,
) -> tuple[Journal, Worked]:
    """Work on every block that is not done yet.

    Args:
        job: what is done.
        work: the same with files and weights open.
        out: final name of the result; the work is kept beside it.
        options: how.
        progress: told of blocks, megapixels, rate and time left; may raise to stop.

    Returns:
        The journal, with every block, and how it went.

    Raises:
        OutputError: see `Journal.begin`.
        N2MError: whatever a block meets.
    """
    journal = Journal.begin(out, job, work.rasters, is_resumed=options.is_resumed)
    boxes = work.boxes
    earlier = sorted(journal.done)
    todo = [number for number in range(len(boxes)) if number not in journal.done]

    def deliver(result: BlockResult) -> None:
        """Bring a block to the disk, and only then note it."""
        for name, pixels in result.bands.items():
            write_block(journal.raster(name), result.box, pixels)
        journal.add(result)

    meter = Meter(boxes, len(earlier), progress)
    started = time.perf_counter()
    try:
        meter.start(earlier)
        if options.engine == "dask":
            from n2m_core.streaming.cluster import run_on_cluster

            run_on_cluster(job, todo, deliver, meter, options.scheduler)
        else:
            run_here(work, todo, deliver, meter)
    except BaseException:
        journal.close()
        raise
    megapixels = sum(boxes[number].pixels for number in todo) / 1e6
    worked = Worked(len(boxes), len(earlier), megapixels, time.perf_counter() - started)
    return journal, worked


def run_map(
    job: Job,
    work: BlockWork,
    card: CheckpointCard,
    outputs: MapOutputs,
    options: StreamOptions,
    *,
    min_area_m2: float = 0.0,
    notes: Sequence[str] = (),
    progress: Progress | None = None,
) -> StreamedMap:
    """Make a map of a scene and its files.

    Args:
        job: what is done.
        work: the same with files and weights open.
        card: of the checkpoint.
        outputs: where the files go.
        options: how.
        min_area_m2: areas smaller than this go, as whole objects across blocks.
        notes: what is known already.
        progress: see `work_through`.

    Raises:
        GridError: no pixel has data.
        OutputError: a file can't be written.
    """
    started = time.perf_counter()
    journal, worked = work_through(job, work, outputs.out, options, progress)
    with contextlib.closing(journal):
        if not journal.totals().get("valid"):
            journal.remove()
            raise GridError(
                f"No pixel of {job.files[0].name} has data in all that the map is made of. Check "
                "the files and their nodata values."
            )
        spec = work.rasters[CLASSES]
        told = list(notes)
        if min_area_m2 > 0 and not has_background(card):
            told.append(
                "Areas below the smallest one take the class of the nearest pixel that stays, "
                f"looked for within {REACH_PX} rows."
            )
        classes = _filtered(journal, spec, card, min_area_m2)
        polygons = None if outputs.vector is None else _trace(journal, classes, spec, card, outputs)
        for name, path in (
            (PROBABILITIES, outputs.probabilities),
            (UNCERTAINTY, outputs.uncertainty),
        ):
            if path is not None:
                finish_cog(journal.raster(name), path, is_labels=False)
        figures = _figures(classes, spec.header, card)
        finish_cog(classes, outputs.out, is_labels=True)
        counts = journal.totals()
        journal.remove()
        seconds = time.perf_counter() - started
        return StreamedMap(spec.header, figures, polygons, counts, worked, tuple(told), seconds)


def _filtered(journal: Journal, spec: PartSpec, card: CheckpointCard, min_area_m2: float) -> Path:
    """Take small areas out; gives the raster that is the map then."""
    raw = journal.raster(CLASSES)
    if min_area_m2 <= 0:
        return raw
    keeps_first = has_background(card)
    wanted = list(range(1 if keeps_first else 0, len(card.classes)))
    path = journal.raster("without_small")
    strips = without_small(raw, spec.header, wanted, min_area_m2, has_background=keeps_first)
    write_strips(path, spec, strips)
    if keeps_first:
        return path
    whole = journal.raster("filled")
    write_strips(whole, spec, filled(path, raw))
    return whole


def _trace(
    journal: Journal, classes: Path, spec: PartSpec, card: CheckpointCard, outputs: MapOutputs
) -> int:
    """Write polygons; gives their number."""
    assert outputs.vector is not None
    frame = polygons_of(
        classes,
        spec.header,
        {index: entry.name for index, entry in enumerate(card.classes)},
        confidence=journal.raster(CONFIDENCE),
        background=0 if has_background(card) else None,
    )
    write_vector(outputs.vector, frame)
    return len(frame)


def _figures(classes: Path, header: GeoImage, card: CheckpointCard) -> list[dict[str, Any]]:
    """Count a map; see `export.class_figures`."""
    counts = np.zeros((len(card.classes), header.height), np.int64)
    for top, (bands,) in strips_of([classes]):
        for index, row in enumerate(counts):
            row[top : top + bands.shape[1]] = (bands[0] == index).sum(axis=1)
    areas = ground_areas_m2(header)
    total = max(1, int(counts.sum()))
    return [
        {
            "name": entry.name,
            "color": entry.color,
            "pixels": int(row.sum()),
            "share": float(row.sum() / total),
            "area_m2": None if areas is None else float(row @ areas),
        }
        for entry, row in zip(card.classes, counts, strict=True)
    ]
