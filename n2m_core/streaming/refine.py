"""Refinement of rough maps of any size.

The walk from noise is taken in each block with a halo around it, from the noise field and on the
lattice of the whole scene. At every step windows are blended with their neighbours, so that what
lies beyond the halo reaches a block by way of many windows and ever more faintly: the result is
the map of the scene in one piece but for a small share of the pixels near the blocks' edges
(at least 98.5 % get the same class), and exactly the same from run to run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from n2m_core.checkpoints import CheckpointCard, LoadedModel
from n2m_core.datasets.base import values_of
from n2m_core.datasets.rough import MOST_VALUES, table_of_values
from n2m_core.errors import GridError, LabelError
from n2m_core.geo_image import GeoImage, Mask, Progress
from n2m_core.models.idgbr import Refiner
from n2m_core.normalize import input_limits, sample_step, to_model_range
from n2m_core.raster_io import Box, PartSpec, Scene, SceneFile, on_grid, sampled
from n2m_core.raster_io.scene import boxes
from n2m_core.streaming.halos import HaloBlock, halo_blocks
from n2m_core.streaming.jobs import SIDE_PX, BlockResult, Loaded, ReadyJob
from n2m_core.streaming.rasters import (
    CLASSES,
    CONFIDENCE,
    PROBABILITIES,
    UNCERTAINTY,
    class_raster,
    confidence_raster,
    map_bands,
    probability_raster,
)
from n2m_core.streaming.scenes import lattice_of, load_same, with_wanted_bands
from n2m_core.tasks.denoising import LatentField
from n2m_core.tasks.inference import NO_DATA, Prepared, resolution_note, unusual_notes
from n2m_core.tasks.labelling import with_stated_resolution
from n2m_core.tasks.lattice import FloatArray, Lattice
from n2m_core.tasks.mapping import check_task
from n2m_core.tasks.refine import RefineParams, chosen_walk, one_hot, spread
from n2m_core.tasks.result import INVALID

HALO_WINDOWS = 1.0
"""Windows of halo around a block."""
VALUES_BOX_PX = 4096
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class RefineJob:
    """A refinement of a scene.

    Attributes:
        files: the image with the bands that the checkpoint wants, and the rough map.
        checkpoint: its id.
        sha256: of the weights; another process must find the same.
        device: see `checkpoints.choose_device`.
        params: the person's choices.
        limits: what becomes -1 and 1, a pair a band; of the whole scene.
        table: class of every value of the rough map.
        zeros_count: whether zeros that the rough map declares as "no data" are its background.
        extras: rasters beside the classes: "probabilities", "confidence", "uncertainty".
        side_px: side of a block, image pixels.
        halo_px: of the halo, image pixels.
    """

    files: tuple[SceneFile, ...]
    checkpoint: str
    sha256: str
    device: str
    params: RefineParams
    limits: tuple[tuple[float, float], ...]
    table: tuple[tuple[int, int], ...]
    zeros_count: bool
    extras: tuple[str, ...]
    side_px: int
    halo_px: int

    def open(self) -> RefineWork:
        """Open files and weights."""
        return RefineWork(self, load_same(self.checkpoint, "refine", self.device, self.sha256))


def prepare(
    image: SceneFile,
    rough: SceneFile,
    model: LoadedModel,
    params: RefineParams,
    *,
    device: str = "auto",
    extras: Sequence[str] = (),
    side_px: int | None = None,
    progress: Progress | None = None,
) -> ReadyJob[RefineJob, RefineWork]:
    """Look at the whole scene once, and plan its refinement.

    Args:
        image: the image.
        rough: its rough map, one band of classes on any grid.
        model: a checkpoint that refines.
        params: the person's choices.
        device: for workers of a cluster.
        extras: see `RefineJob`.
        side_px: about how large a block is, lattice pixels.
        progress: told while the scene is looked at; may raise to stop.

    Raises:
        CheckpointError: the checkpoint is for another task.
        ImageReadError: a file can't be read in windows.
        BandError: the image lacks bands.
        GridError: no pixel with data, too coarse or too fine an image, or a rough map that can't
            be aligned.
        LabelError: the rough map is none, or of other classes.
    """
    card = model.card
    check_task(card, "refine")
    wanted, told = with_wanted_bands(image, card)
    scene = wanted.opened()
    header = with_stated_resolution(scene.header, params.resolution_m)
    lattice = lattice_of(header, card, params.resolution_m)
    labels = replace(rough, is_labels=True, bands=None, nodata=None)
    below, moved = _rough_on(labels, header)
    table, zeros_count = _values(labels, below, card)
    sample = sampled([scene], sample_step(header.valid.size), progress)[0]
    if not sample.valid.any():
        raise GridError(NO_DATA)
    limits = input_limits(sample, card.normalization)
    scaled = to_model_range(sample, card.normalization, limits=limits)
    notes = [
        *told,
        *moved,
        *resolution_note(header, card, lattice, params.resolution_m),
        *unusual_notes([scaled], sample.valid, card),
    ]
    scale = min(lattice.rows.scale, lattice.columns.scale)
    job = RefineJob(
        files=(wanted, labels),
        checkpoint=card.id,
        sha256=card.sha256,
        device=device,
        params=replace(params, frames=0),
        limits=tuple((float(low), float(high)) for low, high in limits),
        table=tuple(table.items()),
        zeros_count=zeros_count,
        extras=tuple(extras),
        side_px=math.ceil((side_px or SIDE_PX) / scale),
        halo_px=math.ceil(HALO_WINDOWS * card.window_px / scale),
    )
    return ReadyJob(job, RefineWork(job, model), tuple(dict.fromkeys(notes)))


def _rough_on(rough: SceneFile, header: GeoImage) -> tuple[Scene, list[str]]:
    """See the rough map on the image's grid, with a note when it lies on another one."""
    own = rough.opened()
    seen = on_grid(own, header, resampling="nearest")
    if seen is own:
        return seen, []
    return seen, ["The rough map lies on another grid and was aligned to the image."]


def _values(file: SceneFile, rough: Scene, card: CheckpointCard) -> tuple[dict[int, int], bool]:
    """Find which class every value of the rough map means, over the whole of it.

    Returns:
        Value to class; and whether zeros that count as "no data" are background, as in a mask that
        was written with nodata = 0.

    Raises:
        LabelError: it has colours, or is no map of these classes.
    """
    header = rough.header
    if header.bands != 1:
        raise LabelError(
            f"The rough map {file.name} has {header.bands} bands. A scene is refined from one band "
            "of class indices; write it so, or refine it with --engine memory."
        )
    known, missing, all_zero = set[int | float](), set[int | float](), True
    height, width = header.valid.shape
    for box in boxes((height, width), VALUES_BOX_PX):
        read = rough.read(box)
        known.update(values_of(read.pixels[0][read.valid])[: MOST_VALUES + 1].tolist())
        missing.update(values_of(read.pixels[0][~read.valid])[: MOST_VALUES + 1].tolist())
        all_zero &= bool(((read.pixels[0] == 0) == ~read.valid).all())
        if len(known) > MOST_VALUES:
            # A picture or probabilities, which is refused for its many values.
            break
    zeros_count = all_zero and bool(missing)
    found = np.array(sorted(known | (missing if zeros_count else set())))
    if not found.size:
        raise LabelError(f"The rough map {file.name} has no class anywhere on the image.")
    return table_of_values(file.name, found, card.classes), zeros_count


@dataclass(frozen=True, eq=False)
class RefineWork:
    """A refinement's files and weights, open.

    Attributes:
        job: what is done.
        model: the network.
    """

    job: RefineJob
    model: LoadedModel

    @cached_property
    def scenes(self) -> tuple[Scene, Scene]:
        """The image, and the rough map on its grid."""
        image = self.job.files[0].opened()
        return image, _rough_on(self.job.files[1], image.header)[0]

    @cached_property
    def header(self) -> GeoImage:
        """The image without its pixels."""
        return with_stated_resolution(self.scenes[0].header, self.job.params.resolution_m)

    @cached_property
    def lattice(self) -> Lattice:
        """The lattice of the whole scene."""
        return lattice_of(self.header, self.model.card, self.job.params.resolution_m)

    @cached_property
    def blocks(self) -> tuple[HaloBlock, ...]:
        """Where the blocks lie."""
        return halo_blocks(self.header, self.job.side_px, self.job.halo_px)

    @property
    def boxes(self) -> list[Box]:
        """The pixels of every block, by its number."""
        return [block.image for block in self.blocks]

    @cached_property
    def tags(self) -> dict[str, str]:
        """What the files should say about where the map came from."""
        card, params = self.model.card, self.job.params
        return {
            "N2M_CHECKPOINT": card.id,
            "N2M_CHECKPOINT_SHA256": card.sha256,
            "N2M_LICENSE": card.license,
            "N2M_CLASSES": ", ".join(f"{i}={c.name}" for i, c in enumerate(card.classes)),
            "N2M_REFINED": chosen_walk(params, card).told(params.seed),
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
        if UNCERTAINTY in self.job.extras:
            made[UNCERTAINTY] = probability_raster(header, (UNCERTAINTY,), self.tags)
        return made

    def read(self, number: int) -> Loaded:
        """Read a block of the image and of the rough map, with the halo."""
        box = self.blocks[number].read
        image, rough = (scene.read(box) for scene in self.scenes)
        return Loaded((image, rough))

    def compute(self, number: int, loaded: Loaded, progress: Progress | None) -> BlockResult:
        """Refine a block; one without data is not shown to the network."""
        block = self.blocks[number]
        image = loaded.images[0]
        rough = self._labels(loaded.images[1])
        valid = image.valid & (rough != INVALID)
        inside = valid[block.inner]
        if not inside.any():
            return BlockResult(number, block.image, {}, {"valid": 0, "changed": 0})
        draws = self._draw(block, image, rough, valid, progress)
        probabilities = np.mean(draws, axis=0)
        wanted = [name for name in self.job.extras if name != UNCERTAINTY]
        bands = map_bands(
            lambda first, stop: probabilities[:, first:stop], inside, self.model.card, None, wanted
        )
        labels = bands[CLASSES][0]
        if UNCERTAINTY in self.job.extras:
            apart = np.where(inside, spread(draws, labels), np.float32(np.nan))
            bands[UNCERTAINTY] = apart[None].astype(np.float32)
        changed = (labels != rough[block.inner]) & inside
        counts = {"valid": int(inside.sum()), "changed": int(changed.sum())}
        return BlockResult(number, block.image, bands, counts)

    def _labels(self, rough: GeoImage) -> Labels:
        """Turn values of the rough map into classes; 255 where it says nothing."""
        values = rough.pixels[0]
        valid = np.ones_like(rough.valid) if self.job.zeros_count else rough.valid
        labels = np.full(values.shape, INVALID, np.uint8)
        for value, index in self.job.table:
            labels[valid & (values == value)] = index
        return labels

    def _draw(
        self,
        block: HaloBlock,
        image: GeoImage,
        rough: Labels,
        valid: Mask,
        progress: Progress | None,
    ) -> list[FloatArray]:
        """Walk from noise, once a sample; probabilities float32 [K, H, W] of the block alone."""
        card, params, box = self.model.card, self.job.params, block.read
        refiner = self.model.model
        assert isinstance(refiner, Refiner)
        lattice = Lattice(
            self.lattice.rows.cropped(box.top, box.bottom),
            self.lattice.columns.cropped(box.left, box.right),
        )
        limits = np.array(self.job.limits)
        clean = to_model_range(image, card.normalization, limits=limits)
        clean[:, ~image.valid] = 0.0
        x0 = lattice.from_image(clean, image.valid)
        prepared = Prepared(x0, lattice, image.valid, ())
        share = lattice.from_image(one_hot(rough, len(card.classes)), valid)
        walk = chosen_walk(params, card)
        field = LatentField(prepared, share, self.model, refiner, walk.guidance)
        draws = []
        for index in range(walk.samples):
            told = _told(progress, index * walk.steps, walk.samples * walk.steps)
            drawn = field.draw(params.seed + index, walk.steps, told, None)
            draws.append(np.ascontiguousarray(drawn[:, block.inner[0], block.inner[1]]))
        return draws


def _told(progress: Progress | None, before: int, total: int) -> Progress | None:
    """Report the steps of all samples together."""
    if progress is None:
        return None
    report = progress

    def tell(done: int, _total: int, note: str) -> None:
        """Report a step of one sample."""
        report(before + done, total, note)

    return tell
