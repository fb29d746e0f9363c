"""A raster file becomes a `GeoImage`: bands, valid mask, place and ground resolution.

What the reader had to change or guess is told in the image's notes, a sentence each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from affine import Affine
from rasterio.io import DatasetReader

from n2m_core.errors import GridError, ParameterError
from n2m_core.geo_image import GeoImage, Mask, Pixels
from n2m_core.raster_io.channels import photo_orientation, turn_upright
from n2m_core.raster_io.ground import centre_resolution_m, crs_text, lonlat_bounds
from n2m_core.raster_io.layout import Layout, is_palette, layout_of, read_values
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
        image = _whole(dataset, path.name, layout_of(dataset, path.name, bands, nodata))
        image = _upright(image, path, dataset.driver)
    return with_resolution(image, resolution_m)


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
        layout = layout_of(dataset, path.name, None, None, expands_palette=False)
        image = _whole(dataset, path.name, layout)
        if is_palette(dataset):
            image = image.with_notes("Class indices are those of the file's palette.")
        image = _upright(image, path, dataset.driver)
    return with_resolution(image, None)


def _whole(dataset: DatasetReader, name: str, layout: Layout) -> GeoImage:
    """Read all pixels."""
    check_memory(name, layout.values * dataset.width * dataset.height, layout.dtype)
    pixels, valid = read_values(dataset, layout)
    return place(dataset, name, pixels, valid, layout.names).with_notes(*layout.notes)


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


def with_resolution(image: GeoImage, resolution_m: float | None) -> GeoImage:
    """Note the ground size of a pixel, metres: the one given, else the image's own."""
    known = centre_resolution_m(image) if resolution_m is None else resolution_m
    return replace(image, resolution_m=known)
