"""Which area of a large scene a session looks at: drawn, typed, or the middle at first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from n2m_core.errors import N2MError
from n2m_core.raster_io import Window
from pages._ui import areas, clicks, state, uploads
from pages._ui.areas import Scene
from pages._ui.callbacks import whole

if TYPE_CHECKING:
    from pages._ui.inputs import Source

FIELDS = ("First row", "First column", "Rows", "Columns")


def token(scene: Scene) -> str:
    """Names the scene between its map and the page."""
    return f"area.{scene.id}"


def field_key(scene: Scene, name: str) -> str:
    """The key of one of the typed fields."""
    return f"area.w.{name}.{scene.id}"


def window_of(scene: Scene) -> Window:
    """The area that is looked at."""
    window: Window = st.session_state[f"{token(scene)}.window"]
    return window


def problem_of(scene: Scene) -> N2MError | None:
    """Why the last wish could not be met."""
    problem: N2MError | None = st.session_state.get(f"{token(scene)}.problem")
    return problem


def was_too_large(scene: Scene) -> bool:
    """Whether the middle of a larger wish was taken."""
    return bool(st.session_state.get(f"{token(scene)}.too_large"))


def begin(source: Source) -> Source:
    """Give a large scene its first area.

    Raises:
        N2MError: it cannot be cut out.
    """
    assert source.scene is not None
    window, _ = areas.fitted(source.scene.header, areas.first_area(source.scene))
    return _on(source, source.scene, window)


@whole
def ask(scene: Scene) -> None:
    """Take the typed fields as the wish; called when they are sent."""
    row, column, rows, columns = (int(st.session_state[field_key(scene, name)]) for name in FIELDS)
    wish = slice(row, row + rows), slice(column, column + columns)
    st.session_state[f"{token(scene)}.wish"] = wish


def follow(source: Source) -> Source:
    """The source on the area that was asked for since the last run, if one was."""
    scene = source.scene
    if scene is None:
        return source
    wish: Window | None = st.session_state.pop(f"{token(scene)}.wish", None)
    box = clicks.drawn(token(scene))
    if box is not None:
        wish = areas.moved(scene, window_of(scene), box)
    if wish is None:
        return source
    st.session_state[f"{token(scene)}.problem"] = None
    window, too_large = areas.fitted(scene.header, wish)
    st.session_state[f"{token(scene)}.too_large"] = too_large
    try:
        moved = _on(source, scene, window)
    except N2MError as error:
        st.session_state[f"{token(scene)}.problem"] = error
        return source
    for task in ("segment", "change"):
        own: list[Source] = st.session_state.get(f"{task}.own", [])
        st.session_state[f"{task}.own"] = [moved if each.id == source.id else each for each in own]
    for path in {*source.paths} - {*moved.paths}:
        path.unlink(missing_ok=True)
    return moved


def _on(source: Source, scene: Scene, window: Window) -> Source:
    """The source on another area, which is cut out, and the fields that say so."""
    with st.spinner("Cutting the area out"):
        paths = areas.cut(scene, window, uploads.folder())
    st.session_state[f"{token(scene)}.window"] = window
    rows, columns = window
    values = (rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)
    for name, value in zip(FIELDS, values, strict=True):
        state.put(field_key(scene, name), value)
    before = paths[0] if len(paths) == 2 else None
    return replace(source, image=paths[-1], before=before, note=areas.text_of(scene, window))
