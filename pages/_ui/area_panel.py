"""The whole of a large scene above the map of its area: draw or type another area, see its limits.

The overview is read once, in a worker; the rest of the page does not wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from n2m_core import raster_io
from n2m_core.geo_image import GeoImage, Progress
from pages._ui import (
    area_choice,
    areas,
    clicks,
    errors,
    frame,
    jobs,
    maps,
    resources,
    state,
)
from pages._ui.areas import Scene
from pages._ui.coloring import natural_bands
from pages._ui.layers import scene_layer
from pages._ui.maps import Basemap, Setting

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard
    from pages._ui.compute import Choices, Mapped
    from pages._ui.inputs import Source

OVERVIEW_PX = 1024
"""Longest side of the overview, pixels; zoomed in, the map asks for more."""


def show(
    page: str, source: Source, card: CheckpointCard, choices: Choices, basemap: Basemap | None
) -> None:
    """Show where the area lies in its scene, when the source is an area of one.

    To be called before the area's map is asked for: of one visitor's work the newest goes first,
    and the overview of a large file can take longer than the map.

    Args:
        page: the page's short name.
        source: what is looked at.
        card: the checkpoint.
        choices: go into the command for the whole scene.
        basemap: tiles under the overview.
    """
    scene = source.scene
    if scene is None:
        return
    with st.expander(f"Area of {errors.plain(scene.title)}", expanded=True):
        left, right = st.columns([3, 2], gap="medium")
        with left, errors.guard():
            _map(page, scene, basemap)
        with right:
            _fields(page, scene)
        st.caption("The whole scene, window by window, on the command line:")
        words = areas.command(scene, card.id, options_of(choices))
        st.code(words, language="bash", wrap_lines=True)


def tell_time(source: Source, mapped: Mapped) -> None:
    """Say how long the largest area takes, by the time that this one took."""
    if source.scene is None:
        return
    rows, columns = area_choice.window_of(source.scene)
    megapixels = (rows.stop - rows.start) * (columns.stop - columns.start) / 1e6
    most, seconds = areas.most_px(source.scene.header.pixel_bytes) / 1e6, mapped.result.seconds
    frame.quiet(
        f"This area has {megapixels:.2g} megapixels and took {clock(seconds)}; the largest, "
        f"{most:g} megapixels, takes about {clock(seconds * most / megapixels)} with these weights."
    )


def options_of(choices: Choices) -> list[str]:
    """A page's choices as words of the command line."""
    named = (
        ("--timestep", choices.timestep),
        ("--threshold", choices.threshold),
        ("--min-area", choices.min_area_m2 or None),
        ("--resolution", choices.resolution_m),
        ("--bands", ",".join(map(str, choices.bands)) or None),
    )
    return [word for name, value in named if value is not None for word in (name, f"{value}")]


def _map(page: str, scene: Scene, basemap: Basemap | None) -> None:
    """The overview with the area's outline; a rectangle can be drawn on it."""
    header, token = scene.header, area_choice.token(scene)

    def work(progress: Progress) -> GeoImage:
        """Read the overview; in the worker."""
        bands = natural_bands(header)
        return raster_io.read_scene(header, max_px=OVERVIEW_PX, bands=bands, progress=progress)

    overview = jobs.result_of(
        f"{page}.overview", f"overview/{scene.id}", "Reading the whole scene", work
    )
    if overview is None:
        return
    setting = Setting(not header.is_georeferenced, header.resolution_m, basemap=basemap, area=token)

    def build() -> str:
        """Draw the overview."""
        return maps.overlay_html([scene_layer("Scene", header, overview)], setting)

    html = resources.html(f"overview/{scene.id}/{basemap}", build)
    st.iframe(html, height="content", alt=f"All of {scene.title}")
    clicks.listen_to_box(token, areas.corners_of(header, area_choice.window_of(scene)))


def _fields(page: str, scene: Scene) -> None:
    """The area in numbers, and what limits it."""
    header = scene.header
    limits = (header.height - 1, header.width - 1, header.height, header.width)
    rows, columns = area_choice.window_of(scene)
    now = (rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)
    with st.form(f"{page}.area", border=False):
        pairs = st.columns(2), st.columns(2)
        for index, name in enumerate(area_choice.FIELDS):
            key = area_choice.field_key(scene, name)
            with pairs[index // 2][index % 2]:
                picked = st.number_input(
                    name,
                    0 if index < 2 else 1,
                    limits[index],
                    step=1,
                    key=state.prepare(key, now[index]),
                )
                state.keep(key, picked)
        st.form_submit_button("Map this area", on_click=area_choice.ask, args=(scene,))
    problem = area_choice.problem_of(scene)
    if problem is not None:
        errors.show(problem)
    most = areas.most_px(header.pixel_bytes) / 1e6
    if area_choice.was_too_large(scene):
        st.caption(f"That was more than {most:g} megapixels: the middle of it was taken.")
    text = f"Draw an area on the map or type it: at most {most:g} megapixels at a time."
    frame.quiet(_kind(scene), text)


def _kind(scene: Scene) -> str:
    """What the scene is, one sentence."""
    header = scene.header
    text = f"{header.width} x {header.height} px ({_size(scene.megapixels)} megapixels), "
    text += f"{len(header.band_names)} bands, {header.dtype}"
    if header.resolution_m is not None:
        text += f", {header.resolution_m:.3g} m per pixel"
    return f"{text}, {'no georeference' if header.crs is None else header.crs[:40]}."


def _size(megapixels: float) -> str:
    """Megapixels as a person says them."""
    return f"{megapixels:,.0f}" if megapixels >= 10 else f"{megapixels:.1f}"


def clock(seconds: float) -> str:
    """A time as a person says it."""
    if seconds < 99:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min"
