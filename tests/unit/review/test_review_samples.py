"""Samples are drawn as said, answered at the desk, and give the numbers of their answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from review_cases import map_result, reviewed, square

from n2m_core.errors import ParameterError, ReviewConflictError, ReviewError
from n2m_core.review import (
    Project,
    SampleParams,
    Source,
    Unit,
    add_map,
    agreement,
    all_units,
    answer,
    assess,
    create_project,
    decide,
    draw_objects,
    draw_pixels,
    get_unit,
    join,
    next_unit,
    previous_unit,
    progress,
    samples,
    undo,
)
from n2m_core.review.sampling import block_classes
from n2m_core.review.strata import strata_of, stratified_order


def mapped(folder: Path) -> tuple[Project, Source, np.ndarray]:
    """A map of 40 x 50 px with 100 px of building."""
    labels = np.zeros((40, 50), np.uint8)
    labels[10:20, 10:20] = 1
    labels[0, :5] = 255
    project = create_project(folder)
    return project, add_map(project, map_result(labels), name="tile"), labels


def test_points_are_drawn_in_every_class_and_seed_names_the_draw(tmp_path: Path) -> None:
    project, source, labels = mapped(tmp_path)
    sample = draw_pixels(project, source.id, SampleParams(60, least=20, seed=3))
    assert [(each.name, each.population, each.drawn) for each in sample.strata] == [
        ("background", 1895, 40),
        ("building", 100, 20),
    ]
    assert sample.strata[1].area_m2 == pytest.approx(25, rel=1e-3)
    units = all_units(project, sample.id)
    assert len({unit.outline.wkt for unit in units}) == 60
    for unit in units:
        column, row = ~source.transform @ unit.outline.centroid.coords[0]  # type: ignore[operator]
        assert labels[int(row), int(column)] == unit.class_id
        assert unit.outline.area == pytest.approx(0.25)
    again = draw_pixels(project, source.id, SampleParams(60, least=20, seed=3))
    other = draw_pixels(project, source.id, SampleParams(60, least=20, seed=4))
    same = [unit.outline.wkt for unit in units]
    assert [unit.outline.wkt for unit in all_units(project, again.id)] == same
    assert [unit.outline.wkt for unit in all_units(project, other.id)] != same
    # The order mixes the strata: neither comes first as a whole.
    assert {unit.class_id for unit in units[:20]} == {0, 1}
    assert len(samples(project)) == 3


def test_blocks_have_the_class_of_most_of_their_pixels() -> None:
    labels = np.array([[0, 0, 1, 1, 2], [0, 1, 1, 255, 2], [255, 255, 0, 1, 0]], np.uint8)
    assert block_classes(labels, 2).tolist() == [[0, 1, 2], [255, 0, 0]]


def test_blocks_are_cut_at_the_edge(tmp_path: Path) -> None:
    project, source, _ = mapped(tmp_path)
    sample = draw_pixels(project, source.id, SampleParams(16, least=0, block_px=16))
    assert sample.kind == "blocks"
    assert sum(each.population for each in sample.strata) == 3 * 4 == sample.units
    assert sorted({round(unit.outline.area / 0.25) for unit in all_units(project, sample.id)}) == [
        16,
        32,
        128,
        256,
    ]


def answered(project: Project, source: Source, truth: dict[int, list[int]]) -> int:
    """A sample of points of which some of each class are answered with the classes given."""
    sample = draw_pixels(project, source.id, SampleParams(60, least=20))
    ann = join(project, "Ann")
    left = {class_id: list(answers) for class_id, answers in truth.items()}
    for unit in all_units(project, sample.id):
        if left.get(unit.class_id):
            answer(project, unit.id, ann, left[unit.class_id].pop())
    return sample.id


def test_numbers_follow_from_the_answers(tmp_path: Path) -> None:
    project, source, _ = mapped(tmp_path)
    sample_id = answered(project, source, {0: [0] * 38 + [1] * 2, 1: [1] * 15 + [0] * 5})
    found = assess(project, sample_id)
    assert found["matrix"] == [[38, 2], [5, 15]]
    share = 100 / 1995
    building = found["classes"][1]
    true = share * 0.75 + (1 - share) * 0.05
    assert building["users"]["value"] == pytest.approx(0.75)
    assert building["producers"]["value"] == pytest.approx(share * 0.75 / true)
    assert building["area_m2"]["value"] == pytest.approx(true * 1995 * 0.25, rel=1e-3)
    assert found["overall"]["value"] == pytest.approx(share * 0.75 + (1 - share) * 0.95)
    assert found["claims_omission"]
    assert found["notes"] == []


def test_no_omission_without_background(tmp_path: Path) -> None:
    project, source, _ = mapped(tmp_path)
    found = assess(project, answered(project, source, {1: [1] * 10}))
    assert not found["claims_omission"]
    assert found["overall"] is None
    assert found["classes"][1]["users"]["value"] == 1
    assert found["classes"][1]["producers"] is None
    assert "No unit of background has been answered" in found["notes"][0]
    assert "50 of 60 units are still open" in found["notes"][1]
    assert "All answered units of building agree" in found["notes"][2]


def test_unsure_is_not_counted_and_the_last_word_is(tmp_path: Path) -> None:
    project, source, _ = mapped(tmp_path)
    sample = draw_pixels(project, source.id, SampleParams(10, least=5))
    ann, ben = join(project, "Ann"), join(project, "Ben")
    first = next_unit(project, ann, sample.id)
    assert first is not None
    answer(project, first.id, ann, 1)
    answer(project, first.id, ann, None, comment="haze")
    assert get_unit(project, first.id, ann).mine.verdict == "unsure"
    assert assess(project, sample.id)["unsure"] == 1
    undo(project, ann)
    assert get_unit(project, first.id, ann).mine.class_id == 1
    with pytest.raises(ReviewConflictError):
        answer(project, first.id, ben, 0, seen=first.version)
    second = next_unit(project, ben, sample.id, first.id)
    assert second is not None
    assert second.rank == 1
    assert next_unit(project, ben, sample.id, scope="mine").id == first.id  # type: ignore[union-attr]
    assert next_unit(project, ben, sample.id).id == second.id  # type: ignore[union-attr]
    assert previous_unit(project, ben, sample.id, second.id).id == first.id  # type: ignore[union-attr]
    assert samples(project)[0].answered == 1
    # Points are not objects.
    assert progress(project).judged == 0
    assert assess(project, sample.id, reviewer=ben)["answered"] == 0


def test_objects_say_users_accuracy_alone(tmp_path: Path) -> None:
    project, source = reviewed(tmp_path, 12, class_id=[1] * 9 + [2] * 3)
    sample = draw_objects(project, source.id, SampleParams(12))
    ann = join(project, "Ann")
    assert sum(each.population for each in sample.strata) == sample.units == 12
    units: list[Unit] = all_units(project, sample.id)
    with pytest.raises(ParameterError, match="judge that object"):
        answer(project, units[0].id, ann, 1)
    for object_id in range(1, 13):
        decide(project, object_id, ann, verdict="wrong" if object_id in (1, 2, 3, 10) else "right")
    found = assess(project, sample.id)
    by_name = {row["name"]: row for row in found["classes"]}
    assert by_name["building"]["users"]["value"] == pytest.approx(6 / 9)
    # Every object was seen, so nothing is left to chance.
    assert by_name["shed"]["users"]["half"] == 0
    assert by_name["shed"]["producers"] is None
    assert not found["claims_omission"]
    assert "only user's accuracy" in found["notes"][0]
    assert next_unit(project, ann, sample.id) is None


def test_agreement_of_reviewers(tmp_path: Path) -> None:
    project, _ = reviewed(tmp_path)
    ann, ben = join(project, "Ann"), join(project, "Ben")
    for object_id, one, other in ((1, "right", "right"), (2, "wrong", "right"),
                                  (3, "wrong", "wrong"), (4, "right", "right")):  # fmt: skip
        decide(project, object_id, ann, verdict=one)  # type: ignore[arg-type]
        decide(project, object_id, ben, verdict=other)  # type: ignore[arg-type]
    decide(project, 1, ann, outline=square(0, 5, 10))
    decide(project, 1, ben, outline=square(5, 5, 10))
    found = agreement(project)
    # p_o = 3/4, p_e = 1/2 3/4 + 1/2 1/4 = 1/2
    assert found["objects"]["pairs"] == [
        {"first": "Ann", "second": "Ben", "items": 4, "kappa": pytest.approx(0.5)}
    ]
    assert found["objects"]["fleiss"]["items"] == 4
    assert found["outlines"][0]["mean_iou"] == pytest.approx(1 / 3)
    assert found["units"] == {"pairs": [], "fleiss": None}


def test_order_holds_every_stratum_in_its_share() -> None:
    strata = np.repeat([1, 2, 3], [60, 30, 10])
    keys = stratified_order(strata, seed=5)
    first = strata[np.argsort(keys)][:50]
    assert [int((first == each).sum()) for each in (1, 2, 3)] == [30, 15, 5]
    assert not np.array_equal(np.argsort(keys), np.argsort(stratified_order(strata, seed=6)))


def test_strata_of_objects() -> None:
    codes = strata_of(
        np.array([1, 1, 1, 2]), np.array([1.0, 2.0, 3.0, 9.0]), np.array([0.5, 0.7, 0.9, np.nan])
    )
    # Thirds of the sizes end at 2 and 3; those of the three known confidences at 0.63 and 0.77.
    assert codes.tolist() == [100, 101, 112, 223]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"size": 0}, "0 units"),
        ({"block_px": 0}, "Blocks of 0 px"),
        ({"least": -1}, "-1 units"),
        ({"seed": -1}, "Seed -1"),
    ],
)
def test_impossible_samples(words: dict[str, int], expected: str) -> None:
    with pytest.raises(ParameterError, match=expected):
        SampleParams(**words)


def test_polygons_without_a_map_have_no_ground_to_sample(tmp_path: Path) -> None:
    project, source = reviewed(tmp_path)
    with pytest.raises(ReviewError, match="without its map"):
        draw_pixels(project, source.id)
    with pytest.raises(ParameterError, match="no sample 9"):
        assess(project, 9)
