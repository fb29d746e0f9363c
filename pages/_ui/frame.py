"""The frame around every page: title, navigation, the few styles that the theme cannot say."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

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

_STYLE = """
<style>
.block-container, [data-testid="stMainBlockContainer"] { max-width: 1320px;
  padding: 2.2rem 3.2rem 4rem; }
[data-testid="stSidebarUserContent"] { padding-top: 0.4rem; }
[data-testid="stSidebar"] { min-width: 208px; max-width: 224px; }
[data-testid="stSidebarHeader"] { height: auto; padding-bottom: 0; }
h1 { letter-spacing: -0.015em; padding-bottom: 0.1rem !important; }
.n2m-brand { display: flex; align-items: center; gap: 10px; margin: 0 0 14px 4px; }
.n2m-brand img { flex: none; width: 34px; height: 34px; border-radius: 5px; }
.n2m-brand b { font: 600 1.05rem/1.1 "Source Serif", "Source Serif Pro", Georgia, serif; }
.n2m-lede { font-size: 1.06rem; line-height: 1.5; max-width: 52rem; margin: 0 0 0.2rem;
  text-wrap: pretty;
  color: color-mix(in srgb, currentColor 74%, transparent); }
.n2m-quiet { font-size: 0.86rem; line-height: 1.45;
  color: color-mix(in srgb, currentColor 66%, transparent); }
.n2m-quiet p { margin: 0 0 0.35rem; font-size: inherit; }
.n2m-table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
.n2m-table th { font-weight: 600; font-size: 0.8rem; text-align: right; padding: 4px 10px 4px 0;
  color: color-mix(in srgb, currentColor 62%, transparent); }
.n2m-table td { text-align: right; padding: 6px 10px 6px 0;
  border-top: 1px solid color-mix(in srgb, currentColor 14%, transparent); }
.n2m-table th:first-child, .n2m-table td:first-child { text-align: left; }
.n2m-scroll { overflow-x: auto; }
.n2m-swatch { display: inline-block; width: 0.8em; height: 0.8em; border-radius: 2px;
  margin-right: 0.5em; vertical-align: -0.06em; border: 1px solid rgba(0, 0, 0, 0.25); }
.n2m-empty { border: 1px dashed color-mix(in srgb, currentColor 28%, transparent);
  border-radius: 8px; padding: 2.2rem 1.4rem; text-align: center; margin: 0.6rem 0 1rem; }
.n2m-empty b { display: block; font: 600 1.2rem/1.3 "Source Serif", Georgia, serif; }
.n2m-empty span { display: block; max-width: 34rem; margin: 0.4rem auto 0;
  color: color-mix(in srgb, currentColor 70%, transparent); }
[data-testid="stFileUploaderDropzone"] { min-height: 2.5rem; padding: 0.1rem 0.7rem 0.1rem 0.1rem;
  display: flex; flex-direction: row; align-items: center; gap: 0.8rem; }
[class*="st-key-narrow"] [data-testid="stFileUploaderDropzoneInstructions"] { display: none; }
[data-testid="stFileUploaderDropzone"] button { border: none; background: transparent; }
@media (max-width: 640px) {
  .block-container, [data-testid="stMainBlockContainer"] { padding: 3.2rem 0.9rem 3rem; }
  h1 { font-size: 1.9rem !important; }
}
</style>
"""


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


def table(header: tuple[str, ...], rows: list[tuple[str, ...]], colors: list[str]) -> None:
    """Show a small table whose rows begin with a class colour ("#rrggbb", or "" for none)."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = []
    for row, color in zip(rows, colors, strict=True):
        swatch = f'<i class="n2m-swatch" style="background:{color}"></i>' if color else ""
        cells = [swatch + escape(row[0]), *map(escape, row[1:])]
        body.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    rows_html = f"<tr>{head}</tr>{''.join(body)}"
    st.html(f'<div class="n2m-scroll"><table class="n2m-table">{rows_html}</table></div>')
