"""Where things lie on the desk's map, and back: worked by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from shapely.geometry import Polygon, box

from n2m_core.errors import LabelError
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import write_geotiff
from n2m_core.review import ReviewClass, Source
from pages._ui import review_scene

HALF_METRE = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)
CLASSES = (ReviewClass(0, "background", "#cfcfc4", True), ReviewClass(1, "building", "#d55e00"))


def source(crs: str | None, transform: Affine | None, **changes: object) -> Source:
    made = Source(
        1, "town", "segment", crs, transform, 40, 30, 0.5, CLASSES, None, None, None, {}, (), ""
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def test_an_outline_in_metres_lies_in_pixels() -> None:
    ground = review_scene.ground_of(source("EPSG:32633", HALF_METRE))
    outline = box(500_001, 4_999_996, 500_003, 4_999_999)
    assert review_scene.moved(outline, ground.to_desk).bounds == (2, 2, 6, 8)
    assert (ground.stretch, ground.metres) == (1, 0.5)


def test_degrees_are_stretched_as_the_ground_is() -> None:
    """At 60 degrees north a degree of longitude is half as long as one of latitude."""
    pixel = Affine(1e-5, 0, 10, 0, -1e-5, 60 + 15e-5)
    ground = review_scene.ground_of(source("EPSG:4326", pixel))
    assert ground.stretch == pytest.approx(0.5, abs=1e-6)
    assert ground.metres == pytest.approx(1.1132)
    wide = review_scene.moved(box(10, 60, 10 + 4e-5, 60 + 4e-5), ground.to_desk).bounds
    assert (wide[2] - wide[0], wide[3] - wide[1]) == pytest.approx((2, 4), abs=1e-5)


def test_what_is_drawn_goes_back_to_where_it_came_from() -> None:
    hole = [(500_002, 4_999_990), (500_002, 4_999_992), (500_004, 4_999_992)]
    outline = Polygon(box(500_001, 4_999_988, 500_009, 4_999_998).exterior, [hole])
    for crs, transform in (("EPSG:32633", HALF_METRE), ("EPSG:32633", None), (None, None)):
        ground = review_scene.ground_of(source(crs, transform))
        rings = review_scene.rings_of(review_scene.moved(outline, ground.to_desk))
        assert [[len(ring) for ring in part] for part in rings] == [[4, 3]]
        assert review_scene.shape_of(rings, ground).symmetric_difference(outline).area < 1e-4


@pytest.mark.parametrize("rings", [[[[[0, 0], [1, 1]]]], [[]], [[[["a", 0], [1, 1], [2, 0]]]]])
def test_what_is_no_outline_is_refused(rings: list[list[list[list[float]]]]) -> None:
    with pytest.raises(LabelError, match="three corners"):
        review_scene.shape_of(rings, review_scene.ground_of(source(None, None)))


def test_stairs_of_pixels_are_left_out_for_editing_and_corners_stay() -> None:
    stairs = [(0, 0), (9, 0), (9, 1), (8, 1), (8, 2), (7, 2), (7, 3), (6, 3), (6, 4), (0, 4)]
    made = review_scene.simpler(Polygon(stairs))
    assert len(made.exterior.coords) < 8
    assert {(0, 0), (0, 4), (9, 0)} <= set(made.exterior.coords)


def test_a_crop_is_cut_from_the_picture_and_lies_over_it(tmp_path: Path) -> None:
    pixels = np.zeros((3, 30, 40), np.uint8)
    pixels[:, 10:20, 5:15] = 200
    valid = np.ones((30, 40), np.bool_)
    image = GeoImage(pixels, valid, "EPSG:32633", HALF_METRE, ("red", "green", "blue"))
    write_geotiff(tmp_path / "image.tif", image)
    town = source("EPSG:32633", HALF_METRE, image=tmp_path / "image.tif")
    ground = review_scene.ground_of(town)
    made = review_scene.pictures(town, ground, (3.5, 8, 12.2, 50))
    (picture,) = made["pictures"]
    assert picture["bounds"] == [[-30, 3], [-8, 13]]
    assert picture["side"] == "both"
    assert review_scene.pictures(town, ground, (100, 100, 200, 200))["pictures"] == []
