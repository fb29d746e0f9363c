"""The pictures of the desk: crops of what was mapped and of the map, in their own pixels.

A picture of the working size is held in memory; of a larger one the windows are read from the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from affine import Affine

from n2m_core import raster_io, render
from n2m_core.errors import N2MError, ReviewError
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io.scene import Box, FileScene, SceneFile
from n2m_core.review import Source, picture
from n2m_core.review.project import Role
from pages._ui import settings
from pages._ui.coloring import Coloring, natural_bands, overview_coloring
from pages._ui.detail import OFFERED, Detail, data_uri
from pages._ui.kept import Kept

MOST_PX = 900
"""Longest side of an encoded crop, pixels."""
OVERVIEW_PX = 1024
"""Longest side of the overview that a large picture's stretch is found in."""
CROPS_BYTES = 24 * 1024**2
RGB = ("red", "green", "blue")

Window = tuple[slice, slice]

_WHOLE = Kept(settings.keep_bytes() // 4)
"""Whole pictures and their tokens."""
_CROPS = Kept(CROPS_BYTES)


@dataclass(frozen=True, eq=False)
class _PictureFile(Detail):
    """A picture too large to be held; shown in the stretch of its overview.

    Attributes:
        stretch: brings its values to red, green, blue.
    """

    stretch: Coloring

    def read(self, window: raster_io.Window) -> GeoImage:
        """Give a window as it is shown, in pixels."""
        part = super().read(window)
        rgb = np.moveaxis(self.stretch.rgb(part.pixels.astype(np.float32)), -1, 0)
        return unplaced(part.with_pixels(rgb, RGB))


@dataclass(frozen=True, eq=False)
class _MapFile(Detail):
    """A class map too large to be held.

    Attributes:
        scene: where its windows are read.
    """

    scene: FileScene

    def read(self, window: raster_io.Window) -> GeoImage:
        """Give a window of the classes, in pixels."""
        rows, columns = window
        box = Box(rows.start, columns.start, rows.stop, columns.stop)
        return unplaced(self.scene.read(box))


def encoded(source: Source, role: Role, window: Window) -> tuple[str, str]:
    """One crop of one picture as a data URI, and the token of the whole picture.

    Raises:
        ReviewError: the picture's file is missing or damaged.
    """
    path: Path = getattr(source, role)
    stamp = path.stat().st_mtime_ns if path.is_file() else 0
    name = f"{role} {stamp} {path}"
    held = _WHOLE.get(name)
    whole, token = held if isinstance(held, tuple) else _offer(name, _shown(source, role))
    if OFFERED.get(token) is None:
        # Too many others were offered since.
        whole, token = _offer(name, whole)
    key = f"{window[0].start} {window[0].stop} {window[1].start} {window[1].stop} {name}"
    url = _CROPS.get(key)
    if not isinstance(url, str):
        with _told_of(source, role):
            url = _encode(whole.read(window), source, role)
        _CROPS.put(key, url)
    return url, token


@contextmanager
def _told_of(source: Source, role: Role) -> Iterator[None]:
    """Say which picture can't be shown.

    Raises:
        ReviewError: in place of what the reading raised.
    """
    try:
        yield
    except ReviewError:
        raise
    except N2MError as e:
        raise ReviewError(f"The {role} of {source.name} can't be shown: {e}") from e


def _offer(name: str, whole: Detail) -> tuple[Detail, str]:
    """Let a picture's windows be asked for; gives its token."""
    token = OFFERED.add(whole)
    _WHOLE.put(name, (whole, token))
    return whole, token


def _shown(source: Source, role: Role) -> Detail:
    """A whole picture as it is shown, in pixels: red, green, blue; a map its classes."""

    def encode(part: GeoImage) -> str:
        return _encode(part, source, role)

    path: Path | None = getattr(source, role)
    is_large = (source.width or 0) * (source.height or 0) > settings.area_px()
    if is_large and path is not None and path.is_file():
        with _told_of(source, role):
            return _map_file(path, encode) if role == "map" else _picture_file(path, encode)
    whole = unplaced(picture(source, role))
    if role == "map":
        return Detail(whole, encode, "nearest")
    rgb = render.to_rgb(whole, bands=natural_bands(whole))
    return Detail(whole.with_pixels(np.moveaxis(rgb, -1, 0), RGB), encode, "average")


def _picture_file(path: Path, encode: Callable[[GeoImage], str]) -> Detail:
    """A large picture.

    Raises:
        N2MError: it can't be read.
    """
    header = raster_io.read_scene_header(path)
    overview = raster_io.read_scene(header, max_px=OVERVIEW_PX, bands=natural_bands(header))
    grid = replace(header, crs=None, transform=Affine.identity())
    return _PictureFile(grid, encode, "average", overview_coloring(overview))


def _map_file(path: Path, encode: Callable[[GeoImage], str]) -> Detail:
    """A large map.

    Raises:
        N2MError: it can't be read.
    """
    scene = SceneFile(str(path), is_labels=True).opened()
    return _MapFile(unplaced(scene.header), encode, "nearest", scene)


def unplaced(image: GeoImage) -> GeoImage:
    """An image in pixels of its own."""
    return replace(image, crs=None, transform=Affine.identity())


def _encode(part: GeoImage, source: Source, role: Role) -> str:
    """Encode a crop, at most `MOST_PX` a side; transparent where there is no data."""
    shrink = max(part.height, part.width) / MOST_PX
    if shrink > 1:
        height, width = (max(1, round(side / shrink)) for side in (part.height, part.width))
        how: raster_io.Resampling = "nearest" if role == "map" else "average"
        part = raster_io.resample(part, height, width, resampling=how)
    if role == "map":
        colors = {e.id: render.hex_to_rgb(e.color) for e in source.classes if not e.is_background}
        labels = np.where(part.valid, part.pixels[0], render.NOT_SHOWN).astype(np.uint8)
        return data_uri("png", render.encode_palette_png(labels, colors))
    alpha = np.where(part.valid, 255, 0).astype(np.uint8)
    rgba = np.dstack([np.moveaxis(part.pixels, 0, -1), alpha])
    return data_uri("webp", render.encode_webp(rgba, quality=88))
