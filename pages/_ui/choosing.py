"""The row of choices on the pages that look at one checkpoint of either task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages._ui import frame, inputs, resources, state
from pages._ui.inputs import Source

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard

TASKS = {"segment": "Segment", "change": "Change"}
STEP_COUNTS = (6, 11, 21, 41)


def scene_and_model(page: str, asked: dict[str, str]) -> tuple[Source, CheckpointCard] | None:
    """Let the person choose the task, a scene or pair, and a checkpoint."""
    if not resources.cards():
        inputs.say_no_weights()
        return None
    left, middle, right = st.columns([2, 4, 4], vertical_alignment="bottom")
    with left:
        task = _task(page, asked)
    with middle:
        source = inputs.pick_source(task, asked.get("sample"))
    with right:
        card = inputs.pick_card(task, asked.get("checkpoint"))
    if source is None or card is None:
        return None
    if not source.is_sample:
        frame.quiet("Files that you dropped on Segment or Change can be chosen here as well.")
    return source, card


def _task(page: str, asked: dict[str, str]) -> str:
    """The task; a link's checkpoint decides it."""
    key = f"{page}.w.task"
    for card in resources.cards():
        if card.id == asked.get("checkpoint"):
            state.put(key, card.task)
    task = st.segmented_control(
        "Task",
        list(TASKS),
        key=state.prepare(key, "segment", list(TASKS)),
        format_func=lambda each: TASKS[each],
        required=True,
    )
    return state.keep(key, task or "segment")


def steps(page: str, marks: tuple[int, ...]) -> tuple[int, ...]:
    """The timesteps, noisiest first; the marked ones are among them."""
    key = f"{page}.w.steps"
    count = st.segmented_control(
        "Timesteps",
        STEP_COUNTS,
        key=state.prepare(key, 11, STEP_COUNTS),
        required=True,
        help="How many timesteps between 999 (noise) and 0 (clean). Each is one pass.",
    )
    count = state.keep(key, count or 11)
    even = {round(999 * i / (count - 1)) for i in range(count)}
    return tuple(sorted(even | set(marks), reverse=True))


def stated_resolution(source: Source) -> float | None:
    """The ground resolution that the person stated for an image that does not say its own."""
    stated = st.session_state.get(f"resolution.{source.id}.kept")
    return float(stated) if stated else None
