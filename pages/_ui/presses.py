"""A button whose press is not lost.

Streamlit tells of a press in the one run of the page that follows it. When the person's next step,
or a job that is done, starts another run before that one has come to the button, nobody hears of
it. Here a press is noted when it arrives, before the page runs, and kept until what it asks for is
done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import streamlit as st

from pages._ui.callbacks import whole


def button(
    label: str,
    key: str,
    act: Callable[[], object],
    icon: str | None = None,
    type: Literal["primary", "secondary", "tertiary"] = "secondary",
    width: Literal["content", "stretch"] | int = "content",
) -> None:
    """Show a button, and do what it is there for, here, once for every press.

    Args:
        label: as for `st.button`.
        key: as for `st.button`.
        act: called when the button was pressed; from its beginning again when another run of the
            page broke it off.
        icon: as for `st.button`.
        type: as for `st.button`.
        width: as for `st.button`.
    """
    noted = f"{key}.pressed"
    st.button(label, key=key, icon=icon, type=type, width=width, on_click=_note, args=(noted,))
    if not st.session_state.get(noted):
        return
    try:
        act()
    except Exception:  # a refusal is told once; a run that breaks this one off is none
        st.session_state.pop(noted, None)
        raise
    st.session_state.pop(noted, None)


@whole
def _note(noted: str) -> None:
    """Keep a press until it is answered."""
    st.session_state[noted] = True
