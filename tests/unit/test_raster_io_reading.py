from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image, ImageOps
from rasterio.enums import ColorInterp
from rasters import RasterFactory, scene

from n2m_core import raster_io
from n2m_core.errors import BandError, ImageReadError, ImageTooLargeError
from n2m_core.raster_io import read_image, read_labels

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def picture() -> NDArray[np.uint8]:
    """RGB [H, W, 3] of flat blocks, so that lossy formats keep the colours."""
    array = np.zeros((64, 48, 3), np.uint8)
    array[:32, :, 0], array[32:, :, 1], array[:, 24:, 2] = 200, 180, 90
    return array


class TestFormats:
    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "float32", "float64"])
    @pytest.mark.parametrize("bands", [1, 3, 4, 13])
    def test_reads_any_dtype_and_number_of_bands(
        self, write_raster: RasterFactory, dtype: str, bands: int
    ) -> None:
        pixels = scene(bands, dtype=dtype)
        image = read_image(write_raster(pixels, photometric="MINISBLACK", alpha="NO"))
        assert image.pixels.dtype == dtype
        np.testing.assert_array_equal(image.pixels, pixels)
        assert image.valid.all()
        assert len(image.band_names) == bands

    @pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "jp2", "tif", "webp"])
    def test_reads_lossless_picture_formats(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"picture.{suffix}"
        options = {"lossless": True} if suffix == "webp" else {}
        Image.fromarray(picture()).save(path, **options)
        image = read_image(path)
        np.testing.assert_array_equal(np.moveaxis(image.pixels, 0, -1), picture())
        assert image.band_names == ("red", "green", "blue")

    def test_tells_the_format_by_content_not_by_name(self, tmp_path: Path) -> None:
        path = tmp_path / "picture.tif"
        Image.fromarray(picture()).save(path, "PNG")
        assert read_image(path).pixels.shape == (3, 64, 48)

    @pytest.mark.parametrize("name", ["a b.tif", "ümläut.tif", "a#b?c=d%20.tif", "zip:!x.tif"])
    def test_takes_odd_file_names(
        self, write_raster: RasterFactory, tmp_path: Path, name: str
    ) -> None:
        write_raster(scene()).rename(tmp_path / name)
        assert read_image(tmp_path / name).bands == 3

    def test_reads_one_pixel(self, write_raster: RasterFactory) -> None:
        image = read_image(write_raster(scene(3, 1, 1)))
        assert image.pixels.shape == (3, 1, 1)
        assert image.resolution_m == pytest.approx(0.5, rel=1e-3)

    def test_reads_cmyk_jpeg_as_the_colours_it_shows(self, tmp_path: Path) -> None:
        path = tmp_path / "print.jpg"
        Image.fromarray(picture()).convert("CMYK").save(path, quality=98)
        image = read_image(path)
        assert image.band_names == ("red", "green", "blue")
        shown = np.asarray(Image.open(path).convert("RGB"), int)
        assert np.abs(np.moveaxis(image.pixels, 0, -1) - shown).mean() < 2

    def test_reads_cmyk_tiff_as_the_colours_it_shows(self, tmp_path: Path) -> None:
        path = tmp_path / "print.tif"
        Image.fromarray(picture()).convert("CMYK").save(path)
        np.testing.assert_array_equal(np.moveaxis(read_image(path).pixels, 0, -1), picture())


class TestDamage:
    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(ImageReadError, match=r"no file gone\.tif"):
            read_image(tmp_path / "gone.tif")

    def test_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ImageReadError, match="no file"):
            read_image(tmp_path)

    def test_zero_bytes(self, tmp_path: Path) -> None:
        path = tmp_path / "empty.tif"
        path.touch()
        with pytest.raises(ImageReadError, match="0 bytes"):
            read_image(path)

    @pytest.mark.parametrize("content", [b"hello, this is text", b"%PDF-1.7", b"\x89PNG", b"II"])
    def test_not_an_image(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "photo.png"
        path.write_bytes(content)
        with pytest.raises(ImageReadError, match="not an image of a known format"):
            read_image(path)

    def test_refuses_formats_that_name_other_files(
        self, tmp_path: Path, write_raster: RasterFactory
    ) -> None:
        secret = write_raster(scene(), "secret.tif")
        path = tmp_path / "upload.tif"
        path.write_text(
            '<VRTDataset rasterXSize="50" rasterYSize="40"><VRTRasterBand dataType="Byte" band="1">'
            f"<SimpleSource><SourceFilename>{secret}</SourceFilename></SimpleSource>"
            "</VRTRasterBand></VRTDataset>"
        )
        with rasterio.open(path) as dataset:
            assert dataset.driver == "VRT"
        with pytest.raises(ImageReadError, match="not an image"):
            read_image(path)

    @pytest.mark.parametrize("suffix", ["tif", "png", "jpg", "webp", "gif", "bmp", "jp2"])
    @pytest.mark.parametrize("kept", [0.9, 0.5, 0.05])
    def test_truncated_file(self, tmp_path: Path, suffix: str, kept: float) -> None:
        path = tmp_path / f"noise.{suffix}"
        noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * kept)])
        with pytest.raises(ImageReadError, match=r"cut short|not an image"):
            read_image(path)

    def test_damaged_tile_in_the_middle(self, write_raster: RasterFactory) -> None:
        path = write_raster(scene(3, 300, 300), compress="deflate")
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 64] = b"\xff" * 64
        path.write_bytes(data)
        with pytest.raises(ImageReadError, match="damaged"):
            read_image(path)

    def test_complex_numbers(self, write_raster: RasterFactory) -> None:
        path = write_raster(scene().astype("complex64"))
        with pytest.raises(ImageReadError, match="complex"):
            read_image(path)

    def test_message_names_the_file_but_not_its_folder(self, tmp_path: Path) -> None:
        (tmp_path / "sub").mkdir()
        path = tmp_path / "sub" / ".." / "photo.png"
        path.write_bytes(b"nothing")
        with pytest.raises(ImageReadError) as caught:
            read_image(path)
        assert str(tmp_path) not in str(caught.value)
        assert "photo.png" in str(caught.value)


class TestCaps:
    def test_refuses_four_gigapixels_from_the_header(self, tmp_path: Path) -> None:
        path = tmp_path / "bomb.png"
        header = struct.pack(">IIBBBBB", 65_536, 65_536, 8, 2, 0, 0, 0)
        chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
        body = b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in chunks
        )
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
        assert path.stat().st_size < 200
        with pytest.raises(ImageTooLargeError, match=r"65536 x 65536 px \(4295 megapixels\).*400"):
            read_image(path)

    def test_refuses_four_gigapixels_in_a_sparse_tiff(self, tmp_path: Path) -> None:
        path = tmp_path / "bomb.tif"
        size = {"width": 65_536, "height": 65_536, "count": 1, "dtype": "uint8"}
        tiles = {"tiled": True, "blockxsize": 4096, "blockysize": 4096}
        with rasterio.open(path, "w", "GTiff", **size, **tiles, sparse_ok=True):
            pass
        assert path.stat().st_size < 100_000
        with pytest.raises(ImageTooLargeError, match="megapixels"):
            read_image(path)

    def test_cap_can_be_lowered(self, write_raster: RasterFactory) -> None:
        path = write_raster(scene(3, 40, 50))
        assert read_image(path, max_pixels=2000).height == 40
        with pytest.raises(ImageTooLargeError, match="40"):
            read_image(path, max_pixels=1999)

    def test_refuses_too_many_bands(self, write_raster: RasterFactory) -> None:
        path = write_raster(scene(65, 2, 2), photometric="MINISBLACK")
        with pytest.raises(ImageTooLargeError, match="65 bands and 64"):
            read_image(path)

    def test_refuses_more_memory_than_allowed(
        self, write_raster: RasterFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write_raster(scene(4, dtype="float64"), alpha="NO")
        monkeypatch.setattr(raster_io.opening, "MAX_BYTES", 40 * 50 * 8 * 3)
        with pytest.raises(ImageTooLargeError, match="choose fewer bands"):
            read_image(path)
        assert read_image(path, bands=[1, 2, 3]).bands == 3


class TestBands:
    def test_chooses_bands_in_order(self, write_raster: RasterFactory) -> None:
        pixels = scene(5)
        image = read_image(write_raster(pixels, photometric="MINISBLACK"), bands=[4, 2, 2])
        np.testing.assert_array_equal(image.pixels, pixels[[3, 1, 1]])

    @pytest.mark.parametrize("bands", [[0], [4], [1, -1], []])
    def test_refuses_bands_that_are_not_there(
        self, write_raster: RasterFactory, bands: list[int]
    ) -> None:
        with pytest.raises(BandError, match=r"has 3 bands.*1 to 3"):
            read_image(write_raster(scene()), bands=bands)

    def test_names_come_from_descriptions_then_colours(self, write_raster: RasterFactory) -> None:
        path = write_raster(scene(4), photometric="RGB", alpha="NO")
        with rasterio.open(path, "r+") as dataset:
            dataset.set_band_description(4, "nir")
        assert read_image(path).band_names == ("red", "green", "blue", "nir")


class TestAlphaAndPalette:
    @pytest.mark.parametrize("mode", ["RGBA", "LA"])
    def test_alpha_becomes_the_valid_mask(self, tmp_path: Path, mode: str) -> None:
        path = tmp_path / "clear.png"
        alpha = np.full((64, 48), 255, np.uint8)
        alpha[:10] = 0
        image = Image.fromarray(picture()).convert(mode)
        image.putalpha(Image.fromarray(alpha))
        image.save(path)
        read = read_image(path)
        assert read.bands == len(mode) - 1
        np.testing.assert_array_equal(read.valid, alpha > 0)

    def test_alpha_of_a_tiff_becomes_the_valid_mask(self, write_raster: RasterFactory) -> None:
        pixels = scene(4, dtype="uint16")
        pixels[3], pixels[3, :7] = 65_535, 0
        image = read_image(write_raster(pixels, photometric="RGB", alpha="YES"))
        assert image.bands == 3
        assert not image.valid[:7].any()
        assert image.valid[7:].all()

    def test_near_infrared_marked_as_alpha_stays_a_band(self, write_raster: RasterFactory) -> None:
        path = write_raster(scene(4), photometric="RGB", alpha="YES")
        with rasterio.open(path) as dataset:
            assert dataset.colorinterp[3] == ColorInterp.alpha
        image = read_image(path)
        assert image.bands == 4
        assert image.valid.all()
        assert any("marked as transparency" in note for note in image.notes)

    def test_palette_png_becomes_colours(self, tmp_path: Path) -> None:
        path = tmp_path / "palette.png"
        Image.fromarray(picture()).quantize(8).save(path)
        image = read_image(path)
        np.testing.assert_array_equal(np.moveaxis(image.pixels, 0, -1), picture())
        assert any("palette" in note for note in image.notes)
        assert read_image(path, bands=[3, 1]).band_names == ("blue", "red")

    @pytest.mark.parametrize("clear", [[1], [1, 2]])
    def test_transparent_palette_entries_are_not_valid(
        self, tmp_path: Path, clear: list[int]
    ) -> None:
        path = tmp_path / "palette.png"
        indices = np.arange(16, dtype=np.uint8).reshape(4, 4) // 4
        image = Image.fromarray(indices)
        image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 1, 2, 3])
        image.save(path, transparency=bytes(0 if index in clear else 255 for index in range(4)))
        read = read_image(path)
        assert read.pixels[:, 0, 0].tolist() == [10, 20, 30]
        np.testing.assert_array_equal(read.valid, ~np.isin(indices, clear))

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
    def test_photographs_are_turned_upright(
        self, tmp_path: Path, orientation: int, suffix: str
    ) -> None:
        path = tmp_path / f"phone.{suffix}"
        exif = Image.Exif()
        exif[274] = orientation
        Image.fromarray(picture()).save(path, exif=exif)
        with Image.open(path) as photo:
            upright = np.asarray(ImageOps.exif_transpose(photo).convert("RGB"), int)
        image = read_image(path)
        shown = np.moveaxis(image.pixels, 0, -1)
        assert shown.shape == upright.shape
        assert np.abs(shown - upright).mean() < 3
        assert any("upright" in note for note in image.notes) == (orientation != 1)

    def test_placed_image_is_not_turned(self, tmp_path: Path) -> None:
        path = tmp_path / "drone.jpg"
        exif = Image.Exif()
        exif[274] = 6
        Image.fromarray(picture()).save(path, exif=exif)
        path.with_suffix(".jgw").write_text("0.5\n0\n0\n-0.5\n500000\n5000000\n")
        image = read_image(path)
        assert image.valid.shape == (64, 48)
        assert image.transform.a == 0.5


class TestValid:
    def test_nan_and_infinity_are_not_valid_and_become_zero(
        self, write_raster: RasterFactory
    ) -> None:
        pixels = scene(2, dtype="float32")
        pixels[0, 0, 0], pixels[1, 1, 1], pixels[0, 2, 2] = np.nan, np.inf, -np.inf
        image = read_image(write_raster(pixels))
        assert (~image.valid).sum() == 3
        assert np.isfinite(image.pixels).all()
        assert image.pixels[0, 0, 0] == 0

    @pytest.mark.parametrize(
        ("dtype", "nodata"), [("int16", -9999), ("float32", -3.4028234663852886e38), ("uint8", 17)]
    )
    def test_distinct_nodata_in_one_band_marks_the_pixel(
        self, write_raster: RasterFactory, dtype: str, nodata: float
    ) -> None:
        pixels = scene(3, dtype=dtype)
        pixels[1, 5, 6] = nodata
        image = read_image(write_raster(pixels, nodata=nodata))
        assert not image.valid[5, 6]
        assert image.valid.sum() == image.valid.size - 1

    @pytest.mark.parametrize("nodata", [0, 255])
    def test_nodata_that_colours_also_take_needs_every_band(
        self, write_raster: RasterFactory, nodata: int
    ) -> None:
        pixels = scene()
        pixels[1, 5, 6] = nodata
        pixels[:, 7, 8] = nodata
        image = read_image(write_raster(pixels, nodata=nodata))
        assert image.valid[5, 6]
        assert not image.valid[7, 8]

    def test_given_nodata_replaces_the_files_own(self, write_raster: RasterFactory) -> None:
        pixels = scene(1)
        pixels[0, 0, 0], pixels[0, 1, 1] = 7, 9
        path = write_raster(pixels, nodata=7)
        assert not read_image(path).valid[0, 0]
        image = read_image(path, nodata=9)
        assert image.valid[0, 0]
        assert not image.valid[1, 1]

    def test_nodata_beside_nan(self, write_raster: RasterFactory) -> None:
        pixels = scene(1, dtype="float32")
        pixels[0, 0, 0] = np.nan
        assert not read_image(write_raster(pixels, nodata=np.nan)).valid[0, 0]

    def test_internal_mask(self, write_raster: RasterFactory) -> None:
        mask = np.ones((40, 50), np.bool_)
        mask[:, 45:] = False
        np.testing.assert_array_equal(read_image(write_raster(scene(), mask=mask)).valid, mask)


class TestLabels:
    def test_palette_indices_are_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "classes.png"
        indices = np.arange(12, dtype=np.uint8).reshape(3, 4) % 4
        image = Image.fromarray(indices)
        image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
        image.save(path)
        labels = read_labels(path)
        np.testing.assert_array_equal(labels.pixels, indices[None])
        assert any("palette" in note for note in labels.notes)
        assert read_image(path).pixels[:, 0, 2].tolist() == [0, 255, 0]

    def test_colour_mask_keeps_three_bands(self, tmp_path: Path) -> None:
        path = tmp_path / "mask.png"
        Image.fromarray(picture()).save(path)
        assert read_labels(path).bands == 3

    def test_values_are_unchanged_and_nodata_is_not_valid(
        self, write_raster: RasterFactory
    ) -> None:
        labels = np.array([[[0, 1, 255], [2, 255, 0]]], np.uint8)
        read = read_labels(write_raster(labels, nodata=255))
        np.testing.assert_array_equal(read.pixels, labels)
        np.testing.assert_array_equal(read.valid, labels[0] != 255)
