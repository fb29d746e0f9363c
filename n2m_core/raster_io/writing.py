"""A `GeoImage` becomes a cloud optimised GeoTIFF, whole or not at all.

The file is made in memory, written beside its place and moved there in one step, so a full disk or
a killed run leaves the old file as it was.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetWriter, MemoryFile
from rasterio.shutil import copy as copy_raster

from n2m_core.atomic import write_bytes
from n2m_core.errors import BandError, OutputError, ParameterError
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io.ground import parse_crs
from n2m_core.raster_io.opening import RASTER_ERRORS

Colormap = Mapping[int, tuple[int, int, int]]
_COLOURS = {"red": ColorInterp.red, "green": ColorInterp.green, "blue": ColorInterp.blue}


def write_geotiff(
    path: Path,
    image: GeoImage,
    *,
    nodata: float | None = None,
    colormap: Colormap | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write a cloud optimised GeoTIFF with the image's CRS, transform and size.

    Args:
        path: where. An older file is replaced at the end, in one step.
        image: bool becomes uint8, float16 becomes float32.
        nodata: value put in and declared for pixels that are not valid; an internal mask is
            written in its place when not given and some pixel is not valid.
        colormap: index to red, green, blue, for one band of uint8.
        tags: texts stored in the file.

    Raises:
        OutputError: the folder is full or not writable.
        BandError: a colormap for other than one band of uint8.
        ParameterError: a nodata value that the dtype can't hold.
    """
    data = geotiff_bytes(image, nodata=nodata, colormap=colormap, tags=tags)
    write_bytes(Path(path), data)


def geotiff_bytes(
    image: GeoImage,
    *,
    nodata: float | None = None,
    colormap: Colormap | None = None,
    tags: Mapping[str, str] | None = None,
) -> bytes:
    """Make the file of `write_geotiff` in memory, for a download.

    Raises:
        OutputError: the file does not fit in memory.
        BandError: a colormap for other than one band of uint8.
        ParameterError: a nodata value that the dtype can't hold.
    """
    image = _with_writable_dtype(image)
    if colormap is not None and (image.bands != 1 or image.pixels.dtype != np.uint8):
        raise BandError(
            f"A colour table needs one band of uint8; the image has {image.bands} of "
            f"{image.pixels.dtype}."
        )
    if nodata is not None:
        image = _fill_nodata(image, nodata)
    try:
        return _make_cog(image, nodata, colormap, tags or {})
    except RASTER_ERRORS as error:
        raise OutputError(
            f"An image of {image.width} x {image.height} px with {image.bands} bands can't be "
            "written as a GeoTIFF; free some memory or write a part of it."
        ) from error


def _make_cog(
    image: GeoImage, nodata: float | None, colormap: Colormap | None, tags: Mapping[str, str]
) -> bytes:
    """Fill a GeoTIFF in memory, then let GDAL's COG driver lay it out with overviews.

    Both are in memory because GDAL does not report a disk that fills up while it closes a file.
    """
    is_labels = colormap is not None
    with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with MemoryFile(ext=".tif") as draft, MemoryFile(ext=".tif") as final:
            with draft.open(**profile_of(image, nodata)) as dataset:
                _fill(dataset, image, nodata, colormap, tags)
            with draft.open() as dataset:
                copy_raster(
                    dataset,
                    final.name,
                    driver="COG",
                    compress="DEFLATE",
                    predictor="NO" if is_labels else "YES",
                    bigtiff="IF_SAFER",
                    overview_resampling="NEAREST" if is_labels else "AVERAGE",
                )
            return bytes(final.read())


def _with_writable_dtype(image: GeoImage) -> GeoImage:
    """Widen what TIFF does not know."""
    wider = {"bool": np.uint8, "float16": np.float32}.get(image.pixels.dtype.name)
    if wider is None:
        return image
    return image.with_pixels(image.pixels.astype(wider), image.band_names)


def _fill_nodata(image: GeoImage, nodata: float) -> GeoImage:
    dtype = image.pixels.dtype
    if dtype.kind in "ui":
        limits = np.iinfo(dtype)
        if not limits.min <= nodata <= limits.max or nodata != int(nodata):
            raise ParameterError(
                f"The nodata value {nodata} does not fit {dtype} ({limits.min} to {limits.max}); "
                "choose one in that range."
            )
    filled = np.where(image.valid, image.pixels, np.asarray(nodata, dtype))
    return image.with_pixels(filled, image.band_names)


def profile_of(image: GeoImage, nodata: float | None) -> dict[str, Any]:
    """Give what rasterio needs to make a GeoTIFF on an image's grid."""
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "width": image.width,
        "height": image.height,
        "count": image.bands,
        "dtype": image.pixels.dtype.name,
        "nodata": nodata,
        # Left to itself, GDAL calls the fourth band of 8-bit colours transparency.
        "photometric": "MINISBLACK",
    }
    if image.crs is not None:
        profile["crs"] = parse_crs(image.crs)
    if image.crs is not None or not image.transform.is_identity:
        profile["transform"] = image.transform
    if tuple(name.lower() for name in image.band_names[:3]) == ("red", "green", "blue"):
        profile["photometric"] = "RGB"
    return profile


def _fill(
    dataset: DatasetWriter,
    image: GeoImage,
    nodata: float | None,
    colormap: Colormap | None,
    tags: Mapping[str, str],
) -> None:
    dataset.write(image.pixels)
    write_description(dataset, image, colormap, tags)
    if nodata is None and not image.valid.all():
        dataset.write_mask(image.valid)


def write_description(
    dataset: DatasetWriter, image: GeoImage, colormap: Colormap | None, tags: Mapping[str, str]
) -> None:
    """Write all that a file holds beside its pixels: names of the bands, colours, texts."""
    dataset.descriptions = image.band_names
    if colormap is not None:
        dataset.write_colormap(1, {index: (*colour, 255) for index, colour in colormap.items()})
    dataset.update_tags(**dict(tags))
