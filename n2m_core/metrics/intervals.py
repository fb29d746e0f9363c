"""Bootstrap intervals of scores that are ratios of pooled counts.

A score over a split is a ratio of sums over tiles, so whole tiles (with every pixel in them) are
drawn again with replacement; noise seeds are drawn again as well, crossed with the tiles. The
interval is the percentile interval. With one tile its blocks stand for tiles: neighbouring blocks
resemble each other, so that interval is the narrower one and is reported as being over blocks.

B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13 (percentiles).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from n2m_core.errors import ParameterError
from n2m_core.metrics.confusion import ConfusionCounts, Counts

Statistic = Callable[[NDArray[Any]], NDArray[np.float64]]
"""Pooled counts [R, ...] of R replicates -> one score each, float64 [R], NaN where undefined."""

REPLICATES = 1000
CONFIDENCE = 0.95
BLOCKS_PER_SIDE = 8
SMALLEST_BLOCK_PX = 16


def bootstrap(
    counts: NDArray[Any],
    statistic: Statistic,
    generator: np.random.Generator,
    *,
    replicates: int = REPLICATES,
    confidence: float = CONFIDENCE,
) -> tuple[float, float]:
    """Interval of a score over units and, where there are several, over noise seeds.

    Args:
        counts: counts of each seed and unit [S, N, ...]; the score is of their sum.
        statistic: maps pooled counts to the score, for many replicates at once.
        generator: draws the units and seeds.
        replicates: how often they are drawn.
        confidence: share of replicates inside the interval.

    Returns:
        (low, high); NaN for both when fewer than two units or no replicate has a score.

    Raises:
        ParameterError: the counts are not [S, N, ...], or an option is out of range.
    """
    if counts.ndim < 2:
        raise ParameterError(f"Counts have shape {counts.shape}; seeds, units, ... are needed.")
    if replicates < 1 or not 0 < confidence < 1:
        raise ParameterError(
            f"{replicates} replicates at confidence {confidence}; at least 1, and in 0..1."
        )
    seeds, units = counts.shape[:2]
    if units < 2:
        return math.nan, math.nan
    by_unit = generator.multinomial(units, np.full(units, 1 / units), size=replicates)
    by_seed = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=replicates)
    pooled = np.einsum("rs,rn,sn...->r...", by_seed, by_unit, counts, optimize=True)
    scores = statistic(pooled)
    scores = scores[~np.isnan(scores)]
    if not scores.size:
        return math.nan, math.nan
    tail = (1 - confidence) / 2
    low, high = np.quantile(scores, [tail, 1 - tail])
    return float(low), float(high)


def block_counts(truth: NDArray[Any], predicted: NDArray[Any], classes: int) -> Counts:
    """Count one tile block by block, for an interval when there is no other tile.

    Args:
        truth: class indices [H, W]; 255 counts nowhere.
        predicted: the same for the map.
        classes: K.

    Returns:
        int64 [N, K, K]; at most 8 x 8 blocks of at least 16 px, those without any counted pixel
        left out.
    """
    rows = _edges(truth.shape[0])
    columns = _edges(truth.shape[1])
    blocks = [
        ConfusionCounts.from_labels(
            truth[top:down, left:right], predicted[top:down, left:right], classes
        )
        for top, down in rows
        for left, right in columns
    ]
    kept = [block.matrix for block in blocks if block.total]
    return np.stack(kept) if kept else np.zeros((0, classes, classes), np.int64)


def _edges(length: int) -> list[tuple[int, int]]:
    """Cut a side into equal parts."""
    parts = max(1, min(BLOCKS_PER_SIDE, length // SMALLEST_BLOCK_PX))
    cuts = [round(length * part / parts) for part in range(parts + 1)]
    return list(itertools.pairwise(cuts))
