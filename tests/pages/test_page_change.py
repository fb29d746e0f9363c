"""The Change page: the sample pair, two dropped dates, pairs that do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_checkpoints
from affine import Affine
from page_runs import OpenPage, maps_of, settle, texts
from streamlit.testing.v1 import AppTest

from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import read_image, write_geotiff

PAGE = "2_Change"


def upload(app: AppTest, half: str, name: str, data: bytes) -> AppTest:
    field = next(each for each in app.get("file_uploader") if each.label == f"Your {half}")
    field.upload(name, data)
    return settle(app.run())


def test_sample_pair_is_compared_by_a_swipe_without_a_click(open_page: OpenPage) -> None:
    app = open_page(PAGE)
    assert not app.exception
    assert not app.error
    (html,) = maps_of(app)
    assert html.count("n2m.swipe(") == 1
    assert html.count('"role": "base"') == 2
    assert html.count('"role": "mask"') == 1
    assert '"left": "Before"' in html
    assert {"built", "demolished"} <= set(texts(app).replace("<", " ").replace(">", " ").split())
    assert "Target F1" in {metric.label for metric in app.metric}


def test_side_by_side_shows_both_dates_and_the_change(open_page: OpenPage) -> None:
    app = open_page(PAGE)
    app.segmented_control(key="chg.w.view").set_value("Side by side")
    settle(app.run())
    (html,) = maps_of(app)
    titles = ("Before", "After", "After, with the change")
    assert all(f'"title": "{title}", "columns": 3' in html for title in titles)


def test_wildfire_weights_say_that_they_are_not_for_business(open_page: OpenPage) -> None:
    app = open_page(PAGE, checkpoint="n2m-wildfire")
    assert any("CC BY-NC-SA 4.0" in each.value for each in app.warning)
    assert "n2m-wildfire" in texts(app)
    plain = open_page(PAGE, checkpoint="n2m-change")
    assert not any("NC" in each.value for each in plain.warning)


def test_two_dropped_dates_become_the_choice(open_page: OpenPage, samples: Path) -> None:
    app = upload(open_page(PAGE), "before", "old.tif", (samples / "before.tif").read_bytes())
    assert app.selectbox(key="change.w.source").value == "pair"
    assert "old.tif" in [each.value for each in app.caption]
    upload(app, "after", "new.tif", (samples / "after.tif").read_bytes())
    assert not app.error
    assert any("old.tif → new.tif" in option for option in app.selectbox[0].options)
    assert app.selectbox(key="change.w.source").value != "pair"


def test_dates_on_other_grids_are_aligned_and_it_is_said(
    open_page: OpenPage, samples: Path, tmp_path: Path
) -> None:
    after = read_image(samples / "after.tif")
    moved = GeoImage(
        after.pixels[:, 8:, 8:],
        after.valid[8:, 8:],
        after.crs,
        after.transform @ Affine.translation(8.4, 8.4),
        after.band_names,
        after.resolution_m,
    )
    write_geotiff(tmp_path / "moved.tif", moved)
    app = upload(open_page(PAGE), "before", "old.tif", (samples / "before.tif").read_bytes())
    upload(app, "after", "moved.tif", (tmp_path / "moved.tif").read_bytes())
    assert not app.error
    assert "different grids" in texts(app)


def test_pair_without_common_ground_is_refused_and_nothing_is_lost(
    open_page: OpenPage, samples: Path, tmp_path: Path
) -> None:
    before = read_image(samples / "before.tif")
    far = GeoImage(
        before.pixels,
        before.valid,
        before.crs,
        before.transform @ Affine.translation(5000, 5000),
        before.band_names,
        before.resolution_m,
    )
    write_geotiff(tmp_path / "far.tif", far)
    app = open_page(PAGE)
    shown = maps_of(app)
    upload(app, "before", "old.tif", (samples / "before.tif").read_bytes())
    upload(app, "after", "far.tif", (tmp_path / "far.tif").read_bytes())
    assert [each.value.split("**")[1] for each in app.error] == ["The two images do not overlap."]
    assert app.selectbox(key="change.w.source").value == "pair"
    assert maps_of(app) == shown


def test_bad_date_is_refused(open_page: OpenPage) -> None:
    app = upload(open_page(PAGE), "after", "rubbish.tif", b"rubbish")
    assert not app.exception
    assert len(app.error) == 1
    assert len(maps_of(app)) == 1


def test_pictures_of_unequal_size_without_georeference_are_refused(
    open_page: OpenPage, tmp_path: Path
) -> None:
    from PIL import Image

    files = {}
    for half, side in (("before", 64), ("after", 80)):
        rgb = np.random.default_rng(side).integers(0, 255, (side, side, 3), dtype=np.uint8)
        Image.fromarray(rgb).save(tmp_path / f"{half}.png")
        files[half] = (tmp_path / f"{half}.png").read_bytes()
    app = upload(open_page(PAGE), "before", "a.png", files["before"])
    upload(app, "after", "b.png", files["after"])
    assert len(app.error) == 1
    assert "64" in app.error[0].value
    assert app.selectbox(key="change.w.source").value == "pair"


def test_missing_change_weights_are_told(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tiny_checkpoints.write_tiny_checkpoint(tmp_path, "n2m-buildings")
    app = open_page()
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path))
    app.switch_page(f"pages/{PAGE}.py").run()
    assert not app.exception
    assert not app.error
    assert "No trained weights for change detection are installed" in texts(app)
