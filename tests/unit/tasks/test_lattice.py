from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from rasters import ImageFactory

from n2m_core.errors import GridError
from n2m_core.tasks.lattice import plan_lattice


def utm(size_m: float, x: float = 500_000.13, y: float = 5_000_000.27) -> Affine:
    return Affine(size_m, 0, x, 0, -size_m, y)


def test_same_resolution_is_left_alone(make_image: ImageFactory) -> None:
    image = make_image(transform=utm(0.52), resolution_m=0.52)
    lattice = plan_lattice(image, 0.5, taken_as_m=None)
    assert lattice.is_identity
    assert (lattice.rows.count, lattice.columns.count) == (image.height, image.width)


@pytest.mark.parametrize(("size_m", "factor"), [(0.25, 0.5), (1.0, 2.0), (2.0, 4.0)])
def test_pixels_get_the_wanted_size(make_image: ImageFactory, size_m: float, factor: float) -> None:
    image = make_image(transform=utm(size_m), resolution_m=size_m)
    lattice = plan_lattice(image, 0.5, taken_as_m=None)
    assert lattice.rows.scale == pytest.approx(factor, rel=0.011)
    assert lattice.rows.count == pytest.approx(image.height * factor, abs=2)


def test_square_degrees_are_stretched_to_square_metres(make_image: ImageFactory) -> None:
    """At 60 degrees north a pixel of square degrees is half as wide as it is high."""
    degrees = Affine(9e-6, 0, 25.0, 0, -9e-6, 60.0)
    image = make_image(crs="EPSG:4326", transform=degrees, resolution_m=0.707)
    lattice = plan_lattice(image, 0.5, taken_as_m=None)
    assert lattice.rows.scale / lattice.columns.scale == pytest.approx(2.0, rel=0.04)
    assert lattice.rows.scale == pytest.approx(2.0, rel=0.04)


@pytest.mark.parametrize("size_m", [0.13, 0.25, 0.5, 1.3])
def test_constant_stays_constant_there_and_back(make_image: ImageFactory, size_m: float) -> None:
    image = make_image(np.full((2, 61, 47), 0.3, np.float32), transform=utm(size_m))
    lattice = plan_lattice(image, 0.5, taken_as_m=size_m)
    there = lattice.from_image(image.pixels, image.valid)
    np.testing.assert_allclose(there, 0.3, atol=1e-6)
    back = lattice.to_image(there)
    assert back.shape == (2, 61, 47)
    np.testing.assert_allclose(back, 0.3, atol=1e-6)


@pytest.mark.parametrize("size_m", [0.2, 0.9])
def test_ramp_comes_back_in_place(make_image: ImageFactory, size_m: float) -> None:
    """A ramp shows any shift; a triangle filter cut into pixels errs by 0.05 px at most."""
    ramp = np.tile(np.arange(80, dtype=np.float32), (1, 60, 1))
    image = make_image(ramp, transform=utm(size_m))
    lattice = plan_lattice(image, 0.5, taken_as_m=size_m)
    back = lattice.to_image(lattice.from_image(image.pixels, image.valid))
    np.testing.assert_allclose(back[0, :, 12:-12], ramp[0, :, 12:-12], atol=0.06)


def test_crop_is_sampled_at_the_same_places(make_image: ImageFactory) -> None:
    pixels = np.random.default_rng(0).normal(size=(1, 200, 220)).astype(np.float32)
    scene = make_image(pixels, transform=utm(0.23), resolution_m=0.23)
    row, column = 37, 51
    crop = make_image(
        pixels[:, row:, column:],
        transform=scene.transform @ Affine.translation(column, row),
        resolution_m=0.23,
    )
    whole, part = (plan_lattice(each, 0.5, taken_as_m=None) for each in (scene, crop))
    seen = whole.from_image(scene.pixels, scene.valid)
    seen_in_crop = part.from_image(crop.pixels, crop.valid)
    down = part.rows.first - whole.rows.first
    across = part.columns.first - whole.columns.first
    inside = (slice(None), slice(8, -8), slice(8, -8))
    expected = seen[:, down : down + part.rows.count, across : across + part.columns.count]
    np.testing.assert_allclose(seen_in_crop[inside], expected[inside], atol=1e-4)


def test_rotated_crop_keeps_its_numbers(make_image: ImageFactory) -> None:
    rotated = utm(0.5) @ Affine.rotation(20)
    scene = make_image(transform=rotated)
    crop = make_image(transform=rotated @ Affine.translation(11, 7))
    first, second = (plan_lattice(each, 0.5, taken_as_m=None).origin for each in (scene, crop))
    assert (second[0] - first[0], second[1] - first[1]) == (7, 11)


def test_missing_pixels_do_not_darken_their_neighbours(make_image: ImageFactory) -> None:
    pixels = np.full((1, 40, 40), 0.8, np.float32)
    valid = np.ones((40, 40), np.bool_)
    valid[:, :13] = False
    pixels[:, ~valid] = 0
    image = make_image(pixels, transform=utm(0.2), valid=valid)
    lattice = plan_lattice(image, 0.5, taken_as_m=0.2)
    seen = lattice.from_image(image.pixels, image.valid)
    near_or_none = np.isclose(seen, 0.8, atol=1e-5) | (seen == 0)
    assert near_or_none.all()
    assert (seen[0, :, -1] > 0.79).all()


def test_nearest_gives_back_lattice_values(make_image: ImageFactory) -> None:
    image = make_image(np.zeros((1, 30, 30), np.uint8), crs=None)
    lattice = plan_lattice(image, 0.5, taken_as_m=0.25)
    values = np.arange(lattice.rows.count * lattice.columns.count).reshape(
        1, lattice.rows.count, lattice.columns.count
    )
    shown = lattice.to_image_nearest(values)
    assert shown.shape == (1, 30, 30)
    assert shown[0, 0, 0] == shown[0, 1, 1] == 0
    assert shown[0, 29, 29] == values.max()


@pytest.mark.parametrize(
    ("size_m", "words"), [(10.0, "10 m per pixel, 20 times coarser"), (0.005, "100 times finer")]
)
def test_resolutions_too_far_apart_are_refused(
    make_image: ImageFactory, size_m: float, words: str
) -> None:
    image = make_image(transform=utm(size_m), resolution_m=size_m)
    with pytest.raises(GridError, match=words):
        plan_lattice(image, 0.5, taken_as_m=None)


def test_stated_resolution_comes_before_the_images_own(make_image: ImageFactory) -> None:
    image = make_image(transform=utm(10.0), resolution_m=10.0)
    assert plan_lattice(image, 0.5, taken_as_m=0.5).is_identity


def test_lattice_of_too_many_pixels_is_refused(make_image: ImageFactory) -> None:
    image = make_image(np.zeros((1, 3000, 3000), np.uint8), transform=utm(4.0), resolution_m=4.0)
    with pytest.raises(GridError, match="Cut it into parts"):
        plan_lattice(image, 0.5, taken_as_m=None)
