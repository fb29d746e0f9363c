"""Where the map fails: tiles by score, the worst ones opened on a map; a view of Interpret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from n2m_core import render
from n2m_core.geo_image import GeoImage, Progress
from pages._ui import (
    analysis,
    choosing,
    compute,
    detail,
    figures,
    frame,
    inputs,
    jobs,
    maps,
    resources,
    sizing,
    truths,
    views,
)
from pages._ui.analysis import Scene
from pages._ui.compute import Choices
from pages._ui.inputs import Source
from pages._ui.layers import Layer, image_layer, mask_layer
from pages._ui.maps import LegendItem, Panel, Setting

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard
    from n2m_core.tasks.failures import Failures, Ranked

ANY = "any"
LISTED = 10
ERRORS = {1: ("missed", "#f0e442"), 2: ("invented", "#cc0077"), 3: ("another class", "#56b4e9")}
"""Names and colours of the values of an error map; light, dark and middling, for any eyes."""


@dataclass(frozen=True)
class Filter:
    """Which tiles are listed, and by which score.

    Attributes:
        index: class; None for the target or the mean of the classes.
        size_bin: size of a wrong object that they hold; None for all tiles.
        scene: number of their scene; None for all.
    """

    index: int | None
    size_bin: int | None
    scene: int | None


def failed(source: Source, card: CheckpointCard) -> None:
    """The list of tiles, worst first, and the map of the one that is opened."""
    known = analysis.scenes(inputs.sources(card.task).values(), card)
    if not known:
        frame.empty("No truth for any scene", "Drop a mask of what is really there to score it.")
        truths.field(source, card)
        return
    frame.quiet(
        "Every scene with a truth, your own ones too, is mapped whole and cut into tiles of up to "
        "128 m, or of 64 pixels where that is more, ranked by their F1. Open one to see what the "
        "map missed and what it invented."
    )
    found = _failures(known, card)
    if found is None:
        return
    chosen = _filters(found)
    ranked = _rank(found, chosen)
    if not ranked:
        frame.empty("No tile fits these filters", "Choose another class, size or scene.")
        return
    _list(ranked, found)
    names = {str(place): _name(place, each, found) for place, each in enumerate(ranked)}
    place = f"itp.w.tile.{card.id}.{chosen.index}.{chosen.size_bin}.{chosen.scene}"
    opened = int(choosing.pick_listed(place, "Open a tile", names))
    _open(ranked[opened], found, known, card, chosen)
    _download(ranked, found, card)


def _failures(known: list[Scene], card: CheckpointCard) -> Failures | None:
    """All blocks, or the progress and None."""

    def work(progress: Progress) -> Failures:
        """Map and count; in the worker."""
        from n2m_core.tasks import failures

        progress(0, 1, "loading the weights")
        samples = [analysis.sample_of(scene, card, None) for scene in known]
        return failures.run(samples, resources.model(card), None, progress)

    key = f"failures/{analysis.scenes_key(known)}/{card.id}/{card.sha256}"
    return jobs.result_of("itp.failures", key, "Mapping every scene", work)


def _filters(found: Failures) -> Filter:
    """The three lists above the table."""
    scheme = found.scheme
    classes = {ANY: "the target" if scheme.target else "all classes"}
    classes |= {
        str(index): scheme.names[index] for index in scheme.target or range(len(scheme.names))
    }
    if len(scheme.target) == 1:
        classes = {ANY: scheme.names[scheme.target[0]]}
    sizes = {ANY: "any"} | {str(i): name for i, name in enumerate(sizing.names(found.edges_m2))}
    places = {ANY: "all"} | {str(i): scene.name for i, scene in enumerate(found.scenes)}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        index = choosing.pick_listed("itp.w.fail.class", "Class", classes)
        size = choosing.pick_listed(
            "itp.w.fail.size",
            "Size of a wrong object",
            sizes,
            help="Tiles that hold a missed or invented object of this size.",
        )
        scene = choosing.pick_listed("itp.w.fail.scene", "Scene", places)
    numbers = [None if each == ANY else int(each) for each in (index, size, scene)]
    return Filter(*numbers)


def _rank(found: Failures, chosen: Filter) -> list[Ranked]:
    """The tiles that the filters leave, the worst first."""
    from n2m_core.tasks.failures import rank

    return rank(found, index=chosen.index, size_bin=chosen.size_bin, scene=chosen.scene)


def _list(ranked: list[Ranked], found: Failures) -> None:
    """The worst tiles as a table."""
    header = ("Tile", "F1", "Missed", "Invented", "Objects missed", "Objects invented")
    rows = [
        (
            f"{place + 1}. {_place(each, found)}",
            f"{each.f1:.3f}",
            _size(each.missed_px, each, found),
            _size(each.invented_px, each, found),
            str(each.missed),
            str(each.invented),
        )
        for place, each in enumerate(ranked[:LISTED])
    ]
    frame.table(header, rows, [""] * len(rows))
    rest = len(ranked) - len(rows)
    more = f" The list below has {rest} more." if rest else ""
    frame.quiet(
        "An object is missed when less than half of it is mapped, invented when less than half of "
        "what is mapped is true." + more
    )


def _place(each: Ranked, found: Failures) -> str:
    """Where a tile lies."""
    row, column = each.block.place
    return f"{found.scenes[each.block.scene].name}, row {row}, column {column}"


def _name(place: int, each: Ranked, found: Failures) -> str:
    """What the list calls a tile."""
    return f"{place + 1}. {_place(each, found)}: F1 {each.f1:.3f}"


def _size(pixels: int, each: Ranked, found: Failures) -> str:
    """Pixels as ground area where it is known."""
    areas = found.scenes[each.block.scene].pixel_m2
    if areas is None:
        return f"{pixels:,} px"
    return f"{pixels * float(areas[each.block.window[0]].mean()):,.0f} m²"


def _open(
    each: Ranked, found: Failures, known: list[Scene], card: CheckpointCard, chosen: Filter
) -> None:
    """The map of one tile: picture or truth on the left, errors or map on the right."""
    dates = ("Picture",) if card.task == "segment" else ("After", "Before")
    sides = {name: name for name in (*dates, "Truth", "Map", "Errors")}
    with st.container(horizontal=True):
        left = choosing.pick("itp.w.fail.left", "Left", sides)
        right = choosing.pick("itp.w.fail.right", "Right", {name: name for name in reversed(sides)})
    scene = known[each.block.scene]
    key = f"failure/{analysis.scenes_key([scene])}/{card.sha256}"
    key += f"/{each.block.window}/{chosen.index}/{left}/{right}"
    html = resources.html(key, lambda: _html(each, found, scene, card, chosen, (left, right)))
    st.iframe(html, height="content", alt=f"Errors of {_place(each, found)}")


def _html(
    each: Ranked,
    found: Failures,
    scene: Scene,
    card: CheckpointCard,
    chosen: Filter,
    sides: tuple[str, str],
) -> str:
    """The swipe map of a tile."""
    from n2m_core.tasks.failures import error_map

    number, window = each.block.scene, each.block.window
    images, _ = compute.extent_of(scene.images, None, card, None)
    dates = [detail.crop(image, window) for image in images]
    errors = error_map(found, number, chosen.index)[window]
    grid = dates[0]
    scheme = found.scenes[number].scheme
    colors = _colors(card, len(scheme.names))
    layers = {
        "Picture": _picture("Picture", dates[-1]),
        "Before": _picture("Before", dates[0]),
        "After": _picture("After", dates[-1]),
        "Truth": mask_layer("Truth", grid, found.scenes[number].truth[window], colors),
        "Map": mask_layer("Map", grid, found.scenes[number].labels[window], colors),
        "Errors": mask_layer(
            "Errors",
            grid,
            errors,
            {value: render.hex_to_rgb(color) for value, (_, color) in ERRORS.items()},
        ),
    }
    legend = _error_legend(errors, found.scenes[number].pixel_m2, window)
    legend += [LegendItem(scheme.names[index], card.classes[index].color) for index in colors]
    metres = scene.images[0].resolution_m
    setting = Setting(not grid.is_georeferenced, metres, tuple(legend), opacity=0.75)
    panels = [Panel(side, _stack(side, layers)) for side in sides]
    return maps.swipe_html(panels[0], panels[1], setting)


def _picture(title: str, image: GeoImage) -> Layer:
    """One date as a layer."""
    return image_layer(title, image, views.picture(image, Choices()))


def _stack(side: str, layers: dict[str, Layer]) -> tuple[Layer, ...]:
    """A picture, or a mask over the picture (of a pair the later one)."""
    shown = layers[side]
    return (shown,) if shown.role == "base" else (layers["Picture"], shown)


def _colors(card: CheckpointCard, classes: int) -> dict[int, tuple[int, int, int]]:
    """Colours of the classes that truth and map show."""
    return {i: color for i, color in views.shown_classes(card).items() if i < classes}


def _error_legend(
    errors: NDArray[np.uint8], areas: NDArray[np.float64] | None, window: tuple[slice, slice]
) -> list[LegendItem]:
    """The kinds of error in a tile with their pixels and ground area."""
    items = []
    for value, (name, color) in ERRORS.items():
        rows = (errors == value).sum(axis=1)
        pixels = int(rows.sum())
        if value == 3 and not pixels:
            continue
        ground = "" if areas is None else f", {float(rows @ areas[window[0]]):,.0f} m²"
        items.append(LegendItem(f"{name}: {pixels:,} px{ground}", color))
    return items


def _download(ranked: list[Ranked], found: Failures, card: CheckpointCard) -> None:
    """The whole list as a table."""
    header = (
        "scene", "row", "column", "f1", "missed px", "invented px", "objects missed",
        "objects invented",
    )  # fmt: skip
    rows = [
        (
            found.scenes[each.block.scene].name,
            *each.block.place,
            each.f1,
            each.missed_px,
            each.invented_px,
            each.missed,
            each.invented,
        )
        for each in ranked
    ]
    figures.csv_button(header, rows, "itp.download.failures", f"{card.id}_tiles_by_score")
