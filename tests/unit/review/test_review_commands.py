"""`n2m review` from import to report, and its mistakes."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from command_runs import Said
from rasters import RasterFactory
from review_cases import frame_of

from n2m_core.cli import main
from n2m_core.review import all_units, answer, join, open_project
from n2m_core.vectorize import write_vector

Review = Callable[..., Said]


@pytest.fixture
def review(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Review]:
    """Run `n2m review` in this process, in a folder of its own."""
    monkeypatch.setenv("N2M_LOG", str(tmp_path / "log" / "n2m.log"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    on_terminate = signal.getsignal(signal.SIGTERM)

    def call(*words: object) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as leaving:
            main(["review", *(str(word) for word in words)])
        told = capsys.readouterr()
        return Said(int(leaving.value.code or 0), told.out, told.err)

    yield call
    signal.signal(signal.SIGTERM, on_terminate)


@pytest.fixture
def desk(review: Review, tmp_path: Path, write_raster: RasterFactory) -> Path:
    """A project of four squares on an image of 40 x 90 px."""
    write_raster(np.full((3, 40, 90), 90, np.uint8))
    write_vector(tmp_path / "objects.gpkg", frame_of(4).assign(**{"class": "house"}))
    words = ("import", "desk", "objects.gpkg", "--image", "image.tif", "--name", "town")
    said = review(*words, "--checkpoint", "n2m-buildings", "--json")
    assert said.code == 0, said.err
    assert said.json["objects"] == 4
    return tmp_path / "desk"


def test_from_import_to_report(review: Review, desk: Path) -> None:
    assert review("decide", desk, 1, "right", "--reviewer", "Ann").code == 0
    said = review("decide", desk, 2, "wrong", "--reviewer", "Ann", "--comment", "a tent", "--json")
    assert said.json["verdict"] == "wrong"
    drawn = review("next-sample", desk, "--map", 1, "--size", 40, "--least", 20, "--json").json
    assert [each["drawn"] for each in drawn["strata"]] == [20, 20]
    project = open_project(desk)
    ben = join(project, "Ben")
    for unit in all_units(project, drawn["id"]):
        answer(project, unit.id, ben, 0 if unit.rank < 3 else unit.class_id)
    status = review("status", desk, "--json").json
    assert status["maps"][0]["checkpoint"] == "n2m-buildings"
    assert (status["maps"][0]["right"], status["maps"][0]["wrong"]) == (1, 1)
    assert status["samples"][0]["answered"] == 40
    found = review("accuracy", desk, "--json").json["accuracy"][0]
    assert found["claims_omission"]
    report = review("report", desk, "--out", "report.html", "--json")
    assert report.json["accuracy"] == [found]
    shown = review("accuracy", desk).out
    percents = f"{100 * found['overall']['value']:.1f} %"
    assert percents in shown
    assert percents in Path("report.html").read_text(encoding="utf-8")
    assert review("export", desk, "--map", 1, "--out", "out.gpkg", "--json").json["polygons"] == 3
    assert sorted(gpd.read_file("out.gpkg")["object"]) == [1, 3, 4]
    assert len(review("masks", desk, "--out", "corrected", "--json").json["files"]) == 2
    kept = review("backup", desk, "--out", "kept.gpkg", "--json").json
    assert Path("kept.gpkg").stat().st_size == kept["bytes"]
    assert "town" in review("status", desk).out
    assert review("decide", desk, 3, "unsure", "--reviewer", "Ann").code == 0
    assert review("restore", desk, "kept.gpkg", "--json").json["progress"]["judged"] == 2


def test_sample_size_from_shares_and_from_a_map(review: Review, desk: Path) -> None:
    shares, guesses = "0.02,0.015,0.32,0.645", "0.7,0.6,0.9,0.95"
    said = review("sample-size", "--share", shares, "--guess", guesses, "--least", 75, "--json")
    assert said.json["units"] == 641
    assert [each["units"] for each in said.json["classes"]] == [75, 75, 163, 328]
    own = review("sample-size", "--project", desk, "--map", 1, "--guess", "0.9,0.9", "--json")
    assert [each["name"] for each in own.json["classes"]] == ["background", "house"]
    assert own.json["classes"][1]["share"] == pytest.approx(400 / 3600)


def test_create_says_where(review: Review) -> None:
    assert review("create", "new", "--title", "Roofs", "--json").json["project"] == "Roofs"
    assert Path("new/review.gpkg").is_file()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("status", "none"), "There is no folder none"),
        (("create", "desk"), "holds a review project already"),
        (("import", "desk", "none.gpkg"), "There is no file none.gpkg"),
        (("decide", "desk", "99", "right", "--reviewer", "Ann"), "no object 99"),
        (("next-sample", "desk", "--map", "9"), "no map 9"),
        (("accuracy", "desk", "--reviewer", "Zoe"), "There is no reviewer Zoe"),
        (("export", "desk", "--map", "1", "--out", "x.shp"), "must end in"),
        (("report", "desk", "--out", "x.doc"), "must end in"),
        (("masks", "desk", "--out", "desk"), "holds files already"),
        (("backup", "desk", "--out", "desk/review.gpkg"), "is the project itself"),
    ],
)
def test_mistake_is_one_sentence(
    review: Review, desk: Path, words: tuple[str, ...], expected: str
) -> None:
    said = review(*words)
    assert said.code == 1
    assert said.out == ""
    assert expected in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert len(json.loads(review("status", desk, "--json").out)["maps"]) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("sample-size", "--guess", "0.9"),
        ("sample-size", "--guess", "high", "--share", "1"),
        ("decide", "desk", "1", "maybe", "--reviewer", "Ann"),
    ],
)
def test_wrong_usage_leaves_with_2(review: Review, words: tuple[str, ...]) -> None:
    assert review(*words).code == 2
