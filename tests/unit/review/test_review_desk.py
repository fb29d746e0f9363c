"""A project at work: objects come in order, decisions stand, undo takes them back."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from review_cases import map_result, reviewed, square
from shapely.geometry import Polygon
from sqlalchemy.exc import IntegrityError

from n2m_core.errors import LabelError, ParameterError, ReviewConflictError
from n2m_core.review import (
    Reviewer,
    add_map,
    add_object,
    all_objects,
    create_project,
    decide,
    get_object,
    history,
    join,
    next_object,
    objects_in,
    open_project,
    picture,
    previous_object,
    progress,
    schema,
    sources,
    undo,
)
from n2m_core.review.records import Order


def test_map_becomes_objects_with_its_pictures(tmp_path: Path) -> None:
    labels = np.zeros((30, 40), np.uint8)
    labels[2:6, 3:8] = 1
    labels[20:22, 30:31] = 1
    time = np.full(labels.shape, -1, np.int16)
    time[2:6, 3:8] = 100
    time[2, 3] = 300
    project = create_project(tmp_path / "p", "Town")
    result = map_result(labels)
    source = add_map(project, result, name="town.tif", decision_time=time)
    assert source.settings["checkpoint"] == "rule"
    assert source.notes == ("a note",)
    first, second = all_objects(project)
    assert first.area_m2 == pytest.approx(20 * 0.25, rel=1e-3)
    assert (first.area_px, second.area_px) == (20, 2)
    assert first.confidence == pytest.approx(0.8)
    assert first.decision_time == pytest.approx((19 * 100 + 300) / 20)
    assert second.decision_time is None
    assert np.array_equal(picture(source, "map").pixels[0], labels)
    assert np.array_equal(picture(source).pixels, result.image.pixels)
    assert picture(source).transform == result.image.transform


@pytest.mark.parametrize(
    ("order", "expected"),
    [("doubt", [4, 3, 2, 1]), ("size", [3, 4, 1, 2]), ("place", [2, 4, 1, 3])],
)
def test_orders(tmp_path: Path, order: Order, expected: list[int]) -> None:
    # Corners of a square; the curve enters at the lower left and leaves at the lower right.
    corners = [square(*corner) for corner in ((90, 10), (10, 90), (90, 90), (10, 10))]
    project, _ = reviewed(tmp_path, 4, corners, area_m2=[20.0, 10.0, 40.0, 30.0])
    ann = join(project, "Ann")
    seen, at = [], None
    while (found := next_object(project, ann, at, order=order)) is not None:
        seen.append(at := found.id)
    assert seen == expected
    back = previous_object(project, ann, seen[-1], order=order)
    assert back is not None
    assert back.id == expected[-2]


def test_judged_objects_are_passed_over_but_can_be_gone_back_to(tmp_path: Path) -> None:
    project, _ = reviewed(tmp_path)
    ann, ben = join(project, "Ann"), join(project, " ben ")
    decide(project, 4, ann, verdict="right")
    assert next_object(project, ann).id == 3  # type: ignore[union-attr]
    assert next_object(project, ben).id == 3  # type: ignore[union-attr]
    assert next_object(project, ben, scope="mine").id == 4  # type: ignore[union-attr]
    assert next_object(project, ann, 4).id == 3  # type: ignore[union-attr]
    assert previous_object(project, ann, 3).id == 4  # type: ignore[union-attr]
    assert previous_object(project, ann, 3, scope="open") is None
    assert join(project, "ANN") == ann


def test_the_last_word_counts_thing_by_thing(tmp_path: Path) -> None:
    project, _ = reviewed(tmp_path)
    ann, ben = join(project, "Ann"), join(project, "Ben")
    decide(project, 1, ann, verdict="wrong", comment="a shadow")
    decide(project, 1, ben, verdict="right")
    decide(project, 1, ann, outline=square(0, 5, 20), class_id=2)
    found = get_object(project, 1, ann)
    assert (found.mine.verdict, found.mine.class_id, found.mine.comment) == ("wrong", 2, "a shadow")
    assert found.opinions["Ben"].verdict == found.current.verdict == "right"
    assert found.current.outline == square(0, 5, 20)
    assert found.final_area_m2 == pytest.approx(100, rel=1e-3)
    assert found.area_m2 == pytest.approx(25, rel=1e-3)
    assert found.final_class_id == 2
    assert found.is_disputed
    assert progress(project).disputed == 1


def test_undo_is_an_entry_and_brings_back_what_was(tmp_path: Path) -> None:
    project, _ = reviewed(tmp_path)
    ann, ben = join(project, "Ann"), join(project, "Ben")
    decide(project, 1, ann, verdict="right")
    decide(project, 1, ben, verdict="unsure")
    decide(project, 1, ann, verdict="wrong")
    taken = undo(project, ann)
    assert taken is not None
    assert (taken.verdict, taken.object_id, taken.is_undone) == ("wrong", 1, True)
    assert get_object(project, 1, ann).mine.verdict == "right"
    assert get_object(project, 1).current.verdict == "unsure"
    assert undo(project, ann).verdict == "right"  # type: ignore[union-attr]
    assert undo(project, ann) is None
    assert get_object(project, 1, ben).mine.verdict == "unsure"
    log = history(project, 1)
    assert [each.kind for each in log] == ["decide"] * 3 + ["undo"] * 2
    assert [each.is_undone for each in log] == [True, False, True, False, False]
    assert all(each.at.endswith("+00:00") for each in log)


def test_missed_object_is_drawn_and_undone(tmp_path: Path) -> None:
    project, source = reviewed(tmp_path)
    ann = join(project, "Ann")
    drawn = add_object(project, source.id, ann, square(5, 40), 1, "behind the tree")
    assert drawn.origin == "drawn"
    assert drawn.mine.comment == "behind the tree"
    assert drawn.area_m2 == pytest.approx(25, rel=1e-3)
    assert len(all_objects(project)) == progress(project).objects == 5
    assert progress(project).reviewers[0].added == 1
    undo(project, ann)
    assert len(all_objects(project)) == 4
    with pytest.raises(ParameterError, match="may have been undone"):
        decide(project, drawn.id, ann, verdict="right")


def test_whoever_looked_before_somebody_spoke_is_told(tmp_path: Path) -> None:
    project, _ = reviewed(tmp_path)
    ann, ben = join(project, "Ann"), join(project, "Ben")
    seen = get_object(project, 2, ben)
    said = decide(project, 2, ann, outline=square(20, 5, 8), seen=seen.version)
    with pytest.raises(ReviewConflictError, match="Ann has said something here"):
        decide(project, 2, ben, outline=square(20, 5, 12), seen=seen.version)
    assert get_object(project, 2).version == said.id
    decide(project, 2, ben, outline=square(20, 5, 12), seen=said.id)
    assert get_object(project, 2).final_outline == square(20, 5, 12)


def test_log_lines_can_be_neither_changed_nor_deleted(tmp_path: Path) -> None:
    project, _ = reviewed(tmp_path)
    decide(project, 1, join(project, "Ann"), verdict="right")
    raw = project.store.engine.connect()
    for statement in ("UPDATE entries SET verdict = 'wrong'", "DELETE FROM entries"):
        with pytest.raises(IntegrityError, match="entries are never"):
            raw.exec_driver_sql(statement)
    raw.close()


def test_progress_counts_people_and_pace(tmp_path: Path) -> None:
    project, _ = reviewed(tmp_path)
    ann = join(project, "Ann")
    join(project, "Ben")
    for object_id, verdict in ((1, "right"), (2, "wrong"), (3, "unsure"), (3, "wrong")):
        decide(project, object_id, ann, verdict=verdict)  # type: ignore[arg-type]
    decide(project, 4, ann, outline=square(60, 5, 9))
    found = progress(project)
    assert (found.objects, found.judged, found.disputed) == (4, 3, 0)
    first, second = found.reviewers
    assert (first.judged, first.right, first.wrong, first.unsure) == (3, 1, 2, 0)
    assert first.redrawn == 1
    assert first.per_minute is not None
    assert first.per_minute > 60
    assert (second.judged, second.per_minute, second.last_at) == (0, None, "")


def test_pace_leaves_breaks_out(tmp_path: Path) -> None:
    project, _ = reviewed(tmp_path)
    ann = join(project, "Ann")
    with project.store.writing() as connection:
        for object_id, at in enumerate(("11:00:00", "12:00:00", "12:00:20", "12:00:30"), 1):
            when = f"2026-01-01T{at}.000+00:00"
            values = {"object_id": object_id, "reviewer_id": ann.id, "at": when, "kind": "decide"}
            connection.execute(schema.entries.insert().values(verdict="right", **values))
    # Gaps of 20 and 10 s; the hour between is a break.
    assert progress(project).reviewers[0].per_minute == pytest.approx(4)


def test_any_gis_shows_the_project_file(tmp_path: Path) -> None:
    project, source = reviewed(tmp_path)
    ann = join(project, "Ann")
    decide(project, 2, ann, verdict="wrong", class_id=2, outline=square(20, 5, 20))
    add_object(project, source.id, ann, square(5, 40), 1)
    layer = gpd.read_file(tmp_path / "review.gpkg", layer="map_1")
    assert layer.crs.to_epsg() == 32633
    assert list(layer["class"]) == ["building", "shed", "building", "building", "building"]
    assert layer.geometry[1].equals(square(20, 5, 20))
    assert layer["area_m2"][1] == pytest.approx(100, rel=1e-3)
    assert list(layer["origin"])[-1] == "drawn"
    assert layer["reviewer"][1] == "Ann"


def test_objects_around_one_are_found(tmp_path: Path) -> None:
    project, source = reviewed(tmp_path)
    west, south, east, north = square(20, 5).bounds
    found = objects_in(project, source.id, (west - 1, south, east + 1, north))
    assert [each.id for each in found] == [2]
    assert [each.id for each in objects_in(project, source.id, (west - 6, south, east, north))] == [
        1,
        2,
    ]


def test_reopened_project_is_the_same(tmp_path: Path) -> None:
    project, source = reviewed(tmp_path)
    decide(project, 1, join(project, "Ann"), verdict="right")
    project.close()
    again = open_project(tmp_path)
    assert sources(again) == (source,)
    assert get_object(again, 1).current.verdict == "right"


@pytest.mark.parametrize(
    ("words", "error", "expected"),
    [
        ({}, ParameterError, "Nothing was decided"),
        ({"verdict": "maybe"}, ParameterError, "Verdict 'maybe' is unknown"),
        ({"class_id": 7}, ParameterError, "has no class 7; choose one of 0 background"),
        ({"outline": Polygon([(0, 0), (1, 1), (0, 0)])}, LabelError, "encloses no area"),
        ({"comment": "x" * 5000}, ParameterError, "5000 letters"),
        ({"seconds": -1.0, "verdict": "right"}, ParameterError, "-1.0 seconds"),
    ],
)
def test_bad_decisions_say_nothing(
    tmp_path: Path, words: dict[str, object], error: type[Exception], expected: str
) -> None:
    project, _ = reviewed(tmp_path)
    with pytest.raises(error, match=expected):
        decide(project, 1, Reviewer(1, "x"), **words)  # type: ignore[arg-type]
    assert history(project) == ()


def test_judged_objects_are_found_by_index(tmp_path: Path) -> None:
    """Else the time to find the next object grows with the square of what was judged."""
    project, _ = reviewed(tmp_path)
    judged = "SELECT 1 FROM live_entries AS e WHERE e.object_id = o.id"
    with project.store.reading() as connection:
        plan = connection.exec_driver_sql(
            f"EXPLAIN QUERY PLAN SELECT o.id FROM live_objects AS o WHERE NOT EXISTS ({judged})"
        ).all()
    assert sum("USING INDEX entries_of_object" in row[-1] for row in plan) == 2
