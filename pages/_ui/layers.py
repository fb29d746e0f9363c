"""From rasters to overlays: decimate, warp, encode, write into the page as data.

A raster is warped to the maps' projection (EPSG:3857); stretching its pixels over their box in
degrees instead would be wrong by up to kilometres. An image without georeference is laid out in
pixel coordinates, row 0 on top.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from n2m_core import raster_io, render
from n2m_core.geo_image import GeoImage
from pages._ui.coloring import overview_coloring
from pages._ui.detail import OFFERED, Detail, data_uri

MAX_PX = 2048
"""Longest side of an overlay, pixels: 2048 as WebP is about 0.6 MB."""

Role = Literal["base", "mask", "frame"]
Bounds = tuple[tuple[float, float], tuple[float, float]]
Rgb = tuple[int, int, int]


@dataclass(frozen=True)
class Layer:
    """One picture on a map.

    Attributes:
        title: what it shows.
        url: the picture as a data URI.
        bounds: south-west and north-east corner, degrees; (-rows, 0), (0, columns) in pixel space.
        role: "base" is imagery, "mask" follows the opacity control, "frame" only the player.
        crisp: whether single pixels stay sharp when the map is zoomed in.
        token: names the full resolution to the server; empty when the picture is it already.
    """

    title: str
    url: str
    bounds: Bounds
    role: Role
    crisp: bool = False
    token: str = ""


def image_layer(
    title: str,
    image: GeoImage,
    rgb: NDArray[np.uint8],
    max_px: int = MAX_PX,
    *,
    quality: int = 85,
) -> Layer:
    """Lay an RGB picture of an image (uint8 [H, W, 3]) on the map."""

    def encode(drawn: GeoImage) -> str:
        """Encode with the missing pixels transparent."""
        alpha = np.where(drawn.valid, 255, 0).astype(np.uint8)
        rgba = np.dstack([np.moveaxis(drawn.pixels, 0, -1), alpha])
        return data_uri("webp", render.encode_webp(rgba, quality=quality))

    names = ("red", "green", "blue")
    whole = Detail(image.with_pixels(np.moveaxis(rgb, -1, 0), names), encode, "average")
    return _layer(title, whole, max_px, "base", crisp=False)


def scene_layer(title: str, header: raster_io.SceneHeader, overview: GeoImage) -> Layer:
    """Lay the overview of a scene on the map; zoomed in, its file gives the detail.

    Args:
        title: what it shows.
        header: of the scene.
        overview: the whole scene with few pixels, its natural bands alone.
    """
    stretch = overview_coloring(overview)

    def encode(drawn: GeoImage) -> str:
        """Encode in the overview's own stretch, the missing pixels transparent."""
        alpha = np.where(drawn.valid, 255, 0).astype(np.uint8)
        rgba = np.dstack([stretch.rgb(drawn.pixels.astype(np.float32)), alpha])
        return data_uri("webp", render.encode_webp(rgba, quality=80))

    drawn, bounds = _warp(overview, MAX_PX, "average")
    if not header.is_georeferenced:
        bounds = ((-float(header.height), 0.0), (0.0, float(header.width)))
    token = OFFERED.add(Detail(header, encode, "average"))
    return Layer(title, encode(drawn), bounds, "base", token=token)


def mask_layer(
    title: str,
    image: GeoImage,
    labels: NDArray[np.uint8],
    colors: Mapping[int, Rgb],
    *,
    role: Role = "mask",
    max_px: int = MAX_PX,
) -> Layer:
    """Lay a class map of an image (uint8 [H, W], 255 transparent) on the map."""

    def encode(drawn: GeoImage) -> str:
        """Encode with the missing pixels transparent."""
        shown = np.where(drawn.valid, drawn.pixels[0], 255).astype(np.uint8)
        return data_uri("png", render.encode_palette_png(shown, colors))

    whole = Detail(image.with_pixels(labels[None], ("class",)), encode, "nearest")
    return _layer(title, whole, max_px, role, crisp=True)


def _layer(title: str, whole: Detail, max_px: int, role: Role, *, crisp: bool) -> Layer:
    """Draw the overview of a raster; a larger one can be asked for by windows."""
    drawn, bounds = _warp(whole.image, max_px, whole.resampling)
    is_larger = max(whole.image.height, whole.image.width) > max_px == MAX_PX
    token = OFFERED.add(whole) if is_larger else ""
    return Layer(title, whole.encode(drawn), bounds, role, crisp, token)


def _warp(
    placed: GeoImage, max_px: int, resampling: raster_io.Resampling
) -> tuple[GeoImage, Bounds]:
    """Bring an image to the map's projection, at most `max_px` a side."""
    if placed.is_georeferenced:
        warped, (south, west, north, east) = raster_io.to_web_mercator(
            placed, max_px=max_px, resampling=resampling
        )
        return warped, ((south, west), (north, east))
    bounds = ((-float(placed.height), 0.0), (0.0, float(placed.width)))
    shrink = max(placed.height, placed.width) / max_px
    if shrink <= 1:
        return placed, bounds
    height, width = (max(1, round(side / shrink)) for side in (placed.height, placed.width))
    return raster_io.resample(placed, height, width, resampling=resampling), bounds
