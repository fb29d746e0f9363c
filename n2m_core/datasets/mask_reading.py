"""Turn a mask file into class indices: binary masks, index masks and colour masks.

Rules, in the order in which they are tried:

1. A colour mask (three bands, or a palette) is read by the classes' colours; any other colour is
   left out. In a binary task black is the background unless a class claims another colour.
2. A binary mask: 0 is background, anything else is the target. A JPEG is cut at half of its range,
   for its compression smears the zeros.
3. An index mask: each value is a class index, 255 is left out; where classes carry pixel values
   (`mask_colour` an integer) each value is looked up, and any other value is left out.

The value `ignore` is left out in 2 and 3. A palette's order says nothing (it differs from file to
file of one dataset), so a palette is looked up by colour whenever the classes have colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from n2m_core.datasets.base import LabelClass, LabelKind, class_count, values_of
from n2m_core.errors import LabelError
from n2m_core.geo_image import GeoImage
from n2m_core.metrics.confusion import IGNORE
from n2m_core.raster_io import align_to, read_image, read_labels, same_grid

Labels = NDArray[np.uint8]

BLACK = 0x000000
LOSSY_SUFFIXES = frozenset({".jpg", ".jpeg"})
_LOSSY_CUT = 128
_VALUES_SHOWN = 8


def read_mask(
    path: Path,
    classes: Sequence[LabelClass],
    *,
    kind: LabelKind,
    ignore: int | None = None,
    has_background: bool = False,
) -> GeoImage:
    """Read one mask file as class indices.

    Args:
        path: the mask.
        classes: the checkpoint's classes, in the order of their indices.
        kind: `binary` gives 0 and 1, `classes` gives 0..K-1.
        ignore: a pixel value that counts nowhere.
        has_background: class 0 means that nothing is there, as it always does in a binary mask.

    Returns:
        One uint8 band on the mask's own grid, 255 where a pixel counts nowhere.

    Raises:
        LabelError: the values or colours do not fit the classes.
    """
    count = class_count(tuple(classes))
    colours = class_colours(classes) if kind == "classes" or count == 2 else {}
    raw = read_labels(path)
    picture = _picture(path, raw)
    if _is_colour_mask(picture, colours, count):
        labels = _decode_colours(picture, colours)
        if not (labels != IGNORE).any() and not _is_grey(picture.pixels):
            raise LabelError(_no_colour_found(path, picture, classes))
        return _as_label_image(raw, _masked(labels, picture.valid))
    values = _values(path, raw, picture, kind)
    valid = _data_mask(values, raw.valid) if kind == "binary" or has_background else raw.valid
    if kind == "binary":
        labels = _decode_binary(values, is_lossy=path.suffix.lower() in LOSSY_SUFFIXES)
    else:
        labels = _decode_indices(path, values, valid, classes, ignore)
    if ignore is not None:
        labels[values == ignore] = IGNORE
    return _as_label_image(raw, _masked(labels, valid))


def on_image_grid(label: GeoImage, image: GeoImage, name: str) -> tuple[Labels, tuple[str, ...]]:
    """Bring a label onto the image's grid.

    Args:
        label: one uint8 band of class indices.
        image: the scene that the label belongs to.
        name: the sample, for messages.

    Returns:
        The label, uint8 [H, W] with 255 outside its extent; and what was done, in sentences.

    Raises:
        LabelError: the sizes differ and there is no georeference to align by.
        NoOverlapError: label and image lie on different ground.
    """
    if label.is_georeferenced and image.is_georeferenced and not same_grid(label, image):
        moved = align_to(label, image, resampling="nearest")
        note = f"{name}: the label lies on another grid and was aligned to the image."
        return _masked(moved.pixels[0].astype(np.uint8), moved.valid), (note,)
    if label.valid.shape != image.valid.shape:
        raise LabelError(
            f"{name}: the label is {label.width} x {label.height} px and the image "
            f"{image.width} x {image.height} px. Give a label of the image's size, or both as "
            "GeoTIFF with a CRS so that they can be aligned."
        )
    return label.pixels[0].astype(np.uint8), ()


def label_values(path: Path) -> NDArray[Any] | None:
    """Distinct pixel values of a mask, sorted; None for a mask that is drawn in colours."""
    raw = read_labels(path)
    picture = _picture(path, raw)
    if picture.bands >= 3 and not _is_grey(picture.pixels):
        return None
    return values_of(picture.pixels[0])


def class_colours(classes: Sequence[LabelClass]) -> dict[int, int]:
    """Colours of the classes in masks, 0xRRGGBB to class index.

    Raises:
        LabelError: a colour is not written "#rrggbb", or two classes share one.
    """
    colours: dict[int, int] = {}
    for index, item in enumerate(classes):
        if not isinstance(item.mask_colour, str):
            continue
        digits = item.mask_colour.removeprefix("#")
        try:
            colour = int(digits, 16) if len(digits) == 6 else -1
        except ValueError:
            colour = -1
        if colour < 0 or colour in colours:
            raise LabelError(
                f'Class {item.name} has mask colour {item.mask_colour!r}; "#rrggbb" is needed, '
                "another one for each class."
            )
        colours[colour] = index
    if colours and len(classes) == 2 and 0 not in colours.values():
        colours.setdefault(BLACK, 0)
    return colours


def _picture(path: Path, raw: GeoImage) -> GeoImage:
    """The mask as it looks: a palette is expanded, any other mask stays as it is."""
    return read_image(path) if raw.bands == 1 else raw


def _is_colour_mask(picture: GeoImage, colours: dict[int, int], count: int) -> bool:
    """Whether to read a mask by its colours rather than by its values.

    A grey mask of three equal bands is ambiguous: in a binary task it is taken by colour only if
    the target is drawn in a grey; with more classes it is, unless its values are class indices.
    """
    if picture.bands < 3 or not colours:
        return False
    if not _is_grey(picture.pixels):
        return True
    if count == 2:
        return any(index == 1 and colour % 0x010101 == 0 for colour, index in colours.items())
    values = set(values_of(picture.pixels[0]).tolist())
    is_index_mask = values <= {*range(count), IGNORE} and bool(values & {*range(1, count)})
    return not is_index_mask


def _decode_colours(picture: GeoImage, colours: dict[int, int]) -> Labels:
    """Look every pixel's colour up; 255 where no class has it."""
    red, green, blue = (picture.pixels[band].astype(np.int64) for band in range(3))
    packed = (red << 16) | (green << 8) | blue
    labels = np.full(packed.shape, IGNORE, np.uint8)
    for colour, index in colours.items():
        labels[packed == colour] = index
    return labels


def _decode_binary(values: NDArray[Any], *, is_lossy: bool) -> Labels:
    """0 is background, anything else is the target."""
    positive = values >= _LOSSY_CUT if is_lossy else values != 0
    return positive.astype(np.uint8)


def _decode_indices(
    path: Path,
    values: NDArray[Any],
    valid: NDArray[np.bool_],
    classes: Sequence[LabelClass],
    ignore: int | None,
) -> Labels:
    """Read class indices, or look pixel values up where the classes have them."""
    count = len(classes)
    coded = {c.mask_colour: i for i, c in enumerate(classes) if isinstance(c.mask_colour, int)}
    table = coded or {index: index for index in range(count)}
    labels = np.full(values.shape, IGNORE, np.uint8)
    for value, index in table.items():
        labels[values == value] = index
    known = [*table, IGNORE, *([] if ignore is None else [ignore])]
    unknown = values_of(values[valid & ~np.isin(values, known)])
    if unknown.size and not coded:
        raise LabelError(
            f"{path.name}: values {_shown(unknown)} are no class; 0..{count - 1} are, and 255 is "
            "left out. Use class indices, or leave one value out with --ignore."
        )
    return labels


def _values(path: Path, raw: GeoImage, picture: GeoImage, kind: LabelKind) -> NDArray[Any]:
    """The mask's values [H, W].

    In a binary mask with a palette black is the 0, wherever the palette keeps it; in an index mask
    the palette's indices are the values. Without black the index 0 is the background.
    """
    if raw.bands < 3 and (kind == "classes" or picture.bands < 3):
        return np.asarray(raw.pixels[0])
    if kind == "binary":
        brightest = np.asarray(picture.pixels[:3].max(axis=0))
        has_black = bool((brightest == 0).any())
        return brightest if has_black or raw.bands >= 3 else np.asarray(raw.pixels[0])
    if _is_grey(raw.pixels):
        return np.asarray(raw.pixels[0])
    raise LabelError(
        f"{path.name} is a colour mask of {raw.bands} bands and the classes have no mask colours. "
        "Give a one-band mask of class indices."
    )


def _is_grey(pixels: NDArray[Any]) -> bool:
    """Whether the first three bands are the same."""
    return bool((pixels[0] == pixels[1]).all() and (pixels[0] == pixels[2]).all())


def _data_mask(values: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels that have a label, where 0 is the background.

    A mask whose zeros, and nothing but its zeros, are without data was written with nodata = 0:
    there 0 still is the background, else no background would be left to score.
    """
    if not valid.all() and bool(((values == 0) == ~valid).all()):
        return np.ones_like(valid)
    return valid


def _masked(labels: Labels, valid: NDArray[np.bool_]) -> Labels:
    """Leave out what is not valid."""
    return np.where(valid, labels, IGNORE).astype(np.uint8)


def _as_label_image(raw: GeoImage, labels: Labels) -> GeoImage:
    """Put class indices on the mask's grid; all valid, for 255 says what is left out."""
    return raw.with_pixels(labels[None], ("label",), valid=np.ones(labels.shape, np.bool_))


def _no_colour_found(path: Path, picture: GeoImage, classes: Sequence[LabelClass]) -> str:
    """Say which colours the mask has and which were wanted."""
    corner = picture.pixels[:3].reshape(3, -1).T
    seen = np.unique(corner[:: max(1, len(corner) // 65536)], axis=0)[:_VALUES_SHOWN]
    listed = ", ".join("#{:02x}{:02x}{:02x}".format(*(int(v) for v in row)) for row in seen)
    wanted = ", ".join(f"{c.mask_colour} {c.name}" for c in classes if c.mask_colour)
    return (
        f"{path.name} has colours {listed}; none is a class colour ({wanted}). Recolour the mask."
    )


def _shown(values: NDArray[Any]) -> str:
    """A few values for a message."""
    listed = ", ".join(f"{value:g}" for value in values[:_VALUES_SHOWN])
    return listed + (", ..." if len(values) > _VALUES_SHOWN else "")
