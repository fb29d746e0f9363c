"""Which files may be opened, how large they may be, and what GDAL's complaints mean.

Only drivers that read plain pixels from one file are allowed: formats such as VRT can name other
files or addresses, which an uploaded file must not be able to do.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from n2m_core.errors import ImageReadError, ImageTooLargeError

MAX_PIXELS = 400_000_000
"""Largest image that is read, pixels: 20 000 x 20 000."""
MAX_SCENE_PIXELS = 100_000_000_000
"""Largest scene that is read window by window, pixels."""
MAX_BANDS = 64
MAX_BYTES = 6 * 1024**3
"""Most memory that the pixels of one image may take."""
SIGNATURES = (
    (b"II*\0", "GTiff"),
    (b"MM\0*", "GTiff"),
    (b"II+\0", "GTiff"),
    (b"MM\0+", "GTiff"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"\0\0\0\x0cjP  ", "JP2OpenJPEG"),
    (b"\xff\x4f\xff\x51", "JP2OpenJPEG"),
    (b"BM", "BMP"),
    (b"GIF8", "GIF"),
    (b"EHFA_HEADER_TAG", "HFA"),
)
"""First bytes of a file and the GDAL driver that may open it; WebP hides its name at byte 8."""
RASTER_ERRORS = (RasterioError, CPLE_BaseError)
"""What rasterio raises; GDAL's own errors have no public name there and are no `RasterioError`."""
FORMATS = "GeoTIFF, PNG, JPEG, WebP, JPEG 2000, BMP, GIF or Erdas IMG"
_PNG_SIGNATURE_BYTES = 8


@contextmanager
def open_dataset(path: Path, *, max_pixels: int = MAX_PIXELS) -> Iterator[DatasetReader]:
    """Open a raster for reading and turn what GDAL raises into an `ImageReadError`.

    Args:
        path: the file.
        max_pixels: refuse larger images from the header alone.

    Yields:
        The open rasterio dataset.

    Raises:
        ImageReadError: missing, empty, truncated or of another format.
        ImageTooLargeError: more pixels or bands than allowed.
    """
    with _opened(str(path.resolve()), _find_driver(path), path.name, max_pixels) as dataset:
        yield dataset


@contextmanager
def open_remote(name: str, *, max_pixels: int = MAX_PIXELS) -> Iterator[DatasetReader]:
    """Open a GeoTIFF through one of GDAL's virtual file systems, such as /vsis3/ or /vsicurl/.

    Never call this with a name that a visitor of a page typed: it reads whatever address it names.

    Args:
        name: begins with /vsi.
        max_pixels: refuse larger images from the header alone.

    Yields:
        The open rasterio dataset.

    Raises:
        ImageReadError: nothing there, no permission, or no GeoTIFF.
        ImageTooLargeError: more pixels or bands than allowed.
    """
    with _opened(name, "GTiff", name.rsplit("/", 1)[-1], max_pixels) as dataset:
        yield dataset


@contextmanager
def _opened(target: str, driver: str, name: str, max_pixels: int) -> Iterator[DatasetReader]:
    """Open with one driver, check the header, and translate what GDAL raises."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with (
                rasterio.Env(GDAL_ERROR_ON_LIBJPEG_WARNING=True),
                rasterio.open(target, driver=driver) as dataset,
            ):
                _check_header(dataset, name, max_pixels)
                yield dataset
    except (*RASTER_ERRORS, MemoryError) as error:
        raise ImageReadError(
            f"{name} can't be read as an image: it is damaged or cut short. "
            f"Give a complete {FORMATS} file."
        ) from error


def check_memory(name: str, values: int, dtype: np.dtype[Any]) -> None:
    """Refuse pixels that would not fit in memory.

    Raises:
        ImageTooLargeError: more than `MAX_BYTES`.
    """
    needed = values * dtype.itemsize
    if needed > MAX_BYTES:
        raise ImageTooLargeError(
            f"{name} needs {needed / 1024**3:.1f} GiB of memory and {MAX_BYTES / 1024**3:.0f} GiB "
            "is the most allowed; choose fewer bands or cut the image."
        )


def _find_driver(path: Path) -> str:
    """Tell the format by its first bytes, whatever the file's name says."""
    if not path.is_file():
        raise ImageReadError(f"There is no file {path.name}; check the path.")
    size = path.stat().st_size
    if size == 0:
        raise ImageReadError(f"{path.name} is empty (0 bytes); export or upload it again.")
    with path.open("rb") as stream:
        start = stream.read(16)
    driver = next((name for mark, name in SIGNATURES if start.startswith(mark)), None)
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        driver = "WEBP"
    if driver is None:
        raise ImageReadError(f"{path.name} is not an image of a known format; give a {FORMATS}.")
    # GDAL returns the pixels of a PNG that was cut short, without a word.
    if driver == "PNG" and not _is_complete_png(path, size):
        raise ImageReadError(
            f"{path.name} is cut short: the PNG has no end mark. Copy or upload it again."
        )
    return driver


def _is_complete_png(path: Path, size: int) -> bool:
    """Walk the chunks of a PNG (PNG specification, section 5.3) until IEND."""
    with path.open("rb") as stream:
        position = _PNG_SIGNATURE_BYTES
        while position + 12 <= size:
            stream.seek(position)
            length, kind = struct.unpack(">I4s", stream.read(8))
            position += 12 + length
            if kind == b"IEND":
                return bool(position <= size)
    return False


def _check_header(dataset: DatasetReader, name: str, max_pixels: int) -> None:
    pixels = dataset.width * dataset.height
    if pixels > max_pixels:
        raise ImageTooLargeError(
            f"{name} is {dataset.width} x {dataset.height} px ({pixels / 1e6:.0f} megapixels) and "
            f"{max_pixels / 1e6:.0f} is the most allowed; cut it or make it coarser."
        )
    if dataset.count > MAX_BANDS:
        raise ImageTooLargeError(
            f"{name} has {dataset.count} bands and {MAX_BANDS} is the most allowed; "
            "write a file with the bands that are needed."
        )
    if dataset.count == 0:
        raise ImageReadError(f"{name} holds several images; give one of them as a file of its own.")
    if any(kind.startswith("complex") for kind in dataset.dtypes):
        raise ImageReadError(f"{name} holds complex numbers; write its amplitude as an image.")
