"""Fusion of scenes of any size.

A block is fused with a halo as wide as the method looks: half the window of STARFM and ESTARFM, a
window of a network. What these methods take from the whole image, the standard deviation of each
fine band and the bias of the coarse sensor, is that of the whole scene, so STARFM, ESTARFM and the
simple methods give what they give in memory. A network that walks back in steps passes on what lies
beyond the halo from window to window, ever more faintly. FSDAF finds its classes and bends its
coarse change over the whole image and can't be cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from n2m_core.errors import GridError, ParameterError
from n2m_core.fusion.estarfm import EstarfmParams
from n2m_core.fusion.inputs import FusionInputs, FusionMethod
from n2m_core.fusion.starfm import StarfmParams
from n2m_core.geo_image import GeoImage, Progress
from n2m_core.normalize import sample_step
from n2m_core.raster_io import (
    Box,
    PartSpec,
    Scene,
    SceneFile,
    finish_cog,
    on_grid,
    sampled,
    strips_of,
    write_strips,
)
from n2m_core.raster_io.scene import boxes
from n2m_core.streaming.halos import HaloBlock, halo_blocks
from n2m_core.streaming.jobs import BlockResult, Loaded, ReadyJob
from n2m_core.streaming.journal import Journal
from n2m_core.streaming.rasters import like
from n2m_core.tasks.fuse import (
    FuseImages,
    FuseParams,
    check_bands,
    coarse_scale,
    find_dn_scale,
    in_units,
    tags_of,
)
from n2m_core.tasks.fusion_methods import METHODS, checkpoint_of, open_method

ROLES = ("fine0", "coarse0", "fine2", "coarse2", "coarse1")
FINE, VALID = "fine", "valid"
SIDE_PX = 1024
"""Side of a block; five images of several bands are held as float32."""
PART_PX = 2048
"""Sides of the parts in which a whole scene is looked through."""
WITH_SPREAD = ("starfm", "estarfm")
Spread = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class FuseJob:
    """A fusion of five scenes.

    Attributes:
        files: fine0, coarse0, fine2, coarse2, coarse1.
        params: the person's choices, checkpoint and scales settled.
        spread: see `FusionInputs`; None for methods that don't look at it.
        bias: see `FusionInputs`; None for methods that don't look at it.
        side_px: side of a block, pixels.
        halo_px: of the halo, pixels.
    """

    files: tuple[SceneFile, ...]
    params: FuseParams
    spread: Spread | None
    bias: tuple[float, ...] | None
    side_px: int
    halo_px: int

    def open(self) -> FuseWork:
        """Open files and weights."""
        return FuseWork(self)


def prepare(
    files: Mapping[str, SceneFile],
    params: FuseParams,
    *,
    side_px: int | None = None,
    progress: Progress | None = None,
) -> ReadyJob[FuseJob, FuseWork]:
    """Look at the five scenes once, and plan their fusion.

    Args:
        files: of each of `ROLES`.
        params: the person's choices.
        side_px: side of a block, pixels.
        progress: told while the scenes are looked at; may raise to stop.

    Raises:
        BandError: the images differ in bands.
        GridError: fine and coarse are exchanged, or no pixel is valid in all five.
        NoOverlapError: two images share no ground.
        ParameterError: the images are in different scales, or the method can't be cut.
    """
    if params.method == "fsdaf":
        raise ParameterError(
            "FSDAF finds its classes over the whole image and can't work block by block. Choose "
            "starfm, estarfm or a learned method, or give a part with --engine memory."
        )
    listed = tuple(files[role] for role in ROLES)
    own = {role: files[role].opened().header for role in ROLES}
    check_bands(own)
    notes = list(own["fine0"].notes)
    scale = coarse_scale(FuseImages(**own), params, notes)
    scenes = _on_one_grid(listed)
    samples = sampled(scenes, sample_step(scenes[0].header.valid.size), progress)
    valid = np.logical_and.reduce([sample.valid for sample in samples])
    if not valid.any():
        raise GridError(
            "No pixel has data in all five images, so there is nothing to fuse. Choose other "
            "dates, or a part without clouds."
        )
    if not valid.all():
        notes.append(f"About {1 - valid.mean():.1%} of the pixels are masked in one of the images.")
    named = dict(zip(ROLES, samples, strict=True))
    settled = replace(
        params,
        scale=scale,
        dn_scale=params.dn_scale or find_dn_scale(named, valid),
        checkpoint=params.checkpoint or checkpoint_of(params.method),
        frames=0,
    )
    spread = _spread(scenes, settled) if params.method in WITH_SPREAD else None
    method = open_method(settled, own["fine0"].band_names)
    bias = None if METHODS[params.method].weights is None else _bias(scenes, settled)
    job = FuseJob(listed, settled, spread, bias, side_px or SIDE_PX, _halo(method, settled))
    return ReadyJob(job, FuseWork(job), tuple(dict.fromkeys(notes)))


def _on_one_grid(files: Sequence[SceneFile]) -> list[Scene]:
    """See the five scenes on the grid of the first fine one."""
    first, *others = [file.opened() for file in files]
    return [first, *(on_grid(scene, first.header) for scene in others)]


def _halo(method: FusionMethod, params: FuseParams) -> int:
    """How far a method looks from a pixel, pixels."""
    entry = METHODS[params.method]
    if entry.is_naive:
        return 0
    if entry.weights is not None:
        from n2m_core.fusion.learned import LearnedFusion

        assert isinstance(method, LearnedFusion)
        return method.loaded.card.window_px
    usual = {"starfm": StarfmParams().window_px, "estarfm": EstarfmParams().window_px}
    return (params.window_px or usual[params.method]) // 2


def _spread(scenes: Sequence[Scene], params: FuseParams) -> Spread:
    """Standard deviation of both fine images over all pixels valid in the five, reflectance."""
    assert params.dn_scale is not None
    bands = scenes[0].header.bands
    count, sums, squares = 0, np.zeros((2, bands)), np.zeros((2, bands))
    shift: np.ndarray[tuple[int, int], np.dtype[np.float64]] | None = None
    for seen in _valid_pixels(scenes):
        fine = np.stack([seen["fine0"], seen["fine2"]])
        values = (fine.astype(np.float32) / np.float32(params.dn_scale)).astype(np.float64)
        # Sums around a value that occurs, because squares of large numbers lose the digits.
        shift = values[:, :, 0] if shift is None else shift
        values -= shift[:, :, None]
        count += values.shape[2]
        sums += values.sum(axis=2)
        squares += (values**2).sum(axis=2)
    # ESTARFM takes the sample's deviation, STARFM the population's.
    free = count - 1 if params.method == "estarfm" and count > 1 else max(count, 1)
    found = np.sqrt(np.maximum(squares - sums**2 / max(count, 1), 0) / free)
    first, second = (tuple(float(value) for value in row) for row in found)
    return first, second


def _bias(scenes: Sequence[Scene], params: FuseParams) -> tuple[float, ...]:
    """How much brighter the coarse images of both pairs are, over all valid pixels, reflectance."""
    assert params.dn_scale is not None
    count, gaps = 0, np.zeros(scenes[0].header.bands)
    for seen in _valid_pixels(scenes):
        for pair in ("0", "2"):
            gap = seen[f"coarse{pair}"].astype(np.float64) - seen[f"fine{pair}"]
            gaps += gap.sum(axis=1)
            count += gap.shape[1]
    return tuple(float(each) for each in gaps / (max(count, 1) * params.dn_scale))


def _valid_pixels(scenes: Sequence[Scene]) -> Iterator[dict[str, NDArray[Any]]]:
    """Read through the five scenes; gives the values of valid pixels, [C, n] by role, in parts."""
    height, width = scenes[0].header.valid.shape
    for box in boxes((height, width), PART_PX):
        read = [scene.read(box) for scene in scenes]
        valid = np.logical_and.reduce([image.valid for image in read])
        if valid.any():
            yield {role: image.pixels[:, valid] for role, image in zip(ROLES, read, strict=True)}


@dataclass(frozen=True, eq=False)
class FuseWork:
    """A fusion's files and weights, open.

    Attributes:
        job: what is done.
    """

    job: FuseJob

    @cached_property
    def scenes(self) -> list[Scene]:
        """The five scenes on one grid."""
        return _on_one_grid(self.job.files)

    @property
    def header(self) -> GeoImage:
        """The first fine image without its pixels."""
        return self.scenes[0].header

    @cached_property
    def blocks(self) -> tuple[HaloBlock, ...]:
        """Where the blocks lie."""
        return halo_blocks(self.header, self.job.side_px, self.job.halo_px)

    @property
    def boxes(self) -> list[Box]:
        """The pixels of every block, by its number."""
        return [block.image for block in self.blocks]

    @property
    def rasters(self) -> dict[str, PartSpec]:
        """What is written, by name: the fine image, and where it is data."""
        params = self.job.params
        assert params.dn_scale is not None
        tags = tags_of(params, params.dn_scale)
        mask = like(self.header, (VALID,), np.uint8)
        return {
            FINE: PartSpec(self.header, None, 0, None, tags),
            VALID: PartSpec(mask, None, 0, None, {}),
        }

    def read(self, number: int) -> Loaded:
        """Read a block of all five, with the halo."""
        box = self.blocks[number].read
        return Loaded(tuple(scene.read(box) for scene in self.scenes))

    def compute(self, number: int, loaded: Loaded, progress: Progress | None) -> BlockResult:
        """Fuse a block."""
        block, params = self.blocks[number], self.job.params
        valid = np.logical_and.reduce([image.valid for image in loaded.images])
        rows, columns = block.inner
        if not valid[rows, columns].any():
            return BlockResult(number, block.image, {}, {"valid": 0})
        assert params.dn_scale is not None
        assert params.scale is not None
        divisor = np.float32(params.dn_scale)
        reflectance = {
            role: image.pixels.astype(np.float32) / divisor
            for role, image in zip(ROLES, loaded.images, strict=True)
        }
        inputs = FusionInputs(
            **reflectance,
            valid=np.ascontiguousarray(valid),
            scale=params.scale,
            spread=self.job.spread,
            bias=self.job.bias,
        )
        output = self._method_at(block.read).predict(inputs, progress or _quiet)
        made = in_units(output.fine1, output.valid, loaded.images[0], params.dn_scale)
        inside = made.valid[rows, columns]
        bands = {
            FINE: np.ascontiguousarray(made.pixels[:, rows, columns]),
            VALID: inside[None].astype(np.uint8) * np.uint8(255),
        }
        return BlockResult(number, block.image, bands, {"valid": int(inside.sum())})

    @cached_property
    def _method(self) -> FusionMethod:
        """The method, its weights loaded."""
        return open_method(self.job.params, self.header.band_names)

    def _method_at(self, box: Box) -> FusionMethod:
        """The method at a place of the scene, which says what noise and windows it sees."""
        if METHODS[self.job.params.method].weights is None:
            return self._method
        from n2m_core.fusion.learned import LearnedFusion

        method = self._method
        assert isinstance(method, LearnedFusion)
        return LearnedFusion(method.loaded, replace(method.params, origin=(box.top, box.left)))


def finish(journal: Journal, work: FuseWork, out: Path) -> float:
    """Make the file of a fused image whose blocks are all done.

    Args:
        journal: of the run.
        work: its files.
        out: where.

    Returns:
        Share of the pixels with data.

    Raises:
        OutputError: the file can't be written.
    """
    spec = work.rasters[FINE]
    share = journal.totals().get("valid", 0) / spec.header.valid.size
    draft = journal.raster("masked")
    strips = (
        (top, pixels, None if share == 1 else valid[0] > 0)
        for top, (pixels, valid) in strips_of([journal.raster(FINE), journal.raster(VALID)])
    )
    write_strips(draft, spec, strips)
    finish_cog(draft, out, is_labels=False)
    journal.remove()
    return share


def _quiet(done: int, total: int, note: str) -> None:
    """Progress that nobody asked for."""
