"""Scenes of any size, read a window at a time.

A scene has a header: a `GeoImage` of its full size whose pixels take no memory, for everything that
asks for the grid alone. Windows of a scene are read as the whole image would be: the same bands,
the same nodata, the same palette.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from affine import Affine
from rasterio.io import DatasetReader
from rasterio.windows import Window

from n2m_core.errors import GridError, ImageReadError, ImageTooLargeError
from n2m_core.geo_image import GeoImage, Mask, Pixels, Progress
from n2m_core.raster_io.channels import photo_orientation
from n2m_core.raster_io.layout import Layout, layout_of, read_values
from n2m_core.raster_io.opening import MAX_PIXELS, MAX_SCENE_PIXELS, open_dataset, open_remote
from n2m_core.raster_io.reading import place, with_resolution

REMOTE = "/vsi"
"""How the names of GDAL's virtual file systems begin."""
CHUNK_ROWS = 512
"""Rows read at once, so that bands that are not kept are not all held."""
SAMPLE_BOX_PX = 2048
WINDOWED_DRIVERS = frozenset({"GTiff", "HFA", "JP2OpenJPEG"})
"""Formats of which a window can be read without all that lies before it."""
LEAST_SHARE = 1 / 4000
"""A file beyond the cap of images holds at least this share of the bytes that its header promises:
DEFLATE packs a thousandfold at most."""


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels: first row and column, and those behind the last."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left

    @property
    def pixels(self) -> int:
        """How many pixels it holds."""
        return self.shape[0] * self.shape[1]


class Scene(Protocol):
    """What windows can be read of."""

    @property
    def header(self) -> GeoImage:
        """The scene without its pixels."""

    def read(self, box: Box) -> GeoImage:
        """Read a window."""


def header_of(
    shape: tuple[int, int],
    crs: str | None,
    transform: Affine,
    band_names: tuple[str, ...],
    dtype: np.dtype[Any],
) -> GeoImage:
    """Describe a scene without holding its pixels; they read as zeros."""
    pixels = np.broadcast_to(np.zeros((), dtype), (len(band_names), *shape))
    return GeoImage(pixels, np.broadcast_to(np.True_, shape), crs, transform, band_names)


def part_of(header: GeoImage, box: Box, pixels: Pixels, valid: Mask) -> GeoImage:
    """Put the pixels of a window in their place."""
    return replace(
        header,
        pixels=pixels,
        valid=valid,
        transform=header.transform @ Affine.translation(box.left, box.top),
    )


def header_part(header: GeoImage, box: Box) -> GeoImage:
    """Give the header of a window."""
    return part_of(
        header,
        box,
        header.pixels[:, box.top : box.bottom, box.left : box.right],
        header.valid[box.top : box.bottom, box.left : box.right],
    )


@dataclass(frozen=True)
class SceneFile:
    """A file that windows are read of; small, and known again by another process.

    Attributes:
        path: of a file, or a name in one of GDAL's virtual file systems, which begins with /vsi.
        bands: which bands, in which order, counted from 1; all but alpha when None.
        nodata: the value that means "no data", in place of the file's own.
        picked: which of the channels that these give are kept, counted from 0; all when None. The
            others still say where there is no data.
        is_labels: whether the values are classes, so that a palette stays indices.
    """

    path: str
    bands: tuple[int, ...] | None = None
    nodata: float | None = None
    picked: tuple[int, ...] | None = None
    is_labels: bool = False

    @property
    def name(self) -> str:
        """The file's name without folders."""
        return self.path.rsplit("/", 1)[-1]

    @contextmanager
    def open(self) -> Iterator[DatasetReader]:
        """Open the file for a moment; every thread does so for itself."""
        if self.path.startswith(REMOTE):
            opened = open_remote(self.path, max_pixels=MAX_SCENE_PIXELS)
        else:
            opened = open_dataset(Path(self.path), max_pixels=MAX_SCENE_PIXELS)
        with opened as dataset:
            yield dataset

    def opened(self) -> FileScene:
        """Read the header.

        Raises:
            ImageReadError: missing, damaged, of a format whose windows can't be read, or a
                photograph that has to be turned.
            ImageTooLargeError: more pixels or bands than allowed, or a header that promises far
                more than the file holds.
            BandError: a band that the file lacks.
        """
        with self.open() as dataset:
            self._check(dataset)
            layout = layout_of(
                dataset, self.name, self.bands, self.nodata, expands_palette=not self.is_labels
            )
            if self.picked is not None:
                names = tuple(layout.names[index] for index in self.picked)
                picked = tuple(layout.picked[index] for index in self.picked)
                layout = replace(layout, picked=picked, names=names)
            empty = header_of(dataset.shape, None, Affine.identity(), layout.names, layout.dtype)
            header = place(dataset, self.name, empty.pixels, empty.valid, layout.names)
        return FileScene(self, layout, with_resolution(header.with_notes(*layout.notes), None))

    def _check(self, dataset: DatasetReader) -> None:
        """Refuse what can't be read in windows."""
        if dataset.driver not in WINDOWED_DRIVERS:
            raise ImageReadError(
                f"{self.name} is a {dataset.driver} file, which can't be read in windows. Convert "
                "it to a GeoTIFF, or map it in memory with --engine memory."
            )
        is_placed = bool(dataset.crs) or not dataset.transform.is_identity
        if self.path.startswith(REMOTE):
            return
        if not is_placed and photo_orientation(Path(self.path), dataset.driver) != 1:
            raise ImageReadError(
                f"{self.name} is a photograph that lies on its side. Turn it first, or map it in "
                "memory with --engine memory."
            )
        pixels = dataset.width * dataset.height
        held = Path(self.path).stat().st_size
        if pixels > MAX_PIXELS and held < pixels * LEAST_SHARE:
            raise ImageTooLargeError(
                f"{self.name} promises {dataset.width} x {dataset.height} px and holds only "
                f"{held} bytes; write the file again."
            )


@dataclass(frozen=True, eq=False)
class FileScene:
    """A scene in a file.

    Attributes:
        file: where.
        layout: how its windows are read.
        header: the scene without its pixels.
    """

    file: SceneFile
    layout: Layout
    header: GeoImage

    def read(self, box: Box) -> GeoImage:
        """Read a window.

        Raises:
            ImageReadError: the file is damaged there.
        """
        pixels = np.empty((len(self.layout.picked), *box.shape), self.layout.dtype)
        valid = np.empty(box.shape, np.bool_)
        with self.file.open() as dataset:
            for top in range(box.top, box.bottom, CHUNK_ROWS):
                count = min(CHUNK_ROWS, box.bottom - top)
                window = Window(box.left, top, box.shape[1], count)
                rows = slice(top - box.top, top - box.top + count)
                pixels[:, rows], valid[rows] = read_values(dataset, self.layout, window)
        return part_of(self.header, box, pixels, valid)


@dataclass(frozen=True, eq=False)
class OtherGrid:
    """A scene seen on the grid of a file without georeference, pixel by pixel.

    Attributes:
        scene: what is read.
        grid: whose place its pixels get.
    """

    scene: Scene
    grid: GeoImage

    def __post_init__(self) -> None:
        """Check the sizes.

        Raises:
            GridError: they differ.
        """
        own, other = self.scene.header.valid.shape, self.grid.valid.shape
        if own != other:
            raise GridError(
                f"One image is {own[1]} x {own[0]} px, the other {other[1]} x {other[0]} px, and "
                "without a georeference of both they can't be aligned. Give GeoTIFFs of both, or "
                "two images of equal size."
            )

    @cached_property
    def header(self) -> GeoImage:
        """The scene without its pixels, in its new place."""
        own, grid = self.scene.header, self.grid
        return replace(own, crs=grid.crs, transform=grid.transform, resolution_m=grid.resolution_m)

    def read(self, box: Box) -> GeoImage:
        """Read a window."""
        read = self.scene.read(box)
        return part_of(self.header, box, read.pixels, read.valid)


def boxes(shape: tuple[int, int], side: int) -> Iterator[Box]:
    """Cut a scene into boxes, row by row."""
    height, width = shape
    for top in range(0, height, side):
        for left in range(0, width, side):
            yield Box(top, left, min(height, top + side), min(width, left + side))


def sampled(scenes: Sequence[Scene], step: int, progress: Progress | None = None) -> list[GeoImage]:
    """Keep every `step`-th row and column of scenes on one grid, reading each once.

    Args:
        scenes: on one grid.
        step: at least 1.
        progress: told after every box; may raise to stop.

    Returns:
        Their samples; pixels as `[:, ::step, ::step]` of the whole would give them.
    """
    shape = scenes[0].header.valid.shape
    sides = math.ceil(shape[0] / step), math.ceil(shape[1] / step)
    side = max(1, SAMPLE_BOX_PX // step) * step
    kept = [
        (np.empty((s.header.bands, *sides), s.header.pixels.dtype), np.empty(sides, np.bool_))
        for s in scenes
    ]
    parts = list(boxes((shape[0], shape[1]), side))
    for number, box in enumerate(parts, 1):
        rows = slice(box.top // step, math.ceil(box.bottom / step))
        columns = slice(box.left // step, math.ceil(box.right / step))
        for scene, (pixels, valid) in zip(scenes, kept, strict=True):
            read = scene.read(box)
            pixels[:, rows, columns] = read.pixels[:, ::step, ::step]
            valid[rows, columns] = read.valid[::step, ::step]
        if progress is not None:
            progress(number, len(parts), "parts looked at")
    return [
        replace(
            scene.header,
            pixels=pixels,
            valid=valid,
            transform=scene.header.transform @ Affine.scale(step),
        )
        for scene, (pixels, valid) in zip(scenes, kept, strict=True)
    ]
