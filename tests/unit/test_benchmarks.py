"""The benchmarks' runner: limits, timing in turn, and the page that it writes."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.figures")


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The runner on a folder of its own with one script that reports and one that fails."""
    monkeypatch.syspath_prepend(str(ROOT))
    module = importlib.import_module("benchmarks.__main__")
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "figures.py").write_bytes((ROOT / "benchmarks" / "figures.py").read_bytes())
    (folder / "bench_good.py").write_text(
        "from benchmarks.figures import Figure, report\n"
        "report('Title', 'Setting.', [Figure('fast', 3.14159, 's', at_most=2), "
        "Figure('ratio', 30, 'times', at_least=25), Figure('plain', 1, 's')])\n"
    )
    (folder / "bench_ill.py").write_text("raise SystemExit(1)\n")
    monkeypatch.setattr(module, "HERE", folder)
    monkeypatch.setattr(module, "RESULTS", folder / "results.json")
    monkeypatch.setattr(module, "PAGE", tmp_path / "docs" / "benchmarks.md")
    return module


@pytest.mark.parametrize(
    ("value", "at_most", "at_least", "is_met"),
    [
        (2.0, 2, None, True),
        (2.1, 2, None, False),
        (25.0, None, 25, True),
        (24.9, None, 25, False),
        (1.0, None, None, None),
    ],
)
def test_limits_are_judged(
    figures: ModuleType,
    value: float,
    at_most: float | None,
    at_least: float | None,
    is_met: bool | None,
) -> None:
    assert figures.Figure("x", value, "s", at_most, at_least).is_met is is_met


def test_calls_are_timed_in_turn_after_one_unmeasured(figures: ModuleType) -> None:
    order: list[str] = []
    calls = {"one": lambda: order.append("one"), "two": lambda: order.append("two")}
    taken = figures.time_in_turn(calls, 2)
    assert order == ["one", "two"] * 3
    assert 0 <= taken["one"].fastest_s <= taken["one"].median_s


def test_runner_writes_results_and_page(runner: ModuleType) -> None:
    assert runner.main(["good"]) == 0
    results = json.loads(runner.RESULTS.read_text())
    assert results["bench_good"]["figures"][0]["value"] == 3.14159
    assert results["bench_good"]["machine"]["python"] == sys.version.split()[0]
    page = runner.PAGE.read_text()
    assert "| fast | 3.14 s | at most 2 | **missed** |" in page
    assert "| ratio | 30 times | at least 25 | met |" in page
    assert "| plain | 1 s |  |  |" in page


def test_failed_script_fails_the_run_and_keeps_its_former_result(runner: ModuleType) -> None:
    former = {**runner.measure("bench_good", runner.machine()), "title": "Former"}
    runner.write(runner.RESULTS, json.dumps({"bench_ill": former, "bench_gone": former}))
    assert runner.main([]) == 1
    results = json.loads(runner.RESULTS.read_text())
    assert results.keys() == {"bench_good", "bench_ill"}
    assert results["bench_ill"]["title"] == "Former"


@pytest.mark.parametrize(
    ("cores", "load", "threads"),
    [(2, 0.1, 2), (2, 1.0, 1), (2, 11.0, 1), (16, 3.0, 2), (1, 0.0, 1), (2, None, 2)],
)
def test_threads_are_those_that_other_work_leaves(
    runner: ModuleType, cores: int, load: float | None, threads: int
) -> None:
    assert runner.free_threads(cores, load) == threads


def test_unknown_script_is_an_error(runner: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["absent"]) == 1
    assert "No script is called absent; there are good, ill." in capsys.readouterr().out
    assert not runner.RESULTS.exists()
