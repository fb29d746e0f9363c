"""A result on a map: which layers lie where in each view, and the legend that all views share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from n2m_core import render
from n2m_core.geo_image import GeoImage
from pages._ui import compute, maps, resources
from pages._ui.adjust import Look, has_background
from pages._ui.compute import Choices
from pages._ui.inputs import Source
from pages._ui.layers import Layer, image_layer, mask_layer
from pages._ui.maps import LegendItem, Panel, Setting

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard
    from n2m_core.tasks.result import MapResult


def shown_classes(card: CheckpointCard) -> dict[int, tuple[int, int, int]]:
    """Colours of the classes that a map shows: all but the background, where there is one."""
    first = 1 if has_background(card) else 0
    return {
        index: render.hex_to_rgb(entry.color)
        for index, entry in enumerate(card.classes)
        if index >= first
    }


def legend(card: CheckpointCard) -> tuple[LegendItem, ...]:
    """The legend's rows for the classes that a map shows."""
    return tuple(
        LegendItem(card.classes[index].name, card.classes[index].color)
        for index in shown_classes(card)
    )


def picture(image: GeoImage, choices: Choices) -> NDArray[np.uint8]:
    """An image as red, green, blue, uint8 [H, W, 3]."""
    bands = (1, 2, 3) if image.bands >= 3 else (1,)
    return render.to_rgb(image, bands=bands, stretch=choices.stretch)


def setting(image: GeoImage, card: CheckpointCard, look: Look, choices: Choices) -> Setting:
    """What the maps of a result share."""
    return Setting(
        pixels=not image.is_georeferenced,
        metres=choices.resolution_m or image.resolution_m,
        legend=legend(card),
        basemap=look.basemap,
    )


def show_map(name: str, key: str, result: MapResult, choices: Choices, look: Look) -> None:
    """Show a result in the chosen view.

    Args:
        name: what the map shows, for screen readers.
        key: names everything that the map depends on but the view.
        result: the map with its image or images.
        choices: how the picture is stretched.
        look: view and basemap.
    """
    build = _change_html if result.before is not None else _segment_html
    html = resources.html(f"{key}/{look}", lambda: build(result, choices, look))
    st.iframe(html, height="content", alt=name)


def show_picture(source: Source, choices: Choices, look: Look) -> None:
    """Show what is being worked on, without its map."""
    image = compute.load(source.image, choices)
    shared = Setting(not image.is_georeferenced, image.resolution_m, basemap=look.basemap)

    def build() -> str:
        return maps.overlay_html([image_layer("Picture", image, picture(image, choices))], shared)

    html = resources.html(f"picture/{source.key}/{choices.bands}/{choices.stretch}/{shared}", build)
    st.iframe(html, height="content", alt=f"Picture of {source.title}")


def _segment_html(result: MapResult, choices: Choices, look: Look) -> str:
    """The picture and its map."""
    image, card = result.image, result.card
    shared = setting(image, card, look, choices)
    base = image_layer("Picture", image, picture(image, choices))
    mask = mask_layer("Map", image, result.labels, shown_classes(card))
    if look.view == "Overlay":
        return maps.overlay_html([base, mask], shared)
    left, right = Panel("Picture", (base,)), Panel("Map", (base, mask))
    if look.view == "Swipe":
        return maps.swipe_html(left, right, shared)
    return maps.side_by_side_html([left, right], shared)


def _change_html(result: MapResult, choices: Choices, look: Look) -> str:
    """Both dates and the change between them."""
    assert result.before is not None
    image, card = result.image, result.card
    shared = setting(image, card, look, choices)
    first = image_layer("Before", result.before, picture(result.before, choices))
    last = image_layer("After", image, picture(image, choices))
    mask = mask_layer("Change", image, result.labels, shown_classes(card))
    if look.view == "Overlay":
        return maps.overlay_html([last, mask], shared)
    left, right = Panel("Before", (first,)), Panel("After, with the change", (last, mask))
    if look.view == "Swipe":
        return maps.swipe_html(left, right, shared)
    return maps.side_by_side_html([left, Panel("After", (last,)), right], shared)


def as_frame(layer: Layer) -> Layer:
    """Let the player show and hide a layer."""
    return replace(layer, role="frame")
