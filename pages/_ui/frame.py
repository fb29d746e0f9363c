"""The frame around every page: title, navigation, the few styles that the theme cannot say."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from pages._ui import state

NAME = "Noise2Map Explorer"

_ROOT = Path(__file__).resolve().parents[2]
_PAGES = (
    ("app.py", "Home", ":material/home:"),
    ("pages/1_Segment.py", "Segment", ":material/layers:"),
    ("pages/2_Change.py", "Change", ":material/compare:"),
    ("pages/3_Trajectory.py", "Trajectory", ":material/play_circle:"),
    ("pages/4_Interpret.py", "Interpret", ":material/query_stats:"),
    ("pages/5_Refine.py", "Refine", ":material/border_style:"),
    ("pages/6_Fuse.py", "Fuse", ":material/join:"),
    ("pages/7_Lesson.py", "Lesson", ":material/school:"),
    ("pages/8_Models.py", "Models", ":material/deployed_code:"),
    ("pages/9_Review.py", "Review", ":material/fact_check:"),
)

_STYLE = Path(__file__).parent / "assets" / "app.css"


def _cells() -> NDArray[np.uint8]:
    """The app's mark: six by six squares, noise on the left and a map on the right, [6, 6, 3]."""
    greys = (0x90, 0x40, 0xC0, 0x68, 0xB4, 0x2C, 0x78, 0xE0, 0x58, 0xA8, 0x34, 0xCC, 0x4C, 0x84)
    teal, sand, brick = (43, 111, 119), (227, 217, 189), (196, 98, 45)
    tones = ((teal, sand, brick), (sand, brick, sand))
    cells = np.empty((6, 6, 3), np.uint8)
    for row, column in np.ndindex(6, 6):
        is_map = column + (row % 2) * 0.6 > 2.6
        grey = greys[((row * 6 + column) * 7 + row * 3) % len(greys)]
        cells[row, column] = tones[row // 3][(column + row) // 3 % 3] if is_map else (grey,) * 3
    return cells


def _mark() -> str:
    """The app's mark as the address of a picture."""
    cells = _cells()
    squares = (
        f'<rect x="{column}" y="{row}" width="1.02" height="1.02" '
        f'fill="rgb({",".join(map(str, cells[row, column]))})"/>'
        for row, column in np.ndindex(6, 6)
    )
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 6 6">{"".join(squares)}</svg>'
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def open_page(title: str, lede: str) -> None:
    """Begin a page: settings, styles, navigation, title and one sentence.

    Args:
        title: the page's name; the app's own for the home page.
        lede: what a person can do here, one sentence of plain text.
    """
    state.enter(title)
    tab = NAME if title == NAME else f"{title} · {NAME}"
    st.set_page_config(
        tab, page_icon=Image.fromarray(_cells().repeat(11, 0).repeat(11, 1)), layout="wide"
    )
    st.html(_STYLE)
    with st.sidebar:
        st.html(
            f'<div class="n2m-brand"><img src="{_mark()}" alt=""><b>Noise2Map<br>Explorer</b></div>'
        )
        for path, label, icon in _PAGES:
            if (_ROOT / path).is_file():
                st.page_link(path, label=label, icon=icon, width="stretch")
    st.title(title, anchor=False)
    st.html(f'<p class="n2m-lede">{escape(lede)}</p>')


def empty(title: str, text: str) -> None:
    """Show a place that has nothing in it yet, and what to do about it."""
    st.html(f'<div class="n2m-empty"><b>{escape(title)}</b><span>{escape(text)}</span></div>')


def quiet(*sentences: str) -> None:
    """Show notes in the small hand."""
    if sentences:
        st.html(
            '<div class="n2m-quiet">' + "".join(f"<p>{escape(s)}</p>" for s in sentences) + "</div>"
        )


_BRACKET = re.compile(r"\(-?[\d.]+ to -?[\d.]+\)")
_UNBROKEN = r'<span class="n2m-whole">\g<0></span>'


def _is_number(cell: str) -> bool:
    """Whether a cell of a table says a number, or that there is none."""
    return re.match(r"[-+]?(\d|$)", cell) is not None


def table(header: Sequence[str], rows: Sequence[Sequence[str]], colors: Sequence[str]) -> None:
    """Show a small table whose rows begin with a class colour ("#rrggbb", or "" for none).

    Columns of numbers stand on the right, the first one and all of words on the left.
    """
    marks = [
        "" if place and all(map(_is_number, column)) else ' class="n2m-words"'
        for place, column in enumerate(zip(*rows, strict=True))
    ] or [""] * len(header)
    head = "".join(
        f"<th{mark}>{escape(cell)}</th>" for mark, cell in zip(marks, header, strict=True)
    )
    body = []
    for row, color in zip(rows, colors, strict=True):
        cells = [_BRACKET.sub(_UNBROKEN, escape(cell)) for cell in row]
        if color:
            word, *others = cells[0].split(" ")  # the colour never stands on a line of its own
            swatch = f'<i class="n2m-swatch" style="background:{color}"></i>'
            cells[0] = " ".join((f'<span class="n2m-whole">{swatch}{word}</span>', *others))
        marked = (f"<td{mark}>{cell}</td>" for mark, cell in zip(marks, cells, strict=True))
        body.append(f"<tr>{''.join(marked)}</tr>")
    rows_html = f"<tr>{head}</tr>{''.join(body)}"
    st.html(f'<div class="n2m-scroll"><table class="n2m-table">{rows_html}</table></div>')
