"""Scores over the timesteps, schedulers and noise, decision times: views of the Interpret page."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from n2m_core import raster_io
from pages._ui import (
    analysis,
    choosing,
    exports,
    figures,
    frame,
    inputs,
    maps,
    playing,
    resources,
    scheduling,
    sizing,
    state,
    truths,
    views,
)
from pages._ui.adjust import has_background
from pages._ui.analysis import Report, Sweep
from pages._ui.compute import Choices
from pages._ui.figures import DASHES, PALETTE, Curve
from pages._ui.inputs import Source
from pages._ui.layers import image_layer
from pages._ui.maps import LegendItem, Panel, Setting

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard
    from n2m_core.diffusion.noise import NoiseKind

SCORES = {"f1": "F1", "iou": "IoU", "boundary_iou": "Boundary IoU"}
BY_SIZE = {"size": "F1 by size"}
COARSE = (0, 258, 500, 750, 999)


def scores(source: Source, card: CheckpointCard, sweep: Sweep) -> None:
    """Scores against the timestep: with the plain twin and every class, or by object size."""
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    with left:
        score = choosing.pick("itp.w.score", "Score", SCORES | BY_SIZE)
    with right:
        everything = st.toggle(
            "Score all samples",
            key=state.prepare("itp.w.all", False),
            help="Intervals are over tiles then; over blocks of the one scene otherwise.",
        )
    state.keep("itp.w.all", everything)
    of_task = list(inputs.sources(card.task).values()) if everything else [source]
    known = analysis.scenes(of_task, card)
    if not known:
        frame.empty("No truth for this scene", "Drop a mask of what is really there to score it.")
        truths.field(source, card)
        return
    if score in BY_SIZE:
        sizing.by_size(known, card, sweep)
        return
    report = analysis.curve("itp.curve", known, card, sweep, f"Scoring {card.title}")
    if report is None:
        return
    twin = analysis.twin_of(card)
    other = None
    if twin is not None:
        fed = replace(sweep, process=card.noise_process, schedule=card.schedule)
        other = analysis.curve("itp.twin", known, twin, fed, "Scoring the plain twin")
    _show_scores(report, other, card, twin, score)


def _show_scores(
    report: Report,
    other: Report | None,
    card: CheckpointCard,
    twin: CheckpointCard | None,
    score: str,
) -> None:
    """The two plots, what they are made of, and the table to take home."""
    target = report["target"]["f1"] is not None
    curves = [_curve(report, score, card.title, target, PALETTE[0], "solid")]
    if other is not None and twin is not None:
        name = f"{twin.title}, fed the same x_t"
        curves.append(_curve(other, score, name, target, PALETTE[1], "dash"))
    what = f"{SCORES[score]}, {'target' if target else 'mean over the classes'}"
    figure = figures.over_timesteps(curves, what, marks=playing.marks(card))
    figures.show(figure, "itp.plot", f"{card.id}_{score}")
    frame.quiet(
        f"Bands are 95 % bootstrap intervals over {report['interval_over']}"
        f"{' and noise draws' if len(report['seeds']) > 1 else ''}; "
        f"{report['tiles']} scene{'s' * (report['tiles'] > 1)}, noise draws {len(report['seeds'])}."
        + (" Blocks of one scene resemble each other, so these bands are narrow."
           if report["interval_over"] == "blocks" else ""),
        *playing.explain(card),
    )  # fmt: skip
    st.subheader("Every class", anchor=False)
    figures.show(_classes(report, card, score), "itp.classes", f"{card.id}_{score}_classes")
    st.download_button(
        "CSV",
        data=csv_bytes(report, other),
        file_name=f"{card.id}_by_timestep.csv",
        mime="text/csv",
        icon=":material/csv:",
        on_click="ignore",
        key="itp.download.csv",
    )


def _curve(report: Report, score: str, name: str, target: bool, color: str, dash: str) -> Curve:
    """One score over timesteps; its interval where the bootstrap gives one.

    The target's IoU is F1 / (2 - F1), which is monotone: the ends of its interval are those of F1.
    """
    rows = sorted(report["by_timestep"], key=lambda row: -row["t"])
    low, high = ([row[end] for row in rows] for end in ("low", "high"))
    if score == "iou":
        low, high = ([_iou(value) for value in ends] for ends in (low, high))
    has_interval = score == "f1" or (score == "iou" and target)
    return Curve(
        name,
        [row["t"] for row in rows],
        [row[score] for row in rows],
        low if has_interval else None,
        high if has_interval else None,
        color,
        dash,
    )


def _iou(f1: float | None) -> float | None:
    """IoU of a class from its F1."""
    return None if f1 is None else f1 / (2 - f1)


def _classes(report: Report, card: CheckpointCard, score: str) -> go.Figure:
    """The score of every class over timesteps, in the classes' own colours."""
    per_class = "iou" if score == "boundary_iou" else score
    rows = sorted(report["by_timestep"], key=lambda row: -row["t"])
    colors = {entry.name: entry.color for entry in card.classes}
    curves = [
        Curve(
            entry["name"],
            [row["t"] for row in rows],
            [row["classes"][index][per_class] for row in rows],
            color=colors.get(entry["name"], PALETTE[index % len(PALETTE)]),
            dash=DASHES[index % len(DASHES)],
        )
        for index, entry in enumerate(report["classes"])
    ]
    return figures.over_timesteps(curves, SCORES[per_class], marks=playing.marks(card))


def csv_bytes(report: Report, other: Report | None) -> bytes:
    """The curves as a table: one row a checkpoint and timestep, one column a score."""
    stream = io.StringIO()
    names = [entry["name"] for entry in report["classes"]]
    head = ["checkpoint", "t", "f1", "low", "high", "iou", "mean_iou", "boundary_iou"]
    writer = csv.writer(stream)
    writer.writerow([*head, *(f"f1 {name}" for name in names), *(f"iou {name}" for name in names)])
    for each in (report, *([] if other is None else [other])):
        for row in each["by_timestep"]:
            cells: list[Any] = [each["checkpoint"], *(row[name] for name in head[1:])]
            cells += [entry["f1"] for entry in row["classes"]]
            writer.writerow([*cells, *(entry["iou"] for entry in row["classes"])])
    return stream.getvalue().encode()


def comparison(source: Source, card: CheckpointCard, sweep: Sweep) -> None:
    """Schedules beside each other, and noise processes beside each other."""
    known = analysis.scored(source, card)
    if not known:
        return
    kind = choosing.pick(
        "itp.w.compare", "Compare", {"schedule": "Schedulers", "process": "Noise processes"}
    )
    few = replace(sweep, timesteps=COARSE, seeds=1)
    if kind == "schedule":
        settings = {
            family.title: replace(few, process=card.noise_process, schedule=family.names[0])
            for family in scheduling.families()
        }
    else:
        own: tuple[NoiseKind, ...] = ("gaussian", "self", "none")
        if card.task == "change":
            own = ("swap", *own)
        settings = {name: replace(few, process=name, schedule=card.schedule) for name in own}
    place = st.container()
    if kind == "schedule":
        scheduling.explain(source, card.noise_process)
    else:
        frame.quiet(
            f"These weights were trained with the {card.noise_process} process; any other one is "
            "foreign to them. Self only makes the image stronger, up to 1.41 times, so its curve "
            "is nearly flat; none gives the clean image at every t."
        )
    with place:
        _compare(known, card, settings)


def _compare(known: list[analysis.Scene], card: CheckpointCard, settings: dict[str, Sweep]) -> None:
    """F1 against the timestep, one curve a setting."""
    curves = []
    for index, (name, setting) in enumerate(settings.items()):
        slot = f"itp.compare.{index}"
        report = analysis.curve(slot, known, card, setting, f"Scoring {name}")
        if report is None:
            return
        target = report["target"]["f1"] is not None
        curves.append(_curve(report, "f1", name, target, PALETTE[index], DASHES[index]))
    figures.show(figures.over_timesteps(curves, "F1"), "itp.compare.plot", f"{card.id}_comparison")


def decided(source: Source, card: CheckpointCard, sweep: Sweep, choices: Choices) -> None:
    """The map of decision times and how the pixels spread over them."""
    found = analysis.decision_times("itp.decided", source, card, sweep, choices)
    if found is None:
        return
    key = f"decided/{source.key}/{card.sha256}/{sweep}"
    st.iframe(
        resources.html(key, lambda: _decided_html(found)),
        height="content",
        alt=f"Decision times of {source.title}",
    )
    frame.quiet(
        "The colour is the noisiest timestep from which a pixel keeps the class that it has in the "
        f"clean map; median over {found.seeds} noise draw{'s' * (found.seeds > 1)}. "
        "Yellow pixels are decided while the picture is still noise, dark ones only at the end."
    )
    names = [str(t) for t in sorted(found.timesteps, reverse=True)]
    figures.show(
        figures.bars(names, found.shares, "decided at timestep t (noisy on the left)"),
        "itp.decided.plot",
        f"{card.id}_decision_times",
    )
    _agreement(found, card)
    st.download_button(
        "GeoTIFF",
        data=lambda: decided_tif(found),
        file_name=f"{exports.file_stem(source.title)}_{card.id}_decision-time.tif",
        mime="image/tiff",
        icon=":material/grid_on:",
        on_click="ignore",
        key="itp.download.decided",
    )


def _agreement(found: analysis.DecisionTimes, card: CheckpointCard) -> None:
    """How far the map of each timestep agrees with the final one."""
    from n2m_core.tasks.by_timestep import agreement_scores

    st.subheader("Agreement with the final map", anchor=False)
    rows = [
        (t, *agreement_scores(counts, card))
        for t, counts in zip(found.timesteps, found.agreement, strict=True)
    ]
    has_target = has_background(card)
    name = "IoU of the target" if has_target else "mean IoU of the classes"
    t, share, iou = ([row[column] for row in rows] for column in range(3))
    shown = [None if np.isnan(value) else value for value in iou]
    curves = [
        Curve("share of equal pixels", t, share),
        Curve(name, t, shown, color=PALETTE[1], dash="dash"),
    ]
    figure = figures.over_timesteps(curves, "agreement", marks=playing.marks(card))
    figures.show(figure, "itp.agreement.plot", f"{card.id}_agreement")
    frame.quiet(
        "Each map against the map of the cleanest step, with no truth involved. Where most of the "
        "scene is background the share of equal pixels is high from the start; the IoU is not."
    )
    figures.csv_button(
        ("t", "equal pixels", name), rows, "itp.download.agreement", f"{card.id}_agreement"
    )


def _decided_html(found: analysis.DecisionTimes) -> str:
    """Picture and decision times side by side."""
    image = found.image
    colored = playing.ramp(found.t, 0, 999)
    base = image_layer("Picture", image, views.picture(image, Choices()))
    times = replace(image_layer("Decision time", image, colored), role="mask", crisp=True)
    legend = (LegendItem("t 0 to 999", "", playing.ramp_css()),)
    setting = Setting(not image.is_georeferenced, image.resolution_m, legend, opacity=1.0)
    return maps.side_by_side_html(
        [Panel("Picture", (base,)), Panel("Decided at timestep", (base, times))], setting
    )


def decided_tif(found: analysis.DecisionTimes) -> bytes:
    """The decision times as a GeoTIFF, -1 for no data."""
    image = found.image.with_pixels(found.t[None], ("decision time",), valid=found.t >= 0)
    return raster_io.geotiff_bytes(image, nodata=-1)
