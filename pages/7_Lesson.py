"""Lesson: six short steps from a noisy picture to the F1 curve, each with something to try."""

from __future__ import annotations

import streamlit as st

from pages._ui import (
    errors,
    frame,
    inputs,
    lesson,
    lesson_curve,
    lesson_network,
    lesson_noise,
    state,
)
from pages._ui.lesson import Place, Step

frame.open_page(
    "Lesson",
    "Six short steps from a picture and its noise to a map and its score. "
    "Each has something to move, and a question that moving it answers.",
)

STEPS = (
    Step("Mix", "A picture and its noise", "segment", lesson_noise.mix),
    Step("Schedule", "When the picture goes", "segment", lesson_noise.schedule),
    Step("Timestep", "What the network is told", "segment", lesson_network.embedding),
    Step("Task", "Noise that fits the task", "change", lesson_noise.task_noise),
    Step("Map", "The map out of noise", "segment", lesson_network.out_of_noise),
    Step("Curve", "What the F1 curve proves", "segment", lesson_curve.f1_curve),
)


def show() -> None:
    """Draw the page."""
    asked = state.from_link("lsn")
    number = lesson.choose(STEPS, asked)
    step = STEPS[number - 1]
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    with left:
        st.header(f"{number}. {step.title}", anchor=False)
    with right:
        source = inputs.pick_source(step.task, asked.get("sample"))
    if source is None:
        frame.empty("No samples are installed", "Write them with n2m samples.")
        state.write_link("lsn", {"step": number})
        return
    settings = step.show(Place(source, asked))
    state.write_link("lsn", {"step": number, "sample": source.id, **settings})
    frame.quiet(
        f"{source.note.rstrip('.')}. The address bar holds the link to this step with its scene "
        "and settings."
    )


with errors.guard():
    show()
