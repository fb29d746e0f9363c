"""Training triplets from time series of fine images, and a simple model of the coarse sensor.

Symbols:
    s     scale factor: side of a coarse pixel, in fine pixels
    FWHM  full width at half maximum of the Gaussian point spread, in coarse pixels
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import special

from n2m_core.errors import ConfigError, DatasetError
from n2m_core.fusion.filling import filled_from_nearest
from n2m_core.fusion.inputs import BoolArray, FloatArray, FusionInputs
from n2m_core.fusion.triplets import FusionTriplet
from n2m_core.geo_image import GeoImage
from n2m_core.lineage import DataCredit
from n2m_core.raster_io import align_to, read_image
from n2m_core.training.fuse_config import FusionSourceConfig, SensorConfig

DATES = 3
SIGMAS_PER_FWHM = 2 * math.sqrt(2 * math.log(2))
DATE_SHARE = 1 / 3
"""Share of gain and bias that changes from date to date (angles); the rest is the sensor's own."""
SUFFIXES = (".tif", ".tiff")


@dataclass(frozen=True, eq=False)
class FineSeries:
    """Fine images of one place.

    Attributes:
        values: reflectance, float32 [T, C, H, W], in order of time.
        valid: bool [T, H, W], of the coarse images too where there are any.
        coarse: what a real coarse sensor saw, on the fine grid, same shape as `values`; None where
            it is made from them.
    """

    values: FloatArray
    valid: BoolArray
    coarse: FloatArray | None = None

    def __post_init__(self) -> None:
        """Check the number of dates and the shapes.

        Raises:
            ConfigError: fewer than three dates, or a mask of another shape.
        """
        dates, _, height, width = self.values.shape
        if dates < DATES:
            raise ConfigError(f"A series has {dates} dates; fusion is trained on at least {DATES}.")
        if self.valid.shape != (dates, height, width):
            raise ConfigError(
                f"A series' mask has shape {self.valid.shape}; {(dates, height, width)} wanted."
            )
        if self.coarse is not None and self.coarse.shape != self.values.shape:
            raise ConfigError(
                f"The coarse images have shape {self.coarse.shape}, the fine ones "
                f"{self.values.shape}; give as many dates and bands of each."
            )


@dataclass(frozen=True, eq=False)
class CoarseSensor:
    """One coarse sensor over one piece of ground: point spread, sampling, and back to fine.

    Attributes:
        down_rows: weights [h, H] of the coarse pixels along the rows.
        down_columns: the same along the columns.
        up_rows: bilinear weights [H, h] that bring them back.
        up_columns: the same along the columns.
    """

    down_rows: FloatArray
    down_columns: FloatArray
    up_rows: FloatArray
    up_columns: FloatArray

    @classmethod
    def over(
        cls, height: int, width: int, *, scale: int, fwhm: float, phase: tuple[int, int] = (0, 0)
    ) -> CoarseSensor:
        """Lay a sensor over height x width fine pixels.

        Args:
            height: rows.
            width: columns.
            scale: s.
            fwhm: of the point spread.
            phase: fine pixels (rows, columns) by which the coarse grid starts before the ground.
        """
        rows, columns = (
            (_seen(size, scale, fwhm, shift), _spread(size, scale, shift))
            for size, shift in zip((height, width), phase, strict=True)
        )
        return cls(rows[0], columns[0], rows[1], columns[1])

    def observed(self, fine: FloatArray) -> FloatArray:
        """Give what the sensor sees, float32 [C, h, w], of a fine image [C, H, W]."""
        return np.asarray(self.down_rows @ fine @ self.down_columns.T, np.float32)

    def resampled(self, coarse: FloatArray) -> FloatArray:
        """Bring what it saw back to the fine grid, bilinearly, float32 [C, H, W]."""
        return np.asarray(self.up_rows @ coarse @ self.up_columns.T, np.float32)


def _seen(size: int, scale: int, fwhm: float, phase: int) -> FloatArray:
    """Weights of the fine pixels in each coarse one: a box of width s under a Gaussian."""
    centres = _centres(size, scale, phase)
    away = np.arange(size)[None, :] + 0.5 - centres[:, None]
    if fwhm == 0:
        weights = (np.abs(away) < scale / 2).astype(np.float64)
    else:
        sigma = fwhm * scale / SIGMAS_PER_FWHM
        weights = special.ndtr((away + scale / 2) / sigma) - special.ndtr(
            (away - scale / 2) / sigma
        )
    # Coarse pixels that only touch the ground are seen as far as it reaches.
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)


def _spread(size: int, scale: int, phase: int) -> FloatArray:
    """Bilinear weights of the coarse pixels in each fine one; the outermost are continued."""
    count = len(_centres(size, scale, phase))
    place = np.clip((np.arange(size) + 0.5 + phase) / scale - 0.5, 0, count - 1)
    away = np.abs(place[:, None] - np.arange(count)[None, :])
    return np.asarray(np.maximum(0, 1 - away), np.float32)


def _centres(size: int, scale: int, phase: int) -> NDArray[np.float64]:
    """Centres of the coarse pixels that touch the ground, in fine pixels."""
    count = -(-(size + phase) // scale)
    return np.asarray((np.arange(count) + 0.5) * scale - phase, np.float64)


class SeriesTriplets:
    """Three dates of a series; the coarse images are made from the fine ones."""

    def __init__(
        self,
        series: Sequence[FineSeries],
        config: FusionSourceConfig,
        sensor: SensorConfig,
        scales: Sequence[int],
    ) -> None:
        """Hold the series.

        Raises:
            ConfigError: there is none, or its bands are not those of the configuration.
        """
        if not series:
            raise ConfigError(f"Source '{config.name}' has no series; check its root.")
        odd = {each.values.shape[1] for each in series} - {len(config.bands)}
        if odd:
            raise ConfigError(
                f"Source '{config.name}' names {len(config.bands)} bands, its images have "
                f"{sorted(odd)[0]}; name each."
            )
        self.bands = config.bands
        self._series, self._config, self._sensor = tuple(series), config, sensor
        self._scales = tuple(scales)

    @property
    def credit(self) -> DataCredit:
        """What the card says about this source."""
        dates = sum(len(each.values) for each in self._series)
        return DataCredit(self._config.name, self._config.licence, self._config.attribution, dates)

    def sample(self, rng: np.random.Generator, size: int) -> FusionTriplet:
        """Draw a place, three dates in order and a sensor.

        Raises:
            ConfigError: a series is smaller than `size`.
        """
        series = self._series[int(rng.integers(len(self._series)))]
        dates, _, height, width = series.values.shape
        if min(height, width) < size:
            raise ConfigError(
                f"Source '{self._config.name}' is {width} x {height} px; crops of {size} px don't "
                "fit. Choose a smaller data.crop_px."
            )
        chosen = np.sort(rng.choice(dates, DATES, replace=False))
        scale = int(rng.choice(self._scales))
        (top, row), (left, column) = (
            _with_margin(int(rng.integers(extent - size + 1)), size, scale, extent)
            for extent in (height, width)
        )
        values = series.values[chosen][:, :, top, left]
        valid = series.valid[chosen][:, top, left]
        fine = [filled_from_nearest(*each) for each in zip(values, valid, strict=True)]
        if series.coarse is None:
            coarse = observed_dates(fine, scale, self._sensor, rng)
        else:
            coarse = list(series.coarse[chosen][:, :, top, left])
        inside = (slice(row, row + size), slice(column, column + size))
        fine0, fine1, fine2 = (np.ascontiguousarray(each[:, *inside]) for each in fine)
        coarse0, coarse1, coarse2 = (np.ascontiguousarray(each[:, *inside]) for each in coarse)
        seen = np.logical_and.reduce(valid)[inside]
        return FusionTriplet(
            FusionInputs(fine0, coarse0, fine2, coarse2, coarse1, seen, scale), fine1
        )


def _with_margin(start: int, size: int, margin: int, extent: int) -> tuple[slice, int]:
    """Widen a crop by what the point spread reaches; gives it and where the crop starts in it."""
    first = max(0, start - margin)
    return slice(first, min(extent, start + size + margin)), start - first


def observed_dates(
    fine: Sequence[FloatArray], scale: int, sensor: SensorConfig, rng: np.random.Generator
) -> list[FloatArray]:
    """See several dates with one coarse sensor.

    coarse = (1 + g) observed + b + noise, resampled; g and b differ from band to band, a third of
    them from date to date as well.

    Args:
        fine: a date each, reflectance float32 [C, H, W].
        scale: s.
        sensor: ranges to draw from.
        rng: decides.

    Returns:
        Coarse images on the fine grid, float32 [C, H, W] each.
    """
    bands, height, width = fine[0].shape
    low, high = sensor.fwhm
    phase = (int(rng.integers(scale)), int(rng.integers(scale)))
    eye = CoarseSensor.over(
        height, width, scale=scale, fwhm=float(rng.uniform(low, high)), phase=phase
    )
    noise = rng.uniform(0, sensor.noise)
    own = rng.uniform(-1, 1, (2, bands, 1, 1)) * (1 - DATE_SHARE)
    seen = []
    for image in fine:
        gain, bias = own + rng.uniform(-1, 1, (2, bands, 1, 1)) * DATE_SHARE
        coarse = eye.observed(image)
        coarse = coarse * (1 + sensor.gain * gain) + sensor.bias * bias
        coarse = coarse + noise * rng.standard_normal(coarse.shape)
        seen.append(eye.resampled(coarse.astype(np.float32)))
    return seen


def read_series(folder: Path, config: FusionSourceConfig) -> FineSeries:
    """Read the GeoTIFFs of a folder, in the order of their names, onto the first one's grid.

    Args:
        folder: holds one file a date; for pairs, `fine/` and `coarse/` hold them.
        config: says how reflectance is stored, and whether there are pairs.

    Returns:
        The series.

    Raises:
        DatasetError: no such folder.
        ConfigError: fewer than three dates, or not as many coarse as fine images.
    """
    if config.kind != "pairs":
        return FineSeries(*_reflectance(_images(folder, None), config))
    fine = _images(folder / "fine", None)
    coarse = _images(folder / "coarse", fine[0])
    if len(coarse) != len(fine):
        raise ConfigError(
            f"{folder} holds {len(fine)} fine and {len(coarse)} coarse images; as many of each are "
            "wanted."
        )
    values, valid = _reflectance(fine, config)
    coarse_values, coarse_valid = _reflectance(coarse, config)
    return FineSeries(values, valid & coarse_valid, coarse_values)


def _images(folder: Path, grid: GeoImage | None) -> list[GeoImage]:
    """Read the GeoTIFFs of a folder onto a grid, or the first one's."""
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder. Give the folder that holds the series.")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if len(paths) < DATES:
        raise ConfigError(
            f"{folder} holds {len(paths)} GeoTIFFs; fusion is trained on at least {DATES} dates."
        )
    images = [read_image(path) for path in paths]
    return [align_to(image, grid or images[0]) for image in images]


def _reflectance(
    images: list[GeoImage], config: FusionSourceConfig
) -> tuple[FloatArray, BoolArray]:
    """Give reflectance, float32 [T, C, H, W], and the masks [T, H, W]."""
    values = np.stack([image.pixels.astype(np.float32) for image in images])
    values *= np.float32(config.gain)
    values += np.float32(config.offset)
    return values, np.stack([image.valid for image in images])
