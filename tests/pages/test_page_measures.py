"""Trajectory, Interpret, Models and Home."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
import tiny_checkpoints
from page_runs import OpenPage, maps_of, settle, texts
from streamlit.testing.v1 import AppTest

from pages._ui.interpreting import csv_bytes

NAMES = sorted(tiny_checkpoints.CLASSES)


def plots(app: AppTest) -> list[dict[str, object]]:
    return [json.loads(each.proto.spec) for each in app.get("plotly_chart")]


def test_trajectory_shows_four_panels_from_noise_to_clean(open_page: OpenPage) -> None:
    app = open_page("3_Trajectory", sample="first", checkpoint="n2m-buildings")
    assert not app.exception
    assert not app.error
    (html,) = maps_of(app)
    steps = [int(t) for t in re.findall(r'"t": (\d+)', html)]
    assert steps == sorted(steps, reverse=True)
    assert (steps[0], steps[-1], len(steps)) == (999, 0, 11)
    assert html.count("L.map(") == 4
    assert html.count('"role": "frame"') == 4 * 11
    assert len(html) < 5_000_000
    assert "none feeds the next" in texts(app)
    assert "0.01 image + 1.00 noise" in html
    assert "F1 " in html


def test_trajectory_of_a_swap_checkpoint_marks_the_crossing(open_page: OpenPage) -> None:
    app = open_page("3_Trajectory", sample="pair", checkpoint="n2m-change")
    assert not app.error
    (html,) = maps_of(app)
    assert '"marks": [258]' in html
    assert '"t": 258' in html
    assert html.count("L.map(") == 5
    assert "(after, before)" in html
    assert "can't be told apart" in texts(app)


def test_trajectory_takes_more_steps_and_the_whole_scene(open_page: OpenPage) -> None:
    app = open_page("3_Trajectory")
    app.segmented_control(key="trj.w.steps").set_value(6)
    app.segmented_control(key="trj.w.extent").set_value("All")
    settle(app.run())
    (html,) = maps_of(app)
    assert len(re.findall(r'"t": \d+', html)) == 6


def test_interpret_plots_both_twins_with_intervals(open_page: OpenPage) -> None:
    app = open_page("4_Interpret", sample="first", checkpoint="n2m-buildings")
    assert not app.exception
    assert not app.error
    first, classes = plots(app)
    names = [line["name"] for line in first["data"]]
    assert names == [
        "Tiny buildings, interval",
        "Tiny buildings",
        "Tiny buildings-plain, fed the same x_t, interval",
        "Tiny buildings-plain, fed the same x_t",
    ]
    low, high = first["layout"]["xaxis"]["range"][::-1]
    assert low < 0 < 999 < high
    assert [line["name"] for line in classes["data"]] == ["background", "building"]
    assert "over blocks and noise draws" in texts(app)


def test_interpret_scores_all_samples_over_tiles(open_page: OpenPage) -> None:
    app = open_page("4_Interpret", sample="first", checkpoint="n2m-buildings")
    app.toggle(key="itp.w.all").set_value(True)
    settle(app.run())
    assert "over tiles and noise draws; 2 scenes" in texts(app)
    for score in ("iou", "boundary_iou"):
        app.segmented_control(key="itp.w.score").set_value(score)
        settle(app.run())
        assert not app.error


def test_csv_has_a_row_for_every_checkpoint_and_timestep() -> None:
    scores = {"f1": 0.5, "low": None, "high": 0.6, "iou": 0.3, "mean_iou": 0.4, "boundary_iou": 0.2}
    row = {"t": 0, **scores, "classes": [{"f1": 0.9, "iou": 0.8}, {"f1": 0.5, "iou": 0.3}]}
    report = {
        "checkpoint": "a",
        "classes": [{"name": "rest"}, {"name": "house"}],
        "by_timestep": [row, {**row, "t": 999}],
    }
    text = csv_bytes(report, {**report, "checkpoint": "b"}).decode()
    found = list(csv.DictReader(text.splitlines()))
    assert [each["checkpoint"] + each["t"] for each in found] == ["a0", "a999", "b0", "b999"]
    assert found[0]["low"] == ""
    assert found[0]["f1 house"] == "0.5"
    assert found[0]["iou house"] == "0.3"


@pytest.mark.parametrize(
    ("tab", "expected", "count"),
    [
        ("Schedulers and noise", "DDPM, DDIM and PNDM: the largest difference", 4),
        ("Decision time", "median over 3 noise draws", 2),
        ("Calibration", "expected calibration error", 2),
    ],
)
def test_interpret_has_more_views(open_page: OpenPage, tab: str, expected: str, count: int) -> None:
    app = open_page("4_Interpret", sample="first", checkpoint="n2m-buildings")
    app.session_state["itp.tabs"] = tab
    settle(app.run())
    assert not app.exception
    assert not app.error
    assert expected in texts(app)
    assert len(plots(app)) == count


def test_schedules_and_noise_processes_are_compared(open_page: OpenPage) -> None:
    app = open_page("4_Interpret", sample="first", checkpoint="n2m-buildings")
    app.session_state["itp.tabs"] = "Schedulers and noise"
    settle(app.run())
    schedules = ["DDPM, DDIM, PNDM", "Heun", "Cosine"]
    for choice, expected in (("schedule", schedules), ("process", ["gaussian", "self", "none"])):
        app.segmented_control(key="itp.w.compare").set_value(choice)
        settle(app.run())
        lines = [line["name"] for line in plots(app)[0]["data"] if "fill" not in line]
        assert lines == expected


def test_models_shows_every_card_with_licence_and_data(open_page: OpenPage) -> None:
    app = open_page("8_Models")
    assert not app.exception
    assert [each.value for each in app.subheader] == [f"Tiny {name[4:]}" for name in NAMES]
    assert "n2m-landcover" in texts(app)
    assert any("CC BY-NC-SA" in each.value for each in app.warning)


def test_models_credits_what_the_weights_started_from(open_page: OpenPage) -> None:
    told = texts(open_page("8_Models"))
    assert "tiny-start (900); 900 steps in all" in told
    assert "roads: road people" in told


def test_models_can_be_narrowed_down(open_page: OpenPage) -> None:
    app = open_page("8_Models")
    app.selectbox(key="models.w.Use").set_value("Non-commercial only")
    app.run()
    assert [each.value for each in app.subheader] == ["Tiny wildfire"]
    app.selectbox(key="models.w.Task").set_value("segment")
    app.run()
    assert [each.value for each in app.subheader] == []
    assert "No model fits" in texts(app)


def test_home_shows_the_strip_the_samples_and_the_machine(open_page: OpenPage) -> None:
    app = open_page()
    assert not app.exception
    assert not app.error
    text = texts(app)
    assert text.count("<figure>") == 6
    assert text.count('class="n2m-card"') == 3
    assert "Running on" in text


def test_home_without_anything_says_what_to_do(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    app = open_page()
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path))
    monkeypatch.setenv("N2M_SAMPLES", str(tmp_path))
    app.run()
    assert not app.exception
    assert not app.error
    assert "No trained weights for segmentation are installed" in texts(app)
    assert "No samples are installed" in texts(app)


@pytest.mark.parametrize("page", ["1_Segment", "2_Change", "3_Trajectory", "4_Interpret"])
def test_damaged_checkpoint_is_named(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, page: str
) -> None:
    tiny_checkpoints.write_all(tmp_path, seed=len(page))
    for weights in tmp_path.glob("*/model.safetensors"):
        weights.write_bytes(weights.read_bytes()[:-40])
    app = open_page()
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path))
    settle(app.switch_page(f"pages/{page}.py").run())
    assert not app.exception
    assert any("checksum" in each.value for each in app.error)
