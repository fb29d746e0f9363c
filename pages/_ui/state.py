"""Choices that outlive a rerun and a change of page, and the links that carry them.

A widget forgets its value when the person leaves its page; a value that we keep under a key of our
own survives. So each widget is given its first value from our key, and its value is copied back.
Pages that use the same key share the choice: the sample picked on one is there on the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import streamlit as st

T = TypeVar("T")

_PAGE, _PREPARED = "state.page", "state.prepared"
"""Where the page on view is kept, and the keys of its widgets that have been given their value."""


def enter(page: str) -> None:
    """Begin a run of a page; after another page, its widgets are given their values anew."""
    if st.session_state.get(_PAGE) != page:
        st.session_state[_PREPARED] = set[str]()
        st.session_state[_PAGE] = page


def prepare(key: str, default: T, options: Sequence[T] | None = None) -> str:
    """Give a widget its value before it is drawn: the person's, else the default.

    A value is given once: it goes to the browser, and would take the place of what the person has
    typed there since this run began.

    Args:
        key: the widget's key.
        default: value when nothing (or nothing possible) was chosen.
        options: values that the widget can take; None when any will do.

    Returns:
        The key, to be handed to the widget.
    """
    prepared: set[str] = st.session_state.setdefault(_PREPARED, set[str]())
    value = st.session_state.get(key, st.session_state.get(f"{key}.kept", default))
    if options is not None and value not in options:
        st.session_state[key] = default
    elif key not in prepared or key not in st.session_state:
        st.session_state[key] = value
    prepared.add(key)
    return key


def keep(key: str, value: T) -> T:
    """Copy a widget's value to our own key."""
    st.session_state[f"{key}.kept"] = value
    return value


def put(key: str, value: object) -> None:
    """Choose a value for a widget that is not yet drawn in this run."""
    st.session_state[key] = value
    st.session_state[f"{key}.kept"] = value


def from_link(page: str) -> dict[str, str]:
    """Read the query string, once for every new link.

    Args:
        page: the page's short name, such as "seg".

    Returns:
        The parameters when the page was opened by a link that was not written by the page itself.
    """
    asked = {name: st.query_params[name] for name in st.query_params}
    if not asked or asked == st.session_state.get(f"{page}.link"):
        return {}
    st.session_state[f"{page}.link"] = asked
    return asked


def write_link(page: str, choices: Mapping[str, object]) -> None:
    """Put the page's choices into the address, so that it can be copied."""
    text = {name: str(value) for name, value in choices.items() if value is not None}
    if text != {name: st.query_params[name] for name in st.query_params}:
        st.query_params.from_dict(text)
    st.session_state[f"{page}.link"] = text
