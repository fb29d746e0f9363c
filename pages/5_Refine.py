"""Refine: a rough map in, the same map with regenerated boundaries out."""

from __future__ import annotations

import streamlit as st

from pages._ui import (
    errors,
    exports,
    frame,
    frequencies,
    inputs,
    refined,
    refining,
    repairs,
    results,
    spoiling,
    state,
)

frame.open_page(
    "Refine",
    "A rough map gets its boundaries drawn anew: they condense out of noise, guided by the picture "
    "and by the map itself.",
)


def show() -> None:
    """Draw the page."""
    asked = state.from_link("ref")
    left, middle, right = st.columns([3, 4, 3])
    with left:
        source = inputs.pick_source("segment", asked.get("sample"))
    with middle:
        inputs.upload_image("segment")
    with right:
        card = inputs.pick_card("refine", asked.get("checkpoint"))
    if source is None or card is None:
        inputs.say_what_is_missing("refine")
        return
    chosen = refining.choose(source, card, asked.get("rough"))
    case = None if chosen is None else chosen.rough.case
    state.write_link("ref", {"sample": source.id, "checkpoint": card.id, "rough": case})
    if chosen is None:
        return
    result = refining.result_of(source, card, chosen)
    if result is None:
        return
    refined.show_map(source, result, chosen)
    refined.say_how(source, result)
    truth = refining.truth_of(source, card, chosen)
    spoiling.show(source, result, truth, chosen)
    report = repairs.panel(source, card, result, truth, chosen)
    refined.show_forming(source, result, chosen)
    refined.show_spread(source, result, chosen)
    frequencies.panel(source, result, truth, chosen)
    exports.panel("ref", source, result, chosen.choices, report)
    results.about_weights(card)


with errors.guard():
    show()
