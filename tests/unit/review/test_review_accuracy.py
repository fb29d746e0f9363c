"""Accuracy, area, agreement and sample size against published and hand-worked numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from review_cases import square

from n2m_core.errors import ParameterError
from n2m_core.review.accuracy import (
    Estimate,
    allocate,
    estimate,
    estimate_right,
    required_size,
)
from n2m_core.review.agreement import cohen_kappa, fleiss_kappa, outline_iou

MATRIX = [[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]]
"""Example of Olofsson et al. (2014): deforestation, forest gain, stable forest, other."""
MAPPED = [200_000, 150_000, 3_200_000, 6_450_000]
HECTARES = 900_000


def rounded(found: tuple[Estimate, ...], digits: int = 2) -> list[tuple[float, float]]:
    return [(round(each.value or 0, digits), round(each.half or 0, digits)) for each in found]


def test_worked_example_of_the_paper() -> None:
    found = estimate(MATRIX, MAPPED)
    assert rounded(found.users) == [(0.88, 0.07), (0.73, 0.10), (0.93, 0.04), (0.96, 0.02)]
    assert rounded(found.producers) == [(0.75, 0.21), (0.85, 0.25), (0.93, 0.03), (0.96, 0.02)]
    assert rounded((found.overall,)) == [(0.95, 0.02)]
    areas = tuple(each.scaled(HECTARES) for each in found.shares)
    assert rounded(areas, 0) == [
        (21_158, 6_158),
        (11_686, 3_756),
        (285_770, 15_510),
        (581_386, 16_282),
    ]


def test_two_classes_by_hand() -> None:
    # W = .2, .8; U = .8, .9: p = [[.16, .04], [.08, .72]]
    found = estimate([[8, 2], [2, 18]], [20, 80])
    assert found.overall.value == pytest.approx(0.88)
    variance = 0.2**2 * 0.8 * 0.2 / 9 + 0.8**2 * 0.9 * 0.1 / 19
    assert found.overall.half == pytest.approx(1.96 * math.sqrt(variance))
    assert found.producers[0].value == pytest.approx(0.16 / 0.24)
    assert found.shares[0].value == pytest.approx(0.24)
    # Both classes together are the whole ground, so their intervals are one.
    assert found.shares[0].half == pytest.approx(found.shares[1].half)


def test_omission_is_not_claimed_where_the_background_was_not_sampled() -> None:
    found = estimate([[0, 0], [2, 18]], [80, 20])
    assert not found.is_complete
    assert found.users[1].value == pytest.approx(0.9)
    assert found.users[0] == found.overall == found.producers[1] == found.shares[1] == Estimate()


def test_single_unit_gives_no_interval() -> None:
    found = estimate([[1, 0], [2, 18]], [80, 20])
    assert found.is_complete
    assert (found.users[0].value, found.users[0].half, found.overall.half) == (1.0, None, None)


def test_class_that_is_on_no_map_counts_in_the_truth() -> None:
    found = estimate([[9, 0, 1], [0, 9, 1], [0, 0, 0]], [50, 50, 0])
    assert found.shares[2].value == pytest.approx(0.1)
    assert found.producers[2].value == 0
    assert found.users[2] == Estimate()


@pytest.mark.parametrize(
    ("matrix", "mapped"), [([[1, 2]], [1, 1]), ([[1]], [0]), ([[-1]], [1]), ([[1]], [1, 2])]
)
def test_impossible_matrices(matrix: list[list[int]], mapped: list[int]) -> None:
    with pytest.raises(ParameterError):
        estimate(matrix, mapped)


def test_objects_by_strata_by_hand() -> None:
    # 30 of 40 objects small, 10 large: u = .5 and 1; fpc 1 - 10/30; the large ones are all seen.
    found = estimate_right([5, 10], [10, 10], [30, 10])
    assert found.value == pytest.approx(0.75 * 0.5 + 0.25)
    assert found.half == pytest.approx(1.96 * math.sqrt(0.75**2 * (2 / 3) * 0.25 / 9))
    assert estimate_right([5, 0], [10, 0], [30, 10]) == Estimate()
    assert estimate_right([1, 1], [1, 1], [1, 1]) == Estimate(1.0, 0.0)
    assert estimate_right([1], [1], [5]) == Estimate(1.0, None)


def test_required_size_of_the_paper() -> None:
    # Standard error 0.01 and guesses 0.70, 0.60, 0.90, 0.95: (0.2531 / 0.01)^2 = 640.6.
    assert required_size(MAPPED, [0.7, 0.6, 0.9, 0.95], 0.01) == 641
    assert required_size([1, 1], [0.8, 0.8], 0.04) == 100


@pytest.mark.parametrize(
    ("guesses", "error"), [([0.9], 0.01), ([0.9, 1.2], 0.01), ([0.9, 0.9], 0.0)]
)
def test_impossible_wishes(guesses: list[float], error: float) -> None:
    with pytest.raises(ParameterError):
        required_size([1, 1], guesses, error)


@pytest.mark.parametrize(
    ("total", "population", "least", "expected"),
    [
        (100, [900, 100], 10, (90, 10)),
        (100, [980, 20], 10, (90, 10)),
        (641, MAPPED, 75, (75, 75, 163, 328)),
        (100, [1000, 0, 4], 10, (96, 0, 4)),
        (10, [3, 4], 50, (3, 4)),
        (10, [100, 100, 100], 50, (4, 3, 3)),
    ],
)
def test_allocation(total: int, population: list[int], least: int, expected: object) -> None:
    assert allocate(total, population, least) == expected


def test_kappas_by_hand() -> None:
    # p_o = .7, p_e = .5 .6 + .5 .4 = .5
    assert cohen_kappa([[20, 5], [10, 15]]) == pytest.approx(0.4)
    assert cohen_kappa([[7, 0], [0, 0]]) is None
    # Three people, two items: all agree on one; two of three on the other.
    # P = (1 + 1/3) / 2, p = (5/6, 1/6)
    chance = (5 / 6) ** 2 + (1 / 6) ** 2
    assert fleiss_kappa([[3, 0], [2, 1]]) == pytest.approx((2 / 3 - chance) / (1 - chance))
    assert fleiss_kappa(np.zeros((0, 2))) is None
    assert fleiss_kappa([[2, 0], [2, 0]]) is None
    with pytest.raises(ParameterError, match="same number"):
        fleiss_kappa([[2, 0], [2, 1]])


def test_outlines_alike() -> None:
    assert outline_iou(square(0, 0, 10), square(5, 0, 10)) == pytest.approx(1 / 3)
    assert outline_iou(square(0, 0), square(0, 0)) == 1
    assert outline_iou(square(0, 0), square(50, 0)) == 0
