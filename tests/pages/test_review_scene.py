"""Where things lie on the desk's map, and back: worked by hand."""

from __future__ import annotations

import base64
import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from PIL import Image
from shapely.geometry import Polygon, box

from n2m_core.errors import LabelError, ReviewError
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import write_geotiff
from n2m_core.review import ReviewClass, Source
from pages._ui import review_pictures, review_scene, settings
from pages._ui.detail import OFFERED, cut

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


@pytest.fixture
def large_town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """A picture and a map larger than what is worked on at once; nobody reads them whole."""
    pixels = np.full((3, 300, 400), 40, np.uint16)
    pixels[:, 100:200, 50:150] = 2000
    labels = (pixels[:1] == 2000).astype(np.uint8)
    valid = np.ones((300, 400), np.bool_)
    image = GeoImage(pixels, valid, "EPSG:32633", HALF_METRE, ("red", "green", "blue"))
    write_geotiff(tmp_path / "image.tif", image)
    write_geotiff(tmp_path / "map.tif", image.with_pixels(labels, ("class",)))
    monkeypatch.setattr(settings, "area_px", lambda: 100_000)
    monkeypatch.setattr(review_pictures, "picture", lambda *_: pytest.fail("read whole"))
    return source(
        "EPSG:32633",
        HALF_METRE,
        width=400,
        height=300,
        image=tmp_path / "image.tif",
        map=tmp_path / "map.tif",
    )


def decoded(url: str) -> np.ndarray:
    """The pixels of a data URI, uint8 [H, W, 4]."""
    data = base64.b64decode(url.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


def test_windows_of_a_large_picture_are_read_from_its_file(large_town: Source) -> None:
    window = slice(90, 130), slice(40, 100)
    shown = decoded(review_pictures.encoded(large_town, "image", window)[0])
    assert shown.shape == (40, 60, 4)
    inside = np.zeros((40, 60), np.bool_)
    inside[10:, 10:] = True
    assert (shown[..., :3][inside].min() > 200) and (shown[..., :3][~inside].max() < 60)
    classes = decoded(review_pictures.encoded(large_town, "map", window)[0])
    np.testing.assert_array_equal(classes[..., 3] > 0, inside)


def test_a_large_picture_can_be_asked_for_by_windows_of_the_desk(large_town: Source) -> None:
    for role in ("image", "map"):
        _, token = review_pictures.encoded(large_town, role, (slice(0, 9), slice(0, 9)))
        detail = OFFERED.get(token)
        assert detail is not None
        made = cut(detail, (-130.0, 40.0, -90.0, 100.0))
        assert made is not None
        url, ((south, west), (north, east)) = made
        assert (south, west) <= (-130.0, 40.0) and (north, east) >= (-90.0, 100.0)
        assert decoded(url).shape[:2] == (round(north - south), round(east - west))


def test_a_damaged_large_picture_is_named(large_town: Source) -> None:
    assert large_town.image is not None
    large_town.image.write_bytes(b"II*\0nothing")
    with pytest.raises(ReviewError, match="image of town can't be shown"):
        review_pictures.encoded(large_town, "image", (slice(0, 9), slice(0, 9)))
