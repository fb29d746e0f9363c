"""A classical refiner to compare with: the guided filter on a rough map's class probabilities.

Paper: K. He, J. Sun, X. Tang, "Guided Image Filtering", IEEE TPAMI 35(6), 2013; matting and
feathering of masks are its own examples (section 4).

Symbols: I guide, the image, [C, H, W]; p what is filtered, one plane a class, [K, H, W]; q what
comes out; w_k window around pixel k; mu_k mean and S_k covariance [C, C] of I in w_k; U identity.

    a_k = (S_k + epsilon U)^-1 cov(I, p in w_k)          (Eq. 19)
    b_k = mean(p in w_k) - a_k . mu_k                    (Eq. 20)
    q_i = mean(a_k) . I_i + mean(b_k), over k in w_i     (Eq. 21)

Within every window q is a linear function of the image, so edges of q lie where the image has them.
The filter is linear in p and keeps constants: planes that sum to one still do, yet single values
may leave [0, 1] by a little.

Deviation from the paper: a window counts its pixels with data inside the picture alone, so neither
the frame nor missing pixels pull the means.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from n2m_core.errors import ParameterError

Planes = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class GuidedParams:
    """How far the filter looks, and how strong an edge must be.

    Attributes:
        radius_px: the window has 2 radius + 1 pixels a side.
        epsilon: variance of the guide (bands in [0, 1]) below which a window counts as flat.
    """

    radius_px: int = 8
    epsilon: float = 1e-3

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ParameterError: the radius is below 1 px, or epsilon is not positive.
        """
        if self.radius_px < 1 or not self.epsilon > 0:
            raise ParameterError(
                f"The guided filter has radius {self.radius_px} px and epsilon {self.epsilon}; "
                "at least 1 px and a positive number are wanted."
            )


DEFAULTS = GuidedParams()


def guided_filter(
    guide: NDArray[Any],
    values: NDArray[Any],
    *,
    valid: Mask | None = None,
    params: GuidedParams = DEFAULTS,
) -> NDArray[np.float32]:
    """Filter planes so that their edges follow the guide's (He et al. 2013, Eq. 19 to 21).

    Args:
        guide: the image, float [C, H, W] with bands in [0, 1].
        values: what is filtered, float [K, H, W].
        valid: bool [H, W], pixels that have data; None for all.
        params: window and epsilon.

    Returns:
        float32 [K, H, W]; 0 where there is no data.

    Raises:
        ParameterError: guide, values and valid are not of one height and width.
    """
    shape = guide.shape[1:]
    if guide.ndim != 3 or values.ndim != 3 or values.shape[1:] != shape:
        raise ParameterError(
            f"The guide is {guide.shape} and the values {values.shape}; [C, H, W] and [K, H, W] on "
            "one grid are wanted."
        )
    counted = np.ones(shape, np.bool_) if valid is None else valid
    if counted.shape != shape:
        raise ParameterError(f"The valid mask is {counted.shape}, the guide {shape}; one grid.")
    image = np.where(counted, guide, 0.0).astype(np.float64)
    p = np.where(counted, values, 0.0).astype(np.float64)
    mean = _window_mean(counted, params.radius_px)
    slopes, offset = _lines(image, p, mean, params.epsilon)
    # Windows of pixels without data know no line; their weight is 0, as it is in the first means.
    slopes = np.stack([mean(plane * counted) for plane in slopes])
    q = (slopes * image).sum(axis=1) + mean(offset * counted)
    return np.where(counted, q, 0.0).astype(np.float32)


def refine_by_guide(
    probabilities: NDArray[Any],
    guide: NDArray[Any],
    *,
    valid: Mask | None = None,
    params: GuidedParams = DEFAULTS,
) -> NDArray[np.float32]:
    """Refine the class probabilities of a rough map by the image.

    Args:
        probabilities: float [K, H, W] in [0, 1]; a map of classes as one plane of 0 and 1 each.
        guide: the image, float [C, H, W] with bands in [0, 1].
        valid: bool [H, W], pixels that have data; None for all.
        params: window and epsilon.

    Returns:
        Probabilities, float32 [K, H, W] in [0, 1], summing to one where there is data, else 0.

    Raises:
        ParameterError: the parts are not of one height and width.
    """
    filtered = guided_filter(guide, probabilities, valid=valid, params=params).clip(0, 1)
    total = filtered.sum(axis=0)
    np.divide(filtered, total, out=filtered, where=total > 0)
    return filtered


Mean = Callable[[Planes], Planes]
"""Mean over the counted pixels of the window around each pixel, of planes [..., H, W]."""


def _window_mean(counted: Mask, radius_px: int) -> Mean:
    """Prepare the mean over windows; planes must be 0 where nothing is counted."""
    weight = _box(counted.astype(np.float64), radius_px)

    def mean(planes: Planes) -> Planes:
        out = np.zeros_like(planes)
        # A window without any data has a weight of 0, or of rounding; it is used nowhere.
        return np.divide(_box(planes, radius_px), weight, out=out, where=weight > 1e-9)

    return mean


def _box(planes: Planes, radius_px: int) -> Planes:
    """Mean over the window, pixels beyond the frame as 0."""
    size = 2 * radius_px + 1
    rows = ndimage.uniform_filter1d(planes, size, axis=-2, mode="constant")
    return np.asarray(ndimage.uniform_filter1d(rows, size, axis=-1, mode="constant"), np.float64)


def _lines(image: Planes, p: Planes, mean: Mean, epsilon: float) -> tuple[Planes, Planes]:
    """Fit the line of every window: slopes a [K, C, H, W] and offsets b [K, H, W] (Eq. 19, 20)."""
    mu, mean_p = mean(image), mean(p)
    bands = len(image)
    covariance = np.stack(
        [mean(image[i] * image[j]) - mu[i] * mu[j] for i in range(bands) for j in range(bands)],
        axis=-1,
    ).reshape(*image.shape[1:], bands, bands)
    together = np.stack([mean(plane * image) - m * mu for plane, m in zip(p, mean_p, strict=True)])
    # [H, W, C, C] against [H, W, C, K]
    slopes = np.linalg.solve(covariance + epsilon * np.eye(bands), together.transpose(2, 3, 1, 0))
    a = slopes.transpose(3, 2, 0, 1)
    return a, mean_p - (a * mu).sum(axis=1)
