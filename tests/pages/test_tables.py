"""Tables of the pages: what stands on which side."""

from __future__ import annotations

import re

import pytest
import streamlit as st

from pages._ui import frame


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(st, "html", found.append)
    return found


def test_words_stand_on_the_left_and_numbers_on_the_right(written: list[str]) -> None:
    header = ("rank", "network", "F1", "licence", "points")
    rows = [
        ("1", "unet", "0.57 (0.56 to 0.58)", "CC0", "-1.5"),
        ("2", "n2m", "", "imagery CC-BY 4.0", "+2 of 10"),
    ]
    frame.table(header, rows, ["", "#ff0000"])
    (html,) = written
    lines = re.findall(r"<tr>(.*?)</tr>", html)
    for line in lines:
        marked = ["n2m-words" in cell for cell in re.findall(r"<t[hd].*?>", line)]
        assert marked == [True, True, False, True, False]
    assert '<span class="n2m-whole">(0.56 to 0.58)</span>' in lines[1]
    assert "background:#ff0000" in lines[2]


def test_a_table_without_rows_has_its_head(written: list[str]) -> None:
    frame.table(("a", "b"), [], [])
    assert written[0].count("<th") == 2
