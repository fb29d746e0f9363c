"""Interpret beyond the curves: sizes, agreement, calibration, features, robustness, failures."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from page_runs import OpenPage, maps_of, settle, texts
from streamlit.testing.v1 import AppTest

SIZES = ["below 50 m²", "50 to 100 m²", "100 to 200 m²", "200 to 400 m²", "from 400 m²"]


def lines(app: AppTest, number: int = 0) -> list[dict[str, Any]]:
    """The traces of one plot of a page."""
    found: list[dict[str, Any]] = json.loads(app.get("plotly_chart")[number].proto.spec)["data"]
    return found


def numbers(packed: dict[str, str]) -> NDArray[Any]:
    """An array as plotly packs it."""
    return np.frombuffer(base64.b64decode(packed["bdata"]), packed["dtype"])


def at_tab(open_page: OpenPage, tab: str, *, pair: bool = False) -> AppTest:
    sample, checkpoint = ("pair", "n2m-change") if pair else ("first", "n2m-buildings")
    app = open_page("4_Interpret", sample=sample, checkpoint=checkpoint)
    app.session_state["itp.tabs"] = tab
    settle(app.run())
    assert not app.exception
    assert not app.error
    return app


def rerun(app: AppTest) -> AppTest:
    settle(app.run())
    assert not app.exception
    assert not app.error
    return app


def test_scores_by_object_size(open_page: OpenPage) -> None:
    app = open_page("4_Interpret", sample="first", checkpoint="n2m-buildings")
    app.segmented_control(key="itp.w.score").set_value("size")
    rerun(app)
    assert [line["name"] for line in lines(app)] == SIZES
    assert all(len(line["x"]) == 6 for line in lines(app))
    assert "At the model's own step" in texts(app)
    assert "200 to 400 m²" in texts(app)
    app.segmented_control(key="itp.w.size").set_value("recall")
    rerun(app)
    scores = [y for line in lines(app) for y in line["y"] if y is not None]
    assert scores
    assert all(0 <= y <= 1 for y in scores)


def test_agreement_with_the_final_map_ends_at_one(open_page: OpenPage) -> None:
    app = at_tab(open_page, "Decision time")
    share, iou = lines(app, 1)
    assert share["x"][-1] == 0
    assert share["y"][-1] == 1
    assert min(share["y"]) < 1
    assert iou["name"] == "IoU of the target"


def test_calibration_of_a_chosen_step_and_over_t(open_page: OpenPage) -> None:
    app = at_tab(open_page, "Calibration")
    before = lines(app)[0]["y"]
    error = lines(app, 1)[0]
    assert error["name"] == "expected calibration error"
    assert (len(error["x"]), error["x"][0]) == (6, 999)
    assert all(0 <= y <= 1 for y in error["y"])
    app.selectbox(key="itp.w.reliability").set_value("999")
    rerun(app)
    assert lines(app)[0]["y"] != before


def test_features_of_every_depth_and_attention_of_a_pixel(open_page: OpenPage) -> None:
    app = at_tab(open_page, "Features")
    captions = re.findall(r"<figcaption>([^<]+)</figcaption>", texts(app))
    assert [each.split(" · ")[0] for each in captions] == [
        "input", "stem", "down 1", "down 2", "middle", "up 1", "up 2", "output",
    ]  # fmt: skip
    assert app.selectbox(key="itp.w.block").options == ["middle"]
    picture, heat, cells, chosen = lines(app)
    assert picture["source"].startswith("data:image/png;base64,")
    assert (chosen["x"], chosen["y"]) == ([48], [48])
    assert len(numbers(cells["x"])) == 24 * 24
    assert numbers(cells["customdata"]).sum() == pytest.approx(1, abs=1e-5)
    app.number_input(key="itp.w.row").set_value(3)
    app.number_input(key="itp.w.column").set_value(90)
    app.selectbox(key="itp.w.inside").set_value("999")
    rerun(app)
    assert (lines(app)[3]["x"], lines(app)[3]["y"]) == ([90], [3])
    assert lines(app)[1]["z"] != heat["z"]
    assert "Attention of row 3, column 90" in app.get("plotly_chart")[0].proto.alt


def test_robustness_sets_the_twin_beside_the_model(open_page: OpenPage) -> None:
    app = at_tab(open_page, "Robustness")
    assert [line["name"] for line in lines(app)] == ["Tiny buildings", "Tiny buildings-plain"]
    assert lines(app)[0]["x"] == ["clean", "2 %", "5 %", "10 %", "20 %"]
    clean = [line["y"][0] for line in lines(app)]
    app.segmented_control(key="itp.w.perturbation").set_value("jpeg")
    rerun(app)
    assert lines(app)[0]["x"] == ["clean", *(f"quality {each}" for each in (80, 50, 25, 10))]
    assert [line["y"][0] for line in lines(app)] == clean


def test_the_worst_tile_is_opened_and_others_can_be(open_page: OpenPage) -> None:
    app = at_tab(open_page, "Where it fails")
    tiles = app.selectbox(key="itp.w.tile.n2m-buildings.None.None.None").options
    scores = [float(each.rsplit(" ", 1)[1]) for each in tiles]
    assert len(scores) == 2
    assert scores == sorted(scores)
    (worst,) = maps_of(app)
    legend = re.search(r'"name": "invented: ([\d,]+) px, ([\d,]+) m²"', _plain(worst))
    assert legend is not None
    assert '"left": "Picture", "right": "Errors"' in worst
    app.selectbox(key="itp.w.tile.n2m-buildings.None.None.None").set_value("1")
    rerun(app)
    assert maps_of(app) != [worst]
    app.segmented_control(key="itp.w.fail.left").set_value("Truth")
    app.segmented_control(key="itp.w.fail.right").set_value("Map")
    rerun(app)
    assert '"left": "Truth", "right": "Map"' in maps_of(app)[0]


def test_tiles_are_filtered_by_scene_and_size(open_page: OpenPage) -> None:
    app = at_tab(open_page, "Where it fails")
    app.selectbox(key="itp.w.fail.scene").set_value("1")
    rerun(app)
    (only,) = app.selectbox(key="itp.w.tile.n2m-buildings.None.None.1").options
    assert only.startswith("1. The second sample, row 1, column 1: F1 ")
    app.selectbox(key="itp.w.fail.scene").set_value("any")
    kept = 0
    for index in range(len(SIZES)):
        app.selectbox(key="itp.w.fail.size").set_value(str(index))
        rerun(app)
        if not maps_of(app):
            assert "No tile fits these filters" in texts(app)
        kept += len(maps_of(app))
    assert kept > 0


def test_a_pair_on_the_same_views(open_page: OpenPage) -> None:
    """The pair's truth is 0 and 1 alone, so it does not tell the two kinds of change apart."""
    app = at_tab(open_page, "Where it fails", pair=True)
    assert app.selectbox(key="itp.w.fail.class").options == ["built or demolished"]
    app.segmented_control(key="itp.w.fail.left").set_value("Before")
    rerun(app)
    assert '"left": "Before", "right": "Errors"' in maps_of(app)[0]
    app.session_state["itp.tabs"] = "Features"
    rerun(app)
    halves = re.findall(r"<figcaption>(\w+ half)</figcaption>", texts(app))
    assert halves == ["first half", "second half"]
    app.session_state["itp.tabs"] = "Robustness"
    rerun(app)
    assert len(lines(app)) == 1
    assert "no plain twin" in texts(app)
    assert "only a shift moves the later one" in texts(app)


def _plain(html: str) -> str:
    """A map's text with its letters written out."""
    return html.replace("\\u00b2", "²")
