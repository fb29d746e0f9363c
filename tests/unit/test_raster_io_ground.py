from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from pyproj import Geod
from rasters import UTM, ImageFactory, scene

from n2m_core.errors import GridError
from n2m_core.raster_io import ground_areas_m2, ground_size_m, lonlat_bounds

ELLIPSOID = Geod(ellps="WGS84")


def geodesic_area_m2(south: float, west: float, north: float, east: float) -> float:
    """Area of a box of parallels and meridians on the ellipsoid, by dense geodesics."""
    steps = np.linspace(west, east, 500)
    longitudes = np.concatenate([steps, steps[::-1]])
    latitudes = np.concatenate([np.full(500, south), np.full(500, north)])
    area, _ = ELLIPSOID.polygon_area_perimeter(longitudes, latitudes)
    return abs(float(area))


class TestAreas:
    def test_utm_pixel_is_its_square_but_for_the_scale_factor(
        self, make_image: ImageFactory
    ) -> None:
        areas = ground_areas_m2(make_image())
        assert areas is not None
        assert areas.shape == (40,)
        np.testing.assert_allclose(areas, 0.25 / 0.9996**2, rtol=1e-5)

    @pytest.mark.parametrize("latitude", [0.0, 38.5, 60.0, -75.0])
    def test_degrees(self, make_image: ImageFactory, latitude: float) -> None:
        step = 1e-3
        image = make_image(
            scene(1, 100, 100), crs="EPSG:4326", transform=Affine(step, 0, 10, 0, -step, latitude)
        )
        areas = ground_areas_m2(image)
        assert areas is not None
        whole = geodesic_area_m2(latitude - 100 * step, 10, latitude, 10 + 100 * step)
        assert areas.sum() * 100 == pytest.approx(whole, rel=1e-5)

    def test_web_mercator_is_corrected_to_the_ground(self, make_image: ImageFactory) -> None:
        """At 60 degrees north a Web Mercator metre is half a metre long."""
        north = float(np.arcsinh(np.tan(np.radians(60.0))) * 6_378_137)
        image = make_image(crs="EPSG:3857", transform=Affine(1, 0, 1e6, 0, -1, north))
        areas = ground_areas_m2(image)
        assert areas is not None
        np.testing.assert_allclose(areas, 0.25, rtol=0.005)

    def test_feet_become_metres(self, make_image: ImageFactory) -> None:
        image = make_image(crs="EPSG:2263", transform=Affine(1, 0, 987_000, 0, -1, 211_000))
        areas = ground_areas_m2(image)
        assert areas is not None
        np.testing.assert_allclose(areas, 0.3048**2, rtol=1e-3)

    def test_tiny_pixels_lose_no_digits(self, make_image: ImageFactory) -> None:
        areas = ground_areas_m2(make_image(transform=UTM @ Affine.scale(0.02)))
        assert areas is not None
        np.testing.assert_allclose(areas, 1e-4 / 0.9996**2, rtol=1e-4)

    def test_rotation_keeps_area(self, make_image: ImageFactory) -> None:
        areas = ground_areas_m2(make_image(transform=UTM @ Affine.rotation(33)))
        assert areas is not None
        np.testing.assert_allclose(areas, 0.25 / 0.9996**2, rtol=1e-5)

    def test_without_crs(self, make_image: ImageFactory) -> None:
        assert ground_areas_m2(make_image(crs=None, resolution_m=None)) is None
        areas = ground_areas_m2(make_image(crs=None, resolution_m=0.3))
        assert areas is not None
        np.testing.assert_allclose(areas, 0.09)

    def test_off_the_earth(self, make_image: ImageFactory) -> None:
        image = make_image(crs="EPSG:32633", transform=Affine(1, 0, 1e12, 0, -1, 1e12))
        with pytest.raises(GridError, match="assign the right CRS"):
            ground_areas_m2(image)


class TestSize:
    def test_pixel_sides_differ_in_degrees(self, make_image: ImageFactory) -> None:
        image = make_image(crs="EPSG:4326", transform=Affine(1e-5, 0, 15, 0, -1e-5, 60))
        size = ground_size_m(image)
        assert size is not None
        _, _, north_m = ELLIPSOID.inv(15, 60, 15, 60 - 1e-5)
        _, _, east_m = ELLIPSOID.inv(15, 60, 15 + 1e-5, 60)
        assert size[0] == pytest.approx(north_m, rel=1e-4)
        assert size[1] == pytest.approx(east_m, rel=1e-4)

    def test_unknown_and_stated(self, make_image: ImageFactory) -> None:
        assert ground_size_m(make_image(crs=None, resolution_m=None)) is None
        assert ground_size_m(make_image(crs=None, resolution_m=2.0)) == (2.0, 2.0)


class TestBounds:
    def test_bounds_in_degrees(self, make_image: ImageFactory) -> None:
        image = make_image(crs="EPSG:4326", transform=Affine(0.1, 0, 15, 0, -0.1, 60))
        np.testing.assert_allclose(lonlat_bounds(image), (56, 15, 60, 20))
        with pytest.raises(GridError, match="no georeference"):
            lonlat_bounds(make_image(crs=None))
