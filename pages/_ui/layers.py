"""From rasters to overlays: decimate, warp, encode, write into the page as data.

A raster is warped to the maps' projection (EPSG:3857); stretching its pixels over their box in
degrees instead would be wrong by up to kilometres. An image without georeference is laid out in
pixel coordinates, row 0 on top.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from n2m_core import raster_io, render
from n2m_core.geo_image import GeoImage

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
    """

    title: str
    url: str
    bounds: Bounds
    role: Role
    crisp: bool = False


def image_layer(
    title: str,
    image: GeoImage,
    rgb: NDArray[np.uint8],
    max_px: int = MAX_PX,
    *,
    quality: int = 85,
) -> Layer:
    """Lay an RGB picture of an image (uint8 [H, W, 3]) on the map."""
    drawn, bounds = _warp(image, np.moveaxis(rgb, -1, 0), max_px, "average")
    alpha = np.where(drawn.valid, 255, 0).astype(np.uint8)
    rgba = np.dstack([np.moveaxis(drawn.pixels, 0, -1), alpha])
    return Layer(
        title, _data_uri("webp", render.encode_webp(rgba, quality=quality)), bounds, "base"
    )


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
    drawn, bounds = _warp(image, labels[None], max_px, "nearest")
    shown = np.where(drawn.valid, drawn.pixels[0], 255).astype(np.uint8)
    return Layer(
        title, _data_uri("png", render.encode_palette_png(shown, colors)), bounds, role, crisp=True
    )


def _warp(
    image: GeoImage,
    pixels: NDArray[np.uint8],
    max_px: int,
    resampling: Literal["nearest", "bilinear", "average"],
) -> tuple[GeoImage, Bounds]:
    """Bring pixels on an image's grid to the map's projection, at most `max_px` a side."""
    names = tuple(f"band {i + 1}" for i in range(pixels.shape[0]))
    placed = image.with_pixels(pixels, names)
    if image.is_georeferenced:
        warped, (south, west, north, east) = raster_io.to_web_mercator(
            placed, max_px=max_px, resampling=resampling
        )
        return warped, ((south, west), (north, east))
    bounds = ((-float(image.height), 0.0), (0.0, float(image.width)))
    shrink = max(image.height, image.width) / max_px
    if shrink <= 1:
        return placed, bounds
    height, width = (max(1, round(side / shrink)) for side in (image.height, image.width))
    return raster_io.resample(placed, height, width, resampling=resampling), bounds


def _data_uri(kind: str, data: bytes) -> str:
    """Write encoded bytes as a data URI."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
