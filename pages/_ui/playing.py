"""The trajectory on maps: input, map, confidence and disagreement of every timestep, in one player.

All frames travel to the browser once; play, pause, step and speed run there, without a rerun.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from n2m_core import render
from n2m_core.geo_image import GeoImage
from pages._ui import figures, maps, resources, views
from pages._ui.compute import Choices
from pages._ui.elements import Json
from pages._ui.layers import Layer, image_layer, mask_layer
from pages._ui.maps import LegendItem, Panel, Setting

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from n2m_core.checkpoints import CheckpointCard
    from n2m_core.tasks.trajectory import Frame, TrajectoryResult

FRAME_PX = 448
"""Longest side of a frame, pixels: eleven timesteps of four panels stay below 5 MB."""
DIFFERS = (204, 0, 119)
_CIVIDIS = np.array(
    [(0, 34, 78), (42, 63, 108), (87, 92, 109), (124, 123, 120), (166, 157, 117), (211, 193, 100),
     (254, 232, 56)],
    np.float64,
)  # fmt: skip
"""Stops of the cividis ramp (Nunez, Anderton, Renslow 2018), made for colour-blind eyes."""


def ramp(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    """Colour numbers from dark blue (`low`) to yellow (`high`), uint8 [H, W, 3]."""
    place = np.clip((values - low) / (high - low), 0, 1) * (len(_CIVIDIS) - 1)
    stops = np.arange(len(_CIVIDIS))
    channels = [np.interp(place, stops, _CIVIDIS[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def ramp_css() -> str:
    """The ramp as a CSS gradient, for legends."""
    stops = ",".join(f"rgb({int(r)},{int(g)},{int(b)})" for r, g, b in _CIVIDIS)
    return f"linear-gradient(90deg,{stops})"


def show(key: str, result: TrajectoryResult, title: str) -> None:
    """Show the player."""
    html = resources.html(key, lambda: _html(result))
    st.iframe(html, height="content", alt=f"Trajectory of {title}")


def marks(card: CheckpointCard) -> tuple[int, ...]:
    """Timesteps to point out: under swap the one where the two dates can't be told apart."""
    from n2m_core.diffusion.noise import crossing_timestep

    if card.noise_process != "swap":
        return ()
    return (crossing_timestep(card.process().schedule),)


def _html(result: TrajectoryResult) -> str:
    """The panels with the player under them."""
    grid = result.image
    pair = result.before is not None
    layers: dict[str, list[Layer]] = {
        name: []
        for name in (
            *(("Input, first half", "Input, second half") if pair else ("Input x_t",)),
            "Map",
            "Confidence",
            "Differs from the final map",
        )
    }
    for frame in result.frames:
        for name, layer in zip(layers, _frame_layers(frame, grid, result.card), strict=True):
            layers[name].append(layer)
    clean = views.picture(grid, Choices())
    faded = (clean.astype(np.float32) * 0.45 + 140).round().astype(np.uint8)
    layers["Differs from the final map"].insert(
        0, image_layer("Picture", grid, faded, FRAME_PX, quality=70)
    )
    setting = Setting(
        pixels=not grid.is_georeferenced,
        metres=grid.resolution_m,
        legend=(
            *(LegendItem(each.name, each.color) for each in result.card.classes),
            LegendItem("confidence, low to high", "", ramp_css()),
            LegendItem("differs from the final map", f"rgb{DIFFERS}"),
        ),
    )
    panels = [Panel(name, tuple(each)) for name, each in layers.items()]
    texts: list[dict[str, Json]] = [
        {"t": frame.timestep, "text": _text(frame, result.card)} for frame in result.frames
    ]
    return maps.player_html(panels, texts, setting, marks=marks(result.card))


def _frame_layers(frame: Frame, grid: GeoImage, card: CheckpointCard) -> list[Layer]:
    """The pictures of one timestep, in the order of the panels."""
    colors = {index: render.hex_to_rgb(each.color) for index, each in enumerate(card.classes)}
    inputs = [frame.x_t, *(() if frame.x_t_after is None else (frame.x_t_after,))]
    pictures = [image_layer("Input", grid, each, FRAME_PX, quality=60) for each in inputs]
    sure = image_layer(
        "Confidence", grid, ramp(frame.confidence, 1 / len(colors), 1), FRAME_PX, quality=70
    )
    differs = np.where(frame.disagreement, 1, 255).astype(np.uint8)
    return [
        *(replace(each, role="frame") for each in pictures),
        mask_layer("Map", grid, frame.labels, colors, role="frame", max_px=FRAME_PX),
        replace(sure, role="frame"),
        mask_layer("Differs", grid, differs, {1: DIFFERS}, role="frame", max_px=FRAME_PX),
    ]


def _text(frame: Frame, card: CheckpointCard) -> str:
    """What stands beside the timestep: the mix, the disagreement and, with a truth, the score."""
    parts = [
        mix_text(card, frame.timestep),
        f"{100 * share(frame):.1f} % differ from the final map",
    ]
    if frame.scores is not None and frame.scores["f1"] is not None:
        parts.append(f"F1 {frame.scores['f1']:.3f}")
    return "  ·  ".join(parts)


def share(frame: Frame) -> float:
    """Share of the mapped pixels that differ from the final map."""
    return float(frame.disagreement.sum() / max(1, (frame.labels != 255).sum()))


def mix_text(card: CheckpointCard, t: int) -> str:
    """The mix of x_t in words, such as "0.28 image + 0.96 noise"."""
    schedule = card.process().schedule
    signal, noise = float(schedule.signal[t]), float(schedule.noise[t])
    words = {
        "gaussian": f"{signal:.2f} image + {noise:.2f} noise",
        "swap": f"{signal:.2f} (before, after) + {noise:.2f} (after, before)",
        "self": f"image, {signal + noise:.2f} times as strong",
        "none": "image",
    }
    return words[card.noise_process]


def explain(card: CheckpointCard) -> tuple[str, ...]:
    """What the person should know to read a trajectory."""
    general = (
        "Every frame is a single pass of its own, from the same noise draw at another t: the "
        "frames differ by t alone and none feeds the next."
    )
    own = {
        "gaussian": "These weights were trained with gaussian noise mixed into the image.",
        "swap": "These weights were trained with the swap process: the pair is mixed with itself "
        f"in the other order, so that near t = {', '.join(map(str, marks(card)))} the two dates "
        "can't be told apart, and beyond it they have changed places.",
        "self": "These weights were trained with the self process: t only makes the image "
        "stronger, so little changes from frame to frame.",
        "none": "These weights were trained without noise: every frame sees the clean image.",
    }
    return general, own[card.noise_process]


def figure(result: TrajectoryResult) -> go.Figure:
    """Confidence, agreement and, with a truth, F1 over the timesteps."""
    found = rows(result)
    t = [row["t"] for row in found]
    curves = [
        figures.Curve("agrees with the final map", t, [1 - row["differs"] for row in found]),
        figures.Curve(
            "mean confidence",
            t,
            [row["confidence"] for row in found],
            color=figures.PALETTE[2],
            dash="dot",
        ),
    ]
    if "f1" in found[0]:
        scores = [row["f1"] for row in found]
        curves.append(
            figures.Curve("F1 against the truth", t, scores, color=figures.PALETTE[1], dash="dash")
        )
    return figures.over_timesteps(curves, "share or score", marks=marks(result.card))


def rows(result: TrajectoryResult) -> list[dict[str, Any]]:
    """One row a timestep: t, mean confidence, share that differs, scores where there is a truth."""
    return [
        {
            "t": frame.timestep,
            "confidence": float(frame.confidence[frame.labels != 255].mean()),
            "differs": share(frame),
            **(frame.scores or {}),
        }
        for frame in result.frames
    ]
