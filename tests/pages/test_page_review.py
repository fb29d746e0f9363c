"""The review desk by its page: a sample's map is sent, judged, taken back, counted, taken home."""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter
from pathlib import Path

import geopandas as gpd
import pytest
from page_runs import OpenPage, maps_of, rows_of, settle, texts
from streamlit.testing.v1 import AppTest

from n2m_core.errors import ParameterError
from n2m_core.review import (
    ReviewObject,
    SampleParams,
    all_objects,
    all_units,
    draw_pixels,
    get_object,
    history,
    join,
    open_project,
)
from pages._ui import review_out, review_projects
from pages._ui.review_desk import Desk

PAGE = "9_Review"
LEAST_M2 = 1.0
"""An untrained network's map is full of specks."""


@pytest.fixture
def reviews(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all projects, not yet made."""
    folder = tmp_path / "reviews"
    monkeypatch.setenv("N2M_REVIEWS", str(folder))
    return folder


def send(open_page: OpenPage, *, has_times: bool = False) -> AppTest:
    """Send the first sample's map to review from the page Segment."""
    # In the box for the project a test can choose, but not type.
    review_projects.open_named("desk", make=True)
    app = open_page("1_Segment", sample="first", checkpoint="n2m-landcover")
    app.number_input(key="seg.review.area").set_value(LEAST_M2)
    app.checkbox(key="seg.review.times").set_value(has_times)
    app.text_input(key="seg.review.reviewer").set_value("Ann").run()
    app.button(key="seg.review.send").click()
    return settle(app.run())


def press(app: AppTest, label: str) -> AppTest:
    """Press the button whose label begins so."""
    (button,) = [each for each in app.button if each.label.startswith(label)]
    return button.click().run()


def on_desk(app: AppTest) -> int:
    """Number of the object on the desk."""
    found = re.search(r"<th[^>]*>Object (\d+)</th>", texts(app))
    assert found is not None
    return int(found[1])


def test_a_samples_map_is_sent_and_judged(open_page: OpenPage, reviews: Path) -> None:
    sent = send(open_page, has_times=True)
    assert any("is in the project desk" in each.value for each in sent.success)
    project = open_project(reviews / "desk")
    objects = all_objects(project)
    assert len(objects) > 3
    assert all((each.area_m2 or 0) >= LEAST_M2 for each in objects)
    assert all(0 <= (each.decision_time or 0) <= 999 for each in objects)
    assert any(each.decision_time for each in objects)
    doubtful = sorted(objects, key=lambda each: (each.confidence, each.id))
    app = open_page(PAGE, project="desk", reviewer="Ann")
    assert not app.error
    assert on_desk(app) == doubtful[0].id
    (html,) = maps_of(app)
    assert "n2m.desk(" in html
    assert not re.findall(r"<(?:script|link)[^>]+(?:src|href)=", html)
    press(app, "Wrong")
    assert get_object(project, doubtful[0].id).current.verdict == "wrong"
    assert f"Saved: object {doubtful[0].id} is wrong" in texts(app)
    assert on_desk(app) == doubtful[1].id
    press(app, "Right")
    press(app, "Undo")
    assert on_desk(app) == doubtful[1].id
    assert get_object(project, doubtful[1].id).current.verdict is None
    press(app, "Back")
    assert on_desk(app) == doubtful[0].id
    assert [entry.kind for entry in history(project)] == ["decide", "decide", "undo"]
    press(app, "Next")
    comment = next(each for each in app.text_input if each.label == "Comment")
    comment.set_value("half in the shade").run()
    assert get_object(project, doubtful[1].id).current.comment == "half in the shade"
    (chosen,) = [each for each in app.selectbox if each.label.startswith("Class")]
    other = next(each for each in range(5) if each != doubtful[1].class_id)
    chosen.set_value(other).run()
    assert get_object(project, doubtful[1].id).final_class_id == other
    assert "1 of" in app.get("progress")[0].proto.text
    project.close()


def test_a_decision_on_what_another_has_judged_meanwhile_is_refused(
    open_page: OpenPage, reviews: Path
) -> None:
    send(open_page)
    app, other = (open_page(PAGE, project="desk", reviewer=name) for name in ("Ann", "Ben"))
    shown = on_desk(app)
    project = open_project(reviews / "desk")
    assert on_desk(press(other, "Wrong")) != shown
    press(app, "Right")
    assert any("Ben has said something" in each.value for each in app.error)
    assert get_object(project, shown).opinions.keys() == {"Ben"}
    assert on_desk(app) == shown
    press(app, "Right")
    said = get_object(project, shown).opinions
    assert {name: each.verdict for name, each in said.items()} == {"Ann": "right", "Ben": "wrong"}
    assert ["Ann", "1", "1"] in [row[:3] for row in rows_of(other.run())]
    project.close()


def test_points_are_judged_and_give_numbers(open_page: OpenPage, reviews: Path) -> None:
    send(open_page)
    project = open_project(reviews / "desk")
    source_id = all_objects(project)[0].source_id
    drawn = draw_pixels(project, source_id, SampleParams(size=6, least=1, seed=3))
    app = open_page(PAGE, project="desk", reviewer="Ann")
    app.selectbox(key="rev.w.what").set_value(drawn.id).run()
    assert f"Point 1 of {drawn.units}" in texts(app)
    units = all_units(project, drawn.id)
    names = ["building", "bare land", "road", "vegetation", "water"]
    for unit in units:
        press(app, names[unit.class_id])
    assert all(unit.current.class_id == unit.class_id for unit in all_units(project, drawn.id))
    app.session_state["rev.tabs"] = "Numbers"
    app.run()
    assert not app.error
    (overall,) = app.metric
    counted = Counter(each.class_id for each in all_objects(project))
    assert ["building", str(counted[0]), "0"] in [row[:3] for row in rows_of(app)]
    assert overall.value.startswith("100.0 %")
    app.session_state["rev.tabs"] = "Take it home"
    app.run()
    labels = {each.proto.label for each in app.get("download_button")}
    assert {"GeoPackage", "GeoJSON", "Masks to train on", "Report", "Backup"} <= labels
    assert overall.value in review_out.report(project, ".html").decode()
    with zipfile.ZipFile(io.BytesIO(review_out.masks(project, is_kept=True))) as files:
        assert sorted({name.split("/")[0] for name in files.namelist()}) == ["images", "masks"]
    project.close()


def test_a_corrected_object_goes_home_and_back(open_page: OpenPage, reviews: Path) -> None:
    """An outline drawn on the desk's map comes out of the GeoPackage where it was drawn."""
    send(open_page)
    project = review_projects.open_named("desk")
    desk = Desk(project, join(project, "Ann"))
    shown = desk.look()
    assert isinstance(shown, ReviewObject)
    wrong = shown.id
    desk.act({"session": desk.session, "turn": 0, "do": "verdict", "verdict": "wrong"})
    desk.act({"session": desk.session, "turn": 0, "do": "verdict", "verdict": "wrong"})
    desk.act({"session": "another", "turn": 1, "do": "undo"})
    redrawn = desk.look()
    assert isinstance(redrawn, ReviewObject)
    square = [[[[-10, 20], [-10, 24], [-14, 24], [-14, 20]]]]
    desk.act({"session": desk.session, "turn": 1, "do": "outline", "rings": square})
    square = [[[[-50, 20], [-50, 26], [-54, 26], [-54, 20]]]]
    desk.act({"session": desk.session, "turn": 2, "do": "add", "rings": square, "class": 4})
    assert desk.problem is None
    assert [entry.kind for entry in history(project)] == ["decide", "decide", "add"]
    made = gpd.read_file(io.BytesIO(review_out.polygons(project, redrawn.source_id, ".gpkg")))
    source = desk.source_of(redrawn)
    assert made.crs == source.crs
    assert source.transform is not None
    assert wrong not in set(made["object"])
    for number, corner, pixels in (
        (redrawn.id, (20, 10), 16),
        (int(made["object"].max()), (20, 50), 24),
    ):
        (row,) = made[made["object"] == number].itertuples()
        left, _, _, top = row.geometry.bounds
        assert (left, top) == pytest.approx(source.transform @ corner, abs=1e-6)
        assert row.area_m2 == pytest.approx(pixels * 0.25, rel=0.01)
    assert review_out.database(project).startswith(b"SQLite format 3")


@pytest.mark.parametrize("name", ["../desk", "a/b", "a\\b", ".hidden", "a..b", " ", "C:desk"])
def test_a_name_that_leads_elsewhere_makes_no_folder(reviews: Path, name: str) -> None:
    with pytest.raises(ParameterError, match="can't be called"):
        review_projects.open_named(name, make=True)
    assert not reviews.exists()


def test_projects_are_listed_by_the_file_that_the_library_writes(reviews: Path) -> None:
    assert review_projects.names() == []
    for name in ("town", "coast"):
        review_projects.open_named(name, make=True)
    (reviews / "notes").mkdir()
    assert review_projects.names() == ["coast", "town"]


def test_a_damaged_project_is_told_in_a_sentence(open_page: OpenPage, reviews: Path) -> None:
    (reviews / "desk").mkdir(parents=True)
    (reviews / "desk" / "review.gpkg").write_bytes(b"no database" * 100)
    app = open_page(PAGE, project="desk", reviewer="Ann")
    (shown,) = app.error
    assert "damaged" in shown.value
    assert (reviews / "desk" / "review.gpkg").read_bytes() == b"no database" * 100
