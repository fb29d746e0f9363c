from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasters import UTM, ImageFactory, RasterFactory
from tiny_models import BUILDINGS

from n2m_core.checkpoints import ClassInfo
from n2m_core.datasets.rough import read_rough
from n2m_core.errors import ImageReadError, LabelError, NoOverlapError
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import write_geotiff

COVER = (
    ClassInfo("building", "#d55e00", "#3c1098"),
    ClassInfo("road", "#6b6b6b", "#6ec1e4"),
    ClassInfo("water", "#0072b2", "#e2a929"),
)
HEIGHT, WIDTH = 40, 50


@pytest.fixture
def image(make_image: ImageFactory) -> GeoImage:
    return make_image(np.zeros((3, HEIGHT, WIDTH), np.uint8))


def block(value: int = 1) -> NDArray[np.uint8]:
    """Rows 10 to 19, columns 20 to 29."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[10:20, 20:30] = value
    return labels


@pytest.mark.parametrize("value", [1, 7, 255])
def test_binary_masks_of_any_value_are_read(
    image: GeoImage, write_raster: RasterFactory, value: int
) -> None:
    found = read_rough(write_raster(block(value)[None]), image, BUILDINGS)
    assert np.array_equal(found.labels, block())
    assert found.notes == ()


def test_zeros_marked_as_nodata_are_background(
    image: GeoImage, write_raster: RasterFactory
) -> None:
    path = write_raster(block(255)[None], nodata=0)
    assert np.array_equal(read_rough(path, image, BUILDINGS).labels, block())


def test_our_own_map_comes_back_as_it_was_written(image: GeoImage, tmp_path: Path) -> None:
    labels = block(2)
    labels[:5] = 255
    colors = {i: (10 * i, 20, 30) for i in range(3)}
    whole = image.with_pixels(labels[None], ("class",), valid=labels != 255)
    write_geotiff(tmp_path / "map.tif", whole, nodata=255, colormap=colors)
    found = read_rough(tmp_path / "map.tif", image, COVER)
    assert np.array_equal(found.labels, labels)
    assert "nothing of 12.5% of the image" in found.notes[0]


def test_a_map_in_the_classes_colours_is_read(image: GeoImage, write_raster: RasterFactory) -> None:
    rgb = np.zeros((3, HEIGHT, WIDTH), np.uint8)
    rgb[:] = 0x6B  # road, as on maps
    rgb[:, 10:20, 20:30] = np.array([0xE2, 0xA9, 0x29])[:, None, None]  # water, as in masks
    found = read_rough(write_raster(rgb), image, COVER)
    assert np.array_equal(found.labels, np.where(block() == 1, 2, 1))


def test_a_map_of_another_grid_is_aligned(image: GeoImage, write_raster: RasterFactory) -> None:
    path = write_raster(block()[None, ::2, ::2], transform=UTM @ Affine.scale(2))
    found = read_rough(path, image, BUILDINGS)
    assert np.array_equal(found.labels, block())
    assert "another grid" in found.notes[0]


def test_a_map_of_another_place_is_refused(image: GeoImage, write_raster: RasterFactory) -> None:
    path = write_raster(block()[None], transform=UTM @ Affine.translation(5000, 0))
    with pytest.raises(NoOverlapError, match="do not overlap"):
        read_rough(path, image, BUILDINGS)


def test_what_is_no_map_of_these_classes_is_refused(
    image: GeoImage, write_raster: RasterFactory, tmp_path: Path
) -> None:
    ramp = np.linspace(0, 1, HEIGHT * WIDTH, dtype=np.float32).reshape(1, HEIGHT, WIDTH)
    cases = {
        "p.tif": (ramp, BUILDINGS, "2000 different values .* cut probabilities"),
        "m.tif": (np.arange(4, dtype=np.uint8).repeat(500).reshape(1, HEIGHT, WIDTH), BUILDINGS,
                  "0, 1, 2, 3, which are other classes .* 0 background, 1 building"),
        "n.tif": (block(9)[None], COVER, "0, 9, which are other classes"),
    }  # fmt: skip
    for name, (pixels, classes, message) in cases.items():
        with pytest.raises(LabelError, match=message):
            read_rough(write_raster(pixels, name), image, classes)
    small = write_raster(np.zeros((1, 8, 8), np.uint8), "small.png", crs=None)
    with pytest.raises(LabelError, match="8 x 8 px and the image 50 x 40"):
        read_rough(small, image, BUILDINGS)
    photo = np.random.default_rng(0).integers(0, 255, (3, HEIGHT, WIDTH), np.uint8)
    with pytest.raises(LabelError, match="a picture, not a map"):
        read_rough(write_raster(photo, "photo.tif"), image, BUILDINGS)
    (tmp_path / "broken.tif").write_bytes(b"rubbish")
    with pytest.raises(ImageReadError):
        read_rough(tmp_path / "broken.tif", image, BUILDINGS)


def polygons(crs: str | None = "EPSG:32633", **columns: object) -> gpd.GeoDataFrame:
    """The block as a polygon on the ground, and a second one beside it."""
    west, north = 500_000 + 20 * 0.5, 5_000_000 - 10 * 0.5
    shapes = [shapely.box(west, north - 5, west + 5, north)]
    shapes.append(shapely.box(west + 10, north - 5, west + 15, north))
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=crs)


@pytest.mark.parametrize("name", ["p.gpkg", "p.geojson"])
def test_polygons_are_burnt_where_they_lie(image: GeoImage, tmp_path: Path, name: str) -> None:
    frame = polygons()
    frame = frame.to_crs("EPSG:4326") if name.endswith("geojson") else frame
    frame.to_file(tmp_path / name)
    found = read_rough(tmp_path / name, image, BUILDINGS)
    expected = block()
    expected[10:20, 40:50] = 1
    assert np.array_equal(found.labels, expected)


def test_polygons_name_their_class_where_there_are_several(image: GeoImage, tmp_path: Path) -> None:
    polygons(**{"class": ["water", "building"]}).to_file(tmp_path / "named.gpkg")
    labels = read_rough(tmp_path / "named.gpkg", image, COVER).labels
    assert (labels[10:20, 20:30] == 2).all()
    assert (labels[10:20, 40:50] == 0).all()
    assert (labels[:10] == 255).all()
    polygons(**{"class": ["roof", "tree"]}).to_file(tmp_path / "others.gpkg")
    with pytest.raises(LabelError, match=r"name the classes roof, tree; .* building, road, water"):
        read_rough(tmp_path / "others.gpkg", image, COVER)
    polygons().to_file(tmp_path / "none.gpkg")
    with pytest.raises(LabelError, match="name no class"):
        read_rough(tmp_path / "none.gpkg", image, COVER)


def test_polygons_that_do_not_fit_are_refused(image: GeoImage, tmp_path: Path) -> None:
    polygons().translate(9000).to_file(tmp_path / "far.gpkg")
    with pytest.raises(NoOverlapError, match="none lies on the image"):
        read_rough(tmp_path / "far.gpkg", image, BUILDINGS)
    gpd.GeoDataFrame(geometry=[shapely.Point(1, 2)], crs="EPSG:4326").to_file(tmp_path / "p.gpkg")
    with pytest.raises(LabelError, match="holds Point; polygons"):
        read_rough(tmp_path / "p.gpkg", image, BUILDINGS)
    (tmp_path / "broken.geojson").write_text("{", encoding="utf-8")
    with pytest.raises(LabelError, match="can't be read as polygons"):
        read_rough(tmp_path / "broken.geojson", image, BUILDINGS)


def test_polygons_of_a_picture_without_georeference_lie_in_pixels(
    make_image: ImageFactory, tmp_path: Path
) -> None:
    image = make_image(np.zeros((3, HEIGHT, WIDTH), np.uint8), crs=None)
    shape = gpd.GeoDataFrame(geometry=[shapely.box(20, 10, 30, 20)], crs=None)
    shape.to_file(tmp_path / "pixels.gpkg")
    found = read_rough(tmp_path / "pixels.gpkg", image, BUILDINGS)
    assert np.array_equal(found.labels, block())
    assert "taken in pixels" in found.notes[0]
