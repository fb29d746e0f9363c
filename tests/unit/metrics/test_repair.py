"""Repair counts and scores against cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from n2m_core.errors import LabelError, ParameterError
from n2m_core.metrics.repair import Repair, RepairCounts, repair_counts, repair_map

# truth          rough          refined
# 1 1 1 0 0      1 1 0 1 0      1 0 1 1 1
# 1 1 1 0 0      1 1 0 1 0      1 1 0 0 0
TRUTH = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 0, 0]], np.uint8)
ROUGH = np.array([[1, 1, 0, 1, 0], [1, 1, 0, 1, 0]], np.uint8)
REFINED = np.array([[1, 0, 1, 1, 1], [1, 1, 0, 0, 0]], np.uint8)


def test_every_category_by_hand() -> None:
    assert repair_map(ROUGH, REFINED, TRUTH).tolist() == [[1, 4, 2, 3, 5], [1, 1, 3, 2, 0]]
    counts = repair_counts(ROUGH, REFINED, TRUTH)
    assert counts == RepairCounts(kept=3, repaired=2, missed=2, broken=1, invented=1, found=1)


def test_scores_by_hand() -> None:
    # RT is the four pixels on the left, three of them are still there. RF is the four pixels in
    # columns 2 and 3: truth and refined map share one, their union has three.
    counts = repair_counts(ROUGH, REFINED, TRUTH)
    assert counts.iou_rt() == 3 / 4
    assert counts.iou_rf() == 1 / 3
    assert counts.iou_imp() == pytest.approx(1 / 3 - 1 / 4)
    assert counts.iou_imp(k=0) == 1 / 3
    assert counts.iou_imp(k=2) == pytest.approx(1 / 3 - 1 / 2)
    assert (counts.grade(), counts.grade(2)) == ("partial", "error")


def test_scores_are_the_papers_set_formulas() -> None:
    rng = np.random.default_rng(3)
    true, rough, refined = rng.random((3, 40, 50)) < 0.4
    right = true & rough
    wrong = (true | rough) & ~right
    counts = repair_counts(rough, refined, true)
    for region, score in ((right, counts.iou_rt()), (wrong, counts.iou_rf())):
        both, either = true & refined & region, (true & region) | (refined & region)
        assert score == both.sum() / either.sum()
    assert counts.invented == (refined & ~true & ~rough).sum()
    assert counts.kept + counts.broken == right.sum()
    assert counts.repaired + counts.missed == wrong.sum()


@pytest.mark.parametrize(
    ("found", "missed", "broken", "grade"),
    [(80, 20, 0, "complete"), (79, 21, 0, "partial"), (20, 80, 20, "partial"), (0, 9, 1, "error")],
)
def test_grades_at_their_limits(found: int, missed: int, broken: int, grade: str) -> None:
    counts = RepairCounts(kept=100 - broken, broken=broken, found=found, missed=missed)
    assert counts.grade() == grade


@pytest.mark.parametrize(
    ("grade", "percent"),
    [
        ("complete", (85.02, 81.76, 92.37, 82.54)),
        ("partial", (47.95, 17.04, 7.89, 21.79)),
        ("error", (-11.44, -1.81, -7.44, -16.05)),
    ],
)
def test_published_cases_have_their_grades(grade: str, percent: tuple[float, ...]) -> None:
    for value in percent:
        part = round(100 * value)
        found, broken = max(part, 0), max(-part, 0)
        counts = RepairCounts(
            kept=10_000 - broken, broken=broken, found=found, missed=10_000 - found
        )
        assert counts.iou_imp() == pytest.approx(value / 100)
        assert counts.grade() == grade


def test_a_perfect_and_an_idle_refinement() -> None:
    perfect = repair_counts(ROUGH, TRUTH, TRUTH)
    assert (perfect.iou_imp(), perfect.grade()) == (1, "complete")
    idle = repair_counts(ROUGH, ROUGH, TRUTH)
    assert (idle.kept, idle.missed, idle.repaired) == (4, 4, 0)
    assert (idle.iou_imp(), idle.grade()) == (0, "partial")


def test_what_does_not_exist_is_none() -> None:
    # An object that the rough map missed whole: nothing was right, so nothing can be kept.
    whole = repair_counts(np.zeros_like(TRUTH), REFINED, TRUTH)
    assert (whole.found, whole.missed, whole.invented) == (4, 2, 2)
    assert whole.iou_rf() == pytest.approx(4 / 6)
    assert (whole.iou_rt(), whole.iou_imp(), whole.grade()) == (None, None, None)
    # A rough map without a mistake: nothing can be repaired.
    right = repair_counts(TRUTH, REFINED, TRUTH)
    assert right.iou_rt() == 4 / 6
    assert (right.iou_rf(), right.grade()) == (None, None)
    # False alarms alone, all of them removed: repaired, but the IoU of nothing with nothing.
    alarms = repair_counts(np.ones_like(TRUTH), TRUTH, TRUTH)
    assert (alarms.repaired, alarms.found, alarms.iou_rf()) == (4, 0, None)


def test_ignored_pixels_count_nowhere() -> None:
    truth, rough, refined = TRUTH.copy(), ROUGH.astype(np.int64), REFINED.copy()
    truth[0, 0], rough[0, 4], refined[1, 2] = 255, 255, 255
    codes = repair_map(rough, refined, truth)
    assert codes.tolist() == [[255, 4, 2, 3, 255], [1, 1, 255, 2, 0]]
    counts = repair_counts(rough, refined, truth)
    assert counts == RepairCounts(kept=2, repaired=2, missed=1, broken=1, invented=0, found=1)
    other = repair_map(ROUGH, REFINED, np.where(truth == 255, 7, truth), ignore=7)
    assert other[0, 0] == Repair.IGNORED


def test_true_and_false_are_the_same_as_ones_and_zeros() -> None:
    masks = (ROUGH > 0, REFINED > 0, TRUTH > 0)
    assert repair_counts(*masks) == repair_counts(ROUGH, REFINED, TRUTH)


def test_each_class_of_a_map_is_an_object_of_its_own() -> None:
    swapped = [2 - each for each in (ROUGH, REFINED, TRUTH)]  # 1 stays 1, 0 becomes 2
    assert repair_counts(*swapped) == repair_counts(ROUGH, REFINED, TRUTH)
    other = repair_counts(*swapped, target=2)
    # Seen from the background: what was invented for the object is broken here.
    assert other == RepairCounts(kept=1, repaired=2, missed=2, broken=1, invented=1, found=1)


def test_counts_of_several_maps_are_pooled() -> None:
    halves = [
        repair_counts(ROUGH[:, part], REFINED[:, part], TRUTH[:, part])
        for part in (slice(0, 2), slice(2, 5))
    ]
    assert sum(halves, RepairCounts()) == repair_counts(ROUGH, REFINED, TRUTH)


def test_bad_input_is_refused() -> None:
    with pytest.raises(LabelError, match=r"shapes \(2, 5\), \(2, 5\), \(2, 4\)"):
        repair_counts(ROUGH, REFINED, TRUTH[:, :4])
    with pytest.raises(LabelError, match="rows x columns"):
        repair_map(ROUGH[0], REFINED[0], TRUTH[0])
    with pytest.raises(LabelError, match="uint8, float64, uint8; true and false"):
        repair_counts(ROUGH, REFINED * 0.5, TRUTH)
    for k in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ParameterError, match="0 or more is wanted"):
            repair_counts(ROUGH, REFINED, TRUTH).iou_imp(k)
