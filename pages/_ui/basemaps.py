"""The tiles under a map. They are asked for by the browser, and only for georeferenced images."""

from __future__ import annotations

import re

import streamlit as st

from pages._ui import state
from pages._ui.maps import Basemap

PLAIN = "Plain ground"
STREETS = Basemap(
    "OpenStreetMap",
    "https://tile.openstreetmap.org/{z}/{x}/{y}.png",
    '&copy; <a href="https://www.openstreetmap.org/copyright" target="_blank">'
    "OpenStreetMap contributors</a>",
)
MORE = "More basemaps…"
_EARTH_WIDE = ("Esri.WorldImagery", "Esri.WorldTopoMap", "OpenTopoMap", "CartoDB.Positron")


@st.cache_resource(show_spinner="Opening the basemap catalogue")
def _catalogue() -> dict[str, Basemap]:
    """The basemaps of leafmap's catalogue that need no key; leafmap takes seconds to import."""
    from leafmap.basemaps import get_xyz_dict

    found = {}
    for name, provider in get_xyz_dict().items():
        url = str(provider.build_url())
        if set(re.findall(r"{(.*?)}", url)) != {"x", "y", "z"}:
            continue
        attribution = str(provider.get("html_attribution") or provider.get("attribution") or name)
        found[name] = Basemap(name, url, attribution, int(provider.get("max_zoom", 19)))
    return found


def pick(page: str) -> Basemap | None:
    """Let the person choose what lies under the picture."""
    known = {PLAIN: None, STREETS.name: STREETS}
    key, more = f"{page}.w.basemap", f"{page}.w.basemap.more"
    options = [STREETS.name, PLAIN, MORE]
    picked = state.keep(
        key,
        st.selectbox(
            "Basemap",
            options,
            key=state.prepare(key, STREETS.name, options),
            help="Loaded by your browser from the named service when there is internet.",
        ),
    )
    if picked != MORE:
        return known[picked]
    catalogue = _catalogue()
    first = next((name for name in _EARTH_WIDE if name in catalogue), next(iter(catalogue)))
    name = st.selectbox(
        "Catalogue", list(catalogue), key=state.prepare(more, first, list(catalogue))
    )
    return catalogue[state.keep(more, name)]
