from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasters import UTM, RasterFactory, scene

from n2m_core.errors import ParameterError
from n2m_core.raster_io import read_image

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


class TestPlace:
    def test_projected(self, write_raster: RasterFactory) -> None:
        image = read_image(write_raster(scene()))
        assert image.crs == "EPSG:32633"
        assert image.transform == UTM
        assert image.is_georeferenced
        assert image.notes == ()

    def test_geographic(self, write_raster: RasterFactory) -> None:
        degrees = Affine(1e-5, 0, 15.0, 0, -1e-5, 60.0)
        image = read_image(write_raster(scene(), crs="EPSG:4326", transform=degrees))
        # At 60 degrees north a degree of longitude is half as long as one of latitude.
        assert image.resolution_m == pytest.approx(1.114 * np.sqrt(0.5 * 1.0003), rel=0.005)

    def test_no_georeference(self, write_raster: RasterFactory) -> None:
        image = read_image(write_raster(scene(), crs=None))
        assert image.crs is None
        assert image.transform.is_identity
        assert image.resolution_m is None
        assert any("no georeference" in note for note in image.notes)

    def test_transform_without_crs(self, tmp_path: Path) -> None:
        path = tmp_path / "local.tif"
        size = {"width": 5, "height": 4, "count": 1, "dtype": "uint8"}
        with rasterio.open(path, "w", "GTiff", **size, transform=UTM) as dataset:
            dataset.write(scene(1, 4, 5))
        image = read_image(path)
        assert not image.is_georeferenced
        assert image.transform == UTM
        assert any("no CRS" in note for note in image.notes)

    def test_rotated(self, write_raster: RasterFactory) -> None:
        turned = UTM @ Affine.rotation(30)
        image = read_image(write_raster(scene(), transform=turned))
        assert image.transform.almost_equals(turned)
        assert image.resolution_m == pytest.approx(0.5, rel=1e-3)

    def test_south_up(self, write_raster: RasterFactory) -> None:
        flipped = Affine(0.5, 0, 500_000, 0, 0.5, 5_000_000)
        image = read_image(write_raster(scene(), transform=flipped))
        assert image.transform == flipped
        assert any("south-up" in note for note in image.notes)

    def test_crs_of_its_own_is_kept_as_wkt(self, write_raster: RasterFactory) -> None:
        own = "+proj=tmerc +lat_0=12 +lon_0=15.3 +k=0.9993 +x_0=1000 +datum=WGS84"
        image = read_image(write_raster(scene(), crs=own))
        assert image.crs is not None
        assert "15.3" in image.crs
        assert image.resolution_m == pytest.approx(0.5, rel=0.2)

    def test_coordinates_off_the_earth_count_as_no_place(self, write_raster: RasterFactory) -> None:
        path = write_raster(scene(), transform=Affine(1, 0, 1e12, 0, -1, 1e12))
        image = read_image(path)
        assert image.crs is None
        assert any("no place on the Earth" in note for note in image.notes)

    def test_resolution_can_be_stated(self, write_raster: RasterFactory) -> None:
        path = write_raster(scene(), crs=None)
        assert read_image(path, resolution_m=0.3).resolution_m == 0.3

    @pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
    def test_refuses_impossible_resolution(self, write_raster: RasterFactory, wrong: float) -> None:
        with pytest.raises(ParameterError, match="positive"):
            read_image(write_raster(scene()), resolution_m=wrong)


@pytest.fixture
def real_file(data_root: Path) -> Callable[[str], Path]:
    def _find(pattern: str) -> Path:
        return sorted(data_root.glob(pattern))[0]

    return _find


@pytest.mark.parametrize(
    ("pattern", "bands", "crs", "resolution_m"),
    [
        ("buildings/banepa_demo/images/*.tif", 3, "EPSG:4326", 0.132),
        ("change/wildfire/val/B/*.tif", 3, "EPSG:4326", 0.448),
        ("change/landsat/taizhou/A.tif", 6, "EPSG:32651", 29.98),
        ("series/naip/*.tif", 4, "EPSG:26914", 5.0),
        ("landcover/val/masks/*.png", 3, None, None),
    ],
)
def test_reads_real_imagery(
    real_file: Callable[[str], Path],
    pattern: str,
    bands: int,
    crs: str | None,
    resolution_m: float | None,
) -> None:
    image = read_image(real_file(pattern))
    assert image.bands == bands
    assert image.crs == crs
    assert image.valid.mean() > 0.5
    if resolution_m is None:
        assert image.resolution_m is None
    else:
        assert image.resolution_m == pytest.approx(resolution_m, rel=0.01)
