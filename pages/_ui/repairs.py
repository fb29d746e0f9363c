"""What a refinement repaired and what it spoiled, against a truth: a map, counts, scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from n2m_core import render
from pages._ui import frame, jobs, maps, refined, resources, results, truths, views
from pages._ui.layers import image_layer, mask_layer
from pages._ui.maps import LegendItem

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard
    from n2m_core.geo_image import Progress
    from n2m_core.tasks.refine import RefineResult
    from pages._ui.inputs import Source
    from pages._ui.refining import Chosen

Labels = NDArray[np.uint8]

CATEGORIES: dict[int, tuple[str, str, str]] = {
    1: ("kept", "#999999", "right before and after"),
    2: ("repaired", "#009e73", "wrong before, right now"),
    3: ("missed", "#e69f00", "wrong before and still"),
    4: ("broken", "#cc79a7", "right before, wrong now"),
    5: ("invented", "#d55e00", "false alarms that the rough map did not have"),
}
"""Codes of the repair map: name, colour (safe for the colour-blind), meaning."""


def panel(
    source: Source,
    card: CheckpointCard,
    result: RefineResult,
    truth: Labels | None,
    chosen: Chosen,
) -> dict[str, Any] | None:
    """Show what was repaired; gives the report when there is a truth."""
    st.subheader("What was repaired", anchor=False)
    if truth is None:
        frame.quiet("Drop a mask of what is really there to see what was repaired and spoiled.")
        truths.field(source, card)
        return None
    digest = hash(truth.tobytes())
    key = f"{refined.key_of(source, result, chosen)}/repair/{digest}"
    report = jobs.result_of(
        "ref.score", key, "Scoring", lambda progress: _score(result, truth, progress)
    )
    if report is None:
        return None
    left, right = st.columns([3, 2], gap="large")
    with left:
        html = resources.html(f"{key}/map", lambda: _html(result, truth, chosen))
        st.iframe(html, height="content", alt=f"Repair map of {source.title}")
    with right:
        _counts(report["repair"])
        _scores(report)
    truths.another(source, card)
    return report


def _score(result: RefineResult, truth: Labels, progress: Progress) -> dict[str, Any]:
    """Count the repair and score both maps with the code of `n2m evaluate`; in the worker."""
    from n2m_core.metrics.boundary import boundary_scores
    from n2m_core.metrics.confusion import ConfusionCounts
    from n2m_core.metrics.report import ClassScheme, boundary_values, headline, number
    from n2m_core.tasks.repairing import repair_report, targets_of

    progress(0, 1, "counting")
    names = result.class_names
    targets = targets_of(len(names))
    scheme = ClassScheme(names, targets if len(names) == 2 else ())
    report: dict[str, Any] = {"repair": repair_report(result, truth)}
    for name, labels in (("rough", result.rough), ("refined", result.labels)):
        counts = ConfusionCounts.from_labels(truth, labels, len(names))
        f1, iou = headline(counts, scheme)
        edges = boundary_values(boundary_scores(truth, labels, targets=targets))
        report[name] = {
            "f1": number(f1),
            "iou": number(iou),
            **{each: number(value) for each, value in edges.items()},
        }
    return report


def _html(result: RefineResult, truth: Labels, chosen: Chosen) -> str:
    """The repair map over the picture."""
    from n2m_core.tasks.repairing import repair_codes

    image = result.image
    colors = {code: render.hex_to_rgb(color) for code, (_, color, _) in CATEGORIES.items()}
    layers = [
        image_layer("Picture", image, views.picture(image, chosen.choices)),
        mask_layer("Repair", image, repair_codes(result, truth), colors),
    ]
    legend = tuple(LegendItem(name, color) for name, color, _ in CATEGORIES.values())
    return maps.overlay_html(layers, refined.shared(result, legend))


def _counts(repair: dict[str, Any]) -> None:
    """Pixels of every category, and the repair score."""
    frame.table(
        ("Pixels", "", "of the target"),
        [(name, f"{repair[name]:,}", meaning) for name, _, meaning in CATEGORIES.values()],
        [color for _, color, _ in CATEGORIES.values()],
    )
    frame.quiet(
        f"Repair score {results.number(repair['iou_imp'])} at k = {repair['k']:g}: the IoU where "
        "the rough map was wrong, less what was lost where it was right. 0.8 and more is called a "
        "complete repair, below 0 an error. Invented pixels do not count in it."
    )


def _scores(report: dict[str, Any]) -> None:
    """Both maps' scores beside each other."""
    keys = (
        ("F1", "f1"),
        ("IoU", "iou"),
        ("Weighted F of the boundary", "wfm"),
        ("Boundary IoU", "boundary_iou"),
        ("Boundary F1, 3 px", "f1_3px"),
    )
    rows = [
        (title, results.number(report["rough"][key]), results.number(report["refined"][key]))
        for title, key in keys
    ]
    frame.table(("Score", "Rough", "Refined"), rows, [""] * len(rows))
