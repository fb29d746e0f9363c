"""F1 by the size of objects at every timestep: a view of the Interpret page."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages._ui import analysis, choosing, figures, frame, playing, results
from pages._ui.analysis import Scene, Sweep
from pages._ui.figures import DASHES, PALETTE, Curve

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard
    from n2m_core.metrics.objects import SizeCounts

LEAST_HA_M2 = 1000.0
MEASURES = {"f1": "F1", "recall": "Recall", "precision": "Precision"}


def names(edges: Sequence[float]) -> list[str]:
    """The size bins between lower ends in m2, as a person reads them."""
    unit, factor = ("ha", 1e-4) if edges[1] >= LEAST_HA_M2 else ("m²", 1.0)
    ends = [f"{edge * factor:g}" for edge in edges]
    between = [f"{low} to {high} {unit}" for low, high in itertools.pairwise(ends[1:])]
    return [f"below {ends[1]} {unit}", *between, f"from {ends[-1]} {unit}"]


def _bins(card: CheckpointCard) -> list[str]:
    """The size bins of a checkpoint."""
    from n2m_core.metrics.objects import size_edges

    return names(size_edges(card.resolution_m))


def by_size(known: list[Scene], card: CheckpointCard, sweep: Sweep) -> None:
    """F1, recall and precision of objects of each size against the timestep."""
    frame.quiet(
        "Objects are connected areas. Recall: of the pixels of true objects of a size, the share "
        "that is mapped. Precision: of the pixels of mapped objects of a size, the share that is "
        "true; background counts only where a mapped object covers it. F1 joins the two."
    )
    found = analysis.steps("itp.sizes", known, card, sweep)
    if found is None:
        return
    counts = {each.timestep: each.sizes for each in found if each.sizes is not None}
    if len(counts) < len(found):
        frame.empty(
            "Sizes need a ground resolution",
            "State on the Segment or Change page, under Adjust, how large a pixel is.",
        )
        return
    measure = choosing.pick("itp.w.size", "Measure", MEASURES)
    steps = [t for t in counts if t is not None]
    curves = [
        Curve(
            name,
            steps,
            [_value(counts[t], measure, index) for t in steps],
            color=PALETTE[index % len(PALETTE)],
            dash=DASHES[index % len(DASHES)],
        )
        for index, name in enumerate(_bins(card))
    ]
    what = f"{MEASURES[measure]} by object size"
    figure = figures.over_timesteps(curves, what, marks=playing.marks(card))
    figures.show(figure, "itp.sizes.plot", f"{card.id}_{measure}_by_size")
    _table(counts[None], card)
    header = ("t", "size", "f1", "recall", "precision", *_COUNTS)
    figures.csv_button(header, _rows(counts, card), "itp.download.sizes", f"{card.id}_by_size")


_COUNTS = ("true objects", "found", "mapped objects", "right")


def _value(counts: SizeCounts, measure: str, index: int) -> float | None:
    """One measure of one size; None where it does not exist."""
    value = float(getattr(counts, measure)[index])
    return None if np.isnan(value) else value


def _objects(counts: SizeCounts, index: int) -> tuple[int, int, int, int]:
    """Objects of one size: true, found, mapped, right."""
    true, found = counts.true[2:, index]
    mapped, right = counts.mapped[2:, index]
    return int(true), int(found), int(mapped), int(right)


def _table(counts: SizeCounts, card: CheckpointCard) -> None:
    """The objects of the map that the checkpoint makes in its own way."""
    st.subheader("At the model's own step", anchor=False)
    rows = [
        (
            name,
            *(results.number(_value(counts, measure, index)) for measure in MEASURES),
            *(f"{number:,}" for number in _objects(counts, index)),
        )
        for index, name in enumerate(_bins(card))
    ]
    header = ("Size", *MEASURES.values(), "True objects", "Found", "Mapped objects", "Right")
    frame.table(header, rows, [""] * len(rows))
    frame.quiet(
        "Found: at least half of a true object is mapped. Right: at least half of a mapped object "
        "is true. Objects that the map joins count as one larger object; those at the edge of the "
        "scene have the size of what is inside."
    )


def _rows(counts: dict[int | None, SizeCounts], card: CheckpointCard) -> list[tuple[object, ...]]:
    """The table to take home: one row a timestep and size."""
    return [
        (
            "own" if t is None else t,
            name,
            *(_value(sizes, measure, index) for measure in MEASURES),
            *_objects(sizes, index),
        )
        for t, sizes in counts.items()
        for index, name in enumerate(_bins(card))
    ]
