"""Trajectory: the same scene mapped at many timesteps, from noise to clean."""

from __future__ import annotations

import streamlit as st

from pages._ui import (
    choosing,
    compute,
    errors,
    exports,
    figures,
    frame,
    playing,
    results,
    state,
    truths,
)

frame.open_page(
    "Trajectory",
    "The same scene, buried in noise and uncovered step by step: watch the map form.",
)


def show() -> None:
    """Draw the page."""
    asked = state.from_link("trj")
    chosen = choosing.scene_and_model("trj", asked, playing.marks, has_extent=True)
    if chosen is None:
        return
    source, card = chosen.source, chosen.card
    state.write_link("trj", {"sample": source.id, "checkpoint": card.id})
    choices = compute.Choices(resolution_m=choosing.stated_resolution(source))
    frames = compute.Frames(chosen.steps, truths.truth_of(source, card), chosen.middle_px)
    result = compute.trajectory_of("trj", source, card, choices, frames)
    if result is None:
        return
    key = f"trj/{source.key}/{card.sha256}/{frames}/{choices.key}"
    playing.show(key, result, source.title)
    frame.quiet(*playing.explain(card), *result.notes)
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.subheader("How the map settles", anchor=False)
        figures.show(playing.figure(result), "trj.plot", "trajectory")
    with right:
        st.subheader("Take it home", anchor=False)
        exports.trajectory("trj", source, result, key)
        results.about_weights(card)


with errors.guard():
    show()
