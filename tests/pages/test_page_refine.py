"""The Refine page: rough maps of a model or of a person's own, refined; what is missing is told."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import tiny_checkpoints
from page_runs import OpenPage, maps_of, settle, texts
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Selectbox

from n2m_core.metrics.spectrum import RINGS, ErrorSpectrum
from n2m_core.raster_io import read_image, write_geotiff
from n2m_core.tasks.frequency import StepScore
from n2m_core.tasks.worst_cases import Case, Outcome
from pages._ui import frequencies, spoiling

PAGE = "5_Refine"


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that draws rough maps of buildings, and two that refine, one in one pass."""
    folder = tmp_path_factory.mktemp("checkpoints")
    tiny_checkpoints.write_tiny_checkpoint(folder, "n2m-buildings")
    once = tiny_checkpoints.write_tiny_checkpoint(folder, "n2m-buildings-plain") / "card.json"
    card = json.loads(once.read_text())
    card["bands"] += ["rough background", "rough building"]
    once.write_text(json.dumps(card))
    tiny_checkpoints.write_tiny_refiner(folder, "idgbr-buildings", of="n2m-buildings")
    return folder


def upload(app: AppTest, label: str, name: str, data: bytes) -> AppTest:
    field = next(each for each in app.get("file_uploader") if each.label == label)
    field.upload(name, data)
    return settle(app.run())


def rough_map(app: AppTest) -> Selectbox:
    """The choice of the rough map."""
    return next(each for each in app.selectbox if each.label == "Rough map")


def test_a_models_map_is_refined_without_a_click(open_page: OpenPage) -> None:
    app = open_page(PAGE)
    assert not app.exception
    assert not app.error
    swipe, repair, player = maps_of(app)
    assert '"left": "Rough"' in swipe
    assert '"right": "Refined"' in swipe
    assert swipe.count('"role": "mask"') == 2
    assert repair.count('"role": "mask"') == 1
    assert all(name in repair for name in ("kept", "repaired", "missed", "broken", "invented"))
    assert player.count('"role": "frame"') == 2 * 3  # three steps, map and confidence
    shown = texts(app)
    assert "Repair score" in shown
    assert "3 steps, guidance 2, seed 0" in shown
    assert "made up" in shown
    assert "idgbr-buildings" in shown
    assert app.selectbox(key="rough.w.idgbr-buildings").options[0] == "Map by Tiny buildings"


def test_the_error_is_shown_by_frequency_and_along_the_walk(open_page: OpenPage) -> None:
    app = open_page(PAGE)
    assert not app.error
    spectrum, walk = (json.loads(each.proto.spec) for each in app.get("plotly_chart"))
    assert [line["name"] for line in spectrum["data"]] == ["rough", "refined"]
    assert spectrum["layout"]["yaxis"]["type"] == "log"
    expected, rough = walk["data"]
    assert expected["x"] == [1, 2, 3]
    assert rough["y"][0] == rough["y"][1]
    shown = texts(app)
    assert "waves longer than 16 px" in shown
    assert "after step 1 and" in shown


def spectrum(fine: float, coarse: float) -> ErrorSpectrum:
    """Error in the lowest and in the highest ring alone."""
    power = np.zeros(RINGS)
    power[0], power[-1] = coarse, fine
    return ErrorSpectrum(power, np.ones(RINGS, np.int64))


def test_what_is_left_of_the_error_is_told() -> None:
    told = frequencies.told_spectrum(spectrum(200, 100), spectrum(50, 110))
    assert "such as a whole building (110 % is left)" in told
    assert "outlines (25 % is left)" in told
    assert "(there was none)" in frequencies.told_spectrum(spectrum(0, 9), spectrum(5, 9))


@pytest.mark.parametrize(
    ("scores", "told"),
    [
        ((0.5, 0.4, 0.6, 0.45, 0.7), "from step 4 on it passes the rough map's 0.500"),
        ((0.5, 0.6, 0.7), "from step 1 on it passes"),
        ((0.5, 0.6, 0.5), "the rough map's 0.500 is not passed in the end"),
        ((math.nan, 0.1, 0.2), "the rough map has no boundary"),
    ],
)
def test_when_the_boundary_passes_the_rough_map_is_told(
    scores: tuple[float, ...], told: str
) -> None:
    steps = tuple(StepScore(step, score, score) for step, score in enumerate(scores))
    assert told in frequencies.told_walk(steps)


def test_several_samples_show_where_the_boundary_is_uncertain(open_page: OpenPage) -> None:
    app = open_page(PAGE)
    assert "Choose several samples" in texts(app)
    app.segmented_control(key="ref.w.samples.idgbr-buildings").set_value(4)
    settle(app.run())
    assert not app.error
    assert len(maps_of(app)) == 4
    assert "4 samples" in texts(app)


def test_a_rough_map_of_ones_own_becomes_the_choice_and_a_bad_one_changes_nothing(
    open_page: OpenPage, samples: Path, tmp_path: Path
) -> None:
    app = open_page(PAGE)
    before = maps_of(app)[0]
    photo = (samples / "first.tif").read_bytes()
    upload(app, "Your own rough map", "photo.tif", photo)
    assert len(app.error) == 1
    assert "a picture, not a map" in app.error[0].value
    assert maps_of(app)[0] == before
    image = read_image(samples / "first.tif")
    rough = np.zeros((1, image.height, image.width), np.uint8)
    rough[:, 20:60, 30:70] = 1
    write_geotiff(tmp_path / "mine.tif", image.with_pixels(rough, ("class",)))
    app.selectbox(key="segment.w.source").set_value("first")
    settle(app.run())
    upload(app, "Your own rough map", "mine.tif", (tmp_path / "mine.tif").read_bytes())
    assert not app.error
    assert rough_map(app).value == "own"
    assert maps_of(app)[0] != before


def test_missing_weights_and_missing_rough_maps_are_told(
    open_page: OpenPage,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    checkpoints: Path,
    samples: Path,
) -> None:
    tiny_checkpoints.write_tiny_checkpoint(tmp_path / "none", "n2m-buildings")
    app = open_page()
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path / "none"))
    app.switch_page(f"pages/{PAGE}.py").run()
    assert not app.exception
    assert not app.error
    assert "No trained weights for refinement are installed" in texts(app)
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "idgbr-buildings").symlink_to(checkpoints / "idgbr-buildings")
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path / "alone"))
    app.run()
    # A sample brings a truth, which can be spoiled; a picture of one's own does not.
    assert rough_map(app).options == [
        "One building missing",
        "Holes and merged neighbours",
        "Low-resolution map",
    ]
    upload(app, "Your own image", "mine.tif", (samples / "second.tif").read_bytes())
    assert "There is no rough map yet" in texts(app)


def test_a_building_left_out_is_one_click_away_and_whether_it_came_back_is_told(
    open_page: OpenPage,
) -> None:
    app = open_page(PAGE)
    before = maps_of(app)[0]
    assert not app.info
    rough_map(app).set_value("missing")
    settle(app.run())
    assert not app.error
    (said,) = (each.value for each in app.info)
    assert said.startswith("The building that the rough map misses whole ")
    assert "pixels are mapped" in said
    assert "made of the truth: one building missing" in texts(app)
    assert maps_of(app)[0] != before
    assert app.query_params["rough"] == "missing"
    rough_map(app).set_value("merged")
    settle(app.run())
    assert "pixels of holes" in app.info[0].value


def test_a_link_opens_a_low_resolution_map(open_page: OpenPage) -> None:
    app = open_page(PAGE, sample="first", checkpoint="idgbr-buildings", rough="coarse")
    assert not app.error
    assert rough_map(app).value == "coarse"
    assert "the low resolution lost" in app.info[0].value
    bare = open_page(PAGE, sample="second", checkpoint="idgbr-buildings", rough="coarse")
    assert "no object in this part of the scene" in bare.error[0].value
    other = open_page(PAGE, rough="absent")
    assert "names rough map absent, which is not here" in other.info[0].value


@pytest.mark.parametrize(
    ("case", "found", "classes", "told"),
    [
        ("missing", Outcome(200, 150, 0, 0), 2, "whole came back: 75 % of its 200 pixels"),
        ("missing", Outcome(200, 60, 0, 0), 2, "came back in part: 30 %"),
        ("missing", Outcome(200, 4, 0, 0), 2, "did not come back: 2 %"),
        ("merged", Outcome(50, 40, 0, 0), 2, "80 % are filled again, and of 0 pixels between "),
        ("coarse", Outcome(50, 40, 20, 5), 2, "80 % are back, and of 20 that it added 25 % are"),
        ("coarse", Outcome(50, 40, 0, 0), 3, "got wrong 80 % are right now"),
    ],
)
def test_what_became_of_a_spoiled_truth_is_told(
    case: Case, found: Outcome, classes: int, told: str
) -> None:
    assert told in spoiling.told(case, found, ("rest", "roof", "road")[:classes])
