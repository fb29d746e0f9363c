"""Values for masked pixels, so that a network sees no hole and no cloud."""

from __future__ import annotations

from scipy import ndimage

from n2m_core.errors import GridError
from n2m_core.fusion.inputs import BoolArray, FloatArray


def filled_from_nearest(images: FloatArray, valid: BoolArray) -> FloatArray:
    """Give every masked pixel the values of the nearest valid one, in all bands and dates alike.

    The dates stay consistent with each other: a filled pixel looks like ground that is there.

    Args:
        images: float32 [N, H, W]; anything, NaN too, where masked.
        valid: bool [H, W].

    Returns:
        float32 [N, H, W]; the valid pixels as they were.

    Raises:
        GridError: no pixel is valid.
    """
    if valid.all():
        return images
    if not valid.any():
        raise GridError(
            "No pixel is valid in all five images: masks, clouds or nodata cover the whole scene. "
            "Choose other dates or another part."
        )
    rows, columns = ndimage.distance_transform_edt(
        ~valid, return_distances=False, return_indices=True
    )
    filled: FloatArray = images[:, rows, columns]
    return filled
