"""Rasters that are written block by block, and become cloud optimised GeoTIFFs at the end.

A part raster is a tiled GeoTIFF without compression whose tiles are all laid out when it is made,
so that a block is written in place: a run that is killed at any moment leaves a file that can be
opened and gone on with. It can be looked at in a GIS while it fills.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.shutil import copy as copy_raster
from rasterio.windows import Window

from n2m_core.errors import OutputError
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io.opening import RASTER_ERRORS
from n2m_core.raster_io.scene import Box, boxes
from n2m_core.raster_io.writing import Colormap, profile_of, write_description

TILE_PX = 512
CACHE_MB = 128
"""GDAL's cache of blocks; by itself it would take a twentieth of the machine's memory."""
STRIP_PIXELS, STRIP_ROWS = 1 << 23, 256
"""Pixels, about, and least rows of a strip when a whole raster is gone through."""
CHECK_PX = 2048
"""Side of the boxes in which two rasters are compared."""
FILL_COLUMNS = 8192


@dataclass(frozen=True, eq=False)
class PartSpec:
    """What a part raster holds.

    Attributes:
        header: its grid, bands and dtype; the pixels take no memory.
        nodata: value that is declared to mean "no data"; None for none.
        fill: what unwritten pixels hold.
        colormap: index to red, green, blue, for one band of uint8.
        tags: texts stored in the file.
    """

    header: GeoImage
    nodata: float | None
    fill: float
    colormap: Colormap | None
    tags: Mapping[str, str]

    def profile(self) -> dict[str, Any]:
        """What rasterio needs to make the file."""
        return {
            **profile_of(self.header, self.nodata),
            "tiled": True,
            "blockxsize": TILE_PX,
            "blockysize": TILE_PX,
            "bigtiff": "IF_SAFER",
        }


@contextmanager
def quiet_gdal() -> Iterator[None]:
    """Bound GDAL's cache, and leave its warning of a missing georeference out."""
    with (
        warnings.catch_warnings(),
        rasterio.Env(GDAL_CACHEMAX=CACHE_MB * 2**20, GDAL_TIFF_INTERNAL_MASK=True),
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def create_part(path: Path, spec: PartSpec) -> None:
    """Make a part raster, filled.

    Raises:
        OutputError: the folder is full or not writable.
    """
    header = spec.header
    sides = TILE_PX, min(FILL_COLUMNS, header.width)
    filled = np.full((header.bands, *sides), spec.fill, header.pixels.dtype)
    with _writing(path), quiet_gdal(), rasterio.open(path, "w", **spec.profile()) as dataset:
        write_description(dataset, header, spec.colormap, spec.tags)
        for top in range(0, header.height, TILE_PX):
            for left in range(0, header.width, FILL_COLUMNS):
                rows = min(TILE_PX, header.height - top)
                columns = min(FILL_COLUMNS, header.width - left)
                window = Window(left, top, columns, rows)
                dataset.write(filled[:, :rows, :columns], window=window)
    _sync(path)


def write_block(path: Path, box: Box, pixels: NDArray[Any]) -> None:
    """Write a block into a part raster; on the disk when this returns.

    Raises:
        OutputError: the disk is full.
    """
    height, width = box.shape
    window = Window(box.left, box.top, width, height)
    with _writing(path), quiet_gdal(), rasterio.open(path, "r+") as dataset:
        dataset.write(pixels, window=window)
    _sync(path)


def strips_of(paths: Iterable[Path]) -> Iterator[tuple[int, list[NDArray[Any]]]]:
    """Go through rasters of one size from the top down.

    Args:
        paths: rasters of ours.

    Yields:
        (first row, pixels [C, rows, W] of each).

    Raises:
        OutputError: one of them is damaged.
    """
    files = list(paths)
    with _writing(files[0]), quiet_gdal():
        opened = [rasterio.open(path) for path in files]
        try:
            height, width = opened[0].shape
            rows = max(STRIP_ROWS, STRIP_PIXELS // width // STRIP_ROWS * STRIP_ROWS)
            for top in range(0, height, rows):
                window = Window(0, top, width, min(rows, height - top))
                yield top, [dataset.read(window=window) for dataset in opened]
        finally:
            for dataset in opened:
                dataset.close()


def write_strips(
    path: Path, spec: PartSpec, strips: Iterable[tuple[int, NDArray[Any], NDArray[Any] | None]]
) -> None:
    """Write a compressed raster from the top down.

    Args:
        path: where.
        spec: what it holds.
        strips: (first row, pixels [C, rows, W], valid [rows, W] or None).

    Raises:
        OutputError: the disk is full.
    """
    profile = {**spec.profile(), "compress": "DEFLATE", "zlevel": 1}
    with _writing(path), quiet_gdal(), rasterio.open(path, "w", **profile) as dataset:
        write_description(dataset, spec.header, spec.colormap, spec.tags)
        for top, pixels, valid in strips:
            window = Window(0, top, pixels.shape[2], pixels.shape[1])
            dataset.write(pixels, window=window)
            if valid is not None:
                dataset.write_mask(valid, window=window)


def finish_cog(draft: Path, final: Path, *, is_labels: bool) -> None:
    """Lay a raster out as a cloud optimised GeoTIFF with overviews, from file to file.

    What was written is compared with the draft before the final name is given in one step, since
    GDAL does not report a disk that fills up while it closes a file.

    Args:
        draft: a raster of ours.
        final: where; a file that is there stays until the new one is whole.
        is_labels: whether the values are classes, whose overviews must not mix them.

    Raises:
        OutputError: the disk is full or the folder not writable.
    """
    part = draft.with_name(f"{draft.stem}.cog.tif")
    with _writing(final), quiet_gdal():
        copy_raster(
            str(draft),
            str(part),
            driver="COG",
            compress="DEFLATE",
            predictor="NO" if is_labels else "YES",
            bigtiff="IF_SAFER",
            overview_resampling="NEAREST" if is_labels else "AVERAGE",
        )
    if not _is_same(draft, part):
        raise OutputError(
            f"{final} was not written whole; is the disk full? Free some space and go on with "
            "--resume."
        )
    _sync(part)
    with _writing(final):
        part.replace(final)


def _is_same(first: Path, second: Path) -> bool:
    """Compare the pixels of two rasters of one size.

    Raises:
        OutputError: one of them can't be read.
    """
    with (
        _writing(second),
        quiet_gdal(),
        rasterio.open(first) as one,
        rasterio.open(second) as other,
    ):
        is_float = one.dtypes[0].startswith("float")
        for box in boxes(one.shape, CHECK_PX):
            window = Window(box.left, box.top, box.shape[1], box.shape[0])
            pixels = one.read(window=window), other.read(window=window)
            if not np.array_equal(*pixels, equal_nan=is_float):
                return False
    return True


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Tell of what goes wrong with a file in one sentence."""
    try:
        yield
    except (OSError, *RASTER_ERRORS) as error:
        raise OutputError(
            f"{path} can't be written or read back ({error}); is the disk full? Free some space "
            "and go on with --resume, or choose another place."
        ) from error


def _sync(path: Path) -> None:
    """Bring a file to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
