"""The fusion benchmark on one small series."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_benchmark_prints_one_table_a_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.delenv("N2M_DATA", raising=False)
    fusion = importlib.import_module("benchmarks.fusion")
    words = ["--count", "2", "--size", "32", "--methods", "copy,mean-change", "--scales", "8,16"]
    assert fusion.main(words) == 0
    found = json.loads(capsys.readouterr().out)
    (farmland,) = found["sets"]
    rows = {row["method"]: row for row in farmland["methods"]}
    assert rows.keys() == {"copy", "mean-change"}
    assert rows["mean-change"]["rmse"] < rows["copy"]["rmse"]
    assert rows["copy"]["ergas_ratio"] == 16
    assert rows["copy"]["rmse_changed"] > 0
    assert [row["scale"] for row in found["by_scale"]] == [8, 16]


def test_mean_leaves_out_what_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    fusion = importlib.import_module("benchmarks.fusion")
    rows = [{"rmse": 0.1, "ssim": None}, {"rmse": 0.3, "ssim": 0.5}]
    assert fusion.mean_of(rows) == {"rmse": pytest.approx(0.2), "ssim": 0.5}
    assert fusion.mean_of(rows[:1])["ssim"] is None
