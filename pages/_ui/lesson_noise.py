"""The lesson's steps on the input: mixing, schedule, task-specific noise. None needs a network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from pages._ui import figures, lesson, lesson_network, mixing, scheduling
from pages._ui.figures import DASHES, PALETTE, Curve
from pages._ui.lesson import Place, Settings
from pages._ui.pictures import Shown, two_columns
from pages._ui.scheduling import Family

GONE = 0.01
"""Share of the picture in x_t below which it counts as gone."""
TRIED = (100, 500, 999)
"""Timesteps offered beside the one where the dates meet."""


def weights(t: int) -> tuple[float, float]:
    """Weights of picture and noise at t, by the schedule of the paper."""
    schedule = mixing.schedule("ddpm")
    return float(schedule.signal[t]), float(schedule.noise[t])


def mix(place: Place) -> Settings:
    """Step 1: x_t is a weighted sum."""
    left, right = st.columns([2, 3], gap="large")
    with left:
        st.markdown(
            "A diffusion network never sees a picture x alone. At timestep t it sees x mixed with "
            "noise n: much picture at small t, nearly nothing but noise at large t."
        )
        t = lesson.timestep(1, 300, place.asked)
        signal, noise = weights(t)
        st.latex(
            r"\begin{aligned} x_t &= \sqrt{\bar\alpha_t}\,x + \sqrt{1-\bar\alpha_t}\,n \\"
            rf" &= {signal:.3f}\,x + {noise:.3f}\,n \end{{aligned}}"
        )
        with st.container(horizontal=True, gap="small"):
            st.metric("Picture's weight", f"{signal:.3f}", width=124)
            st.metric("Noise's weight", f"{noise:.3f}", width=124)
            ratio = (signal / noise) ** 2
            st.metric("SNR", f"{ratio:.3g}", help="Square of their ratio.", width=124)
    with right:
        x0 = mixing.middle(place.source)
        two_columns(
            [
                Shown(mixing.picture(x0), "x, the clean picture"),
                Shown(mixing.picture(mixing.mixed(x0, t, "gaussian")), f"x_t at t = {t}"),
            ]
        )
    _ask_about_the_sum()
    return {"t": t}


def _ask_about_the_sum() -> None:
    """Which sum of the weights stays one, measured over all timesteps."""
    schedule = mixing.schedule("ddpm")
    plain = float((schedule.signal + schedule.noise - 1).abs().max())
    squares = float((schedule.power() - 1).abs().max())
    lesson.ask(
        1,
        "Move t and add: which sum is 1 at every t?",
        ("The two weights", "Their squares", "Neither"),
        0 if plain < 1e-4 else 1 if squares < 1e-4 else 2,
        f"Over all timesteps the sum of the weights is off by up to {plain:.2f}, that of their "
        f"squares by {squares:.1g}. So x_t keeps its contrast from t = 0 to 999; only what it "
        "shows changes.",
    )


def schedule(place: Place) -> Settings:
    """Step 2: the schedule says when the picture goes."""
    found = [family for family in scheduling.families() if family.keeps_size]
    left, right = st.columns([2, 3], gap="large")
    with left:
        st.markdown(
            "The schedule decides how fast the picture goes. Its curve is ᾱ, the picture's share "
            "in x_t: 1 is all picture, 0 all noise. Both pictures below have the same t."
        )
        t = lesson.timestep(2, 400, place.asked)
        figures.show(_alpha_figure(found, t), "lsn.alpha", "alpha_bar")
    with right:
        x0 = mixing.middle(place.source)
        two_columns(
            [
                Shown(
                    mixing.picture(mixing.mixed(x0, t, "gaussian", family.names[0])),
                    f"{family.title}: ᾱ = {float(family.schedule.alpha_bar()[t]):.3f}",
                )
                for family in found
            ]
        )
    _ask_where_it_vanishes(found)
    return {"t": t}


def _alpha_figure(found: Sequence[Family], t: int) -> go.Figure:
    """The curves of alpha-bar with a line at t."""
    curves = [
        Curve(
            family.title,
            scheduling.PLOT_STEPS,
            scheduling.values(family, "alpha"),
            color=PALETTE[index],
            dash=DASHES[index],
        )
        for index, family in enumerate(found)
    ]
    figure = scheduling.small(curves, "ᾱ")
    figure.update_layout(showlegend=True)
    figure.add_vline(x=t, line={"width": 1.4, "color": "#888"}, annotation_text=f"t = {t}")
    return figure


def vanishes_at(family: Family) -> int:
    """First timestep at which the picture is gone."""
    return int(np.argmax(family.schedule.alpha_bar().numpy() < GONE))


def _ask_where_it_vanishes(found: Sequence[Family]) -> None:
    """Which schedule hides the picture sooner."""
    first = [vanishes_at(family) for family in found]
    names = [family.title for family in found]
    is_tie = first.count(min(first)) > 1
    ends = "; ".join(f"t = {t} by {name}" for t, name in zip(first, names, strict=True))
    lesson.ask(
        2,
        f"By which schedule does the picture's share fall below {GONE:.0%} sooner?",
        (*names, "All at the same t"),
        len(names) if is_tie else first.index(min(first)),
        f"It does at {ends}. Beyond that a network can only tell what a usual scene looks like.",
    )


def task_noise(place: Place) -> Settings:
    """Step 4: the noise belongs to the task; under swap it is the pair itself."""
    left, right = st.columns([2, 3], gap="large")
    x0 = mixing.middle(place.source)
    with left:
        st.markdown(
            "For change detection the network sees two dates. Its noise is not random: n is the "
            "same pair in the other order, so that the dates trade places as t grows. "
            "Gaussian noise would only hide both."
        )
        t = lesson.timestep(4, 100, place.asked)
        signal, noise = weights(t)
        st.latex(
            rf"\begin{{aligned}} x_t = \; & {signal:.3f}\,[\text{{before, after}}] \\"
            rf" & + {noise:.3f}\,[\text{{after, before}}] \end{{aligned}}"
        )
        swapped = mixing.mixed(x0, t, "swap")
        st.metric("Difference left between the halves", f"{difference(swapped, x0):.0%}")
        lesson_network.show_change(place.source, t)
    with right:
        two_columns(_halves(x0, swapped, t))
    _ask_where_dates_meet()
    return {"t": t}


def _halves(x0: mixing.FloatArray, swapped: mixing.FloatArray, t: int) -> list[Shown]:
    """Both halves of the pair, under swap and under gaussian noise."""
    hidden = mixing.mixed(x0, t, "gaussian")
    return [
        Shown(mixing.picture(half), f"{name}, {which} half")
        for name, x_t in (("Swap", swapped), ("Gaussian", hidden))
        for which, half in (("first", x_t[:3]), ("second", x_t[3:]))
    ]


def difference(x_t: mixing.FloatArray, x0: mixing.FloatArray) -> float:
    """Mean difference of the halves of x_t as a share of that of the two dates."""
    clean = float(np.abs(x0[:3] - x0[3:]).mean())
    return float(np.abs(x_t[:3] - x_t[3:]).mean()) / clean if clean > 0 else 0.0


def _ask_where_dates_meet() -> None:
    """Where no difference between the halves is left."""
    from n2m_core.diffusion.noise import crossing_timestep

    tried = sorted({*TRIED, crossing_timestep(mixing.schedule("ddpm"))})
    left = [abs(signal - noise) for signal, noise in map(weights, tried)]
    right = left.index(min(left))
    signal, noise = weights(tried[right])
    lesson.ask(
        4,
        "At which of these t do the two halves under swap look the same?",
        [f"t = {t}" for t in tried],
        right,
        f"There the weights are {signal:.4f} and {noise:.4f}: both halves are the same blend, so "
        "no network could say which date is which. Beyond it the order is reversed, and at "
        f"t = 999 {left[-1]:.0%} of the difference is back, the other way round.",
    )
