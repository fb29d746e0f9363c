"""Fuse two dates with fine and coarse images and one with only a coarse one into its fine image.

The result lies on the grid of the first fine image, in its scale and dtype. The coarse images may
lie on any grid that covers it: they are resampled bilinearly.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Any

import numpy as np

from n2m_core.errors import BandError, GridError, ParameterError
from n2m_core.fusion.inputs import BoolArray, FloatArray, FusionInputs
from n2m_core.geo_image import GeoImage, Progress
from n2m_core.metrics.fusion import FusionScore, score
from n2m_core.raster_io import align_to, same_grid
from n2m_core.tasks.fusion_frames import MAX_FRAMES, FuseFrame, predict
from n2m_core.tasks.fusion_methods import METHODS, checkpoint_of, open_method

USUAL_SCALE = 16
"""Taken where coarse images lie on the fine grid already, so that their own pixels are unknown."""
LEAST_COVER, WHOLE_COVER = 0.5, 0.999
BRIGHTEST = 2.0
"""Reflectance is hardly ever higher, so larger values are digital numbers."""
DN_SCALES = (1.0, 255.0, 10_000.0)
SEEDS = 2**63
"""As many as `tasks.params` takes, which would bring torch along; fusion starts without it."""


@dataclass(frozen=True)
class FuseParams:
    """A person's choices.

    Attributes:
        method: name in `fusion_methods.METHODS`.
        window_px: side of the method's window, odd; None for the method's own.
        scale: sides of a coarse pixel in fine ones; None to read it from the grids.
        dn_scale: pixel value that means reflectance 1; None to tell 1, 255 and 10000 apart.
        dates: of the first pair, the target and the last pair; None when unknown.
        checkpoint: weights of a learned method; its usual ones when None.
        steps: sampling steps of a learned method; None for those of its checkpoint.
        eta: share of fresh noise in its steps, 0..1.
        seed: names its noise draw.
        frames: how many moments of its way back to keep, 0..24.
    """

    method: str = "estarfm"
    window_px: int | None = None
    scale: int | None = None
    dn_scale: float | None = None
    dates: tuple[date, date, date] | None = None
    checkpoint: str | None = None
    steps: int | None = None
    eta: float = 0.0
    seed: int = 0
    frames: int = 0

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            ParameterError: a value is out of its range, or the dates are out of order.
        """
        if self.method not in METHODS:
            raise ParameterError(
                f"There is no fusion method {self.method!r}; choose of {', '.join(METHODS)}."
            )
        if self.scale is not None and not 1 <= self.scale <= 100:
            raise ParameterError(f"The scale is {self.scale}; give 1 to 100, such as 16.")
        if self.dn_scale is not None and not self.dn_scale > 0:
            raise ParameterError(
                f"The value of reflectance 1 is {self.dn_scale}; give a positive one, as 10000 is."
            )
        if self.dates is not None and not self.dates[0] < self.dates[1] < self.dates[2]:
            shown = ", ".join(day.isoformat() for day in self.dates)
            raise ParameterError(
                f"The dates {shown} are out of order: the first pair comes before the target date "
                "and the last pair after it. Exchange the images or correct the dates."
            )
        if (self.steps is not None and self.steps < 1) or not 0 <= self.eta <= 1:
            raise ParameterError(
                f"{self.steps} steps with eta {self.eta} can't be taken; give at least 1 step and "
                "an eta of 0 to 1."
            )
        if not 0 <= self.seed < SEEDS:
            raise ParameterError(f"Seed {self.seed} must be a whole number in 0..{SEEDS - 1}.")
        if not 0 <= self.frames <= MAX_FRAMES:
            raise ParameterError(f"{self.frames} frames; 0 to {MAX_FRAMES} can be kept.")


@dataclass(frozen=True, eq=False)
class FuseImages:
    """The five images that a fusion begins with, each on its own grid and in its own units."""

    fine0: GeoImage
    coarse0: GeoImage
    fine2: GeoImage
    coarse2: GeoImage
    coarse1: GeoImage


@dataclass(frozen=True, eq=False)
class Prepared:
    """Five images on one grid in reflectance.

    Attributes:
        inputs: for the methods.
        images: the five as they were given, on the grid of the first fine one.
        dn_scale: value of the first fine image that means reflectance 1.
        notes: what was done to them, a sentence each.
    """

    inputs: FusionInputs
    images: FuseImages
    dn_scale: float
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class FuseResult:
    """A fused image.

    Attributes:
        image: in the scale and dtype of the first fine image, on its grid.
        reflectance: the same as float32 [C, H, W] in reflectance.
        prepared: what it was made of.
        params: the person's choices, with the checkpoint that was taken.
        layers: views into the method, float32 [H, W] by name.
        notes: what the person should know, a sentence each.
        seconds: wall time of the method.
        frames: moments of its way back, coarsest first; where they were asked for and it has any.
    """

    image: GeoImage
    reflectance: FloatArray
    prepared: Prepared
    params: FuseParams
    layers: dict[str, FloatArray]
    notes: tuple[str, ...]
    seconds: float
    frames: tuple[FuseFrame, ...] = ()

    @property
    def tags(self) -> dict[str, str]:
        """What an exported file should say about where it came from."""
        return tags_of(self.params, self.prepared.dn_scale)


def tags_of(params: FuseParams, dn_scale: float) -> dict[str, str]:
    """Say how a fused image was made."""
    found = {"N2M_FUSION": params.method, "N2M_DN_SCALE": f"{dn_scale:g}"}
    if params.dates is not None:
        found["N2M_DATE"] = params.dates[1].isoformat()
    if params.checkpoint is not None:
        found["N2M_CHECKPOINT"] = params.checkpoint
    return found


def run(
    images: FuseImages, params: FuseParams | None = None, progress: Progress | None = None
) -> FuseResult:
    """Predict the fine image of the target date.

    Args:
        images: the five images.
        params: the person's choices.
        progress: told of every step; may raise to stop.

    Raises:
        BandError: the images differ in bands.
        GridError: coarse images do not cover the fine ones, are finer than them, or no pixel is
            valid in all five.
        NoOverlapError: two images share no ground.
        ParameterError: the images are in different scales.
    """
    params = params or FuseParams()
    return fuse(prepare(images, params), params, progress)


def fuse(prepared: Prepared, params: FuseParams, progress: Progress | None = None) -> FuseResult:
    """Run a method on images that `prepare` gave; several methods can share them."""
    if params.checkpoint is None:
        params = replace(params, checkpoint=checkpoint_of(params.method))
    method = open_method(params, prepared.images.fine0.band_names)
    started = time.perf_counter()
    output, frames = predict(method, prepared.inputs, params.frames, progress or _quiet)
    seconds = time.perf_counter() - started
    grid = prepared.images.fine0
    return FuseResult(
        image=in_units(output.fine1, output.valid, grid, prepared.dn_scale),
        reflectance=output.fine1,
        prepared=prepared,
        params=params,
        layers=output.layers,
        notes=prepared.notes,
        seconds=seconds,
        frames=frames,
    )


def _quiet(done: int, total: int, note: str) -> None:
    """Progress that nobody asked for."""


def prepare(images: FuseImages, params: FuseParams) -> Prepared:
    """Bring the five images onto one grid and into reflectance, and check that they fit.

    Raises:
        N2MError: see `run`.
    """
    given = {each.name: getattr(images, each.name) for each in fields(FuseImages)}
    check_bands(given)
    grid, notes = images.fine0, list(images.fine0.notes)
    scale = coarse_scale(images, params, notes)
    placed = {"fine0": grid}
    for name in ("fine2", "coarse0", "coarse2", "coarse1"):
        if not same_grid(given[name], grid):
            _check_cover(name, given[name], grid, notes)
        placed[name] = align_to(given[name], grid)
        if name == "fine2" and placed[name] is not given[name]:
            notes.append("The second fine image was moved to the grid of the first.")
    valid = np.logical_and.reduce([image.valid for image in placed.values()])
    if not valid.any():
        shares = ", ".join(f"{name} {image.valid.mean():.0%}" for name, image in placed.items())
        raise GridError(
            "No pixel has data in all five images, so there is nothing to fuse. Shares with data: "
            f"{shares}. Choose other dates, or a part without clouds."
        )
    if not valid.all():
        notes.append(f"{1 - valid.mean():.1%} of the pixels are masked in one of the five images.")
    dn_scale = params.dn_scale or find_dn_scale(placed, valid)
    reflectance = {
        name: image.pixels.astype(np.float32) / np.float32(dn_scale)
        for name, image in placed.items()
    }
    valid = np.ascontiguousarray(valid)
    fine0, coarse0, fine2, coarse2, coarse1 = (
        reflectance[each.name] for each in fields(FuseImages)
    )
    inputs = FusionInputs(fine0, coarse0, fine2, coarse2, coarse1, valid, scale)
    return Prepared(inputs, FuseImages(**placed), dn_scale, tuple(dict.fromkeys(notes)))


def check_bands(given: dict[str, GeoImage]) -> None:
    """Refuse images that differ in bands."""
    if len({image.bands for image in given.values()}) != 1:
        counts = ", ".join(f"{name} {image.bands}" for name, image in given.items())
        raise BandError(
            f"The images have different numbers of bands: {counts}. Choose the same bands of all, "
            "in the same order."
        )


def coarse_scale(images: FuseImages, params: FuseParams, notes: list[str]) -> int:
    """Sides of a coarse pixel in fine ones: what the person said, or what the grids say."""
    if params.scale is not None:
        return params.scale
    fine, coarse = images.fine0.resolution_m, images.coarse1.resolution_m
    if fine is None or coarse is None or same_grid(images.fine0, images.coarse1):
        notes.append(
            f"The coarse images lie on the fine grid, so a scale of {USUAL_SCALE} was taken; say "
            "so if it is another."
        )
        return USUAL_SCALE
    ratio = coarse / fine
    if ratio < 0.75:
        raise GridError(
            f"The coarse image has pixels of {coarse:.3g} m and the fine one of {fine:.3g} m; fine "
            "and coarse seem to be exchanged."
        )
    return max(1, min(100, round(ratio)))


def _check_cover(name: str, image: GeoImage, grid: GeoImage, notes: list[str]) -> None:
    """Refuse an image whose outline leaves most of the grid free; tell of a smaller gap."""
    if image.crs is None or grid.crs is None:
        return
    ones = np.ones_like(image.valid)
    outline = image.with_pixels(ones[None].astype(np.uint8), ("data",), valid=ones)
    covered = float(align_to(outline, grid).valid.mean())
    if covered < LEAST_COVER:
        raise GridError(
            f"{name} covers only {covered:.0%} of the first fine image; give images that cover the "
            "same ground, or cut the fine images."
        )
    if covered < WHOLE_COVER:
        notes.append(f"{name} covers {covered:.1%} of the first fine image; the rest is masked.")


def find_dn_scale(placed: dict[str, GeoImage], valid: BoolArray) -> float:
    """The value that means reflectance 1, told from the values themselves.

    Raises:
        ParameterError: the images are in different scales, or in none that is known.
    """
    brightest = {
        name: float(np.quantile(np.abs(image.pixels[:, valid]), 0.99))
        for name, image in placed.items()
    }
    scales = {name: _scale_of(image, brightest[name]) for name, image in placed.items()}
    if len(set(scales.values())) > 1:
        groups = "; ".join(
            f"{', '.join(name for name in scales if scales[name] == scale)} like 0..{scale:g} "
            f"(brightest {max(brightest[name] for name in scales if scales[name] == scale):.4g})"
            for scale in sorted(set(scales.values()))
        )
        raise ParameterError(
            f"The images are in different scales: {groups}. Bring all into one, such as "
            "reflectance times 10000, or say which value means reflectance 1."
        )
    return next(iter(scales.values()))


def _scale_of(image: GeoImage, brightest: float) -> float:
    """1 for reflectance, 255 for bytes, 10000 for the usual digital numbers."""
    if image.pixels.dtype == np.uint8:
        return DN_SCALES[1]
    return DN_SCALES[0] if brightest <= BRIGHTEST else DN_SCALES[2]


def in_units(
    reflectance: FloatArray, valid: BoolArray, grid: GeoImage, dn_scale: float
) -> GeoImage:
    """Put reflectance into the scale and dtype of the first fine image; 0 where not valid."""
    values = np.where(valid, reflectance * np.float32(dn_scale), 0)
    dtype = grid.pixels.dtype
    if dtype.kind in "ui":
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return grid.with_pixels(values.astype(dtype), grid.band_names, valid=valid)


def truth_on_grid(truth: GeoImage, prepared: Prepared) -> tuple[FloatArray, BoolArray]:
    """A true fine image on the result's grid: reflectance [C, H, W], and where it can be compared.

    Raises:
        BandError: it has other bands.
        ParameterError: it is in another scale than the images.
        NoOverlapError: it lies elsewhere.
    """
    if truth.bands != prepared.inputs.bands:
        raise BandError(
            f"The truth has {truth.bands} bands and the images {prepared.inputs.bands}; give the "
            "same bands in the same order."
        )
    moved = align_to(truth, prepared.images.fine0)
    valid = moved.valid & prepared.inputs.valid
    if valid.any() and prepared.dn_scale in DN_SCALES:
        find_dn_scale({"fine0": prepared.images.fine0, "the truth": moved}, valid)
    return moved.pixels.astype(np.float32) / np.float32(prepared.dn_scale), valid


def score_result(result: FuseResult, truth: GeoImage) -> dict[str, Any]:
    """Compare a fused image with the true one.

    Returns:
        The report of `n2m evaluate fusion` for one image.

    Raises:
        N2MError: see `truth_on_grid`; GridError when nothing can be compared.
    """
    expected, valid = truth_on_grid(truth, result.prepared)
    found = score(expected, result.reflectance, valid, ratio=result.prepared.inputs.scale)
    return report_of(result.params.method, found, result.image.band_names, result.seconds)


def report_of(
    method: str, found: FusionScore, band_names: tuple[str, ...], seconds: float
) -> dict[str, Any]:
    """The scores of one image as a report."""
    return {
        "task": "fusion",
        "method": method,
        "rmse": found.rmse,
        "rmse_band_mean": found.rmse_band_mean,
        "cc": found.cc,
        "ssim": found.ssim,
        "ergas": found.ergas,
        "ergas_ratio": found.ergas_ratio,
        "sam_deg": found.sam_deg,
        "per_band": [
            {"name": name, "rmse": band.rmse, "bias": band.bias, "cc": band.cc, "ssim": band.ssim}
            for name, band in zip(band_names, found.per_band, strict=True)
        ],
        "pixels": found.pixels,
        "seconds": round(seconds, 3),
    }
