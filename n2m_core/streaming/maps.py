"""Segmentation and change detection of scenes of any size.

Statistics that normalisation needs come from the whole scene, as for an image in memory, and are
found before the first block. A block's windows are the scene's own (see `blocks`), so its
probabilities are those of the scene mapped in one piece, to the rounding of float32 sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from n2m_core.checkpoints import LoadedModel
from n2m_core.errors import GridError, NoOverlapError
from n2m_core.geo_image import GeoImage, Mask, Progress
from n2m_core.normalize import input_limits, sample_step, to_model_range
from n2m_core.raster_io import (
    Box,
    PartSpec,
    Scene,
    SceneFile,
    sampled,
)
from n2m_core.streaming.blocks import Block, BlockGrid
from n2m_core.streaming.jobs import BlockResult, Loaded, ReadyJob, side_for
from n2m_core.streaming.rasters import (
    CLASSES,
    CONFIDENCE,
    PROBABILITIES,
    class_raster,
    confidence_raster,
    map_bands,
    probability_raster,
)
from n2m_core.streaming.scenes import aligned, lattice_of, load_same, with_wanted_bands
from n2m_core.tasks.change import NO_COMMON_PIXEL
from n2m_core.tasks.inference import (
    BATCH,
    NO_DATA,
    NoiseField,
    process_for,
    resolution_note,
    step_for,
    unusual_notes,
    window_predictor,
    window_sides,
)
from n2m_core.tasks.labelling import check_params, with_stated_resolution
from n2m_core.tasks.lattice import FloatArray
from n2m_core.tasks.mapping import check_task
from n2m_core.tasks.params import MapParams
from n2m_core.tiling import Predictor, predict_placed

Limits = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class MapJob:
    """A map of a scene.

    Attributes:
        files: the image, or before and after, with the bands that the checkpoint wants.
        checkpoint: its id.
        task: which of its networks.
        sha256: of the weights; another process must find the same.
        device: see `checkpoints.choose_device`.
        params: the person's choices.
        limits: what becomes -1 and 1, a pair a band, for each file; of the whole scene.
        extras: rasters to write beside the classes: "probabilities", "confidence".
        side_px: about how large a block is, lattice pixels.
    """

    files: tuple[SceneFile, ...]
    checkpoint: str
    task: Literal["segment", "change"]
    sha256: str
    device: str
    params: MapParams
    limits: tuple[Limits, ...]
    extras: tuple[str, ...]
    side_px: int

    def open(self) -> MapWork:
        """Open files and weights."""
        return MapWork(self, load_same(self.checkpoint, self.task, self.device, self.sha256))


def prepare(
    files: Sequence[SceneFile],
    model: LoadedModel,
    params: MapParams,
    *,
    device: str = "auto",
    extras: Sequence[str] = (),
    side_px: int | None = None,
    progress: Progress | None = None,
) -> ReadyJob[MapJob, MapWork]:
    """Look at the whole scene once, and plan its map.

    Args:
        files: the image, or before and after.
        model: a checkpoint for one or two images.
        params: the person's choices.
        device: for workers of a cluster.
        extras: see `MapJob`.
        side_px: about how large a block is, lattice pixels.
        progress: told while the scene is looked at; may raise to stop.

    Raises:
        CheckpointError: the checkpoint is for another task.
        ImageReadError: a file can't be read in windows.
        BandError: an image lacks bands.
        GridError: no pixel with data, too coarse or too fine an image, or a pair that can't be
            aligned.
        NoOverlapError: the images of a pair share no ground with data.
        ParameterError: a choice that does not suit the checkpoint.
    """
    card = model.card
    task: Literal["segment", "change"] = "segment" if len(files) == 1 else "change"
    check_task(card, task)
    picked, notes = [], list[str]()
    for file in files:
        wanted, told = with_wanted_bands(file, card)
        picked.append(wanted)
        notes += told
    scenes, moved = aligned(picked)
    header = with_stated_resolution(scenes[0].header, params.resolution_m)
    check_params(card, params, header)
    lattice = lattice_of(header, card, params.resolution_m)
    notes += [*moved, *resolution_note(header, card, lattice, params.resolution_m)]
    step = sample_step(header.valid.size)
    samples = sampled(scenes, step, progress)
    valid = np.logical_and.reduce([sample.valid for sample in samples])
    if step == 1 and not valid.any():
        raise NoOverlapError(NO_COMMON_PIXEL) if len(scenes) == 2 else GridError(NO_DATA)
    limits = [input_limits(sample, card.normalization) for sample in samples]
    scaled = [
        to_model_range(sample, card.normalization, limits=limit)
        for sample, limit in zip(samples, limits, strict=True)
    ]
    notes += unusual_notes(scaled, valid, card) if valid.any() else []
    sides = window_sides(model)
    job = MapJob(
        files=tuple(picked),
        checkpoint=card.id,
        task=task,
        sha256=card.sha256,
        device=device,
        params=params,
        limits=tuple(tuple((float(a), float(b)) for a, b in limit) for limit in limits),
        extras=tuple(extras),
        side_px=side_for(sides.size, sides.overlap, side_px),
    )
    return ReadyJob(job, MapWork(job, model), tuple(dict.fromkeys(notes)))


@dataclass(frozen=True, eq=False)
class MapWork:
    """A map's files and weights, open.

    Attributes:
        job: what is done.
        model: the network.
    """

    job: MapJob
    model: LoadedModel

    @cached_property
    def scenes(self) -> list[Scene]:
        """The image, or the pair on one grid."""
        return aligned(self.job.files)[0]

    @cached_property
    def header(self) -> GeoImage:
        """The scene that the map lies on, without its pixels."""
        return with_stated_resolution(self.scenes[0].header, self.job.params.resolution_m)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Where the blocks lie."""
        lattice = lattice_of(self.header, self.model.card, self.job.params.resolution_m)
        return BlockGrid(lattice, window_sides(self.model), self.job.side_px).blocks

    @property
    def boxes(self) -> list[Box]:
        """The pixels of every block, by its number."""
        return [block.image for block in self.blocks]

    @cached_property
    def tags(self) -> dict[str, str]:
        """What the files should say about where the map came from."""
        card, params = self.model.card, self.job.params
        step = step_for(card, params.timestep, params.told)
        is_mixed = step.is_mixed and process_for(card, params).kind != "none"
        return {
            "N2M_CHECKPOINT": card.id,
            "N2M_CHECKPOINT_SHA256": card.sha256,
            "N2M_TIMESTEP": f"{step.timestep} ({'x_t mixed' if is_mixed else 'clean image'})",
            "N2M_LICENSE": card.license,
            "N2M_CLASSES": ", ".join(f"{i}={c.name}" for i, c in enumerate(card.classes)),
        }

    @property
    def rasters(self) -> dict[str, PartSpec]:
        """What is written, by name."""
        card, header = self.model.card, self.header
        names = tuple(entry.name for entry in card.classes)
        made = {CLASSES: class_raster(header, card, self.tags)}
        if PROBABILITIES in self.job.extras:
            made[PROBABILITIES] = probability_raster(header, names, self.tags)
        if CONFIDENCE in self.job.extras:
            made[CONFIDENCE] = confidence_raster(header)
        return made

    def read(self, number: int) -> Loaded:
        """Read the pixels that a block needs."""
        box = self.blocks[number].read
        return Loaded(tuple(scene.read(box) for scene in self.scenes))

    def compute(self, number: int, loaded: Loaded, progress: Progress | None) -> BlockResult:
        """Map a block; one without data is not shown to the network."""
        block = self.blocks[number]
        valid = np.logical_and.reduce([image.valid for image in loaded.images])
        inner = block.inner
        inside = valid[inner.top : inner.bottom, inner.left : inner.right]
        if not inside.any():
            return BlockResult(number, block.image, {}, {"valid": 0})
        lattice = self._predict(block, loaded, valid, progress)
        bands = map_bands(
            lambda first, stop: block.to_image(lattice, first, stop),
            inside,
            self.model.card,
            self.job.params.threshold,
            self.job.extras,
        )
        return BlockResult(number, block.image, bands, {"valid": int(inside.sum())})

    def _predict(
        self, block: Block, loaded: Loaded, valid: Mask, progress: Progress | None
    ) -> FloatArray:
        """Predict the lattice pixels that a block needs, float32 [K, h, w]."""
        normalization = self.model.card.normalization
        limits = [np.array(each) for each in self.job.limits]

        def read_rows(positions: NDArray[np.intp]) -> FloatArray:
            """Bring some rows of windows to the network's range and lattice."""
            rows = block.image_rows(positions)
            parts = [
                to_model_range(
                    replace(image, pixels=image.pixels[:, rows], valid=image.valid[rows]),
                    normalization,
                    limits=limit,
                )
                for image, limit in zip(loaded.images, limits, strict=True)
            ]
            clean = np.concatenate(parts)
            clean[:, ~valid[rows]] = 0.0
            return block.lattice_rows(positions, clean, valid[rows])

        (top, bottom), (left, right) = block.rows.lattice, block.columns.lattice
        count = len(self.model.card.classes)
        found = np.empty((count, bottom - top, right - left), np.float32)
        first_row, first_column = block.rows.front, block.columns.front
        strips = predict_placed(
            _skipping_empty(self._predictor, count),
            read_rows,
            block.span,
            block.rows.windows,
            block.columns.windows,
            batch=BATCH,
            origin=block.origin,
            progress=progress,
        )
        for row, strip in strips:
            kept = slice(max(row, first_row), min(row + strip.shape[1], first_row + bottom - top))
            if kept.start < kept.stop:
                columns = slice(first_column, first_column + right - left)
                rows = slice(kept.start - first_row, kept.stop - first_row)
                found[:, rows] = strip[:, kept.start - row : kept.stop - row, columns]
        return found

    @cached_property
    def _predictor(self) -> Predictor:
        """The network as `tiling` wants it."""
        card, params = self.model.card, self.job.params
        step = step_for(card, params.timestep, params.told)
        noise = NoiseField(params.seed, len(card.bands) * len(self.job.files))
        return window_predictor(self.model, step, process_for(card, params), noise)


def _skipping_empty(predict: Predictor, classes: int) -> Predictor:
    """Show the network only windows with data; the last band says where there is some."""

    def predict_windows(
        windows: NDArray[np.float32], positions: list[tuple[int, int]]
    ) -> NDArray[Any]:
        kept = np.flatnonzero(windows[:, -1].any(axis=(1, 2)))
        found = np.zeros((len(windows), classes, *windows.shape[2:]), np.float32)
        if kept.size:
            clean = np.ascontiguousarray(windows[kept, :-1])
            found[kept] = predict(clean, [positions[index] for index in kept])
        return found

    return predict_windows
