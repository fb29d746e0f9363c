"""The guided filter as a refiner of maps."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from rasters import ImageFactory

from n2m_core.errors import LabelError
from n2m_core.tasks.guided import refine_guided


def cover(size: int = 72) -> NDArray[np.uint8]:
    """Three classes: ground, a house and a field."""
    truth = np.zeros((size, size), np.uint8)
    truth[12:40, 16:44] = 1
    truth[:, 54:] = 2
    return truth


def picture(truth: NDArray[np.uint8], scale: int = 1) -> NDArray[np.uint16]:
    """Every class in a colour of its own, with some noise, [3, H, W]."""
    colours = np.array([[90, 80, 70], [200, 190, 185], [60, 140, 60]])[truth]
    noise = np.random.default_rng(0).normal(0, 3, (*truth.shape, 3))
    return (np.moveaxis(colours + noise, -1, 0).clip(0, 255) * scale).astype(np.uint16)


@pytest.mark.parametrize(("dtype", "scale"), [(np.uint8, 1), (np.uint16, 40)])
def test_boundaries_move_to_those_of_the_image(
    make_image: ImageFactory, dtype: type[np.generic], scale: int
) -> None:
    truth = cover()
    image = make_image(picture(truth, scale).astype(dtype))
    rough = np.roll(truth, (2, 3), (0, 1))
    rough[:2], rough[:, :3] = truth[:2], truth[:, :3]
    refined = refine_guided(image, rough, 3)
    assert refined.dtype == np.uint8
    before, after = (rough != truth).sum(), (refined != truth).sum()
    assert after < 0.25 * before
    np.testing.assert_array_equal(refine_guided(image, truth, 3), truth)


def test_what_has_no_data_or_no_rough_map_stays_empty(make_image: ImageFactory) -> None:
    truth = cover()
    valid = np.ones(truth.shape, bool)
    valid[:8] = False
    rough = truth.copy()
    rough[:, :5] = 255
    refined = refine_guided(make_image(picture(truth).astype(np.uint8), valid=valid), rough, 3)
    empty = ~valid | (rough == 255)
    np.testing.assert_array_equal(refined == 255, empty)
    np.testing.assert_array_equal(refined[~empty], truth[~empty])


def test_a_map_of_one_class_stays_one(make_image: ImageFactory) -> None:
    image = make_image(picture(cover()).astype(np.uint8))
    assert (refine_guided(image, np.full((72, 72), 1), 3) == 1).all()
    assert (refine_guided(image, np.full((72, 72), 255), 3) == 255).all()


def test_a_map_of_another_size_is_refused(make_image: ImageFactory) -> None:
    with pytest.raises(LabelError, match="align it to the image"):
        refine_guided(make_image(), np.zeros((4, 4), np.uint8), 2)
