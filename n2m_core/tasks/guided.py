"""A classical refiner to compare with: the guided filter on a rough map, guided by the image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from n2m_core.errors import LabelError
from n2m_core.geo_image import GeoImage
from n2m_core.guided_filter import DEFAULTS, GuidedParams, refine_by_guide
from n2m_core.normalize import Normalization, to_model_range
from n2m_core.tasks.result import INVALID


def refine_guided(
    image: GeoImage, rough: NDArray[Any], classes: int, params: GuidedParams = DEFAULTS
) -> NDArray[np.uint8]:
    """Refine a rough map by the guided filter.

    Args:
        image: any bands of any real dtype; all of them guide.
        rough: class indices 0..K-1 on the image's grid, [H, W]; any other value where nothing is
            mapped.
        classes: K.
        params: window and epsilon of the filter.

    Returns:
        Class indices, uint8 [H, W]; 255 where image or rough map have nothing.

    Raises:
        LabelError: the rough map has another size than the image.
    """
    if rough.shape != image.valid.shape:
        raise LabelError(
            f"The rough map has shape {rough.shape} and the image {image.valid.shape}; align it to "
            "the image."
        )
    planes = rough[None] == np.arange(classes)[:, None, None]
    valid = image.valid & planes.any(axis=0)
    guide = (to_model_range(image, Normalization()) + 1) / 2
    probabilities = refine_by_guide(planes, guide, valid=valid, params=params)
    return np.where(valid, probabilities.argmax(axis=0), INVALID).astype(np.uint8)
