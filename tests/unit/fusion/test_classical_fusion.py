"""Classical fusion: against one pixel after the other, and where the answer is known."""

from __future__ import annotations

from dataclasses import replace

import fusion_cases as cases
import numpy as np
import pixel_by_pixel as plain
import pytest

from n2m_core.errors import BandError, CancelledError, GridError, ParameterError
from n2m_core.fusion import fsdaf as fsdaf_module
from n2m_core.fusion.estarfm import Estarfm, EstarfmParams
from n2m_core.fusion.fsdaf import CoarseGrid, Fsdaf, FsdafParams, class_rates
from n2m_core.fusion.inputs import FusionInputs, FusionMethod
from n2m_core.fusion.naive import CoarseChange, Copy, MeanChange
from n2m_core.fusion.starfm import Starfm, StarfmParams

SMALL: tuple[FusionMethod, ...] = (
    Starfm(StarfmParams(window_px=9)),
    Estarfm(EstarfmParams(window_px=9)),
    Fsdaf(FsdafParams(reach_px=4, classes=3)),
)
ALL = (*SMALL, Copy(), CoarseChange(), MeanChange())
small = pytest.mark.parametrize("method", SMALL, ids=lambda each: each.name)
every = pytest.mark.parametrize("method", ALL, ids=lambda each: each.name)


def predicted(method: FusionMethod, inputs: FusionInputs) -> np.ndarray:
    output = method.predict(inputs, cases.quiet)
    assert output.fine1.dtype == np.float32
    assert np.isfinite(output.fine1).all()
    np.testing.assert_array_equal(output.valid, inputs.valid)
    return output.fine1


# One pixel after the other


@pytest.mark.parametrize("is_strict", [True, False])
def test_starfm_equals_the_loop(is_strict: bool) -> None:
    inputs, params = cases.noisy(), StarfmParams(window_px=7, is_strict=is_strict)
    found = predicted(Starfm(params), inputs)
    expected = plain.starfm(inputs, params)
    np.testing.assert_allclose(found[:, inputs.valid], expected[:, inputs.valid], atol=2e-6)


@pytest.mark.parametrize("least_similar", [5, 20])
def test_estarfm_equals_the_loop(least_similar: int) -> None:
    inputs = cases.noisy()
    params = EstarfmParams(window_px=9, classes=3, least_similar=least_similar)
    found = predicted(Estarfm(params), inputs)
    expected = plain.estarfm(inputs, params)
    np.testing.assert_allclose(found[:, inputs.valid], expected[:, inputs.valid], atol=2e-5)


def test_estarfm_replaces_what_lies_outside_the_range() -> None:
    inputs = cases.noisy()
    params = EstarfmParams(window_px=9, classes=3, low=0.06, high=0.3)
    found = predicted(Estarfm(params), inputs)
    expected = plain.estarfm(inputs, params)
    np.testing.assert_allclose(found[:, inputs.valid], expected[:, inputs.valid], atol=2e-5)


def test_fsdaf_averages_as_the_loop() -> None:
    inputs, params = cases.noisy(), FsdafParams(reach_px=3, similar=7, classes=2)
    change = (inputs.coarse1 - inputs.coarse0).astype(np.float32)
    found = fsdaf_module._smooth(inputs.fine0, change, inputs.valid, params, cases.quiet)
    expected = plain.fsdaf_smooth(inputs.fine0.astype(float), change, inputs.valid, params)
    np.testing.assert_allclose(found[:, inputs.valid], expected[:, inputs.valid], atol=2e-6)


def test_fsdaf_interpolates_as_the_loop() -> None:
    coarse = np.random.default_rng(1).uniform(size=(4, 5))
    grid = CoarseGrid.over(np.ones((14, 20), np.bool_), 4)
    found = fsdaf_module._interpolate(coarse.ravel(), grid, (14, 20))
    np.testing.assert_allclose(found, plain.fsdaf_interpolated(coarse, 4, (14, 20)), rtol=1e-12)


def test_class_rates_are_those_of_pure_and_mixed_pixels() -> None:
    """Class 0 rises by 0.1, class 1 falls by 0.2; the third coarse pixel is half of each."""
    classes = np.zeros((4, 12), np.intp)
    classes[:, 4:10] = 1
    grid = CoarseGrid.over(np.ones((4, 12), np.bool_), 4)
    change = np.array([0.1, -0.2, -0.05])
    rates = class_rates(change, classes, grid, FsdafParams(classes=2))
    np.testing.assert_allclose(rates, [0.1, -0.2], atol=1e-12)


# Known answers


@every
def test_unchanged_scene_stays(method: FusionMethod) -> None:
    fine = cases.painted(cases.fields(), cases.BASE)
    np.testing.assert_allclose(predicted(method, cases.made(fine, fine, fine)), fine, atol=1e-6)


@pytest.mark.parametrize("method", [m for m in ALL if m.name != "copy"], ids=lambda each: each.name)
def test_uniform_shift_is_followed(method: FusionMethod) -> None:
    fine = cases.painted(cases.fields(), cases.BASE)
    inputs = cases.made(fine, fine + np.float32(0.05), fine)
    np.testing.assert_allclose(predicted(method, inputs), fine + 0.05, atol=1e-6)


@small
def test_pure_phenology_is_followed(method: FusionMethod) -> None:
    """Every kind of field goes its own way, in step with the coarse pixels, which are pure."""
    kinds = cases.fields()
    rise = np.array([[0.02, 0.10], [0.03, -0.12], [0.0, 0.05]])
    fine0, fine1, fine2 = (cases.painted(kinds, cases.BASE + t * rise) for t in (0, 0.5, 1))
    found = predicted(method, cases.made(fine0, fine1, fine2))
    np.testing.assert_allclose(found, fine1, atol=1e-5)


def test_conversion_coefficient_undoes_a_damped_coarse_sensor() -> None:
    """The coarse sensor sees half of every change; ESTARFM learns so, STARFM can't."""
    kinds = cases.fields()
    values = [cases.BASE + step for step in (0.0, 0.06, 0.1)]
    fine0, fine1, fine2 = (cases.painted(kinds, each) for each in values)
    # Half of everything: within one kind of field the fine slope on the coarse one is then 2.
    coarse0, coarse1, coarse2 = (np.float32(0.5) * each for each in (fine0, fine1, fine2))
    valid = np.ones(kinds.shape, np.bool_)
    inputs = FusionInputs(fine0, coarse0, fine2, coarse2, coarse1, valid, cases.SCALE)
    np.testing.assert_allclose(predicted(SMALL[1], inputs), fine1, atol=1e-5)
    assert np.abs(predicted(SMALL[0], inputs) - fine1).max() > 0.01


def test_naive_methods_by_hand() -> None:
    one = np.ones((1, 2, 2), np.float32)
    valid = np.ones((2, 2), np.bool_)
    inputs = FusionInputs(0.2 * one, 0.3 * one, 0.5 * one, 0.6 * one, 0.4 * one, valid, 2)
    np.testing.assert_allclose(predicted(Copy(), inputs), 0.2 * one)
    np.testing.assert_allclose(predicted(CoarseChange(), inputs), 0.3 * one)
    np.testing.assert_allclose(predicted(MeanChange(), inputs), 0.3 * one, rtol=1e-6)


# Masks


@every
def test_what_a_masked_pixel_holds_reaches_no_other(method: FusionMethod) -> None:
    inputs = cases.noisy()
    hidden = ~inputs.valid
    names = ("fine0", "coarse0", "fine2", "coarse2", "coarse1")
    spoilt = {name: getattr(inputs, name).copy() for name in names}
    for image, rubbish in zip(spoilt.values(), (9.0, -4.0, np.nan, np.inf, 1e6), strict=True):
        image[:, hidden] = rubbish
    found = predicted(method, replace(inputs, **spoilt))
    np.testing.assert_array_equal(
        found[:, inputs.valid], predicted(method, inputs)[:, inputs.valid]
    )


@small
def test_mask_changes_no_pixel_beyond_its_window(method: FusionMethod) -> None:
    """Flat fields, so that what is left has the same spread and the same classes."""
    kinds = cases.fields(24, 48)
    rise = np.array([[0.02, 0.10], [0.03, -0.12], [0.0, 0.05]])
    images = [cases.painted(kinds, cases.BASE + t * rise) for t in (0, 0.5, 1)]
    valid = np.ones(kinds.shape, np.bool_)
    valid[:8, :8] = False
    found = predicted(method, cases.made(*images, valid))
    np.testing.assert_allclose(found[:, valid], images[1][:, valid], atol=1e-5)


# Refusals


def test_inputs_that_do_not_fit_are_refused() -> None:
    inputs = cases.noisy()
    with pytest.raises(BandError, match="2, 1, 2, 2, 2 bands"):
        replace(inputs, coarse0=inputs.coarse0[:1])
    with pytest.raises(GridError, match="differ in size"):
        replace(inputs, coarse0=inputs.coarse0[:, :4])
    with pytest.raises(GridError, match="No pixel is valid"):
        replace(inputs, valid=np.zeros_like(inputs.valid))
    with pytest.raises(GridError, match="scale factor is 0"):
        replace(inputs, scale=0)


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ParameterError, match="window is 30 px"):
        StarfmParams(window_px=30)
    with pytest.raises(ParameterError, match="at least 1 class"):
        EstarfmParams(classes=0)
    with pytest.raises(ParameterError, match="1 to 60 classes"):
        FsdafParams(classes=61)


@small
def test_a_run_can_be_stopped(method: FusionMethod) -> None:
    def stop(done: int, total: int, note: str) -> None:
        raise CancelledError("Stopped on request.")

    with pytest.raises(CancelledError):
        method.predict(cases.noisy(), stop)


@small
def test_one_band_and_odd_sizes_pass(method: FusionMethod) -> None:
    inputs = cases.noisy()
    cut = {
        name: getattr(inputs, name)[:1, :11, :13]
        for name in ("fine0", "coarse0", "fine2", "coarse2", "coarse1")
    }
    assert predicted(method, replace(inputs, valid=inputs.valid[:11, :13], **cut)).shape == (
        1,
        11,
        13,
    )
