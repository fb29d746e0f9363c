"""The plots: plotly figures in the colours of the app, in light and dark alike."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from n2m_core.tasks.study_tables import Line, Plot

PALETTE = ("#0b6e75", "#c4622d", "#5b6c9a", "#9a7b1f", "#8a4f7d", "#4d7f3f")
"""Line colours that stay apart for colour-blind eyes, in order of use."""
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


@dataclass(frozen=True)
class Curve:
    """One line over timesteps.

    Attributes:
        name: what the legend says.
        t: timesteps.
        y: scores; None where there is none.
        low: lower ends of the intervals, or None for a line without.
        high: upper ends.
        color: "#rrggbb".
        dash: a plotly dash.
    """

    name: str
    t: Sequence[int]
    y: Sequence[float | None]
    low: Sequence[float | None] | None = None
    high: Sequence[float | None] | None = None
    color: str = PALETTE[0]
    dash: str = "solid"


def over_timesteps(
    curves: Sequence[Curve],
    y_title: str,
    *,
    marks: Sequence[int] = (),
    y_range: tuple[float, float] | None = (0, 1.02),
) -> go.Figure:
    """Draw curves over t, noisy on the left and clean on the right.

    Args:
        curves: the lines; a band is drawn where a line has intervals.
        y_title: what is on the vertical axis.
        marks: timesteps to point out with a dotted line.
        y_range: ends of the vertical axis; None to fit the curves.
    """
    figure = go.Figure()
    for curve in curves:
        if curve.low is not None and curve.high is not None:
            figure.add_trace(_band(curve))
        figure.add_trace(
            go.Scatter(
                x=list(curve.t),
                y=list(curve.y),
                name=curve.name,
                mode="lines+markers",
                line={"color": curve.color, "dash": curve.dash, "width": 2.2},
                marker={"size": 6},
                hovertemplate="t = %{x}: %{y:.3f}",
            )
        )
    for mark in marks:
        figure.add_vline(
            x=mark,
            line={"dash": "dot", "width": 1.4, "color": "#888"},
            annotation={"text": f"t = {mark}: the dates can't be told apart", "font_size": 12},
            annotation_position="top",
        )
    figure.update_xaxes(
        title="timestep t: noisy on the left, clean on the right", range=[1020, -20]
    )
    figure.update_yaxes(title=y_title, rangemode="tozero")
    if y_range is not None:
        figure.update_yaxes(range=list(y_range))
    return _styled(figure)


def _band(curve: Curve) -> go.Scatter:
    """The interval around a curve."""
    assert curve.low is not None
    assert curve.high is not None
    ends = [
        (t, low, high)
        for t, low, high in zip(curve.t, curve.low, curve.high, strict=True)
        if low is not None and high is not None
    ]
    t = [each[0] for each in ends]
    red, green, blue = (int(curve.color[i : i + 2], 16) for i in (1, 3, 5))
    return go.Scatter(
        x=t + t[::-1],
        y=[each[2] for each in ends] + [each[1] for each in reversed(ends)],
        mode="lines",  # of fewer than twenty points Plotly would mark each, in a colour of its own
        fill="toself",
        fillcolor=f"rgba({red},{green},{blue},0.16)",
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
        name=f"{curve.name}, interval",
    )


def reliability(
    confidence: Sequence[float], accuracy: Sequence[float], share: Sequence[float]
) -> go.Figure:
    """Draw how often a map is right against how sure it is, with the share of pixels as bars."""
    figure = go.Figure()
    figure.add_trace(
        go.Bar(
            x=list(confidence),
            y=list(share),
            name="share of pixels",
            marker={"color": "rgba(128,128,128,0.35)"},
            width=0.06,
            hovertemplate="%{y:.1%} of the pixels",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=[0, 1],
            y=[0, 1],
            name="as sure as right",
            mode="lines",
            line={"dash": "dot", "color": "#888", "width": 1.4},
            hoverinfo="skip",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=list(confidence),
            y=list(accuracy),
            name="share that is right",
            mode="lines+markers",
            line={"color": PALETTE[0], "width": 2.2},
            hovertemplate="confidence %{x:.2f}: %{y:.1%} right",
        )
    )
    figure.update_xaxes(title="confidence of the map", range=[0, 1.02])
    figure.update_yaxes(title="share", range=[0, 1.02])
    return _styled(figure)


def bars(names: Sequence[str], values: Sequence[float], x_title: str) -> go.Figure:
    """Draw a histogram-like row of bars."""
    figure = go.Figure(
        go.Bar(
            x=list(names), y=list(values), marker={"color": PALETTE[0]}, hovertemplate="%{y:.1%}"
        )
    )
    figure.update_xaxes(title=x_title, type="category")
    figure.update_yaxes(title="share of pixels", tickformat=".0%")
    return _styled(figure)


def over_strengths(curves: Sequence[Curve], names: Sequence[str], x_title: str) -> go.Figure:
    """Draw scores against named strengths, the clean image first.

    Args:
        curves: the lines; their `t` is not used, their intervals are drawn as error bars.
        names: one for each point of the lines.
        x_title: what is on the horizontal axis.
    """
    figure = go.Figure()
    for curve in curves:
        bars: dict[str, Any] | None = None
        if curve.low is not None and curve.high is not None:
            ends = list(zip(curve.y, curve.low, curve.high, strict=True))
            bars = {
                "symmetric": False,
                "array": [0 if y is None or high is None else high - y for y, _, high in ends],
                "arrayminus": [0 if y is None or low is None else y - low for y, low, _ in ends],
                "thickness": 1.2,
            }
        figure.add_trace(
            go.Scatter(
                x=list(names),
                y=list(curve.y),
                name=curve.name,
                mode="lines+markers",
                error_y=bars,
                line={"color": curve.color, "dash": curve.dash, "width": 2.2},
                marker={"size": 6},
                hovertemplate="%{y:.3f}",
            )
        )
    figure.update_xaxes(title=x_title, type="category")
    figure.update_yaxes(title="F1", range=[0, 1.02])
    return _styled(figure)


def of_plot(plot: Plot) -> go.Figure:
    """Draw the lines of a plot; points with names stand apart where there is one line of them."""
    figure = go.Figure()
    for number, line in enumerate(plot.lines):
        is_alone = len(plot.lines) == 1 and any(isinstance(each, str) for each in line.x)
        color, dash = PALETTE[number % len(PALETTE)], DASHES[number % len(DASHES)]
        figure.add_trace(
            go.Scatter(
                x=list(line.x),
                y=list(line.y),
                name=line.name,
                mode="markers" if is_alone else "lines+markers",
                error_y=_spread(line),
                line={"color": color, "dash": dash, "width": 2.2},
                marker={"size": 10 if is_alone else 6, "color": color},
                hovertemplate="%{y:.3f}",
            )
        )
    figure.update_xaxes(title=plot.x_title)
    figure.update_yaxes(title=plot.y_title, rangemode="tozero")
    if plot.is_log:
        figure.update_yaxes(type="log", exponentformat="power")
    return _styled(figure)


def _spread(line: Line) -> dict[str, Any] | None:
    """Error bars from the lowest to the highest seed; none where there is one seed."""
    if line.low is None or line.high is None or (line.low == line.y and line.high == line.y):
        return None
    return {
        "symmetric": False,
        "array": [high - y for y, high in zip(line.y, line.high, strict=True)],
        "arrayminus": [y - low for y, low in zip(line.y, line.low, strict=True)],
        "thickness": 1.2,
    }


def spectra(
    lines: Sequence[tuple[str, Sequence[float], str, str]], bands: Sequence[str]
) -> go.Figure:
    """Draw the reflectance of one pixel over the bands.

    Args:
        lines: name, values, colour ("#rrggbb") and dash of every date.
        bands: names of the bands.
    """
    figure = go.Figure()
    for name, values, color, dash in lines:
        figure.add_trace(
            go.Scatter(
                x=list(bands),
                y=list(values),
                name=name,
                mode="lines+markers",
                line={"color": color, "dash": dash, "width": 2.2},
                marker={"size": 6},
                hovertemplate="%{y:.3f}",
            )
        )
    figure.update_xaxes(title="band", type="category")
    figure.update_yaxes(title="reflectance", rangemode="tozero")
    return _styled(figure)


def _styled(figure: go.Figure) -> go.Figure:
    """Margins, legend and font sizes that all plots share."""
    figure.update_layout(
        height=380,
        margin={"l": 8, "r": 24, "t": 34, "b": 8},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hovermode="x unified",
    )
    return figure


def show(figure: go.Figure, key: str, name: str) -> None:
    """Show a figure with its download button; `name` names the PNG."""
    config: dict[str, Any] = {
        "displaylogo": False,
        "modeBarButtons": [["toImage"]],
        "displayModeBar": True,
        "toImageButtonOptions": {"format": "png", "filename": name, "scale": 2},
    }
    st.plotly_chart(figure, key=key, config=config, alt=name)


def csv_button(
    header: Sequence[str], rows: Sequence[Sequence[object]], key: str, name: str
) -> None:
    """Offer the numbers of a figure as a table; `name` names the file."""

    def table() -> bytes:
        """Write the table."""
        stream = io.StringIO()
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)
        return stream.getvalue().encode()

    st.download_button(
        "CSV",
        data=table,
        file_name=f"{name}.csv",
        mime="text/csv",
        icon=":material/csv:",
        on_click="ignore",
        key=key,
    )
