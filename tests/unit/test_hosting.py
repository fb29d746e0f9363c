"""The hosted demo and its benchmarks: what is set, what is copied, what the figures are made of."""

from __future__ import annotations

import importlib
import os
import re
import time
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTAINERFILE = (ROOT / "Containerfile").read_text(encoding="utf-8")


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.bench_demo")


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.bench_sessions")


def test_variables_of_a_containerfile_are_read(demo: ModuleType) -> None:
    text = "FROM x\nENV A=1 B_2=two \\\n    C=/tmp\nARG D=4\nRUN echo E=5\nENV F=6\n"
    assert demo.demo_environment(text) == {"A": "1", "B_2": "two", "C": "/tmp", "F": "6"}


def test_demo_sets_limits_that_the_app_understands(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = demo.demo_environment(CONTAINERFILE)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    own = importlib.import_module("pages._ui.settings")
    assert own.workers() == 1
    assert own.queue() < 8
    assert own.keep_bytes() <= 100_000_000
    assert own.area_px() <= 4_000_000
    streamlit = {name for name in settings if name.startswith("STREAMLIT_")}
    options = importlib.import_module("streamlit.config").get_config_options()
    known = {re.sub(r"(?<=[a-z])([A-Z])|\.", r"_\1", name).upper() for name in options}
    assert {name.removeprefix("STREAMLIT_") for name in streamlit} <= known


def test_everything_that_is_copied_is_there_and_not_ignored(demo: ModuleType) -> None:
    copied = demo.copied_names(CONTAINERFILE)
    assert {"app.py", "pages", "n2m_core", "checkpoints"} <= {*copied}
    let_in = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    assert {*copied} == let_in
    assert all((ROOT / name).exists() for name in copied)


def test_written_files_are_found(demo: ModuleType, tmp_path: Path) -> None:
    started = time.time()
    for name, at in (("old", started - 60), ("new", started + 60)):
        path = tmp_path / name
        path.touch()
        os.utime(path, (at, at))
    assert demo.files_since(tmp_path, started) == [str(tmp_path / "new")]


def test_growth_is_taken_between_quarters_after_the_warm_up(sessions: ModuleType) -> None:
    memory = [(float(at), 900.0 if at < 10 else 500.0 + at) for at in range(50)]
    # Of seconds 10 to 49 the first ten have the median 514.5, the last ten 544.5.
    assert sessions.growth_mb(memory, 10) == pytest.approx(30.0)


def test_percentile_is_one_of_the_values(sessions: ModuleType) -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert sessions.percentile(values, 0.95) == 96.0
    assert sessions.percentile([3.0], 0.95) == 3.0
