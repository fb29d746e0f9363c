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
        raise ParameterError(
            f"A threshold needs a background class, which {card.id} does not have "
            f"({', '.join(entry.name for entry in card.classes)}). Leave the threshold out."
        )
    else:
        is_target = 1.0 - probabilities[0] >= threshold
        labels = np.where(is_target, 1 + probabilities[1:].argmax(axis=0), 0)
    return np.where(valid, labels, INVALID).astype(np.uint8)


def check_params(card: CheckpointCard, params: MapParams, image: GeoImage) -> None:
    """Refuse, before any work, choices that do not suit the checkpoint or the image.

    Raises:
        ParameterError: a threshold or smallest area without a background class, or a smallest area
            for an image whose ground resolution is unknown.
    """
    if has_background(card):
        if params.min_area_m2 and params.resolution_m is None and image.resolution_m is None:
            raise ParameterError(
                f"A smallest area of {params.min_area_m2:g} m2 needs the image's ground "
                "resolution, which is unknown. State the resolution in metres per pixel."
            )
        return
    for name, value in (("threshold", params.threshold), ("smallest area", params.min_area_m2)):
        if value:
            raise ParameterError(
                f"A {name} needs a background class, which {card.id} does not have "
                f"({', '.join(entry.name for entry in card.classes)}). Leave it out."
            )


def drop_small(
    labels: Labels, image: GeoImage, *, min_area_m2: float, resolution_m: float | None
) -> Labels:
    """Turn connected target areas below a size into background.

    Pixels of one class that share an edge form an area, as in the exported polygons.

    Args:
        labels: class index, uint8 [H, W], 0 background, 255 no data.
        image: gives the ground area of its pixels.
        min_area_m2: areas smaller than this go, m2.
        resolution_m: ground size of a pixel of an image without georeference, metres.

    Returns:
        uint8 [H, W].
    """
    if min_area_m2 <= 0:
        return labels
    if not image.is_georeferenced and resolution_m is not None:
        image = replace(image, resolution_m=resolution_m)
    by_row = ground_areas_m2(image)
    assert by_row is not None, "check_params refuses an unknown resolution"
    result = labels.copy()
    for target in np.unique(labels[(labels != 0) & (labels != INVALID)]):
        regions, count = ndimage.label(labels == target)
        rows = np.broadcast_to(by_row[:, None], labels.shape)
        areas = np.bincount(regions.ravel(), weights=rows.ravel(), minlength=count + 1)
        is_small = areas < min_area_m2
        is_small[0] = False
        result[is_small[regions]] = 0
    return result
