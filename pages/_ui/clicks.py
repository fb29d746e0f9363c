"""A pixel clicked or a rectangle drawn on a map: what Python hears of the maps.

A map lives in a frame of its own and is never reloaded by a rerun. It posts a clicked place or a
drawn box to the page; the small component here hands that to Python, and posts what was chosen back
to the maps, which show it. Without a mouse the fields for rows and columns do the same.
"""

from __future__ import annotations

import math

import streamlit as st

from n2m_core.geo_image import GeoImage

_JS = """
export default function (component) {
  const { data, setStateValue, parentElement } = component;
  const frames = () => [...document.querySelectorAll("iframe")].map((each) => each.contentWindow);
  const mark = (target) =>
    target.postMessage({ ...data, n2m: "mark" }, "*");
  const listen = ({ data: told, source }) => {
    if (!told || told.token !== data.token || !frames().includes(source)) return;
    if (told.n2m === "ready") mark(source);
    if (told.n2m === "click") setStateValue("place", [...told.place, told.at]);
    if (told.n2m === "area") setStateValue("box", [...told.box, told.at]);
    if (told.at) source.postMessage({ n2m: "heard", token: data.token, at: told.at }, "*");
  };
  /* Every rerun calls this again; the former listener knows the former pixel. */
  if (parentElement.n2mListen) window.removeEventListener("message", parentElement.n2mListen);
  parentElement.n2mListen = listen;
  window.addEventListener("message", listen);
  frames().filter(Boolean).forEach(mark);
  return () => window.removeEventListener("message", listen);
}
"""
_bridge = st.components.v2.component("n2m.clicks", js=_JS)

Pixel = tuple[int, int]
"""Row and column, counted from 0 in the upper left corner."""


def clicked(token: str, image: GeoImage) -> Pixel | None:
    """Give the pixel that was clicked since the last run of the page; None when none was.

    Args:
        token: as in `maps.Setting.clicks`.
        image: the raster that the maps show.
    """
    told = _news(token, "place")
    return None if told is None else pixel_at(image, told[0], told[1])


def drawn(token: str) -> tuple[float, float, float, float] | None:
    """Give the box that was drawn since the last run of the page; None when none was.

    Args:
        token: as in `maps.Setting.area`.

    Returns:
        South, west, north, east: degrees, or pixels (-row, column) without georeference.
    """
    told = _news(token, "box")
    return None if told is None else (told[0], told[1], told[2], told[3])


def listen_to_box(token: str, corners: list[list[float]]) -> None:
    """Hear boxes drawn on the map that carries a token, and outline the chosen area on it.

    Args:
        token: as in `maps.Setting.area`.
        corners: of the area, in the order in which they are joined, as (north, east).
    """
    _bridge(key=_key(token), data={"token": token, "corners": corners}, on_box_change=lambda: None)


def _news(token: str, name: str) -> list[float] | None:
    """What a map told, once."""
    told = (st.session_state.get(_key(token)) or {}).get(name)
    if told is None or told == st.session_state.get(f"{token}.seen"):
        return None
    st.session_state[f"{token}.seen"] = told
    return [float(each) for each in told]


def listen(token: str, image: GeoImage, pixel: Pixel) -> None:
    """Hear clicks on the maps that carry a token, and ring the chosen pixel on them."""
    data = {"token": token, "place": list(place_of(image, pixel))}
    _bridge(key=_key(token), data=data, on_place_change=lambda: None)


def _key(token: str) -> str:
    """Names the component's state."""
    return f"{token}.bridge"


def pixel_at(image: GeoImage, north: float, east: float) -> Pixel | None:
    """Find the pixel at a place of a map.

    Args:
        image: the raster.
        north: latitude in degrees; minus the row for an image without georeference.
        east: longitude in degrees; the column for an image without georeference.

    Returns:
        The pixel; None where the place lies beside the image.
    """
    row, column = -north, east
    if image.crs is not None:
        from pyproj import Transformer

        x, y = Transformer.from_crs("EPSG:4326", image.crs, always_xy=True).transform(east, north)
        column, row = ~image.transform @ (x, y)
    if not (math.isfinite(row) and math.isfinite(column)):
        return None
    found = math.floor(row), math.floor(column)
    return found if 0 <= found[0] < image.height and 0 <= found[1] < image.width else None


def place_of(image: GeoImage, pixel: Pixel) -> tuple[float, float]:
    """The place of a pixel's middle on a map, as `pixel_at` takes it."""
    row, column = pixel[0] + 0.5, pixel[1] + 0.5
    if image.crs is None:
        return -row, column
    from pyproj import Transformer

    x, y = image.transform @ (column, row)
    east, north = Transformer.from_crs(image.crs, "EPSG:4326", always_xy=True).transform(x, y)
    return float(north), float(east)
