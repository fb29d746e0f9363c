"""The lesson's steps on the network: the timestep that it is told, and its map out of noise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from n2m_core import render
from n2m_core.geo_image import GeoImage, Progress
from pages._ui import (
    choosing,
    compute,
    figures,
    frame,
    jobs,
    lesson,
    mixing,
    playing,
    resources,
    truths,
)
from pages._ui.compute import Choices, Frames
from pages._ui.figures import PALETTE
from pages._ui.inputs import Source
from pages._ui.lesson import Place, Settings
from pages._ui.pictures import Shown, legend, two_columns

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard
    from n2m_core.tasks.trajectory import Frame, TrajectoryResult

TRUE_T = 300
"""Where the input of the step on the embedding is mixed, whatever the network is told."""
CLEAR = 0.02
"""A difference of mean confidence smaller than this counts as none."""


def card_with(task: str, process: str) -> CheckpointCard | None:
    """The first checkpoint of a task that was trained with a noise process."""
    return next((card for card in resources.cards(task) if card.noise_process == process), None)


def choices_of(source: Source) -> Choices:
    """What the person stated about a scene, and the checkpoint's own way for the rest."""
    return Choices(resolution_m=choosing.stated_resolution(source))


def labels_picture(labels: NDArray[np.uint8], card: CheckpointCard) -> NDArray[np.uint8]:
    """A map in the colours of its classes, uint8 [H, W, 3]."""
    colors = {index: render.hex_to_rgb(each.color) for index, each in enumerate(card.classes)}
    return render.colorize(labels, colors)[..., :3]


def one_pass(slot: str, source: Source, card: CheckpointCard, t: int) -> Frame | None:
    """The map of the middle of a scene from x_t, or its progress and None."""
    found = passes(slot, source, card, (t,))
    return None if found is None else found.frames[0]


def passes(
    slot: str, source: Source, card: CheckpointCard, timesteps: tuple[int, ...]
) -> TrajectoryResult | None:
    """Maps of the middle of a scene, one a timestep, or their progress and None."""
    frames = Frames(timesteps, truths.truth_of(source, card), mixing.SIDE_PX)
    return compute.trajectory_of(slot, source, card, choices_of(source), frames)


def show_classes(card: CheckpointCard) -> None:
    """The colours of the maps."""
    legend([(each.name, each.color) for each in card.classes])


def f1_text(f1: float | None) -> str:
    """A score with a separator before it; empty where there is none."""
    return "" if f1 is None else f"  ·  F1 {f1:.3f}"


def frame_f1(found: Frame) -> float | None:
    """The frame's F1, where there is a truth."""
    return None if found.scores is None else found.scores["f1"]


def show_change(source: Source, t: int) -> None:
    """The change map from x_t where weights for it are there, else one sentence."""
    card = card_with("change", "swap")
    if card is None:
        frame.quiet(
            "No weights for change detection are installed, so this step shows the input alone."
        )
        return
    found = one_pass("lsn.change", source, card, t)
    if found is not None:
        caption = f"Change map from this input{f1_text(frame_f1(found))}"
        two_columns([Shown(labels_picture(found.labels, card), caption, 88)])
        show_classes(card)


# Step 3: the timestep embedding


@dataclass(frozen=True, eq=False)
class Sinusoids:
    """What the first learned layer sees of each timestep, float32 [1000, C]."""

    values: NDArray[np.float32]

    @property
    def speeds(self) -> tuple[float, float, float]:
        """Mean change from t to t + 1 of the first, middle and last entry of both halves."""
        change = np.abs(np.diff(self.values, axis=0)).mean(axis=0)
        half = len(change) // 2
        both = (change[:half] + change[half : 2 * half]) / 2
        return float(both[0]), float(both[half // 2]), float(both[-1])


def sinusoids(card: CheckpointCard) -> Sinusoids | None:
    """Read the embedding out of a checkpoint's backbone, or show the progress."""

    def work(progress: Progress) -> Sinusoids:
        """Ask the network; in the worker."""
        import torch

        progress(0, 1, "loading the weights")
        network = resources.model(card)
        t = torch.arange(1000, device=network.device)
        return Sinusoids(network.model.backbone.timestep_sinusoids(t).cpu().numpy())

    return jobs.result_of("lsn.sinusoids", f"sinusoids/{card.sha256}", "Reading the network", work)


@dataclass(frozen=True, eq=False)
class Told:
    """A class map, uint8 [H, W], and its F1 where there is a truth."""

    labels: NDArray[np.uint8]
    f1: float | None


def told_map(source: Source, card: CheckpointCard, told: int) -> Told | None:
    """The map of x_t at `TRUE_T` by a network that is told another t, or its progress and None."""
    choices = choices_of(source)
    image = compute.images_of(source, choices)[0]
    mask = truths.truth_of(source, card)
    key = f"told/{source.key}/{mask}/{card.sha256}/{TRUE_T}/{told}/{choices.pass_key}"
    return jobs.result_of(
        "lsn.told", key, "One pass", lambda progress: _map_told(image, mask, card, told, progress)
    )


def _map_told(
    image: GeoImage, mask: Path | None, card: CheckpointCard, told: int, progress: Progress
) -> Told:
    """Map the middle of an image and score it; in the worker."""
    from n2m_core.tasks import segment
    from n2m_core.tasks.frame_scores import score_frame
    from n2m_core.tasks.params import MapParams

    (part,), truth = compute.extent_of((image,), mask, card, mixing.SIDE_PX)
    params = MapParams(timestep=TRUE_T, told=told)
    labels = segment.run(part, resources.model(card), params, progress).labels
    scores = None if truth is None else score_frame(truth.labels, labels, card, truth.kind)
    return Told(labels, None if scores is None else scores["f1"])


def embedding(place: Place) -> Settings:
    """Step 3: the network is told t, as sinusoids; a wrong t makes another map of one input."""
    card = card_with("segment", "gaussian")
    left, right = st.columns([2, 3], gap="large")
    with left:
        st.markdown(
            "The same picture needs another treatment at every t, so the network is told t: as "
            "sines and cosines of many rates, which its layers turn into gains. "
            f"Here the input stays the one of t = {TRUE_T}; tell the network something else."
        )
        told = lesson.timestep(3, 0, place.asked, "The t that the network is told")
    if card is None:
        lesson.told_to_fetch("weights trained with gaussian noise")
        return {"t": told}
    table = sinusoids(card)
    if table is None:
        return {"t": told}
    with left:
        figures.show(_heat_map(table, told), "lsn.embedding", "embedding")
    with right:
        _show_told(place.source, card, told)
    speeds = table.speeds
    lesson.ask(
        3,
        "Each row of the heat map is one entry; the rows fall into two halves, sines and cosines. "
        "Which rows change fastest with t?",
        ("The first of each half", "The middle of each half", "The last of each half"),
        int(np.argmax(speeds)),
        f"From one t to the next an entry moves by {speeds[0]:.2g} in the first rows, "
        f"{speeds[1]:.2g} in the middle and {speeds[2]:.2g} in the last: quick ones tell "
        "neighbours apart, slow ones early from late.",
    )
    return {"t": told}


def _heat_map(table: Sinusoids, told: int) -> go.Figure:
    """The embedding over all timesteps, with the true and the told one marked."""
    figure = go.Figure(
        go.Heatmap(
            z=table.values.T,
            colorscale=[[0, PALETTE[0]], [0.5, "#f6f4ec"], [1, PALETTE[1]]],
            zmin=-1,
            zmax=1,
            showscale=False,
            hovertemplate="t = %{x}, entry %{y}: %{z:.2f}<extra></extra>",
        )
    )
    for t, text, side in ((TRUE_T, "input", "top left"), (told, "told", "top right")):
        figure.add_vline(
            x=t,
            line={"width": 1.6, "color": "#1b2429"},
            annotation_text=text,
            annotation_position=side,
        )
    figure.update_xaxes(title="timestep t", range=[1000, -1])
    figure.update_yaxes(title="entry", autorange="reversed")
    figure.update_layout(height=300, margin={"l": 8, "r": 24, "t": 34, "b": 8})
    return figure


def _show_told(source: Source, card: CheckpointCard, told: int) -> None:
    """The input, the map of a network that is told the truth, and the one that is told `told`."""
    honest = one_pass("lsn.honest", source, card, TRUE_T)
    other = None if honest is None else told_map(source, card, told)
    if honest is None or other is None:
        return
    is_other = honest.labels != other.labels
    differs = np.where(is_other[..., None], playing.DIFFERS, 236).astype(np.uint8)
    caption = f"Map, told t = {TRUE_T}{f1_text(frame_f1(honest))}"
    two_columns(
        [
            Shown(honest.x_t, f"The input, mixed at t = {TRUE_T}"),
            Shown(labels_picture(honest.labels, card), caption, 88),
            Shown(
                labels_picture(other.labels, card), f"Map, told t = {told}{f1_text(other.f1)}", 88
            ),
            Shown(differs, f"{is_other.mean():.1%} of the pixels differ", 88),
        ]
    )
    show_classes(card)


# Step 5: the map out of noise


def out_of_noise(place: Place) -> Settings:
    """Step 5: one pass from x_t to the map."""
    card = card_with("segment", "gaussian")
    left, right = st.columns([2, 3], gap="large")
    with left:
        st.markdown(
            "A usual diffusion model walks from noise to a picture in many steps. This network "
            "gives the map in one pass from whatever x_t it is shown. Each t is a new pass from "
            "the same noise draw; none starts from the map before."
        )
        t = lesson.timestep(5, 300, place.asked)
    if card is None:
        lesson.told_to_fetch("weights trained with gaussian noise")
        return {"t": t}
    ends = passes("lsn.ends", place.source, card, (999, 0))
    if ends is None:
        return {"t": t}
    noisy, clean = ends.frames
    found = one_pass("lsn.pass", place.source, card, t)
    if found is not None:
        differs = float((found.labels != clean.labels).mean())
        with left, st.container(horizontal=True, gap="small"):
            sure = sureness(found)
            st.metric("Mean confidence", f"{sure:.3f}", width=140)
            st.metric("Differs from clean map", f"{differs:.1%}", width=170)
        with right:
            _show_pass(found, clean, card)
    _ask_how_sure(sureness(noisy), sureness(clean))
    return {"t": t}


def sureness(found: Frame) -> float:
    """Mean confidence over the pixels with data."""
    return float(found.confidence[found.labels != 255].mean())


def _show_pass(found: Frame, clean: Frame, card: CheckpointCard) -> None:
    """Input, map, confidence and the clean picture's map."""
    sure = playing.ramp(found.confidence, 1 / len(card.classes), 1)
    two_columns(
        [
            Shown(found.x_t, f"x_t at t = {found.timestep}"),
            Shown(labels_picture(found.labels, card), f"Map{f1_text(frame_f1(found))}", 88),
            Shown(sure, "Confidence, dark blue low, yellow high", 80),
            Shown(
                labels_picture(clean.labels, card), f"Map at t = 0{f1_text(frame_f1(clean))}", 88
            ),
        ]
    )
    show_classes(card)


def _ask_how_sure(noisy: float, clean: float) -> None:
    """Whether confidence falls with the noise."""
    gap = noisy - clean
    lesson.ask(
        5,
        "At t = 999 nothing of the picture is left. How sure is the network of that map, on "
        "average, beside the one at t = 0?",
        ("Less sure", "As sure", "Surer"),
        1 if abs(gap) < CLEAR else 0 if gap < 0 else 2,
        f"Mean confidence is {noisy:.3f} at t = 999 and {clean:.3f} at t = 0. It says how well the "
        "input fits what training showed at this t, not how well it shows this place: without a "
        "picture the network can still be sure of what is usual.",
    )
