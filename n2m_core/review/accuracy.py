"""Accuracy and area with honest intervals, from a stratified random sample.

P. Olofsson, G. M. Foody, M. Herold, S. V. Stehman, C. E. Woodcock, M. A. Wulder, "Good practices
for estimating area and assessing accuracy of land change", Remote Sensing of Environment 148, 2014,
42-57, doi 10.1016/j.rse.2014.02.015. The strata are the map's classes.

| symbol | what |
|---|---|
| i, j | map class (row), reference class (column) |
| n_ij | sampled units of map class i that are j in truth; n_i. their row sum |
| W_i | share of the map that is class i |
| p_ij | W_i n_ij / n_i., the share of the ground that is mapped i and is j |

What omission costs shows only where every stratum was sampled, background included. While one was
not, overall accuracy, producer's accuracy and areas stay empty and user's accuracy stands alone.

The intervals are the paper's, normal and of 95 %: estimate +- 1.96 standard errors. They come to
nothing where every unit of a stratum agrees, which a small sample may do by luck.

Objects as units are fewer, so their intervals know how many there are in all: the variance of a
stratum is multiplied by 1 - n / N (W. G. Cochran, "Sampling Techniques", 1977, chapter 5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from n2m_core.errors import ParameterError

Z = 1.96
"""Standard errors on each side of a 95 % interval, as in the paper."""
LEAST = 50
"""Units for a rare class, so that its user's accuracy gets an interval of use."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A number and half its 95 % interval.

    Attributes:
        value: None where the sample can't say.
        half: half of the interval's length; None where it needs two units of a stratum.
    """

    value: float | None = None
    half: float | None = None

    def scaled(self, factor: float) -> Estimate:
        """Multiply both, as a share by the whole area."""
        return Estimate(
            None if self.value is None else self.value * factor,
            None if self.half is None else self.half * factor,
        )


@dataclass(frozen=True, eq=False)
class AccuracyEstimate:
    """What a sample says about a map.

    Attributes:
        matrix: n_ij, int64 [K, K]; row = map class, column = reference class.
        weights: W_i, float64 [K].
        is_complete: whether every class on the map was sampled; else only `users` is given.
        overall: share of the ground that is mapped rightly.
        users: of each map class, the share that is right (1 - commission).
        producers: of each true class, the share that was mapped (1 - omission).
        shares: of each true class, its share of the ground, corrected for the map's errors.
    """

    matrix: NDArray[np.int64]
    weights: Floats
    is_complete: bool
    overall: Estimate
    users: tuple[Estimate, ...]
    producers: tuple[Estimate, ...]
    shares: tuple[Estimate, ...]


def estimate(matrix: ArrayLike, mapped: ArrayLike) -> AccuracyEstimate:
    """Estimate accuracies and area shares from an error matrix.

    Args:
        matrix: sampled units, int [K, K]; row = map class, column = reference class.
        mapped: units (or any measure of area) of each class on the map, [K].

    Raises:
        ParameterError: shapes that do not fit, negative counts, or an empty map.
    """
    n, size = np.asarray(matrix, np.int64), np.asarray(mapped, np.float64)
    if n.ndim != 2 or n.shape != (size.size, size.size):
        raise ParameterError(
            f"The error matrix is {n.shape} for {size.size} classes; it must be square."
        )
    if (n < 0).any() or (size < 0).any() or not size.sum() > 0:
        raise ParameterError("Counts must not be negative, and the map needs some area.")
    weights = size / size.sum()
    rows = n.sum(axis=1)
    users = tuple(_user(int(n[i, i]), int(rows[i])) for i in range(len(rows)))
    if ((rows == 0) & (weights > 0)).any():
        empty = (Estimate(),) * len(rows)
        return AccuracyEstimate(n, weights, False, Estimate(), users, empty, empty)
    q = np.divide(n, rows[:, None], out=np.zeros(n.shape), where=rows[:, None] > 0)
    p = weights[:, None] * q
    return AccuracyEstimate(
        n,
        weights,
        True,
        _overall(q, p, rows, weights),
        users,
        tuple(_producer(q, p, rows, weights, j) for j in range(len(rows))),
        tuple(_share(p, rows, weights, j) for j in range(len(rows))),
    )


def _user(right: int, units: int) -> Estimate:
    """U_i = n_ii / n_i. with V = U (1 - U) / (n_i. - 1)."""
    if units == 0:
        return Estimate()
    u = right / units
    return Estimate(u, None if units < 2 else Z * math.sqrt(u * (1 - u) / (units - 1)))


def _overall(q: Floats, p: Floats, rows: NDArray[np.int64], weights: Floats) -> Estimate:
    """O = sum p_ii with V = sum W_i^2 U_i (1 - U_i) / (n_i. - 1)."""
    u = q.diagonal()
    return Estimate(float(p.trace()), _half(weights**2 * u * (1 - u), rows, weights))


def _share(p: Floats, rows: NDArray[np.int64], weights: Floats, j: int) -> Estimate:
    """p_.j with V = sum_i (W_i p_ij - p_ij^2) / (n_i. - 1)."""
    parts = weights * p[:, j] - p[:, j] ** 2
    return Estimate(float(p[:, j].sum()), _half(parts, rows, weights))


def _producer(q: Floats, p: Floats, rows: NDArray[np.int64], weights: Floats, j: int) -> Estimate:
    """P_j = p_jj / p_.j, with its variance; W_i stands for N_i., as the whole cancels."""
    true = float(p[:, j].sum())
    if true == 0:
        return Estimate()
    value = float(p[j, j]) / true
    parts = value**2 * weights**2 * q[:, j] * (1 - q[:, j])
    parts[j] = weights[j] ** 2 * (1 - value) ** 2 * q[j, j] * (1 - q[j, j])
    return Estimate(value, _half(parts / true**2, rows, weights))


def _half(parts: Floats, rows: NDArray[np.int64], weights: Floats) -> float | None:
    """1.96 sqrt(sum_i parts_i / (n_i. - 1)); None where a stratum has a single unit."""
    on_map = weights > 0
    if (rows[on_map] < 2).any():
        return None
    variance = float((parts[on_map] / (rows[on_map] - 1)).sum())
    return Z * math.sqrt(max(variance, 0.0))


def estimate_right(right: ArrayLike, units: ArrayLike, population: ArrayLike) -> Estimate:
    """User's accuracy of objects of one class, from strata of them.

    Args:
        right: sampled objects that are right in each stratum, int [H].
        units: sampled objects, int [H].
        population: all objects, int [H].

    Returns:
        sum W_h r_h / n_h with V = sum W_h^2 (1 - n_h / N_h) u_h (1 - u_h) / (n_h - 1); empty where
        a stratum was not sampled.
    """
    r, n, whole = (np.asarray(each, np.float64) for each in (right, units, population))
    r, n, whole = r[whole > 0], n[whole > 0], whole[whole > 0]
    if not whole.size or (n == 0).any():
        return Estimate()
    w, u = whole / whole.sum(), r / n
    value = float((w * u).sum())
    if ((n < 2) & (n < whole)).any():
        return Estimate(value, None)
    parts = w**2 * (1 - n / whole) * u * (1 - u) / np.maximum(n - 1, 1)
    return Estimate(value, Z * math.sqrt(float(parts.sum())))


def required_size(weights: Sequence[float], users: Sequence[float], standard_error: float) -> int:
    """Units that a wished standard error of overall accuracy needs.

    n = (sum W_i sqrt(U_i (1 - U_i)) / S(O))^2, rounded up (Cochran 1977, Eq. 5.25, for a map of
    many pixels).

    Args:
        weights: W_i, in any unit.
        users: guessed user's accuracies U_i, each in [0, 1].
        standard_error: S(O), such as 0.01.

    Raises:
        ParameterError: a value out of its range.
    """
    w, u = np.asarray(weights, np.float64), np.asarray(users, np.float64)
    if w.shape != u.shape or not w.size or (w < 0).any() or not w.sum() > 0:
        raise ParameterError(f"{w.size} class shares and {u.size} guesses; give one of each.")
    if (u < 0).any() or (u > 1).any() or not 0 < standard_error < 1:
        raise ParameterError(
            f"Guessed accuracies lie in 0..1, the standard error between 0 and 1; {users} and "
            f"{standard_error} were given."
        )
    spread = float((w / w.sum() * np.sqrt(u * (1 - u))).sum())
    # Rounding guards against 640.0000001, which is 640 and the machine's arithmetic.
    return max(1, math.ceil(round((spread / standard_error) ** 2, 6)))


def allocate(total: int, population: Sequence[int], least: int = LEAST) -> tuple[int, ...]:
    """Share a sample among strata: enough for the rare ones, the rest by their size.

    A stratum whose share in proportion is below `least` gets `least`; the others share what is left
    in proportion. No stratum gets more than it has.

    Args:
        total: units to draw.
        population: units of each stratum; an empty one gets none.
        least: for a rare stratum; less where `total` does not reach for all.

    Returns:
        Units for each stratum; their sum is `total` unless the map has fewer.

    Raises:
        ParameterError: nothing to draw, or nothing to draw from.
    """
    sizes = np.asarray(population, np.int64)
    present = sizes > 0
    if total < 1 or least < 0 or not present.any():
        raise ParameterError(f"{total} units of {int(sizes.sum())} are no sample; give more.")
    total = min(total, int(sizes.sum()))
    least = min(least, total // int(present.sum()))
    drawn = np.minimum(least, sizes)
    is_rare = np.zeros(sizes.shape, np.bool_)
    while True:
        common = present & ~is_rare
        left = total - int(drawn[~common].sum())
        share = sizes * left / max(1, int(sizes[common].sum()))
        rarer = common & (share < least)
        if not rarer.any():
            break
        is_rare |= rarer
    drawn[common] = _rounded(share[common], left, sizes[common])
    return tuple(int(each) for each in drawn)


def _rounded(share: Floats, total: int, most: NDArray[np.int64]) -> NDArray[np.int64]:
    """Whole numbers near shares, of the same sum: largest remainders first."""
    whole = np.minimum(np.floor(share).astype(np.int64), most)
    for index in np.argsort(whole - share, kind="stable"):
        if whole.sum() >= total:
            break
        whole[index] = min(whole[index] + 1, most[index])
    return whole
