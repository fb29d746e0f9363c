"""Scenes too large to hold in memory: what the header says, an overview, any window of them.

Nothing here reads a scene whole. An overview comes from the file's own overviews where it has them,
else row by row with a report of progress. A header may promise anything, so what reading would cost
is worked out before a pixel is decoded: the size of one block, and of all blocks an overview needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from affine import Affine
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader
from rasterio.windows import Window as Box

from n2m_core.errors import ImageTooLargeError
from n2m_core.geo_image import GeoImage, Mask, Pixels, Progress
from n2m_core.normalize import STRETCH_PERCENTILES, percentile_limits
from n2m_core.raster_io.channels import is_true_alpha, photo_orientation, rows_per_strip
from n2m_core.raster_io.ground import centre_resolution_m
from n2m_core.raster_io.opening import MAX_PIXELS, check_memory, open_dataset
from n2m_core.raster_io.reading import (
    band_name,
    common_dtype,
    is_palette,
    place,
    read_colours,
    read_pixels,
)

Window = tuple[slice, slice]
"""Rows and columns, both within the scene."""

MAX_SCENE_PIXELS = 100_000_000_000
"""Largest scene that is looked at, pixels."""
MAX_BLOCK_BYTES = 256 * 1024**2
"""Largest block (tile or strip) that is decoded: it is the least that can be read of a file."""
MAX_DECODED_BYTES = 16 * 1024**3
"""Most bytes that are decoded for an overview: a minute or two."""
SAMPLE_PX = 128
SAMPLES = 8
"""Values are known from 8 x 8 windows of 128 px, spread evenly."""
_STRIPS = 32
_OVERVIEW_SLACK = 1.2
"""GDAL takes an overview that is up to this much coarser than what was asked for."""


@dataclass(frozen=True, eq=False)
class SceneHeader:
    """What is known of a scene without reading it.

    Attributes:
        path: the file.
        width: columns.
        height: rows.
        dtype: of the pixels as they are read.
        bands: numbers of the bands, from 1, without transparency.
        band_names: one a band as read; red, green and blue for a palette.
        alpha: number of the transparency band; None when there is none.
        crs: "EPSG:n" or WKT; None when the scene has no georeference.
        transform: pixel (column, row) corner to CRS units.
        resolution_m: ground size of a pixel at the centre, metres; None when unknown.
        limits: for each band the 2nd and 98th percentile of a sample over the whole scene; None
            for 8-bit scenes, which are not stretched.
        overviews: how many times coarser each of the file's overviews is.
        is_upright: whether it lies as it is stored; a camera may have turned it.
        notes: what was found, a sentence each.
    """

    path: Path
    width: int
    height: int
    dtype: str
    bands: tuple[int, ...]
    band_names: tuple[str, ...]
    alpha: int | None
    crs: str | None
    transform: Affine
    resolution_m: float | None
    limits: tuple[tuple[float, float], ...] | None
    overviews: tuple[int, ...]
    is_upright: bool
    notes: tuple[str, ...] = ()

    @property
    def is_georeferenced(self) -> bool:
        """Whether the pixels have a known place on the ground."""
        return self.crs is not None

    @property
    def pixel_bytes(self) -> int:
        """Bytes of a pixel in all bands."""
        return len(self.band_names) * np.dtype(self.dtype).itemsize

    @property
    def whole(self) -> Window:
        """All rows and columns."""
        return slice(0, self.height), slice(0, self.width)


def read_size(path: Path) -> tuple[int, int, int]:
    """Read from a header alone how large an image is.

    Returns:
        Rows, columns, and the bytes of a pixel in all bands.

    Raises:
        ImageReadError: missing, empty, truncated, of another format.
        ImageTooLargeError: more than a scene may have.
    """
    with open_dataset(path, max_pixels=MAX_SCENE_PIXELS) as dataset:
        return dataset.height, dataset.width, dataset.count * _item_bytes(dataset)


def read_scene_header(path: Path) -> SceneHeader:
    """Learn what a scene is, from its header and a few small windows.

    Args:
        path: the file; a GeoTIFF of up to 100 gigapixels, or another format up to `MAX_PIXELS`.

    Raises:
        ImageReadError: missing, empty, truncated, of another format.
        ImageTooLargeError: too many pixels, or blocks too large to decode one by one.
        GridError: the transform maps it to a line.
    """
    with open_dataset(path, max_pixels=MAX_SCENE_PIXELS) as dataset:
        _check_blocks(dataset, path)
        has_colours = is_palette(dataset)
        alpha, notes = (None, ()) if has_colours else _find_alpha(dataset)
        bands = [1] if has_colours else [n for n in range(1, dataset.count + 1) if n != alpha]
        dtype = np.dtype(np.uint8) if has_colours else common_dtype(dataset, bands)
        names = ("red", "green", "blue") if has_colours else _names(dataset, bands)
        # One pixel as large as the scene has the scene's outline and centre.
        outline = place(
            dataset,
            path.name,
            np.zeros((len(names), 1, 1), np.uint8),
            np.ones((1, 1), np.bool_),
            names,
            step=Affine.scale(dataset.width, dataset.height),
        )
        return SceneHeader(
            path=path,
            width=dataset.width,
            height=dataset.height,
            dtype=dtype.name,
            bands=tuple(bands),
            band_names=names,
            alpha=alpha,
            crs=outline.crs,
            transform=dataset.transform,
            resolution_m=_resolution_m(outline, dataset),
            limits=None if dtype == np.uint8 else _limits(dataset, bands, alpha),
            overviews=tuple(dataset.overviews(bands[0])),
            is_upright=outline.is_georeferenced or photo_orientation(path, dataset.driver) == 1,
            notes=(*outline.notes, *notes),
        )


def read_scene(
    header: SceneHeader,
    window: Window | None = None,
    *,
    max_px: int | None = None,
    bands: Sequence[int] | None = None,
    most_bytes: int = MAX_DECODED_BYTES,
    progress: Progress | None = None,
) -> GeoImage:
    """Read a part of a scene, or all of it with fewer pixels.

    Args:
        header: of the scene.
        window: rows and columns within the scene; all when not given.
        max_px: longest side of the result, where the part is larger: every n-th pixel is taken.
        bands: places of the bands in the header's order, from 1; all when not given.
        most_bytes: refuse when more would have to be decoded.
        progress: told while it reads; may raise to stop.

    Returns:
        The part on its own grid; without georeference it counts from its own corner.

    Raises:
        ImageReadError: the file is damaged, or no longer there.
        ImageTooLargeError: more memory, or more to decode, than allowed.
    """
    rows, columns = window or header.whole
    height, width = rows.stop - rows.start, columns.stop - columns.start
    stride = 1 if max_px is None else max(1, -(-max(height, width) // max_px))
    shape = -(-height // stride), -(-width // stride)
    picked = tuple(range(1, len(header.band_names) + 1)) if bands is None else tuple(bands)
    check_memory(header.path.name, len(picked) * shape[0] * shape[1], np.dtype(header.dtype))
    with open_dataset(header.path, max_pixels=MAX_SCENE_PIXELS) as dataset:
        _check_cost(dataset, header, height * width, stride, most_bytes)
        pixels = np.empty((len(picked), *shape), header.dtype)
        valid = np.empty(shape, np.bool_)
        parts = _strips(shape[0], stride)
        for done, (first, last) in enumerate(parts):
            if progress is not None:
                progress(done, len(parts), "reading the scene")
            box = Box(
                columns.start,
                rows.start + first * stride,
                width,
                min(last * stride, height) - first * stride,
            )
            strip = _read_strip(dataset, header, picked, box, (last - first, shape[1]))
            pixels[:, first:last], valid[first:last] = strip
        step = Affine.translation(columns.start, rows.start)
        step = step @ Affine.scale(width / shape[1], height / shape[0])
        names = tuple(header.band_names[band - 1] for band in picked)
        image = place(dataset, header.path.name, pixels, valid, names, step=step)
    if not image.is_georeferenced:
        return replace(image, transform=Affine.identity())
    return replace(image, resolution_m=centre_resolution_m(image))


def _read_strip(
    dataset: DatasetReader,
    header: SceneHeader,
    picked: tuple[int, ...],
    box: Box,
    shape: tuple[int, int],
) -> tuple[Pixels, Mask]:
    """Read one strip of some bands."""
    if is_palette(dataset):
        colours, valid = read_colours(dataset, window=box, shape=shape)
        return colours[[band - 1 for band in picked]], valid
    numbers = [header.bands[band - 1] for band in picked]
    nodata = [dataset.nodatavals[number - 1] for number in numbers]
    has_mask = header.alpha is None and not _marked_alpha(dataset)
    return read_pixels(
        dataset, numbers, nodata, header.alpha, has_mask=has_mask, window=box, shape=shape
    )


def _strips(rows: int, stride: int) -> list[tuple[int, int]]:
    """Cut the rows of a result into strips; one alone where nothing is skipped."""
    step = rows if stride == 1 else max(1, -(-rows // _STRIPS))
    return [(first, min(first + step, rows)) for first in range(0, rows, step)]


def _check_blocks(dataset: DatasetReader, path: Path) -> None:
    """Refuse a file whose smallest readable piece is too large."""
    pixels = dataset.width * dataset.height
    if dataset.driver != "GTiff" and pixels > MAX_PIXELS:
        raise ImageTooLargeError(
            f"{path.name} is {dataset.width} x {dataset.height} px ({pixels / 1e6:,.0f} "
            f"megapixels) and {MAX_PIXELS / 1e6:.0f} is the most for a {dataset.driver} file; "
            "write it as a tiled GeoTIFF."
        )
    height, width = max(dataset.block_shapes)
    if dataset.driver == "GTiff" and dataset.compression is not None:
        # GDAL hands a large strip out row by row, but decodes it from its start each time.
        height = max(height, min(rows_per_strip(path), dataset.height))
    block = height * width * dataset.count * _item_bytes(dataset)
    if block > MAX_BLOCK_BYTES:
        raise ImageTooLargeError(
            f"{path.name} is stored in blocks of {width} x {height} px, {block / 1024**2:,.0f} MiB "
            f"each, where {MAX_BLOCK_BYTES // 1024**2} MiB is the most; write it as a tiled "
            "GeoTIFF, for example with gdal_translate -of COG."
        )


def _check_cost(
    dataset: DatasetReader, header: SceneHeader, pixels: int, stride: int, most_bytes: int
) -> None:
    """Refuse an overview for which too much would have to be decoded."""
    factors = [each for each in header.overviews if each <= stride * _OVERVIEW_SLACK]
    decoded = pixels // max(factors, default=1) ** 2 * dataset.count * _item_bytes(dataset)
    if decoded > most_bytes:
        raise ImageTooLargeError(
            f"{header.path.name} is {header.width} x {header.height} px and has no overviews that "
            f"show it: {decoded / 1024**3:,.1f} GiB would be decoded and "
            f"{most_bytes / 1024**3:g} GiB is the most. Build them with gdaladdo, or write a "
            "cloud optimised GeoTIFF."
        )


def _item_bytes(dataset: DatasetReader) -> int:
    """Bytes of the widest band's value."""
    return max(int(np.dtype(each).itemsize) for each in dataset.dtypes)


def _names(dataset: DatasetReader, bands: Sequence[int]) -> tuple[str, ...]:
    """Names of some bands."""
    return tuple(band_name(dataset, band) for band in bands)


def _resolution_m(outline: GeoImage, dataset: DatasetReader) -> float | None:
    """Ground size of the scene's middle pixel."""
    middle = Affine.translation(dataset.width / 2 - 0.5, dataset.height / 2 - 0.5)
    return centre_resolution_m(replace(outline, transform=dataset.transform @ middle))


def _marked_alpha(dataset: DatasetReader) -> list[int]:
    """Numbers of the bands that the file marks as transparency."""
    if dataset.count == 1:
        return []
    return [n for n, kind in enumerate(dataset.colorinterp, 1) if kind == ColorInterp.alpha]


def _find_alpha(dataset: DatasetReader) -> tuple[int | None, tuple[str, ...]]:
    """Find the transparency band, and say when one that is marked so looks like a colour."""
    marked = _marked_alpha(dataset)
    if not marked:
        return None, ()
    values = np.concatenate([each[0] for each in _samples(dataset, marked[:1])])
    if dataset.driver != "GTiff" or is_true_alpha(values):
        return marked[0], ()
    note = f"Band {marked[0]} is marked as transparency but holds other values; it is kept a band."
    return None, (note,)


def _limits(
    dataset: DatasetReader, bands: Sequence[int], alpha: int | None
) -> tuple[tuple[float, float], ...]:
    """Find the 2nd and 98th percentile of every band in a sample over the whole scene."""
    has_mask = not _marked_alpha(dataset)
    nodata = [dataset.nodatavals[band - 1] for band in bands]
    found = [
        read_pixels(dataset, bands, nodata, alpha, has_mask=has_mask, window=box)
        for box in _sample_boxes(dataset)
    ]
    pixels = np.concatenate([part.reshape(len(bands), 1, -1) for part, _ in found], axis=2)
    valid = np.concatenate([part.reshape(1, -1) for _, part in found], axis=1)
    low, high = STRETCH_PERCENTILES
    values = percentile_limits(pixels, valid, low=low, high=high)
    return tuple((float(first), float(last)) for first, last in values)


def _samples(dataset: DatasetReader, bands: Sequence[int]) -> list[Pixels]:
    """Read some bands in the sample's windows, each [C, pixels]."""
    return [
        dataset.read(list(bands), window=box).reshape(len(bands), -1)
        for box in _sample_boxes(dataset)
    ]


def _sample_boxes(dataset: DatasetReader) -> Iterator[Box]:
    """Small windows spread evenly over a scene, row by row."""
    for row in _spread(dataset.height):
        for column in _spread(dataset.width):
            height, width = (min(SAMPLE_PX, side) for side in (dataset.height, dataset.width))
            yield Box(column, row, width, height)


def _spread(length: int) -> list[int]:
    """Where the sample's windows begin along one axis."""
    last = max(0, length - SAMPLE_PX)
    return sorted({round(last * (part + 0.5) / SAMPLES) for part in range(SAMPLES)})
