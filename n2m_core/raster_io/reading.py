"""A raster file becomes a `GeoImage`: bands, valid mask, place and ground resolution.

What the reader had to change or guess is told in the image's notes, a sentence each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader
from rasterio.windows import Window

from n2m_core.errors import BandError, GridError, ParameterError
from n2m_core.geo_image import GeoImage, Mask, Pixels
from n2m_core.raster_io.channels import (
    expand_palette,
    is_true_alpha,
    photo_orientation,
    turn_upright,
    valid_by_values,
)
from n2m_core.raster_io.ground import centre_resolution_m, crs_text, lonlat_bounds
from n2m_core.raster_io.opening import MAX_PIXELS, check_memory, open_dataset

_NO_PLACE = "The file has no georeference: it is shown and exported in pixels."
_NO_CRS = "The file has a transform but no CRS, so its place on the Earth is unknown."


def read_image(
    path: Path,
    *,
    bands: Sequence[int] | None = None,
    nodata: float | None = None,
    resolution_m: float | None = None,
    max_pixels: int = MAX_PIXELS,
) -> GeoImage:
    """Read an image with its valid mask and its place on the ground.

    Palettes become red, green and blue; alpha becomes part of the valid mask; a photograph is
    turned upright; NaN and infinity become 0 and not valid.

    Args:
        path: the file.
        bands: which bands, in which order, counted from 1; all but alpha when not given.
        nodata: the value that means "no data", in place of the file's own.
        resolution_m: ground size of a pixel, metres, in place of the file's own.
        max_pixels: refuse larger images from the header alone.

    Returns:
        The image in the file's own dtype and units.

    Raises:
        ImageReadError: missing, empty, truncated, of another format.
        ImageTooLargeError: more pixels, bands or bytes than allowed.
        BandError: a band that the file lacks.
        ParameterError: a resolution that is not positive.
    """
    if resolution_m is not None and not 0 < resolution_m < float("inf"):
        raise ParameterError(f"Resolution is {resolution_m} m; give a positive number of metres.")
    with open_dataset(path, max_pixels=max_pixels) as dataset:
        if is_palette(dataset):
            image = _read_palette(dataset, path.name, bands, nodata)
        else:
            image = _read_bands(dataset, path.name, bands, nodata)
        image = _upright(image, path, dataset.driver)
    return _with_resolution(image, resolution_m)


def read_labels(path: Path) -> GeoImage:
    """Read a label raster without changing its values.

    Args:
        path: the file.

    Returns:
        One band of class indices (palette indices are kept), or the 3 bands of a colour mask.

    Raises:
        ImageReadError: missing, empty, truncated, of another format.
        ImageTooLargeError: more pixels, bands or bytes than allowed.
    """
    with open_dataset(path) as dataset:
        image = _read_bands(dataset, path.name, None, None)
        if is_palette(dataset):
            image = image.with_notes("Class indices are those of the file's palette.")
        image = _upright(image, path, dataset.driver)
    return _with_resolution(image, None)


def is_palette(dataset: DatasetReader) -> bool:
    """Tell whether the file holds indices into a table of colours."""
    return bool(dataset.count <= 2 and dataset.colorinterp[0] == ColorInterp.palette)


def _read_bands(
    dataset: DatasetReader, name: str, bands: Sequence[int] | None, nodata: float | None
) -> GeoImage:
    alpha, notes = _find_alpha(dataset)
    chosen = _choose_bands(dataset, name, bands, alpha)
    values = [dataset.nodatavals[band - 1] if nodata is None else nodata for band in chosen]
    dtype = common_dtype(dataset, chosen)
    check_memory(name, len(chosen) * dataset.width * dataset.height, dtype)
    pixels, valid = read_pixels(dataset, chosen, values, alpha, has_mask=not notes)
    names = tuple(band_name(dataset, band) for band in chosen)
    return place(dataset, name, pixels, valid, names).with_notes(*notes)


def common_dtype(dataset: DatasetReader, bands: Sequence[int]) -> np.dtype[Any]:
    """Give the dtype that holds the values of all these bands."""
    return np.dtype(np.result_type(*(dataset.dtypes[band - 1] for band in bands)))


def read_pixels(
    dataset: DatasetReader,
    bands: Sequence[int],
    nodata: Sequence[float | None],
    alpha: int | None,
    *,
    has_mask: bool,
    window: Window | None = None,
    shape: tuple[int, int] | None = None,
) -> tuple[Pixels, Mask]:
    """Read bands and their valid mask: the whole, a window of it, or either with fewer pixels.

    Args:
        dataset: the open file.
        bands: counted from 1.
        nodata: one a band, None where the band has none.
        alpha: the transparency band, if there is one.
        has_mask: whether the file's own mask counts, where it has one and no alpha.
        window: what to read; everything when not given.
        shape: rows and columns wanted, the nearest pixels taken; those of the window if not given.

    Returns:
        Pixels [C, H, W] in the bands' common dtype, without NaN and infinity, and bool [H, W].
    """

    def taken(numbers: list[int]) -> Pixels:
        """Read some bands."""
        wanted = None if shape is None else (len(numbers), *shape)
        read: Pixels = dataset.read(
            numbers, window=window, out_shape=wanted, out_dtype=common_dtype(dataset, numbers)
        )
        return read

    pixels = taken(list(bands))
    valid = valid_by_values(pixels, nodata)
    if alpha is not None:
        valid &= taken([alpha])[0] > 0
    elif has_mask and MaskFlags.per_dataset in dataset.mask_flag_enums[0]:
        valid &= dataset.dataset_mask(window=window, out_shape=shape) > 0
    if pixels.dtype.kind == "f":
        pixels = np.nan_to_num(pixels, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return pixels, valid


def _read_palette(
    dataset: DatasetReader, name: str, bands: Sequence[int] | None, nodata: float | None
) -> GeoImage:
    check_memory(name, 4 * dataset.width * dataset.height, np.dtype(np.uint8))
    colours, valid = read_colours(dataset, nodata)
    image = place(dataset, name, colours, valid, ("red", "green", "blue"))
    image = image.with_notes("The file's palette was turned into red, green and blue.")
    if bands is None:
        return image
    _check_bands(name, bands, 3)
    order = [band - 1 for band in bands]
    return image.with_pixels(colours[order], tuple(image.band_names[band] for band in order))


def read_colours(
    dataset: DatasetReader,
    nodata: float | None = None,
    *,
    window: Window | None = None,
    shape: tuple[int, int] | None = None,
) -> tuple[Pixels, Mask]:
    """Read a palette file as red, green and blue, with its valid mask; see `read_pixels`."""
    indices = dataset.read(1, window=window, out_shape=shape)
    colours, opaque = expand_palette(indices, dataset.colormap(1))
    value = dataset.nodatavals[0] if nodata is None else nodata
    valid = opaque if value is None else opaque & (indices != value)
    if dataset.count == 2:
        valid = valid & (dataset.read(2, window=window, out_shape=shape) > 0)
    return colours, valid


def _find_alpha(dataset: DatasetReader) -> tuple[int | None, tuple[str, ...]]:
    """Find the transparency band, and say when one that is marked so looks like a colour."""
    marked = [i for i, kind in enumerate(dataset.colorinterp, 1) if kind == ColorInterp.alpha]
    if not marked or dataset.count == 1:
        return None, ()
    if dataset.driver != "GTiff" or is_true_alpha(dataset.read(marked[0])):
        return marked[0], ()
    note = f"Band {marked[0]} is marked as transparency but holds other values; it is kept a band."
    return None, (note,)


def _choose_bands(
    dataset: DatasetReader, name: str, bands: Sequence[int] | None, alpha: int | None
) -> list[int]:
    if bands is None:
        return [band for band in range(1, dataset.count + 1) if band != alpha]
    _check_bands(name, bands, dataset.count)
    return list(bands)


def _check_bands(name: str, bands: Sequence[int], count: int) -> None:
    wrong = [band for band in bands if not 1 <= band <= count]
    if wrong or not bands:
        raise BandError(
            f"{name} has {count} band{'s' if count > 1 else ''}, counted from 1, and bands "
            f"{','.join(map(str, bands)) or '(none)'} were asked for; choose among 1 to {count}."
        )


def band_name(dataset: DatasetReader, band: int) -> str:
    """Give the name of a band, counted from 1."""
    described = dataset.descriptions[band - 1]
    if described:
        return str(described)
    colour = dataset.colorinterp[band - 1]
    # A TIFF without colours calls its first band grey, which says nothing when others follow.
    told = {ColorInterp.red, ColorInterp.green, ColorInterp.blue}
    if dataset.count <= 2:
        told.add(ColorInterp.gray)
    return str(colour.name) if colour in told else f"band {band}"


def place(
    dataset: DatasetReader,
    name: str,
    pixels: Pixels,
    valid: Mask,
    band_names: tuple[str, ...],
    *,
    step: Affine | None = None,
) -> GeoImage:
    """Put pixels on the dataset's grid.

    Args:
        dataset: the open file.
        name: of the file, for messages.
        pixels: any real dtype [C, H, W].
        valid: bool [H, W].
        band_names: one a band.
        step: from pixels of the image to pixels of the file, where they are not the same.

    Raises:
        GridError: the file's transform maps it to a line.
    """
    transform: Affine = dataset.transform
    notes: tuple[str, ...] = ()
    if not dataset.crs:
        notes = (_NO_PLACE if transform.is_identity else _NO_CRS,)
    elif transform.is_identity:
        notes = (_NO_PLACE,)
    elif transform.e > 0 and transform.a > 0 and transform.b == transform.d == 0:
        notes = ("The file is stored south-up: its first row is the southernmost.",)
    crs = None if transform.is_identity else crs_text(dataset.crs)
    if transform.is_degenerate:
        raise GridError(f"The transform of {name} maps it to a line; write the file again.")
    own = transform if step is None else transform @ step
    image = GeoImage(pixels, valid, crs, own, band_names, None, notes)
    try:
        if crs is not None:
            lonlat_bounds(image)
    except GridError:
        note = "The file's CRS has no place on the Earth; it is treated as without georeference."
        image = replace(image, crs=None, notes=(*notes, note))
    return image


def _upright(image: GeoImage, path: Path, driver: str) -> GeoImage:
    """Turn a photograph upright; a placed image lies as its transform says."""
    orientation = 1
    if image.crs is None and image.transform.is_identity:
        orientation = photo_orientation(path, driver)
    if orientation == 1:
        return image
    turned = replace(
        image,
        pixels=turn_upright(image.pixels, orientation),
        valid=turn_upright(image.valid, orientation),
    )
    return turned.with_notes("The photograph was turned upright as its camera recorded.")


def _with_resolution(image: GeoImage, resolution_m: float | None) -> GeoImage:
    known = centre_resolution_m(image) if resolution_m is None else resolution_m
    return replace(image, resolution_m=known)
