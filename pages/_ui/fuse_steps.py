"""The way of a learned fusion from the coarse image to the fine one, in the player."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages._ui import frame, fused, maps, playing, resources, views
from pages._ui.coloring import Coloring
from pages._ui.elements import Json
from pages._ui.fusing import FuseChoices
from pages._ui.layers import Layer, image_layer
from pages._ui.maps import LegendItem, Panel
from pages._ui.series import Series

if TYPE_CHECKING:
    from n2m_core.tasks.fuse import FuseResult

FRAME_PX = 448
PANELS = ("On the way", "Expected fine image", "Differs from the result")


def show(series: Series, chosen: FuseChoices, result: FuseResult, colors: Coloring) -> None:
    """Show the moments that were kept; nothing where the method takes no steps."""
    if not result.frames or max(colors.bands) > len(result.frames[0].x):
        return
    st.subheader("From coarse to fine", anchor=False)
    key = f"fuse-steps/{series.key}/{series.truth}/{chosen.key}/{colors.name}"
    html = resources.html(key, lambda: _player(series, result, colors))
    st.iframe(html, height="content", alt=f"Fusion of {series.title}, step by step")
    frame.quiet(
        "The walk starts at the coarse image under noise. In every step the network says which "
        "fine image it expects, and the image on the way moves a little towards it. Unlike the "
        "frames of a trajectory these are one walk: every step starts from the one before."
    )


def _player(series: Series, result: FuseResult, colors: Coloring) -> str:
    """The moments: the image on the way, the expected one, and how far it is from the result."""
    end = result.reflectance[: len(result.frames[0].x)]
    apart = [np.abs(each.expected - end).mean(axis=0) for each in result.frames]
    top = max(float(np.quantile(apart[0][result.image.valid], 0.98)), 1e-4)
    layers: dict[str, list[Layer]] = {name: [] for name in PANELS}
    for each, gap in zip(result.frames, apart, strict=True):
        pictures = (colors.rgb(each.x), colors.rgb(each.expected), playing.ramp(gap, 0, top))
        for name, rgb in zip(PANELS, pictures, strict=True):
            layer = image_layer(name, result.image, rgb, FRAME_PX, quality=70)
            layers[name].append(views.as_frame(layer))
    texts: list[dict[str, Json]] = [
        {"t": each.timestep, "text": f"step {each.step} of {result.frames[-1].step}{words}"}
        for each, words in zip(result.frames, _errors(series, result), strict=True)
    ]
    legend = (LegendItem(f"difference of reflectance, 0 to {top:.3f}", "", playing.ramp_css()),)
    panels = [Panel(name, tuple(each)) for name, each in layers.items()]
    return maps.player_html(panels, texts, fused.setting_of(result, legend), goal="fine image")


def _errors(series: Series, result: FuseResult) -> list[str]:
    """How far each moment's expected image is from the truth, where that is known."""
    from n2m_core.tasks.fuse import truth_on_grid

    if series.truth is None:
        return [""] * len(result.frames)
    truth, valid = truth_on_grid(resources.image(series.truth), result.prepared)
    squares = [((each.expected - truth[: len(each.x)]) ** 2)[:, valid] for each in result.frames]
    return [f"  ·  expected image: RMSE {float(np.sqrt(each.mean())):.4f}" for each in squares]
