"""What a network holds at each depth and where its attention looks: a view of Interpret."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from n2m_core import render
from n2m_core.geo_image import Progress
from pages._ui import choosing, compute, figures, frame, jobs, resources, state
from pages._ui.analysis import Sweep
from pages._ui.compute import Choices
from pages._ui.inputs import Source

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard
    from n2m_core.tasks.features import AttentionLayer, Depth, Probe

OWN = "own"
TILE_PX = 128
"""Least side of a picture of features: their own pixels are enlarged, not smoothed."""
PLOT = "itp.attention.plot"


def inspected(source: Source, card: CheckpointCard, sweep: Sweep, choices: Choices) -> None:
    """Features by principal components, and self-attention from a pixel."""
    frame.quiet(
        "One pass over one window, the middle of the scene. Each picture shows what the network "
        "holds at a depth: the three directions in which its features vary most, as red, green "
        "and blue."
    )
    options = {OWN: "the model's own step"} | {str(t): f"t = {t}" for t in sweep.timesteps}
    step = choosing.pick_listed("itp.w.inside", "Timestep", options)
    timestep = None if step == OWN else int(step)
    seen = _probe(source, card, sweep, choices, timestep)
    if seen is None:
        return
    key = f"features/{source.key}/{card.sha256}/{sweep.middle_px}/{timestep}/{choices.pass_key}"
    st.html(resources.html(key, lambda: _strip(seen)))
    frame.quiet(
        "Percentages: the share of the variance in the three directions. The number after the name "
        "is the side of one feature pixel in pixels of the input. Colours compare within a picture "
        "alone; the sign of a direction is free and set by its largest weight."
    )
    header = ("depth", "pixel side", "channels", "first", "second", "third")
    rows = [(each.name, each.stride, each.channels, *each.explained) for each in seen.depths]
    figures.csv_button(header, rows, "itp.download.features", f"{card.id}_features")
    st.subheader("Self-attention of a pixel", anchor=False)
    _attention(seen, card)


def _probe(
    source: Source, card: CheckpointCard, sweep: Sweep, choices: Choices, timestep: int | None
) -> Probe | None:
    """What a pass shows, or its progress and None."""
    images = compute.images_of(source, choices)

    def work(progress: Progress) -> Probe:
        """Run one pass with hooks; in the worker."""
        from n2m_core.tasks import features
        from n2m_core.tasks.params import MapParams

        progress(0, 1, "loading the weights")
        cut, _ = compute.extent_of(images, None, card, sweep.middle_px)
        params = MapParams(timestep=timestep, resolution_m=choices.resolution_m)
        return features.run(cut, resources.own_model(card), params, progress)

    key = f"probe/{source.key}/{card.sha256}/{sweep.middle_px}/{timestep}/{choices.pass_key}"
    return jobs.result_of("itp.inside", key, "Looking into the network", work)


def _strip(seen: Probe) -> str:
    """The input and the depths in the order of the pass, as HTML pictures."""
    told = f"t = {seen.timestep}, {'x_t mixed' if seen.is_mixed else 'clean image'}"
    names = ("input",) if len(seen.pictures) == 1 else ("first half", "second half")
    cells = [
        _cell(picture, f"{name}, {told}", name)
        for picture, name in zip(seen.pictures, names, strict=True)
    ]
    cells += [_depth(each) for each in seen.depths]
    return f'<div class="n2m-strip">{"".join(cells)}</div>'


def _depth(depth: Depth) -> str:
    """One depth's picture with its caption."""
    rgb = (np.moveaxis(depth.picture, 0, -1) * 255).round().astype(np.uint8)
    share = sum(depth.explained)
    caption = f"{depth.name} · {depth.stride} px · {share:.0%}"
    return _cell(_enlarged(rgb), f"Features after {depth.name}", caption)


def _enlarged(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat pixels until the picture is large enough to be seen, uint8 [H, W, 3]."""
    times = max(1, -(-TILE_PX // max(rgb.shape[:2])))
    return rgb.repeat(times, axis=0).repeat(times, axis=1)


def _cell(rgb: NDArray[np.uint8], alt: str, caption: str) -> str:
    """One figure of the strip."""
    return (
        f'<figure><img src="{_uri(rgb)}" alt="{escape(alt)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _uri(rgb: NDArray[np.uint8]) -> str:
    """A picture as a data URI."""
    data = render.encode_webp(np.ascontiguousarray(rgb), quality=85)
    return f"data:image/webp;base64,{base64.b64encode(data).decode()}"


def _attention(seen: Probe, card: CheckpointCard) -> None:
    """The attention of the chosen pixel in the chosen block."""
    if seen.left_out:
        frame.quiet(f"Too fine to be shown here: {', '.join(seen.left_out)}.")
    if not seen.layers:
        frame.quiet("This network has no self-attention that could be shown.")
        return
    frame.quiet(
        "Bright cells are those that the block gathers information from when it works on the "
        "chosen pixel; the numbers sum to one. Click a cell or type its place."
    )
    layers = {each.name: each for each in seen.layers}
    height, width = seen.pictures[-1].shape[:2]
    _take_click()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = choosing.pick_listed("itp.w.block", "Block", {each: each for each in layers})
        row = _place("itp.w.row", "Row", height)
        column = _place("itp.w.column", "Column", width)
    layer = layers[name]
    weights = layer.from_pixel(row, column)
    st.plotly_chart(
        _attention_figure(seen.pictures[-1], layer, row, column),
        key=PLOT,
        on_select="rerun",
        selection_mode="points",
        config={"displaylogo": False, "displayModeBar": False},
        alt=f"Attention of row {row}, column {column}",
    )
    spread = float(np.exp(-(weights * np.log(np.maximum(weights, 1e-12))).sum()))
    rows, columns = layer.grid
    frame.quiet(
        f"{layer.name}: {rows} x {columns} cells of {layer.stride} px, mean over {layer.heads} "
        f"head{'s' * (layer.heads > 1)}. The strongest cell holds {weights.max():.1%}; the "
        f"attention is as wide as an even one over {spread:.0f} of {weights.size} cells."
    )
    table = [
        (i * layer.stride, j * layer.stride, float(weights[i, j]))
        for i, j in np.ndindex(layer.grid)
    ]
    stem = f"{card.id}_attention_{row}_{column}"
    figures.csv_button(
        ("first row", "first column", "attention"), table, "itp.download.attention", stem
    )


def _place(key: str, label: str, length: int) -> int:
    """A row or column of the window; the middle at first."""
    kept = st.session_state.get(f"{key}.kept")
    if kept is not None and kept >= length:
        state.put(key, length // 2)
    picked = st.number_input(
        label, min_value=0, max_value=length - 1, step=1, key=state.prepare(key, length // 2)
    )
    return int(state.keep(key, picked))


def _take_click() -> None:
    """Bring a clicked cell into the fields, once for every click."""
    event: Any = st.session_state.get(PLOT)
    points = event["selection"]["points"] if event else []
    clicked = (int(points[0]["y"]), int(points[0]["x"])) if points else None
    if clicked is not None and clicked != st.session_state.get("itp.clicked"):
        state.put("itp.w.row", clicked[0])
        state.put("itp.w.column", clicked[1])
    st.session_state["itp.clicked"] = clicked


def _attention_figure(
    picture: NDArray[np.uint8], layer: AttentionLayer, row: int, column: int
) -> go.Figure:
    """The attention over the picture; unseen points at the cells' middles take the clicks."""
    side, (rows, columns) = layer.stride, layer.grid
    middle = (side - 1) / 2
    y, x = np.mgrid[0:rows, 0:columns] * side + middle
    png = base64.b64encode(render.encode_png(picture)).decode()
    figure = go.Figure(go.Image(source=f"data:image/png;base64,{png}", hoverinfo="skip"))
    figure.add_trace(
        go.Heatmap(
            z=layer.from_pixel(row, column),
            x0=middle,
            dx=side,
            y0=middle,
            dy=side,
            opacity=0.62,
            colorscale="Cividis",
            zmin=0,
            colorbar={"title": "share", "thickness": 12, "tickformat": ".1%"},
            hoverinfo="skip",
        )
    )
    unseen = {"marker": {"color": "rgba(0,0,0,0)"}}
    figure.add_trace(
        go.Scatter(
            x=x.ravel(),
            y=y.ravel(),
            mode="markers",
            marker={"color": "rgba(0,0,0,0)", "size": 18},
            selected=unseen,
            unselected=unseen,
            customdata=layer.from_pixel(row, column).ravel(),
            hovertemplate="row %{y:.0f}, column %{x:.0f}: %{customdata:.2%}<extra></extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=[column],
            y=[row],
            mode="markers",
            marker={"symbol": "cross-open", "size": 15, "color": "#fff", "line": {"width": 2.5}},
            hoverinfo="skip",
        )
    )
    figure.update_xaxes(visible=False, range=[-0.5, picture.shape[1] - 0.5])
    figure.update_yaxes(
        visible=False, range=[picture.shape[0] - 0.5, -0.5], scaleanchor="x", constrain="domain"
    )
    figure.update_layout(height=460, margin={"l": 0, "r": 8, "t": 8, "b": 8}, showlegend=False)
    return figure
