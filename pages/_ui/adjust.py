"""The choices behind the "Adjust" button, and the view over the map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from n2m_core.geo_image import GeoImage
from pages._ui import basemaps, resources, state
from pages._ui.compute import Choices, Stretch
from pages._ui.inputs import Source
from pages._ui.maps import Basemap

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard

VIEWS = ("Side by side", "Swipe", "Overlay")
STRETCHES: dict[Stretch, str] = {
    "percentile": "2 to 98 %",
    "minmax": "least to most",
    "none": "as stored",
}
DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class Look:
    """How the map is shown: one of `VIEWS`, and the tiles under it."""

    view: str
    basemap: Basemap | None


def has_background(card: CheckpointCard) -> bool:
    """Whether the first class means "nothing here", so that a threshold makes sense."""
    return card.task == "change" or len(card.classes) == 2


def bar(
    page: str, source: Source, card: CheckpointCard, asked_t: str | None
) -> tuple[Choices, Look]:
    """The row above the map: the view on the left, the choices behind a button on the right."""
    image = resources.image(source.image)
    with st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
    ):
        view = st.segmented_control(
            "View",
            VIEWS,
            key=state.prepare(
                f"{page}.w.view", VIEWS[0] if source.before is None else VIEWS[1], VIEWS
            ),
            required=True,
            label_visibility="collapsed",
        )
        with st.popover("Adjust", icon=":material/tune:"):
            choices = Choices(
                timestep=_timestep(page, card, asked_t),
                threshold=_threshold(page, card),
                min_area_m2=_min_area(page, card),
                resolution_m=_resolution(source, image),
                bands=_bands(source, image),
                stretch=_stretch(page),
            )
            basemap = basemaps.pick(page) if image.is_georeferenced else None
    return choices, Look(state.keep(f"{page}.w.view", view or VIEWS[0]), basemap)


def _timestep(page: str, card: CheckpointCard, asked: str | None) -> int | None:
    """The denoising step; None when it is the checkpoint's own."""
    key = f"{page}.w.t.{card.id}"
    if asked is not None and asked.isdigit() and int(asked) <= 999:
        state.put(key, int(asked))
    own = card.inference_timestep
    picked = st.slider(
        "Denoising step t",
        0,
        999,
        key=state.prepare(key, own),
        help="0 is the clean image, 999 almost pure noise. "
        f"These weights make their maps at t = {own}.",
    )
    return None if state.keep(key, picked) == own else picked


def _threshold(page: str, card: CheckpointCard) -> float | None:
    """The least probability of the target; None for the likeliest class."""
    if not has_background(card):
        return None
    key = f"{page}.w.threshold"
    picked = st.slider(
        "Probability threshold",
        0.05,
        0.95,
        step=0.05,
        key=state.prepare(key, DEFAULT_THRESHOLD),
        help=f"Least probability of {' or '.join(c.name for c in card.classes[1:])} to be mapped.",
    )
    return None if state.keep(key, picked) == DEFAULT_THRESHOLD else picked


def _min_area(page: str, card: CheckpointCard) -> float:
    """The smallest polygon that stays, m2."""
    if not has_background(card):
        return 0.0
    key = f"{page}.w.area"
    picked = st.number_input(
        "Smallest polygon (m²)", min_value=0.0, step=5.0, key=state.prepare(key, 0.0)
    )
    return state.keep(key, picked or 0.0)


def _resolution(source: Source, image: GeoImage) -> float | None:
    """The stated ground resolution of an image that does not say its own."""
    if image.is_georeferenced:
        return None
    key = f"resolution.{source.id}"
    picked = st.number_input(
        "Ground resolution (m per pixel)",
        min_value=0.0,
        step=0.1,
        format="%.2f",
        key=state.prepare(key, 0.0),
        help="The image does not say how large a pixel is on the ground. "
        "Leave 0 if you do not know; areas are in pixels then.",
    )
    return state.keep(key, picked or 0.0) or None


def _bands(source: Source, image: GeoImage) -> tuple[int, ...]:
    """The bands taken as red, green and blue; empty for the file's own order."""
    if image.bands <= 3:
        return ()
    options = list(range(1, image.bands + 1))
    picked = []
    for column, (place, color) in zip(
        st.columns(3), enumerate(("Red", "Green", "Blue")), strict=True
    ):
        key = f"band{place}.{source.id}"
        with column:
            band = st.selectbox(
                color,
                options,
                key=state.prepare(key, options[place], options),
                format_func=lambda each: f"{each} · {image.band_names[each - 1]}",
            )
        picked.append(state.keep(key, band))
    return tuple(picked)


def _stretch(page: str) -> Stretch:
    """How the picture's brightness is stretched; the network does not see it."""
    key = f"{page}.w.stretch"
    picked = st.selectbox(
        "Picture stretch",
        list(STRETCHES),
        key=state.prepare(key, "percentile", list(STRETCHES)),
        format_func=lambda each: STRETCHES[each],
        help="For the eye only: the network has its own normalisation.",
    )
    return state.keep(key, picked)
