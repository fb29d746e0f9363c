"""What the published sets share: binary tiles taken pixel by pixel, as the papers take them.

A tile of a published set has the nominal ground resolution of its set and no georeference, so that
nothing is resampled beyond what the set's protocol says and scores compare with published ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from n2m_core.datasets.base import LabelClass, Sample, Task, class_count
from n2m_core.datasets.folder import ReadOptions, SampleFiles
from n2m_core.datasets.mask_reading import read_mask
from n2m_core.errors import BandError, DatasetError, LabelError
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import Resampling, resample

RGB = 3


class AbstractTiles(Sequence[Sample], ABC):
    """Samples of a published set, read when they are asked for."""

    def __init__(self, names: Sequence[str]) -> None:
        """Keep the names; nothing is read yet."""
        self._names = tuple(names)

    @property
    def names(self) -> tuple[str, ...]:
        """Sample names in the order of the indices."""
        return self._names

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._names)

    def __iter__(self) -> Iterator[Sample]:
        """Read one sample after the other."""
        return (self._read(index) for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        """Read one sample, or several."""
        numbers = range(len(self))[index]
        if isinstance(numbers, range):
            return [self._read(number) for number in numbers]
        return self._read(numbers)

    @abstractmethod
    def _read(self, index: int) -> Sample:
        """Read one sample; the index is in range."""


@dataclass(frozen=True)
class TileForm:
    """What the tiles of a set are brought to.

    Attributes:
        resolution_m: nominal ground size of a pixel, metres.
        size_px: side of a tile; None to keep the files' size.
    """

    resolution_m: float
    size_px: int | None = None


class BinaryTiles(AbstractTiles):
    """Samples with files of their own: an image, or two dates of it, and a binary mask."""

    def __init__(
        self,
        files: Sequence[SampleFiles],
        form: TileForm,
        classes: Sequence[LabelClass],
        *,
        ignore: int | None = None,
        options: ReadOptions | None = None,
    ) -> None:
        """Keep the files; nothing is read yet.

        Args:
            files: of every sample.
            form: what the tiles are brought to.
            classes: of the checkpoint.
            ignore: a mask value that counts nowhere.
            options: how the images are read.
        """
        super().__init__([each.name for each in files])
        self._files = tuple(files)
        self._form = form
        self._classes = tuple(classes)
        self._ignore = ignore
        self._options = options or ReadOptions()

    def _read(self, index: int) -> Sample:
        """Read one tile or pair."""
        files, form = self._files[index], self._form
        image = read_tile(files.image, self._options, form.resolution_m, form.size_px)
        after = None
        if files.after is not None:
            after = read_tile(files.after, self._options, form.resolution_m, form.size_px)
        label = read_binary_label(
            files.label,
            image.valid.shape,
            self._classes,
            ignore=self._ignore,
            size_px=form.size_px,
        )
        return Sample(files.name, image, label, after, "binary")


def check_binary(name: str, task: Task, classes: Sequence[LabelClass]) -> None:
    """Check that a checkpoint's classes fit a set of binary masks.

    In change more classes pass: what the mask calls changed is scored as the target of all of them.

    Raises:
        DatasetError: a segmentation of three or more classes.
        LabelError: fewer than two classes.
    """
    count = class_count(tuple(classes))
    if task == "segment" and count != 2:
        raise DatasetError(
            f"Dataset {name} has binary masks and the checkpoint {count} classes; use a checkpoint "
            "of two classes."
        )


def read_tile(
    path: Path, options: ReadOptions, resolution_m: float, size_px: int | None = None
) -> GeoImage:
    """Read an image as a tile of three bands.

    Args:
        path: the image.
        options: bands (the first three when None), nodata, and a resolution that replaces the
            set's own.
        resolution_m: nominal ground size of the tile's pixels, metres.
        size_px: side that the tile is brought to, area-averaged; None to keep the file's size.

    Returns:
        The tile without georeference.

    Raises:
        BandError: the image has fewer than three bands.
        ImageReadError: the image can't be read.
    """
    image = replace(options, resolution_m=None).read(path)
    if options.bands is None and image.bands < RGB:
        raise BandError(
            f"{path.name} has {image.bands} band(s); three are needed. Choose bands that exist "
            "with --bands, such as 1,1,1."
        )
    if options.bands is None:
        image = image.with_pixels(image.pixels[:RGB], image.band_names[:RGB])
    if size_px is not None:
        is_smaller = min(image.valid.shape) < size_px
        way: Resampling = "bilinear" if is_smaller else "average"
        image = resample(image, size_px, size_px, resampling=way)
    return unplaced(image, options.resolution_m or resolution_m)


def unplaced(image: GeoImage, resolution_m: float) -> GeoImage:
    """Take an image's pixels without their place, at a nominal ground resolution in metres."""
    return replace(
        image, crs=None, transform=Affine.identity(), resolution_m=resolution_m, notes=()
    )


def read_binary_label(
    path: Path,
    shape: tuple[int, ...],
    classes: Sequence[LabelClass],
    *,
    ignore: int | None = None,
    size_px: int | None = None,
) -> NDArray[np.uint8]:
    """Read a binary mask; 0 is background, anything else the target.

    Args:
        path: the mask.
        shape: rows and columns of the tile that it belongs to.
        classes: the checkpoint's classes.
        ignore: a mask value that counts nowhere.
        size_px: side that the mask is brought to by nearest neighbour; None to keep its size.

    Returns:
        uint8 [H, W]: 0, 1, and 255 where a pixel counts nowhere.

    Raises:
        LabelError: the mask has another size than the tile.
    """
    mask = read_mask(path, classes, kind="binary", ignore=ignore)
    if size_px is not None:
        mask = resample(mask, size_px, size_px, resampling="nearest")
    if mask.valid.shape != tuple(shape):
        raise LabelError(
            f"{path.name} is {mask.width} x {mask.height} px and its image "
            f"{shape[1]} x {shape[0]} px; give a mask of the image's size."
        )
    return np.asarray(mask.pixels[0], dtype=np.uint8)
