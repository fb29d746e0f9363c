"""The frequency claim on one scene: where the error lies, before and after, and along the walk."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from n2m_core.metrics.spectrum import EDGE_CUTOFF, ErrorSpectrum
from n2m_core.tasks.study_tables import Line, Plot
from pages._ui import figures, frame, jobs, refined, results

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from n2m_core.geo_image import Progress
    from n2m_core.tasks.frequency import StepScore
    from n2m_core.tasks.refine import RefineResult
    from pages._ui.inputs import Source
    from pages._ui.refining import Chosen

Labels = NDArray[np.uint8]

WAVE_PX = round(1 / EDGE_CUTOFF)


@dataclass(frozen=True, eq=False)
class Measured:
    """Spectra of the error before and after, and the boundary along the walk."""

    rough: ErrorSpectrum
    refined: ErrorSpectrum
    steps: tuple[StepScore, ...]


def panel(source: Source, result: RefineResult, truth: Labels | None, chosen: Chosen) -> None:
    """Show spectrum and boundary score; nothing where there is no truth."""
    if truth is None:
        return
    st.subheader("Which errors go, and when", anchor=False)
    key = f"{refined.key_of(source, result, chosen)}/frequency/{hash(truth.tobytes())}"
    found = jobs.result_of(
        "ref.frequency", key, "Measuring the error", lambda told: _measure(result, truth, told)
    )
    if found is None:
        return
    left, right = st.columns(2, gap="large")
    with left:
        _spectrum(source, found)
    with right:
        _walk(source, found)


def _measure(result: RefineResult, truth: Labels, progress: Progress) -> Measured:
    """Take the spectra and score the moments; in the worker."""
    from n2m_core.tasks.frequency import map_spectrum, step_scores

    progress(0, 1, "spectra")
    classes = len(result.class_names)
    return Measured(
        map_spectrum(truth, result.rough, classes),
        map_spectrum(truth, result.labels, classes),
        tuple(step_scores(truth, result.rough, result.frames, classes)),
    )


def _spectrum(source: Source, found: Measured) -> None:
    """Show the power of the error by frequency."""
    pairs = (("rough", found.rough), ("refined", found.refined))
    lines = tuple(_line(name, spectrum) for name, spectrum in pairs)
    plot = Plot("Error", "cycles per pixel", "mean power of the error", lines, is_log=True)
    figure: go.Figure = figures.of_plot(plot)
    figure.add_vline(x=EDGE_CUTOFF, line={"dash": "dot", "width": 1.4, "color": "#888"})
    name = f"{source.id}-error-spectrum"
    figures.show(figure, "ref.spectrum", name)
    frame.quiet(told_spectrum(found.rough, found.refined))
    rows = [(name, x, y) for line in lines for name, x, y in _points(line)]
    header = ("map", "cycles_per_pixel", "mean_power")
    figures.csv_button(header, rows, "ref.spectrum.csv", name)


def _line(name: str, spectrum: ErrorSpectrum) -> Line:
    """Rings that hold an error; the others have no place on an axis of powers of ten."""
    power = spectrum.mean_power
    shown = np.flatnonzero(np.nan_to_num(power) > 0)
    x, y = (tuple(each[shown].tolist()) for each in (spectrum.frequency, power))
    return Line(name, x, y)


def _points(line: Line) -> list[tuple[str, float | str, float]]:
    """A line's points with its name."""
    return [(line.name, x, y) for x, y in zip(line.x, line.y, strict=True)]


def told_spectrum(rough: ErrorSpectrum, refined: ErrorSpectrum) -> str:
    """Say in one sentence how much error is left, coarse and fine."""
    left = []
    for before, after in (
        (rough.total - rough.power_above(), refined.total - refined.power_above()),
        (rough.power_above(), refined.power_above()),
    ):
        left.append(f"{100 * after / before:.0f} % is left" if before > 0.5 else "there was none")
    return (
        f"Left of the dotted line lies the error in waves longer than {WAVE_PX} px, such as a "
        f"whole building ({left[0]}), right of it that of outlines ({left[1]})."
    )


def _walk(source: Source, found: Measured) -> None:
    """Show the boundary score of what every kept step expects."""
    rough, *moments = found.steps
    known = [each for each in moments if not math.isnan(each.f1_3px)]
    if not known:
        frame.quiet("There is no boundary to score along the walk.")
        return
    steps = tuple(each.step for each in known)
    lines = [Line("expected map", steps, tuple(each.f1_3px for each in known))]
    if not math.isnan(rough.f1_3px):
        lines.append(Line("rough map", (1, steps[-1]), (rough.f1_3px,) * 2))
    plot = Plot("Boundary", "denoising steps done", "boundary F1, 3 px", tuple(lines))
    name = f"{source.id}-boundary-by-step"
    figure: go.Figure = figures.of_plot(plot)
    figure.update_yaxes(rangemode="normal")  # the gain is small beside the score
    figures.show(figure, "ref.steps", name)
    frame.quiet(told_walk(found.steps))
    rows = [(each.step, each.wfm, each.f1_3px) for each in found.steps]
    figures.csv_button(("step", "wfm", "f1_3px"), rows, "ref.steps.csv", name)


def told_walk(steps: tuple[StepScore, ...]) -> str:
    """Say in one sentence how the boundary comes, beside the rough map's."""
    rough, *moments = steps
    known = [each for each in moments if not math.isnan(each.f1_3px)]
    first, last, level = known[0], known[-1], rough.f1_3px
    told = (
        f"What the network expects has boundary F1 {results.number(first.f1_3px)} after step "
        f"{first.step} and {results.number(last.f1_3px)} after step {last.step}"
    )
    if math.isnan(level):
        return f"{told}; the rough map has no boundary."
    below = [number for number, each in enumerate(known, 1) if each.f1_3px <= level]
    passed = known[max(below, default=0) :]
    if not passed:
        return f"{told}; the rough map's {results.number(level)} is not passed in the end."
    return f"{told}; from step {passed[0].step} on it passes the rough map's {level:.3f}."
