"""The fusion benchmark on small series, and the study that its file becomes."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest
from tiny_fusion import tiny_config, write_tiny_fusion

from n2m_core.tasks import studies
from n2m_core.tasks.fusion_tables import fusion as shown_of
from n2m_core.tasks.study_tables import Json

ROOT = Path(__file__).resolve().parents[2]
MACHINE = {"date": "2026-01-02", "processor": "a processor", "torch": "2.0"}


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script, which writes to a folder of its own and sees no real data."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.delenv("N2M_DATA", raising=False)
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path / "checkpoints"))
    module = importlib.import_module("benchmarks.fusion")
    monkeypatch.setattr(module, "RESULTS", tmp_path / "fusion.json")
    return module


def test_benchmark_writes_what_the_study_shows(benchmark: ModuleType, tmp_path: Path) -> None:
    write_tiny_fusion(tmp_path / "checkpoints", "sastf-full", title="All parts", window_px=32)
    write_tiny_fusion(tmp_path / "checkpoints", "not-of-the-ablation", window_px=32)
    write_tiny_fusion(
        tmp_path / "checkpoints", "stfdiff-farmland", tiny_config("stfdiff"), window_px=32
    )
    words = ["--count", "2", "--size", "32", "--speed-size", "32", "--scales", "8"]
    assert benchmark.main([*words, "--methods", "copy,mean-change,stfdiff"]) == 0
    found = json.loads((tmp_path / "fusion.json").read_text())
    (farmland,) = found["sets"]
    rows = {row["method"]: row for row in farmland["methods"]}
    assert rows.keys() == {"copy", "mean-change", "stfdiff"}
    assert sum(rows["mean-change"]["figures"]["rmse"]) < sum(rows["copy"]["figures"]["rmse"])
    assert len(rows["copy"]["figures"]["ssim"]) == 2
    assert rows["copy"]["ergas_ratio"] == 16
    assert max(rows["copy"]["figures"]["rmse_changed"]) > 0
    assert rows["stfdiff"]["checkpoint"] == "stfdiff-farmland"
    assert [row["checkpoint"] for row in found["ablation"]["methods"]] == [
        "sastf-full",
        "stfdiff-farmland",
    ]
    assert [row["scale"] for row in found["by_scale"]] == [8]
    assert [row["at_most"] for row in found["speed"]["methods"]] == [None] * 3
    study = next(each for each in studies.STUDIES if each.id == "fusion")
    shown = studies.shown(study, where=tmp_path)
    assert shown is not None
    assert [table.title for table in shown.tables] == [
        "Held-out farmland, 2 series of 32 px",
        "RMSE by scale factor, one series",
        "Ablation at equal data and budget",
        "Seconds for 32 px and 4 bands, weights loaded",
    ]
    assert all(len(row) == len(each.header) for each in shown.tables for row in each.rows)


def row(name: str, method: str, **figures: list[float | None]) -> Json:
    return {
        "name": name, "method": method, "checkpoint": None, "ergas_ratio": 16, "figures": figures
    }  # fmt: skip


METHODS = [
    row("ESTARFM", "estarfm", rmse=[0.05, 0.03], cc=[0.8, 0.9], rmse_changed=[None, 0.06]),
    row("SA-STF", "sa-stf", rmse=[0.02, 0.02], cc=[0.8, 0.8], rmse_changed=[0.01, 0.05]),
]


def test_gain_is_that_of_the_pairs_with_an_interval_over_series(benchmark: ModuleType) -> None:
    whole, changed = benchmark.leads(METHODS)
    assert whole["mean"] == pytest.approx(0.02)
    low, high = whole["interval"]
    assert (low, high) == (pytest.approx(0.01), pytest.approx(0.03))
    assert (changed["mean"], changed["series"]) == (pytest.approx(0.01), 1)
    assert changed["interval"] is None
    assert benchmark.leads(METHODS[1:]) == []


def test_study_tells_winners_gains_and_limits(benchmark: ModuleType) -> None:
    raw: Json = {
        "machine": MACHINE,
        "threads": 2,
        "sets": [{"name": "Fields", "methods": METHODS}],
        "leads": benchmark.leads(METHODS),
        "by_scale": [{"scale": 8, "rmse": {"Copy": 0.1}}, {"scale": 16, "rmse": {"Copy": 0.2}}],
        "ablation": None,
        "speed": {
            "size": 512,
            "bands": 4,
            "methods": [
                {"name": "SA-STF", "seconds": 70.0, "at_most": 60.0},
                {"name": "FSDAF", "seconds": 9.96, "at_most": 30.0},
                {"name": "Copy", "seconds": 0.0, "at_most": None},
            ],
        },
    }
    shown = shown_of(raw, "target_f1")
    assert shown.notes[0] == "Fields: SA-STF is first on RMSE; ESTARFM is first on CC."
    assert (
        "SA-STF's error is 0.0200 below that of ESTARFM, mean over 2 series (95%"
        in (shown.notes[1])
    )
    assert shown.notes[2].endswith("suddenly is 0.0100 below that of ESTARFM, mean over 1 series.")
    fields, scales, seconds = shown.tables
    assert fields.header == ("method", "weights", "RMSE", "RMSE, sudden change", "CC")
    assert fields.rows == (
        ("SA-STF", "", "0.0200 (0.0200 to 0.0200)", "0.0300 (0.0100 to 0.0500)",
         "0.800 (0.800 to 0.800)"),
        ("ESTARFM", "", "0.0400 (0.0300 to 0.0500)", "0.0600", "0.850 (0.800 to 0.900)"),
    )  # fmt: skip
    assert scales.rows == (("Copy", "0.1000", "0.2000"),)
    assert shown.plots[0].lines[0].x == (8.0, 16.0)
    assert [each[1:] for each in seconds.rows] == [
        ("70.0", "at most 60: missed"),
        ("10.0", "at most 30: met"),
        ("0.0", ""),
    ]
