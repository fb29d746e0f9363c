"""Segment: one picture in, one map out."""

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
    "Segment",
    "One pass of the network turns a satellite picture into a map. "
    "Look at a sample, or drop a picture of your own.",
)


def show() -> None:
    """Draw the page."""
    asked = state.from_link("seg")
    left, middle, right = st.columns([3, 4, 3])
    with left:
        source = inputs.pick_source("segment", asked.get("sample"))
    with middle:
        inputs.upload_image("segment")
    with right:
        card = inputs.pick_card("segment", asked.get("checkpoint"))
    if source is None or card is None:
        inputs.say_what_is_missing("segment")
        return
    whole = st.container()
    choices, look = adjust.bar("seg", source, card, asked.get("timestep"))
    state.write_link(
        "seg", {"sample": source.id, "checkpoint": card.id, "timestep": choices.timestep}
    )
    with whole:
        area_panel.show("seg", source, card, choices, look.basemap)
    notice = st.container()
    place = st.container()
    with place:
        mapped = compute.map_of("seg", source, card, choices)
        if mapped is None:
            views.show_picture(source, choices, look)
            return
        key = f"seg/{source.key}/{card.id}/{card.sha256}/{choices.key}"
        views.show_map(f"Map of {source.title}", key, mapped.result, choices, look)
    with notice:
        results.warn(mapped)
    results.notes(mapped.result, source)
    area_panel.tell_time(source, mapped)
    scored = results.panels("seg", source, mapped.result, choices)
    exports.panel("seg", source, mapped.result, choices, scored)
    results.about_weights(card)


with errors.guard():
    show()
