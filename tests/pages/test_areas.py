"""The area of a large scene: its window, its file, its place, and what a person may ask for."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from n2m_core.errors import GridError, ImageTooLargeError, NoOverlapError
from n2m_core.geo_image import GeoImage
from n2m_core.normalize import Normalization, to_model_range
from n2m_core.raster_io import (
    read_image,
    read_scene_header,
    same_grid,
    write_geotiff,
)
from pages._ui import areas, detail
from pages._ui.areas import Scene

UTM = Affine(0.5, 0.0, 500_000.0, 0.0, -0.5, 5_300_000.0)


def write(
    path: Path,
    shape: tuple[int, int] = (300, 400),
    *,
    transform: Affine | None = UTM,
    dtype: str = "uint8",
) -> Path:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    band = (rows * 3 + columns * 5) % 251
    pixels = np.stack([band, band + 2, band + 4]).astype(dtype)
    if dtype == "uint16":
        pixels = pixels * np.uint16(40)
    crs = None if transform is None else "EPSG:32633"
    own = Affine.identity() if transform is None else transform
    names = ("red", "green", "blue")
    write_geotiff(path, GeoImage(pixels, np.ones(shape, np.bool_), crs, own, names))
    return path


def scene_at(path: Path, after: Path | None = None) -> Scene:
    headers = [read_scene_header(each) for each in (path, after) if each is not None]
    shown = tuple(each.path.name for each in headers)
    return areas.scene_of(headers[0], headers[1] if after else None, "mine", shown)


@pytest.fixture
def one_megapixel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("N2M_AREA_MP", "1")


def test_first_area_is_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(areas, "FIRST_PX", 100)
    scene = scene_at(write(tmp_path / "a.tif"))
    assert areas.first_area(scene) == (slice(100, 200), slice(150, 250))


@pytest.mark.usefixtures("one_megapixel")
def test_window_is_brought_into_the_scene_and_the_working_size(tmp_path: Path) -> None:
    header = read_scene_header(write(tmp_path / "a.tif", (1500, 1200)))
    assert areas.is_large(header)
    same = slice(10, 60), slice(20, 90)
    assert areas.fitted(header, same) == (same, False)
    beyond = slice(1480, 1580), slice(-30, 20)
    assert areas.fitted(header, beyond) == ((slice(1400, 1500), slice(0, 50)), False)
    (rows, columns), was_cut = areas.fitted(header, header.whole)
    assert was_cut
    height, width = rows.stop - rows.start, columns.stop - columns.start
    assert 990_000 < height * width <= 1_000_000
    assert height / width == pytest.approx(1500 / 1200, rel=0.01)
    assert (rows.start + rows.stop, columns.start + columns.stop) == (1500, 1200)


@pytest.mark.usefixtures("one_megapixel")
def test_many_bands_make_the_working_size_smaller() -> None:
    # Three bytes, four bands of 32 bits, thirteen of 16, and 64 of 32.
    assert [areas.most_px(size) for size in (3, 16, 26)] == [1_000_000] * 3
    assert areas.most_px(256) == 62_500


def test_cut_is_the_scenes_own_pixels_at_their_place(tmp_path: Path) -> None:
    turned = UTM @ Affine.rotation(20)
    for name, transform in (("plain", UTM), ("turned", turned)):
        scene = scene_at(write(tmp_path / f"{name}.tif", transform=transform))
        window = slice(40, 90), slice(70, 130)
        (path,) = areas.cut(scene, window, tmp_path)
        whole, part = read_image(scene.header.path), read_image(path)
        assert same_grid(part, detail.crop(whole, window))
        np.testing.assert_array_equal(part.pixels, whole.pixels[:, 40:90, 70:130])
        assert path.stat().st_mtime_ns == scene.header.path.stat().st_mtime_ns


def test_sixteen_bits_come_as_the_whole_scene_would_show_them(tmp_path: Path) -> None:
    scene = scene_at(write(tmp_path / "a.tif", (200, 220), dtype="uint16"))
    window = slice(10, 60), slice(20, 90)
    (path,) = areas.cut(scene, window, tmp_path)
    part = read_image(path)
    assert part.pixels.dtype == np.uint8
    whole = to_model_range(read_image(scene.header.path), Normalization())
    given = to_model_range(part, Normalization())
    # Half a step of 8 bits, and the sample's percentiles, which differ a little from the whole's.
    assert np.abs(given - whole[:, 10:60, 20:90]).max() < 0.02


def test_drawn_box_becomes_its_window(tmp_path: Path) -> None:
    scene = scene_at(write(tmp_path / "a.tif"))
    window = slice(40, 90), slice(70, 130)
    box = areas.bounds_of(scene.header, window)
    found = areas.moved(scene, scene.header.whole, box)
    # A box in degrees is turned by a hair against UTM: it covers the window and a pixel or two.
    for part, wanted in zip(found, window, strict=True):
        assert 0 <= wanted.start - part.start <= 2
        assert 0 <= part.stop - wanted.stop <= 2
    assert areas.moved(scene, window, (0.0, 0.0, 1.0, 1.0)) == window


def test_drawn_box_in_pixel_space_is_exact(tmp_path: Path) -> None:
    scene = scene_at(write(tmp_path / "a.tif", transform=None))
    assert areas.corners_of(scene.header, (slice(4, 10), slice(20, 30))) == [
        [-4.0, 20.0], [-4.0, 30.0], [-10.0, 30.0], [-10.0, 20.0]
    ]  # fmt: skip
    found = areas.moved(scene, scene.header.whole, (-10.0, 20.0, -4.0, 30.0))
    assert found == (slice(4, 10), slice(20, 30))


def test_corners_lie_where_the_transform_says(tmp_path: Path) -> None:
    scene = scene_at(write(tmp_path / "a.tif"))
    corners = areas.corners_of(scene.header, scene.header.whole)
    south, west, north, east = areas.bounds_of(scene.header, scene.header.whole)
    assert max(place[0] for place in corners) == pytest.approx(north, abs=1e-7)
    assert min(place[0] for place in corners) == pytest.approx(south, abs=1e-7)
    assert max(place[1] for place in corners) == pytest.approx(east, abs=1e-7)
    assert min(place[1] for place in corners) == pytest.approx(west, abs=1e-7)


def test_pair_on_two_grids_is_cut_on_common_ground(tmp_path: Path) -> None:
    moved = UTM @ Affine.translation(100, 60) @ Affine.scale(2)
    scene = scene_at(
        write(tmp_path / "a.tif", (300, 400)), write(tmp_path / "b.tif", transform=moved)
    )
    rows, columns = areas.first_area(scene)
    # What both cover begins near row 60, column 100 of the earlier date.
    assert 55 <= rows.start <= 62
    assert 95 <= columns.start <= 102
    before, after = (
        read_image(path) for path in areas.cut(scene, (slice(100, 150), slice(200, 260)), tmp_path)
    )
    assert (before.height, before.width) == (50, 60)
    box, around = (
        detail.window(after, areas.bounds_of(scene.header, (slice(100, 150), slice(200, 260))), 0),
        8,
    )
    assert box is not None
    assert box[0].start >= around - 2
    assert after.height - box[0].stop >= around - 2
    assert after.resolution_m == pytest.approx(1.0, rel=0.01)


def test_pair_that_cannot_be_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    near = write(tmp_path / "a.tif")
    far = write(tmp_path / "far.tif", transform=UTM @ Affine.translation(9000, 0))
    with pytest.raises(NoOverlapError, match="do not overlap"):
        areas.first_area(scene_at(near, far))
    part = write(tmp_path / "part.tif", transform=UTM @ Affine.translation(200, 0))
    with pytest.raises(NoOverlapError, match=r"part\.tif does not reach the chosen area"):
        areas.cut(scene_at(near, part), (slice(0, 50), slice(0, 50)), tmp_path)
    plain = write(tmp_path / "plain.tif", (80, 90), transform=None)
    with pytest.raises(GridError, match="without a georeference of both"):
        areas.first_area(scene_at(near, plain))
    monkeypatch.setattr(areas.settings, "area_px", lambda: 1000)
    fine = write(tmp_path / "fine.tif", (600, 800), transform=UTM @ Affine.scale(0.5))
    with pytest.raises(ImageTooLargeError, match="choose a smaller area"):
        areas.cut(scene_at(near, fine), (slice(0, 100), slice(0, 100)), tmp_path)


def test_command_can_be_pasted(tmp_path: Path) -> None:
    path = write(tmp_path / "old town; rm.tif")
    words = shlex.split(areas.command(scene_at(path), "n2m-buildings", ["--timestep", "300"]))
    assert words == [
        "n2m", "segment", "old town; rm.tif", "--checkpoint", "n2m-buildings",
        "--out", "old town; rm_n2m-buildings.tif", "--engine", "stream", "--timestep", "300",
    ]  # fmt: skip
    pair = areas.command(scene_at(path, path), "n2m-change", [])
    assert shlex.split(pair)[1:4] == ["change", "old town; rm.tif", "old town; rm.tif"]
