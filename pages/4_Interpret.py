"""Interpret: what noise and timestep do to a map, measured."""

from __future__ import annotations

import streamlit as st

from pages._ui import (
    calibrating,
    choosing,
    compute,
    errors,
    failing,
    frame,
    inspecting,
    interpreting,
    playing,
    results,
    state,
    stressing,
)
from pages._ui.analysis import Sweep

frame.open_page(
    "Interpret",
    "How the scores move with the denoising step, when each pixel is decided, how far to believe "
    "the map's confidence, what the network sees, what it withstands and where it fails.",
)

TABS = (
    "Scores over t",
    "Schedulers and noise",
    "Decision time",
    "Calibration",
    "Features",
    "Robustness",
    "Where it fails",
)


def show() -> None:
    """Draw the page."""
    asked = state.from_link("itp")
    chosen = choosing.scene_and_model("itp", asked, playing.marks, first=6, has_extent=True)
    if chosen is None:
        return
    source, card = chosen.source, chosen.card
    state.write_link("itp", {"sample": source.id, "checkpoint": card.id})
    choices = compute.Choices(resolution_m=choosing.stated_resolution(source))
    sweep = Sweep(chosen.steps, middle_px=chosen.middle_px)
    tabs = st.tabs(TABS, key="itp.tabs", on_change="rerun")
    views = (
        lambda: interpreting.scores(source, card, sweep),
        lambda: interpreting.comparison(source, card, sweep),
        lambda: interpreting.decided(source, card, sweep, choices),
        lambda: calibrating.calibrated(source, card, sweep),
        lambda: inspecting.inspected(source, card, sweep, choices),
        lambda: stressing.stressed(source, card, sweep),
        lambda: failing.failed(source, card),
    )
    for tab, view in zip(tabs, views, strict=True):
        if tab.open:
            with tab, errors.guard():
                view()
    results.about_weights(card)


with errors.guard():
    show()
