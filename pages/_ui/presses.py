"""A button whose press is not lost.

Streamlit tells of a press in the one run of the page that follows it. When the person's next step,
or a job that is done, starts another run before that one has come to the button, nobody hears of
it. Here a press is noted when it arrives, before the page runs, and kept until the page reads it.
"""

from __future__ import annotations

from typing import Literal

import streamlit as st

from pages._ui.callbacks import whole


def button(
    label: str,
    key: str,
    icon: str | None = None,
    type: Literal["primary", "secondary", "tertiary"] = "secondary",
    width: Literal["content", "stretch"] | int = "content",
) -> bool:
    """Show a button; True once for every press. The arguments are those of `st.button`."""
    noted = f"{key}.pressed"
    st.button(label, key=key, icon=icon, type=type, width=width, on_click=_note, args=(noted,))
    return bool(st.session_state.pop(noted, False))


@whole
def _note(noted: str) -> None:
    """Keep a press until the page has come to its button."""
    st.session_state[noted] = True
