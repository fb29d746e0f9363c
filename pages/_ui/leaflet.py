"""Folium maps as one self-contained HTML text: no CDN, no second port, no request of any kind.

Folium asks for Leaflet, jQuery, Bootstrap and icon fonts from content networks; behind a firewall
the map stays blank and nobody is told. Here Leaflet comes from the `XStatic-Leaflet` package and is
written into the page. A link that is not known makes `offline_html` raise, so that a plugin that
needs the network fails in a test and not in front of a person.
"""

from __future__ import annotations

import base64
import re
from functools import cache
from importlib.resources import files
from itertools import count
from typing import ClassVar

import folium
from branca.element import Element, Figure

LEAFLET_JS = "leaflet.js"
LEAFLET_CSS = "leaflet.css"
MAP_JS = "map.js"
MAP_CSS = "map.css"
PLAYER_JS = "player.js"
DESK_JS = "desk.js"

_SCRIPT = re.compile(r"<script[^>]*\bsrc=\"([^\"]+)\"[^>]*>\s*</script>", re.IGNORECASE)
_STYLESHEET = re.compile(r"<link[^>]*\bhref=\"([^\"]+)\"[^>]*/?>", re.IGNORECASE)
_CSS_URL = re.compile(r"url\(([^)]+)\)")
_SOURCE_MAP = re.compile(r"(//|/\*)# sourceMappingURL=.*")


class UnknownAssetError(Exception):
    """A map asks for a script or style that is not installed beside the app: a defect of ours."""


class OfflineMap(folium.Map):
    """A folium map whose only scripts are Leaflet and our own, all known to `offline_html`."""

    default_js: ClassVar[list[tuple[str, str]]] = [("leaflet", LEAFLET_JS), ("n2m_js", MAP_JS)]
    default_css: ClassVar[list[tuple[str, str]]] = [
        ("leaflet_css", LEAFLET_CSS),
        ("n2m_css", MAP_CSS),
    ]


def offline_html(figure: Figure) -> str:
    """Render a figure of maps to HTML that needs nothing else.

    Args:
        figure: the root of one or more `OfflineMap`s.

    Returns:
        The page; the same figure always gives the same text, so that a rerun reloads nothing.

    Raises:
        UnknownAssetError: a script or stylesheet is linked that is not installed here.
    """
    _number(figure)
    page: str = figure.render()
    page = _SCRIPT.sub(lambda hit: f"<script>{_script(hit.group(1))}</script>", page)
    return _STYLESHEET.sub(lambda hit: f"<style>{_style(hit.group(1))}</style>", page)


def _number(figure: Figure) -> None:
    """Replace folium's random element ids by their order in the tree."""
    numbers = count()
    waiting: list[Element] = [figure]
    while waiting:
        element = waiting.pop(0)
        element._id = f"{next(numbers):04d}"
        waiting.extend(element._children.values())


@cache
def _script(name: str) -> str:
    """Read a script by the name it is linked by, safe inside a script element."""
    text = _SOURCE_MAP.sub("", _read(name, {LEAFLET_JS}, {MAP_JS, PLAYER_JS, DESK_JS}))
    return text.replace("</script", "<\\/script")


@cache
def _style(name: str) -> str:
    """Read a stylesheet with its pictures written in as data."""
    text = _read(name, {LEAFLET_CSS}, {MAP_CSS})
    return _CSS_URL.sub(_inline_picture, text)


def _read(name: str, leaflet: set[str], own: set[str]) -> str:
    """Read one known asset.

    Raises:
        UnknownAssetError: the name is neither Leaflet's nor ours.
    """
    if name in leaflet:
        return (files("xstatic.pkg.leaflet") / "data" / name).read_text(encoding="utf-8")
    if name in own:
        return (files("pages._ui") / "assets" / name).read_text(encoding="utf-8")
    raise UnknownAssetError(f"The map links {name}, which is not installed; add it to leaflet.py.")


def _inline_picture(hit: re.Match[str]) -> str:
    """Turn one `url(...)` of a stylesheet into a data URI."""
    target = hit.group(1).strip("'\"")
    if target.startswith(("#", "data:")):
        return hit.group(0)
    picture = files("xstatic.pkg.leaflet") / "data" / target
    if not picture.is_file():
        raise UnknownAssetError(f"The map's stylesheet asks for {target}, which is not installed.")
    data = base64.b64encode(picture.read_bytes()).decode("ascii")
    return f"url(data:image/png;base64,{data})"
