"""Folium elements of our own: each is one call of a function in `assets/*.js` on its map or maps.

Folium's swipe plugin does not work with image overlays, its paired map and time slider need content
networks; these few calls replace them and run in the browser alone, without a rerun of the page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import ClassVar

from branca.element import MacroElement
from folium import Map
from folium.elements import JSCSSMixin
from folium.template import Template

from pages._ui.leaflet import DESK_JS, PLAYER_JS

Json = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]

_UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def script_json(value: Json) -> str:
    """Write a value as JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=False)
    for bad, good in _UNSAFE.items():
        text = text.replace(bad, good)
    return text


class MapCall(MacroElement):
    """One call `n2m.<function>(map, options)` on the map that the element is added to."""

    _template = Template(
        "{% macro script(this, kwargs) %}"
        "n2m.{{ this.function }}({{ this._parent.get_name() }}, {{ this.options }});\n"
        "{% endmacro %}"
    )

    def __init__(self, function: str, options: Mapping[str, Json]) -> None:
        """Keep the function's name in `assets/map.js` and its options."""
        super().__init__()
        self._name = "MapCall"
        self.function = function
        self.options = script_json(options)


class FigureCall(JSCSSMixin, MacroElement):
    """One call `n2m.<function>([maps], options)` over several maps of a figure."""

    _template = Template(
        "{% macro script(this, kwargs) %}"
        "n2m.{{ this.function }}([{{ this.names() }}], {{ this.options }});\n"
        "{% endmacro %}"
    )
    default_js: ClassVar[list[tuple[str, str]]] = []
    default_css: ClassVar[list[tuple[str, str]]] = []

    def __init__(self, function: str, maps: Sequence[Map], options: Mapping[str, Json]) -> None:
        """Keep the function's name, the maps in their order and the options."""
        super().__init__()
        self._name = "FigureCall"
        self.function = function
        self.maps = tuple(maps)
        self.options = script_json(options)

    def names(self) -> str:
        """The maps' names in the script, known only when the page is rendered."""
        return ", ".join(each.get_name() for each in self.maps)


class PlayerCall(FigureCall):
    """The timestep player under a row of maps whose overlays are its frames."""

    default_js: ClassVar[list[tuple[str, str]]] = [("n2m_player", PLAYER_JS)]


class DeskCall(JSCSSMixin, MapCall):
    """The review desk on a map, see `assets/desk.js`."""

    default_js: ClassVar[list[tuple[str, str]]] = [("n2m_desk", DESK_JS)]
    default_css: ClassVar[list[tuple[str, str]]] = []
