"""The row of choices on the pages that look at one checkpoint of either task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from pages._ui import inputs, resources, state
from pages._ui.inputs import Source

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard

TASKS = {"segment": "Segment", "change": "Change"}
STEP_COUNTS = (6, 11, 21)


@dataclass(frozen=True)
class Chosen:
    """What was chosen: a scene or pair, a checkpoint and the timesteps, noisiest first."""

    source: Source
    card: CheckpointCard
    steps: tuple[int, ...]


def scene_and_model(
    page: str,
    asked: dict[str, str],
    count: int,
    marks: Callable[[CheckpointCard], tuple[int, ...]],
) -> Chosen | None:
    """Let the person choose the task, a scene or pair, a checkpoint and the timesteps.

    Args:
        page: the page's short name.
        asked: what the page's link asks for.
        count: how many timesteps at first.
        marks: timesteps that a checkpoint must not miss.
    """
    if not resources.cards():
        inputs.say_no_weights()
        return None
    places = st.columns([2, 3, 3, 2], vertical_alignment="bottom")
    with places[0]:
        task = _task(page, asked)
    with places[1]:
        source = inputs.pick_source(task, asked.get("sample"))
    with places[2]:
        card = inputs.pick_card(task, asked.get("checkpoint"))
    with places[3]:
        steps = _step_count(page, count)
    if source is None or card is None:
        return None
    even = {round(999 * i / (steps - 1)) for i in range(steps)}
    return Chosen(source, card, tuple(sorted(even | set(marks(card)), reverse=True)))


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


def _step_count(page: str, first: int) -> int:
    """How many timesteps to look at."""
    key = f"{page}.w.steps"
    count = st.segmented_control(
        "Timesteps",
        STEP_COUNTS,
        key=state.prepare(key, first, STEP_COUNTS),
        required=True,
        help="How many timesteps between 999 (noise) and 0 (clean). Each is one pass.",
    )
    return state.keep(key, count or first)


def stated_resolution(source: Source) -> float | None:
    """The ground resolution that the person stated for an image that does not say its own."""
    stated = st.session_state.get(f"resolution.{source.id}.kept")
    return float(stated) if stated else None
