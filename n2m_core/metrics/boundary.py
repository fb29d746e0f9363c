"""How well a map's boundaries follow the truth's.

WFm: K. Hu et al. (IDGBR), "A Gift from the Integration of Discriminative and Diffusion-based
Generative Learning", IEEE TPAMI 2026, arXiv 2507.01573, on the weighted F of R. Margolin,
L. Zelnik-Manor, A. Tal, "How to Evaluate Foreground Maps?", CVPR 2014. Boundary IoU: B. Cheng et
al., "Boundary IoU", CVPR 2021, arXiv 2103.16562. Boundary F1: G. Csurka et al., "What is a good
evaluation measure for semantic segmentation?", BMVC 2013.

Symbols: G = band of the truth, P = band of the map, E = |P - G|, all on one grid [H, W].

Rules shared by all three:

- Scores are of one image; over a split they are averaged, images without a score left out.
- A class (for WFm: a boundary) that neither truth nor map has gives NaN, one that only one of them
  has gives 0. The score of several classes is the mean over those that are not NaN.
- A pixel that is ignored takes the class of the nearest counted pixel, in truth and map each, so
  that the edge of the counted area is no boundary; and it is left out of every sum.

Deviations from the papers: boundary IoU treats an image's frame as the authors' code does (a mask
ends there); WFm and boundary F1 do not, for the frame is where the picture was cut, not an edge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from n2m_core.errors import LabelError, ParameterError
from n2m_core.metrics.confusion import IGNORE, mean_present

Mask = NDArray[np.bool_]
Labels = NDArray[Any]

BETA_HALF_LIFE_PX = 5.0
"""Distance at which the extra weight of a false alarm reaches half (Margolin et al., Eq. 9)."""
SMOOTHING_PX = 7
SMOOTHING_SIGMA = 5.0
BOUNDARY_IOU_SHARE = 0.02
"""Boundary IoU distance as a share of the image diagonal (Cheng et al., section 4)."""
TOLERANCES_PX = (1, 3, 5)


@dataclass(frozen=True)
class BoundaryScores:
    """All boundary scores of one image, each in [0, 1] or NaN."""

    wfm: float
    boundary_iou: float
    f1_1px: float
    f1_3px: float
    f1_5px: float


def boundary_scores(
    truth: Labels, predicted: Labels, *, targets: Sequence[int], ignore: int = IGNORE
) -> BoundaryScores:
    """Compute every boundary score of one image.

    Args:
        truth: class indices [H, W]; `ignore` counts nowhere.
        predicted: the same for the map.
        targets: the classes whose boundaries count; one for a binary task.
        ignore: the value left out.

    Returns:
        Means over `targets` (WFm is of the whole class map).

    Raises:
        LabelError: the arrays differ in shape or are not two-dimensional.
    """
    true, mapped, counted = _prepared(truth, predicted, ignore)
    ious, f1s = [], []
    for target in targets:
        ours, theirs = true == target, mapped == target
        ious.append(_mask_boundary_iou(ours, theirs, counted))
        f1s.append(_mask_boundary_f1(ours, theirs, counted, TOLERANCES_PX))
    by_tolerance = [mean_present(np.array(column)) for column in zip(*f1s, strict=True)]
    iou = mean_present(np.array(ious))
    return BoundaryScores(_class_map_wfm(true, mapped, counted), iou, *by_tolerance)


def wfm(truth: Labels, predicted: Labels, *, ignore: int = IGNORE) -> float:
    """Margolin's weighted F of the boundary bands of two class maps.

    Args:
        truth: class indices [H, W]; `ignore` counts nowhere.
        predicted: the same for the map.
        ignore: the value left out.

    Returns:
        The score in [0, 1]; NaN when neither map has a boundary.
    """
    return _class_map_wfm(*_prepared(truth, predicted, ignore))


def boundary_iou(
    truth: Labels, predicted: Labels, *, targets: Sequence[int] | None = None, ignore: int = IGNORE
) -> float:
    """IoU of the inner boundary bands of each class, meaned over the classes.

    Args:
        truth: class indices [H, W]; `ignore` counts nowhere.
        predicted: the same for the map.
        targets: classes to score; None for all that occur.
        ignore: the value left out.

    Returns:
        The score in [0, 1]; NaN when no target occurs.
    """
    true, mapped, counted = _prepared(truth, predicted, ignore)
    wanted = _occurring(true, mapped) if targets is None else targets
    scores = [_mask_boundary_iou(true == k, mapped == k, counted) for k in wanted]
    return mean_present(np.array(scores, np.float64))


def boundary_f1(
    truth: Labels,
    predicted: Labels,
    tolerance_px: float,
    *,
    targets: Sequence[int] | None = None,
    ignore: int = IGNORE,
) -> float:
    """F1 of boundary pixels that lie within a tolerance of the other map's boundary.

    Args:
        truth: class indices [H, W]; `ignore` counts nowhere.
        predicted: the same for the map.
        tolerance_px: largest Euclidean distance of a match, pixels.
        targets: classes to score; None for all that occur.
        ignore: the value left out.

    Returns:
        The score in [0, 1]; NaN when no target has a boundary.

    Raises:
        ParameterError: the tolerance is negative.
    """
    if tolerance_px < 0:
        raise ParameterError(f"The tolerance is {tolerance_px} px; it must be 0 or more.")
    true, mapped, counted = _prepared(truth, predicted, ignore)
    wanted = _occurring(true, mapped) if targets is None else targets
    scores = [_mask_boundary_f1(true == k, mapped == k, counted, (tolerance_px,)) for k in wanted]
    return mean_present(np.array(scores, np.float64).ravel())


def boundary_iou_distance_px(height: int, width: int) -> int:
    """Width of the boundary IoU's band: 2 % of the image diagonal, at least 1 px."""
    return max(1, round(BOUNDARY_IOU_SHARE * math.hypot(height, width)))


def boundary_band(labels: Labels) -> Mask:
    """Pixels near a class boundary: Sobel magnitude above 0, dilated 3 x 3 (about 4 px wide).

    Args:
        labels: class indices [H, W].

    Returns:
        bool [H, W].
    """
    values = labels.astype(np.int32)
    steps = ndimage.sobel(values, axis=0, mode="nearest") != 0
    steps |= ndimage.sobel(values, axis=1, mode="nearest") != 0
    return np.asarray(ndimage.binary_dilation(steps, np.ones((3, 3), np.bool_)), np.bool_)


def weighted_f(truth: Mask, predicted: Mask, counted: Mask | None = None) -> float:
    """Margolin's weighted F-measure of a binary map, beta = 1.

    Args:
        truth: bool [H, W], G.
        predicted: bool [H, W], P.
        counted: bool [H, W], pixels that enter the sums; None for all.

    Returns:
        2 P R / (P + R) in [0, 1]; NaN when truth and map are both empty, 0 when only one is.
    """
    inside = np.ones_like(truth) if counted is None else counted
    true, off = truth & inside, ~truth & inside
    if not true.any():
        return 0.0 if (predicted & inside).any() else math.nan
    error = (predicted != truth).astype(np.float64)
    # 1. A background error takes the error of the nearest true pixel, then all are smoothed.
    distance, nearest = ndimage.distance_transform_edt(~truth, return_indices=True)
    spread = _smoothed(error[nearest[0], nearest[1]])
    # 2. An error on a true pixel that its neighbours make up for counts less.
    error_on = np.minimum(error[true], spread[true])
    # 3. A false alarm costs from 1 beside the truth to 2 far from it.
    error_off = error[off] * (2 - np.exp(math.log(0.5) / BETA_HALF_LIFE_PX * distance[off]))
    hits = true.sum() - error_on.sum()
    recall = 1 - error_on.mean()
    precision = hits / (hits + error_off.sum()) if hits > 0 else 0.0
    total = precision + recall
    return float(2 * precision * recall / total) if total > 0 else 0.0


def _class_map_wfm(truth: Labels, predicted: Labels, counted: Mask) -> float:
    """WFm of two class maps without ignored values."""
    return weighted_f(boundary_band(truth), boundary_band(predicted), counted)


def _smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smooth by a 7 x 7 Gaussian of sigma 5 that sums to one; 0 beyond the frame."""
    offsets = np.arange(SMOOTHING_PX) - SMOOTHING_PX // 2
    kernel = np.exp(-0.5 * (offsets / SMOOTHING_SIGMA) ** 2)
    kernel /= kernel.sum()
    rows = ndimage.correlate1d(values, kernel, axis=0, mode="constant")
    return np.asarray(ndimage.correlate1d(rows, kernel, axis=1, mode="constant"), np.float64)


def _mask_boundary_iou(truth: Mask, predicted: Mask, counted: Mask) -> float:
    """Boundary IoU of one class."""
    if not (truth & counted).any() and not (predicted & counted).any():
        return math.nan
    distance = boundary_iou_distance_px(*truth.shape)
    ours = _inner_band(truth, distance) & counted
    theirs = _inner_band(predicted, distance) & counted
    union = int((ours | theirs).sum())
    return float((ours & theirs).sum() / union) if union else math.nan


def _inner_band(mask: Mask, width_px: int) -> Mask:
    """Pixels of a mask within `width_px` (chessboard) of its outside, the frame being outside."""
    if not mask.any():
        return mask
    padded = np.pad(mask, 1)
    depth = ndimage.distance_transform_cdt(padded, metric="chessboard")[1:-1, 1:-1]
    return np.asarray(mask & (depth <= width_px), np.bool_)


def _mask_boundary_f1(
    truth: Mask, predicted: Mask, counted: Mask, tolerances_px: Sequence[float]
) -> list[float]:
    """Boundary F1 of one class at each tolerance."""
    ours, theirs = _outline(truth), _outline(predicted)
    ours_counted, theirs_counted = ours & counted, theirs & counted
    if not ours_counted.any() and not theirs_counted.any():
        return [math.nan] * len(tolerances_px)
    if not ours_counted.any() or not theirs_counted.any():
        return [0.0] * len(tolerances_px)
    to_theirs = ndimage.distance_transform_edt(~theirs)[ours_counted]
    to_ours = ndimage.distance_transform_edt(~ours)[theirs_counted]
    scores = []
    for tolerance in tolerances_px:
        recall = float((to_theirs <= tolerance).mean())
        precision = float((to_ours <= tolerance).mean())
        total = precision + recall
        scores.append(2 * precision * recall / total if total > 0 else 0.0)
    return scores


def _outline(mask: Mask) -> Mask:
    """Pixels of a mask that touch its outside by an edge; the frame is no outside."""
    return np.asarray(mask & ~ndimage.binary_erosion(mask, border_value=1), np.bool_)


def _prepared(truth: Labels, predicted: Labels, ignore: int) -> tuple[Labels, Labels, Mask]:
    """Check two class maps and fill what is ignored from the nearest counted pixel."""
    if truth.shape != predicted.shape or truth.ndim != 2:
        raise LabelError(
            f"The truth has shape {truth.shape} and the map {predicted.shape}; both must be "
            "rows x columns on one grid."
        )
    counted = (truth != ignore) & (predicted != ignore)
    if counted.all() or not counted.any():
        return truth, predicted, counted
    rows, columns = ndimage.distance_transform_edt(
        ~counted, return_distances=False, return_indices=True
    )
    return truth[rows, columns], predicted[rows, columns], counted


def _occurring(truth: Labels, predicted: Labels) -> list[int]:
    """Classes that occur in either map."""
    return sorted({*np.unique(truth).tolist(), *np.unique(predicted).tolist()})
