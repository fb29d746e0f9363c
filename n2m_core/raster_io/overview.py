"""A scene of any size for the eye: what its header says, an overview, any part of it.

Nothing here reads a scene whole. An overview comes from the file's own overviews where it has them,
else row by row with a report of progress. A header may promise anything, so what reading would cost
is worked out before a pixel is decoded: the size of one block, and of all blocks an overview needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from affine import Affine
from rasterio import windows
from rasterio.io import DatasetReader

from n2m_core.errors import ImageTooLargeError
from n2m_core.geo_image import GeoImage, Progress
from n2m_core.normalize import STRETCH_PERCENTILES, percentile_limits
from n2m_core.raster_io.channels import photo_orientation, rows_per_strip
from n2m_core.raster_io.ground import centre_resolution_m
from n2m_core.raster_io.layout import Layout, layout_of, read_values, sample_boxes
from n2m_core.raster_io.opening import MAX_PIXELS, MAX_SCENE_PIXELS, check_memory, open_dataset
from n2m_core.raster_io.reading import place

Window = tuple[slice, slice]
"""Rows and columns, both within the scene."""

MAX_BLOCK_BYTES = 256 * 1024**2
"""Largest block (tile or strip) that is decoded: it is the least that can be read of a file."""
MAX_DECODED_BYTES = 16 * 1024**3
"""Most bytes that are decoded for an overview: a minute or two."""
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
        layout: how its pixels are read.
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
    layout: Layout
    crs: str | None
    transform: Affine
    resolution_m: float | None
    limits: tuple[tuple[float, float], ...] | None
    overviews: tuple[int, ...]
    is_upright: bool
    notes: tuple[str, ...] = ()

    @property
    def dtype(self) -> str:
        """Of the pixels as they are read."""
        return str(self.layout.dtype.name)

    @property
    def band_names(self) -> tuple[str, ...]:
        """One a band as read, without transparency; red, green and blue for a palette."""
        return self.layout.names

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
        layout = layout_of(dataset, path.name, None, None)
        # One pixel as large as the scene has the scene's outline and centre.
        outline = place(
            dataset,
            path.name,
            np.zeros((len(layout.names), 1, 1), np.uint8),
            np.ones((1, 1), np.bool_),
            layout.names,
            step=Affine.scale(dataset.width, dataset.height),
        )
        return SceneHeader(
            path=path,
            width=dataset.width,
            height=dataset.height,
            layout=layout,
            crs=outline.crs,
            transform=dataset.transform,
            resolution_m=_resolution_m(outline, dataset),
            limits=None if layout.dtype == np.uint8 else _limits(dataset, layout),
            overviews=tuple(dataset.overviews(layout.bands[0])),
            is_upright=outline.is_georeferenced or photo_orientation(path, dataset.driver) == 1,
            notes=(*outline.notes, *layout.notes),
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
    layout = header.layout if bands is None else _narrowed(header.layout, bands)
    check_memory(header.path.name, len(layout.names) * shape[0] * shape[1], layout.dtype)
    with open_dataset(header.path, max_pixels=MAX_SCENE_PIXELS) as dataset:
        _check_cost(dataset, header, height * width, stride, most_bytes)
        pixels = np.empty((len(layout.names), *shape), layout.dtype)
        valid = np.empty(shape, np.bool_)
        parts = _strips(shape[0], stride)
        for done, (first, last) in enumerate(parts):
            if progress is not None:
                progress(done, len(parts), "reading the scene")
            box = windows.Window(
                columns.start,
                rows.start + first * stride,
                width,
                min(last * stride, height) - first * stride,
            )
            strip = read_values(dataset, layout, box, (last - first, shape[1]))
            pixels[:, first:last], valid[first:last] = strip
        step = Affine.translation(columns.start, rows.start)
        step = step @ Affine.scale(width / shape[1], height / shape[0])
        image = place(dataset, header.path.name, pixels, valid, layout.names, step=step)
    if not image.is_georeferenced:
        return replace(image, transform=Affine.identity())
    return replace(image, resolution_m=centre_resolution_m(image))


def _narrowed(layout: Layout, bands: Sequence[int]) -> Layout:
    """Read some of a layout's bands alone, by their places from 1."""
    places = [band - 1 for band in bands]
    names = tuple(layout.names[each] for each in places)
    if layout.palette is not None:
        return replace(layout, picked=tuple(layout.picked[each] for each in places), names=names)
    return replace(
        layout,
        bands=tuple(layout.bands[each] for each in places),
        nodata=tuple(layout.nodata[each] for each in places),
        picked=tuple(range(len(places))),
        names=names,
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


def _resolution_m(outline: GeoImage, dataset: DatasetReader) -> float | None:
    """Ground size of the scene's middle pixel."""
    middle = Affine.translation(dataset.width / 2 - 0.5, dataset.height / 2 - 0.5)
    return centre_resolution_m(replace(outline, transform=dataset.transform @ middle))


def _limits(dataset: DatasetReader, layout: Layout) -> tuple[tuple[float, float], ...]:
    """Find the 2nd and 98th percentile of every band in a sample over the whole scene."""
    found = [read_values(dataset, layout, box) for box in sample_boxes(dataset)]
    count = len(layout.names)
    pixels = np.concatenate([part.reshape(count, 1, -1) for part, _ in found], axis=2)
    valid = np.concatenate([part.reshape(1, -1) for _, part in found], axis=1)
    low, high = STRETCH_PERCENTILES
    values = percentile_limits(pixels, valid, low=low, high=high)
    return tuple((float(first), float(last)) for first, last in values)
