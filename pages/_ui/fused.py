"""A fused image on the page: timeline, maps, errors, the profile of a pixel, and files."""

from __future__ import annotations

import base64
import json
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from n2m_core import raster_io, render
from n2m_core.geo_image import GeoImage
from pages._ui import (
    choosing,
    clicks,
    coloring,
    downloads,
    errors,
    figures,
    frame,
    fusing,
    maps,
    resources,
    results,
    state,
)
from pages._ui.coloring import Coloring
from pages._ui.downloads import File
from pages._ui.exports import file_stem
from pages._ui.figures import PALETTE
from pages._ui.fusing import Compared, FuseChoices
from pages._ui.layers import Layer, image_layer
from pages._ui.maps import LegendItem, Panel, Setting
from pages._ui.playing import ramp, ramp_css
from pages._ui.series import Series

if TYPE_CHECKING:
    from n2m_core.tasks.fuse import FuseResult, Prepared

VIEWS = ("Swipe", "Side by side")
TILE_PX = 192
ERROR_PX = 512
"""Longest side of an error map, pixels: those of all methods stay below 5 MB."""
LAYERS = {
    "unchanged": "Unchanged (copied): 0 to 1",
    "reference": "Chosen reference: 0 first date, 1 last date",
}
MEANING = {
    "unchanged": "Unchanged mask M: the share of the feature channels in which both fine images "
    "agree better than either does with the target date, so that the first one is copied.",
    "reference": "Chosen reference: the share of the channels in which the last date, brought to "
    "the target date, comes closer than the first; it counts where M is low.",
}
CLICKS = "fus.pixel"


def pick_coloring(prepared: Prepared) -> Coloring:
    """Let the person choose the bands that are shown."""
    options = coloring.choices_of(prepared.images.fine0.band_names)
    name = choosing.pick("fus.w.colours", "Colours", {each: each for each in options})
    inputs = prepared.inputs
    return coloring.coloring(name, options[name], [inputs.fine0, inputs.fine2], inputs.valid)


def timeline(series: Series, prepared: Prepared, colors: Coloring) -> None:
    """Show the inputs in the order of time, fine and coarse, with the gap that is to be filled."""
    key = f"timeline/{series.key}/{colors.name}/{prepared.dn_scale}"
    st.html(resources.html(key, lambda: _timeline_html(series, prepared, colors)))


def _timeline_html(series: Series, prepared: Prepared, colors: Coloring) -> str:
    first, target, last = series.day_names
    cells = [
        ("fine0", f"{first}, fine"),
        ("coarse0", f"{first}, coarse"),
        ("coarse1", f"{target}, coarse"),
        ("", f"{target}, fine: missing"),
        ("coarse2", f"{last}, coarse"),
        ("fine2", f"{last}, fine"),
    ]
    images, figures_html = series.images(), []
    for role, caption in cells:
        shown = '<div class="n2m-missing">?</div>'
        if role:
            image: GeoImage = getattr(images, role)
            url = _tile(image, prepared.dn_scale, colors)
            shown = f'<img src="{url}" alt="{escape(caption)}">'
        figures_html.append(f"<figure>{shown}<figcaption>{escape(caption)}</figcaption></figure>")
    return f'<div class="n2m-strip">{"".join(figures_html)}</div>'


def _tile(image: GeoImage, dn_scale: float, colors: Coloring) -> str:
    """A small picture with the image's own pixels, as a data URI."""
    step = max(1, max(image.valid.shape) // TILE_PX)
    cut = image.pixels[:, ::step, ::step].astype(np.float32) / np.float32(dn_scale)
    rgb = colors.rgb(cut)
    rgb[~image.valid[::step, ::step]] = 128
    times = max(1, TILE_PX // max(rgb.shape[:2]))
    data = render.encode_webp(rgb.repeat(times, 0).repeat(times, 1), quality=80)
    return f"data:image/webp;base64,{base64.b64encode(data).decode()}"


def show_map(
    series: Series,
    chosen: FuseChoices,
    result: FuseResult,
    colors: Coloring,
    title: str = "Fused",
) -> None:
    """Show the fused image beside the truth, or beside the coarse image where there is none."""
    view = choosing.pick("fus.w.view", "View", {each: each for each in VIEWS})
    key = f"fused/{series.key}/{series.truth}/{chosen.key}/{colors.name}/{view}/{title}"
    html = resources.html(key, lambda: _map_html(series, result, colors, view, title))
    st.iframe(html, height="content", alt=f"{title} image of {series.title}")


def show_guess(series: Series, chosen: FuseChoices, colors: Coloring) -> None:
    """Show something at once, while the method works."""
    guess = fusing.guess_of(series, chosen)
    show_map(series, chosen.of(fusing.GUESS), guess, colors, "First guess")
    frame.quiet(
        "Until the method is done: each fine image plus its coarse change, and the mean of both."
    )


def _map_html(series: Series, result: FuseResult, colors: Coloring, view: str, title: str) -> str:
    shared, inputs = setting_of(result), result.prepared.inputs
    fused = _panel(title, result, colors.rgb(result.reflectance))
    if series.truth is None:
        other = _panel("Coarse image of the date", result, colors.rgb(inputs.coarse1))
    else:
        other = _panel("Truth", result, colors.rgb(truth_of(series, result)))
    if view == "Swipe":
        return maps.swipe_html(fused, other, shared)
    first = _panel("Fine image of the first date", result, colors.rgb(inputs.fine0))
    return maps.side_by_side_html([first, fused, other], shared)


def truth_of(series: Series, result: FuseResult) -> NDArray[np.float32]:
    """The true fine image on the result's grid, reflectance [C, H, W]."""
    from n2m_core.tasks.fuse import truth_on_grid

    assert series.truth is not None
    return truth_on_grid(resources.image(series.truth), result.prepared)[0]


def setting_of(result: FuseResult, legend: tuple[LegendItem, ...] = ()) -> Setting:
    """What all maps of a result share; a click on any of them chooses the pixel."""
    grid = result.image
    return Setting(not grid.is_georeferenced, grid.resolution_m, legend=legend, clicks=CLICKS)


def _panel(title: str, result: FuseResult, rgb: NDArray[np.uint8]) -> Panel:
    return Panel(title, (_layer(title, result, rgb, result.image.valid),))


def _layer(
    title: str, result: FuseResult, rgb: NDArray[np.uint8], valid: NDArray[np.bool_]
) -> Layer:
    grid = result.image.with_pixels(result.image.pixels, result.image.band_names, valid=valid)
    return image_layer(title, grid, rgb, ERROR_PX * 4)


def show_errors(
    series: Series, chosen: FuseChoices, result: FuseResult, rows: list[Compared]
) -> None:
    """Show every method's error on one colour scale."""
    key = f"errors/{series.key}/{series.truth}/{chosen.key}"
    html = resources.html(key, lambda: _errors_html(result, rows))
    st.iframe(html, height="content", alt=f"Errors of every method in {series.title}")


def _errors_html(result: FuseResult, rows: list[Compared]) -> str:
    """Maps of the error, dark where it is small; the scale ends at 98 % of the worst method's."""
    from n2m_core.tasks.fusion_methods import METHODS

    top = max(float(np.nanquantile(row.error, 0.98)) for row in rows) or 1.0
    panels = []
    for row in rows:
        known = np.isfinite(row.error)
        shown = ramp(np.where(known, row.error, 0), 0, top)
        grid = result.image.with_pixels(result.image.pixels, result.image.band_names, valid=known)
        title = f"{METHODS[row.method].title}: {row.report['rmse']:.4f}"
        panels.append(Panel(title, (image_layer(title, grid, shown, ERROR_PX, quality=75),)))
    item = LegendItem(f"error of reflectance, 0 to {top:.3f}", "", ramp_css())
    return maps.side_by_side_html(panels, setting_of(result, (item,)))


def show_layers(series: Series, chosen: FuseChoices, result: FuseResult) -> None:
    """Show what the method decided for each pixel, where it tells."""
    if not result.layers:
        return
    st.subheader("What the method decided", anchor=False)
    key = f"layers/{series.key}/{chosen.key}"
    html = resources.html(key, lambda: _layers_html(result))
    st.iframe(html, height="content", alt="Decisions of the method")
    valid = result.image.valid
    frame.quiet(
        *(
            f"{MEANING[name]} Mean over the scene: {float(values[valid].mean()):.2f}."
            for name, values in result.layers.items()
            if name in MEANING
        )
    )


def _layers_html(result: FuseResult) -> str:
    panels = [
        _panel(LAYERS.get(name, name), result, ramp(values, 0, 1))
        for name, values in result.layers.items()
    ]
    item = LegendItem("0 to 1", "", ramp_css())
    return maps.side_by_side_html(panels, setting_of(result, (item,)))


def profile(series: Series, result: FuseResult) -> None:
    """The spectrum of one pixel at every date."""
    st.subheader("Spectrum of a pixel", anchor=False)
    grid = result.image
    fields = f"fus.w.row.{series.id}", f"fus.w.column.{series.id}"
    for field, place in zip(fields, clicks.clicked(CLICKS, grid) or (), strict=False):
        state.put(field, place)
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        row = _place("Row", fields[0], grid.height)
        column = _place("Column", fields[1], grid.width)
        clicks.listen(CLICKS, grid, (row, column))
    frame.quiet("Click a pixel on any map above, or type its row and column.")
    if not grid.valid[row, column]:
        frame.quiet("This pixel is masked in one of the images; choose another one.")
        return
    names = [str(name) for name in grid.band_names]
    lines = _lines(series, result, row, column)
    figures.show(figures.spectra(lines, names), "fus.plot", "spectrum")
    rows = [(name, *values) for name, values, _, _ in lines]
    figures.csv_button(("image", *names), rows, "fus.download.spectrum", "spectrum")


def _place(label: str, key: str, length: int) -> int:
    """Choose a row or column, counted from 0; the middle at first."""
    picked = st.number_input(
        label, 0, length - 1, step=1, key=state.prepare(key, length // 2), width=140
    )
    return int(state.keep(key, picked if picked is not None else length // 2))


def _lines(
    series: Series, result: FuseResult, row: int, column: int
) -> list[tuple[str, list[float], str, str]]:
    """Name, reflectance, colour and dash of every image at a pixel."""
    inputs = result.prepared.inputs
    first, target, last = series.day_names
    shown: list[tuple[str, NDArray[np.float32], str, str]] = [
        (f"{first}, fine", inputs.fine0, PALETTE[2], "solid"),
        (f"{target}, fused", result.reflectance, PALETTE[1], "solid"),
        (f"{last}, fine", inputs.fine2, PALETTE[3], "solid"),
        (f"{target}, coarse", inputs.coarse1, PALETTE[1], "dot"),
    ]
    if series.truth is not None:
        truth = truth_of(series, result)
        shown.insert(2, (f"{target}, truth", truth, PALETTE[0], "dash"))
    return [
        (name, [round(float(value), 5) for value in image[:, row, column]], color, dash)
        for name, image, color, dash in shown
    ]


def take_home(series: Series, result: FuseResult, report: dict[str, Any] | None) -> None:
    """Files to take home."""
    st.subheader("Take it home", anchor=False)
    stem = f"{file_stem(series.title)}_{result.params.method}"
    files = (
        File("GeoTIFF", ".tif", lambda: raster_io.geotiff_bytes(result.image, tags=result.tags)),
        File("Numbers", ".json", lambda: _numbers(series, result, report)),
    )
    downloads.row("fus", "fus-exports", stem, files)
    image = result.image
    frame.quiet(
        f"The GeoTIFF has the grid, the scale (reflectance 1 is {result.prepared.dn_scale:g}) and "
        f"the type ({image.pixels.dtype}) of the first fine image; masked pixels are masked in it."
    )


def _numbers(series: Series, result: FuseResult, report: dict[str, Any] | None) -> bytes:
    """How the image was made and, with a truth, its scores, as JSON."""
    facts = {
        "source": series.title,
        "method": result.params.method,
        "checkpoint": result.params.checkpoint,
        "dates": [day.isoformat() for day in series.dates],
        "scale": result.prepared.inputs.scale,
        "dn_scale": result.prepared.dn_scale,
        "seconds": round(result.seconds, 3),
        "notes": list(result.notes),
        "scores": report,
    }
    return json.dumps(facts, indent=2, ensure_ascii=False).encode()


def about_weights(checkpoint: str) -> None:
    """Say which weights made the picture, their licence and what they were measured to score."""
    card = next(each for each in resources.fusion_cards() if each.id == checkpoint)
    measured = "; ".join(
        f"RMSE {entry['report']['rmse']:.4f} on {results.scored_on(entry)}"
        for entry in card.metrics
    )
    with st.container(border=True):
        st.markdown(f"**{errors.plain(card.title)}**  `{card.id}`  ·  licence {card.license}")
        frame.quiet(
            f"Measured: {measured}." if measured else "No measured score is on the card yet.",
            f"{card.backbone}; {card.training.steps:,} training steps.",
            card.limits,
        )
        st.page_link("pages/8_Models.py", label="The whole card", icon=":material/description:")
