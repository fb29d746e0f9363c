"""Which bands of a file are read, what they are called, and what says where there is data.

A layout is decided once for a file, so that its windows are read alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader
from rasterio.windows import Window

from n2m_core.errors import BandError
from n2m_core.geo_image import Mask, Pixels
from n2m_core.raster_io.channels import expand_palette, is_true_alpha, valid_by_values

ALPHA_PIXELS = 4096**2
"""A transparency band of more pixels is judged by a sample of them."""
SAMPLE_PX = 128
SAMPLES = 8
"""Values are known from 8 x 8 windows of 128 px, spread evenly."""
_COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class Layout:
    """How the pixels of a file are read.

    Attributes:
        bands: of the file, counted from 1; they decide where there is data.
        picked: which of the channels that these give are kept, in order, counted from 0.
        names: of the channels kept.
        dtype: of the pixels.
        nodata: value that means "no data", one a band.
        alpha: number of the transparency band.
        has_mask: whether the file's own mask counts.
        palette: index to red, green, blue, alpha, where the band holds indices of colours.
        notes: what was found, a sentence each.
    """

    bands: tuple[int, ...]
    picked: tuple[int, ...]
    names: tuple[str, ...]
    dtype: np.dtype[Any]
    nodata: tuple[float | None, ...]
    alpha: int | None
    has_mask: bool
    palette: Mapping[int, Sequence[int]] | None
    notes: tuple[str, ...]

    @property
    def values(self) -> int:
        """Numbers held in memory for a pixel while it is read."""
        return len(self.bands) if self.palette is None else 1 + len(_COLOURS)


def is_palette(dataset: DatasetReader) -> bool:
    """Tell whether a file's values are indices of colours."""
    return bool(dataset.count <= 2 and dataset.colorinterp[0] == ColorInterp.palette)


def layout_of(
    dataset: DatasetReader,
    name: str,
    bands: Sequence[int] | None,
    nodata: float | None,
    *,
    expands_palette: bool = True,
) -> Layout:
    """Decide how a file is read.

    Args:
        dataset: the open file.
        name: of the file, for messages.
        bands: which bands, in which order, counted from 1; all but alpha when None.
        nodata: the value that means "no data", in place of the file's own.
        expands_palette: whether indices become colours.

    Raises:
        BandError: a band that the file lacks.
    """
    if expands_palette and is_palette(dataset):
        return _palette_layout(dataset, name, bands, nodata)
    alpha, notes = _find_alpha(dataset)
    chosen = _choose_bands(dataset, name, bands, alpha)
    masks = dataset.mask_flag_enums[0]
    return Layout(
        bands=tuple(chosen),
        picked=tuple(range(len(chosen))),
        names=tuple(_band_name(dataset, band) for band in chosen),
        dtype=np.dtype(np.result_type(*(dataset.dtypes[band - 1] for band in chosen))),
        nodata=tuple(dataset.nodatavals[b - 1] if nodata is None else nodata for b in chosen),
        alpha=alpha,
        has_mask=alpha is None and MaskFlags.per_dataset in masks and not notes,
        palette=None,
        notes=notes,
    )


def _palette_layout(
    dataset: DatasetReader, name: str, bands: Sequence[int] | None, nodata: float | None
) -> Layout:
    """The layout of a file with a palette."""
    if bands is not None:
        _check_bands(name, bands, len(_COLOURS))
    picked = tuple(range(len(_COLOURS))) if bands is None else tuple(band - 1 for band in bands)
    return Layout(
        bands=(1,),
        picked=picked,
        names=tuple(_COLOURS[index] for index in picked),
        dtype=np.dtype(np.uint8),
        nodata=(dataset.nodatavals[0] if nodata is None else nodata,),
        alpha=2 if dataset.count == 2 else None,
        has_mask=False,
        palette=dataset.colormap(1),
        notes=("The file's palette was turned into red, green and blue.",),
    )


def read_values(
    dataset: DatasetReader,
    layout: Layout,
    window: Window | None = None,
    shape: tuple[int, int] | None = None,
) -> tuple[Pixels, Mask]:
    """Read a file, or a window of it, all pixels or fewer.

    Args:
        dataset: the open file.
        layout: what is read.
        window: everything when not given.
        shape: rows and columns wanted, the nearest pixels taken; those of the window if not given.

    Returns:
        Pixels [C, H, W] of the layout's dtype, 0 for NaN and infinity; valid, bool [H, W].
    """
    if layout.palette is not None:
        indices = dataset.read(1, window=window, out_shape=shape)
        pixels, valid = expand_palette(indices, layout.palette)
        if layout.nodata[0] is not None:
            valid = valid & (indices != layout.nodata[0])
    else:
        wanted = None if shape is None else (len(layout.bands), *shape)
        pixels = dataset.read(
            list(layout.bands), out_dtype=layout.dtype, window=window, out_shape=wanted
        )
        valid = valid_by_values(pixels, layout.nodata)
    if layout.alpha is not None:
        valid = valid & (dataset.read(layout.alpha, window=window, out_shape=shape) > 0)
    elif layout.has_mask:
        valid = valid & (dataset.dataset_mask(window=window, out_shape=shape) > 0)
    if layout.picked != tuple(range(len(pixels))):
        pixels = pixels[list(layout.picked)]
    if layout.dtype.kind == "f":
        pixels = np.nan_to_num(pixels, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return pixels, valid


def _find_alpha(dataset: DatasetReader) -> tuple[int | None, tuple[str, ...]]:
    """Find the transparency band, and say when one that is marked so looks like a colour."""
    marked = [i for i, kind in enumerate(dataset.colorinterp, 1) if kind == ColorInterp.alpha]
    if not marked or dataset.count == 1:
        return None, ()
    if dataset.driver != "GTiff" or is_true_alpha(_sampled(dataset, marked[0])):
        return marked[0], ()
    note = f"Band {marked[0]} is marked as transparency but holds other values; it is kept a band."
    return None, (note,)


def _sampled(dataset: DatasetReader, band: int) -> Pixels:
    """Read a band, or a sample of it where it is large, as one line."""
    if dataset.height * dataset.width <= ALPHA_PIXELS:
        return np.ravel(dataset.read(band))
    return np.concatenate([dataset.read(band, window=box).ravel() for box in sample_boxes(dataset)])


def sample_boxes(dataset: DatasetReader) -> Iterator[Window]:
    """Give small windows spread evenly over a file, row by row."""
    height, width = (min(SAMPLE_PX, side) for side in (dataset.height, dataset.width))
    for row in _spread(dataset.height):
        for column in _spread(dataset.width):
            yield Window(column, row, width, height)


def _spread(length: int) -> list[int]:
    """Where the sample's windows begin along one axis."""
    last = max(0, length - SAMPLE_PX)
    return sorted({round(last * (part + 0.5) / SAMPLES) for part in range(SAMPLES)})


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


def _band_name(dataset: DatasetReader, band: int) -> str:
    described = dataset.descriptions[band - 1]
    if described:
        return str(described)
    colour = dataset.colorinterp[band - 1]
    # A TIFF without colours calls its first band grey, which says nothing when others follow.
    told = {ColorInterp.red, ColorInterp.green, ColorInterp.blue}
    if dataset.count <= 2:
        told.add(ColorInterp.gray)
    return str(colour.name) if colour in told else f"band {band}"
