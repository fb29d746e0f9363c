"""Schedules side by side: which are one and the same, how they mix x_t, and what that does."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import plotly.graph_objects as go
import streamlit as st

from pages._ui import figures, frame, mixing, resources
from pages._ui.figures import DASHES, PALETTE, Curve
from pages._ui.inputs import Source
from pages._ui.pictures import Shown, legend, rows_html

if TYPE_CHECKING:
    from torch import Tensor

    from n2m_core.diffusion.noise import NoiseKind, Schedule, ScheduleName

TITLES: dict[ScheduleName, str] = {
    "ddpm": "DDPM",
    "ddim": "DDIM",
    "pndm": "PNDM",
    "heun": "Heun",
    "cosine": "Cosine",
}
STRIP_STEPS = (999, 750, 500, 258, 0)
STRIP_PX = 160
SAME_WEIGHT = 1e-6
"""Weights that differ by less are those of one schedule; float32 carries no more."""
SAME_LOG_SNR = 0.01
PLOT_STEPS = (*range(0, 999, 9), 999)


@dataclass(frozen=True, eq=False)
class Family:
    """Schedules with the same weights.

    Attributes:
        names: their names.
        schedule: the weights.
        spread: largest difference of a weight within the family, over all timesteps.
    """

    names: tuple[ScheduleName, ...]
    schedule: Schedule
    spread: float

    @property
    def title(self) -> str:
        """What a legend says."""
        return ", ".join(TITLES[name] for name in self.names)

    def size(self, kind: NoiseKind) -> Tensor:
        """Standard deviation of x_t for a picture of variance 1, float32 [T].

        Noise that has nothing to do with the picture adds its variance. Where both dates look alike
        the swapped pair is the picture once more, and so is the picture itself.
        """
        if kind in ("swap", "self"):
            return self.schedule.signal + self.schedule.noise
        return self.schedule.power().sqrt()

    @property
    def keeps_size(self) -> bool:
        """Whether x_t is as large as the picture at every t, with noise that has nothing of it."""
        return float((self.size("gaussian") - 1).abs().max()) < 1e-3


@lru_cache
def families() -> tuple[Family, ...]:
    """All schedules, those with the same weights together."""
    from n2m_core.diffusion.noise import SCHEDULES

    found: list[Family] = []
    for name in SCHEDULES:
        own = mixing.schedule(name)
        for index, family in enumerate(found):
            apart = _apart(own, family.schedule)
            if apart < SAME_WEIGHT:
                spread = max(family.spread, apart)
                found[index] = Family((*family.names, name), family.schedule, spread)
                break
        else:
            found.append(Family((name,), own, 0.0))
    return tuple(found)


def _apart(one: Schedule, other: Schedule) -> float:
    """Largest difference of the weights of two schedules."""
    signal, noise = (one.signal - other.signal).abs(), (one.noise - other.noise).abs()
    return max(float(signal.max()), float(noise.max()))


def explain(source: Source, kind: NoiseKind) -> None:
    """Show the curves of every distinct schedule, its x_t of this scene, and what follows."""
    found = families()
    st.subheader("What goes in", anchor=False)
    legend([(family.title, PALETTE[index]) for index, family in enumerate(found)])
    plots = (
        ("alpha", "ᾱ, the picture's share", _lines(found, "alpha", kind)),
        ("snr", "log10 of SNR", _lines(found, "snr", kind)),
        ("size", "size of x_t (log scale)", _lines(found, "size", kind)),
    )
    for column, (name, title, curves) in zip(st.columns(3), plots, strict=True):
        with column:
            figure = small(curves, title, is_log=name == "size")
            figures.show(figure, f"itp.schedule.{name}", f"schedules_{name}")
    key = f"schedules/{source.key}/{kind}"
    st.html(resources.html(key, lambda: _strip(source, kind)))
    if kind == "swap":
        frame.quiet(
            "x is the pair (before, after) and n the same pair in the other order; the "
            "pictures show the first half. Where both dates look alike n is x once more, so x_t is "
            "larger than the picture by every schedule; its size is drawn for such places."
        )
    frame.quiet(*sentences(found, kind))


def _lines(found: tuple[Family, ...], what: str, kind: NoiseKind) -> list[Curve]:
    """One curve a family."""
    return [
        Curve(
            family.title, PLOT_STEPS, values(family, what, kind), color=PALETTE[i], dash=DASHES[i]
        )
        for i, family in enumerate(found)
    ]


def values(family: Family, what: str, kind: NoiseKind = "gaussian") -> list[float]:
    """Values of "alpha", "snr" (its decimal logarithm) or "size" at `PLOT_STEPS`."""
    if what == "alpha":
        all_t = family.schedule.alpha_bar()
    else:
        all_t = family.schedule.snr().log10() if what == "snr" else family.size(kind)
    return [float(all_t[t]) for t in PLOT_STEPS]


def small(curves: list[Curve], title: str, *, is_log: bool = False) -> go.Figure:
    """A low plot of smooth curves without a legend of its own."""
    figure = figures.over_timesteps(curves, title, y_range=None)
    figure.update_traces(mode="lines")
    figure.update_layout(height=260, showlegend=False)
    figure.update_xaxes(title="timestep t, noisy to clean")
    if is_log:
        figure.update_yaxes(type="log")
    return figure


def _strip(source: Source, kind: NoiseKind) -> str:
    """x_t of the scene (of a pair its first half) by every distinct schedule."""
    x0 = mixing.middle(source, STRIP_PX)
    rows = []
    for family in families():
        shown = []
        for t in STRIP_STEPS:
            x_t = mixing.mixed(x0, t, kind, family.names[0])[:3]
            signal, noise = (
                float(weights[t]) for weights in (family.schedule.signal, family.schedule.noise)
            )
            caption = f"t = {t}: {signal:.2f} x + {noise:.2f} n"
            shown.append(Shown(mixing.picture(x_t), caption, quality=60))
        rows.append((family.title, shown))
    return rows_html(rows)


def sentences(found: tuple[Family, ...], kind: NoiseKind = "gaussian") -> list[str]:
    """What the numbers say, a sentence for each thing worth knowing."""
    said = []
    for family in found:
        if len(family.names) > 1:
            said.append(
                f"{_listed(family)}: the largest difference of their weights, over all timesteps, "
                f"is {family.spread:.2g}. They mix alike and differ in how they step backwards, "
                "which a single pass never does: they are one curve here."
            )
    first = next(family for family in found if family.keeps_size)
    for family in found:
        if not family.keeps_size:
            said.append(_of_growing(family, first, kind))
        elif family is not first:
            said.append(_of_other(family, first))
    return said


def _listed(family: Family) -> str:
    """The names with "and" before the last."""
    *most, last = (TITLES[name] for name in family.names)
    return f"{', '.join(most)} and {last}" if most else last


def _of_growing(family: Family, first: Family, kind: NoiseKind) -> str:
    """A schedule that leaves the picture as it is under ever more noise."""
    size = family.size(kind)
    t = int(size.argmax())
    text = (
        f"{family.title} adds noise to a picture that it does not weaken: x_t grows to "
        f"{float(size[t]):.0f} times the picture's size, at t = {t}."
    )
    apart = (family.schedule.snr().log10() - first.schedule.snr().log10()).abs().max()
    if float(apart) < SAME_LOG_SNR:
        text += (
            f" Its ratio of picture to noise is that of {TITLES[first.names[0]]} at every t (the "
            f"logarithms differ by {float(apart):.1g} at most), so nothing more is hidden. The "
            "paper reports a lower F1 for it. Inputs far larger than those of training would "
            "explain that more simply than the solver does; the curves of F1 show what these "
            "weights make of them."
        )
    return text


def _of_other(family: Family, first: Family) -> str:
    """A schedule that keeps the size of x_t and hides the picture sooner or later."""
    from n2m_core.diffusion.noise import crossing_timestep

    own, other = (crossing_timestep(each.schedule) for each in (family, first))
    how = "longer" if own > other else "less long"
    return (
        f"{family.title}: picture and noise weigh the same at t = {own}, with "
        f"{TITLES[first.names[0]]} at t = {other}; it keeps the picture {how}. Weights trained "
        "by one schedule are told a t that means another mix under the other."
    )
