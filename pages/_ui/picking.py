"""A box to choose one of several things by title; a link to the page can name the choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

import streamlit as st

from pages._ui import errors, state


class Titled(Protocol):
    """Something that has a title to be chosen by."""

    @property
    def title(self) -> str:
        """What a person reads."""


Thing = TypeVar("Thing", bound=Titled)


def pick(
    label: str, found: Mapping[str, Thing], key: str, asked: str | None, noun: str
) -> Thing | None:
    """Let the person choose; None when there is nothing to choose from.

    Args:
        label: of the box.
        found: what can be chosen, by id; the first is the default.
        key: of the widget.
        asked: id that a link names.
        noun: what the link calls it, for when it isn't there.
    """
    if not found:
        return None
    if asked is not None:
        if asked in found:
            state.put(key, asked)
        else:
            st.info(f"The link names {noun} {errors.plain(asked)}, which is not here.")
    chosen = st.selectbox(
        label,
        list(found),
        key=state.prepare(key, next(iter(found)), list(found)),
        format_func=lambda each: found[each].title,
    )
    return found[state.keep(key, chosen)]
