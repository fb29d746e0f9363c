"""The lesson's frame: its steps and the way between them, and questions with computed answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from pages._ui import frame, state
from pages._ui.callbacks import whole
from pages._ui.inputs import Source

Settings = dict[str, object]
"""What a step's link carries beside the step and the scene."""
KEY = "lsn.w.step"


@dataclass(frozen=True)
class Place:
    """Where a step is looked at: the scene or pair, and what the link asks for."""

    source: Source
    asked: Mapping[str, str]


@dataclass(frozen=True)
class Step:
    """One step of the lesson.

    Attributes:
        name: one word, for the way between the steps.
        title: its heading.
        task: "segment" for a scene, "change" for a pair of dates.
        show: draws the step and gives its settings for the link.
    """

    name: str
    title: str
    task: str
    show: Callable[[Place], Settings]


def choose(steps: Sequence[Step], asked: Mapping[str, str]) -> int:
    """Show the way between the steps; gives the chosen one, counted from 1."""
    numbers = list(range(1, len(steps) + 1))
    wanted = asked.get("step", "")
    if wanted.isdecimal() and int(wanted) in numbers:
        state.put(KEY, int(wanted))
    picked = st.segmented_control(
        "Step",
        numbers,
        key=state.prepare(KEY, 1, numbers),
        format_func=lambda number: f"{number} {steps[number - 1].name}",
        required=True,
        label_visibility="collapsed",
    )
    chosen = int(state.keep(KEY, picked or 1))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        _dots(chosen, len(numbers))
        _turn("Back", ":material/arrow_back:", chosen - 1, numbers)
        _turn("Next", ":material/arrow_forward:", chosen + 1, numbers)
    return chosen


def _turn(label: str, icon: str, to: int, numbers: Sequence[int]) -> None:
    """A button to a neighbouring step."""
    st.button(
        label,
        icon=icon,
        key=f"lsn.{label.lower()}",
        disabled=to not in numbers,
        on_click=whole(state.put),
        args=(KEY, to),
    )


def _dots(number: int, count: int) -> None:
    """Show how far the lesson is."""
    marks = "".join(
        f'<i class="{"here" if each == number else "done" if each < number else "next"}"></i>'
        for each in range(1, count + 1)
    )
    text = f"Step {number} of {count}"
    st.html(
        f'<div class="n2m-dots" role="img" aria-label="{text}">{marks}<span>{text}</span></div>'
    )


def timestep(step: int, default: int, asked: Mapping[str, str], label: str = "Timestep t") -> int:
    """The slider of a step; a link may set it."""
    key = f"lsn.w.t{step}"
    wanted = asked.get("t", "")
    if wanted.isdecimal() and int(wanted) <= 999:
        state.put(key, int(wanted))
    picked = st.slider(
        label, 0, 999, key=state.prepare(key, default), help="0 is the clean picture, 999 noise."
    )
    return int(state.keep(key, picked))


def option(name: str, label: str, options: Mapping[str, str], asked: Mapping[str, str]) -> str:
    """A row of options of a step; a link may set it under the same name."""
    key = f"lsn.w.{name}"
    if asked.get(name) in options:
        state.put(key, asked[name])
    first = next(iter(options))
    picked = st.segmented_control(
        label,
        list(options),
        key=state.prepare(key, first, list(options)),
        format_func=lambda each: options[each],
        required=True,
    )
    return state.keep(key, picked or first)


def ask(step: int, question: str, options: Sequence[str], right: int, why: str) -> None:
    """Ask a question and check the answer.

    Args:
        step: whose question it is.
        question: what to try and to find out.
        options: the answers to choose from.
        right: index of the true one, computed from what the step shows.
        why: the numbers behind it.
    """
    key = f"lsn.w.answer{step}"
    with st.container(border=True):
        st.markdown(f"**Try it.** {question}")
        picked = st.radio(
            "Your answer",
            list(options),
            index=None,
            key=state.prepare(key, None, [None, *options]),
            horizontal=True,
            label_visibility="collapsed",
        )
        state.keep(key, picked)
        if picked == options[right]:
            st.success(f"Right. {why}", icon=":material/check:")
        elif picked is not None:
            st.info(
                "Not that one. Move the control above and look again.", icon=":material/replay:"
            )
        if picked != options[right]:
            with st.expander("Show the answer"):
                st.markdown(f"**{options[right]}.** {why}")


def told_to_fetch(what: str) -> None:
    """Say which weights a step lacks."""
    frame.empty(
        f"No {what} are installed",
        "This step needs them; the others work without. Fetch the repository again with its "
        "checkpoints, or train one with n2m train.",
    )
