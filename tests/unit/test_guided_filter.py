"""The guided filter against its definition, pixel by pixel, and on edges."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from n2m_core.errors import ParameterError
from n2m_core.guided_filter import GuidedParams, guided_filter, refine_by_guide

Planes = NDArray[np.float64]


def plain(
    guide: Planes, values: Planes, valid: NDArray[np.bool_], params: GuidedParams
) -> NDArray[np.float64]:
    """The paper's equations with a loop over every pixel and every window."""
    _, height, width = guide.shape
    r = params.radius_px

    def window(row: int, column: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        rows, columns = np.nonzero(
            valid[max(row - r, 0) : row + r + 1, max(column - r, 0) : column + r + 1]
        )
        return rows + max(row - r, 0), columns + max(column - r, 0)

    lines = {}
    for row, column in np.argwhere(valid):
        at = window(row, column)
        image, p = guide[:, at[0], at[1]], values[:, at[0], at[1]]
        mu, mean = image.mean(1), p.mean(1)
        spread = image - mu[:, None]
        covariance = spread @ spread.T / len(at[0]) + params.epsilon * np.eye(len(guide))
        a = np.linalg.inv(covariance) @ (spread @ (p - mean[:, None]).T / len(at[0]))
        lines[row, column] = a, mean - a.T @ mu
    out = np.zeros((len(values), height, width))
    for row, column in np.argwhere(valid):
        near = [lines[place] for place in zip(*window(row, column), strict=True)]
        a = np.mean([line[0] for line in near], axis=0)
        b = np.mean([line[1] for line in near], axis=0)
        out[:, row, column] = a.T @ guide[:, row, column] + b
    return out


@pytest.mark.parametrize(("bands", "classes"), [(1, 2), (3, 1), (3, 4)])
def test_filter_is_the_papers_equations(bands: int, classes: int) -> None:
    rng = np.random.default_rng(bands)
    guide, values = rng.random((bands, 9, 11)), rng.random((classes, 9, 11))
    valid = rng.random((9, 11)) < 0.8
    params = GuidedParams(2, 0.01)
    everywhere = np.ones_like(valid)
    for mask in (everywhere, valid):
        wanted = plain(guide, values, mask, params)
        found = guided_filter(guide, values, valid=mask, params=params)
        np.testing.assert_allclose(found, wanted, atol=2e-6)
    no_mask = guided_filter(guide, values, params=params)
    np.testing.assert_array_equal(
        no_mask, guided_filter(guide, values, valid=everywhere, params=params)
    )


def test_a_flat_guide_averages_twice() -> None:
    # Without an edge to follow a = 0: q is the mean over windows of the mean over windows.
    values = np.zeros((1, 1, 7))
    values[0, 0, 3] = 9
    found = guided_filter(np.full((3, 1, 7), 0.5), values, params=GuidedParams(1, 1e-3))
    # Means of three: 0 0 3 3 3 0 0; of those again: 0 1 2 3 2 1 0.
    np.testing.assert_allclose(found[0, 0], [0, 1, 2, 3, 2, 1, 0], atol=1e-6)


def test_a_plane_that_is_linear_in_the_guide_stays() -> None:
    guide = np.random.default_rng(0).random((3, 20, 20))
    values = (0.2 * guide[0] - 0.5 * guide[1] + 0.1 * guide[2] + 0.4)[None]
    found = guided_filter(guide, values, params=GuidedParams(3, 1e-9))
    np.testing.assert_allclose(found, values, atol=1e-5)


def test_what_has_no_data_has_no_say() -> None:
    rng = np.random.default_rng(1)
    guide, values = rng.random((3, 24, 24)), rng.random((2, 24, 24))
    valid = np.ones((24, 24), bool)
    valid[:, 16:] = False
    spoiled, wrong = guide.copy(), values.copy()
    spoiled[:, ~valid], wrong[:, ~valid] = np.nan, 1e6
    params = GuidedParams(4)
    found = guided_filter(spoiled, wrong, valid=valid, params=params)
    cut = guided_filter(guide[:, :, :16], values[:, :, :16], params=params)
    np.testing.assert_allclose(found[:, :, :16], cut, atol=1e-5)
    assert not found[:, ~valid].any()
    nothing = guided_filter(guide, values, valid=np.zeros_like(valid), params=params)
    assert not nothing.any()


def house(size: int = 64) -> tuple[Planes, NDArray[np.bool_], NDArray[np.bool_]]:
    """A bright house on dark noisy ground, its mask, and a rough mask moved by 3 px."""
    truth = np.zeros((size, size), bool)
    truth[20:44, 16:48] = True
    noise = np.random.default_rng(2).normal(0, 0.02, (3, size, size))
    guide = np.where(truth, 0.7, 0.3) + noise
    return guide, truth, np.roll(truth, (3, 2), (0, 1))


def test_a_rough_map_moves_to_the_edges_of_the_image() -> None:
    guide, truth, rough = house()
    planes = np.stack([~rough, rough]).astype(np.float32)
    refined = refine_by_guide(planes, guide)
    np.testing.assert_allclose(refined.sum(0), 1, atol=1e-6)
    assert refined.min() >= 0
    wrong_before, wrong_after = (rough != truth).sum(), (refined.argmax(0) != truth).sum()
    assert wrong_before == 3 * 32 * 2 + 2 * 24 * 2 - 2 * 2 * 3
    assert wrong_after < 0.2 * wrong_before


def test_pixels_without_data_get_no_probability() -> None:
    guide, _, rough = house()
    valid = np.ones_like(rough)
    valid[:10] = False
    refined = refine_by_guide(np.stack([~rough, rough]), guide, valid=valid)
    assert not refined[:, :10].any()
    np.testing.assert_allclose(refined[:, 10:].sum(0), 1, atol=1e-6)


def test_bad_input_is_refused() -> None:
    guide, values = np.zeros((3, 8, 8)), np.zeros((2, 8, 9))
    with pytest.raises(ParameterError, match=r"guide is \(3, 8, 8\) and the values \(2, 8, 9\)"):
        guided_filter(guide, values)
    with pytest.raises(ParameterError, match="one grid"):
        guided_filter(guide, guide, valid=np.ones((8, 9), bool))
    with pytest.raises(ParameterError, match="radius 0 px"):
        GuidedParams(radius_px=0)
    for epsilon in (0.0, -1.0, float("nan")):
        with pytest.raises(ParameterError, match="positive number"):
            GuidedParams(epsilon=epsilon)
