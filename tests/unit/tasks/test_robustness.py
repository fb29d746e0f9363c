"""Perturbations by hand, and scores under them from a network whose maps are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from known_maps import BINARY, CHANGE, model, pair, picture, tile

from n2m_core.checkpoints import LoadedModel
from n2m_core.errors import CancelledError, ParameterError
from n2m_core.tasks.evaluate import EvaluateParams, evaluate
from n2m_core.tasks.perturbations import (
    KINDS,
    STRENGTHS,
    Kind,
    Perturbation,
    perturb,
    perturb_sample,
    value_range,
)
from n2m_core.tasks.robustness import RobustnessParams, run

LIGHT = np.full((40, 40), 60, np.uint8)
LIGHT[8:24, 8:24] = 220
TRUTH = (LIGHT == 220).astype(np.uint8)


# The perturbations


def test_haze_moves_towards_white_by_its_share() -> None:
    spoilt = perturb(picture([[0, 100, 255]]), Perturbation("haze", 20))
    assert spoilt.pixels[0].tolist() == [[51, 131, 255]]
    assert spoilt.pixels.dtype == np.uint8


def test_shift_moves_to_the_right_by_whole_and_half_pixels() -> None:
    image = picture([[10, 20, 40, 80]])
    assert perturb(image, Perturbation("shift", 1)).pixels[0].tolist() == [[10, 10, 20, 40]]
    assert perturb(image, Perturbation("shift", 0.5)).pixels[0].tolist() == [[10, 15, 30, 60]]


def test_shift_takes_the_missing_pixels_along() -> None:
    image = picture([[10, 20, 40, 80]], valid=[[True, False, True, True]])
    spoilt = perturb(image, Perturbation("shift", 1))
    assert spoilt.valid.tolist() == [[True, True, False, True]]
    assert spoilt.pixels[0, 0, [0, 1, 3]].tolist() == [10, 10, 40]


def test_noise_has_its_sigma_and_depends_on_the_seed_alone() -> None:
    grey = picture(np.full((120, 120), 128))
    once, twice = (perturb(grey, Perturbation("noise", 5, seed=3)) for _ in range(2))
    other = perturb(grey, Perturbation("noise", 5, seed=4))
    errors = once.pixels.astype(float) - 128
    assert errors.std() == pytest.approx(0.05 * 255, rel=0.03)
    assert abs(errors.mean()) < 0.5
    np.testing.assert_array_equal(once.pixels, twice.pixels)
    assert (once.pixels != other.pixels).mean() > 0.8
    stronger = perturb(grey, Perturbation("noise", 10, seed=3)).pixels.astype(float) - 128
    assert np.abs(stronger - 2 * errors).max() <= 2


def test_blur_keeps_the_mean_and_ignores_missing_pixels() -> None:
    spoilt = perturb(picture(LIGHT), Perturbation("blur", 2)).pixels.astype(float)
    assert spoilt.mean() == pytest.approx(picture(LIGHT).pixels.mean(), abs=0.5)
    assert spoilt[0, 8, 16] == pytest.approx(145, abs=20)
    valid = np.ones((9, 9), bool)
    valid[4, 4] = False
    light = np.where(valid, 100, 0)
    assert perturb(picture(light, valid), Perturbation("blur", 1)).pixels[0, 4, 3] == 100


def test_jpeg_loses_more_at_lower_quality() -> None:
    image = picture(np.random.default_rng(1).integers(0, 255, (64, 64)))
    errors = [
        np.abs(perturb(image, Perturbation("jpeg", quality)).pixels - image.pixels.astype(float))
        for quality in (95, 50, 10)
    ]
    means = [float(each.mean()) for each in errors]
    assert 0 < means[0] < means[1] < means[2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_other_dtypes_and_band_counts_keep_their_kind(kind: Kind, dtype: type) -> None:
    values = np.random.default_rng(2).integers(500, 4000, (4, 32, 40)).astype(dtype)
    image = replace(
        picture(np.zeros((32, 40))), pixels=values, band_names=("red", "green", "blue", "nir")
    )
    spoilt = perturb(image, Perturbation(kind, STRENGTHS[kind][1]))
    assert spoilt.pixels.dtype == dtype
    assert spoilt.pixels.shape == values.shape
    low, high = value_range(image)
    assert low == pytest.approx(np.percentile(values, 2))
    assert 0 < np.abs(spoilt.pixels - values.astype(float)).mean() < high - low


def test_of_a_pair_the_later_date_alone_is_shifted() -> None:
    sample = pair("one", np.where(TRUTH == 1, 200, -100), TRUTH)
    assert sample.after is not None
    moved = perturb_sample(sample, Perturbation("shift", 2))
    assert moved.after is not None
    np.testing.assert_array_equal(moved.image.pixels, sample.image.pixels)
    assert (moved.after.pixels != sample.after.pixels).any()
    noisy = perturb_sample(sample, Perturbation("noise", 2))
    assert noisy.after is not None
    assert (noisy.image.pixels != sample.image.pixels).any()
    np.testing.assert_array_equal(noisy.label, sample.label)


def test_mistakes_are_named() -> None:
    with pytest.raises(ParameterError, match=r"jpeg must lie in 1\.\.100 \(quality\)"):
        Perturbation("jpeg", 0)
    with pytest.raises(ParameterError, match="'rain' is unknown"):
        RobustnessParams("rain")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match=r"haze must lie in 0\.\.100"):
        RobustnessParams("haze", (10, 101))


# The scores


def twins() -> list[LoadedModel]:
    """The brightness rule, and one that takes darker things for buildings as well."""
    plain = model(classes=BINARY)
    plain.model.levels = [-1.0, 0.0]  # type: ignore[attr-defined]
    return [model(classes=BINARY), replace(plain, card=replace(plain.card, id="plain"))]


def test_haze_costs_the_twin_first() -> None:
    """60 in haze of 50 % is 158: bright for either rule; in 25 % it is 109: bright for one."""
    scores = run([tile("one", LIGHT, TRUTH)], twins(), RobustnessParams("haze", (25, 50)))
    assert [(each.checkpoint, each.label) for each in scores] == [
        ("rule", "clean"), ("rule", "25 %"), ("rule", "50 %"),
        ("plain", "clean"), ("plain", "25 %"), ("plain", "50 %"),
    ]  # fmt: skip
    everything = 2 * 256 / (256 + 1600)
    assert [each.f1 for each in scores] == pytest.approx(
        [1, 1, everything, 1, everything, everything]
    )
    assert [each.strength for each in scores][:3] == [None, 25, 50]


def test_shift_by_hand_and_clean_as_evaluate() -> None:
    sample = tile("one", LIGHT, TRUTH)
    clean, moved = run([sample], [model()], RobustnessParams("shift", (4,)))
    # A square of 16 px, moved by 4: 12 columns of 16 stay.
    assert moved.f1 == pytest.approx(12 / 16)
    assert moved.iou == pytest.approx(12 / 20)
    assert clean.f1 == evaluate([sample], model(), EvaluateParams())["target"]["f1"]
    assert clean.low is not None


def test_pairs_are_scored() -> None:
    sample = pair("one", np.where(TRUTH == 1, 255, 0), TRUTH)
    clean, moved = run([sample], [model("change", CHANGE)], RobustnessParams("shift", (2,)))
    assert clean.f1 == 1
    assert moved.f1 == pytest.approx(14 / 16)


def test_reports_and_stops() -> None:
    told: list[str] = []

    def stop(done: int, total: int, note: str) -> None:
        told.append(f"{done}/{total} {note}")
        if done == 1:
            raise CancelledError("enough")

    with pytest.raises(CancelledError):
        run([tile("one", LIGHT, TRUTH)], [model()], RobustnessParams("blur", (1,)), stop)
    assert told[0] == "0/2 rule, clean"
    assert told[-1] == "1/2 rule, 1 px"
