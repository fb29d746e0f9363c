"""Palettes, alpha, nodata and photo orientation: pure functions on arrays and headers.

Axes `[C, H, W]`. Nothing here opens a raster.
"""

from __future__ import annotations

import math
import struct
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from n2m_core.errors import ImageReadError
from n2m_core.geo_image import Mask, Pixels

EXIF_ORIENTATION = 274
"""Tag number, EXIF 2.32 section 4.6.4."""
ROWS_PER_STRIP = 278
TRUE_ALPHA_SHARE = 0.5
"""An alpha band has at least this share of its values fully clear or fully opaque."""
_ORIENTED_DRIVERS = frozenset({"JPEG", "PNG", "WEBP", "GTiff"})


def expand_palette(
    indices: NDArray[np.uint8], colormap: Mapping[int, Sequence[int]]
) -> tuple[NDArray[np.uint8], Mask]:
    """Look up the colour of every index.

    Args:
        indices: [H, W].
        colormap: index to red, green, blue, alpha, 0..255.

    Returns:
        uint8 [3, H, W] and bool [H, W], False where the colour is fully transparent.
    """
    table = np.zeros((256, 4), np.uint8)
    for index, colour in colormap.items():
        if 0 <= index < 256:
            table[index] = colour
    colours = table[indices]
    return np.moveaxis(colours[..., :3], -1, 0).copy(), colours[..., 3] > 0


def is_true_alpha(alpha: Pixels) -> bool:
    """Tell a transparency band from a fourth colour that its writer marked as alpha.

    GDAL marks the fourth band of an 8-bit GeoTIFF as alpha unless told otherwise, so near infrared
    often carries that mark. Transparency is nearly everywhere nothing or full.
    """
    full = float(np.iinfo(alpha.dtype).max) if alpha.dtype.kind in "ui" else float(alpha.max())
    return bool(((alpha == 0) | (alpha == full)).mean() >= TRUE_ALPHA_SHARE)


def valid_by_values(pixels: Pixels, nodata: Sequence[float | None]) -> Mask:
    """Find the pixels that hold data.

    A nodata value that dark or saturated ground can take as well (zero, or the largest value of an
    integer type) marks a pixel only when every band holds it; any other value, and NaN or infinity,
    marks a pixel as soon as one band holds it.

    Args:
        pixels: any real dtype [C, H, W].
        nodata: one a band, None where the band has none.

    Returns:
        bool [H, W], True where there is data.
    """
    some_missing = np.zeros(pixels.shape[1:], np.bool_)
    all_ambiguous = np.ones(pixels.shape[1:], np.bool_)
    is_float = pixels.dtype.kind == "f"
    top = math.inf if is_float else float(np.iinfo(pixels.dtype).max)
    has_ambiguous = True
    for band, value in zip(pixels, nodata, strict=True):
        if is_float:
            some_missing |= ~np.isfinite(band)
        if value is None or math.isnan(value):
            has_ambiguous = False
        elif value in (0.0, top):
            all_ambiguous &= band == value
        else:
            # A float32 file stores -3.4e38 rounded: compare in the file's own precision.
            some_missing |= band == (pixels.dtype.type(value) if is_float else value)
            has_ambiguous = False
    return ~(some_missing | all_ambiguous) if has_ambiguous else ~some_missing


def photo_orientation(path: Path, driver: str) -> int:
    """Read how a camera was held: the EXIF orientation, 1 (upright) to 8."""
    if driver not in _ORIENTED_DRIVERS:
        return 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as photo:
                value = photo.getexif().get(EXIF_ORIENTATION, 1)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError):
        # Pillow knows fewer kinds of TIFF than GDAL, and those come from no camera.
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def rows_per_strip(path: Path) -> int:
    """Read how many rows of a TIFF are stored together (TIFF 6.0, tag 278); 1 where it is tiled."""
    with path.open("rb") as file:
        try:
            head = file.read(8)
            is_big = 43 in head[2:4]  # BigTIFF's version, where plain TIFF has 42
            tags = TiffImagePlugin.ImageFileDirectory_v2(head + file.read(8 if is_big else 0))
            file.seek(tags.next)
            tags.load(file)
            rows = tags.get(ROWS_PER_STRIP, 1)
        except (OSError, SyntaxError, TypeError, ValueError, struct.error) as error:
            raise ImageReadError(
                f"{path.name} can't be read as an image: its list of tags is damaged."
            ) from error
    return int(rows)


def turn_upright(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo an EXIF orientation on the last two axes (EXIF 2.32, table 6)."""
    if orientation in (2, 3):
        array = array[..., ::-1]
    if orientation in (3, 4):
        array = array[..., ::-1, :]
    if orientation >= 5:
        array = np.swapaxes(array, -1, -2)
    if orientation in (6, 7):
        array = array[..., ::-1]
    if orientation in (7, 8):
        array = array[..., ::-1, :]
    return np.ascontiguousarray(array)
