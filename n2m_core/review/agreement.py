"""How far reviewers agree beyond chance, and how alike their outlines are.

J. Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement
20, 1960; J. L. Fleiss, "Measuring nominal scale agreement among many raters", Psychological
Bulletin 76, 1971.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from shapely.geometry.base import BaseGeometry

from n2m_core.errors import ParameterError
from n2m_core.metrics.confusion import ConfusionCounts


def cohen_kappa(matrix: ArrayLike) -> float | None:
    """Agreement of two reviewers: (p_o - p_e) / (1 - p_e).

    Args:
        matrix: counts, int [K, K]; row = what the first says, column = the second.

    Returns:
        At most 1; None without items, and where both always say one and the same.
    """
    value = ConfusionCounts(np.asarray(matrix, np.int64)).kappa
    return None if np.isnan(value) else value


def fleiss_kappa(counts: ArrayLike) -> float | None:
    """Agreement of several reviewers on the same items.

    P_i = (sum_j n_ij^2 - m) / (m (m - 1)), P_e = sum_j p_j^2, kappa = (mean P_i - P_e) / (1 - P_e).

    Args:
        counts: how many of the m reviewers put item i into category j, int [N, K]; every row sums
            to m.

    Returns:
        At most 1; None without items, and where all always say one and the same.

    Raises:
        ParameterError: rows of different sums, or fewer than two reviewers.
    """
    n = np.asarray(counts, np.float64)
    if not n.size:
        return None
    m = float(n[0].sum())
    if (n.sum(axis=1) != m).any() or m < 2:
        raise ParameterError(
            "Fleiss' kappa needs items that the same number of reviewers judged, two at least."
        )
    agreement = ((n**2).sum(axis=1) - m) / (m * (m - 1))
    chance = float(((n.sum(axis=0) / n.sum()) ** 2).sum())
    if np.isclose(chance, 1.0):
        return None
    return float((agreement.mean() - chance) / (1 - chance))


def outline_iou(first: BaseGeometry, second: BaseGeometry) -> float:
    """Area that two outlines share over the area that either covers, 0..1."""
    union = first.union(second).area
    return float(first.intersection(second).area / union) if union > 0 else 0.0
