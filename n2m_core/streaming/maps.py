"""Segmentation and change detection of scenes of any size.

Statistics that normalisation needs come from the whole scene, as for an image in memory, and are
found before the first block. A block's windows are the scene's own (see `blocks`), so its
probabilities are those of the scene mapped in one piece, to the rounding of float32 sums.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from n2m_core.checkpoints import CheckpointCard, LoadedModel, load
from n2m_core.errors import CheckpointError, GridError, NoOverlapError
from n2m_core.geo_image import GeoImage, Mask, Progress
from n2m_core.normalize import input_limits, sample_step, to_model_range
from n2m_core.raster_io import (
    MAX_SCENE_PIXELS,
    Box,
    PartSpec,
    Scene,
    SceneFile,
    header_of,
    on_grid,
    sampled,
)
from n2m_core.render import hex_to_rgb
from n2m_core.streaming.blocks import Block, BlockGrid
from n2m_core.streaming.jobs import BlockResult, Loaded, side_for
from n2m_core.tasks.change import NO_COMMON_PIXEL, ON_BEFORE
from n2m_core.tasks.inference import (
    BATCH,
    NO_DATA,
    NoiseField,
    choose_bands,
    process_for,
    resolution_note,
    step_for,
    unusual_notes,
    window_predictor,
    window_sides,
)
from n2m_core.tasks.labelling import check_params, make_labels, with_stated_resolution
from n2m_core.tasks.lattice import FloatArray, Lattice, plan_lattice
from n2m_core.tasks.mapping import check_task
from n2m_core.tasks.params import MapParams
from n2m_core.tasks.result import INVALID
from n2m_core.tiling import Predictor, predict_placed

CLASSES, PROBABILITIES, CONFIDENCE = "classes", "probabilities", "confidence"
CONFIDENCE_STEPS = 65_535
"""Confidence is kept as uint16 while a scene is mapped; the mean of an area loses nothing by it."""
CHUNK_ROWS = 256
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


def load_same(
    checkpoint: str,
    task: Literal["segment", "change", "refine"],
    device: str,
    sha256: str,
    root: Path | None = None,
) -> LoadedModel:
    """Load weights that must be those of the client.

    Raises:
        CheckpointError: they are others.
    """
    model = load(checkpoint, task, device=device, root=root)
    if model.card.sha256 != sha256:
        raise CheckpointError(
            f"The weights of {checkpoint} on this machine are others than those of the machine "
            "that gave out the work; bring both to the same version."
        )
    return model


@dataclass(frozen=True, eq=False)
class PreparedMap:
    """A job with what a person should know about it.

    Attributes:
        job: what is done.
        work: its files and weights, open.
        notes: a sentence each.
    """

    job: MapJob
    work: MapWork
    notes: tuple[str, ...]


def prepare(
    files: Sequence[SceneFile],
    model: LoadedModel,
    params: MapParams,
    *,
    device: str = "auto",
    extras: Sequence[str] = (),
    side_px: int | None = None,
) -> PreparedMap:
    """Look at the whole scene once, and plan its map.

    Args:
        files: the image, or before and after.
        model: a checkpoint for one or two images.
        params: the person's choices.
        device: for workers of a cluster.
        extras: see `MapJob`.
        side_px: about how large a block is, lattice pixels.

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
    samples = sampled(scenes, step)
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
    return PreparedMap(job, MapWork(job, model), tuple(dict.fromkeys(notes)))


def with_wanted_bands(file: SceneFile, card: CheckpointCard) -> tuple[SceneFile, tuple[str, ...]]:
    """Choose the bands that a checkpoint wants, as `choose_bands` does, without reading pixels.

    Returns:
        The file with these bands picked, and notes.
    """
    header = file.opened().header
    # A pixel whose values are the numbers of its bands tells which ones were taken.
    numbers = np.arange(header.bands, dtype=np.uint16)[:, None, None]
    told = replace(header, pixels=numbers, valid=np.ones((1, 1), np.bool_))
    chosen = choose_bands(told, card)
    order = tuple(int(number) for number in chosen.pixels[:, 0, 0])
    return replace(file, picked=order), chosen.notes


def aligned(files: Sequence[SceneFile]) -> tuple[list[Scene], list[str]]:
    """Open one scene, or a pair on the grid of the earlier one; see `change.align_pair`.

    Returns:
        The scenes, and notes on what was done.
    """
    scenes: list[Scene] = [file.opened() for file in files]
    if len(scenes) == 1:
        return scenes, []
    before, after = scenes
    if before.header.crs is None and after.header.crs is not None:
        before = on_grid(before, after.header)
    else:
        after = on_grid(after, before.header)
    if [before, after] == scenes:
        return scenes, []
    is_placed = all(scene.header.is_georeferenced for scene in scenes)
    note = ON_BEFORE if is_placed else "The images of the pair were matched pixel by pixel."
    return [before, after], [note]


def lattice_of(header: GeoImage, card: CheckpointCard, resolution_m: float | None) -> Lattice:
    """Lay the checkpoint's lattice over a scene."""
    return plan_lattice(
        header, card.resolution_m, taken_as_m=resolution_m, max_pixels=MAX_SCENE_PIXELS
    )


def class_raster(header: GeoImage, card: CheckpointCard, tags: Mapping[str, str]) -> PartSpec:
    """Describe a raster of classes."""
    colors = {index: hex_to_rgb(entry.color) for index, entry in enumerate(card.classes)}
    grid = like(header, ("class",), np.uint8)
    return PartSpec(grid, INVALID, INVALID, colors, tags)


def probability_raster(
    header: GeoImage, names: tuple[str, ...], tags: Mapping[str, str]
) -> PartSpec:
    """Describe a raster of float32 bands, NaN where there is no data."""
    return PartSpec(like(header, names, np.float32), np.nan, np.nan, None, tags)


def confidence_raster(header: GeoImage) -> PartSpec:
    """Describe the raster that keeps the confidence until areas are traced."""
    return PartSpec(like(header, (CONFIDENCE,), np.uint16), None, 0, None, {})


def like(header: GeoImage, names: tuple[str, ...], dtype: type[np.generic]) -> GeoImage:
    """Describe other bands on the same grid."""
    shape = header.valid.shape
    made = header_of((shape[0], shape[1]), header.crs, header.transform, names, np.dtype(dtype))
    return replace(made, resolution_m=header.resolution_m)


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


def map_bands(
    rows_of: Callable[[int, int], FloatArray],
    valid: Mask,
    card: CheckpointCard,
    threshold: float | None,
    extras: Sequence[str],
) -> dict[str, NDArray[Any]]:
    """Turn a block's probabilities into what is written, some rows at a time.

    Args:
        rows_of: gives probabilities float32 [K, rows, W] of the rows from one to another.
        valid: where the block has data, bool [H, W].
        card: of the checkpoint.
        threshold: least probability of the target; the likeliest class when None.
        extras: rasters beside the classes.

    Returns:
        Pixels [C, H, W] by the name of the raster.
    """
    kept: dict[str, list[NDArray[Any]]] = {CLASSES: [], **{name: [] for name in extras}}
    for first in range(0, len(valid), CHUNK_ROWS):
        stop = min(len(valid), first + CHUNK_ROWS)
        is_data = valid[first:stop]
        probabilities = rows_of(first, stop)
        labels = make_labels(probabilities, is_data, card, threshold)
        kept[CLASSES].append(labels[None])
        if PROBABILITIES in kept:
            kept[PROBABILITIES].append(np.where(is_data, probabilities, np.float32(np.nan)))
        if CONFIDENCE in kept:
            shown = np.where(is_data, labels, 0)[None].astype(np.intp)
            share = np.take_along_axis(probabilities, shown, axis=0)
            steps = np.rint(np.where(is_data, share, 0).clip(0, 1) * CONFIDENCE_STEPS)
            kept[CONFIDENCE].append(steps.astype(np.uint16))
    return {name: np.concatenate(parts, axis=1) for name, parts in kept.items()}
