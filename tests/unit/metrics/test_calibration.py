"""Reliability counts by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from n2m_core.errors import LabelError, ParameterError
from n2m_core.metrics.calibration import ReliabilityCounts

TRUTH = np.array([[0, 1, 1], [1, 0, 255]], np.uint8)
MAP = np.array([[0, 1, 0], [1, 1, 1]], np.uint8)
CONFIDENCE = np.array([[0.9, 1.0, 0.6], [0.5, 0.7, 0.9]], np.float32)


def test_by_hand() -> None:
    # Lower bin [0, 0.5): none. Upper bin: 0.9, 1.0, 0.6, 0.5, 0.7; right: 0.9, 1.0, 0.5.
    counts = ReliabilityCounts.from_map(TRUTH, MAP, CONFIDENCE, bins=2)
    assert counts.pixels.tolist() == [0, 5]
    assert counts.right.tolist() == [0, 3]
    assert counts.confidence == pytest.approx([0, 3.7])
    assert math.isnan(counts.accuracy[0])
    assert counts.accuracy[1] == pytest.approx(0.6)
    assert counts.mean_confidence[1] == pytest.approx(0.74)
    assert counts.expected_error == pytest.approx(0.14)


def test_bins_weigh_by_their_pixels() -> None:
    counts = ReliabilityCounts.from_map(TRUTH, MAP, CONFIDENCE, bins=10)
    # 0.5: right; 0.6: wrong; 0.7: wrong; 0.9 and 1.0: right.
    assert counts.expected_error == pytest.approx((0.5 + 0.6 + 0.7 + 0.1) / 5, abs=1e-6)


def test_counts_add() -> None:
    whole = ReliabilityCounts.from_map(TRUTH, MAP, CONFIDENCE)
    parts = [ReliabilityCounts.from_map(TRUTH[i], MAP[i], CONFIDENCE[i]) for i in range(2)]
    added = parts[0].add(parts[1])
    assert added.pixels.tolist() == whole.pixels.tolist()
    assert added.expected_error == pytest.approx(whole.expected_error)


def test_failures() -> None:
    with pytest.raises(LabelError, match="must lie on one grid"):
        ReliabilityCounts.from_map(TRUTH, MAP, CONFIDENCE[:1])
    with pytest.raises(ParameterError, match="0 bins"):
        ReliabilityCounts.from_map(TRUTH, MAP, CONFIDENCE, bins=0)
    nothing = ReliabilityCounts.from_map(np.full((1, 2), 255), MAP[:1, :2], CONFIDENCE[:1, :2])
    assert math.isnan(nothing.expected_error)
