"""Windows of a scene hold what the whole image holds there."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from PIL import Image
from rasters import UTM, RasterFactory, scene

from n2m_core.errors import ImageReadError, ImageTooLargeError, NoOverlapError, OutputError
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import (
    Box,
    PartSpec,
    Resampling,
    SceneFile,
    align_to,
    create_part,
    finish_cog,
    header_of,
    on_grid,
    read_image,
    read_labels,
    sampled,
    strips_of,
    write_block,
)

BOX = Box(7, 11, 31, 40)


def check_window(path: Path, **choices: Any) -> GeoImage:  # noqa: ANN401
    """Compare a window with the same part of the whole image."""
    whole = read_image(path, **choices)
    opened = SceneFile(str(path), **choices).opened()
    part = opened.read(BOX)
    rows, columns = slice(BOX.top, BOX.bottom), slice(BOX.left, BOX.right)
    np.testing.assert_array_equal(part.pixels, whole.pixels[:, rows, columns])
    np.testing.assert_array_equal(part.valid, whole.valid[rows, columns])
    assert part.pixels.dtype == whole.pixels.dtype
    assert part.transform == whole.transform @ Affine.translation(BOX.left, BOX.top)
    header = opened.header
    assert header.valid.shape == whole.valid.shape
    assert (header.crs, header.transform) == (whole.crs, whole.transform)
    assert (header.band_names, header.notes) == (whole.band_names, whole.notes)
    assert header.resolution_m == whole.resolution_m
    return part


def holed(dtype: str) -> NDArray[Any]:
    pixels = scene(3, dtype=dtype)
    pixels[:, 15:22, 20:30] = 0
    return pixels


class TestWindows:
    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
    def test_nodata(self, write_raster: RasterFactory, dtype: str) -> None:
        part = check_window(write_raster(holed(dtype), nodata=0))
        assert part.valid.any()
        assert not part.valid.all()

    def test_nan_and_a_nodata_value_given_by_hand(self, write_raster: RasterFactory) -> None:
        pixels = holed("float32")
        pixels[1, 9, 13] = np.nan
        check_window(write_raster(pixels), nodata=100.0, bands=(3, 1))

    def test_mask_in_the_file(self, write_raster: RasterFactory) -> None:
        mask = np.ones((40, 50), np.bool_)
        mask[10:20, 10:20] = False
        assert not check_window(write_raster(scene(), mask=mask)).valid.all()

    def test_alpha(self, write_raster: RasterFactory) -> None:
        pixels = np.concatenate([scene(), np.full((1, 40, 50), 255, np.uint8)])
        pixels[3, :20] = 0
        assert check_window(write_raster(pixels, photometric="RGB", alpha="yes")).bands == 3

    def test_palette(self, write_raster: RasterFactory, tmp_path: Path) -> None:
        path = tmp_path / "palette.tif"
        with rasterio.open(
            path, "w", driver="GTiff", width=50, height=40, count=1, dtype="uint8",
            crs="EPSG:32633", transform=UTM,
        ) as dataset:  # fmt: skip
            dataset.write((scene(1) % 4).astype(np.uint8))
            dataset.write_colormap(1, {i: (10 * i, 255 - i, i, 255) for i in range(4)})
        assert check_window(path).bands == 3
        labels = SceneFile(str(path), is_labels=True).opened().read(BOX)
        whole = read_labels(path)
        assert (labels.pixels == whole.pixels[:, 7:31, 11:40]).all()

    def test_bands_that_are_not_kept_still_say_where_data_is(
        self, write_raster: RasterFactory
    ) -> None:
        pixels = np.concatenate([holed("uint8"), np.full((1, 40, 50), 7, np.uint8)])
        path = write_raster(pixels, nodata=0, photometric="MINISBLACK")
        part = SceneFile(str(path), picked=(2, 0)).opened().read(BOX)
        assert (part.pixels == pixels[[2, 0], 7:31, 11:40]).all()
        assert part.valid.all()
        assert part.band_names == ("band 3", "band 1")

    def test_file_inside_an_archive_by_a_virtual_file_system(
        self, write_raster: RasterFactory, tmp_path: Path
    ) -> None:
        path = write_raster(scene())
        with zipfile.ZipFile(tmp_path / "scene.zip", "w") as archive:
            archive.write(path, "image.tif")
        inside = SceneFile(f"/vsizip/{tmp_path}/scene.zip/image.tif").opened().read(BOX)
        assert (inside.pixels == scene()[:, 7:31, 11:40]).all()
        with pytest.raises(ImageReadError, match=r"gone\.tif can't be read"):
            SceneFile(f"/vsizip/{tmp_path}/scene.zip/gone.tif").opened()


class TestRefusals:
    def test_format_without_windows(self, write_raster: RasterFactory) -> None:
        path = write_raster(scene(), "picture.png", crs=None)
        with pytest.raises(ImageReadError, match="a PNG file, which can't be read in windows"):
            SceneFile(str(path)).opened()

    def test_photograph_on_its_side(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[274] = 6
        photo = Image.fromarray(np.moveaxis(scene(), 0, -1))
        photo.save(tmp_path / "photo.tif", exif=exif)
        with pytest.raises(ImageReadError, match="lies on its side"):
            SceneFile(str(tmp_path / "photo.tif")).opened()

    def test_header_that_promises_too_much(self, tmp_path: Path) -> None:
        path = tmp_path / "empty.tif"
        with rasterio.open(
            path, "w", driver="GTiff", width=60_000, height=60_000, count=1, dtype="uint8",
            crs="EPSG:32633", transform=UTM, tiled=True, blockxsize=4096, blockysize=4096,
            sparse_ok="TRUE",
        ):  # fmt: skip
            pass
        with pytest.raises(ImageTooLargeError, match="60000 x 60000 px and holds only"):
            SceneFile(str(path)).opened()

    def test_remote_name_is_no_path_of_read_image(self, tmp_path: Path) -> None:
        with pytest.raises(ImageReadError, match="There is no file"):
            read_image(Path("/vsicurl/http:/127.0.0.1:9/image.tif"))


@pytest.mark.parametrize("step", [1, 3, 7])
def test_sample_is_every_nth_pixel_of_the_whole(write_raster: RasterFactory, step: int) -> None:
    path = write_raster(holed("uint8"), nodata=0)
    whole = read_image(path)
    told: list[int] = []
    (found,) = sampled([SceneFile(str(path)).opened()], step, lambda *said: told.append(said[0]))
    np.testing.assert_array_equal(found.pixels, whole.pixels[:, ::step, ::step])
    np.testing.assert_array_equal(found.valid, whole.valid[::step, ::step])
    assert told == [1]


class TestAlignment:
    @pytest.mark.parametrize("resampling", ["bilinear", "nearest"])
    @pytest.mark.parametrize("pixel_m", [0.2, 0.5, 1.3])
    def test_window_is_the_window_of_the_whole(
        self,
        write_raster: RasterFactory,
        resampling: Resampling,
        pixel_m: float,
    ) -> None:
        """The other scene is finer, as fine and coarser; its lines lie between ours."""
        path = write_raster(holed("uint8"), nodata=0)
        corner = Affine(pixel_m, 0, 500_004.1, 0, -pixel_m, 4_999_997.3)
        other = write_raster(holed("uint8"), "other.tif", nodata=0, transform=corner)
        header = SceneFile(str(path)).opened().header
        seen = on_grid(SceneFile(str(other)).opened(), header, resampling=resampling)
        whole = align_to(read_image(other), read_image(path), resampling=resampling)
        part = seen.read(BOX)
        # A mean that lies between two numbers may be rounded to either.
        np.testing.assert_array_equal(part.valid, whole.valid[7:31, 11:40])
        gap = (part.pixels.astype(int) - whole.pixels[:, 7:31, 11:40])[:, part.valid]
        assert np.abs(gap).max() <= (resampling == "bilinear")
        assert seen.header.transform == UTM

    def test_window_beyond_the_other_scene_has_no_data(self, write_raster: RasterFactory) -> None:
        path = write_raster(scene())
        other = write_raster(scene()[:, :5, :5], "other.tif")
        header = SceneFile(str(path)).opened().header
        seen = on_grid(SceneFile(str(other)).opened(), header)
        assert not seen.read(Box(20, 20, 30, 30)).valid.any()
        assert seen.read(Box(0, 0, 8, 8)).valid.sum() == 25

    def test_other_place_is_refused(self, write_raster: RasterFactory) -> None:
        path = write_raster(scene())
        far = write_raster(scene(), "far.tif", transform=Affine(0.5, 0, 0, 0, -0.5, 5_000_000))
        with pytest.raises(NoOverlapError, match="do not overlap"):
            on_grid(SceneFile(str(far)).opened(), SceneFile(str(path)).opened().header)


class TestParts:
    def spec(self, height: int = 700, width: int = 600) -> PartSpec:
        header = header_of((height, width), "EPSG:32633", UTM, ("class",), np.dtype(np.uint8))
        return PartSpec(header, 255, 255, {1: (1, 2, 3)}, {"N2M_LICENSE": "CC0-1.0"})

    def test_blocks_become_a_cog_in_one_step(self, tmp_path: Path) -> None:
        part, final = tmp_path / "part.tif", tmp_path / "map.tif"
        create_part(part, self.spec())
        before = part.stat().st_size
        pixels = np.random.default_rng(3).integers(0, 3, (1, 130, 140)).astype(np.uint8)
        write_block(part, Box(450, 440, 580, 580), pixels)
        assert part.stat().st_size == before
        assert not final.exists()
        finish_cog(part, final, is_labels=True)
        with rasterio.open(final) as dataset:
            assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert dataset.overviews(1) == [2]
            assert (dataset.nodata, dataset.crs.to_epsg()) == (255, 32633)
            assert dataset.colormap(1)[1] == (1, 2, 3, 255)
            assert dataset.tags()["N2M_LICENSE"] == "CC0-1.0"
            read = dataset.read()
        assert (read[:, 450:580, 440:580] == pixels).all()
        assert (read != 255).sum() == pixels.size
        assert [path.name for path in tmp_path.iterdir()] == ["part.tif", "map.tif"] or len(
            list(tmp_path.iterdir())
        ) == 2

    def test_damaged_part_is_told(self, tmp_path: Path) -> None:
        part = tmp_path / "part.tif"
        create_part(part, self.spec())
        part.write_bytes(part.read_bytes()[:100_000])
        with pytest.raises(OutputError, match=r"part\.tif can't be written or read back"):
            list(strips_of([part]))
