"""Boundary scores: cases by hand, and the measured sensitivities of the paper's score."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from scipy import ndimage

from n2m_core.errors import LabelError, ParameterError
from n2m_core.metrics.boundary import (
    boundary_band,
    boundary_f1,
    boundary_iou,
    boundary_iou_distance_px,
    boundary_scores,
    weighted_f,
    wfm,
)


def rectangle(shift: int = 0) -> np.ndarray:
    """A rectangle of 200 x 260 px, moved along its long side."""
    labels = np.zeros((400, 500), np.uint8)
    labels[100:300, 100 + shift : 360 + shift] = 1
    return labels


def square(top: int, left: int, side: int, size: int = 12) -> np.ndarray:
    labels = np.zeros((size, size), np.uint8)
    labels[top : top + side, left : left + side] = 1
    return labels


@pytest.mark.parametrize(
    ("shift", "score"), [(0, 1.0), (1, 0.910), (2, 0.812), (3, 0.706), (5, 0.524), (10, 0.483)]
)
def test_wfm_of_a_shifted_rectangle_as_measured(shift: int, score: float) -> None:
    assert wfm(rectangle(), rectangle(shift)) == pytest.approx(score, abs=5e-4)


def test_band_is_four_pixels_wide_and_ends_at_the_frame() -> None:
    labels = np.zeros((5, 10), np.uint8)
    labels[:, 5:] = 1
    assert boundary_band(labels).astype(int).tolist() == [[0, 0, 0, 1, 1, 1, 1, 0, 0, 0]] * 5


def test_weighted_f_of_one_missed_pixel_by_hand() -> None:
    # Truth: one pixel in the middle of 3 x 3; the map is empty. Every pixel takes that pixel's
    # error, so the smoothed error is the part of the 7 x 7 kernel that lies within the frame.
    truth = np.zeros((3, 3), bool)
    truth[1, 1] = True
    weights = np.exp(-0.5 * (np.arange(-3, 4) / 5.0) ** 2)
    inside = (weights[2:5].sum() / weights.sum()) ** 2
    recall = 1 - inside
    precision = recall / (recall + 0)
    expected = 2 * precision * recall / (precision + recall)
    assert weighted_f(truth, np.zeros((3, 3), bool)) == pytest.approx(expected)


def test_weighted_f_of_one_false_alarm_by_hand() -> None:
    # Truth found, and a false alarm at distance 3: its weight is 2 - 0.5 ** (3 / 5).
    truth = np.zeros((4, 4), bool)
    truth[0, 0] = True
    mapped = truth.copy()
    mapped[0, 3] = True
    false = 2 - 0.5 ** (3 / 5)
    precision = 1 / (1 + false)
    assert weighted_f(truth, mapped) == pytest.approx(2 * precision / (1 + precision))


def test_weighted_f_counts_a_far_false_alarm_more() -> None:
    truth = np.zeros((1, 20), bool)
    truth[0, 0] = True
    near, far = truth.copy(), truth.copy()
    near[0, 1] = far[0, 19] = True
    assert weighted_f(truth, near) > weighted_f(truth, far)


def test_weighted_f_of_empty_maps() -> None:
    empty, full = np.zeros((4, 4), bool), np.ones((4, 4), bool)
    assert math.isnan(weighted_f(empty, empty))
    assert weighted_f(empty, full) == 0
    assert weighted_f(full, full) == 1


def test_boundary_iou_by_hand() -> None:
    # 12 x 12: the distance is 2 % of 17 px, at least 1. The band of a 4 px square has 12 pixels.
    # Moved by 1 px to the right, the rings share 6 pixels of the top and bottom rows.
    assert boundary_iou_distance_px(12, 12) == 1
    truth, moved = square(2, 2, 4), square(2, 3, 4)
    assert boundary_iou(truth, moved, targets=[1]) == pytest.approx(6 / 18)
    assert boundary_iou(truth, truth, targets=[1]) == 1
    assert boundary_iou(truth, square(7, 7, 4), targets=[1]) == 0


def test_boundary_iou_of_a_large_image_has_a_wide_band() -> None:
    assert boundary_iou_distance_px(1024, 1024) == 29
    truth = np.zeros((300, 400), np.uint8)
    truth[50:250, 50:350] = 1
    grown = np.zeros_like(truth)
    grown[49:251, 49:351] = 1
    distance = 10
    ring = 200 * 300 - 180 * 280
    grown_ring = 202 * 302 - 182 * 282
    shared = 200 * 300 - 182 * 282
    assert boundary_iou_distance_px(300, 400) == distance
    expected = shared / (ring + grown_ring - shared)
    assert boundary_iou(truth, grown, targets=[1]) == pytest.approx(expected)


def test_boundary_iou_takes_the_frame_as_an_end() -> None:
    full = np.ones((12, 12), np.uint8)
    hollow = full.copy()
    hollow[1:-1, 1:-1] = 0
    # Both bands are the 44 pixels of the frame.
    assert boundary_iou(full, hollow, targets=[1]) == 1


def test_boundary_f1_by_hand() -> None:
    # Outlines of 12 pixels each, moved by 1 px: at 0 px the 6 shared pixels match, at 1 px all.
    truth, moved = square(2, 2, 4), square(2, 3, 4)
    assert boundary_f1(truth, moved, 0, targets=[1]) == pytest.approx(0.5)
    assert boundary_f1(truth, moved, 1, targets=[1]) == 1


def test_boundary_f1_measures_euclidean_distance() -> None:
    truth, moved = square(2, 2, 1), square(3, 3, 1)
    assert boundary_f1(truth, moved, 1, targets=[1]) == 0
    assert boundary_f1(truth, moved, 1.5, targets=[1]) == 1


def test_boundary_f1_weighs_precision_and_recall() -> None:
    # Truth has one dot, the map has it and a far one: precision 1/2, recall 1.
    truth = square(2, 2, 1)
    mapped = truth | square(9, 9, 1)
    assert boundary_f1(truth, mapped, 1, targets=[1]) == pytest.approx(2 / 3)


def test_the_frame_is_no_boundary_for_f1_and_wfm() -> None:
    full = np.ones((12, 12), np.uint8)
    assert math.isnan(boundary_f1(full, full, 1, targets=[1]))
    assert math.isnan(wfm(full, full))


def test_absent_and_one_sided_classes() -> None:
    empty, dot = np.zeros((12, 12), np.uint8), square(4, 4, 3)
    assert math.isnan(boundary_iou(empty, empty, targets=[1]))
    assert math.isnan(boundary_f1(empty, empty, 1, targets=[1]))
    for truth, mapped in ((empty, dot), (dot, empty)):
        assert boundary_iou(truth, mapped, targets=[1]) == 0
        assert boundary_f1(truth, mapped, 1, targets=[1]) == 0
    assert wfm(empty, dot) == 0
    assert wfm(dot, empty) < 0.2


def test_classes_are_meaned_and_absent_ones_left_out() -> None:
    truth = square(1, 1, 4) + 2 * square(7, 7, 4)
    mapped = square(1, 2, 4) + 2 * square(7, 7, 4)
    one = boundary_iou(truth, mapped, targets=[1])
    assert one == pytest.approx(6 / 18)
    assert boundary_iou(truth, mapped, targets=[1, 2]) == pytest.approx((one + 1) / 2)
    assert boundary_iou(truth, mapped, targets=[1, 2, 3]) == pytest.approx((one + 1) / 2)
    everything = boundary_iou(truth, mapped, targets=[0, 1, 2])
    assert boundary_iou(truth, mapped) == pytest.approx(everything)


def test_ignored_pixels_count_nowhere() -> None:
    truth, mapped = square(2, 2, 4), square(2, 2, 4)
    spoiled = mapped.copy()
    spoiled[:, 9:] = 1
    masked = truth.copy()
    masked[:, 9:] = 255
    scores = boundary_scores(masked, spoiled, targets=[1])
    assert scores.boundary_iou == 1
    assert scores.f1_1px == 1
    assert boundary_scores(truth, spoiled, targets=[1]).boundary_iou < 0.5


def test_the_edge_of_the_counted_area_is_no_boundary() -> None:
    truth = np.ones((20, 20), np.uint8)
    truth[:, :8] = 255
    assert math.isnan(wfm(truth, np.ones((20, 20), np.uint8)))
    assert math.isnan(boundary_f1(truth, np.ones((20, 20), np.uint8), 1, targets=[1]))


def test_nothing_counted_has_no_score() -> None:
    scores = boundary_scores(np.full((8, 8), 255), np.ones((8, 8)), targets=[1])
    values = (scores.wfm, scores.boundary_iou, scores.f1_1px, scores.f1_3px, scores.f1_5px)
    assert all(math.isnan(value) for value in values)


def test_all_scores_at_once_equal_one_by_one() -> None:
    truth, mapped = rectangle(), rectangle(4)
    scores = boundary_scores(truth, mapped, targets=[1])
    assert scores.wfm == wfm(truth, mapped)
    assert scores.boundary_iou == boundary_iou(truth, mapped, targets=[1])
    for tolerance, score in ((1, scores.f1_1px), (3, scores.f1_3px), (5, scores.f1_5px)):
        assert score == boundary_f1(truth, mapped, tolerance, targets=[1])
    assert scores.f1_1px < scores.f1_3px < scores.f1_5px == 1


def test_one_pixel_image() -> None:
    one = np.ones((1, 1), np.uint8)
    assert boundary_iou(one, one, targets=[1]) == 1
    assert math.isnan(wfm(one, one))


def test_a_large_image_takes_less_than_a_second() -> None:
    noise = np.random.default_rng(0).normal(size=(2, 1024, 1024))
    truth, mapped = (ndimage.gaussian_filter(noise, (0, 8, 8)) > 0).astype(np.uint8)
    started = time.process_time()
    boundary_scores(truth, mapped, targets=[1])
    assert time.process_time() - started < 1


def test_bad_input_is_refused() -> None:
    with pytest.raises(LabelError, match="on one grid"):
        wfm(np.zeros((3, 3)), np.zeros((3, 4)))
    with pytest.raises(LabelError, match="rows x columns"):
        wfm(np.zeros((1, 3, 3)), np.zeros((1, 3, 3)))
    with pytest.raises(ParameterError, match="tolerance is -1 px"):
        boundary_f1(np.zeros((3, 3)), np.zeros((3, 3)), -1)
