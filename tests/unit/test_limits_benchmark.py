"""The page on where the maps fall short says what the cards say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import limits
from n2m_core import places

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is of the checkpoints that ship."""
    monkeypatch.delenv("N2M_CHECKPOINTS", raising=False)
    monkeypatch.chdir(ROOT)


def test_page_holds_the_table_of_the_cards() -> None:
    page = (ROOT / limits.PAGE).read_text()
    between = page.split(limits.BEGIN)[1].split(limits.END)[0]
    assert between.strip() == limits.table()


def test_every_picture_of_the_page_is_there() -> None:
    named = re.findall(r"\]\((limits/[^)]+)\)", (ROOT / limits.PAGE).read_text())
    drawn = {"limits/curves.webp"} | {f"limits/{each.name}.webp" for each in limits.GALLERIES}
    assert set(named) == drawn
    for each in named:
        assert (ROOT / "docs" / each).is_file()


def test_each_leg_has_a_learning_curve() -> None:
    for legs in limits.CHAINS.values():
        for leg in legs:
            steps, losses = limits.curve_of(leg)
            assert steps == sorted(steps) and len(steps) == len(losses) > 5
    assert places.checkpoints_root().is_dir()


def test_running_median_passes_over_a_spike() -> None:
    assert limits.smoothed([1.0] * 20 + [9.0] + [1.0] * 20) == [1.0] * 41
