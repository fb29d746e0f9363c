"""FSDAF: class changes unmixed from the coarse change, and what is left over put where it belongs.

Zhu, Helmer, Gao, Liu, Chen, Lefsky, "A Flexible Spatiotemporal Method for Fusing Satellite Images
with Different Resolutions", RSE 2016. From one pair (F_0, C_0) and C_1, band by band:

1. Classes of F_0, and their shares of every coarse pixel.
2. Change rate of a class: least squares of C_1 - C_0 on the shares, over each class's purest coarse
   pixels whose change lies in the middle half.
3. Temporal prediction P_T = F_0 + rate of the pixel's class.
4. Spatial prediction P_S: C_1 interpolated from the centres of the coarse pixels.
5. Residual of a coarse pixel: R = (C_1 - C_0) - (mean P_T - mean F_0).
6. R goes to its fine pixels by weights HI abs(P_S - P_T) + (1 - HI) abs(R); HI is the share of the
   pixel's own class in the window, and a difference of the other sign than R counts 0.
7. The change is limited to the values that C_1 and P_T hold.
8. F_1(c) = F_0(c) + sum W change, over the 20 similar pixels nearest in spectrum; W falls with the
   distance in pixels and in spectrum.

Deviations from the paper: inverse distances in place of a thin-plate spline in step 4, as in
cuFSDAF; k-means in place of ISODATA in step 1. The method knows one pair: date 2 is not used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2, vq
from scipy.ndimage import correlate

from n2m_core.errors import ParameterError
from n2m_core.fusion.inputs import BoolArray, FloatArray, FusionInputs, FusionOutput
from n2m_core.fusion.windows import Strip, distances, for_each_strip, pad, window_sum
from n2m_core.geo_image import Progress

Double = NDArray[np.float64]
Ints = NDArray[np.intp]

CLASS_SAMPLES = 20_000
"""Pixels that the classes are found from."""
LEAST_SHARE = 0.01
"""A coarse pixel with less of a class says nothing about it."""
MIDDLE_HALF = (0.25, 0.75)
HEAVIEST = 10.0
"""Weights of step 6 beyond this many means become the mean."""
STRIP_PIXELS = 512
"""Windows of a strip laid out side by side take 3.4 MB a band."""


@dataclass(frozen=True)
class FsdafParams:
    """Choices of FSDAF.

    Attributes:
        reach_px: half the window's side; 20.
        similar: pixels that the last step averages; 20.
        classes: of the fine image; 6.
        purest: coarse pixels that speak for a class; 50.
        low: least reflectance; 0.
        high: largest reflectance; 1.
    """

    reach_px: int = 20
    similar: int = 20
    classes: int = 6
    purest: int = 50
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ParameterError: a value is out of its range.
        """
        if not 1 <= self.reach_px <= 150 or self.similar < 1 or self.low >= self.high:
            raise ParameterError(
                f"FSDAF needs a half window of 1 to 150 px, similar pixels and a range; "
                f"{self.reach_px}, {self.similar}, {self.low} to {self.high} were given."
            )
        if not 1 <= self.classes <= 60 or self.purest < 1:
            raise ParameterError(
                f"FSDAF needs 1 to 60 classes and pure pixels; {self.classes} and {self.purest} "
                "were given."
            )


@dataclass(frozen=True, eq=False)
class CoarseGrid:
    """The coarse pixels over a fine grid, counted row by row.

    Attributes:
        index: number of the coarse pixel of every fine one, [H, W].
        weight: valid fine pixels of every coarse one, [N].
        valid: bool [H, W].
        shape: rows and columns of coarse pixels.
        scale: sides of a coarse pixel in fine ones.
    """

    index: Ints
    weight: Double
    valid: BoolArray
    shape: tuple[int, int]
    scale: int

    @classmethod
    def over(cls, valid: BoolArray, scale: int) -> CoarseGrid:
        """Lay coarse pixels of `scale` fine ones over a grid, from its upper left corner."""
        height, width = valid.shape
        shape = -(-height // scale), -(-width // scale)
        rows, columns = np.arange(height) // scale, np.arange(width) // scale
        index = rows[:, None] * shape[1] + columns[None, :]
        weight = np.bincount(index[valid], minlength=shape[0] * shape[1]).astype(np.float64)
        return cls(index, weight, valid, shape, scale)

    def mean(self, image: NDArray[np.floating]) -> Double:
        """Mean of an image [H, W] over the valid pixels of every coarse one, [N]; 0 without any."""
        total = np.bincount(
            self.index[self.valid], image[self.valid].astype(np.float64), len(self.weight)
        )
        mean: Double = total / np.maximum(self.weight, 1)
        return mean


class Fsdaf:
    """FSDAF from the pair of date 0."""

    name = "fsdaf"

    def __init__(self, params: FsdafParams | None = None) -> None:
        """Keep the choices."""
        self.params = params or FsdafParams()

    def predict(self, inputs: FusionInputs, progress: Progress) -> FusionOutput:
        """Predict the fine image of date 1; see the module."""
        params, valid = self.params, inputs.valid
        fine = _within(inputs.fine0, valid, params)
        before, after = (
            np.where(valid, each, np.float32(0)) for each in (inputs.coarse0, inputs.coarse1)
        )
        classes = classify(fine, valid, params.classes)
        grid = CoarseGrid.over(valid, inputs.scale)
        own_share = _own_share(classes, valid, params)
        change = np.stack(
            [
                _change(fine[band], before[band], after[band], classes, grid, own_share, params)
                for band in range(inputs.bands)
            ]
        )
        fine1 = _smooth(fine, change, valid, params, progress)
        is_outside = (fine1 < params.low) | (fine1 > params.high)
        plain = np.clip(fine + after - before, params.low, params.high)
        fine1 = np.where(is_outside, plain, fine1).astype(np.float32)
        return FusionOutput(np.where(valid, fine1, np.float32(0)), valid, {})


def _within(fine: FloatArray, valid: BoolArray, params: FsdafParams) -> FloatArray:
    """Step 0: masked pixels take the band's mean, and the outermost values are cut."""
    cleaned = np.empty(fine.shape, np.float32)
    for target, band in zip(cleaned, fine, strict=True):
        values = band[valid]
        low, high = np.quantile(values, (1e-4, 1 - 1e-4))
        limits = max(float(low), params.low), min(float(high), params.high)
        target[:] = np.where(valid, np.clip(band, *limits), values.mean(dtype=np.float64))
    return cleaned


def classify(fine: FloatArray, valid: BoolArray, classes: int) -> Ints:
    """Step 1: the class of every pixel, [H, W], by k-means on standardised bands.

    The outcome follows from the image alone: the sample and the start are drawn from one seed.
    """
    values = fine[:, valid].T.astype(np.float64)
    spread = values.std(axis=0)
    offset, scale = values.mean(axis=0), np.where(spread > 0, spread, 1)
    rng = np.random.default_rng(0)
    sample = (values - offset) / scale
    if len(sample) > CLASS_SAMPLES:
        sample = sample[np.sort(rng.choice(len(sample), CLASS_SAMPLES, replace=False))]
    distinct = np.unique(sample, axis=0)
    if len(distinct) <= classes:
        centres = distinct
    else:
        centres, _ = kmeans2(sample, classes, iter=25, minit="++", rng=rng)
    nearest, _ = vq((fine.reshape(len(fine), -1).T - offset) / scale, centres)
    found: Ints = nearest.reshape(valid.shape).astype(np.intp)
    return found


def _own_share(classes: Ints, valid: BoolArray, params: FsdafParams) -> Double:
    """HI of step 6: the share of a pixel's own class among the valid pixels of its window."""
    total = np.maximum(window_sum(valid, params.reach_px), 1)
    share = np.zeros(valid.shape)
    for each in np.unique(classes):
        is_class = classes == each
        found = window_sum(is_class & valid, params.reach_px) / total
        share[is_class] = found[is_class]
    return share


def _change(
    fine: FloatArray,
    before: FloatArray,
    after: FloatArray,
    classes: Ints,
    grid: CoarseGrid,
    own_share: Double,
    params: FsdafParams,
) -> FloatArray:
    """Steps 2 to 7 for one band: the change of every pixel since date 0, [H, W]."""
    coarse1 = grid.mean(after)
    coarse_change = coarse1 - grid.mean(before)
    rates = class_rates(coarse_change, classes, grid, params)
    temporal = fine + rates[classes]
    residual = coarse_change - (grid.mean(temporal) - grid.mean(fine))
    spatial = _interpolate(coarse1, grid, fine.shape)
    weight = _residual_weights(spatial - temporal, residual, own_share, grid)
    predicted = temporal + weight * residual[grid.index]
    low = min(float(after[grid.valid].min()), float(temporal[grid.valid].min()))
    high = max(float(after[grid.valid].max()), float(temporal[grid.valid].max()))
    limited = np.clip(predicted, max(low, params.low), min(high, params.high))
    return (limited - fine).astype(np.float32)


def class_rates(change: Double, classes: Ints, grid: CoarseGrid, params: FsdafParams) -> Double:
    """Step 2: how much each class changed.

    Args:
        change: C_1 - C_0 of every coarse pixel, [N].
        classes: of the fine pixels, [H, W].
        grid: the coarse pixels.
        params: how many pure pixels speak for a class.

    Returns:
        Change a class, reflectance, float64 [K].
    """
    count = int(classes.max()) + 1
    shares = np.stack([grid.mean((classes == each).astype(np.float32)) for each in range(count)], 1)
    rows: list[Ints] = []
    for each in range(count):
        order = np.argsort(-shares[:, each], kind="stable")[: params.purest]
        order = order[shares[order, each] > LEAST_SHARE]
        if order.size:
            low, high = np.quantile(change[order], MIDDLE_HALF)
            tiny = 1e-9
            kept = (change[order] >= low - tiny) & (change[order] <= high + tiny)
            # Of two pixels that differ, neither lies in the middle half.
            rows.append(order[kept] if kept.any() else order)
    used = np.concatenate(rows)
    rates = np.linalg.lstsq(shares[used], change[used], rcond=1e-6)[0]
    return rates.astype(np.float64)


def _interpolate(coarse: Double, grid: CoarseGrid, shape: tuple[int, ...]) -> Double:
    """Step 4: inverse squared distances to the centres of the coarse pixels within two of them."""
    scale = grid.scale
    values, told = (each.reshape(grid.shape) for each in (coarse, (grid.weight > 0) * 1.0))
    smooth = np.zeros(shape)
    # Fine pixels at one place in their coarse pixel see its neighbours at the same distances.
    for row in range(min(scale, shape[0])):
        for column in range(min(scale, shape[1])):
            kernel = _inverse_squares((row + 0.5) / scale - 0.5, (column + 0.5) / scale - 0.5)
            total = correlate(told, kernel, mode="constant")
            mean = correlate(values * told, kernel, mode="constant") / np.maximum(total, 1e-12)
            target = smooth[row::scale, column::scale]
            target[:] = mean[: target.shape[0], : target.shape[1]]
    return smooth


def _inverse_squares(row: float, column: float) -> Double:
    """Weights of the 5 x 5 coarse pixels around a place, in coarse pixels from the middle one."""
    side = np.arange(-2, 3)
    squared = (side[:, None] - row) ** 2 + (side[None, :] - column) ** 2
    return np.where(squared <= 4, 1 / np.maximum(squared, 1e-6), 0)


def _residual_weights(
    difference: Double, residual: Double, own_share: Double, grid: CoarseGrid
) -> Double:
    """Step 6: the share of a coarse pixel's residual that each fine one takes, mean 1, [H, W]."""
    own = residual[grid.index]
    toward = np.where(own > 0, np.maximum(difference, 0), np.maximum(-difference, 0))
    weight: Double = own_share * toward + (1 - own_share) * np.abs(own) + 1e-9
    weight = weight / np.maximum(grid.mean(weight), 1e-12)[grid.index]
    mean = grid.mean(weight)[grid.index]
    weight = np.where(weight > HEAVIEST, mean, weight)
    normal: Double = weight / np.maximum(grid.mean(weight), 1e-12)[grid.index]
    return normal


def _smooth(
    fine: FloatArray,
    change: FloatArray,
    valid: BoolArray,
    params: FsdafParams,
    progress: Progress,
) -> FloatArray:
    """Step 8: add the mean change of the similar pixels, float32 [C, H, W]."""
    reach, side = params.reach_px, 2 * params.reach_px + 1
    threshold = 2 * fine[:, valid].std(axis=1, dtype=np.float64) / params.classes
    windows = sliding_window_view(pad(fine, reach), (side, side), axis=(1, 2))
    changes = sliding_window_view(pad(change, reach), (side, side), axis=(1, 2))
    usable = sliding_window_view(pad(valid, reach), (side, side))
    away = (1 + distances(reach).ravel() / reach).astype(np.float32)
    kept = min(params.similar, side * side)
    fine1 = np.zeros_like(fine)

    def work(strip: Strip) -> None:
        """Average the nearest spectra for the rows of a strip."""
        rows = strip.rows
        shape = (strip.last - strip.first, valid.shape[1], side * side)
        apart = np.where(usable[rows].reshape(shape), np.float32(0), np.float32(np.inf))
        for band, limit in zip(range(len(fine)), threshold, strict=True):
            own = fine[band, rows][..., None]
            gap = np.abs(windows[band, rows].reshape(shape) - own)
            # Equal pixels are similar also in a band without any variation.
            apart[gap > np.float32(limit)] = np.inf
            apart += gap / np.maximum(own, np.float32(1e-4))
        chosen = np.argpartition(apart, kept - 1, axis=-1)[..., :kept]
        spectral = np.take_along_axis(apart, chosen, axis=-1)
        weight = np.where(np.isinf(spectral), 0, 1 / (away[chosen] * (spectral + 1)))
        total = weight.sum(axis=-1)
        weight /= np.where(total > 0, total, 1)[..., None]
        for band in range(len(fine)):
            near = np.take_along_axis(changes[band, rows].reshape(shape), chosen, axis=-1)
            fine1[band, rows] = fine[band, rows] + (weight * near).sum(axis=-1)

    for_each_strip(valid.shape, work, progress, "FSDAF", pixels=STRIP_PIXELS)
    return fine1
