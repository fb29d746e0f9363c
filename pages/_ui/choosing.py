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
EXTENTS = {"256 px": 256, "512 px": 512, "All": None}


@dataclass(frozen=True)
class Chosen:
    """What was chosen.

    Attributes:
        source: a scene or a pair.
        card: the checkpoint.
        steps: timesteps, noisiest first.
        middle_px: side of the square in the middle that is looked at; None for the whole scene.
    """

    source: Source
    card: CheckpointCard
    steps: tuple[int, ...]
    middle_px: int | None


def scene_and_model(
    page: str,
    asked: dict[str, str],
    marks: Callable[[CheckpointCard], tuple[int, ...]],
    *,
    first: int = 11,
    has_extent: bool = False,
) -> Chosen | None:
    """Let the person choose the task, a scene or pair, a checkpoint, timesteps and extent.

    Args:
        page: the page's short name.
        asked: what the page's link asks for.
        marks: timesteps that a checkpoint must not miss.
        first: how many timesteps before the person chooses, one of `STEP_COUNTS`.
        has_extent: whether a part of the scene can be chosen.
    """
    if not resources.cards():
        inputs.say_what_is_missing()
        return None
    left, right = st.columns(2)
    with st.container(horizontal=True, gap="medium"):
        task = _task(page, asked)
        steps = _step_count(page, first)
        middle_px = EXTENTS[extent(page)] if has_extent else None
    with left:
        source = inputs.pick_source(task, asked.get("sample"))
    with right:
        card = inputs.pick_card(task, asked.get("checkpoint"))
    if source is None or card is None:
        inputs.say_what_is_missing(task)
        return None
    even = {round(999 * i / (steps - 1)) for i in range(steps)}
    return Chosen(source, card, tuple(sorted(even | set(marks(card)), reverse=True)), middle_px)


def _task(page: str, asked: dict[str, str]) -> str:
    """The task; a link's sample or checkpoint decides it."""
    key = f"{page}.w.task"
    tasks: dict[str, set[str]] = {}
    known = [(sample.id, sample.task) for sample in resources.samples()]
    for name, served in (*known, *((card.id, card.task) for card in resources.cards())):
        tasks.setdefault(name, set()).add(served)
    for name in ("sample", "checkpoint"):
        fit = tasks.get(asked.get(name, ""), set())
        if len(fit) == 1:  # weights of both tasks decide nothing
            state.put(key, *fit)
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


def extent(page: str) -> str:
    """Which part of the scene to look at, one of `EXTENTS`."""
    key = f"{page}.w.extent"
    picked = st.segmented_control(
        "Extent",
        list(EXTENTS),
        key=state.prepare(key, next(iter(EXTENTS)), list(EXTENTS)),
        required=True,
        help="A part from the middle is quicker, and its pixels are larger on the screen.",
    )
    return state.keep(key, picked or next(iter(EXTENTS)))


def pick(key: str, label: str, options: dict[str, str]) -> str:
    """A row of options that keeps its choice."""
    picked = st.segmented_control(
        label,
        list(options),
        key=state.prepare(key, next(iter(options)), list(options)),
        format_func=lambda each: options[each],
        required=True,
    )
    return state.keep(key, picked or next(iter(options)))


def pick_listed(key: str, label: str, options: dict[str, str], help: str | None = None) -> str:
    """A list of options, too many for a row, that keeps its choice."""
    picked = st.selectbox(
        label,
        list(options),
        key=state.prepare(key, next(iter(options)), list(options)),
        format_func=lambda each: options[each],
        help=help,
    )
    return state.keep(key, picked)


def stated_resolution(source: Source) -> float | None:
    """The ground resolution that the person stated for an image that does not say its own."""
    stated = st.session_state.get(f"resolution.{source.id}.kept")
    return float(stated) if stated else None
