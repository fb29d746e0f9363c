"""Error spectra of waves, edges and patches whose frequencies are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from n2m_core.errors import LabelError, ParameterError
from n2m_core.metrics.spectrum import (
    RINGS,
    RINGS_PER_CYCLE,
    ErrorSpectrum,
    error_map,
    error_spectrum,
)


def wave(size: int, half_waves: int) -> np.ndarray:
    """A cosine of so many half waves along the columns, mirrored by its frame, [size, size]."""
    phase = np.pi * half_waves * (np.arange(size) + 0.5) / size
    return np.tile(np.cos(phase), (size, 1))


def block(size: int, rows: slice, columns: slice) -> np.ndarray:
    labels = np.zeros((size, size), np.uint8)
    labels[rows, columns] = 1
    return labels


@pytest.mark.parametrize("half_waves", [1, 5, 32, 63])
def test_a_wave_lies_in_its_own_ring(half_waves: int) -> None:
    # 64 px: half a wave is a frequency of 1/128 cycle per pixel, the width of a ring.
    spectrum = error_spectrum(wave(64, half_waves))
    wanted = np.zeros(RINGS)
    wanted[half_waves] = 64 * 64 / 2
    np.testing.assert_allclose(spectrum.power, wanted, atol=1e-6)
    low, high = half_waves / RINGS_PER_CYCLE, (half_waves + 1) / RINGS_PER_CYCLE
    assert low < spectrum.frequency[half_waves] < high


def test_power_is_the_sum_of_squares_and_rings_hold_every_coefficient() -> None:
    error = np.random.default_rng(0).normal(size=(37, 50))
    spectrum = error_spectrum(error)
    assert spectrum.total == pytest.approx((error**2).sum())
    assert spectrum.coefficients.sum() == 37 * 50
    assert len(spectrum.power) == len(spectrum.frequency) == RINGS
    assert spectrum.frequency[-1] == pytest.approx(math.sqrt(0.5), abs=1 / RINGS_PER_CYCLE)


def test_white_noise_has_the_same_mean_power_everywhere() -> None:
    spectrum = error_spectrum(np.random.default_rng(1).normal(size=(256, 256)))
    full = spectrum.coefficients > 400
    np.testing.assert_allclose(spectrum.mean_power[full], 1, atol=0.2)


def test_a_shifted_edge_is_high_and_a_missing_patch_low() -> None:
    truth = block(128, slice(0, 128), slice(0, 60))
    shifted = block(128, slice(0, 128), slice(0, 62))
    edge = error_spectrum(error_map(truth, shifted))
    # A line of w pixels is flat in frequency far below 1/w: about 2 w f of its power lies below f.
    assert edge.share_above(1 / 16) == pytest.approx(1 - 2 * 2 / 16, abs=0.05)
    patch = block(128, slice(32, 96), slice(32, 96))
    missing = error_spectrum(error_map(patch, np.zeros_like(patch)))
    assert missing.share_above(1 / 16) < 0.1
    assert missing.total == pytest.approx(64 * 64)


def test_the_frame_is_no_edge() -> None:
    # Half of the picture is wrong up to three sides of the frame: there is one edge, not four.
    half = np.zeros((64, 64))
    half[:, 32:] = 1
    assert error_spectrum(half).share_above(0.25) < 0.02
    everywhere = error_spectrum(np.ones((64, 64)))
    assert everywhere.power[0] == pytest.approx(64 * 64)
    assert everywhere.power[1:].sum() == pytest.approx(0, abs=1e-9)


def test_errors_by_hand() -> None:
    truth = np.array([[0, 1, 1, 255], [2, 1, 0, 0]], np.uint8)
    mapped = np.array([[1, 1, 0, 1], [2, 2, 0, 255]], np.uint8)
    assert error_map(truth, mapped).tolist() == [[1, 0, -1, 0], [0, -1, 0, 0]]
    assert error_map(truth, mapped, target=2).tolist() == [[0, 0, 0, 0], [0, 1, 0, 0]]
    assert error_map(truth, mapped, ignore=2)[0].tolist() == [1, 0, -1, 1]


def test_spectra_of_several_sizes_are_pooled() -> None:
    one, other = error_spectrum(wave(64, 10)), error_spectrum(wave(128, 80))
    both = one + other
    assert both.total == pytest.approx(one.total + other.total)
    assert both.power.argmax() == 40
    assert both.share_above(0.2) == pytest.approx(other.total / both.total)


def test_a_ring_that_no_map_reaches_has_no_mean() -> None:
    spectrum = error_spectrum(np.array([[2.0]]))
    assert spectrum.power[0] == pytest.approx(4)
    assert spectrum.mean_power[0] == pytest.approx(4)
    assert np.isnan(spectrum.mean_power[1:]).all()


def test_a_map_without_an_error_has_no_share() -> None:
    truth = block(32, slice(4, 20), slice(4, 20))
    spectrum = error_spectrum(error_map(truth, truth))
    assert spectrum.total == 0
    assert math.isnan(spectrum.share_above())


def test_bad_input_is_refused() -> None:
    with pytest.raises(LabelError, match="on one grid"):
        error_map(np.zeros((3, 3)), np.zeros((3, 4)))
    with pytest.raises(LabelError, match=r"shape \(2, 3, 4\); rows x columns"):
        error_spectrum(np.zeros((2, 3, 4)))
    spectrum = ErrorSpectrum(np.ones(RINGS), np.ones(RINGS, np.int64))
    for cutoff in (-0.1, 0.8, float("nan")):
        with pytest.raises(ParameterError, match="cycles per pixel"):
            spectrum.share_above(cutoff)
