"""`n2m fuse` and `n2m evaluate fusion`."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import rasterio
from command_runs import Command
from tiny_fusion import write_tiny_fusion

from n2m_core.datasets.triplets import write_farmland
from n2m_core.fusion.cards import read_fusion_card
from n2m_core.scenes.farmland import FarmlandParams

NAME = "farmland_1000003"


@pytest.fixture
def triplets(tmp_path: Path) -> Path:
    write_farmland(tmp_path / "triplets", 1, FarmlandParams(1_000_003, size=64, bands=4))
    return tmp_path / "triplets"


def words(folder: Path) -> list[object]:
    roles = ("fine0", "coarse0", "fine2", "coarse2", "coarse1")
    return [word for role in roles for word in (f"--{role}", folder / f"{role}.tif")]


def test_fuse_writes_the_fine_image_and_scores_it(n2m: Command, triplets: Path) -> None:
    folder = triplets / NAME
    said = n2m(
        "fuse", *words(folder), "--method", "starfm", "--window", 7, "--out", "f1.tif",
        "--truth", folder / "fine1.tif", "--dates", "2023-06-06,2023-07-14,2023-07-30", "--json",
    )  # fmt: skip
    assert said.code == 0
    report = said.json
    assert (report["method"], report["scale"], report["dn_scale"]) == ("starfm", 16, 10_000)
    assert report["scores"]["ergas_ratio"] == 16
    assert 0 < report["scores"]["rmse"] < 0.1
    assert len(report["scores"]["per_band"]) == 4
    with rasterio.open("f1.tif") as made, rasterio.open(folder / "fine1.tif") as truth:
        assert (made.crs, made.transform, made.shape) == (truth.crs, truth.transform, truth.shape)
        assert made.dtypes == truth.dtypes
        assert made.tags()["N2M_DATE"] == "2023-07-14"
        gap = (made.read().astype(float) - truth.read()) / 10_000
    assert np.sqrt((gap**2).mean()) == pytest.approx(report["scores"]["rmse"], abs=1e-4)


def test_fuse_tells_a_person(n2m: Command, triplets: Path) -> None:
    folder = triplets / NAME
    said = n2m(
        "fuse", *words(folder), "--method", "copy", "--out", "f1.tif", "--truth",
        folder / "fine1.tif",
    )  # fmt: skip
    assert said.code == 0
    assert "factor 100 / 16" in said.out
    assert "data range 1" in said.out
    assert "Wrote f1.tif" in said.out


def test_mistakes_leave_nothing_behind(n2m: Command, triplets: Path) -> None:
    folder = triplets / NAME
    said = n2m(
        "fuse", *words(folder), "--out", "f1.tif", "--dates", "2023-08-06,2023-07-14,2023-07-30"
    )
    assert (said.code, "out of order" in said.err) == (1, True)
    assert n2m("fuse", *words(folder), "--out", "f1.tif", "--dates", "today").code == 2
    said = n2m("fuse", *words(folder), "--out", folder / "fine0.tif")
    assert (said.code, "an input" in said.err) == (1, True)
    said = n2m("fuse", *words(folder), "--out", "f1.tif", "--method", "magic")
    assert (said.code, "no fusion method" in said.err) == (1, True)
    assert not Path("f1.tif").exists()


def test_evaluate_fusion_reports_the_agreed_keys(n2m: Command, triplets: Path) -> None:
    said = n2m("evaluate", "fusion", "--method", "mean-change", "--root", triplets, "--json")
    assert said.code == 0
    assert {
        "method", "rmse", "rmse_band_mean", "cc", "ssim", "ergas", "ergas_ratio", "sam_deg",
        "per_band", "seconds",
    } <= said.json.keys()  # fmt: skip
    assert said.json["triplets"] == 1
    assert "RMSE" in n2m("evaluate", "fusion", "--method", "copy", "--root", triplets).out
    assert n2m("evaluate", "fusion", "--dataset", "daxing", "--root", triplets).code == 2
    said = n2m("evaluate", "fusion", "--dataset", "lgc", "--split", "syy", "--root", triplets)
    assert (said.code, "lacks 3 fine images" in said.err) == (1, True)


def test_samples_write_triplets_to_evaluate(n2m: Command) -> None:
    said = n2m("samples", "--labelled", "fusion", "--count", 1, "--out", "held", "--json")
    assert said.code == 0
    assert len(said.json["files"]) == 7
    assert Path("held/farmland_1000000/fine1.tif").is_file()


def test_card_gets_what_evaluation_prints(
    n2m: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[3]))
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path))
    scores = importlib.import_module("benchmarks.scores")
    write_farmland(tmp_path / "triplets", 1, FarmlandParams(1_000_003, size=32))
    write_tiny_fusion(tmp_path, "sastf-farmland", window_px=32)
    small = scores.Measurement("a field", "fusion", str(tmp_path / "triplets"), "--method sa-stf")
    monkeypatch.setitem(scores.MEASUREMENTS, "sastf-farmland", (small,))
    monkeypatch.setattr(scores, "run", lambda line: n2m(*line.split()[1:]).out)
    scores.main(["sastf-farmland"])
    (entry,) = read_fusion_card("sastf-farmland", root=tmp_path).metrics
    assert entry["command"].startswith("n2m evaluate fusion --checkpoint sastf-farmland --root")
    assert entry["report"]["checkpoint"] == "sastf-farmland"
    assert 0 < entry["report"]["rmse"] < 0.5
