"""SA-STF as a method: windows, masks, seeds, band groups, cards."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_fusion import (
    CARD,
    WINDOW,
    growing_fields,
    network,
    tiny_config,
    write_tiny_fusion,
)

from n2m_core import checkpoints
from n2m_core.diffusion.noise import position_noise
from n2m_core.errors import BandError, CancelledError, CheckpointError, GridError, ParameterError
from n2m_core.fusion.bands import band_groups, names_if_known
from n2m_core.fusion.cards import (
    FusionCard,
    LoadedFusion,
    list_fusion_cards,
    load_fusion,
)
from n2m_core.fusion.filling import filled_from_nearest
from n2m_core.fusion.inputs import FloatArray, FusionInputs
from n2m_core.fusion.learned import FusionParams, LearnedFusion, open_sastf
from n2m_core.models.fusion_building import build_fusion
from n2m_core.models.fusion_network import (
    AbstractFusionNetwork,
    Condition,
    FusionImages,
)


def method(
    params: FusionParams | None = None,
    model: AbstractFusionNetwork | None = None,
    **card: Any,  # noqa: ANN401
) -> LearnedFusion:
    loaded = LoadedFusion(
        dataclasses.replace(CARD, **card), model or network(), torch.device("cpu")
    )
    return LearnedFusion(loaded, params)


def quiet(done: int, total: int, note: str) -> None:
    assert 0 < done <= total


def cut(inputs: FusionInputs, rows: slice, columns: slice) -> FusionInputs:
    parts: dict[str, Any] = {
        name: value[..., rows, columns]
        for name, value in vars(inputs).items()
        if isinstance(value, np.ndarray)
    }
    return dataclasses.replace(inputs, **parts)


@pytest.mark.parametrize("is_one_pass", [True, False])
def test_a_constant_bias_of_the_coarse_sensor_changes_nothing(is_one_pass: bool) -> None:
    inputs, _ = growing_fields(bands=4, size=24)
    bias = np.array([0.02, -0.05, 0.0, 0.11], np.float32)[:, None, None]
    seen = {name: getattr(inputs, name) + bias for name in ("coarse0", "coarse1", "coarse2")}
    fused = method(FusionParams(is_one_pass=is_one_pass, steps=2))
    plain, biased = (
        fused.predict(each, quiet).fine1 for each in (inputs, dataclasses.replace(inputs, **seen))
    )
    np.testing.assert_allclose(biased, plain, atol=1e-5)


def test_an_untrained_correction_leaves_the_guess_in_units_of_reflectance() -> None:
    inputs, _ = growing_fields(bands=4, size=24)
    model = build_fusion(tiny_config(guess="temporal"), seed=0).eval()
    output = method(FusionParams(is_one_pass=True), model).predict(inputs, quiet)
    guesses, weights = [], []
    for fine, coarse in ((inputs.fine0, inputs.coarse0), (inputs.fine2, inputs.coarse2)):
        change = inputs.coarse1 - coarse
        guesses.append(fine + change)
        weights.append(1 / (2 * np.abs(change).mean(0) + 0.01))  # model range is twice as wide
    expected = (weights[0] * guesses[0] + weights[1] * guesses[1]) / (weights[0] + weights[1])
    np.testing.assert_allclose(output.fine1, expected, atol=1e-5)
    assert output.fine1.dtype == np.float32


@pytest.mark.parametrize("bands", [1, 4, 6, 8])
def test_any_number_of_bands_goes_through_the_same_weights(bands: int) -> None:
    inputs, _ = growing_fields(bands=bands, size=16)
    output = method().predict(inputs, quiet)
    assert output.fine1.shape == (bands, 16, 16)
    assert bool(np.isfinite(output.fine1).all())
    assert set(output.layers) == {"unchanged", "reference"}
    for layer in output.layers.values():
        assert layer.shape == (16, 16)
        assert 0 <= float(layer.min()) <= float(layer.max()) <= 1 + 1e-6
    if bands == 8:
        first = dataclasses.replace(
            inputs, **{n: v[:6] for n, v in vars(inputs).items() if n[:4] in ("fine", "coar")}
        )
        assert np.array_equal(output.fine1[:6], method().predict(first, quiet).fine1)


def test_named_bands_are_found_in_any_order() -> None:
    inputs, _ = growing_fields(bands=4, size=16)
    turned = dataclasses.replace(
        inputs, **{n: v[::-1] for n, v in vars(inputs).items() if n[:4] in ("fine", "coar")}
    )
    names = ("red", "nir", "B11", "green")
    one = method(FusionParams(bands=names)).predict(inputs, quiet)
    other = method(FusionParams(bands=names[::-1])).predict(turned, quiet)
    assert np.array_equal(one.fine1, other.fine1[::-1])
    by_number = method().predict(inputs, quiet)
    assert not np.allclose(one.fine1, by_number.fine1, atol=1e-5)


def test_the_seed_alone_decides_the_noise() -> None:
    inputs, _ = growing_fields(size=16)
    drawn = FusionParams(steps=3, eta=1.0, seed=7)
    first = method(drawn).predict(inputs, quiet).fine1
    assert np.array_equal(first, method(drawn).predict(inputs, quiet).fine1)
    for other in (FusionParams(steps=3, eta=1.0, seed=8), FusionParams(steps=3, seed=7)):
        assert not np.array_equal(first, method(other).predict(inputs, quiet).fine1)


def test_a_crop_that_knows_its_place_agrees_with_the_scene() -> None:
    inputs, _ = growing_fields(size=64)
    whole = method(FusionParams(steps=2)).predict(inputs, quiet).fine1
    part = cut(inputs, slice(16, 64), slice(16, 64))
    placed = method(FusionParams(steps=2, origin=(16, 16))).predict(part, quiet).fine1
    # The cut is felt by the windows that reach over it, and a step later by their neighbours.
    np.testing.assert_allclose(placed[:, 16:, 16:], whole[:, 32:, 32:], atol=1e-5)
    elsewhere = method(FusionParams(steps=2)).predict(part, quiet).fine1
    assert not np.allclose(elsewhere[:, 16:, 16:], whole[:, 32:, 32:], atol=1e-4)


def test_conditions_that_can_not_be_kept_are_computed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs, _ = growing_fields(size=32)
    model = network()
    calls = []
    computed = model.condition

    def count(images: FusionImages) -> Condition:
        calls.append(1)
        return computed(images)

    monkeypatch.setattr(model, "condition", count)
    kept = method(model=model).predict(inputs, quiet).fine1
    once = len(calls)
    monkeypatch.setattr("n2m_core.fusion.learned.KEPT_BYTES", 0)
    again = method(model=model).predict(inputs, quiet).fine1
    assert np.array_equal(kept, again)
    assert len(calls) - once == 2 * once


def test_what_is_masked_is_not_looked_at_and_stays_in_its_windows() -> None:
    inputs, _ = growing_fields(size=64)
    valid = inputs.valid.copy()
    valid[40:44, 40:44] = False
    outputs = []
    for cloud in (0.9, np.nan):
        fine2 = inputs.fine2.copy()
        fine2[:, ~valid] = cloud
        clouded = dataclasses.replace(inputs, fine2=fine2, valid=valid)
        outputs.append(method(FusionParams(steps=1)).predict(clouded, quiet))
    assert np.array_equal(outputs[0].fine1, outputs[1].fine1)
    assert bool(np.isfinite(outputs[1].fine1).all())
    assert np.array_equal(outputs[1].valid, valid)
    one_step = method(FusionParams(steps=1)).predict(inputs, quiet).fine1
    far = np.ones((64, 64), bool)
    far[40 - WINDOW : 44 + WINDOW, 40 - WINDOW : 44 + WINDOW] = False
    assert np.array_equal(outputs[0].fine1[:, far], one_step[:, far])


def test_a_schedule_that_stops_short_starts_from_a_state_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where A ends below 1, the analytic guess stands for the unknown fine image."""
    inputs, _ = growing_fields(size=16)
    model = network()
    seen: list[torch.Tensor] = []
    denoise = model.denoise

    def record(x: torch.Tensor, *rest: Any) -> torch.Tensor:  # noqa: ANN401
        seen.append(x.clone())
        return denoise(x, *rest)

    monkeypatch.setattr(model, "denoise", record)
    for is_released in (False, True):
        params = FusionParams(steps=1, is_released_start=is_released)
        method(params, model, schedule="accelerated", noise_scale=0.0).predict(inputs, quiet)
    guess = (
        method(FusionParams(is_one_pass=True), build_fusion(tiny_config(guess="temporal")))
        .predict(inputs, quiet)
        .fine1
    )
    share = float(method(schedule="accelerated").schedule.residual[-1])
    expected = 2 * (guess + share * (inputs.coarse1 - guess)) - 1
    np.testing.assert_allclose(seen[0][0, :4].numpy(), expected, atol=1e-5)
    noise = position_noise(0, 6, 16, 16)[:4]
    np.testing.assert_allclose(seen[1][0, :4].numpy(), 2 * inputs.coarse1 - 1 + noise, atol=1e-5)


def test_holes_take_the_nearest_valid_values() -> None:
    image = np.array([[[1.0, 2.0, 3.0, 4.0, 5.0]]], np.float32)
    valid = np.array([[True, False, False, True, True]])
    assert filled_from_nearest(image, valid).tolist() == [[[1.0, 1.0, 4.0, 4.0, 5.0]]]
    with pytest.raises(GridError, match="No pixel is valid"):
        filled_from_nearest(image, ~np.ones((1, 5), bool))


def test_the_way_back_is_shown_and_can_be_stopped() -> None:
    inputs, _ = growing_fields(size=16)
    frames: list[tuple[int, FloatArray, FloatArray]] = []
    output = method(FusionParams(steps=3)).predict(
        inputs, quiet, lambda done, x, clean: frames.append((done, x, clean))
    )
    assert [done for done, _, _ in frames] == [1, 2, 3]
    assert np.array_equal(frames[-1][1], output.fine1)
    assert not np.array_equal(frames[0][1], frames[0][2])  # still noisy

    def stop(done: int, total: int, note: str) -> None:
        raise CancelledError("stopped")

    with pytest.raises(CancelledError):
        method().predict(inputs, stop)


def test_every_band_has_its_slot() -> None:
    assert [g.slots for g in band_groups(4)] == [(0, 1, 2, 3)]
    assert band_groups(3, ["red", "green", "blue"])[0].slots == (2, 1, 0)
    assert [g.bands for g in band_groups(8)] == [(0, 1, 2, 3, 4, 5), (6, 7)]
    assert names_if_known(("B04", " NIR", "swir")) == ("red", "nir", "swir1")
    assert names_if_known(("band 1", "red")) is None
    assert names_if_known(("red", "b4")) is None


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("red", "nir"), "2 band names were given for 4"),
        (("red", "nir", "ultraviolet", "blue"), "each must be one of blue"),
        (("red", "nir", "B04", "blue"), "stand once"),
    ],
)
def test_band_names_that_do_not_fit_are_named(names: tuple[str, ...], message: str) -> None:
    inputs, _ = growing_fields(bands=4, size=16)
    with pytest.raises(BandError, match=message):
        method(FusionParams(bands=names)).predict(inputs, quiet)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: method(FusionParams(steps=21)), "tiny-fusion has 20"),
        (lambda: method(FusionParams(eta=2)), "between 0 and 1"),
        (lambda: method(FusionParams(is_one_pass=True), has_one_pass=False), "not trained without"),
        (lambda: method(model=network(tiny_config(has_diffusion=False))), "knows no diffusion"),
    ],
)
def test_choices_that_the_weights_can_not_follow(
    make: Callable[[], LearnedFusion], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        make()


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    card = write_tiny_fusion(tmp_path)
    assert list_fusion_cards(tmp_path) == [card]
    assert FusionCard.from_json(card.to_json(), "copy") == card
    inputs, _ = growing_fields(size=16)
    opened = open_sastf("tiny-fusion", FusionParams(steps=1), device="cpu", root=tmp_path)
    assert opened.name == "sa-stf"
    found = opened.predict(inputs, quiet).fine1
    original = method(FusionParams(steps=1)).predict(inputs, quiet).fine1
    np.testing.assert_allclose(found, original, atol=0.01)


def test_maps_and_fusion_keep_their_checkpoints_apart(tmp_path: Path) -> None:
    write_tiny_fusion(tmp_path)
    assert checkpoints.list_cards(tmp_path) == []
    with pytest.raises(CheckpointError, match="holds none yet"):
        checkpoints.read_card("tiny-fusion", root=tmp_path)
    with pytest.raises(CheckpointError, match="choose one of tiny-fusion"):
        load_fusion("n2m-buildings", root=tmp_path)


def test_damaged_fusion_checkpoints_are_refused(tmp_path: Path) -> None:
    write_tiny_fusion(tmp_path)
    folder = tmp_path / "tiny-fusion"
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:-1] + b"\x7f")
    with pytest.raises(CheckpointError, match="checksum"):
        load_fusion("tiny-fusion", root=tmp_path)
    (folder / "config.json").write_text('{"design": "sa-stf", "depth": 3}')
    with pytest.raises(CheckpointError, match=r"config.json can't be read"):
        load_fusion("tiny-fusion", root=tmp_path)
    (folder / "card.json").write_text('{"task": "fuse"}')
    with pytest.raises(CheckpointError, match="not a card"):
        list_fusion_cards(tmp_path)
