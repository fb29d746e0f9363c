"""Strata of objects, and a random order in which every stratum keeps its share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

THIRDS = 3
"""Sizes and confidences are cut into so many parts of as many objects each."""


def strata_of(
    class_id: NDArray[np.int64], sizes: NDArray[np.float64], confidence: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Number the strata of objects: class, third of the sizes, third of the confidences.

    Args:
        class_id: int64 [N].
        sizes: float64 [N], any unit.
        confidence: float64 [N]; NaN is a stratum of its own.

    Returns:
        int64 [N]: 100 class + 10 size + confidence, thirds 0..2 from small, 3 for NaN.
    """
    return 100 * class_id + 10 * _thirds(sizes) + _thirds(confidence)


def _thirds(values: NDArray[np.float64]) -> NDArray[np.int64]:
    known = values[~np.isnan(values)]
    if not known.size:
        return np.full(values.shape, THIRDS, np.int64)
    cuts = np.quantile(known, [1 / 3, 2 / 3])
    return np.where(np.isnan(values), THIRDS, np.searchsorted(cuts, values, "left"))


def stratified_order(strata: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """Give keys whose order, cut anywhere, holds all strata in their shares.

    Within a stratum of n the objects are drawn at random; the k-th gets (k + u) / n, u uniform.

    Args:
        strata: int64 [N].
        seed: of the draw.

    Returns:
        float64 [N] in [0, 1).
    """
    generator = np.random.default_rng(seed)
    keys = np.empty(strata.shape, np.float64)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        ranks = generator.permutation(members.size) + generator.random(members.size)
        keys[members] = ranks / members.size
    return keys
