"""Confusion counts and their scores against cases worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from n2m_core.errors import LabelError
from n2m_core.metrics.confusion import IGNORE, ConfusionCounts, f1_scores, iou_scores

# truth      map
# 0 0 1      0 1 1        TP = 3 (two in row 1, one in row 0), FP = 1, FN = 1, TN = 3
# 0 1 1      0 1 1        and one pixel of the truth is ignored.
# 1 0 255    0 0 1
TRUTH = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 255]], np.uint8)
MAP = np.array([[0, 1, 1], [0, 1, 1], [0, 0, 1]], np.uint8)


def test_binary_case_by_hand() -> None:
    counts = ConfusionCounts.from_labels(TRUTH, MAP, 2)
    assert counts.matrix.tolist() == [[3, 1], [1, 3]]
    assert counts.total == 8
    assert counts.support.tolist() == [4, 4]
    assert counts.precision.tolist() == [3 / 4, 3 / 4]
    assert counts.recall.tolist() == [3 / 4, 3 / 4]
    assert counts.f1.tolist() == [6 / 8, 6 / 8]
    assert counts.iou.tolist() == [3 / 5, 3 / 5]
    assert counts.mean_f1 == 0.75
    assert counts.mean_iou == 0.6


def test_three_classes_by_hand() -> None:
    truth = np.array([[0, 0, 1, 1], [0, 2, 2, 1], [0, 2, 2, 1], [0, 0, 1, 1]], np.uint8)
    mapped = np.array([[0, 0, 1, 1], [0, 2, 1, 1], [0, 2, 1, 1], [2, 2, 1, 1]], np.uint8)
    counts = ConfusionCounts.from_labels(truth, mapped, 3)
    assert counts.matrix.tolist() == [[4, 0, 2], [0, 6, 0], [0, 2, 2]]
    assert counts.f1 == pytest.approx([8 / 10, 12 / 14, 4 / 8])
    assert counts.iou == pytest.approx([4 / 6, 6 / 8, 2 / 6])
    assert counts.precision == pytest.approx([1, 6 / 8, 2 / 4])
    assert counts.recall == pytest.approx([4 / 6, 1, 2 / 4])
    assert counts.mean_f1 == pytest.approx((8 / 10 + 12 / 14 + 4 / 8) / 3)


def test_accuracy_and_kappa_by_hand() -> None:
    # 6 of 8 pixels agree; by chance half of them would.
    counts = ConfusionCounts.from_labels(TRUTH, MAP, 2)
    assert counts.overall_accuracy == 0.75
    assert counts.kappa == 0.5
    # Rows 6, 6, 4 and columns 4, 8, 4 of 16: by chance (24 + 48 + 16) / 256 would agree.
    three = ConfusionCounts(np.array([[4, 0, 2], [0, 6, 0], [0, 2, 2]]))
    assert three.overall_accuracy == 12 / 16
    chance = 88 / 256
    assert three.kappa == pytest.approx((0.75 - chance) / (1 - chance))


def test_kappa_of_chance_is_zero_and_of_disagreement_below() -> None:
    chance = ConfusionCounts(np.outer([3, 1], [2, 6]))
    assert chance.overall_accuracy == 12 / 32
    assert chance.kappa == pytest.approx(0)
    assert ConfusionCounts(np.array([[0, 4], [4, 0]])).kappa == -1
    assert ConfusionCounts(np.array([[4, 0], [0, 4]])).kappa == 1


def test_absent_classes_change_neither_accuracy_nor_kappa() -> None:
    two = ConfusionCounts.from_labels(TRUTH, MAP, 2)
    five = ConfusionCounts.from_labels(TRUTH, MAP, 5)
    assert (five.overall_accuracy, five.kappa) == (two.overall_accuracy, two.kappa)
    # A class that only the map holds is a mistake like any other.
    false = ConfusionCounts(np.array([[6, 0, 2], [0, 8, 0], [0, 0, 0]]))
    chance = (8 * 6 + 8 * 8) / 256
    assert false.kappa == pytest.approx((14 / 16 - chance) / (1 - chance))


def test_kappa_does_not_exist_without_a_second_class() -> None:
    one = ConfusionCounts(np.array([[7, 0], [0, 0]]))
    assert one.overall_accuracy == 1
    assert math.isnan(one.kappa)
    # Where the map holds one class and the truth two, agreement is as good as chance.
    assert ConfusionCounts(np.array([[7, 0], [3, 0]])).kappa == pytest.approx(0)
    empty = ConfusionCounts.zeros(2)
    assert math.isnan(empty.overall_accuracy)
    assert math.isnan(empty.kappa)


def test_pixels_without_data_in_the_map_count_nowhere() -> None:
    mapped = MAP.copy()
    mapped[0] = IGNORE
    counts = ConfusionCounts.from_labels(TRUTH, mapped, 2)
    assert counts.matrix.tolist() == [[2, 0], [1, 2]]


def test_another_ignore_value() -> None:
    truth = np.array([[0, 7, 1]], np.int16)
    counts = ConfusionCounts.from_labels(truth, np.array([[0, 1, 1]]), 2, ignore=7)
    assert counts.matrix.tolist() == [[1, 0], [0, 1]]


def test_a_class_in_neither_map_is_absent() -> None:
    counts = ConfusionCounts.from_labels(TRUTH, MAP, 3)
    assert math.isnan(counts.f1[2])
    assert math.isnan(counts.iou[2])
    assert counts.mean_f1 == 0.75
    assert counts.mean_iou == 0.6


def test_a_class_in_the_map_only_scores_zero_and_lowers_the_mean() -> None:
    mapped = MAP.copy()
    mapped[0, 0] = 2
    counts = ConfusionCounts.from_labels(TRUTH, mapped, 3)
    assert counts.f1[2] == 0
    assert counts.iou[2] == 0
    assert math.isnan(counts.recall[2])
    assert counts.precision[2] == 0
    assert counts.mean_f1 == pytest.approx(counts.f1.sum() / 3)


def test_a_class_in_the_truth_only_scores_zero() -> None:
    counts = ConfusionCounts.from_labels(np.array([[0, 1]]), np.array([[0, 0]]), 2)
    assert counts.f1.tolist() == pytest.approx([2 / 3, 0])
    assert counts.recall[1] == 0
    assert math.isnan(counts.precision[1])


def test_nothing_counted_has_no_mean() -> None:
    counts = ConfusionCounts.from_labels(np.full((2, 2), IGNORE), np.zeros((2, 2)), 2)
    assert counts.total == 0
    assert math.isnan(counts.mean_f1)
    assert math.isnan(counts.mean_iou)


def test_scores_are_of_pooled_counts_not_means_of_tiles() -> None:
    left = ConfusionCounts.from_labels(TRUTH[:, :1], MAP[:, :1], 2)
    right = ConfusionCounts.from_labels(TRUTH[:, 1:], MAP[:, 1:], 2)
    pooled = left.add(right)
    assert pooled.matrix.tolist() == [[3, 1], [1, 3]]
    assert pooled.f1[1] != pytest.approx((left.f1[1] + right.f1[1]) / 2)
    assert ConfusionCounts.zeros(2).add(pooled).matrix.tolist() == pooled.matrix.tolist()


def test_classes_united_equal_labels_united() -> None:
    truth = np.array([[0, 1, 2], [2, 1, 0], [0, 0, 1]], np.uint8)
    mapped = np.array([[0, 2, 2], [1, 1, 1], [0, 2, 0]], np.uint8)
    united = ConfusionCounts.from_labels(truth, mapped, 3).united([(0,), (1, 2)])
    direct = ConfusionCounts.from_labels(truth > 0, mapped > 0, 2)
    assert united.matrix.tolist() == direct.matrix.tolist() == [[2, 2], [1, 4]]


def test_scores_of_many_matrices_at_once() -> None:
    many = np.array([[[3, 1], [1, 3]], [[5, 0], [0, 0]]])
    assert f1_scores(many)[0].tolist() == [0.75, 0.75]
    assert iou_scores(many)[0].tolist() == [0.6, 0.6]
    assert f1_scores(many)[1, 0] == 1
    assert math.isnan(f1_scores(many)[1, 1])


def test_other_values_are_refused() -> None:
    with pytest.raises(LabelError, match=r"truth holds values 0\.\.3; classes are 0\.\.1"):
        ConfusionCounts.from_labels(np.array([[0, 3]]), np.array([[0, 1]]), 2)
    with pytest.raises(LabelError, match=r"map holds values -1\.\.0"):
        ConfusionCounts.from_labels(np.array([[0, 1]]), np.array([[0, -1]]), 2)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(LabelError, match=r"shape \(3, 3\) and the map \(2, 3\)"):
        ConfusionCounts.from_labels(TRUTH, MAP[:2], 2)
    with pytest.raises(LabelError, match="a square is needed"):
        ConfusionCounts(np.zeros((2, 3), np.int64))
