from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasters import UTM, ImageFactory, scene

from n2m_core.errors import BandError, OutputError, ParameterError
from n2m_core.raster_io import geotiff_bytes, read_image, read_labels, same_grid, write_geotiff

GRIDS = [
    pytest.param("EPSG:32633", UTM, id="utm"),
    pytest.param("EPSG:4326", Affine(1e-5, 0, 15, 0, -1e-5, 60), id="degrees"),
    pytest.param("EPSG:3857", Affine(0.6, 0, 2e6, 0, -0.6, 6e6), id="mercator"),
    pytest.param("EPSG:32633", UTM @ Affine.rotation(30), id="rotated"),
    pytest.param("EPSG:32633", UTM @ Affine.scale(1, -1), id="south-up"),
    pytest.param(None, Affine.identity(), id="no place"),
]
BIG_WRITE = """
import sys
from pathlib import Path
import numpy as np
from affine import Affine
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import write_geotiff

pixels = np.random.default_rng(0).integers(0, 255, (3, 900, 900), dtype=np.uint8)
image = GeoImage(
    pixels, np.ones((900, 900), bool), "EPSG:32633", Affine(1, 0, 5e5, 0, -1, 5e6), ("a", "b", "c")
)
"""


class TestRoundTrip:
    @pytest.mark.parametrize(("crs", "transform"), GRIDS)
    def test_grid_pixels_mask_and_names_come_back(
        self, make_image: ImageFactory, tmp_path: Path, crs: str | None, transform: Affine
    ) -> None:
        valid = np.ones((40, 50), np.bool_)
        valid[:5, :9] = False
        image = make_image(
            crs=crs, transform=transform, valid=valid, names=("red", "green", "blue")
        )
        write_geotiff(tmp_path / "out.tif", image)
        back = read_image(tmp_path / "out.tif")
        assert same_grid(back, image)
        assert back.transform.almost_equals(image.transform, 1e-9)
        np.testing.assert_array_equal(back.pixels, image.pixels)
        np.testing.assert_array_equal(back.valid, valid)
        assert back.band_names == image.band_names

    @pytest.mark.parametrize(
        "dtype",
        ["uint8", "int8", "uint16", "int16", "int32", "uint32", "int64", "float32", "float64"],
    )
    def test_dtypes_come_back(self, make_image: ImageFactory, tmp_path: Path, dtype: str) -> None:
        image = make_image(scene(2, 20, 20, dtype))
        write_geotiff(tmp_path / "out.tif", image)
        back = read_image(tmp_path / "out.tif")
        assert back.pixels.dtype == dtype
        np.testing.assert_array_equal(back.pixels, image.pixels)

    @pytest.mark.parametrize(("dtype", "wider"), [("bool", "uint8"), ("float16", "float32")])
    def test_dtypes_that_tiff_lacks_are_widened(
        self, make_image: ImageFactory, tmp_path: Path, dtype: str, wider: str
    ) -> None:
        image = make_image((scene(1) % 2).astype(dtype))
        write_geotiff(tmp_path / "out.tif", image)
        back = read_image(tmp_path / "out.tif")
        assert back.pixels.dtype == wider
        np.testing.assert_array_equal(back.pixels, image.pixels)

    @pytest.mark.parametrize("size", [(1, 1), (1, 7), (513, 1025)])
    def test_sizes_come_back(
        self, make_image: ImageFactory, tmp_path: Path, size: tuple[int, int]
    ) -> None:
        image = make_image(scene(1, *size))
        write_geotiff(tmp_path / "out.tif", image)
        np.testing.assert_array_equal(read_image(tmp_path / "out.tif").pixels, image.pixels)

    @pytest.mark.parametrize("names", [("red", "green", "blue", "nir"), None])
    def test_four_bands_do_not_turn_into_transparency(
        self, make_image: ImageFactory, tmp_path: Path, names: tuple[str, ...] | None
    ) -> None:
        pixels = scene(4)
        pixels[3] = pixels[3] // 100 * 255
        image = make_image(pixels, names=names)
        write_geotiff(tmp_path / "out.tif", image)
        back = read_image(tmp_path / "out.tif")
        assert back.bands == 4
        assert back.valid.all()

    def test_crs_of_its_own_comes_back(self, make_image: ImageFactory, tmp_path: Path) -> None:
        own = rasterio.CRS.from_string(
            "+proj=tmerc +lat_0=12 +lon_0=15.3 +k=0.9993 +x_0=1000 +datum=WGS84"
        )
        image = make_image(crs=own.to_wkt())
        write_geotiff(tmp_path / "out.tif", image)
        back = read_image(tmp_path / "out.tif")
        assert rasterio.CRS.from_string(back.crs) == own


class TestMaps:
    def test_class_map_shows_its_colours_in_any_gis(
        self, make_image: ImageFactory, tmp_path: Path
    ) -> None:
        labels = (scene(1) % 3).astype(np.uint8)
        valid = np.ones((40, 50), np.bool_)
        valid[0] = False
        image = make_image(labels, valid=valid, names=("class",))
        colours = {0: (1, 2, 3), 1: (200, 100, 0), 2: (0, 0, 255)}
        write_geotiff(
            tmp_path / "map.tif", image, nodata=255, colormap=colours, tags={"CHECKPOINT": "n2m"}
        )
        with rasterio.open(tmp_path / "map.tif") as dataset:
            assert dataset.nodata == 255
            assert dataset.colormap(1)[1] == (200, 100, 0, 255)
            assert dataset.tags()["CHECKPOINT"] == "n2m"
            assert dataset.descriptions == ("class",)
            assert (dataset.read(1)[0] == 255).all()
        back = read_labels(tmp_path / "map.tif")
        np.testing.assert_array_equal(back.valid, valid)
        np.testing.assert_array_equal(back.pixels[:, valid], labels[:, valid])

    def test_file_is_cloud_optimised(self, make_image: ImageFactory, tmp_path: Path) -> None:
        write_geotiff(tmp_path / "out.tif", make_image(scene(1, 1300, 1300)))
        with rasterio.open(tmp_path / "out.tif") as dataset:
            assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert dataset.overviews(1) == [2, 4]
            assert dataset.block_shapes == [(512, 512)]

    def test_overviews_of_a_class_map_hold_only_its_classes(
        self, make_image: ImageFactory, tmp_path: Path
    ) -> None:
        labels = (np.indices((1100, 1100)).sum(0) % 2 * 2).astype(np.uint8)[None]
        # The mean of black and white is the colour of a class that is not there.
        colours = {0: (0, 0, 0), 1: (128, 128, 128), 2: (255, 255, 255)}
        write_geotiff(tmp_path / "map.tif", make_image(labels), colormap=colours)
        with rasterio.open(tmp_path / "map.tif", overview_level=0) as dataset:
            assert set(np.unique(dataset.read(1))) <= {0, 2}

    def test_nan_can_be_nodata(self, make_image: ImageFactory, tmp_path: Path) -> None:
        valid = np.ones((40, 50), np.bool_)
        valid[3, 4] = False
        image = make_image(scene(1, dtype="float32"), valid=valid)
        write_geotiff(tmp_path / "out.tif", image, nodata=float("nan"))
        back = read_image(tmp_path / "out.tif")
        np.testing.assert_array_equal(back.valid, valid)

    def test_bytes_are_the_file(self, make_image: ImageFactory, tmp_path: Path) -> None:
        image = make_image()
        write_geotiff(tmp_path / "out.tif", image, nodata=0)
        assert geotiff_bytes(image, nodata=0) == (tmp_path / "out.tif").read_bytes()


class TestRefusals:
    def test_colours_need_one_band_of_uint8(self, make_image: ImageFactory) -> None:
        with pytest.raises(BandError, match="one band of uint8; the image has 3"):
            geotiff_bytes(make_image(), colormap={0: (0, 0, 0)})
        with pytest.raises(BandError, match="1 of uint16"):
            geotiff_bytes(make_image(scene(1, dtype="uint16")), colormap={0: (0, 0, 0)})

    @pytest.mark.parametrize("nodata", [-1, 256, 0.5, float("nan")])
    def test_nodata_must_fit_the_dtype(self, make_image: ImageFactory, nodata: float) -> None:
        with pytest.raises(ParameterError, match="does not fit uint8"):
            geotiff_bytes(make_image(), nodata=nodata)

    def test_a_folder_is_no_file(self, make_image: ImageFactory, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        with pytest.raises(OutputError, match="can't be written"):
            write_geotiff(tmp_path / "folder", make_image())
        assert [path.name for path in tmp_path.iterdir()] == ["folder"]

    def test_a_file_is_no_folder(self, make_image: ImageFactory, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"kept")
        with pytest.raises(OutputError, match="can't be written"):
            write_geotiff(tmp_path / "file" / "out.tif", make_image())
        assert (tmp_path / "file").read_bytes() == b"kept"


class TestNothingIsLost:
    def test_an_older_file_stays_when_the_new_one_is_refused(
        self, make_image: ImageFactory, tmp_path: Path
    ) -> None:
        path = tmp_path / "out.tif"
        path.write_bytes(b"old")
        with pytest.raises(ParameterError):
            write_geotiff(path, make_image(), nodata=-1)
        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of a file")
    @pytest.mark.parametrize("room", [10_000, 2_000_000, 3_030_000])
    def test_a_full_disk_leaves_the_old_file_and_no_rest(self, tmp_path: Path, room: int) -> None:
        """The new file has 3 030 593 bytes; the disk ends before, or just at its last block."""
        path = tmp_path / "out.tif"
        path.write_bytes(b"old")
        code = BIG_WRITE + (
            "import resource, signal\n"
            "from n2m_core.errors import OutputError\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))\n"
            "try:\n    write_geotiff(Path(sys.argv[1]), image)\n"
            "except OutputError as error:\n    sys.exit(3)\n"
        )
        done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
        assert done.returncode == 3
        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]

    def test_a_killed_run_leaves_a_whole_file(self, tmp_path: Path) -> None:
        path = tmp_path / "out.tif"
        code = BIG_WRITE + "while True:\n    write_geotiff(Path(sys.argv[1]), image)\n"
        with subprocess.Popen([sys.executable, "-c", code, str(path)]) as writer:
            deadline = time.monotonic() + 60
            while not path.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            time.sleep(0.35)
            writer.kill()
        image = read_image(path)
        wanted = np.random.default_rng(0).integers(0, 255, (3, 900, 900), dtype=np.uint8)
        np.testing.assert_array_equal(image.pixels, wanted)
