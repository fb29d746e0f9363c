"""The part of a large scene that is worked on: which window it is, and a file of its own for it.

A scene beyond `settings.area_px` is never held whole. A window of it is cut out into a GeoTIFF at
its exact place, and from there on it is a picture like any other. Values of more than 8 bits are
brought to 8 bits by the stretch of the whole scene, as a pass over the whole would do, so that the
map of an area does not depend on where it was cut.
"""

from __future__ import annotations

import hashlib
import math
import os
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from pyproj import Transformer

from n2m_core import raster_io
from n2m_core.errors import GridError, ImageTooLargeError, NoOverlapError
from n2m_core.geo_image import GeoImage
from n2m_core.normalize import STRETCH_PERCENTILES, Normalization, to_model_range
from n2m_core.raster_io import SceneHeader, Window
from pages._ui import detail, settings
from pages._ui.detail import Bounds

FIRST_PX = 1024
"""Side of the area that is mapped before the person chooses one, pixels."""
PAIR_MARGIN_PX = 8
"""The later date of a pair is cut so much wider, so that aligning it does not lose its edge."""
PIXEL_BYTES = 16
"""The working size holds for four bands of 32 bits."""
FINER_PAIR = 4
"""The later date may have so many times the pixels of the area."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A scene, or a pair of dates, too large to work on whole.

    Attributes:
        id: names it in keys and file names.
        title: what the person reads.
        header: of the picture, or of the earlier one of a pair: the area counts its pixels.
        after: of the later one of a pair.
        shown: the file or files as the person knows them, for a command.
    """

    id: str
    title: str
    header: SceneHeader
    after: SceneHeader | None
    shown: tuple[str, ...]

    @property
    def megapixels(self) -> float:
        """Size of the picture, or of the earlier one."""
        return self.header.width * self.header.height / 1e6


def most_px(pixel_bytes: int) -> int:
    """The working size of pictures with so many bytes a pixel; many bands make it smaller."""
    return settings.area_px() // max(1, pixel_bytes // PIXEL_BYTES)


def is_large(header: SceneHeader) -> bool:
    """Whether a picture is beyond the working size; a photograph to be turned is read whole."""
    pixels = header.width * header.height
    return header.is_upright and pixels > most_px(header.pixel_bytes)


def scene_of(
    header: SceneHeader, after: SceneHeader | None, title: str, shown: tuple[str, ...]
) -> Scene:
    """Describe a scene or a pair, named by its files and their state."""
    files = [each.path for each in (header, after) if each is not None]
    text = "+".join(f"{path}@{path.stat().st_mtime_ns}" for path in files)
    return Scene(hashlib.sha256(text.encode()).hexdigest()[:12], title, header, after, shown)


def first_area(scene: Scene) -> Window:
    """The window in the middle, of a pair in the middle of what both dates cover.

    Raises:
        NoOverlapError: the dates of a pair have no ground in common.
        GridError: a pair without georeference and of different sizes.
    """
    rows, columns = _common(scene)
    return _middle(rows, FIRST_PX), _middle(columns, FIRST_PX)


def _common(scene: Scene) -> Window:
    """The rows and columns of the header that both dates cover."""
    header, after = scene.header, scene.after
    if after is None:
        return header.whole
    if not (header.is_georeferenced and after.is_georeferenced):
        if (header.height, header.width) != (after.height, after.width):
            raise GridError(
                f"One image is {header.width} x {header.height} px, the other {after.width} x "
                f"{after.height} px, and without a georeference of both they can't be aligned. "
                "Give GeoTIFFs of both, or two images of equal size."
            )
        return header.whole
    found = detail.window(header, bounds_of(after, after.whole), 0)
    if found is None:
        raise NoOverlapError(
            "The two images do not overlap: they cover different ground. Choose two images of the "
            "same place."
        )
    return found


def _middle(part: slice, length: int) -> slice:
    """The middle of some rows or columns."""
    length = min(length, part.stop - part.start)
    first = part.start + (part.stop - part.start - length) // 2
    return slice(first, first + length)


def fitted(header: SceneHeader, window: Window) -> tuple[Window, bool]:
    """Bring a window into the scene and within the working size.

    Args:
        header: of the scene.
        window: rows and columns, perhaps reaching beyond it.

    Returns:
        The window, its middle where it was too large, and whether it was.
    """
    rows, columns = (
        _inside(part, length)
        for part, length in zip(window, (header.height, header.width), strict=True)
    )
    height, width = rows.stop - rows.start, columns.stop - columns.start
    most = most_px(header.pixel_bytes)
    if height * width <= most:
        return (rows, columns), False
    shrink = math.sqrt(most / (height * width))
    # A narrow strip stays as narrow as it is drawn.
    height = max(1, min(height, math.floor(height * shrink)))
    width = max(1, min(width, most // height))
    return (_middle(rows, height), _middle(columns, width)), True


def _inside(part: slice, length: int) -> slice:
    """Move some rows or columns into the scene; at least one stays."""
    size = max(1, min(part.stop - part.start, length))
    first = min(max(0, part.start), length - size)
    return slice(first, first + size)


def bounds_of(header: SceneHeader, window: Window) -> Bounds:
    """South, west, north, east of a window in degrees."""
    return raster_io.lonlat_bounds(_one_pixel(header, window))


def _one_pixel(header: SceneHeader, window: Window) -> GeoImage:
    """An image of one pixel with the outline of a window."""
    rows, columns = window
    step = Affine.translation(columns.start, rows.start) @ Affine.scale(
        columns.stop - columns.start, rows.stop - rows.start
    )
    return GeoImage(
        np.zeros((1, 1, 1), np.uint8),
        np.ones((1, 1), np.bool_),
        header.crs,
        header.transform @ step,
        ("outline",),
    )


def corners_of(header: SceneHeader, window: Window) -> list[list[float]]:
    """The corners of a window on the map, clockwise from its first pixel, as [north, east]."""
    rows, columns = window
    places = [
        (row, column)
        for row, column in (
            (rows.start, columns.start),
            (rows.start, columns.stop),
            (rows.stop, columns.stop),
            (rows.stop, columns.start),
        )
    ]
    if header.crs is None:
        return [[-float(row), float(column)] for row, column in places]
    to_degrees = Transformer.from_crs(header.crs, "EPSG:4326", always_xy=True)
    points = [header.transform @ (column, row) for row, column in places]
    return [
        [float(north), float(east)]
        for east, north in (to_degrees.transform(x, y) for x, y in points)
    ]


def cut(scene: Scene, window: Window, folder: Path) -> tuple[Path, ...]:
    """Write the area, of a pair both dates, into files of their own.

    Args:
        scene: what to cut.
        window: rows and columns of its header.
        folder: where; files of the same area are not written again.

    Returns:
        The picture's path, or those of the earlier and the later one.

    Raises:
        NoOverlapError: the later date has nothing there.
        ImageTooLargeError: the later date has far more pixels there than may be worked on.
        N2MError: a file is damaged, or the folder is full.
    """
    rows, columns = window
    stem = f"{scene.id}-{rows.start}-{rows.stop}-{columns.start}-{columns.stop}"
    made = [_cut_one(scene.header, window, folder / f"{stem}.tif")]
    if scene.after is not None:
        made.append(_cut_one(scene.after, _window_after(scene, window), folder / f"{stem}-b.tif"))
    return tuple(made)


def _window_after(scene: Scene, window: Window) -> Window:
    """The window of the later date that covers an area of the earlier one."""
    header, after = scene.header, scene.after
    assert after is not None
    if not (header.is_georeferenced and after.is_georeferenced):
        return window
    found = detail.window(after, bounds_of(header, window), PAIR_MARGIN_PX)
    if found is None:
        raise NoOverlapError(
            f"{after.path.name} does not reach the chosen area; choose one that both dates cover."
        )
    pixels = (found[0].stop - found[0].start) * (found[1].stop - found[1].start)
    most = FINER_PAIR * settings.area_px()
    if pixels > most:
        raise ImageTooLargeError(
            f"The later image has {pixels / 1e6:.0f} megapixels in this area and {most / 1e6:.0f} "
            "is the most; choose a smaller area."
        )
    return found


def _cut_one(header: SceneHeader, window: Window, path: Path) -> Path:
    """Write one date of an area."""
    if not path.is_file():
        raster_io.write_geotiff(path, eight_bits(raster_io.read_scene(header, window), header))
        # Results are kept under a file's time: the same area is the same picture when it returns.
        state = header.path.stat()
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    return path


def eight_bits(image: GeoImage, header: SceneHeader) -> GeoImage:
    """Bring a part of a scene to 8 bits by the stretch of the whole; 8-bit pixels stay.

    Args:
        image: all bands of a part of the scene.
        header: holds the stretch.
    """
    if header.limits is None:
        return image
    low, high = STRETCH_PERCENTILES
    percentiles = Normalization("percentile", (low,), (high,))
    scaled = to_model_range(image, percentiles, limits=np.array(header.limits, np.float64))
    levels = np.rint((scaled + 1.0) * 127.5).astype(np.uint8)
    return image.with_pixels(levels, image.band_names)


def text_of(scene: Scene, window: Window) -> str:
    """Say what the area is, in one line."""
    rows, columns = window
    size = f"{columns.stop - columns.start} x {rows.stop - rows.start} px"
    where = f"from row {rows.start}, column {columns.start}"
    kind = f"{scene.header.width} x {scene.header.height} px"
    stretched = "" if scene.header.limits is None else ", brought to 8 bit by the whole's stretch"
    return f"{size} {where} of {kind}{stretched}"


def command(scene: Scene, checkpoint: str, options: list[str]) -> str:
    """The command that maps the whole scene, window by window.

    Args:
        scene: which.
        checkpoint: its id.
        options: further words.
    """
    task = "segment" if scene.after is None else "change"
    stem = Path(scene.shown[-1]).stem
    words = ["n2m", task, *scene.shown, "--checkpoint", checkpoint]
    words += ["--out", f"{stem}_{checkpoint}.tif", "--engine", "stream", *options]
    return shlex.join(words)


def moved(scene: Scene, window: Window, box: Bounds) -> Window:
    """The window that a drawn box asks for; the former one when the box lies beside the scene."""
    return detail.window(scene.header, box, 0) or window
