"""Full resolution on demand: the window in view of a scene too large to send whole.

A map carries an overview of at most `layers.MAX_PX`. When a person zooms in beyond it, the browser
asks the same server, by an unguessable token, for the window in view at the file's resolution.
"""

from __future__ import annotations

import base64
import math
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from n2m_core import raster_io
from n2m_core.errors import N2MError
from n2m_core.geo_image import GeoImage
from pages._ui import settings
from pages._ui.coloring import natural_bands
from pages._ui.kept import memory_bytes

WINDOW_PX = 1600
"""Longest side of a window sent, pixels: more than a map on the screen has."""
MOST_BYTES = 512 * 1024**2
"""Most that is decoded of a file for one look, a second or two; beyond it the map stays coarse."""
KEEP = 32
"""Scenes that can be asked for; the least recently asked is dropped, and its map stays coarse."""
_EDGE_POINTS = 17
_ROUNDING_PX = 1e-3

Encode = Callable[[GeoImage], str]
"""Makes a data URI of pixels that lie in the map's projection."""
Bounds = tuple[float, float, float, float]


class Grid(Protocol):
    """Rows and columns and their place on the ground, as a `GeoImage` and a `SceneHeader` have."""

    @property
    def crs(self) -> str | None:
        """The reference system; None without georeference."""

    @property
    def transform(self) -> Affine:
        """Pixel (column, row) corner to CRS units."""

    @property
    def height(self) -> int:
        """Rows."""

    @property
    def width(self) -> int:
        """Columns."""


@dataclass(frozen=True, eq=False)
class Detail:
    """A raster that can be asked for by windows, and how to encode what it gives.

    Attributes:
        image: the raster in memory, or the header of a scene that is read from its file.
        encode: makes a data URI.
        resampling: for the way to the map's projection.
    """

    image: GeoImage | raster_io.SceneHeader
    encode: Encode
    resampling: raster_io.Resampling

    def read(self, window: raster_io.Window) -> GeoImage:
        """Give a window; of a file at most twice the pixels a side that are sent."""
        if isinstance(self.image, GeoImage):
            return crop(self.image, window)
        return raster_io.read_scene(
            self.image,
            window,
            max_px=2 * WINDOW_PX,
            bands=natural_bands(self.image),
            most_bytes=MOST_BYTES,
        )


class Registry:
    """Rasters by token; tokens cannot be guessed and mean nothing elsewhere."""

    def __init__(self, keep: int = KEEP) -> None:
        """Start empty."""
        self._keep = keep
        self._held: OrderedDict[str, Detail] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, detail: Detail) -> str:
        """Offer a raster; gives its token."""
        token = secrets.token_urlsafe(16)
        with self._lock:
            self._held[token] = detail
            while len(self._held) > 1 and self._is_too_much():
                self._held.popitem(last=False)
        return token

    def _is_too_much(self) -> bool:
        """Whether there are too many, or too large ones, to keep."""
        seen = set[int]()
        held = sum(memory_bytes(each.image, seen) for each in self._held.values())
        return len(self._held) > self._keep or held > settings.keep_bytes() // 2

    def get(self, token: str) -> Detail | None:
        """The raster of a token, or None."""
        with self._lock:
            if token in self._held:
                self._held.move_to_end(token)
            return self._held.get(token)


OFFERED = Registry()


def window(image: Grid, bounds: Bounds, margin_px: int = 2) -> raster_io.Window | None:
    """Find the rows and columns that cover a view.

    Args:
        image: the raster.
        bounds: south, west, north, east of the view: degrees, or pixels (-row, column) for an image
            without georeference.
        margin_px: how much more on every side.

    Returns:
        Slices within the image; None when the view lies beside it.
    """
    south, west, north, east = bounds
    if image.crs is None:
        columns, rows = np.array([west, east]), np.array([-north, -south])
    else:
        y, x = np.meshgrid(
            np.linspace(south, north, _EDGE_POINTS), np.linspace(west, east, _EDGE_POINTS)
        )
        to_image = Transformer.from_crs("EPSG:4326", image.crs, always_xy=True)
        x, y = to_image.transform(x.ravel(), y.ravel())
        inverse = ~image.transform
        columns = inverse.a * np.asarray(x) + inverse.b * np.asarray(y) + inverse.c
        rows = inverse.d * np.asarray(x) + inverse.e * np.asarray(y) + inverse.f
    if not (np.isfinite(rows).all() and np.isfinite(columns).all()):
        return None
    found = _within(rows, image.height, margin_px), _within(columns, image.width, margin_px)
    return None if found[0] is None or found[1] is None else (found[0], found[1])


def _within(places: NDArray[np.float64], length: int, margin_px: int) -> slice | None:
    """The whole pixels around some places; a rounding error does not add one."""
    first = max(0, math.floor(float(places.min()) + _ROUNDING_PX) - margin_px)
    last = min(length, math.ceil(float(places.max()) - _ROUNDING_PX) + margin_px)
    return slice(first, last) if first < last else None


def cut(detail: Detail, bounds: Bounds) -> tuple[str, list[list[float]]] | None:
    """Make the picture of a view at the file's resolution, as data URI and bounds."""
    found = window(detail.image, bounds)
    if found is None:
        return None
    part = detail.read(found)
    if part.is_georeferenced:
        warped, (south, west, north, east) = raster_io.to_web_mercator(
            part, max_px=WINDOW_PX, resampling=detail.resampling
        )
        return detail.encode(warped), [[south, west], [north, east]]
    shrink = max(part.height, part.width) / WINDOW_PX
    if shrink > 1:
        size = (max(1, round(side / shrink)) for side in (part.height, part.width))
        part = raster_io.resample(part, *size, resampling=detail.resampling)
    rows, columns = found
    corners = [[-float(rows.stop), float(columns.start)], [-float(rows.start), float(columns.stop)]]
    return detail.encode(part), corners


def crop(image: GeoImage, window: tuple[slice, slice]) -> GeoImage:
    """Cut rows and columns out of an image, which keep their place on the ground."""
    rows, columns = window
    return replace(
        image,
        pixels=image.pixels[:, rows, columns],
        valid=image.valid[rows, columns],
        transform=image.transform @ Affine.translation(columns.start, rows.start),
    )


def answer(request: Request) -> Response:
    """Answer a request for the window in view; runs in a thread of the server."""
    detail = OFFERED.get(request.path_params["token"])
    try:
        south, west, north, east = (float(request.query_params[name]) for name in "swne")
        made = None if detail is None else cut(detail, (south, west, north, east))
    except (KeyError, ValueError, N2MError):
        return JSONResponse({}, status_code=400)
    if made is None:
        return JSONResponse({}, status_code=404)
    url, bounds = made
    return JSONResponse(
        {"url": url, "bounds": bounds}, headers={"Cache-Control": "private, max-age=600"}
    )


def data_uri(kind: str, data: bytes) -> str:
    """Write encoded bytes as a data URI."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
