"""The trajectory player, the plots, small screens and the first visit, in a real Chromium."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from app_in_browser import WAIT_MS, App
from PIL import Image
from playwright.sync_api import expect

PAGES = ("", "Segment", "Change", "Trajectory", "Interpret", "Lesson", "Models")


def test_trajectory_plays_from_noise_to_map(app: App) -> None:
    app.open("Trajectory?sample=first&checkpoint=n2m-landcover")
    frame = app.map("Trajectory of The first sample")
    assert frame.evaluate("document.body.dataset.t") == "999"
    noisy = frame.frame_element().screenshot()
    frame.locator("select").select_option("4")
    frame.get_by_role("button", name="Play").click()
    frame.wait_for_function('document.body.dataset.t === "0"', timeout=WAIT_MS)
    frame.get_by_role("button", name="Play").wait_for()
    clean = frame.frame_element().screenshot()
    first, last = (
        np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)
        for shot in (noisy, clean)
    )
    quarter = first.shape[1] // 4
    assert (np.abs(first - last).max(axis=-1)[:, :quarter] > 25).mean() > 0.2
    frame.get_by_role("button", name="One step back, towards noise").click()
    assert frame.evaluate("document.body.dataset.t") == "100"
    expect(frame.locator(".label")).to_contain_text("% differ from the final map", timeout=WAIT_MS)


def test_trajectory_can_be_paused(app: App) -> None:
    app.open("Trajectory?sample=first&checkpoint=n2m-landcover")
    frame = app.map("Trajectory of The first sample")
    frame.get_by_role("button", name="Play").click()
    frame.wait_for_function('document.body.dataset.t !== "999"', timeout=WAIT_MS)
    frame.get_by_role("button", name="Pause").click()
    held = frame.evaluate("document.body.dataset.t")
    app.page.wait_for_timeout(1600)
    assert frame.evaluate("document.body.dataset.t") == held


def test_swap_marks_the_step_where_the_dates_are_one(app: App) -> None:
    app.open("Trajectory?sample=pair&checkpoint=n2m-change")
    frame = app.map("Trajectory of The pair sample")
    assert frame.locator(".ticks .mark").all_inner_texts() == ["258"]
    expect(frame.locator(".folium-map")).to_have_count(5, timeout=WAIT_MS)


def test_f1_plot_has_the_points_of_the_table(app: App) -> None:
    app.open("Interpret?sample=first&checkpoint=n2m-buildings")
    app.page.get_by_role("button", name="CSV").wait_for()
    app.page.wait_for_function(
        """() => [...document.querySelectorAll(".js-plotly-plot")].some((plot) =>
        plot.data.some((line) => (line.name || "").includes("fed the same x_t")))""",
        timeout=WAIT_MS,
    )
    lines = app.page.evaluate(
        """() => document.querySelector(".js-plotly-plot").data
        .filter((line) => line.mode === "lines+markers")
        .map((line) => ({ name: line.name, x: [...line.x], y: [...line.y] }))"""
    )
    with app.page.expect_download(timeout=WAIT_MS) as download:
        app.page.get_by_role("button", name="CSV").click()
    rows = list(csv.DictReader(download.value.path().read_text().splitlines()))
    for line, checkpoint in zip(lines, ("n2m-buildings", "n2m-buildings-plain"), strict=True):
        table = {int(row["t"]): row["f1"] for row in rows if row["checkpoint"] == checkpoint}
        assert line["x"] == sorted(table, reverse=True)
        assert line["x"][0] == 999
        assert line["x"][-1] == 0
        for t, value in zip(line["x"], line["y"], strict=True):
            assert table[t] == "" if value is None else float(table[t]) == pytest.approx(value)


@pytest.mark.parametrize("page", PAGES)
def test_small_screen_needs_no_sideways_scrolling(app: App, page: str) -> None:
    app.page.set_viewport_size({"width": 400, "height": 850})
    app.open(page)
    app.page.get_by_role("heading", level=1).wait_for()
    width = app.page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
    assert width <= 400


def test_choices_survive_a_change_of_page_and_stand_in_the_address(app: App) -> None:
    app.open("Segment?sample=second&checkpoint=n2m-landcover")
    app.map("Map of The second sample")
    app.page.get_by_test_id("stPageLink").filter(has_text="Models").first.click()
    app.page.get_by_role("heading", name="Models").wait_for()
    app.page.get_by_test_id("stPageLink").filter(has_text="Segment").first.click()
    app.map("Map of The second sample")
    assert "sample=second" in app.page.url
    assert "checkpoint=n2m-landcover" in app.page.url
