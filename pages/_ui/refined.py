"""A refinement shown: rough beside refined, the walk from noise, the spread of several samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages._ui import frame, maps, playing, resources, views
from pages._ui.elements import Json
from pages._ui.inputs import Source
from pages._ui.layers import Layer, image_layer, mask_layer
from pages._ui.maps import LegendItem, Panel, Setting
from pages._ui.refining import VIEWS, Chosen

if TYPE_CHECKING:
    from n2m_core.tasks.refine import RefineFrame, RefineResult

FRAME_PX = 448


def key_of(source: Source, result: RefineResult, chosen: Chosen) -> str:
    """Names a picture of this result."""
    return f"ref/{source.key}/{result.card.sha256}/{chosen.key}"


def shared(result: RefineResult, legend: tuple[LegendItem, ...]) -> Setting:
    """What the maps of a result share."""
    image = result.image
    return Setting(not image.is_georeferenced, image.resolution_m, legend)


def show_map(source: Source, result: RefineResult, chosen: Chosen) -> None:
    """Show rough and refined map under a swipe, or beside each other."""

    def build() -> str:
        """Make both panels."""
        image, colors = result.image, views.shown_classes(result.card)
        base = image_layer("Picture", image, views.picture(image, chosen.choices))
        rough, refined = (
            Panel(title, (base, mask_layer(title, image, labels, colors)))
            for title, labels in (("Rough", result.rough), ("Refined", result.labels))
        )
        setting = shared(result, views.legend(result.card))
        if chosen.view == VIEWS[0]:
            return maps.swipe_html(rough, refined, setting)
        return maps.side_by_side_html([rough, refined], setting)

    html = resources.html(f"{key_of(source, result, chosen)}/{chosen.view}", build)
    st.iframe(html, height="content", alt=f"Rough and refined map of {source.title}")


def say_how(source: Source, result: RefineResult) -> None:
    """Say what was looked at, how the map was made, and what was done to the input."""
    many = "" if result.samples == 1 else f", {result.samples} samples"
    frame.quiet(
        f"{source.note.rstrip('.')}. {result.card.title}, {result.steps} steps, guidance "
        f"{result.guidance:g}, seed {result.seed}{many}, {result.seconds:.1f} s. "
        f"{100 * result.changed:.1f} % of the pixels changed their class.",
        "What the rough map misses whole mostly stays missed; a boundary that neither picture nor "
        "rough map shows is made up. Compare before you trust.",
        *result.notes,
    )


def show_forming(source: Source, result: RefineResult, chosen: Chosen) -> None:
    """Show how the map condenses out of noise, one moment after the other."""
    if not result.frames:
        return
    st.subheader("How the boundary forms", anchor=False)
    key = f"{key_of(source, result, chosen)}/frames"
    html = resources.html(key, lambda: _player(result, chosen))
    st.iframe(html, height="content", alt=f"Refinement of {source.title}, step by step")
    many = f" It is the first of the {result.samples} samples." if result.samples > 1 else ""
    frame.quiet(
        "Each moment shows the map that the network expects in the end. Unlike the frames of a "
        f"trajectory these are one walk: every step starts from the one before.{many}"
    )


def _player(result: RefineResult, chosen: Chosen) -> str:
    """The moments in a player: expected map and confidence."""
    image, card = result.image, result.card
    colors, classes = views.shown_classes(card), len(card.classes)
    rgb = views.picture(image, chosen.choices)
    base = image_layer("Picture", image, rgb, FRAME_PX, quality=70)
    expected: list[Layer] = [base]
    sure: list[Layer] = []
    for each in result.frames:
        expected.append(
            mask_layer("Map", image, each.labels, colors, role="frame", max_px=FRAME_PX)
        )
        ramp = playing.ramp(each.confidence, 1 / classes, 1)
        layer = image_layer("Confidence", image, ramp, FRAME_PX, quality=70)
        sure.append(views.as_frame(layer))
    legend = (
        *views.legend(card),
        LegendItem("confidence, low to high", "", playing.ramp_css()),
    )
    panels = [Panel("Expected map", tuple(expected)), Panel("Confidence", tuple(sure))]
    texts: list[dict[str, Json]] = [
        {"t": each.timestep, "text": _text(each, result)} for each in result.frames
    ]
    return maps.player_html(panels, texts, shared(result, legend))


def _text(moment: RefineFrame, result: RefineResult) -> str:
    """What stands beside a moment."""
    mapped = result.labels != 255
    differs = float((moment.labels != result.labels)[mapped].mean()) if mapped.any() else 0.0
    return f"step {moment.step} of {result.steps}  ·  {100 * differs:.1f} % differ from the result"


def show_spread(source: Source, result: RefineResult, chosen: Chosen) -> None:
    """Show where several samples disagree."""
    st.subheader("How certain the boundary is", anchor=False)
    spread = result.uncertainty
    if spread is None:
        frame.quiet("Choose several samples under Adjust: where they differ, it is uncertain.")
        return
    key = f"{key_of(source, result, chosen)}/spread"

    def build() -> str:
        """Colour the share of samples that differ."""
        image = result.image
        layer = image_layer("Uncertainty", image, playing.ramp(spread, 0, 0.5))
        base = image_layer("Picture", image, views.picture(image, chosen.choices))
        legend = (LegendItem("samples that differ, 0 to 50 %", "", playing.ramp_css()),)
        panels = [Panel("Picture", (base,)), Panel("Disagreement", (layer,))]
        return maps.side_by_side_html(panels, shared(result, legend))

    st.iframe(resources.html(key, build), height="content", alt=f"Uncertainty of {source.title}")
    mapped = result.labels != 255
    share = float((spread[mapped] > 0).mean()) if mapped.any() else 0.0
    frame.quiet(
        f"On {100 * share:.1f} % of the pixels at least one of {result.samples} samples has "
        "another class than the map."
    )
