"""Scores by object size, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from n2m_core.errors import LabelError, ParameterError
from n2m_core.metrics.confusion import ConfusionCounts
from n2m_core.metrics.objects import (
    COARSE_EDGES_M2,
    SIZE_EDGES_M2,
    count_sizes,
    find_objects,
    objects_of,
    size_bins,
    size_edges,
)

# True objects: a of 4 px (rows 0-1), b of 1 px (row 0, column 5), c of 2 px (row 3).
TRUTH = np.array(
    [
        [1, 1, 0, 0, 0, 1],
        [1, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 1],
    ],
    np.uint8,
)
# Mapped objects: 3 px of a; 3 px in the last row, 1 of them true (half of c).
MAP = np.array(
    [
        [1, 1, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 1, 1, 1, 0],
    ],
    np.uint8,
)
ONE_M2 = np.ones(4)


def test_by_hand() -> None:
    # Bins [0, 2), [2, 4), [4, ...) m2.
    counts = count_sizes(TRUTH, MAP, [1], ONE_M2, edges_m2=(0, 2, 4))
    assert counts.true.tolist() == [[1, 2, 4], [0, 1, 3], [1, 1, 1], [0, 1, 1]]
    assert counts.mapped.tolist() == [[0, 6, 0], [0, 4, 0], [0, 2, 0], [0, 1, 0]]
    assert counts.recall == pytest.approx([0, 1 / 2, 3 / 4])
    assert counts.precision[1] == pytest.approx(4 / 6)
    assert np.isnan(counts.precision[[0, 2]]).all()
    # Precision 2/3 and recall 1/2: F1 = 2 * 1/3 / (7/6) = 4/7; the other bins lack mapped objects.
    assert counts.f1 == pytest.approx([0, 4 / 7, 0])


def test_all_sizes_together_give_the_f1_of_the_pixels() -> None:
    generator = np.random.default_rng(4)
    truth, mapped = generator.integers(0, 3, (2, 40, 50)).astype(np.uint8)
    truth[:5, :9] = 255
    mapped[30:, 40:] = 255
    for index in (1, 2):
        counts = count_sizes(truth, mapped, [index], np.ones(40))
        expected = ConfusionCounts.from_labels(truth, mapped, 3)
        assert counts.whole.f1[0] == pytest.approx(expected.f1[index])
        assert counts.whole.recall[0] == pytest.approx(expected.recall[index])


def test_area_is_of_the_ground_and_place_is_the_middle() -> None:
    true, _ = objects_of(TRUTH, MAP, 1, np.array([1.0, 2.0, 3.0, 4.0]))
    assert true.area_m2.tolist() == [1 + 1 + 2 + 2, 1, 8]
    assert true.row.tolist() == [0.5, 0, 3]
    assert true.column.tolist() == [0.5, 5, 4.5]
    assert true.is_matched.tolist() == [True, False, True]


def test_diagonal_neighbours_are_two_objects() -> None:
    assert len(find_objects(np.eye(3, dtype=bool), np.ones((3, 3), bool), np.ones(3)).pixels) == 3


def test_ignored_pixels_belong_to_no_object() -> None:
    truth, mapped = TRUTH.copy(), MAP.copy()
    truth[0] = 255
    mapped[3, 4] = 255
    true, found = objects_of(truth, mapped, 1, ONE_M2)
    assert true.pixels.tolist() == [2, 1]
    assert found.pixels.tolist() == [1, 2]


def test_counts_pool() -> None:
    one = count_sizes(TRUTH, MAP, [1], ONE_M2)
    assert one.add(one).true.tolist() == (2 * one.true).tolist()
    nothing = count_sizes(np.zeros_like(TRUTH), np.zeros_like(TRUTH), [1], ONE_M2)
    assert np.isnan(nothing.f1).all()
    assert nothing.add(one).f1 == pytest.approx(one.f1, nan_ok=True)


def test_an_area_on_an_edge_falls_into_the_upper_bin() -> None:
    assert size_bins(np.array([0.5, 2.0, 9.0]), (0, 2, 4)).tolist() == [0, 1, 2]
    with pytest.raises(ParameterError, match="must ascend from 0"):
        size_bins(np.ones(1), (1, 2))
    with pytest.raises(LabelError, match="must lie on one grid"):
        find_objects(TRUTH == 1, MAP[:2] == 1, ONE_M2)


def test_bins_fit_the_size_of_pixels() -> None:
    assert size_edges(0.3) == SIZE_EDGES_M2
    assert size_edges(10.0) == COARSE_EDGES_M2
    assert min(np.diff(COARSE_EDGES_M2)) >= 50 * 10.0**2  # fifty pixels of 10 m
