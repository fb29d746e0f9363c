"""Scenes too large to hold: parts and overviews equal the whole, no header breaks anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp, Resampling

from n2m_core.errors import CancelledError, ImageReadError, ImageTooLargeError
from n2m_core.raster_io import lonlat_bounds, read_image, read_scene, read_scene_header, read_size

UTM = Affine(0.5, 0.0, 500_000.0, 0.0, -0.5, 5_300_000.0)


def write(path: Path, pixels: np.ndarray, **profile: object) -> Path:
    """A GeoTIFF in blocks of 64 px with two overviews, unless the profile says otherwise."""
    count, height, width = pixels.shape
    told: dict[str, Any] = {
        "driver": "GTiff", "dtype": pixels.dtype.name, "count": count, "height": height,
        "width": width, "crs": "EPSG:32633", "transform": UTM, "tiled": True, "blockxsize": 64,
        "blockysize": 64, **profile,
    }  # fmt: skip
    with rasterio.open(path, "w", **told) as out:
        out.write(pixels)
    return path


def empty(path: Path, side: int, **profile: object) -> Path:
    """A small file whose header promises a large scene; its blocks are not there."""
    told: dict[str, Any] = {
        "driver": "GTiff", "dtype": "uint8", "count": 1, "height": side, "width": side,
        "crs": "EPSG:32633", "transform": UTM, "tiled": True, "sparse_ok": True, **profile,
    }  # fmt: skip
    with rasterio.open(path, "w", **told):
        pass
    return path


def ramp(bands: int = 3, height: int = 300, width: int = 400, dtype: str = "uint8") -> np.ndarray:
    band, row, column = np.ogrid[:bands, :height, :width]
    return (1 + (band * 50 + row // 2 + column // 4) % 250).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_window_equals_the_part_of_the_whole(tmp_path: Path, dtype: str) -> None:
    pixels = ramp(dtype=dtype)
    pixels[:, 100:120, 50:90] = 77
    path = write(tmp_path / "scene.tif", pixels, nodata=77)
    header, whole = read_scene_header(path), read_image(path)
    assert (header.height, header.width, header.dtype) == (300, 400, dtype)
    assert header.resolution_m == pytest.approx(whole.resolution_m, rel=1e-6)
    assert header.band_names == whole.band_names
    window = slice(90, 211), slice(33, 180)
    part = read_scene(header, window)
    np.testing.assert_array_equal(part.pixels, whole.pixels[:, *window])
    np.testing.assert_array_equal(part.valid, whole.valid[window])
    assert not part.valid.all()
    assert part.crs == whole.crs
    assert part.transform @ (0, 0) == whole.transform @ (33, 90)


def test_overview_lies_where_the_scene_lies(tmp_path: Path) -> None:
    path = write(tmp_path / "scene.tif", ramp(height=600, width=900))
    header = read_scene_header(path)
    steps: list[int] = []
    overview = read_scene(header, max_px=100, progress=lambda done, total, note: steps.append(done))
    assert (overview.height, overview.width) == (67, 100)
    np.testing.assert_allclose(lonlat_bounds(overview), lonlat_bounds(read_image(path)), atol=1e-9)
    assert overview.resolution_m == pytest.approx(0.5 * 9, rel=0.01)
    # Every ninth pixel of a slow ramp: at most a few grey values from the scene's own.
    expected = ramp(height=600, width=900)[:, 4::9, 4::9]
    near = np.abs(overview.pixels[:, :66, :99].astype(int) - expected[:, :66, :99])
    assert np.median(near) <= 3
    assert steps == sorted(steps)
    assert len(steps) > 10


def test_overviews_of_the_file_are_used(tmp_path: Path) -> None:
    path = write(tmp_path / "scene.tif", np.full((1, 512, 512), 10, np.uint8))
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4, 8], Resampling.nearest)
    with rasterio.open(path, "r+", overview_level=2) as coarse:
        coarse.write(np.full((1, 64, 64), 200, np.uint8))
    header = read_scene_header(path)
    assert header.overviews == (2, 4, 8)
    assert set(np.unique(read_scene(header, max_px=64).pixels)) == {200}
    assert set(np.unique(read_scene(header, (slice(0, 9), slice(0, 9))).pixels)) == {10}


def test_reading_can_be_stopped(tmp_path: Path) -> None:
    header = read_scene_header(write(tmp_path / "scene.tif", ramp()))

    def stop(done: int, total: int, note: str) -> None:
        if done == 2:
            raise CancelledError("enough")

    with pytest.raises(CancelledError):
        read_scene(header, max_px=100, progress=stop)


def test_chosen_bands_come_in_their_order(tmp_path: Path) -> None:
    header = read_scene_header(write(tmp_path / "scene.tif", ramp(bands=5)))
    part = read_scene(header, (slice(10, 20), slice(0, 30)), bands=(5, 1))
    np.testing.assert_array_equal(part.pixels, ramp(bands=5)[[4, 0], 10:20, :30])


def test_sixteen_bits_are_stretched_by_the_whole_scene(tmp_path: Path) -> None:
    pixels = np.zeros((1, 800, 800), np.uint16)
    pixels[:, :, :400], pixels[:, :, 400:] = 1000, 3000
    header = read_scene_header(write(tmp_path / "scene.tif", pixels))
    assert header.limits == ((1000.0, 3000.0),)
    assert read_scene_header(write(tmp_path / "eight.tif", ramp())).limits is None


def test_alpha_counts_as_missing_and_a_fourth_colour_does_not(tmp_path: Path) -> None:
    alpha = np.where(np.arange(400) < 100, 0, 255).astype(np.uint8)
    for name, fourth in (("alpha", np.broadcast_to(alpha, (300, 400))), ("near", ramp(1)[0])):
        pixels = ramp(bands=4)
        pixels[3] = fourth
        path = write(tmp_path / f"{name}.tif", pixels)
        with rasterio.open(path, "r+") as file:
            file.colorinterp = [
                ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha
            ]  # fmt: skip
        header, whole = read_scene_header(path), read_image(path)
        part = read_scene(header, (slice(0, 50), slice(60, 160)))
        np.testing.assert_array_equal(part.pixels, whole.pixels[:, :50, 60:160])
        np.testing.assert_array_equal(part.valid, whole.valid[:50, 60:160])
        assert len(header.band_names) == (3 if name == "alpha" else 4)


def test_size_is_told_by_the_header(tmp_path: Path) -> None:
    path = write(tmp_path / "scene.tif", ramp(bands=5, dtype="uint16"))
    assert read_size(path) == (300, 400, 10)
    assert read_scene_header(path).pixel_bytes == 10


def test_palette_is_shown_in_its_colours(tmp_path: Path) -> None:
    path = write(tmp_path / "scene.tif", np.tile(np.arange(4, dtype=np.uint8), (1, 40, 25)))
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {each: (each, 10 * each, 200, 255) for each in range(4)})
    part = read_scene(read_scene_header(path), (slice(0, 2), slice(1, 3)))
    assert part.pixels[:, 0].tolist() == [[1, 2], [10, 20], [200, 200]]


def test_scene_without_place_counts_from_its_own_corner(tmp_path: Path) -> None:
    path = write(tmp_path / "scene.tif", ramp(), crs=None, transform=Affine.identity())
    header = read_scene_header(path)
    part = read_scene(header, (slice(10, 30), slice(20, 60)))
    assert (header.is_georeferenced, part.crs, part.transform.is_identity) == (False, None, True)
    assert any("no georeference" in note for note in header.notes)


def test_gigapixels_in_a_small_file_are_looked_at_in_parts(tmp_path: Path) -> None:
    path = empty(tmp_path / "huge.tif", 65_536)
    assert path.stat().st_size < 2_000_000
    header = read_scene_header(path)
    part = read_scene(header, (slice(60_000, 60_300), slice(1000, 1200)))
    assert (part.pixels.shape, part.pixels.max()) == ((1, 300, 200), 0)


@pytest.mark.parametrize("bigtiff", ["NO", "YES"])
def test_giant_strip_is_refused_from_the_header(tmp_path: Path, bigtiff: str) -> None:
    strip = {"tiled": False, "BLOCKYSIZE": 20_000, "BIGTIFF": bigtiff}
    path = empty(tmp_path / "strip.tif", 20_000, compress="DEFLATE", **strip)
    with pytest.raises(ImageTooLargeError, match=r"blocks of 20000 x 20000 px, 381 MiB .* 256 MiB"):
        read_scene_header(path)
    rows = {**strip, "BLOCKYSIZE": 16}
    assert read_scene_header(empty(path, 20_000, compress="DEFLATE", **rows)).height == 20_000


def test_overview_that_would_decode_too_much_is_refused(tmp_path: Path) -> None:
    header = read_scene_header(empty(tmp_path / "huge.tif", 65_536, count=3, dtype="uint16"))
    with pytest.raises(ImageTooLargeError, match=r"24\.0 GiB would be decoded .* gdaladdo"):
        read_scene(header, max_px=1000)
    small = read_scene_header(write(tmp_path / "scene.tif", ramp()))
    with pytest.raises(ImageTooLargeError, match="no overviews"):
        read_scene(small, max_px=100, most_bytes=300 * 400 * 3 - 1)
    assert read_scene(small, max_px=100, most_bytes=300 * 400 * 3).width == 100


def test_damaged_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "scene.tif"
    path.write_bytes(b"II*\0 and no more")
    with pytest.raises(ImageReadError, match="damaged"):
        read_scene_header(path)
