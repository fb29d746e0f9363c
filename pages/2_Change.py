"""Change: two dates in, what was built and what is gone out."""

from __future__ import annotations

import streamlit as st

from pages._ui import (
    adjust,
    area_panel,
    compute,
    errors,
    exports,
    frame,
    inputs,
    results,
    state,
    views,
)

frame.open_page(
    "Change",
    "Two dates of one place go through the network together, and out comes what changed.",
)


def show() -> None:
    """Draw the page."""
    asked = state.from_link("chg")
    left, before, after, right = st.columns([3, 2, 2, 3])
    with left:
        source = inputs.pick_source("change", asked.get("sample"))
    with before:
        inputs.upload_half("change", "before")
    with after:
        inputs.upload_half("change", "after")
    with right:
        card = inputs.pick_card("change", asked.get("checkpoint"))
    if source is None or card is None:
        inputs.say_what_is_missing("change")
        return
    whole = st.container()
    choices, look = adjust.bar("chg", source, card, asked.get("timestep"))
    state.write_link(
        "chg", {"sample": source.id, "checkpoint": card.id, "timestep": choices.timestep}
    )
    with whole:
        area_panel.show("chg", source, card, choices, look.basemap)
    notice = st.container()
    with st.container():
        mapped = compute.map_of("chg", source, card, choices)
        if mapped is None:
            views.show_picture(source, choices, look)
            return
        key = f"chg/{source.key}/{card.id}/{card.sha256}/{choices.key}"
        views.show_map(f"Change in {source.title}", key, mapped.result, choices, look)
    with notice:
        results.warn(mapped)
    results.notes(mapped.result, source)
    area_panel.tell_time(source, mapped)
    scored = results.panels("chg", source, mapped.result, choices)
    exports.panel("chg", source, mapped.result, choices, scored)
    results.about_weights(card)


with errors.guard():
    show()
