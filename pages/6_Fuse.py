"""Fuse: two dates with fine images, one with only a coarse one, and out comes its fine image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages._ui import errors, frame, fuse_steps, fused, fusing, series, state

if TYPE_CHECKING:
    from n2m_core.tasks.fuse import FuseResult

frame.open_page(
    "Fuse",
    "Fine images are rare and coarse ones frequent: make the fine image of a date that has only "
    "a coarse one.",
)


def show() -> None:
    """Draw the page."""
    asked = state.from_link("fus")
    left, right = st.columns(2)
    with left:
        chosen = series.pick(asked.get("sample"))
    with right:
        method = fusing.pick_method(chosen, asked.get("method"))
        weights = fusing.pick_weights(method, asked.get("checkpoint"))
    series.uploads()
    if chosen is None:
        frame.empty("No samples are installed", "Drop files of your own, or run n2m samples.")
        return
    checkpoint = None if weights is None else weights.id
    state.write_link("fus", {"sample": chosen.id, "method": method, "checkpoint": checkpoint})
    with st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"
    ):
        choices = fusing.choices(method, weights)
        prepared = fusing.prepared_of(chosen, choices)
        colors = fused.pick_coloring(prepared)
    fused.timeline(chosen, prepared, colors)
    with st.container():
        result = fusing.result_of(chosen, choices)
        if result is None:
            fused.show_guess(chosen, choices, colors)
            return
        fused.show_map(chosen, choices, result, colors)
    frame.quiet(f"{chosen.note.rstrip('.')}. Made in {result.seconds:.1f} s.", *result.notes)
    fuse_steps.show(chosen, choices, result, colors)
    fused.show_layers(chosen, choices, result)
    report = show_comparison(chosen, choices, result)
    with errors.guard():
        fused.profile(chosen, result)
    fused.take_home(chosen, result, report)
    if checkpoint is not None:
        fused.about_weights(checkpoint)


def show_comparison(
    chosen: series.Series, choices: fusing.FuseChoices, result: FuseResult
) -> fusing.Report | None:
    """Every method against the truth; gives the scores of the chosen one."""
    if chosen.truth is None:
        frame.quiet("Drop the true fine image of the target date to see how far each method is.")
        return None
    report = fusing.report_of(chosen, choices, result)
    fusing.show_scores(report)
    st.subheader("Every method", anchor=False)
    with st.container():
        rows = fusing.compared_of(chosen, choices, result)
        if rows is not None:
            fused.show_errors(chosen, choices, result, rows)
            fusing.show_table(rows, choices.method)
    return report


with errors.guard():
    show()
