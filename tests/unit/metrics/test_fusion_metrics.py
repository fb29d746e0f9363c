"""Errors of fused images, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from n2m_core.errors import GridError
from n2m_core.metrics.fusion import (
    correlation,
    ergas,
    score,
    spectral_angle_deg,
    structural_similarity,
)

ALL = np.ones((1, 4), np.bool_)


def test_root_mean_square_errors_by_hand() -> None:
    """Errors 0.1 everywhere in one band and 0.3 in the other: sqrt(0.05), and 0.2 on average."""
    truth = np.full((2, 1, 4), 0.5)
    found = score(truth, truth + np.array([0.1, -0.3])[:, None, None], ALL, ratio=16)
    assert found.rmse == pytest.approx(np.sqrt(0.05))
    assert found.rmse_band_mean == pytest.approx(0.2)
    assert [band.rmse for band in found.per_band] == pytest.approx([0.1, 0.3])
    assert [band.bias for band in found.per_band] == pytest.approx([0.1, -0.3])
    assert found.cc is None
    assert found.ssim is None
    assert found.pixels == 4


def test_ergas_by_hand_divides_by_the_truth() -> None:
    """Relative errors 0.1 / 0.5 and 0.2 / 0.25: 100 / 20 * sqrt((0.04 + 0.64) / 2)."""
    found = ergas(np.array([0.1, 0.2]), np.array([0.5, 0.25]), 20)
    assert found == pytest.approx(5 * np.sqrt(0.34))
    assert ergas(np.array([0.1]), np.array([0.0]), 20) is None
    truth = np.array([0.5, 0.25])[:, None, None] * np.ones((2, 1, 4))
    scored = score(truth, truth + np.array([0.1, 0.2])[:, None, None], ALL, ratio=20)
    assert scored.ergas == pytest.approx(5 * np.sqrt(0.34))
    assert scored.ergas_ratio == 20


def test_correlation_by_hand() -> None:
    rise = np.array([1.0, 2.0, 3.0])
    assert correlation(rise, 2 * rise + 1) == pytest.approx(1)
    assert correlation(rise, -rise) == pytest.approx(-1)
    assert correlation(rise, np.array([1.0, 3.0, 2.0])) == pytest.approx(0.5)
    assert correlation(rise, np.full(3, 0.2)) is None


def test_spectral_angle_by_hand() -> None:
    """45 and 0 degrees; the pixel without light does not count; length plays no part."""
    truth = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 0.0]])
    found = np.array([[1.0, 4.0, 0.5], [1.0, 2.0, 0.1]])
    assert spectral_angle_deg(truth, found) == pytest.approx(22.5)
    assert spectral_angle_deg(np.zeros((2, 3)), found) is None


def test_structural_similarity_of_two_flat_pictures_by_hand() -> None:
    """Without variation only the brightness counts: (2 * 0.2 * 0.4 + c) / (0.04 + 0.16 + c)."""
    flat, valid = np.full((11, 11), 0.2), np.ones((11, 11), np.bool_)
    assert structural_similarity(flat, flat, valid) == pytest.approx(1)
    expected = (0.16 + 1e-4) / (0.20 + 1e-4)
    assert structural_similarity(flat, 2 * flat, valid) == pytest.approx(expected)


def test_structural_similarity_equals_the_formula_at_one_pixel() -> None:
    rng = np.random.default_rng(5)
    y, p = rng.uniform(0, 0.5, (2, 11, 11))
    side = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    weight = np.outer(side, side) / side.sum() ** 2
    m, n = (weight * y).sum(), (weight * p).sum()
    v, w = (weight * (y - m) ** 2).sum(), (weight * (p - n) ** 2).sum()
    both = (weight * (y - m) * (p - n)).sum()
    expected = (2 * m * n + 1e-4) * (2 * both + 9e-4) / ((m**2 + n**2 + 1e-4) * (v + w + 9e-4))
    assert structural_similarity(y, p, np.ones((11, 11), np.bool_)) == pytest.approx(expected)


def test_masked_pixels_count_nowhere() -> None:
    rng = np.random.default_rng(6)
    truth = rng.uniform(0.1, 0.5, (2, 20, 24))
    found = truth + 0.05 * rng.standard_normal(truth.shape)
    valid = np.ones((20, 24), np.bool_)
    valid[:5, :6] = False
    spoilt = found.copy()
    spoilt[:, ~valid] = np.nan
    assert score(truth, spoilt, valid, ratio=16) == score(truth, found, valid, ratio=16)
    assert score(truth, found, valid, ratio=16).rmse == pytest.approx(
        np.sqrt(((found - truth)[:, valid] ** 2).mean())
    )


def test_what_can_not_be_compared_is_refused() -> None:
    truth = np.ones((2, 1, 4))
    with pytest.raises(GridError, match="differ in size"):
        score(truth, truth[:, :, :3], ALL, ratio=16)
    with pytest.raises(GridError, match="no valid pixel"):
        score(truth, truth, ~ALL, ratio=16)
    with pytest.raises(GridError, match="ratio is 0"):
        score(truth, truth, ALL, ratio=0)
