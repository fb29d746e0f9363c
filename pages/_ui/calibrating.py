"""Whether a map's confidence can be believed, at every timestep: a view of the Interpret page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages._ui import analysis, choosing, figures, frame, playing, results
from pages._ui.analysis import Sweep
from pages._ui.figures import PALETTE, Curve
from pages._ui.inputs import Source

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard
    from n2m_core.metrics.calibration import ReliabilityCounts

OWN = "own"


def calibrated(source: Source, card: CheckpointCard, sweep: Sweep) -> None:
    """How often the map is right against how sure it is, and the error of that over t."""
    known = analysis.scored(source, card)
    if not known:
        return
    frame.quiet(
        "Of the pixels that a map is 70 % sure of, 70 % should be right. The diagram shows it for "
        "one step, the curve below sums the distance up for every step."
    )
    found = analysis.steps("itp.calibration", known, card, sweep)
    if found is None:
        return
    counts = {_name(each.timestep): each.reliability for each in found}
    shown = choosing.pick_listed(
        "itp.w.reliability",
        "Diagram at",
        {name: "the model's own step" if name == OWN else f"t = {name}" for name in counts},
    )
    _diagram(counts[shown], card, shown)
    _over_t(counts, card)


def _name(timestep: int | None) -> str:
    """What the list calls a step."""
    return OWN if timestep is None else str(timestep)


def _diagram(counts: ReliabilityCounts, card: CheckpointCard, step: str) -> None:
    """The reliability diagram of one step."""
    filled = counts.pixels > 0
    share = counts.pixels / max(1, int(counts.pixels.sum()))
    figures.show(
        figures.reliability(
            counts.mean_confidence[filled].tolist(),
            counts.accuracy[filled].tolist(),
            share[filled].tolist(),
        ),
        "itp.calibration.plot",
        f"{card.id}_calibration_{step}",
    )
    claimed, right = _shares(counts)
    frame.quiet(
        f"The map is right in {right:.1%} of the pixels and claims {claimed:.1%} on average; "
        f"expected calibration error {results.number(counts.expected_error)}. "
        "Below the dotted line the map is surer than it should be, above it too modest."
    )


def _shares(counts: ReliabilityCounts) -> tuple[float, float]:
    """Mean confidence, and share of right pixels."""
    total = max(1, int(counts.pixels.sum()))
    return float(counts.confidence.sum() / total), float(counts.right.sum() / total)


def _over_t(counts: dict[str, ReliabilityCounts], card: CheckpointCard) -> None:
    """The expected calibration error against the timestep."""
    st.subheader("Calibration over t", anchor=False)
    rows = []
    for name, each in counts.items():
        claimed, right = _shares(each)
        error = None if np.isnan(each.expected_error) else each.expected_error
        rows.append((name, error, claimed, right))
    steps = [row for row in rows if row[0] != OWN]
    t = [int(row[0]) for row in steps]
    curves = [
        Curve("expected calibration error", t, [row[1] for row in steps]),
        Curve(
            "claimed minus right",
            t,
            [row[2] - row[3] for row in steps],
            color=PALETTE[1],
            dash="dash",
        ),
    ]
    figure = figures.over_timesteps(curves, "share", marks=playing.marks(card), y_range=None)
    figures.show(figure, "itp.ece.plot", f"{card.id}_calibration_over_t")
    frame.quiet(
        "Zero is best. Where claimed minus right is positive the maps of that step are too sure of "
        "themselves, where it is negative too modest."
    )
    header = ("t", "expected calibration error", "mean confidence", "share right")
    figures.csv_button(header, rows, "itp.download.calibration", f"{card.id}_calibration")
