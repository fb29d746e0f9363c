"""The pages' maps: an overlay, two pictures under a swipe, maps side by side, the timestep player.

Each function gives one self-contained HTML text; equal layers give an equal text, so that a rerun
of the page leaves the map in the browser as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from branca.element import Figure

from n2m_core import render
from pages._ui.elements import FigureCall, Json, MapCall, PlayerCall
from pages._ui.layers import Bounds, Layer
from pages._ui.leaflet import OfflineMap, offline_html


@dataclass(frozen=True)
class LegendItem:
    """One row of a legend: a class colour, or a ramp from one colour to another as CSS."""

    name: str
    color: str
    ramp: str = ""


@dataclass(frozen=True)
class Basemap:
    """A tile service; requested by the browser alone, and given up on when it does not answer."""

    name: str
    url: str
    attribution: str
    max_native_zoom: int = 19
    subdomains: str = "abc"


@dataclass(frozen=True)
class Setting:
    """What all maps of a figure share.

    Attributes:
        pixels: the picture has no georeference and lies in pixel space.
        metres: ground size of a pixel when it is known in spite of that, metres.
        legend: rows of the legend.
        basemap: tiles under the picture; None for a plain ground.
        opacity: of the masks at first, 0..1.
        clicks: token under which clicked places are told to the page, see `clicks`; "" for none.
        area: token under which a rectangle drawn on the map is told likewise; such a map is low.
    """

    pixels: bool
    metres: float | None = None
    legend: tuple[LegendItem, ...] = ()
    basemap: Basemap | None = None
    opacity: float = 0.65
    clicks: str = ""
    area: str = ""


@dataclass(frozen=True)
class Panel:
    """One map of a row: its title and its layers from bottom to top."""

    title: str
    layers: tuple[Layer, ...]


def overlay_html(layers: Sequence[Layer], setting: Setting) -> str:
    """One map with its masks over the picture."""
    made = new_map(setting)
    _add_layers(made, layers, setting)
    _add_controls(made, setting, layers, full=True)
    return _figure_html([made])


def swipe_html(left: Panel, right: Panel, setting: Setting, *, share: float = 0.5) -> str:
    """One map cut by a handle that can be dragged: `left` on its left, `right` on its right."""
    made = new_map(setting)
    for name, panel in (("n2mleft", left), ("n2mright", right)):
        made.add_child(MapCall("pane", {"name": name, "z": 420}))
        _add_layers(made, panel.layers, setting, pane=name)
    made.add_child(MapCall("swipe", {"left": "n2mleft", "right": "n2mright", "share": share}))
    made.add_child(MapCall("sides", {"left": left.title, "right": right.title}))
    _add_controls(made, setting, [*left.layers, *right.layers], full=True)
    return _figure_html([made])


def side_by_side_html(panels: Sequence[Panel], setting: Setting) -> str:
    """Maps in a row that move together."""
    return _row_html(panels, setting, None)


def player_html(
    panels: Sequence[Panel],
    frames: Sequence[Mapping[str, Json]],
    setting: Setting,
    *,
    marks: Sequence[int] = (),
    start: int = 0,
    goal: str = "map",
) -> str:
    """Maps in a row, each with one "frame" or "mask" layer a timestep, and the player under them.

    Args:
        panels: maps; their layers beside the "base" ones are the frames, in the player's order.
        frames: for each timestep `t` and the `text` shown beside it.
        setting: what the maps share.
        marks: timesteps to point out on the track.
        start: index of the frame shown first.
        goal: what the last frame is, for the buttons.
    """
    options: Mapping[str, Json] = {
        "frames": list(frames), "marks": list(marks), "start": start, "goal": goal
    }  # fmt: skip
    return _row_html(panels, setting, options)


def _row_html(panels: Sequence[Panel], setting: Setting, player: Mapping[str, Json] | None) -> str:
    """Several synchronised maps of one figure, with the player's options when they have frames."""
    layers = [layer for panel in panels for layer in panel.layers]
    made: list[OfflineMap] = []
    for index, panel in enumerate(panels):
        made.append(new_map(setting, panel.title, len(panels), has_zoom=index == 0))
        _add_layers(made[-1], panel.layers, setting)
        last = len(made) == len(panels)
        _add_controls(made[-1], setting, layers, full=player is None and last)
    calls: list[FigureCall] = [FigureCall("sync", made, {})]
    if player is not None:
        calls.append(FigureCall("key", made, {"items": _legend_items(setting)}))
        calls.append(PlayerCall("player", made, player))
    return _figure_html(made, calls)


def _figure_html(made: Sequence[OfflineMap], calls: Sequence[FigureCall] = ()) -> str:
    """Put maps into one figure and render it."""
    figure = Figure()
    for each in made:
        figure.add_child(each)
    for call in calls:
        figure.add_child(call)
    return offline_html(figure)


def new_map(
    setting: Setting, title: str = "", columns: int = 1, *, has_zoom: bool = True
) -> OfflineMap:
    """A bare map, in degrees or in pixel space, in its place in the figure's grid."""
    made = OfflineMap(
        tiles=None,
        crs="Simple" if setting.pixels else "EPSG3857",
        zoom_snap=0.1,
        zoom_delta=0.5,
        min_zoom=-8 if setting.pixels else 1,
        max_zoom=8 if setting.pixels else 26,
        attribution_control=setting.basemap is not None and not setting.pixels,
        zoom_animation=False,
        zoom_control=has_zoom,
        font_size="13px",
    )
    made.add_child(MapCall("panel", {"title": title, "columns": columns}))
    return made


def _add_layers(
    made: OfflineMap, layers: Sequence[Layer], setting: Setting, pane: str = "overlayPane"
) -> None:
    """Add pictures bottom to top."""
    for layer in layers:
        options: dict[str, Json] = {
            "url": layer.url,
            "bounds": [list(corner) for corner in layer.bounds],
            "pane": pane,
            "role": layer.role,
            "title": layer.title,
            "crisp": layer.crisp,
            "token": layer.token,
            "opacity": setting.opacity if layer.role == "mask" else 1.0,
        }
        made.add_child(MapCall("raster", options))


def _add_controls(
    made: OfflineMap, setting: Setting, layers: Sequence[Layer], *, full: bool
) -> None:
    """Add what an expert expects on a map; `full` adds legend, opacity and the basemap."""
    bounds, has_mask = _union(layers), any(layer.role == "mask" for layer in layers)
    pixels = setting.pixels
    classes: list[Json] = [
        {"name": item.name, "rgb": list(render.hex_to_rgb(item.color))}
        for item in setting.legend
        if item.color.startswith("#")
    ]
    calls: list[tuple[str, dict[str, Json]]] = [
        ("start", {"bounds": [list(corner) for corner in bounds]}),
        ("scale", {"pixels": pixels, "metres": setting.metres, "position": "bottomleft"}),
        ("readout", {"pixels": pixels, "classes": classes, "position": "bottomleft"}),
    ]
    if setting.clicks:
        calls.append(("clicks", {"token": setting.clicks}))
    if setting.area:
        calls.append(
            ("area", {"token": setting.area, "label": "Draw area", "position": "topright"})
        )
    if full:
        calls += _full_controls(setting, has_mask=has_mask)
    for function, options in calls:
        made.add_child(MapCall(function, options))


def _legend_items(setting: Setting) -> list[Json]:
    """The legend's rows for the browser."""
    return [{"name": item.name, "color": item.color, "ramp": item.ramp} for item in setting.legend]


def _full_controls(setting: Setting, *, has_mask: bool) -> list[tuple[str, dict[str, Json]]]:
    """The controls that only one map of a figure carries."""
    items = _legend_items(setting)
    calls: list[tuple[str, dict[str, Json]]] = []
    if items:
        calls.append(("legend", {"items": items, "position": "bottomright"}))
    if has_mask:
        look: dict[str, Json] = {"label": "Map", "value": setting.opacity}
        calls.append(("opacity", {**look, "position": "bottomright"}))
    if setting.pixels:
        text = "No georeference: shown in pixel space"
        calls.append(("note", {"text": text, "position": "bottomleft"}))
    elif setting.basemap:
        calls.append(("basemap", _basemap_options(setting.basemap)))
    return calls


def _basemap_options(basemap: Basemap) -> dict[str, Json]:
    """The options of `n2m.basemap`."""
    return {
        "url": basemap.url,
        "attribution": basemap.attribution,
        "maxNativeZoom": basemap.max_native_zoom,
        "subdomains": basemap.subdomains,
        "message": "Basemap unavailable (no internet)",
    }


def _union(layers: Sequence[Layer]) -> Bounds:
    """The box around all layers."""
    corners = np.array([layer.bounds for layer in layers])
    south, west = corners[:, 0].min(axis=0)
    north, east = corners[:, 1].max(axis=0)
    return (float(south), float(west)), (float(north), float(east))
