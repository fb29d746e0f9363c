"""What stands under a map: warnings, areas, scores against a truth, and whose weights made it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from pages._ui import errors, frame, jobs, truths
from pages._ui.compute import Choices, Mapped
from pages._ui.inputs import Source

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard
    from n2m_core.geo_image import Progress
    from n2m_core.tasks.result import MapResult

Report = dict[str, Any]


def warn(mapped: Mapped) -> None:
    """Say when the image is unlike those that the weights were trained on."""
    if mapped.warning is not None:
        st.warning(errors.plain(mapped.warning), icon=":material/travel_explore:")


def notes(result: MapResult, source: Source) -> None:
    """Say what was looked at, how the map was made, and what was done to the input."""
    step = f"t = {result.timestep}, {'x_t mixed there' if result.is_mixed else 'clean image given'}"
    made = f"{result.card.title}, {step}, {result.seconds:.1f} s."
    frame.quiet(f"{source.note.rstrip('.')}. {made}", *result.notes)


def areas(result: MapResult) -> None:
    """Show the area of every class."""
    from n2m_core.tasks.export import class_figures

    st.subheader("Areas", anchor=False)
    rows = class_figures(result)
    known = rows[0]["area_m2"] is not None
    unit = "Area, m²" if known else "Area, pixels"
    frame.table(
        ("Class", unit, "Share"),
        [
            (
                row["name"],
                f"{row['area_m2'] if known else row['pixels']:,.0f}",
                f"{100 * row['share']:.1f} %",
            )
            for row in rows
        ],
        [row["color"] for row in rows],
    )
    if not known:
        frame.quiet("The ground size of a pixel is unknown; state it under Adjust to get m².")


def panels(page: str, source: Source, result: MapResult, choices: Choices) -> Report | None:
    """Show areas and scores beside each other; gives the scores when there is a truth."""
    left, right = st.columns([2, 3], gap="large")
    with left:
        areas(result)
    with right:
        st.subheader("Scores", anchor=False)
        with errors.guard():
            return scores(page, source, result, choices)
    return None


def scores(page: str, source: Source, result: MapResult, choices: Choices) -> Report | None:
    """Score the map against a truth, or offer to; the numbers are those of `n2m evaluate`."""
    path = truths.truth_of(source, result.card)
    if path is None:
        frame.quiet("Drop a mask of what is really there to see F1, IoU and boundary scores.")
        truths.field(source, result.card)
        return None
    key = f"score/{source.key}/{path}@{path.stat().st_mtime_ns}/{result.card.sha256}/{choices.key}"
    report = jobs.result_of(
        f"{page}.score", key, "Scoring", lambda progress: _score(path, result, progress)
    )
    if report is None:
        return None
    _show_report(report)
    truths.another(source, result.card)
    return report


def _score(path: Path, result: MapResult, progress: Progress) -> Report:
    """Score one map with the code of `n2m evaluate`; in the worker."""
    from n2m_core.datasets.base import Sample
    from n2m_core.tasks.evaluate import EvaluateParams, score_maps
    from n2m_core.tasks.truth import read_truth

    grid = result.image if result.before is None else result.before
    truth = read_truth(path, grid, result.card)
    sample = Sample(
        path.stem,
        grid,
        truth.labels,
        after=None if result.before is None else result.image,
        label_kind=truth.kind,
        notes=truth.notes,
    )
    return score_maps([sample], result.card, lambda *_: result, EvaluateParams(), progress=progress)


def _show_report(report: Report) -> None:
    """Show the scores of one map."""
    target, mean, boundary = report["target"], report["mean"], report["boundary"]
    main, name = (target, "Target") if target["f1"] is not None else (mean, "Mean")
    with st.container(horizontal=True, gap="small"):
        st.metric(f"{name} F1", number(main["f1"]), help=_interval(main, report), width=104)
        st.metric(f"{name} IoU", number(main["iou"]), width=104)
        st.metric("Boundary IoU", number(boundary["boundary_iou"]), width=104)
        wfm = "WFm, the weighted F-measure."
        st.metric("Weighted F", number(boundary["wfm"]), help=wfm, width=104)
    frame.table(
        ("Class", "F1", "IoU", "Precision", "Recall", "Pixels"),
        [
            (
                row["name"],
                *(number(row[each]) for each in ("f1", "iou", "precision", "recall")),
                f"{row['support']:,}",
            )
            for row in report["classes"]
        ],
        [""] * len(report["classes"]),
    )
    if report["all_positive"]["f1"] is not None:
        frame.quiet(
            "A map of nothing but the target would score "
            f"F1 {number(report['all_positive']['f1'])}, "
            f"IoU {number(report['all_positive']['iou'])}."
        )


def _interval(scores: Report, report: Report) -> str | None:
    """The 95 % interval as a hint."""
    if scores.get("low") is None:
        return None
    return (
        f"95 % interval {number(scores['low'])} to {number(scores['high'])} "
        f"over {report['interval_over']}."
    )


def number(value: float | None) -> str:
    """A score with three digits; a dash for one that does not exist."""
    return "-" if value is None else f"{value:.3f}"


def about_weights(card: CheckpointCard) -> None:
    """Say which weights made the picture, their licence and what they were measured to score."""
    with st.container(border=True):
        st.markdown(f"**{errors.plain(card.title)}**  `{card.id}`  ·  licence {card.license}")
        if "NC" in card.license.upper().replace("-", " ").split():
            st.warning(
                f"These weights are {card.license}: for non-commercial use, with credit, and what "
                "is built from them under the same licence.",
                icon=":material/copyright:",
            )
        measured = measured_line(card)
        frame.quiet(measured or "No measured score is on the card yet.", card.limits)
        st.page_link("pages/8_Models.py", label="The whole card", icon=":material/description:")


def measured_line(card: CheckpointCard) -> str:
    """The card's measured scores in one line."""
    parts = []
    for entry in card.metrics:
        report = entry["report"]
        target = report["target"]["f1"]
        name, value = ("target F1", target) if target is not None else ("F1", report["mean"]["f1"])
        parts.append(f"{name} {number(value)} on {scored_on(entry)}")
    return "Measured: " + "; ".join(parts) + "." if parts else ""


def scored_on(entry: Report) -> str:
    """What a card's score was measured on: its name, else the last part of the command's --root."""
    if entry.get("name"):
        return str(entry["name"])
    words = entry["command"].split()
    root = words[words.index("--root") + 1] if "--root" in words else "its validation set"
    return "/".join(Path(root).parts[-2:])
