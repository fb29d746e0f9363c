"""Bootstrap intervals against known distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from n2m_core.errors import ParameterError
from n2m_core.metrics.confusion import ConfusionCounts
from n2m_core.metrics.intervals import block_counts, bootstrap


def share(pooled: np.ndarray) -> np.ndarray:
    """Share of hits: counts are (hits, trials)."""
    return pooled[:, 0] / pooled[:, 1]


def generator() -> np.random.Generator:
    return np.random.default_rng(5)


def test_equal_units_have_no_spread() -> None:
    counts = np.tile([3, 4], (1, 6, 1))
    assert bootstrap(counts, share, generator()) == (0.75, 0.75)


def test_interval_of_a_mean_agrees_with_theory() -> None:
    draws = np.random.default_rng(1).random(400) < 0.3
    counts = np.stack([draws, np.ones(400)], axis=1)[None]
    low, high = bootstrap(counts, share, generator(), replicates=4000)
    p = draws.mean()
    half = 1.96 * math.sqrt(p * (1 - p) / 400)
    assert low == pytest.approx(p - half, abs=0.006)
    assert high == pytest.approx(p + half, abs=0.006)


def test_large_units_weigh_more() -> None:
    # One tile of 1000 pixels at 0.9, nine of 10 pixels at 0: without the large one the score is 0.
    counts = np.array([[[900, 1000], *[[0, 10]] * 9]])
    low, high = bootstrap(counts, share, generator())
    assert low == 0
    assert 0.85 < high < 0.9


def test_seeds_that_disagree_widen_the_interval() -> None:
    agree = np.tile([5, 10], (4, 8, 1))
    differ = agree.copy()
    differ[:, :, 0] = np.array([2, 4, 6, 8])[:, None]
    assert bootstrap(agree, share, generator()) == (0.5, 0.5)
    low, high = bootstrap(differ, share, generator())
    assert low < 0.35
    assert high > 0.65


def test_a_wider_confidence_holds_a_narrower_one() -> None:
    counts = np.random.default_rng(2).integers(1, 9, (2, 12, 2))
    low, high = bootstrap(counts, share, generator(), confidence=0.95)
    inner_low, inner_high = bootstrap(counts, share, generator(), confidence=0.5)
    assert low < inner_low < inner_high < high


def test_the_same_generator_gives_the_same_interval() -> None:
    counts = np.random.default_rng(2).integers(1, 9, (2, 12, 2))
    assert bootstrap(counts, share, generator()) == bootstrap(counts, share, generator())


def test_one_unit_or_no_score_has_no_interval() -> None:
    assert all(math.isnan(v) for v in bootstrap(np.ones((3, 1, 2)), share, generator()))
    no_score = bootstrap(
        np.ones((1, 4, 2)), lambda pooled: np.full(len(pooled), np.nan), generator()
    )
    assert all(math.isnan(v) for v in no_score)


def test_bad_options_are_refused() -> None:
    with pytest.raises(ParameterError, match="seeds, units"):
        bootstrap(np.ones(4), share, generator())
    with pytest.raises(ParameterError, match="0 replicates"):
        bootstrap(np.ones((1, 4, 2)), share, generator(), replicates=0)
    with pytest.raises(ParameterError, match="confidence 1"):
        bootstrap(np.ones((1, 4, 2)), share, generator(), confidence=1)


@pytest.mark.parametrize(
    ("height", "width", "blocks"), [(256, 256, 64), (100, 40, 12), (16, 31, 1), (5, 3, 1)]
)
def test_blocks_cover_the_tile(height: int, width: int, blocks: int) -> None:
    draws = np.random.default_rng(3).integers(0, 2, (2, height, width)).astype(np.uint8)
    counts = block_counts(draws[0], draws[1], 2)
    assert len(counts) == blocks
    whole = ConfusionCounts.from_labels(draws[0], draws[1], 2)
    assert counts.sum(axis=0).tolist() == whole.matrix.tolist()


def test_blocks_without_labels_are_left_out() -> None:
    truth = np.full((64, 64), 255, np.uint8)
    assert block_counts(truth, np.zeros_like(truth), 2).shape == (0, 2, 2)
    truth[:16, :16] = 1
    assert block_counts(truth, np.zeros_like(truth), 2).tolist() == [[[0, 0], [256, 0]]]
