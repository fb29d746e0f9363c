"""The Lesson page: six steps, their controls, their questions, their links."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from page_runs import OpenPage, settle, texts
from streamlit.testing.v1 import AppTest

from pages._ui import lesson_curve, lesson_noise, scheduling
from pages._ui.lesson_network import Sinusoids

PAGE = "7_Lesson"
TITLES = (
    "1. A picture and its noise",
    "2. When the picture goes",
    "3. What the network is told",
    "4. Noise that fits the task",
    "5. The map out of noise",
    "6. What the F1 curve proves",
)


def pictures(app: AppTest) -> list[str]:
    return re.findall(r'<img src="(data:image/webp[^"]+)"', texts(app))


def metric(app: AppTest, label: str) -> str:
    return str(next(each.value for each in app.metric if each.label == label))


def heading(app: AppTest) -> str:
    return str(next(each.value for each in app.header))


def answer(app: AppTest, step: int, option: str) -> AppTest:
    app.radio(key=f"lsn.w.answer{step}").set_value(option)
    return settle(app.run())


def test_next_leads_through_all_steps(open_page: OpenPage) -> None:
    app = open_page(PAGE)
    assert app.button(key="lsn.back").disabled
    for number, title in enumerate(TITLES, 1):
        assert not app.exception
        assert not app.error
        assert heading(app) == title
        assert f"Step {number} of 6" in texts(app)
        assert app.query_params["step"] == str(number)
        assert len(app.radio) == 1
        assert pictures(app) or app.get("plotly_chart")
        if number < len(TITLES):
            settle(app.button(key="lsn.next").click().run())
    assert app.button(key="lsn.next").disabled
    names = [line["name"] for line in _curves(app)]
    assert names == ["Tiny buildings", "Tiny buildings-plain, fed the same x_t"]
    settle(app.button(key="lsn.back").click().run())
    assert heading(app) == TITLES[4]


def _curves(app: AppTest) -> list[dict[str, str]]:
    (chart,) = app.get("plotly_chart")
    return [line for line in json.loads(chart.proto.spec)["data"] if "fill" not in line]


def test_sliders_move_pictures_and_numbers(open_page: OpenPage) -> None:
    app = open_page(PAGE)
    clean, mixed = pictures(app)
    # ᾱ is about exp(-(1e-4 * 301 + 0.0199 * 301 * 300 / 1998)), which is 0.395.
    assert metric(app, "Picture's weight") == "0.628"
    app.slider(key="lsn.w.t1").set_value(999)
    app.run()
    assert pictures(app)[0] == clean
    assert pictures(app)[1] != mixed
    assert (metric(app, "Picture's weight"), metric(app, "Noise's weight")) == ("0.006", "1.000")
    assert app.query_params["t"] == "999"


def test_every_control_changes_what_is_shown(open_page: OpenPage) -> None:
    app = open_page(PAGE, step="6", draws="3", sample="first")
    assert app.segmented_control(key="lsn.w.draws").value == "3"
    assert "blocks of this one scene and noise draws" in texts(app)
    app.segmented_control(key="lsn.w.draws").set_value("1")
    settle(app.run())
    assert "and noise draws" not in texts(app)
    assert app.query_params["draws"] == "1"
    for step in (2, 4, 5):
        app.segmented_control(key="lsn.w.step").set_value(step)
        settle(app.run())
        before = pictures(app)
        app.slider(key=f"lsn.w.t{step}").set_value(900)
        settle(app.run())
        assert not app.error
        assert pictures(app) != before
        assert app.query_params["t"] == "900"


def test_told_the_truth_nothing_changes(open_page: OpenPage) -> None:
    app = open_page(PAGE, step="3", t="300", sample="first")
    assert "0.0% of the pixels differ" in texts(app)
    _, honest, told, _ = pictures(app)
    assert honest == told
    app.slider(key="lsn.w.t3").set_value(999)
    settle(app.run())
    assert not app.error
    assert "Map, told t = 999" in texts(app)
    assert pictures(app)[1] == honest


def test_link_restores_step_scene_and_setting(open_page: OpenPage) -> None:
    app = open_page(PAGE, step="4", t="258", sample="pair")
    assert heading(app) == TITLES[3]
    assert app.slider(key="lsn.w.t4").value == 258
    assert metric(app, "Difference left between the halves") == "0%"
    assert len(pictures(app)) == 5
    assert dict(app.query_params) == {"step": "4", "t": "258", "sample": "pair"}
    answer(app, 4, "t = 500")
    assert not app.success
    assert "Not that one" in app.info[0].value
    answer(app, 4, "t = 258")
    assert "Right." in app.success[0].value
    assert not app.info


def test_damaged_link_opens_the_first_step(open_page: OpenPage) -> None:
    app = open_page(PAGE, step="9", t="x", sample="second")
    assert heading(app) == TITLES[0]
    assert app.slider(key="lsn.w.t1").value == 300
    assert app.selectbox(key="segment.w.source").value == "second"
    answer(app, 1, "The two weights")
    assert "Not that one" in app.info[0].value
    answer(app, 1, "Their squares")
    assert "Right." in app.success[0].value


def test_without_weights_the_steps_on_the_input_work(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    app = open_page()
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path))
    settle(app.switch_page(f"pages/{PAGE}.py").run())
    for number in range(1, 7):
        app.segmented_control(key="lsn.w.step").set_value(number)
        settle(app.run())
        assert not app.exception
        assert not app.error
        assert heading(app) == TITLES[number - 1]
        missing = "No weights trained with gaussian noise are installed" in texts(app)
        assert missing == (number in (3, 5, 6))
        assert bool(pictures(app)) != missing
        assert ("No weights for change detection" in texts(app)) == (number == 4)


# What the answers are computed from


def row(
    t: int, f1: float, low: float | None = None, high: float | None = None
) -> dict[str, object]:
    return {"t": t, "f1": f1, "low": low, "high": high}


@pytest.mark.parametrize(
    ("own", "twin", "right"),
    [
        (row(0, 0.8, 0.7, 0.9), row(0, 0.75, 0.65, 0.71), 2),
        (row(0, 0.8, 0.7, 0.9), row(0, 0.6, 0.5, 0.69), 0),
        (row(0, 0.4, 0.3, 0.45), row(0, 0.6, 0.5, 0.69), 1),
        (row(0, 0.4), row(0, 0.6), 1),
        (row(0, 0.6), row(0, 0.6), 2),
    ],
)
def test_better_twin_is_told_by_the_intervals(
    own: dict[str, object], twin: dict[str, object], right: int
) -> None:
    noisy = row(999, 0.1, 0.0, 0.2)
    _, options, found, _ = lesson_curve.better_when_clean([noisy, own], [noisy, twin])
    assert found == right
    assert len(options) == 3


def test_steepest_fall_is_found() -> None:
    rows = [row(500, 0.7), row(0, 0.8), row(999, 0.1)]
    _, options, right, why = lesson_curve.steepest(rows)
    assert options[right] == "t = 500 and 999"
    assert "0.600" in why


def test_speeds_are_those_of_the_first_middle_and_last_entries() -> None:
    """Entries that move by 4, 2 and 1 a step in the sines, by none in the cosines."""
    t = np.arange(1000, dtype=np.float32)[:, None]
    moving = t * np.array([[4, 3, 2, 1]], np.float32)
    assert Sinusoids(np.hstack([moving, np.zeros_like(moving)])).speeds == (2.0, 1.0, 0.5)


def test_picture_vanishes_later_by_the_cosine() -> None:
    """cos^2((u + 0.008) / 1.008 pi / 2) falls to 0.01 at u = 0.9357, so first at t + 1 = 936."""
    ddpm, _, cosine = scheduling.families()
    assert lesson_noise.vanishes_at(cosine) == 935
    assert 600 < lesson_noise.vanishes_at(ddpm) < 700
