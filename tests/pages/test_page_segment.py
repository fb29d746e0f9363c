"""The Segment page: samples, uploads, choices, bad files."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from page_runs import OpenPage, maps_of, rows_of, settle, texts
from PIL import Image
from streamlit.testing.v1 import AppTest

PAGE = "1_Segment"


def upload(app: AppTest, name: str, data: bytes) -> AppTest:
    field = next(each for each in app.get("file_uploader") if each.label == "Your own image")
    field.upload(name, data)
    return settle(app.run())


def png(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def test_first_picture_comes_without_a_click(open_page: OpenPage) -> None:
    app = open_page(PAGE)
    assert not app.exception
    assert not app.error
    (html,) = maps_of(app)
    assert html.count('"role": "mask"') == 1
    assert html.count('"role": "base"') == 2
    assert not re.search(r"<(?:script|link|img)[^>]*(?:src|href)=.?https?:", html)
    assert {metric.label for metric in app.metric} >= {"Target F1", "Target IoU", "Boundary IoU"}
    assert "Area, m²" in texts(app)


def test_every_view_is_one_map_of_the_same_result(open_page: OpenPage) -> None:
    app = open_page(PAGE)
    for view, bases, swipes in (("Swipe", 2, 1), ("Overlay", 1, 0)):
        app.segmented_control(key="seg.w.view").set_value(view)
        settle(app.run())
        (html,) = maps_of(app)
        assert (html.count('"role": "base"'), html.count("n2m.swipe(")) == (bases, swipes)


def test_land_cover_has_no_threshold_and_scores_every_class(open_page: OpenPage) -> None:
    app = open_page(PAGE)
    app.selectbox(key="segment.w.checkpoint").set_value("n2m-landcover")
    settle(app.run())
    assert not app.error
    assert [slider.label for slider in app.slider] == ["Denoising step t"]
    assert "Mean F1" in {metric.label for metric in app.metric}
    assert "vegetation" in texts(app)


def test_threshold_moves_the_areas_without_a_new_pass(open_page: OpenPage) -> None:
    app = open_page(PAGE)

    def building_share() -> float:
        (share,) = (row[2] for row in rows_of(app) if row[:1] == ["building"] and "%" in row[2])
        return float(share.removesuffix("%"))

    app.slider(key="seg.w.threshold").set_value(0.95)
    settle(app.run())
    few = building_share()
    app.slider(key="seg.w.threshold").set_value(0.05)
    app.run()
    assert not any(button.label == "Cancel" for button in app.button)
    assert building_share() > few


def test_timestep_is_told_and_goes_into_the_link(open_page: OpenPage) -> None:
    app = open_page(PAGE)
    app.slider(key="seg.w.t.n2m-buildings").set_value(400)
    settle(app.run())
    assert "t = 400, x_t mixed there" in texts(app)
    assert app.query_params["timestep"] == "400"


def test_link_carries_sample_checkpoint_and_timestep(open_page: OpenPage) -> None:
    app = open_page(PAGE, sample="second", checkpoint="n2m-landcover", timestep="300")
    assert app.selectbox(key="segment.w.source").value == "second"
    assert app.selectbox(key="segment.w.checkpoint").value == "n2m-landcover"
    assert app.slider(key="seg.w.t.n2m-landcover").value == 300


def test_unknown_names_in_a_link_are_told(open_page: OpenPage) -> None:
    app = open_page(PAGE, sample="nowhere", checkpoint="n2m-nothing")
    assert [each.value for each in app.info] == [
        "The link names sample nowhere, which is not here.",
        "The link names checkpoint n2m-nothing, which is not here.",
    ]
    assert len(maps_of(app)) == 1


def test_choices_survive_another_page(open_page: OpenPage) -> None:
    app = open_page(PAGE)
    app.selectbox(key="segment.w.source").set_value("second")
    app.slider(key="seg.w.threshold").set_value(0.7)
    settle(app.run())
    app.switch_page("pages/8_Models.py").run()
    settle(app.switch_page("pages/1_Segment.py").run())
    assert app.selectbox(key="segment.w.source").value == "second"
    assert app.slider(key="seg.w.threshold").value == 0.7


def test_uploaded_geotiff_becomes_the_choice(open_page: OpenPage, samples: Path) -> None:
    app = upload(open_page(PAGE), "mine.tif", (samples / "second.tif").read_bytes())
    assert not app.error
    assert "mine.tif" in app.selectbox(key="segment.w.source").options
    assert app.selectbox(key="segment.w.source").value not in ("first", "second")
    assert "EPSG:" in texts(app)
    assert "Drop a mask" in texts(app)
    assert not app.metric


def test_truth_upload_unlocks_scores(open_page: OpenPage, samples: Path) -> None:
    app = upload(open_page(PAGE), "mine.tif", (samples / "second.tif").read_bytes())
    field = next(each for each in app.get("file_uploader") if each.label == "Truth mask")
    field.upload("truth.tif", (samples / "second_buildings.tif").read_bytes())
    settle(app.run())
    assert not app.error
    assert "Target F1" in {metric.label for metric in app.metric}


def test_picture_without_georeference_lies_in_pixel_space(open_page: OpenPage) -> None:
    rgb = np.random.default_rng(1).integers(0, 255, (60, 81, 3), dtype=np.uint8)
    app = upload(open_page(PAGE), "photo.png", png(rgb))
    assert not app.error
    (html,) = maps_of(app)
    assert "L.CRS.Simple" in html
    assert "No georeference: shown in pixel space" in html
    assert "Area, pixels" in texts(app)
    resolution = next(each for each in app.number_input if each.label.startswith("Ground"))
    resolution.set_value(0.5)
    settle(app.run())
    assert "Area, m²" in texts(app)


def test_four_bands_can_be_chosen(open_page: OpenPage, samples: Path, tmp_path: Path) -> None:
    from n2m_core.raster_io import read_image, write_geotiff

    image = read_image(samples / "second.tif")
    four = image.with_pixels(
        np.concatenate([image.pixels, image.pixels[:1]]), ("red", "green", "blue", "nir")
    )
    write_geotiff(tmp_path / "four.tif", four)
    app = upload(open_page(PAGE), "four.tif", (tmp_path / "four.tif").read_bytes())
    assert not app.error
    first = next(each for each in app.selectbox if each.label == "Red")
    first.set_value(4)
    settle(app.run())
    assert not app.error
    assert len(maps_of(app)) == 1


BAD = {
    "empty.tif": b"",
    "words.tif": b"this is not an image, whatever its name says",
    "cut.png": png(np.zeros((50, 50, 3), np.uint8))[:60],
    "../../etc/passwd.jpg": b"\xff\xd8\xff\xe0rubbish",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_file_says_so_and_loses_nothing(open_page: OpenPage, name: str) -> None:
    app = open_page(PAGE)
    before = maps_of(app)
    upload(app, name, BAD[name])
    assert not app.exception
    assert [each.value.split("**")[1] for each in app.error] == ["This file could not be read."]
    assert "Traceback" not in app.error[0].value
    assert app.selectbox(key="segment.w.source").value == "first"
    assert maps_of(app) == before


def test_no_checkpoint_is_one_clear_sentence(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    app = open_page()
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path))
    app.switch_page(f"pages/{PAGE}.py").run()
    assert not app.exception
    assert not app.error
    assert "No trained weights for segmentation are installed" in texts(app)
