"""The lesson's last step: F1 against the timestep, and what it does and does not prove."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from pages._ui import (
    analysis,
    figures,
    frame,
    lesson,
    lesson_network,
    mixing,
    playing,
    resources,
    results,
)
from pages._ui.analysis import Report, Sweep
from pages._ui.figures import PALETTE, Curve
from pages._ui.lesson import Place, Settings

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from n2m_core.checkpoints import CheckpointCard

STEPS = (0, 100, 258, 500, 750, 999)
DRAWS = {"1": "1", "3": "3"}


def f1_curve(place: Place) -> Settings:
    """Step 6: the curve of this scene, with the plain twin fed the same x_t."""
    card = lesson_network.card_with("segment", "gaussian")
    left, right = st.columns([2, 3], gap="large")
    with left:
        st.markdown(
            "With the truth of the scene each of these maps has an F1. The plain twin saw the same "
            "data for as long, but no noise and no timestep; here it is fed the same x_t. More "
            "noise draws show how far a point moves by chance."
        )
        draws = lesson.option("draws", "Noise draws", DRAWS, place.asked)
    settings: Settings = {"draws": draws}
    if card is None:
        lesson.told_to_fetch("weights trained with gaussian noise")
        return settings
    twin = next((each for each in resources.cards(card.task) if each.id == card.twin), None)
    found = _reports(place, card, twin, int(draws))
    if found is None:
        return settings
    own, other = found
    with right:
        figures.show(_figure(own, other, card, twin), "lsn.curve", "lesson_f1")
        frame.quiet(
            f"Bands: 95 % bootstrap intervals over {own['interval_over']} of this one scene"
            f"{' and noise draws' if len(own['seeds']) > 1 else ''}."
        )
    with left:
        _say_what_it_proves(card)
    _ask(own, other)
    return settings


def _reports(
    place: Place, card: CheckpointCard, twin: CheckpointCard | None, draws: int
) -> tuple[Report, Report | None] | None:
    """The scores of both twins at every step, or the progress and None."""
    known = analysis.scenes([place.source], card)
    if not known:
        frame.empty("No truth for this scene", "Choose a sample above, which has one.")
        return None
    sweep = Sweep(STEPS, draws, mixing.SIDE_PX)
    own = analysis.curve("lsn.own", known, card, sweep, f"Scoring {card.title}")
    if own is None or twin is None:
        return None if own is None else (own, None)
    fed = replace(sweep, process=card.noise_process, schedule=card.schedule)
    other = analysis.curve("lsn.twin", known, twin, fed, "Scoring the plain twin")
    return None if other is None else (own, other)


def _figure(
    own: Report, other: Report | None, card: CheckpointCard, twin: CheckpointCard | None
) -> go.Figure:
    """Both curves with their intervals."""
    curves = [_curve(own, card.title, PALETTE[0], "solid")]
    if other is not None and twin is not None:
        curves.append(_curve(other, f"{twin.title}, fed the same x_t", PALETTE[1], "dash"))
    figure = figures.over_timesteps(curves, "F1")
    figure.update_layout(legend={"orientation": "h", "x": 0, "y": -0.28, "yanchor": "top"})
    return figure


def _curve(report: Report, name: str, color: str, dash: str) -> Curve:
    """F1 over the timesteps, noisiest first."""
    rows = sorted(report["by_timestep"], key=lambda row: -int(row["t"]))
    t, f1, low, high = ([row[each] for row in rows] for each in ("t", "f1", "low", "high"))
    return Curve(name, t, f1, low, high, color, dash)


def _say_what_it_proves(card: CheckpointCard) -> None:
    """What follows from the curve, and what doesn't."""
    half = half_of_training(card)
    drawn = "" if half is None else f" In this training half of all t lay below {half}."
    st.markdown(
        "**It shows** how well each network reads a picture at each strength of noise.  \n"
        "**It does not show** that a map is built up step by step: the points are passes of their "
        "own. Nor that noise in training makes better maps of clean pictures: that is the right "
        f"end alone. A network is good at the t that its training drew often.{drawn}"
    )
    frame.quiet(playing.explain(card)[1])


def half_of_training(card: CheckpointCard) -> int | None:
    """Median timestep of the training, t = 1000 u^power with u uniform; None where not known."""
    path = resources.checkpoints_folder().parent / card.training.config
    if not path.is_file():
        return None
    from n2m_core.training.multitask import load_part

    return int(1000 * 0.5 ** load_part(path, card.task).noise.timestep_power)


def _ask(own: Report, other: Report | None) -> None:
    """Compare the twins on the clean picture; without a twin, find where F1 falls most."""
    if other is None:
        lesson.ask(6, *steepest(own["by_timestep"]))
    else:
        lesson.ask(6, *better_when_clean(own["by_timestep"], other["by_timestep"]))


def better_when_clean(
    own: Sequence[Report], other: Sequence[Report]
) -> tuple[str, tuple[str, ...], int, str]:
    """Which twin maps the picture at t = 0 better: question, options, the right one, why."""
    mine, yours = (next(row for row in rows if row["t"] == 0) for rows in (own, other))
    parts = [
        f"{results.number(row['f1'])} ({results.number(row['low'])} to "
        f"{results.number(row['high'])})"
        for row in (mine, yours)
    ]
    return (
        "Look at the right end, t = 0. Which of the two maps the clean picture better, beyond the "
        "intervals?",
        ("The one trained with noise", "The plain twin", "The intervals overlap"),
        2 if overlap(mine, yours) else 0 if (mine["f1"] or 0) > (yours["f1"] or 0) else 1,
        f"F1 at t = 0 is {parts[0]} for the one trained with noise and {parts[1]} for the twin. "
        "One scene is little: the Models page has the scores on whole test sets.",
    )


def overlap(one: Report, other: Report) -> bool:
    """Whether the intervals of two scores meet; where one has none, whether the scores agree."""
    ends = (one["low"], one["high"], other["low"], other["high"])
    if any(end is None for end in ends):
        return bool(one["f1"] == other["f1"])
    return bool(one["low"] <= other["high"] and other["low"] <= one["high"])


def steepest(rows: Sequence[Report]) -> tuple[str, tuple[str, ...], int, str]:
    """Between which neighbours F1 falls most: question, options, the right one, why."""
    ordered = sorted(rows, key=lambda row: int(row["t"]))
    pairs = list(itertools.pairwise(ordered))
    falls = [(cleaner["f1"] or 0.0) - (noisier["f1"] or 0.0) for cleaner, noisier in pairs]
    right = falls.index(max(falls))
    return (
        "Between which neighbouring points does F1 fall most?",
        tuple(f"t = {cleaner['t']} and {noisier['t']}" for cleaner, noisier in pairs),
        right,
        f"By {falls[right]:.3f} there.",
    )
