"""Spoiled truths: what is wrong in them is known, and what came back is counted."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from n2m_core.errors import LabelError, ParameterError
from n2m_core.tasks.worst_cases import CASES, Outcome, outcome, spoil

Labels = NDArray[np.uint8]


def town() -> Labels:
    """Nine houses of 20 x 20 px, 8 px apart, three of them cut by the frame, and a shed."""
    labels = np.zeros((96, 96), np.uint8)
    for top in (10, 38, 66):
        for left in (10, 38, 80):
            labels[top : top + 20, left : left + 20] = 1
    labels[2:5, 2:5] = 1
    return labels


def test_one_whole_building_is_missing_and_no_other() -> None:
    truth = town()
    marked, count = ndimage.label(truth)
    seen = set()
    for seed in range(12):
        case = spoil(truth, "missing", 2, seed=seed)
        (number,) = set(np.unique(marked[case.spoiled]))
        np.testing.assert_array_equal(case.spoiled, marked == number)
        assert case.spoiled.sum() == 400  # neither the shed nor a house that the frame cuts
        assert not case.rough[case.spoiled].any()
        for other in set(range(2, count + 1)) - {number}:  # the shed is 1
            assert case.rough[marked == other].mean() > 0.5
        seen.add(int(number))
    assert len(seen) > 2


def test_holes_and_merged_neighbours() -> None:
    truth = town()
    case = spoil(truth, "merged", 2)
    lost, added = (case.rough < truth), (case.rough > truth)
    assert lost.sum() > 20
    np.testing.assert_array_equal(case.spoiled, lost | added)
    assert ndimage.label(truth | added)[1] < ndimage.label(truth)[1]


def test_a_coarse_map_has_coarse_pixels() -> None:
    case = spoil(town(), "coarse", 2)
    wrong = case.rough != town()
    np.testing.assert_array_equal(case.spoiled, wrong)
    assert 0.02 < wrong.mean() < 0.3


@pytest.mark.parametrize("case", CASES)
def test_the_same_seed_gives_the_same_map_and_unknown_pixels_stay_unknown(case: str) -> None:
    truth = town()
    truth[:, 60:64] = 255
    made = spoil(truth, case, 2)  # type: ignore[arg-type]  # a case by its name
    np.testing.assert_array_equal(made.rough, spoil(truth, made.case, 2).rough)
    np.testing.assert_array_equal(made.rough == 255, truth == 255)
    assert not made.spoiled[truth == 255].any()


def test_a_building_that_fills_the_picture_can_be_missing() -> None:
    case = spoil(np.ones((16, 16), np.uint8), "missing", 2)
    assert case.spoiled.all()
    assert not case.rough.any()


def test_what_came_back_is_counted_by_hand() -> None:
    truth = town()
    case = spoil(truth, "missing", 2)
    assert outcome(case, truth, case.rough, 2) == Outcome(400, 0, 0, 0)
    assert outcome(case, truth, truth, 2) == Outcome(400, 400, 0, 0)
    half = case.rough.copy()
    half[case.spoiled & (np.cumsum(case.spoiled).reshape(truth.shape) <= 100)] = 1
    assert outcome(case, truth, half, 2) == Outcome(400, 100, 0, 0)
    merged = spoil(truth, "merged", 2)
    found = outcome(merged, truth, np.zeros_like(truth), 2)
    assert (found.found, found.removed) == (0, found.added)
    assert found.lost + found.added == merged.spoiled.sum()
    assert outcome(case, truth, np.full_like(truth, 255), 2) == Outcome(0, 0, 0, 0)


@pytest.mark.parametrize(
    ("found", "verdict"), [(0, "not back"), (9, "not back"), (10, "in part"), (50, "back")]
)
def test_the_verdict_follows_the_share(found: int, verdict: str) -> None:
    assert Outcome(100, found, 0, 0).verdict == verdict


def test_with_several_classes_only_the_resolution_is_spoiled() -> None:
    truth = (np.indices((48, 48)).sum(0) // 20 % 3).astype(np.uint8)
    case = spoil(truth, "coarse", 3)
    assert set(np.unique(case.rough)) <= {0, 1, 2}
    assert outcome(case, truth, truth, 3).found == case.spoiled.sum() > 0
    with pytest.raises(ParameterError, match="there are 3 classes; 'coarse' is possible"):
        spoil(truth, "missing", 3)


def test_nothing_can_be_missing_from_nothing() -> None:
    with pytest.raises(LabelError, match="no object in this part of the scene"):
        spoil(np.zeros((8, 8), np.uint8), "missing", 2)
