"""The classical methods written once more, one pixel after the other, straight from their steps."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.stats import f as f_distribution

from n2m_core.fusion.estarfm import EstarfmParams
from n2m_core.fusion.fsdaf import FsdafParams
from n2m_core.fusion.inputs import FusionInputs
from n2m_core.fusion.starfm import StarfmParams

Double = NDArray[np.float64]
Place = tuple[int, int]


def window(inputs: FusionInputs, row: int, column: int, reach: int) -> Iterator[Place]:
    """The valid pixels of a window, row by row."""
    height, width = inputs.valid.shape
    for r in range(max(0, row - reach), min(height, row + reach + 1)):
        for c in range(max(0, column - reach), min(width, column + reach + 1)):
            if inputs.valid[r, c]:
                yield r, c


def pairs(inputs: FusionInputs) -> list[tuple[Double, Double]]:
    """(fine, coarse) of both dates, float64 with masked pixels 0."""
    both = ((inputs.fine0, inputs.coarse0), (inputs.fine2, inputs.coarse2))
    shown = [[np.where(inputs.valid, each, 0).astype(float) for each in pair] for pair in both]
    return [(fine, coarse) for fine, coarse in shown]


def starfm(inputs: FusionInputs, params: StarfmParams) -> Double:
    target = inputs.coarse1.astype(float) * 10_000
    known = [(fine * 10_000, coarse * 10_000) for fine, coarse in pairs(inputs)]
    fine1 = np.zeros(inputs.fine0.shape)
    for band in range(inputs.bands):
        limits = [2 * fine[band][inputs.valid].std() / params.classes for fine, _ in known]
        for row, column in zip(*np.nonzero(inputs.valid), strict=True):
            at = (band, row, column)
            s_limit = max(abs(f[at] - c[at]) for f, c in known) + params.spectral_dn
            t_limit = max(abs(target[at] - c[at]) for _, c in known) + params.temporal_dn
            total = weighted = 0.0
            for (fine, coarse), limit in zip(known, limits, strict=True):
                for r, c in window(inputs, row, column, params.window_px // 2):
                    there = (band, r, c)
                    s = abs(fine[there] - coarse[there])
                    t = abs(target[there] - coarse[there])
                    passes = (s < s_limit, t < t_limit)
                    kept = all(passes) if params.is_strict else any(passes)
                    if abs(fine[there] - fine[at]) > limit or not kept:
                        continue
                    product = (s + 1) * (t + 1)
                    distance = 1 + math.hypot(r - row, c - column) / params.distance_px
                    cost = 1.0 if product < params.combined_dn else product * distance
                    total += 1 / cost
                    weighted += (fine[there] + target[there] - coarse[there]) / cost
            fine1[at] = weighted / total
    return fine1 / 10_000


def estarfm(inputs: FusionInputs, params: EstarfmParams) -> Double:
    known, target = pairs(inputs), np.where(inputs.valid, inputs.coarse1, 0).astype(float)
    limits = [2 * fine[:, inputs.valid].std(axis=1, ddof=1) / params.classes for fine, _ in known]
    fine1 = np.zeros(inputs.fine0.shape)
    for row, column in zip(*np.nonzero(inputs.valid), strict=True):
        around = list(window(inputs, row, column, params.window_px // 2))
        similar = [
            (r, c)
            for r, c in around
            if all(
                (np.abs(fine[:, r, c] - fine[:, row, column]) < limit).all()
                for (fine, _), limit in zip(known, limits, strict=True)
            )
        ]
        weights = np.array([_closeness(known, r, c, row, column, params) for r, c in similar])
        weights /= weights.sum()
        for band in range(inputs.bands):
            at = (band, row, column)
            slope = _slope(known, band, similar, params)
            found, shares = [], []
            for fine, coarse in known:
                mean = np.mean([target[band, r, c] - coarse[band, r, c] for r, c in around])
                change = [target[band, r, c] - coarse[band, r, c] for r, c in similar]
                value = fine[at] + slope * (weights @ np.array(change))
                if not params.low < value < params.high:
                    value = weights @ np.array([fine[band, r, c] for r, c in similar])
                found.append(fine[at] + mean if len(similar) <= params.least_similar else value)
                shares.append(1 / (abs(mean) + 0.01**5))
            fine1[at] = np.array(found) @ np.array(shares) / sum(shares)
    return fine1


def _closeness(
    known: list[tuple[Double, Double]], r: int, c: int, row: int, column: int, params: EstarfmParams
) -> float:
    fine = np.concatenate([f[:, r, c] for f, _ in known])
    coarse = np.concatenate([k[:, r, c] for _, k in known])
    if fine.std() * coarse.std() * len(fine) < 1e-12:
        correlation = 0.5
    else:
        correlation = float(np.corrcoef(fine, coarse)[0, 1])
    distance = 1 + math.hypot(r - row, c - column) / (params.window_px // 2)
    return 1 / ((1 - correlation) * distance + 1e-7)


def _slope(
    known: list[tuple[Double, Double]], band: int, similar: list[Place], params: EstarfmParams
) -> float:
    y = np.array([f[band, r, c] for f, _ in known for r, c in similar])
    x = np.array([k[band, r, c] for _, k in known for r, c in similar])
    half = len(similar)
    if abs(x[:half].mean() - x[half:].mean()) < params.least_change or x.std() < 1e-9:
        return 1.0
    slope, offset = np.polyfit(x, y, 1)
    rest = ((y - slope * x - offset) ** 2).sum()
    explained = ((slope * x + offset - y.mean()) ** 2).sum()
    p = f_distribution.sf(explained / max(rest / (len(x) - 2), 1e-30), 1, len(x) - 2)
    return float(slope) if p <= params.significance and 0 < slope <= params.steepest else 1.0


def fsdaf_smooth(
    fine: Double, change: Double, valid: NDArray[np.bool_], params: FsdafParams
) -> Double:
    """Step 8, with the whole window sorted."""
    limits = 2 * fine[:, valid].std(axis=1) / params.classes
    fine1 = np.zeros(fine.shape)
    height, width = valid.shape
    reach = params.reach_px
    for row in range(height):
        for column in range(width):
            own = fine[:, row, column]
            found = []
            for r in range(max(0, row - reach), min(height, row + reach + 1)):
                for c in range(max(0, column - reach), min(width, column + reach + 1)):
                    gap = np.abs(fine[:, r, c] - own)
                    if valid[r, c] and (gap <= limits).all():
                        apart = float((gap / np.maximum(own, 1e-4)).sum())
                        away = 1 + math.hypot(r - row, c - column) / reach
                        found.append((apart, away, r, c))
            found = sorted(found)[: params.similar]
            weights = np.array([1 / (away * (apart + 1)) for apart, away, _, _ in found])
            near = np.array([change[:, r, c] for _, _, r, c in found])
            fine1[:, row, column] = own + weights @ near / weights.sum() if found else own
    return fine1


def fsdaf_interpolated(coarse: Double, scale: int, shape: tuple[int, int]) -> Double:
    """Step 4 as written: inverse squared distances to every centre within two coarse pixels."""
    rows, columns = coarse.shape
    smooth = np.zeros(shape)
    for row in range(shape[0]):
        for column in range(shape[1]):
            total = weighted = 0.0
            for r in range(rows):
                for c in range(columns):
                    down = (row + 0.5) / scale - (r + 0.5)
                    across = (column + 0.5) / scale - (c + 0.5)
                    squared = down**2 + across**2
                    if squared <= 4:
                        total += 1 / max(squared, 1e-6)
                        weighted += coarse[r, c] / max(squared, 1e-6)
            smooth[row, column] = weighted / total
    return smooth
