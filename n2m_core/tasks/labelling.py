"""From probabilities to one class a pixel: the likeliest, a threshold, a smallest area."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from n2m_core.checkpoints import CheckpointCard
from n2m_core.errors import ParameterError
from n2m_core.geo_image import GeoImage, Mask
from n2m_core.raster_io import ground_areas_m2
from n2m_core.tasks.params import MapParams
from n2m_core.tasks.result import INVALID

Labels = NDArray[np.uint8]


def has_background(card: CheckpointCard) -> bool:
    """Whether class 0 means "nothing here": two classes, or a change detection."""
    return card.task == "change" or len(card.classes) == 2


def make_labels(
    probabilities: NDArray[np.float32],
    valid: Mask,
    card: CheckpointCard,
    threshold: float | None,
) -> Labels:
    """Choose a class for every pixel.

    Args:
        probabilities: float32 [K, H, W].
        valid: bool [H, W].
        card: says whether there is a background class.
        threshold: least probability of the target, any class but the first; None for the
            likeliest class.

    Returns:
        Class index, uint8 [H, W]; 255 where not valid.

    Raises:
        ParameterError: a threshold for a checkpoint without a background class.
    """
    if threshold is None:
        labels = probabilities.argmax(axis=0)
    elif not has_background(card):
        raise ParameterError(_no_threshold(card))
    else:
        is_target = 1.0 - probabilities[0] >= threshold
        labels = np.where(is_target, 1 + probabilities[1:].argmax(axis=0), 0)
    return np.where(valid, labels, INVALID).astype(np.uint8)


def check_params(card: CheckpointCard, params: MapParams, image: GeoImage) -> None:
    """Refuse, before any work, choices that do not suit the checkpoint or the image.

    Raises:
        ParameterError: a threshold without a background class, or a smallest area for an image
            whose ground resolution is unknown.
    """
    if params.threshold is not None and not has_background(card):
        raise ParameterError(_no_threshold(card))
    if params.min_area_m2 and image.resolution_m is None:
        raise ParameterError(
            f"A smallest area of {params.min_area_m2:g} m2 needs the image's ground resolution, "
            "which is unknown. State the resolution in metres per pixel."
        )


def _no_threshold(card: CheckpointCard) -> str:
    """Say why a checkpoint has no use for a threshold."""
    return (
        f"A threshold needs a background class, which {card.id} does not have "
        f"({', '.join(entry.name for entry in card.classes)}). Leave the threshold out."
    )


def with_stated_resolution(image: GeoImage, resolution_m: float | None) -> GeoImage:
    """Note the ground resolution that a person states, where the image has no place to know it by.

    A georeferenced image keeps its own, for areas on the ground follow from its place.
    """
    if resolution_m is None or image.is_georeferenced:
        return image
    return replace(image, resolution_m=resolution_m)


def drop_small(
    labels: Labels,
    image: GeoImage,
    *,
    min_area_m2: float,
    resolution_m: float | None = None,
    card: CheckpointCard | None = None,
) -> Labels:
    """Remove connected areas below a size.

    Pixels of one class that share an edge form an area, as in the exported polygons. Where there is
    a background, small target areas become background. Where there is none, small areas of any
    class take the class of the nearest pixel that stays.

    Args:
        labels: class index, uint8 [H, W], 255 no data.
        image: gives the ground area of its pixels.
        min_area_m2: areas smaller than this go, m2.
        resolution_m: ground size of a pixel of an image without georeference, metres.
        card: says whether class 0 is a background; it is when not given.

    Returns:
        uint8 [H, W].
    """
    if min_area_m2 <= 0:
        return labels
    by_row = ground_areas_m2(with_stated_resolution(image, resolution_m))
    if by_row is None:
        raise ParameterError(
            f"A smallest area of {min_area_m2:g} m2 needs the image's ground resolution, which is "
            "unknown. State the resolution in metres per pixel."
        )
    keeps_first = card is None or has_background(card)
    candidates = np.unique(labels[labels != INVALID])
    is_small = np.zeros(labels.shape, dtype=np.bool_)
    for target in candidates[candidates > 0] if keeps_first else candidates:
        is_small |= _small_areas(labels == target, by_row, min_area_m2)
    if keeps_first:
        return np.where(is_small, 0, labels).astype(np.uint8)
    return _filled_from_nearest(labels, is_small)


def _small_areas(inside: Mask, by_row: NDArray[np.float64], min_area_m2: float) -> Mask:
    """Find the connected areas below a size, bool [H, W]."""
    regions, count = ndimage.label(inside)
    rows = np.repeat(by_row, inside.shape[1])
    areas = np.bincount(regions.ravel(), weights=rows, minlength=count + 1)
    is_small = areas < min_area_m2
    is_small[0] = False
    small: Mask = is_small[regions]
    return small


def _filled_from_nearest(labels: Labels, is_small: Mask) -> Labels:
    """Give small areas the class of the nearest pixel that stays; all stay when none would."""
    keeps = ~is_small & (labels != INVALID)
    if not keeps.any():
        return labels
    rows, columns = ndimage.distance_transform_edt(
        ~keeps, return_distances=False, return_indices=True
    )
    return np.where(is_small, labels[rows, columns], labels).astype(np.uint8)
