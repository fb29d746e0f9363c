"""Between the desk's map and Python: a scene goes out, what the person does there comes in.

The map lives in a frame that is never reloaded. The component here posts the scene to it, passes
keys on that are pressed beside it, and hands one act at a time to Python. A key does nothing while
a field has the focus.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st
from branca.element import Figure

from pages._ui import resources
from pages._ui.callbacks import whole
from pages._ui.elements import DeskCall, MapCall
from pages._ui.leaflet import offline_html
from pages._ui.maps import Setting, new_map

Json = dict[str, Any]
TOKEN = "review"
KEY = "rev.bridge"
TOOL_KEYS = ("e", "d", "m", "Escape")
"""Keys that the frame knows by itself."""

_JS = """
export default function (component) {
  const { data, setTriggerValue, parentElement } = component;
  const frames = () => [...document.querySelectorAll("iframe")].map((each) => each.contentWindow);
  const post = (target, message) => target.postMessage({ ...message, token: data.token }, "*");
  const show = (target) => post(target, { n2m: "scene", scene: data.scene });
  const hear = ({ data: told, source }) => {
    if (!told || told.token !== data.token || !frames().includes(source)) return;
    if (told.n2m === "ready") show(source);
    if (told.n2m === "act") setTriggerValue("told", told.act);
  };
  const FIELDS = "input, textarea, select, [contenteditable=true], [role=combobox], [role=slider]";
  const press = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.target.closest && event.target.closest(FIELDS)) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (!data.keys.includes(key)) return;
    /* The app's own keys, such as R for another run, rest while the desk is open. */
    event.preventDefault();
    event.stopImmediatePropagation();
    frames().filter(Boolean).forEach((each) => post(each, { n2m: "press", key }));
  };
  /* Every rerun calls this again; the former listeners know the former scene. */
  if (parentElement.n2mLeave) parentElement.n2mLeave();
  addEventListener("message", hear);
  addEventListener("keydown", press, true);
  parentElement.n2mLeave = () => {
    removeEventListener("message", hear);
    removeEventListener("keydown", press, true);
  };
  frames().filter(Boolean).forEach(show);
  return parentElement.n2mLeave;
}
"""
_bridge = st.components.v2.component("n2m.review", js=_JS)


def show_map() -> None:
    """Show the desk's map, still empty; the same text on every run, so that it stays."""
    st.iframe(resources.html("review/desk", _html), height="content", alt="Desk of the review")


def _html() -> str:
    """The frame: a map in pixels with a swipe, and what `assets/desk.js` adds."""
    made = new_map(Setting(pixels=True))
    for name, height in (("n2mbase", 210), ("n2mleft", 220), ("n2mright", 221)):
        made.add_child(MapCall("pane", {"name": name, "z": height}))
    made.add_child(MapCall("swipe", {"left": "n2mleft", "right": "n2mright", "share": 0.5}))
    made.add_child(DeskCall("desk", {"token": TOKEN}))
    figure = Figure()
    figure.add_child(made)
    return offline_html(figure)


def connect(scene: Json, on_act: Callable[[Json], None]) -> None:
    """Put a scene on the map and hear what is done there.

    Args:
        scene: see `review_scene`, with `keys`, `session`, `turn` and `problem`.
        on_act: called with what the person did, before the page runs again.
    """

    @whole
    def hear() -> None:
        told = (st.session_state.get(KEY) or {}).get("told")
        if told:
            on_act(dict(told))

    keys = [*scene["keys"], *TOOL_KEYS]
    _bridge(key=KEY, data={"token": TOKEN, "scene": scene, "keys": keys}, on_told_change=hear)
