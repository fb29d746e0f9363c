"""Review: people judge, correct and complete what a map found."""

from __future__ import annotations

import streamlit as st

from pages._ui import errors, frame, review_projects

frame.open_page(
    "Review",
    "Go through what a model found, object by object: right or wrong, a better outline, what was "
    "missed. Every decision is saved at once and can be taken back.",
)

TABS = ("Desk", "Numbers", "Take it home")


def show() -> None:
    """Draw the page."""
    found = review_projects.opened()
    if found is None:
        frame.empty(
            "Choose a project and say who you are",
            "A project is a folder that keeps the maps, what people said of them, and when. "
            "Several people can work on one at the same time.",
        )
        return
    from pages._ui import review_numbers, review_out, review_showing

    project, reviewer = found
    tabs = st.tabs(TABS, key="rev.tabs", on_change="rerun")
    views = (
        lambda: review_showing.show(project, reviewer),
        lambda: review_numbers.show(project, reviewer),
        lambda: review_out.show(project),
    )
    for tab, view in zip(tabs, views, strict=True):
        if tab.open:
            with tab, errors.guard():
                view()


with errors.guard():
    show()
