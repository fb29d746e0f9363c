"""Rows of small captioned pictures, sent inside the page: they change with a slider at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from n2m_core import render
from pages._ui.detail import data_uri


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture, uint8 [H, W, 3], and the line under it; `quality` is the WebP's."""

    rgb: NDArray[np.uint8]
    caption: str
    quality: int = 72

    @property
    def html(self) -> str:
        """The picture as an HTML figure."""
        url = data_uri("webp", render.encode_webp(self.rgb, quality=self.quality))
        caption = escape(self.caption)
        return (
            f'<figure><img src="{url}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
        )


def legend(items: Sequence[tuple[str, str]]) -> None:
    """Show names beside their colours ("#rrggbb")."""
    rows = (
        f'<i class="n2m-swatch" style="background:{escape(color)}"></i>{escape(name)}'
        for name, color in items
    )
    st.html(f'<div class="n2m-quiet">{" &emsp; ".join(rows)}</div>')


def two_columns(shown: Sequence[Shown]) -> None:
    """Show pictures two in a row."""
    st.html(f'<div class="n2m-pictures">{"".join(each.html for each in shown)}</div>')


def rows_html(rows: Sequence[tuple[str, Sequence[Shown]]]) -> str:
    """Rows of five pictures, each row under its name; scrolls sideways where that is too wide."""
    parts = [f"<b>{escape(name)}</b>{''.join(each.html for each in shown)}" for name, shown in rows]
    return f'<div class="n2m-scroll"><div class="n2m-rows">{"".join(parts)}</div></div>'
