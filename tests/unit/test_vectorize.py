from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import Geod
from rasters import UTM, ImageFactory
from scipy import ndimage
from shapely.geometry import shape

from n2m_core.errors import LabelError, OutputError, ParameterError
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import ground_areas_m2, read_labels
from n2m_core.vectorize import geojson_bytes, geopackage_bytes, to_polygons, write_vector

NAMES = {0: "background", 1: "built", 2: "demolished"}
GRIDS = [
    pytest.param("EPSG:32633", UTM, id="utm"),
    pytest.param("EPSG:4326", Affine(6e-6, 0, -122.7, 0, -4e-6, 38.5), id="degrees"),
    pytest.param("EPSG:3857", Affine(0.6, 0, -1.3e7, 0, -0.6, 8.4e6), id="mercator at 60 N"),
    pytest.param("EPSG:32633", UTM @ Affine.rotation(25), id="rotated"),
    pytest.param("EPSG:32633", UTM @ Affine.scale(1, -1), id="south-up"),
]


def blobs(height: int = 120, width: int = 150) -> NDArray[np.uint8]:
    """Regions of three classes with holes, and a corner without data."""
    noise = np.random.default_rng(5).normal(size=(height, width))
    smooth = ndimage.gaussian_filter(noise, 4)
    labels = np.digitize(smooth, np.quantile(smooth, [0.5, 0.8])).astype(np.uint8)
    labels[:15, :15] = 255
    return labels


@pytest.fixture
def place(make_image: ImageFactory) -> Callable[..., GeoImage]:
    """Put a class map on a grid."""

    def _place(
        labels: NDArray[np.uint8],
        crs: str | None = "EPSG:32633",
        transform: Affine = UTM,
        resolution_m: float | None = None,
    ) -> GeoImage:
        return make_image(
            labels[None],
            crs=crs,
            transform=transform,
            valid=labels != 255,
            resolution_m=resolution_m,
        )

    return _place


class TestShapes:
    def test_hand_drawn_map(self, place: Callable[..., GeoImage]) -> None:
        labels = np.array([[1, 1, 0, 2], [1, 0, 0, 2], [0, 1, 255, 255], [0, 0, 255, 2]], np.uint8)
        confidence = np.full(labels.shape, 0.5, np.float32)
        confidence[0, 0], confidence[0, 3] = 0.8, 1.0
        frame = to_polygons(labels, place(labels, None), NAMES, confidence=confidence)
        # Pixels that touch at a corner alone are regions of their own.
        assert frame["class"].tolist() == ["built", "built", "demolished", "demolished"]
        assert frame["class_id"].tolist() == [1, 1, 2, 2]
        assert frame["area_px"].tolist() == [3.0, 1.0, 2.0, 1.0]
        np.testing.assert_allclose(frame["confidence"], [0.6, 0.5, 0.75, 0.5], rtol=1e-6)
        assert frame.geometry.iloc[1].equals(shapely.box(1, 2, 2, 3))
        assert frame.crs is None

    def test_holes_are_left_out(self, place: Callable[..., GeoImage]) -> None:
        labels = np.ones((5, 5), np.uint8)
        labels[2, 2] = 0
        frame = to_polygons(labels, place(labels, None), NAMES)
        assert len(frame.geometry.iloc[0].interiors) == 1
        assert frame["area_px"].tolist() == [24.0]

    def test_polygons_cover_exactly_their_pixels(self, place: Callable[..., GeoImage]) -> None:
        labels = blobs()
        frame = to_polygons(labels, place(labels, None), NAMES)
        assert frame.geometry.is_valid.all()
        np.testing.assert_allclose(frame.geometry.area, frame["area_px"])
        for index in (1, 2):
            assert frame.loc[frame["class_id"] == index, "area_px"].sum() == (labels == index).sum()

    def test_any_background_or_none(self, place: Callable[..., GeoImage]) -> None:
        labels = blobs()
        grid = place(labels, None)
        every = to_polygons(labels, grid, NAMES, background=None)
        assert set(every["class"]) == set(NAMES.values())
        assert every["area_px"].sum() == (labels != 255).sum()
        assert set(to_polygons(labels, grid, NAMES, background=2)["class_id"]) == {0, 1}

    def test_classes_without_a_name_are_left_out(self, place: Callable[..., GeoImage]) -> None:
        labels = blobs()
        frame = to_polygons(labels, place(labels, None), {2: "demolished"})
        assert set(frame["class_id"]) == {2}

    def test_nothing_found_is_an_empty_table(self, place: Callable[..., GeoImage]) -> None:
        labels = np.zeros((4, 4), np.uint8)
        frame = to_polygons(labels, place(labels), NAMES)
        assert len(frame) == 0
        assert list(frame.columns) == ["class", "class_id", "area_m2", "confidence", "geometry"]
        assert json.loads(geojson_bytes(frame))["features"] == []
        assert geopackage_bytes(frame)

    def test_one_pixel(self, place: Callable[..., GeoImage]) -> None:
        labels = np.ones((1, 1), np.uint8)
        assert len(to_polygons(labels, place(labels), NAMES)) == 1

    def test_confidence_unknown_is_nan(self, place: Callable[..., GeoImage]) -> None:
        labels = blobs()
        assert to_polygons(labels, place(labels), NAMES)["confidence"].isna().all()

    def test_refuses_a_map_of_another_size(self, place: Callable[..., GeoImage]) -> None:
        with pytest.raises(LabelError, match="same size"):
            to_polygons(blobs(50, 60), place(blobs()), NAMES)


class TestAreas:
    @pytest.mark.parametrize(("crs", "transform"), GRIDS)
    def test_areas_agree_with_the_pixel_count(
        self, place: Callable[..., GeoImage], crs: str, transform: Affine
    ) -> None:
        labels = blobs()
        grid = place(labels, crs, transform)
        frame = to_polygons(labels, grid, NAMES)
        pixel_m2 = ground_areas_m2(grid)
        assert pixel_m2 is not None
        for index in (1, 2):
            found = frame.loc[frame["class_id"] == index, "area_m2"].sum()
            counted = (labels == index).sum() * pixel_m2[len(pixel_m2) // 2]
            assert found == pytest.approx(counted, rel=0.001)

    @pytest.mark.parametrize(("crs", "transform"), GRIDS)
    def test_areas_are_those_of_the_geometry_on_the_ellipsoid(
        self, place: Callable[..., GeoImage], crs: str, transform: Affine
    ) -> None:
        labels = blobs()
        frame = to_polygons(labels, place(labels, crs, transform), NAMES)
        degrees = frame.to_crs("EPSG:4326").geometry
        ellipsoid = Geod(ellps="WGS84")
        geodesic = [abs(ellipsoid.geometry_area_perimeter(one)[0]) for one in degrees]
        np.testing.assert_allclose(frame["area_m2"], geodesic, rtol=2e-3, atol=0.01)

    def test_utm_areas_are_the_nominal_square_metres(self, place: Callable[..., GeoImage]) -> None:
        labels = blobs()
        frame = to_polygons(labels, place(labels), NAMES)
        np.testing.assert_allclose(frame["area_m2"], frame.geometry.area, rtol=0.001)

    def test_stated_resolution_gives_square_metres(self, place: Callable[..., GeoImage]) -> None:
        labels = np.ones((3, 4), np.uint8)
        frame = to_polygons(labels, place(labels, None, resolution_m=0.5), NAMES)
        assert frame["area_m2"].tolist() == [3.0]

    def test_small_regions_go(self, place: Callable[..., GeoImage]) -> None:
        labels = blobs()
        grid = place(labels)
        every = to_polygons(labels, grid, NAMES)
        large = to_polygons(labels, grid, NAMES, min_area_m2=20)
        assert 0 < len(large) < len(every)
        assert large["area_m2"].min() >= 20
        assert len(large) == (every["area_m2"] >= 20).sum()

    def test_least_area_needs_a_ground_resolution(self, place: Callable[..., GeoImage]) -> None:
        with pytest.raises(ParameterError, match="ground resolution"):
            to_polygons(blobs(), place(blobs(), None), NAMES, min_area_m2=5)


class TestGeoJson:
    @pytest.mark.parametrize(("crs", "transform"), GRIDS)
    def test_follows_rfc_7946(
        self, place: Callable[..., GeoImage], crs: str, transform: Affine
    ) -> None:
        labels = blobs()
        labels[60:70, 60:70], labels[64:66, 64:66] = 1, 0
        frame = to_polygons(labels, place(labels, crs, transform), NAMES)
        collection = json.loads(geojson_bytes(frame))
        assert set(collection) == {"type", "features"}
        assert collection["type"] == "FeatureCollection"
        assert len(collection["features"]) == len(frame)
        for feature in collection["features"]:
            polygon = shape(feature["geometry"])
            assert polygon.exterior.is_ccw
            assert not any(ring.is_ccw for ring in polygon.interiors)
            assert feature["properties"]["confidence"] is None
        bounds = frame.to_crs("EPSG:4326").total_bounds
        every = shapely.union_all([shape(each["geometry"]) for each in collection["features"]])
        np.testing.assert_allclose(every.bounds, bounds, rtol=0, atol=1e-6)

    def test_cuts_at_the_180th_meridian(self, place: Callable[..., GeoImage]) -> None:
        # Fiji: UTM zone 60 south, 100 m pixels across the date line.
        labels = np.ones((10, 200), np.uint8)
        grid = place(labels, "EPSG:32760", Affine(100, 0, 810_000, 0, -100, 8_100_000))
        frame = to_polygons(labels, grid, NAMES)
        feature = json.loads(geojson_bytes(frame))["features"][0]
        assert feature["geometry"]["type"] == "MultiPolygon"
        parts = shape(feature["geometry"]).geoms
        assert len(parts) == 2
        assert {part.bounds[0] < 0 for part in parts} == {True, False}
        area = sum(abs(Geod(ellps="WGS84").geometry_area_perimeter(part)[0]) for part in parts)
        assert area == pytest.approx(frame["area_m2"].iloc[0], rel=0.01)

    def test_pixels_say_that_they_are_pixels(self, place: Callable[..., GeoImage]) -> None:
        labels = np.array([[0, 1]], np.uint8)
        collection = json.loads(geojson_bytes(to_polygons(labels, place(labels, None), NAMES)))
        assert collection["coordinates"] == "pixels (column, row)"
        assert shape(collection["features"][0]["geometry"]).equals(shapely.box(1, 0, 2, 1))

    def test_text_in_class_names_is_escaped(self, place: Callable[..., GeoImage]) -> None:
        labels = np.ones((2, 2), np.uint8)
        name = 'a "quoted" <name> ü'
        data = geojson_bytes(to_polygons(labels, place(labels), {1: name}))
        assert json.loads(data)["features"][0]["properties"]["class"] == name


class TestFiles:
    @pytest.mark.parametrize(("crs", "transform"), GRIDS)
    def test_geopackage_keeps_crs_place_and_columns(
        self, place: Callable[..., GeoImage], tmp_path: Path, crs: str, transform: Affine
    ) -> None:
        labels = blobs()
        confidence = np.full(labels.shape, 0.75, np.float32)
        frame = to_polygons(labels, place(labels, crs, transform), NAMES, confidence=confidence)
        write_vector(tmp_path / "map.gpkg", frame)
        back = gpd.read_file(tmp_path / "map.gpkg")
        assert back.crs == frame.crs
        assert back["class"].tolist() == frame["class"].tolist()
        np.testing.assert_allclose(back["area_m2"], frame["area_m2"])
        assert shapely.equals_exact(back.geometry.values, frame.geometry.values, 1e-9).all()

    def test_geopackage_in_another_crs(
        self, place: Callable[..., GeoImage], tmp_path: Path
    ) -> None:
        labels = blobs()
        path = tmp_path / "map.gpkg"
        path.write_bytes(geopackage_bytes(to_polygons(labels, place(labels), NAMES), "EPSG:4326"))
        assert gpd.read_file(path).crs.to_epsg() == 4326

    def test_geopackage_in_pixels(self, place: Callable[..., GeoImage], tmp_path: Path) -> None:
        labels = blobs()
        write_vector(tmp_path / "map.gpkg", to_polygons(labels, place(labels, None), NAMES))
        assert "area_px" in gpd.read_file(tmp_path / "map.gpkg").columns

    @pytest.mark.parametrize("name", ["map.geojson", "map.JSON"])
    def test_geojson_by_suffix(
        self, place: Callable[..., GeoImage], tmp_path: Path, name: str
    ) -> None:
        labels = blobs()
        frame = to_polygons(labels, place(labels), NAMES)
        write_vector(tmp_path / name, frame)
        assert (tmp_path / name).read_bytes() == geojson_bytes(frame)

    @pytest.mark.parametrize("name", ["map.shp", "map", "map.tif"])
    def test_refuses_other_suffixes(
        self, place: Callable[..., GeoImage], tmp_path: Path, name: str
    ) -> None:
        frame = to_polygons(blobs(), place(blobs()), NAMES)
        with pytest.raises(ParameterError, match=r"\.geojson, \.json, \.gpkg"):
            write_vector(tmp_path / name, frame)
        assert not list(tmp_path.iterdir())

    def test_failure_leaves_what_was_there(
        self, place: Callable[..., GeoImage], tmp_path: Path
    ) -> None:
        frame = to_polygons(blobs(), place(blobs()), NAMES)
        (tmp_path / "map.geojson").mkdir()
        with pytest.raises(OutputError, match="can't be written"):
            write_vector(tmp_path / "map.geojson", frame)
        assert [path.name for path in tmp_path.iterdir()] == ["map.geojson"]


def test_real_building_areas(data_root: Path) -> None:
    """Footprints of a real town in degrees: the sum of areas is the count times the pixel."""
    path = sorted((data_root / "buildings" / "banepa_demo" / "masks").glob("*.tif"))[0]
    mask = read_labels(path)
    labels = (mask.pixels[0] > 0).astype(np.uint8)
    frame = to_polygons(labels, mask, {1: "building"})
    assert mask.resolution_m is not None
    counted = labels.sum() * mask.resolution_m**2
    assert frame["area_m2"].sum() == pytest.approx(counted, rel=0.01)
