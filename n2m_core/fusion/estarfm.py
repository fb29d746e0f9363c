"""ESTARFM: STARFM with a conversion coefficient from coarse to fine change, from two pairs.

Zhu, Chen, Gao, Chen, Masek, "An Enhanced Spatial and Temporal Adaptive Reflectance Fusion Model for
Complex Heterogeneous Regions", RSE 2010. For a pixel c with the window around it, pairs k = 0 and
2, target date 1 and B bands:

| symbol | meaning |
|---|---|
| similar | abs(F_k - F_k(c)) < 2 std(F_k) / m in every band of both pairs |
| R | correlation of a neighbour's fine and coarse values over both pairs and all bands |
| D = 1 + d / r | spatial distance, r being half the window |
| W = (1 / ((1 - R) D)) / sum | weight over the similar pixels, one for all bands |
| v | slope of fine against coarse over the similar pixels of both pairs, a band each |
| P_k = F_k(c) + v sum W (C_1 - C_k) | prediction from one pair |
| T_k = (1 / abs(mean C_1 - mean C_k)) / sum | temporal weight, means over the whole window |

    F_1(c) = T_0 P_0 + T_2 P_2

v is 1 unless the mean coarse values of the two pairs differ by at least 2 % of the range of
reflectance, the regression's F test has p <= 0.05, and 0 < v <= 5. A prediction outside the range
becomes sum W F_k. With at most five similar pixels, P_k = F_k(c) + mean of C_1 - C_k in the window.

Deviation from the paper: v is regressed over all similar pixels of the window, not inside one
coarse pixel, as in the authors' program.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc

from n2m_core.errors import ParameterError
from n2m_core.fusion.compiled import compiled
from n2m_core.fusion.inputs import BoolArray, FloatArray, FusionInputs, FusionOutput
from n2m_core.fusion.windows import (
    Strip,
    check_window,
    distances,
    for_each_strip,
    pad,
    window_mean,
)
from n2m_core.geo_image import Progress

Double = NDArray[np.float64]

EPSILON = 1e-7
"""Added to (1 - R) D, so that a perfect neighbour has a finite weight."""
TEMPORAL_EPSILON = 0.01**5
"""Added to the change of the coarse means, so that no change has a finite weight."""
UNKNOWN_CORRELATION = 0.5
"""R where it does not exist, because a neighbour's values do not vary."""


@dataclass(frozen=True)
class EstarfmParams:
    """Choices of ESTARFM.

    Attributes:
        window_px: side of the window, odd; 51.
        classes: m, how many classes the scene is thought to have; 4.
        least_similar: at most this many similar pixels are too few for weights; 5.
        least_change: change of the coarse means that a regression needs, reflectance; 0.02.
        significance: largest p of the regression's F test; 0.05.
        steepest: largest conversion coefficient; 5.
        low: predictions below this are replaced, reflectance; 0.
        high: predictions above this are replaced, reflectance; 1.
    """

    window_px: int = 51
    classes: int = 4
    least_similar: int = 5
    least_change: float = 0.02
    significance: float = 0.05
    steepest: float = 5.0
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ParameterError: a value is out of its range.
        """
        check_window(self.window_px)
        if self.classes < 1 or self.low >= self.high:
            raise ParameterError(
                f"ESTARFM needs at least 1 class and a range of reflectance; {self.classes} and "
                f"{self.low} to {self.high} were given."
            )


@dataclass(frozen=True, eq=False)
class _Layers:
    """What is looked at through the window, float32 [H + 2 reach, W + 2 reach, n].

    Attributes:
        scaled: both pairs' fine bands divided by their thresholds, n = 2B.
        distance: 1 - R, without n; infinite where a pixel does not count.
        summed: n = 10B values of which similar pixels give weighted and plain sums: C_1 - C_0 and
            C_1 - C_2 [2B], F_0 and F_2 [2B]; C_2 - C_0 [B] and, over both pairs, the sums of x, y,
            xx, yy, xy [5B], x being coarse and y fine less their means.
        away: D of every place in the window, [side, side].
    """

    scaled: FloatArray
    distance: FloatArray
    summed: FloatArray
    away: FloatArray


@dataclass(frozen=True, eq=False)
class _Similar:
    """What the similar pixels of the windows of a strip add up to, float64.

    Attributes:
        count: how many, [h, w].
        change: weighted mean of C_1 - C_k, [2, B, h, w].
        fine: weighted mean of F_k, [2, B, h, w].
        gap: sum of C_2 - C_0, [B, h, w].
        moments: sums of x, y, xx, yy, xy, [5, B, h, w].
    """

    count: Double
    change: Double
    fine: Double
    gap: Double
    moments: Double


class Estarfm:
    """ESTARFM; it needs two pairs."""

    name = "estarfm"

    def __init__(self, params: EstarfmParams | None = None) -> None:
        """Keep the choices."""
        self.params = params or EstarfmParams()

    def predict(self, inputs: FusionInputs, progress: Progress) -> FusionOutput:
        """Predict the fine image of date 1; see the module."""
        params, valid = self.params, inputs.valid
        reach = params.window_px // 2
        fine = _clean(np.stack([inputs.fine0, inputs.fine2]), valid)
        coarse = _clean(np.stack([inputs.coarse0, inputs.coarse2]), valid)
        change = _clean(inputs.coarse1, valid)[None] - coarse
        deviation = _deviation(inputs, fine)
        layers = _prepare(fine, coarse, change, valid, 2 * deviation / params.classes, reach)
        mean_change = window_mean(change, valid, reach)
        inverse = 1 / (np.abs(mean_change) + TEMPORAL_EPSILON)
        share = inverse / inverse.sum(axis=0)
        fine1 = np.zeros_like(fine[0])

        def work(strip: Strip) -> None:
            """Gather the window's sums for the rows of a strip, and predict them."""
            similar = _gather(layers, strip, inputs.bands)
            rows = strip.rows
            pairs = _predict(similar, fine[:, :, rows], mean_change[:, :, rows], params)
            fine1[:, rows] = (share[:, :, rows] * pairs).sum(axis=0)

        for_each_strip(valid.shape, work, progress, "ESTARFM")
        return FusionOutput(np.where(valid, fine1, np.float32(0)), valid, {})


def _clean(images: FloatArray, valid: BoolArray) -> FloatArray:
    """Take what masked pixels hold out of the calculation."""
    return np.where(valid, images, np.float32(0))


def similarity(fine: FloatArray, coarse: FloatArray) -> FloatArray:
    """Correlation R of every pixel's fine and coarse values over both pairs and all bands.

    Args:
        fine: [2, B, H, W].
        coarse: [2, B, H, W].

    Returns:
        float32 [H, W]; 0.5 where either does not vary. With one band, two values always lie on a
        line, so R is 1 - 0.5 * sum abs(F - C) / (F + C).
    """
    pairs, bands, height, width = fine.shape
    f, c = (
        each.reshape(pairs * bands, height, width).astype(np.float64) for each in (fine, coarse)
    )
    if bands == 1:
        total = np.where(f + c == 0, 1, f + c)
        near: FloatArray = (1 - 0.5 * (np.abs(f - c) / total).sum(axis=0)).astype(np.float32)
        return near
    f, c = f - f.mean(axis=0), c - c.mean(axis=0)
    norm = np.sqrt((f * f).sum(axis=0) * (c * c).sum(axis=0))
    told = norm > 1e-12
    found = np.where(told, (f * c).sum(axis=0) / np.where(told, norm, 1), UNKNOWN_CORRELATION)
    clipped: FloatArray = np.clip(found, -1, 1).astype(np.float32)
    return clipped


def _deviation(inputs: FusionInputs, fine: FloatArray) -> NDArray[np.float64]:
    """Standard deviation of both fine images, of the whole scene where it is known, [2, B]."""
    if inputs.spread is not None:
        return np.array(inputs.spread, np.float64)
    valid = inputs.valid
    found = fine[:, :, valid].std(axis=2, ddof=min(1, valid.sum() - 1), dtype=np.float64)
    return np.asarray(found, np.float64)


def _prepare(
    fine: FloatArray,
    coarse: FloatArray,
    change: FloatArray,
    valid: BoolArray,
    threshold: NDArray[np.float64],
    reach: int,
) -> _Layers:
    """Lay out what the window looks at."""
    bands, shape = fine.shape[1], valid.shape
    # A band without any variation has only equal pixels; they are all similar.
    threshold = np.where(threshold > 0, threshold, 1).astype(np.float32)
    # Less their means, because sums of squares lose the digits that matter otherwise.
    x, y = (
        each
        - each[:, :, valid].mean(axis=(0, 2), dtype=np.float64).astype(np.float32)[:, None, None]
        for each in (coarse, fine)
    )
    moments = np.stack([x, y, x * x, y * y, x * y]).sum(axis=1)
    parts = (change, fine, coarse[1] - coarse[0], moments)
    summed = np.concatenate([each.reshape(-1, *shape) for each in parts])
    apart = np.where(valid, 1 - similarity(fine, coarse), np.float32(np.inf))
    flat = fine / threshold[:, :, None, None]
    return _Layers(
        scaled=_pixels_first(pad(flat.reshape(2 * bands, *shape), reach)),
        distance=pad(apart, reach, np.inf),
        summed=_pixels_first(pad(summed, reach)),
        away=(1 + distances(reach) / reach).astype(np.float32),
    )


def _pixels_first(layers: FloatArray) -> FloatArray:
    """Lay [n, H, W] out as [H, W, n]: what is read of a pixel lies together."""
    return np.ascontiguousarray(np.moveaxis(layers, 0, -1), np.float32)


def _gather(layers: _Layers, strip: Strip, bands: int) -> _Similar:
    """Find and add up the similar pixels of a strip."""
    reach = len(layers.away) // 2
    shape = strip.last - strip.first, layers.distance.shape[1] - 2 * reach
    sums = np.zeros((*shape, 2 + layers.summed.shape[2]))
    _sum_similar(layers.scaled, layers.distance, layers.summed, layers.away, 4 * bands,
                 strip.first, sums)  # fmt: skip
    parts = np.moveaxis(sums, -1, 0)
    count, weight = parts[:2]
    change, fine, gap, moments = np.split(parts[2:], np.array([2, 4, 5]) * bands)
    pairs = 2, bands, *shape
    whole = np.where(weight > 0, weight, 1)
    return _Similar(
        count=count,
        change=(change / whole).reshape(pairs),
        fine=(fine / whole).reshape(pairs),
        gap=gap,
        moments=moments.reshape(5, bands, *shape),
    )


@compiled
def _sum_similar(
    scaled: FloatArray,
    distance: FloatArray,
    summed: FloatArray,
    away: FloatArray,
    weighted: int,
    first: int,
    sums: Double,
) -> None:
    """Add up the similar pixels of every window.

    Args:
        scaled: this and the next three as in `_Layers`.
        distance: 1 - R.
        summed: values to be added up.
        away: D.
        weighted: how many of the values are weighed by 1 / ((1 - R) D).
        first: row of the image that `sums` begins with.
        sums: zeros [h, W, 2 + n]; number, sum of the weights, sums of the values.
    """
    side = away.shape[0]
    reach = side // 2
    for row, column in np.ndindex(sums.shape[:2]):
        own = scaled[first + row + reach, column + reach]
        found = sums[row, column]
        for i in range(side):
            for j in range(side):
                y, x = first + row + i, column + j
                apart = distance[y, x]
                for band in range(own.size):
                    if not abs(scaled[y, x, band] - own[band]) < 1:
                        apart = np.float32(np.inf)
                        break
                if apart == np.inf:
                    continue
                near = 1 / (apart * away[i, j] + EPSILON)
                found[0] += 1
                found[1] += near
                for each in range(weighted):
                    found[2 + each] += near * summed[y, x, each]
                for each in range(weighted, summed.shape[2]):
                    found[2 + each] += summed[y, x, each]


def _predict(
    similar: _Similar, fine: FloatArray, mean_change: Double, params: EstarfmParams
) -> Double:
    """Predict a strip from both pairs, float64 [2, B, h, w]."""
    predicted = fine + _conversion(similar, params) * similar.change
    is_outside = (predicted <= params.low) | (predicted >= params.high)
    predicted = np.where(is_outside, similar.fine, predicted)
    too_few = similar.count <= params.least_similar
    found: Double = np.where(too_few, fine + mean_change, predicted)
    return found


def _conversion(similar: _Similar, params: EstarfmParams) -> Double:
    """The conversion coefficient v of every pixel, float64 [B, h, w]: a slope that holds, or 1."""
    has_change = np.abs(similar.gap) / np.maximum(similar.count, 1) >= params.least_change
    slope: Double = np.where(has_change, _slope(similar.moments, similar.count, params), 1.0)
    return slope


def _slope(sums: Double, count: Double, params: EstarfmParams) -> Double:
    """Regress fine on coarse values from their moments [5, B, h, w]; 1 where that does not hold."""
    n = 2 * np.maximum(count, 1)
    x, y, xx, yy, xy = sums
    var_x, var_y, both = xx - x * x / n, yy - y * y / n, xy - x * y / n
    is_known = (var_x > 1e-12) & (n > 2)
    slope = both / np.where(is_known, var_x, 1)
    explained = slope * both
    rest = np.maximum(var_y - explained, 1e-12 * np.maximum(var_y, 1e-12))
    freedom = np.maximum(n - 2, 1)
    p = fdtrc(1, freedom, np.maximum(explained, 0) / (rest / freedom))
    is_usable = is_known & (p <= params.significance) & (slope > 0) & (slope <= params.steepest)
    return np.where(is_usable, slope, 1.0)
