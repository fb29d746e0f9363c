from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from rasters import UTM, ImageFactory, scene

from n2m_core.errors import GridError
from n2m_core.geo_image import GeoImage


def test_sizes_and_place(make_image: ImageFactory) -> None:
    image = make_image(scene(4, 20, 30))
    assert (image.bands, image.height, image.width) == (4, 20, 30)
    assert image.is_georeferenced
    assert not make_image(crs=None).is_georeferenced


@pytest.mark.parametrize("shape", [(40, 50), (0, 4, 4), (3, 0, 4), (1, 2, 3, 4)])
def test_refuses_pixels_that_are_no_image(shape: tuple[int, ...]) -> None:
    with pytest.raises(GridError, match="bands, rows, columns wanted"):
        GeoImage(np.zeros(shape), np.ones(shape[-2:], np.bool_), None, UTM, ("a",))


@pytest.mark.parametrize(
    "valid", [np.ones((40, 49), np.bool_), np.ones((40, 50), np.uint8), np.ones(50, np.bool_)]
)
def test_refuses_masks_that_do_not_fit(valid: np.ndarray) -> None:
    with pytest.raises(GridError, match=r"bool \(40, 50\) wanted"):
        GeoImage(scene(1), valid, None, UTM, ("a",))


def test_refuses_a_wrong_number_of_names(make_image: ImageFactory) -> None:
    with pytest.raises(GridError, match="2 band names for 3 bands"):
        make_image(names=("red", "green"))


def test_refuses_a_transform_without_area(make_image: ImageFactory) -> None:
    with pytest.raises(GridError, match="maps the image to a line"):
        make_image(transform=Affine(1, 0, 0, 1, 0, 0))


def test_other_pixels_on_the_same_grid(make_image: ImageFactory) -> None:
    image = make_image(names=("red", "green", "blue"))
    labels = image.with_pixels(scene(1), ("class",))
    assert labels.crs == image.crs
    assert labels.transform == image.transform
    assert labels.valid is image.valid
    empty = np.zeros((40, 50), np.bool_)
    assert image.with_pixels(scene(1), ("class",), valid=empty).valid is empty
    with pytest.raises(GridError, match="bool"):
        image.with_pixels(scene(1, 5, 5), ("class",))


def test_notes_add_up(make_image: ImageFactory) -> None:
    image = make_image().with_notes("First.").with_notes("Second.", "Third.")
    assert image.notes == ("First.", "Second.", "Third.")
    assert make_image().notes == ()
