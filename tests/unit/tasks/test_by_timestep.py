"""Calibration, object sizes and agreement at each timestep, from maps known in advance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from known_maps import BINARY, CHANGE, COVER, card, model, pair, tile

from n2m_core.errors import CancelledError, DatasetError, LabelError
from n2m_core.tasks.by_timestep import agreement, agreement_scores, run
from n2m_core.tasks.evaluate import EvaluateParams, evaluate

# A bright square of 8 x 8 px (16 m2 at 0.5 m) of which the truth holds the left half.
LIGHT = np.zeros((24, 24), np.uint8)
LIGHT[4:12, 4:12] = 255
TRUTH = np.zeros((24, 24), np.uint8)
TRUTH[4:12, 4:8] = 1
STEPS = EvaluateParams(timesteps=(0, 999), seeds=2)


def test_own_way_comes_first_then_from_noise_to_clean() -> None:
    found = run([tile("one", LIGHT, TRUTH)], model(), STEPS)
    assert [each.timestep for each in found] == [None, 999, 0]
    # The clean image is given once, each mixed step twice, for its two noise draws.
    assert [int(each.reliability.pixels.sum()) for each in found] == [576, 1152, 1152]


def test_counts_by_hand_and_as_evaluate_scores_them() -> None:
    samples = [tile("one", LIGHT, TRUTH), tile("two", LIGHT, TRUTH)]
    own, *_ = run(samples, model(), EvaluateParams())
    assert own.sizes is not None
    assert own.sizes.true[:, 0].tolist() == [64, 64, 2, 2]
    assert own.sizes.mapped[:, 0].tolist() == [128, 64, 2, 2]
    assert own.reliability.right.sum() == 2 * (576 - 32)
    target = evaluate(samples, model(), EvaluateParams())["target"]
    assert own.sizes.whole.f1[0] == pytest.approx(target["f1"])
    assert own.sizes.f1[0] == pytest.approx(2 / 3)


def test_noise_costs_calibration_and_objects() -> None:
    found = {each.timestep: each for each in run([tile("one", LIGHT, TRUTH)], model(), STEPS)}
    noisy, clean = found[999], found[0]
    assert noisy.reliability.expected_error > clean.reliability.expected_error + 0.1
    assert noisy.sizes is not None
    assert clean.sizes is not None
    assert noisy.sizes.whole.f1[0] < clean.sizes.whole.f1[0]


def test_binary_truth_of_a_change_unites_the_target() -> None:
    gain = np.zeros((24, 24), int)
    gain[2:6, 2:6], gain[12:16, 12:16] = 255, -255
    label = (gain != 0).astype(np.uint8)
    own, *_ = run([pair("one", gain, label, "binary")], model("change", CHANGE), EvaluateParams())
    assert own.sizes is not None
    assert own.sizes.whole.true[:, 0].tolist() == [32, 32, 2, 2]
    assert own.reliability.right.sum() == 576


def test_without_a_ground_resolution_there_are_no_sizes() -> None:
    sample = tile("one", LIGHT, TRUTH)
    placeless = replace(sample, image=replace(sample.image, resolution_m=None))
    assert run([placeless], model(), EvaluateParams())[0].sizes is None
    stated = run([placeless], model(), EvaluateParams(resolution_m=0.5))[0].sizes
    assert stated is not None
    assert stated.true[0, 0] == 32


def test_agreement_by_hand() -> None:
    last = np.array([[1, 1, 0, 255]], np.uint8)
    other = np.array([[1, 0, 1, 1]], np.uint8)
    counts = agreement([other, last], card("segment", BINARY))
    first, final = (agreement_scores(each, card("segment", BINARY)) for each in counts)
    # One of three pixels agrees; the target lies in one of the three pixels of either map.
    assert first == pytest.approx((1 / 3, 1 / 3))
    assert final == (1, 1)


def test_failures() -> None:
    with pytest.raises(DatasetError, match="no samples"):
        run([], model(), STEPS)
    binary = tile("one", LIGHT, TRUTH, kind="binary")
    with pytest.raises(LabelError, match="binary label"):
        run([binary], model(classes=COVER), EvaluateParams())


def test_reports_and_stops() -> None:
    told: list[str] = []

    def stop(done: int, total: int, note: str) -> None:
        told.append(f"{done}/{total} {note}")
        if done == 1:
            raise CancelledError("enough")

    with pytest.raises(CancelledError):
        run([tile("one", LIGHT, TRUTH)], model(), EvaluateParams(timesteps=(5,), seeds=1), stop)
    assert told[0] == "0/2 one, the model's own step"
    assert told[-1] == "1/2 one, t = 5"
