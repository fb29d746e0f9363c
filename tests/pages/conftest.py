"""Small real checkpoints and samples for the pages, and the app opened on them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
import small_samples
import tiny_checkpoints
from page_runs import OpenPage, settle
from streamlit.testing.v1 import AppTest

APP = Path(__file__).resolve().parents[2] / "app.py"


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoints.write_all(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_samples.write(tmp_path_factory.mktemp("samples"))


@pytest.fixture
def open_page(
    monkeypatch: pytest.MonkeyPatch, checkpoints: Path, samples: Path
) -> Iterator[OpenPage]:
    """Open a page through the app, and run it until its work is done."""
    monkeypatch.setenv("N2M_CHECKPOINTS", str(checkpoints))
    monkeypatch.setenv("N2M_SAMPLES", str(samples))

    def opened(page: str = "", **query: str) -> AppTest:
        app = AppTest.from_file(str(APP), default_timeout=120)
        for name, value in query.items():
            app.query_params[name] = value
        if page:
            app.switch_page(f"pages/{page}.py")
        return settle(app.run())

    yield opened
