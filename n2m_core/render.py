"""Arrays become pictures: stretched colours, coloured classes, encoded images.

Pictures are uint8 [H, W, 3] (RGB) or [H, W, 4] (RGBA), 0..255.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from n2m_core.errors import BandError, ParameterError
from n2m_core.geo_image import GeoImage
from n2m_core.normalize import STRETCH_PERCENTILES, percentile_limits

Picture = NDArray[np.uint8]
Color = tuple[int, int, int]
Stretch = Literal["none", "percentile", "minmax"]
NOT_SHOWN = 255
"""The class index of pixels without data."""
WEBP_LIMIT_PX = 16_383
"""Longest side that the WebP format can hold."""
CAPTION_PX = 22
GAP_PX = 4
INK, PAPER = (32, 33, 36), (255, 255, 255)


def hex_to_rgb(text: str) -> Color:
    """Read a colour such as "#3c1098".

    Raises:
        ParameterError: the text is no colour.
    """
    if not re.fullmatch(r"#?[0-9a-fA-F]{6}", text):
        raise ParameterError(f"Colour {text!r} is not of the form #rrggbb, such as #3c1098.")
    digits = text.lstrip("#")
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


def to_rgb(
    image: GeoImage,
    *,
    bands: Sequence[int] = (1, 2, 3),
    stretch: Stretch = "percentile",
) -> Picture:
    """Show three bands as red, green and blue.

    8-bit bands are stretched together, which keeps their colours; bands of other dtypes one by one,
    as they are for the networks.

    Args:
        image: any real dtype.
        bands: three bands, or one for grey, counted from 1; images of one or two bands show their
            first as grey whatever the default asks.
        stretch: "percentile" cuts 2 % at each end, "minmax" none, over the valid pixels; "none"
            takes 0..255, the whole range of wider integers, or 0..1 for floats.

    Returns:
        uint8 [H, W, 3], black where not valid.

    Raises:
        BandError: bands that the image lacks, or neither one nor three.
        ParameterError: an unknown stretch.
    """
    chosen = (1,) if image.bands < 3 and tuple(bands) == (1, 2, 3) else tuple(bands)
    if len(chosen) not in (1, 3) or any(not 1 <= band <= image.bands for band in chosen):
        raise BandError(
            f"Bands {','.join(map(str, chosen))} can't be shown: the image has {image.bands}; "
            "choose one or three of them, counted from 1."
        )
    pixels = image.pixels[[band - 1 for band in chosen]]
    limits = _limits(image, pixels, stretch)
    shown = np.zeros((*image.valid.shape, 3), np.uint8)
    for target, (band, (low, high)) in enumerate(zip(pixels, limits, strict=True)):
        shown[..., target] = _to_bytes(band, low, high)
    if len(chosen) == 1:
        shown[:] = shown[..., :1]
    shown[~image.valid] = 0
    return shown


def _to_bytes(band: NDArray[Any], low: float, high: float) -> Picture:
    """Map low to 0 and high to 255; one value alone becomes grey."""
    if band.dtype.kind == "u" and band.dtype.itemsize <= 2:
        # A table of all values that the dtype has is far smaller than a scene.
        values = np.arange(np.iinfo(band.dtype).max + 1)
        table = _to_bytes(values.astype(np.float64), low, high)
        return np.take(table, band)
    share = (band - low) / (high - low) if high > low else np.full(band.shape, 0.5)
    shown: Picture = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return shown


def _limits(image: GeoImage, pixels: NDArray[Any], stretch: Stretch) -> NDArray[np.float64]:
    """Find what becomes black and white in each band, float64 [C, 2]."""
    if stretch == "none":
        top = np.iinfo(pixels.dtype).max if pixels.dtype.kind in "ui" else 1
        return np.tile([0.0, float(top)], (len(pixels), 1))
    if stretch not in ("percentile", "minmax"):
        raise ParameterError(f"Stretch {stretch!r} is unknown; choose none, percentile or minmax.")
    low, high = STRETCH_PERCENTILES if stretch == "percentile" else (0.0, 100.0)
    limits = percentile_limits(pixels, image.valid, low=low, high=high)
    if pixels.dtype == np.uint8:
        limits[:] = limits[:, 0].min(), limits[:, 1].max()
    return limits


def colorize(labels: NDArray[np.uint8], colors: Mapping[int, Color]) -> Picture:
    """Colour a class map.

    Args:
        labels: uint8 [H, W]; 255 and classes without a colour become transparent.
        colors: class to red, green, blue.

    Returns:
        uint8 [H, W, 4].
    """
    table = np.zeros((256, 4), np.uint8)
    for index, color in colors.items():
        if 0 <= index < NOT_SHOWN:
            table[index] = (*color, 255)
    return table[labels]


def encode_png(picture: Picture) -> bytes:
    """Encode uint8 [H, W], [H, W, 3] or [H, W, 4] without loss."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(stream, "PNG")
    return stream.getvalue()


def encode_webp(picture: Picture, *, quality: int = 85) -> bytes:
    """Encode a picture small enough for a web page.

    Args:
        picture: uint8 [H, W, 3] or [H, W, 4].
        quality: 1..100; 85 takes about a tenth of a PNG.

    Raises:
        ParameterError: a side longer than the format can hold.
    """
    if max(picture.shape[:2]) > WEBP_LIMIT_PX:
        raise ParameterError(
            f"The picture is {picture.shape[1]} x {picture.shape[0]} px and WebP holds "
            f"{WEBP_LIMIT_PX} at most; make it smaller."
        )
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(stream, "WEBP", quality=quality)
    return stream.getvalue()


def encode_palette_png(labels: NDArray[np.uint8], colors: Mapping[int, Color]) -> bytes:
    """Encode a class map as a palette PNG, a quarter of the size of its RGBA picture.

    Args:
        labels: uint8 [H, W]; 255 and classes without a colour become transparent.
        colors: class to red, green, blue.
    """
    drawn = [index for index in colors if 0 <= index < NOT_SHOWN]
    # Few palette entries take few bits a pixel, so classes are renumbered; the last one is clear.
    numbers = np.full(256, len(drawn), np.uint8)
    numbers[drawn] = np.arange(len(drawn))
    picture = Image.fromarray(numbers[labels])
    picture.putpalette([channel for index in drawn for channel in colors[index]] + [0, 0, 0])
    stream = io.BytesIO()
    picture.save(stream, "PNG", transparency=bytes([255] * len(drawn) + [0]))
    return stream.getvalue()


def side_by_side(images: Sequence[Picture], labels: Sequence[str] = ()) -> Picture:
    """Put pictures in a row with a caption above each.

    Args:
        images: uint8 [H, W, 3] each; lower ones are filled up with white.
        labels: captions, one a picture, or none at all.

    Returns:
        uint8 [H, W, 3].

    Raises:
        ParameterError: no picture, or another number of captions.
    """
    if not images or len(labels) not in (0, len(images)):
        raise ParameterError(
            f"{len(labels)} captions for {len(images)} pictures; give at least one picture and a "
            "caption for each."
        )
    top = CAPTION_PX if labels else 0
    height = top + max(picture.shape[0] for picture in images)
    width = sum(picture.shape[1] for picture in images) + GAP_PX * (len(images) - 1)
    sheet = Image.new("RGB", (width, height), PAPER)
    pen, left = ImageDraw.Draw(sheet), 0
    font = ImageFont.load_default(CAPTION_PX * 0.6)
    for number, picture in enumerate(images):
        sheet.paste(Image.fromarray(np.ascontiguousarray(picture[..., :3])), (left, top))
        if labels:
            pen.text((left + GAP_PX, GAP_PX), labels[number], INK, font=font)
        left += picture.shape[1] + GAP_PX
    return np.asarray(sheet).copy()
