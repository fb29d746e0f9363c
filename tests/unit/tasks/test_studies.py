from __future__ import annotations

import json
from pathlib import Path

import pytest
import study_files

from n2m_core.errors import DatasetError
from n2m_core.normalize import FAR
from n2m_core.tasks import change_tables, studies
from n2m_core.tasks.claim_tables import claims
from n2m_core.tasks.study_tables import Shown, spread

BY_ID = {study.id: study for study in studies.STUDIES}
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return study_files.write_all(tmp_path / "benchmarks")


def of(name: str, folder: Path, score: str = "target_f1") -> Shown:
    found = studies.shown(BY_ID[name], score, folder)
    assert found is not None
    return found


def test_claims_are_told_with_what_was_found(folder: Path) -> None:
    found = of("claims", folder)
    noise, schedules, segment, change, _ = found.notes
    assert "loses 3 to 4 points of F1 does not hold here" in noise
    assert "-2.0 to +2.0 points of mean F1 beside n2m-buildings-plain" in noise
    assert "(-1.0 to +0.0 of the target's)" in noise
    assert "about the same F1 holds here (at most 0.0010 apart)" in schedules
    assert "Heun gives less holds where x_t is mixed (DDPM is +0.100 to +0.100" in schedules
    assert segment == (
        "Segmentation, n2m-buildings, town: that F1 rises from noise to image holds here. The mean "
        "of all classes goes from 0.400 at t = 999 to 0.800 at t = 0."
    )
    assert "rises from noise to image does not hold here" in change
    assert "t = 0, but falls from 0.600 at t = 999 to 0.500 at t = 500." in change
    twins, mixed = found.tables
    assert twins.rows[1] == ("scenes", "mean", "0.800", "0.820", "-2.0")
    assert twins.rows[2] == ("town", "target", "0.700", "0.710", "-1.0")
    assert mixed.rows[3] == ("heun", "0.100", "0.500")
    by_schedule, along = found.plots
    assert (by_schedule.lines[0].x, by_schedule.lines[0].y) == ((999, 100), (0.2, 0.6))
    assert [line.name for line in along.lines] == [
        "n2m-buildings, segmentation",
        "n2m-change, change",
    ]
    assert along.lines[1].y == (0.6, 0.5, 0.7)


@pytest.mark.parametrize(
    ("f1", "verdict", "dip"),
    [
        ([0.80, 0.795, 0.79], "does not hold", False),
        ([0.5, 0.504, 0.508], "does not hold", False),
        ([0.5, 0.7, 0.6], "does not hold", True),
        ([0.5, 0.495, 0.6], "holds", False),
    ],
)
def test_what_rises_ends_higher_than_it_began(f1: list[float], verdict: str, dip: bool) -> None:
    raw = study_files.claims()
    raw["along_time"] = [{**raw["along_time"][0], "f1": f1}]
    told = claims(raw, "target_f1").notes[2]
    assert f"from noise to image {verdict} here" in told
    assert ("but falls from" in told) == dip


def test_peers_are_ranked_by_their_means(folder: Path) -> None:
    found = of("peers", folder)
    average, ranking, costs, _ = (table for table in found.tables if table.task == "segment")
    assert average.rows[0][:2] == ("unet-buildings", "0.570 (0.560 to 0.580)")
    assert (ranking.title, ranking.task) == ("Segmentation: town", "segment")
    assert [row[:3] for row in ranking.rows] == [
        ("1", "unet-buildings", "0.570 (0.560 to 0.580)"),
        ("2", "n2m-buildings-short", "0.550 (0.500 to 0.600)"),
    ]
    assert costs.rows[0][2:] == ("8.34", "6.32", "0.148", "62", "1, 2", "1500")
    line = found.plots[0].lines[0]
    assert line.y == pytest.approx((0.55, 0.57))
    assert (line.low, line.high) == ((0.5, 0.56), (0.6, 0.58))


def test_the_winner_is_told_whoever_it_is(folder: Path) -> None:
    segment, _, change, *_ = of("peers", folder).notes
    assert "n2m-buildings-short is behind unet-buildings by 2.0 points" in segment
    assert "n2m-change-short is ahead of siamese-unet-change by 10.0 points" in change


def test_what_was_tried_is_told_beside_the_best_peer_and_not_ranked(folder: Path) -> None:
    found = of("peers", folder)
    assert found.notes[1].split(": ", 1)[1] == ("n2m-buildings-muon +1.0, n2m-buildings-late -9.0.")
    tried = next(table for table in found.tables if table.title.endswith("what was tried"))
    assert [row[0] for row in tried.rows] == [
        "n2m-buildings-muon", "unet-buildings-muon", "unet-buildings", "n2m-buildings-short",
        "n2m-buildings-late",
    ]  # fmt: skip
    ranking = next(table for table in found.tables if table.title == "Segmentation: town")
    assert not any("muon" in name for row in ranking.rows for name in row)


def test_pretraining_shows_each_start_at_each_share(folder: Path) -> None:
    found = of("pretraining", folder)
    (table,) = found.tables
    assert table.header == ("start", "10 %", "100 %")
    assert table.rows == (
        ("pretrained", "0.500", "-"),
        ("random", "0.300 (0.200 to 0.400)", "0.600"),
    )
    gain, directions, runs, _ = found.notes
    assert "beats random weights holds here with 10 % of the labels: +20.0 points" in gain
    assert "0.25 times as many directions" in directions
    assert "(down 1: effective rank 4.0 and 16.0)" in directions
    assert "4 of 12 runs are finished" in runs
    by_share, learning, ranks = found.plots
    assert [line.x for line in ranks.lines] == [("stem", "down 1")] * 2
    assert by_share.lines[0].x == ("10 %",)
    random = next(line for line in learning.lines if line.name == "10 %, random")
    assert random.x == (20, 40)
    assert random.y == pytest.approx((0.15, 0.3))


def test_a_picture_is_shown_where_it_lies(folder: Path) -> None:
    study = BY_ID["pretraining"]
    assert studies.picture_of(study, folder) is None
    (folder / "pretraining.png").write_bytes(b"")
    (folder / "peers.png").write_bytes(b"")
    assert studies.picture_of(study, folder) == folder / "pretraining.png"
    assert studies.picture_of(BY_ID["peers"], folder) is None  # it says nothing of a picture


def test_what_sharing_costs_is_told_beside_the_limit(folder: Path) -> None:
    found = of("multitask", folder)
    claim, segment, change, _ = found.notes
    assert claim == "That one network for both tasks helps both does not hold here."
    assert "3.0 points of target F1 behind" in segment
    assert "more than the limit" in segment
    assert "1.0 points of target F1 ahead of" in change
    assert "limit" not in change
    assert [table.task for table in found.tables] == ["segment", "change"]
    assert found.plots[0].lines[1].y == (1.0, 0.9)


def test_a_difference_that_rounds_to_nothing_is_level(folder: Path) -> None:
    file = folder / "multitask.json"
    results = json.loads(file.read_text())
    results["tasks"][1]["points_lost"][0]["points"] = -0.04
    file.write_text(json.dumps(results))
    assert " is level with the network of that task alone." in of("multitask", folder).notes[2]


def test_landsat_shows_the_formula_beside_the_weights(folder: Path) -> None:
    found = of("landsat", folder)
    (table,) = found.tables
    assert table.header[-2:] == ("F1 nanjing", "F1 taizhou")
    assert [row[:3] for row in table.rows] == [
        ("n2m-change", "red, green, blue", "0.300"),
        ("change vector, all bands", "all", "0.300"),
    ]
    assert "below the 0.330 of a map of nothing but change" in found.notes[1]
    assert found.notes[2] == "dark"


def test_images_unlike_the_trainings_are_told_of_once() -> None:
    notes = ["a", f"One {FAR}: dark.", "a", f"Two {FAR}: bright."]
    assert change_tables._gathered(notes) == [
        "a", f"One {FAR}: dark. The other dates and choices of bands are told much the same."
    ]  # fmt: skip


def test_the_wildfire_rows_stand_beside_the_published_ones(folder: Path) -> None:
    scores, apart = of("wildfire", folder).tables
    assert scores.rows[0] == (
        "xView2 wildfire, CD", "0.8000", "0.7000", "0.6000", "0.5000", "0.1000"
    )  # fmt: skip
    assert scores.rows[1][:3] == ("xView2 wildfire, CD, published", "0.8691", "0.7859")
    assert scores.rows[2][0] == "n2m-wildfire, the same pairs at full resolution"
    assert apart.header == ("", "paper", "xView2 wildfire, CD")
    assert (
        "trained on",
        "the train split of this fire in xBD",
        "35 tiles of its test split",
    ) in apart.rows
    assert ("training", "200 epochs", "1000 steps, 57 epochs") in apart.rows
    assert ("optimizer", "Adam at 0.0001", "Muon at 0.0008, 40 steps of warm-up") in apart.rows
    assert ("augmentation", "none", "quarter turns and mirroring, color") in apart.rows


def test_claims_stand_beside_what_was_measured(folder: Path) -> None:
    ratios = of("full_size", folder).tables[1]
    assert ratios.rows == (
        ("times faster", "10.00", "13.49"),
        ("times smaller", "3.85", "3.85"),
        ("times less arithmetic", "17.30", "-"),
    )


def test_refiners_stand_beside_the_rough_maps_and_the_limits(folder: Path) -> None:
    found = of("refinement", folder)
    town, beside, _, scenes, _, claim, speed, left_out = found.notes[1:9]
    assert beside == (
        "Town, beside it: guided filter changes boundary F1 by +0.0 and mean IoU by +0.0 points."
    )
    # Boundaries +1 and +3 points, +2 in the mean: a rise is wanted of real maps, 3 on scenes.
    assert "WFm by +2.0 and boundary F1 at 3 px by +2.0 points" in town
    assert "(a rise wanted: met)" in town
    assert "mean IoU by -1.0 points where it does worst (at most 0.5 may be lost: missed)" in town
    assert "WFm by +4.0" in scenes
    assert "(at least 3 points wanted: met)" in scenes
    assert "may be lost: met" in scenes
    assert "shorter than 16 px 25 %, in longer ones 100 %" in claim
    assert "7.0 s for a tile of 256 px (at most 6 wanted: missed)" in speed
    assert "left out" in left_out
    table = found.tables[0]
    assert table.title == "Town (8 tiles): maps of good"
    assert table.rows[0] == ("rough map", "0.700", "0.800", "0.500", "0.500", "-")
    assert table.rows[1] == (
        "idgbr, 25 steps",
        "0.699, -0.1 (-1.1 to +0.9)",
        "0.800, +0.0",
        "0.510, +1.0 (+0.0 to +2.0)",
        "0.510, +1.0 (+0.0 to +2.0)",
        "0.250 (0.200 to 0.300)",
    )
    spectra, steps = found.plots[:2]
    assert spectra.is_log
    assert [line.name for line in spectra.lines] == [
        "good",
        "good, refined",
        "bad",
        "bad, refined",
    ]
    assert spectra.lines[1].x == (0.5 / 128, 2.5 / 128)  # a ring without power has no logarithm
    assert spectra.lines[1].y == (2.0, 0.5)
    assert steps.lines[0].x == (0, 25)


def test_a_study_that_was_not_run_is_nothing(tmp_path: Path) -> None:
    assert all(studies.shown(study, where=tmp_path) is None for study in studies.STUDIES)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"runs": []}'])
def test_a_damaged_file_is_named_with_its_command(folder: Path, text: str) -> None:
    (folder / "pretraining.json").write_text(text)
    with pytest.raises(DatasetError, match=r"pretraining\.json is not what python -m benchmarks"):
        of("pretraining", folder)


def test_every_study_has_its_script() -> None:
    for study in studies.STUDIES:
        if study.command.startswith("python -m benchmarks."):
            module = study.command.split()[2]
            assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
            assert module == f"benchmarks.{study.id}"


def test_files_that_ship_can_be_shown() -> None:
    """Whatever the benchmarks have written so far, in every score."""
    where = ROOT / "benchmarks"
    for study in studies.STUDIES:
        found = studies.shown(study, where=where)
        if found is not None:
            assert found.tables
            assert all(len(row) == len(t.header) for t in found.tables for row in t.rows), study.id
    limits = json.loads((where / "results.json").read_text())["bench_networks"]["figures"]
    assert limits[0]["at_least"] == 25
    assert any(row[2] == "at least 25: met" for t in of("results", where).tables for row in t.rows)


def test_one_value_has_no_spread() -> None:
    assert spread([0.25]) == "0.250"
    assert spread([0.25, 0.75]) == "0.500 (0.250 to 0.750)"
