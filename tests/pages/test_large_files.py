"""Large files on the pages: an overview, an area drawn or typed, and paths on the server."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from page_runs import OpenPage, maps_of, settle, texts
from rasterio.transform import from_origin
from streamlit.testing.v1 import AppTest

from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import read_image, same_grid, write_geotiff
from pages._ui import areas, clicks, detail

SIDE = 1040
"""A little more than the megapixel that these tests allow."""


def large(path: Path, *, left: float = 500_000.0) -> Path:
    rows, columns = np.ogrid[:SIDE, :SIDE]
    band = ((rows // 8 + columns // 5) % 200 + 20).astype(np.uint8)
    pixels = np.stack([band, band // 2, 255 - band])
    image = GeoImage(
        pixels,
        np.ones((SIDE, SIDE), np.bool_),
        "EPSG:32633",
        from_origin(left, 5_300_000, 0.5, 0.5),
        ("red", "green", "blue"),
    )
    write_geotiff(path, image)
    return path


@pytest.fixture(autouse=True)
def small_areas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("N2M_AREA_MP", "1")
    monkeypatch.setattr(areas, "FIRST_PX", 64)


def upload(app: AppTest, label: str, path: Path) -> AppTest:
    field = next(each for each in app.get("file_uploader") if each.label == label)
    field.upload(path.name, path.read_bytes())
    return settle(app.run())


def area_of(app: AppTest, task: str = "segment") -> GeoImage:
    return read_image(app.session_state[f"{task}.own"][0].image)


def test_large_upload_is_shown_whole_and_its_middle_is_mapped(
    open_page: OpenPage, tmp_path: Path
) -> None:
    path = large(tmp_path / "town.tif")
    app = upload(open_page("1_Segment"), "Your own image", path)
    assert not app.exception
    assert not app.error
    overview, mapped = maps_of(app)
    assert "n2m.area(" in overview
    assert '"token": "area.' in overview
    assert mapped.count('"role": "mask"') == 1
    middle = slice(488, 552), slice(488, 552)
    assert same_grid(area_of(app), detail.crop(read_image(path), middle))
    assert "64 x 64 px from row 488, column 488 of 1040 x 1040 px" in texts(app)
    assert "the largest, 1 megapixels, takes about" in texts(app)
    (command,) = app.code
    assert command.value.startswith("n2m segment town.tif --checkpoint n2m-buildings --out ")
    assert "--engine stream" in command.value

    # Typed.
    typed = {"First row": 10, "First column": 20, "Rows": 70, "Columns": 80}
    for name, value in typed.items():
        next(each for each in app.number_input if each.label == name).set_value(value)
    next(each for each in app.button if each.label == "Map this area").click()
    settle(app.run())
    assert not app.error
    window = slice(10, 80), slice(20, 100)
    assert same_grid(area_of(app), detail.crop(read_image(path), window))
    assert "80 x 70 px from row 10, column 20" in texts(app)
    assert maps_of(app)[0] == overview
    assert maps_of(app)[1] != mapped

    # The same area is what another page works on.
    app.switch_page("pages/3_Trajectory.py").run()
    settle(app)
    assert not app.error
    assert app.session_state["trj.w.extent.kept"] is not None
    assert app.selectbox(key="segment.w.source").value == app.session_state["segment.own"][0].id


def test_drawn_rectangle_beyond_the_limit_gives_its_middle(
    open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(areas.settings, "area_px", lambda: 80 * 80)
    app = upload(open_page("1_Segment"), "Your own image", large(tmp_path / "town.tif"))
    source = app.session_state["segment.own"][0]
    box = areas.bounds_of(source.scene.header, (slice(100, 300), slice(400, 600)))
    told = [box]
    monkeypatch.setattr(clicks, "drawn", lambda token: told.pop() if told else None)
    settle(app.run())
    assert not app.error
    area = area_of(app)
    assert (area.height, area.width) == (80, 80)
    row, column = (
        app.number_input(key=f"area.w.{name}.{source.scene.id}").value
        for name in ("First row", "First column")
    )
    assert abs(row - 160) <= 2
    assert abs(column - 460) <= 2
    assert any("the middle of it was taken" in each.value for each in app.caption)
    assert not source.image.exists()


def test_pair_of_large_dates_is_mapped_where_both_are(open_page: OpenPage, tmp_path: Path) -> None:
    before = large(tmp_path / "before.tif")
    after = large(tmp_path / "after.tif", left=500_100.0)
    app = upload(open_page("2_Change"), "Your before", before)
    upload(app, "Your after", after)
    assert not app.exception
    assert not app.error
    assert len(maps_of(app)) == 2
    source = app.session_state["change.own"][0]
    assert (source.scene.title, source.before is None) == ("before.tif → after.tif", False)
    # 100 m to the east: what both cover begins at column 200 of the earlier date.
    row, column = map(int, re.findall(r"64 x 64 px from row (\d+), column (\d+) of", texts(app))[0])
    assert row == 488
    assert abs(column - 588) <= 3
    assert app.code[0].value.startswith("n2m change before.tif after.tif --checkpoint n2m-change")


PATH = "Or a path on the server"


def type_path(app: AppTest, text: str) -> AppTest:
    next(each for each in app.text_input if each.label == PATH).set_value(text)
    return settle(app.run())


def test_path_on_the_server_is_opened_below_its_folder_only(
    open_page: OpenPage, samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PATH not in {each.label for each in open_page("1_Segment").text_input}
    root = tmp_path / "open"
    (root / "towns").mkdir(parents=True)
    (root / "towns" / "mine.tif").write_bytes((samples / "second.tif").read_bytes())
    secret = tmp_path / "secret.tif"
    secret.write_bytes((samples / "first.tif").read_bytes())
    (root / "link.tif").symlink_to(secret)
    (root / "loop.tif").symlink_to(root / "loop.tif")
    monkeypatch.setenv("N2M_OPEN_PATHS", str(root))
    app = open_page("1_Segment")
    refused = ("../secret.tif", str(secret), "link.tif", "loop.tif", "towns", "none.tif", "a\0b")
    for text in refused:
        type_path(app, text)
        assert [each.value.split("**")[1] for each in app.error] == [
            "This file could not be read."
        ], text
        assert "is no file in the folder that this server opens" in app.error[0].value
        assert app.selectbox(key="segment.w.source").value == "first"
    type_path(app, "towns/mine.tif")
    assert not app.error
    assert app.session_state["segment.own"][0].image == root / "towns" / "mine.tif"
    assert "mine.tif" in app.selectbox(key="segment.w.source").options
