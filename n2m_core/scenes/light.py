"""Light the canvas by sun and sky, cast shadows, and look through haze, optics and a sensor.

A shadow is where the ray towards the sun meets something higher:
S(p) = max_k h(p + k d) - k tan(elevation) |d|, found for all k < 2^n by n doublings.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from scipy import ndimage

from n2m_core.scenes.canvas import Canvas
from n2m_core.scenes.scene import Appearance, Float, Labels
from n2m_core.scenes.textures import field, grain

PENUMBRA_M = 0.25
LONGEST_SHADOW_M = 160.0
OCCLUSION_M = 3.0
EXACT_STEPS = 8


def sun_vector(azimuth_deg: float, elevation_deg: float) -> tuple[float, float, float]:
    """Unit vector towards the sun: x to the right, y down the picture, z up."""
    az, el = np.deg2rad(azimuth_deg), np.deg2rad(elevation_deg)
    return (
        float(np.cos(el) * np.sin(az)),
        float(-np.cos(el) * np.cos(az)),
        float(np.sin(el)),
    )


def _shifted(values: Float, rows: int, cols: int) -> Float:
    """Read `values` at (row + rows, col + cols); beyond the border there is nothing high."""
    out = np.full_like(values, -1e3)
    h, w = values.shape
    if abs(rows) >= h or abs(cols) >= w:
        return out
    out[max(0, -rows) : h - max(0, rows), max(0, -cols) : w - max(0, cols)] = values[
        max(0, rows) : h - max(0, -rows), max(0, cols) : w - max(0, -cols)
    ]
    return out


def cast_shadows(height: Float, px_m: float, azimuth_deg: float, elevation_deg: float) -> Float:
    """Compute the share of the sun's disc that is visible.

    Args:
        height: metres, float32 [H, W].
        px_m: size of a pixel, metres.
        azimuth_deg: of the sun, clockwise from north.
        elevation_deg: of the sun above the horizon.

    Returns:
        float32 [H, W], 0 in full shadow to 1 in the sun.
    """
    sx, sy, _ = sun_vector(azimuth_deg, 0.0)
    drop = np.float32(px_m * np.tan(np.deg2rad(elevation_deg)))
    longest = min(float(height.max() - height.min()) / float(drop), LONGEST_SHADOW_M / px_m)
    # Exact first steps keep the shadows of thin things whole; the doublings then move whole runs.
    blocker = _shifted(height, round(sy), round(sx)) - drop
    for k in range(2, EXACT_STEPS + 1):
        near = _shifted(height, round(k * sy), round(k * sx)) - drop * np.float32(k)
        np.maximum(blocker, near, out=blocker)
    reach = EXACT_STEPS
    while reach < longest:
        far = _shifted(blocker, round(sy * reach), round(sx * reach)) - drop * np.float32(reach)
        np.maximum(blocker, far, out=blocker)
        reach *= 2
    over = (blocker - height) / np.float32(PENUMBRA_M)
    return np.asarray(1.0 - np.clip(over, 0.0, 1.0), dtype=np.float32)


def illuminate(canvas: Canvas, look: Appearance) -> Float:
    """Multiply colour by sunlight and skylight: float32 [H, W, 3] linear radiance."""
    sun = sun_vector(look.sun_azimuth_deg, look.sun_elevation_deg)
    visible = cast_shadows(canvas.height, canvas.px_m, look.sun_azimuth_deg, look.sun_elevation_deg)
    if look.clouds > 0:
        rng = np.random.default_rng([look.seed, 3])
        cloud = field(rng, canvas.shape, canvas.px_m, 60.0)
        visible *= 1.0 - np.float32(look.clouds) * np.clip(cloud * 2.0 - 1.0, 0.0, 1.0)
    facing = sun[2] - canvas.slope_x * np.float32(sun[0]) - canvas.slope_y * np.float32(sun[1])
    facing /= np.sqrt(1.0 + canvas.slope_x**2 + canvas.slope_y**2)
    direct = np.clip(facing, 0.0, None) * visible
    size = max(3, int(OCCLUSION_M / canvas.px_m) | 1)
    around = ndimage.uniform_filter(np.clip(canvas.height, 0.0, 9.0), size, mode="nearest")
    open_sky = np.clip(1.0 - 0.13 * np.clip(around - canvas.height, 0.0, 6.0), 0.25, 1.0)
    # Direct light is normalised to 1 on level ground, so that low sun does not darken the picture.
    direct *= np.float32((1.0 - look.sky) / max(sun[2], 0.2))
    ambient = open_sky * np.float32(look.sky)
    sun_rgb = np.array([1 + 0.1 * look.warmth, 1.0, 1 - 0.18 * look.warmth], dtype=np.float32)
    sky_rgb = np.array([0.86, 0.97, 1.2], dtype=np.float32)
    light = direct[..., None] * sun_rgb + ambient[..., None] * sky_rgb
    return np.asarray(canvas.albedo * light, dtype=np.float32)


def _averaged(radiance: Float, size: int) -> Float:
    """Average the 2 x 2 subpixels of every pixel: float32 [size, size, 3]."""
    if radiance.shape[0] == size:
        return radiance
    total = radiance[::2, ::2] + radiance[1::2, ::2]
    total += radiance[::2, 1::2]
    total += radiance[1::2, 1::2]
    return np.asarray(total * np.float32(0.25), dtype=np.float32)


def develop(radiance: Float, look: Appearance, size: int) -> Labels:
    """Turn radiance into a picture of `size` pixels: uint8 [H, W, 3].

    Args:
        radiance: linear light, float32 [h, w, 3], of `size` or twice as many pixels.
        look: haze, tone and sensor.
        size: rows and columns of the picture.
    """
    rng = np.random.default_rng([look.seed, 4])
    gains = np.array(look.white_balance, dtype=np.float32) * np.float32(look.exposure)
    veil = np.array([0.30, 0.33, 0.38], dtype=np.float32) * np.float32(look.haze)
    value = _averaged(radiance, size) * (gains * np.float32(1.0 - look.haze)) + veil
    if look.saturation != 1.0:
        grey = value.mean(axis=2, keepdims=True)
        value = grey + (value - grey) * np.float32(look.saturation)
    # A shoulder keeps bright metal from clipping flat.
    value = np.clip(value, 0.0, None)
    value = value * (1.0 + value * np.float32(0.3)) / (1.0 + value)
    value *= np.float32(1.35)
    table = (np.arange(4096, dtype=np.float32) / 4095.0) ** (1.0 / (2.2 * look.gamma))
    index = np.clip(value * np.float32(4095.0), 0, 4095).astype(np.uint16)
    out = _levelled((table * np.float32(255.0))[index], look)
    if any(look.shift_px):
        out = ndimage.shift(out, (*look.shift_px, 0.0), order=1, mode="nearest")
    if look.blur_px > 0.2:
        sigma = (look.blur_px, look.blur_px, 0.0)
        out = ndimage.gaussian_filter(out, sigma, mode="nearest", truncate=2.5)
    if look.sharpening > 0:
        soft = ndimage.gaussian_filter(out, (1.0, 1.0, 0.0), mode="nearest", truncate=2.0)
        out += np.float32(look.sharpening) * (out - soft)
    speckle = grain(rng, (size, size))[..., None] * np.float32(0.75)
    colour = np.stack([grain(rng, (size, size)) for _ in range(3)], axis=2) * np.float32(0.5)
    out += (speckle + colour) * np.float32(look.noise)
    picture = np.clip(out + 0.5, 0, 255).astype(np.uint8)
    return picture if look.jpeg_quality >= 100 else _compressed(picture, look.jpeg_quality)


def _levelled(display: Float, look: Appearance) -> Float:
    """Stretch grey levels [H, W, 3] to a wanted median and deviation, as published mosaics are.

    The stretch is bounded, so that a picture of nothing but water stays even.
    """
    grey = display.mean(axis=2, keepdims=True)
    sample = grey[::4, ::4]
    stretch = np.clip(look.contrast / max(float(sample.std()), 1.0), 0.8, 2.1)
    centre = float(np.median(sample))
    level = (grey - np.float32(centre)) * np.float32(stretch) + np.float32(look.brightness)
    # Colour follows only partly, or a stretched picture would glow.
    return np.asarray((display - grey) * np.float32(stretch**0.3) + level, dtype=np.float32)


def _compressed(picture: Labels, quality: int) -> Labels:
    """Pass a picture [H, W, 3] through JPEG, as most published imagery was."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="JPEG", quality=quality)
    return np.array(Image.open(buffer).convert("RGB"), dtype=np.uint8)
