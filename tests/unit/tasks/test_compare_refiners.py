"""Refined maps against rough ones, by maps whose scores are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from rasters import ImageFactory
from tiny_models import BUILDINGS, COVER, tiny_card

from n2m_core.checkpoints import CheckpointCard
from n2m_core.datasets.base import Sample
from n2m_core.errors import ParameterError
from n2m_core.tasks.compare_refiners import SCORES, ComparedMaps
from n2m_core.tasks.frequency import map_spectrum, step_scores
from n2m_core.tasks.refine import RefineFrame

Labels = NDArray[np.uint8]


def card() -> CheckpointCard:
    return tiny_card("tiny", "segment", BUILDINGS, "gaussian")


def house(shift: int = 0, size: int = 64) -> Labels:
    """A house of 24 x 24 px, so many columns beside its place."""
    labels = np.zeros((size, size), np.uint8)
    labels[20:44, 20 + shift : 44 + shift] = 1
    return labels


def counted(
    make_image: ImageFactory, rough: list[Labels], refined: list[Labels]
) -> tuple[ComparedMaps, ComparedMaps]:
    """Count rough and refined maps of tiles whose truth is the house."""
    before, after = ComparedMaps(card()), ComparedMaps(card())
    for number, (first, second) in enumerate(zip(rough, refined, strict=True)):
        sample = Sample(str(number), make_image(np.zeros((3, 64, 64), np.uint8)), house())
        before.add(sample, first, first)
        after.add(sample, first, second)
    return before, after


def test_gains_are_worked_by_hand(make_image: ImageFactory) -> None:
    before, after = counted(make_image, [house(6)] * 3, [house()] * 3)
    assert before.tiles == 3
    # The house: 18 of 30 columns agree; the rest: 64 * 64 - 30 * 24 of 64 * 64 - 18 * 24 pixels.
    rough = (18 / 30 + (4096 - 720) / (4096 - 432)) / 2
    assert before.scores()["mean_iou"] == pytest.approx(rough)
    assert after.scores() == {key: pytest.approx(1.0) for key in SCORES}
    gains = after.gains(before)
    assert gains["mean_iou"].value == pytest.approx(1 - rough)
    # Tiles that are all alike leave nothing open.
    for gain in gains.values():
        assert gain.value == pytest.approx(gain.low)
        assert gain.value == pytest.approx(gain.high)
    assert before.gains(before)["wfm"].value == 0


def test_an_interval_holds_the_tiles_apart(make_image: ImageFactory) -> None:
    rough, refined = [house(6)] * 4, [house(), house(), house(6), house(8)]
    before, after = counted(make_image, rough, refined)
    gains = after.gains(before, seed=1)
    for gain in gains.values():
        assert gain.value is not None
        assert gain.low is not None
        assert gain.high is not None
        assert gain.low < gain.value < gain.high
    assert after.gains(before, seed=1) == gains


def test_one_tile_has_no_interval(make_image: ImageFactory) -> None:
    before, after = counted(make_image, [house(6)], [house()])
    gain = after.gains(before)["f1_3px"]
    assert (gain.low, gain.high) == (None, None)
    assert gain.value is not None
    assert gain.value > 0


def test_repair_is_that_of_all_tiles(make_image: ImageFactory) -> None:
    before, after = counted(make_image, [house(6)] * 2, [house(), house(6)])
    repair = after.repair()
    # A tile: 18 * 24 px are kept; 6 * 24 missed ones and as many false alarms are repaired.
    assert (repair["kept"], repair["repaired"], repair["missed"]) == (864, 288, 288)
    assert repair["iou_imp"] == pytest.approx(144 / (144 + 288))
    assert (repair["low"], repair["high"]) == (pytest.approx(0), pytest.approx(1))
    assert before.repair()["iou_imp"] == 0


def test_where_the_rough_map_says_nothing_no_map_is_scored(make_image: ImageFactory) -> None:
    rough = house()
    rough[:, 32:] = 255
    before, after = counted(make_image, [rough], [house(8)])
    assert before.scores()["mean_iou"] == 1
    # 4 of the 12 columns left of the middle still agree.
    assert after.scores()["mean_iou"] == pytest.approx(
        (4 / 12 + (32 * 64 - 288) / (32 * 64 - 96)) / 2
    )


def test_what_was_not_counted_together_is_not_compared(make_image: ImageFactory) -> None:
    one, _ = counted(make_image, [house()], [house()])
    two, _ = counted(make_image, [house()] * 2, [house()] * 2)
    with pytest.raises(ParameterError, match="2 refined maps can't be compared with 1 rough"):
        two.gains(one)


def test_the_spectrum_is_added_over_tiles_and_classes(make_image: ImageFactory) -> None:
    before, after = counted(make_image, [house(6), house(2)], [house(), house()])
    assert before.spectrum.total == pytest.approx(2 * 24 * (6 + 2))
    assert after.spectrum.total == 0
    truth = np.full((16, 16), 2, np.uint8)
    wrong = truth.copy()
    wrong[3, 4] = 1
    assert map_spectrum(truth, wrong, len(COVER)).total == pytest.approx(2)  # one lacks, one has


def test_steps_are_scored_after_the_rough_map() -> None:
    sure = np.ones((64, 64), np.float32)
    frames = [
        RefineFrame(2, 500, np.zeros((64, 64), np.uint8), sure),
        RefineFrame(4, 0, house(), sure),
    ]
    scores = step_scores(house(), house(5), frames, 2)
    assert [each.step for each in scores] == [0, 2, 4]
    assert 0 < scores[0].f1_3px < 1
    assert (scores[1].f1_3px, scores[2].f1_3px) == (0, 1)
    assert scores[2].wfm == pytest.approx(1)
    empty = np.zeros((64, 64), np.uint8)
    assert math.isnan(step_scores(empty, empty, [], 2)[0].f1_3px)
