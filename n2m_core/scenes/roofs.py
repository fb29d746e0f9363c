"""The surface of roofs: height, slope, material."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from n2m_core.scenes.canvas import Bools
from n2m_core.scenes.palette import ASH, GRASS, ROOFS, SOILS, pick
from n2m_core.scenes.scene import Building, Float, Wing
from n2m_core.scenes.textures import BANK_LAYERS, BANK_SIZE, noise_bank

SHEET_M = 0.85
METAL_SLOPE_SHADE = 0.5


@dataclass(eq=False)
class Surface:
    """A roof on the pixels of a window, all [h, w].

    Attributes:
        inside: footprint.
        top: height above ground, metres.
        slope_u: rise along u.
        slope_v: rise along v.
        edge: distance to the nearest edge, metres, positive inside.
    """

    inside: Bools
    top: Float
    slope_u: Float
    slope_v: Float
    edge: Float


def roof_surface(building: Building, u: Float, v: Float) -> Surface:
    """Compute the union of the wings' roofs; where they meet the higher one wins."""
    edge = np.full(u.shape, -np.inf, dtype=np.float32)
    rise = np.full(u.shape, -1.0, dtype=np.float32)
    slope_u = np.zeros(u.shape, dtype=np.float32)
    slope_v = np.zeros(u.shape, dtype=np.float32)
    for wing in building.wings:
        du, dv = u - np.float32(wing.u), v - np.float32(wing.v)
        in_u, in_v = wing.half_u - np.abs(du), wing.half_v - np.abs(dv)
        margin = np.minimum(in_u, in_v)
        edge = np.maximum(edge, margin)
        if building.roof == "flat":
            continue
        up, gu, gv = _facets(building, wing, (du, dv), (in_u, in_v))
        better = (margin > 0) & (up > rise)
        rise = np.where(better, up, rise)
        slope_u = np.where(better, gu, slope_u)
        slope_v = np.where(better, gv, slope_v)
    inside = edge > 0
    top = np.where(inside, np.float32(building.height_m) + np.maximum(rise, 0.0), 0.0)
    return Surface(inside, top.astype(np.float32), slope_u, slope_v, edge)


def _facets(
    building: Building, wing: Wing, local: tuple[Float, Float], inner: tuple[Float, Float]
) -> tuple[Float, Float, Float]:
    """Rise and slopes of a pitched roof over one wing."""
    slope = np.float32(building.slope)
    zero = np.zeros_like(local[0])
    if building.roof == "shed":
        return slope * (local[1] + np.float32(wing.half_v)), zero, zero + slope
    down_u, down_v = -slope * np.sign(local[0]), -slope * np.sign(local[1])
    if building.roof == "gable":
        if wing.half_u >= wing.half_v:
            return slope * inner[1], zero, down_v
        return slope * inner[0], down_u, zero
    ends = inner[0] < inner[1]
    return (
        slope * np.minimum(inner[0], inner[1]),
        np.where(ends, down_u, zero),
        np.where(ends, zero, down_v),
    )


def patch_noise(rng: np.random.Generator, shape: tuple[int, int]) -> Float:
    """Cut noise at pixel scale for a window: float32 [h, w]."""
    row, col = (int(n) for n in rng.integers(0, BANK_SIZE, size=2))
    layer = noise_bank()[int(rng.integers(BANK_LAYERS))]
    if row + shape[0] <= BANK_SIZE and col + shape[1] <= BANK_SIZE:
        return np.asarray(layer[row : row + shape[0], col : col + shape[1]])
    rows = (row + np.arange(shape[0])) % BANK_SIZE
    cols = (col + np.arange(shape[1])) % BANK_SIZE
    return np.asarray(layer[rows[:, None], cols[None, :]])


def roof_colour(
    rng: np.random.Generator, building: Building, surface: Surface, u: Float, v: Float, px_m: float
) -> Float:
    """Paint the material: float32 [h, w, 3] linear light."""
    noise = patch_noise(rng, u.shape)
    if building.burnt:
        return _ash(rng, noise)
    base = pick(rng, ROOFS[building.material], 0.09)
    if building.material == "unroofed":
        return _unroofed(rng, building, base, surface, (u, v))
    if building.material.startswith("metal"):
        return _metal(rng, building, base, (u, v), noise, px_m)
    along_v = building.wings[0].half_u >= building.wings[0].half_v
    if building.material in ("tile", "tile_dark", "shingle", "slate", "thatch"):
        across = v if along_v else u
        period = 0.34 if building.material.startswith("tile") else 0.5
        contrast = min(0.1, 0.1 * (period / max(2.2 * px_m, 1e-6)) ** 2)
        value = 1.0 + 0.09 * noise + contrast * np.sin(across * np.float32(2 * np.pi / period))
        colour = base * np.maximum(value, 0.3)[..., None]
        ridge = np.abs(surface.slope_u) + np.abs(surface.slope_v)
        return np.asarray(colour * (0.85 + 0.15 * (ridge > 0))[..., None], dtype=np.float32)
    return _flat(rng, building, base, surface, noise)


def _unroofed(
    rng: np.random.Generator,
    building: Building,
    base: Float,
    surface: Surface,
    local: tuple[Float, Float],
) -> Float:
    """Walls of a house without its roof around earthen rooms; lowers the rooms in place."""
    room = rng.uniform(2.6, 4.2, size=2).astype(np.float32)
    walls = surface.edge < 0.3
    walls |= (np.abs(local[0]) % room[0] < 0.25) | (np.abs(local[1]) % room[1] < 0.25)
    surface.top[surface.inside & ~walls] = 0.2
    floor = pick(rng, SOILS["brown"], 0.2)
    if rng.random() < 0.3:
        floor = pick(rng, GRASS, 0.1)
    return np.where(walls[..., None], base, floor).astype(np.float32)


def _ash(rng: np.random.Generator, noise: Float) -> Float:
    dark, light = pick(rng, ASH), pick(rng, ASH[2:])
    blend = np.clip(0.5 + 0.45 * noise, 0.0, 1.0)[..., None]
    return np.asarray(dark * (1 - blend) + light * blend, dtype=np.float32)


def _metal(
    rng: np.random.Generator,
    building: Building,
    base: Float,
    local: tuple[Float, Float],
    noise: Float,
    px_m: float,
) -> Float:
    """Sheets of their own brightness, some rusty or patched, with fine corrugation."""
    along_u = building.wings[0].half_u >= building.wings[0].half_v
    across, down = local if along_u else (local[1], local[0])
    length = np.float32(rng.uniform(1.8, 4.5))
    column = np.floor(across / np.float32(SHEET_M)).astype(np.int32) & 31
    row = np.floor(down / length).astype(np.int32) & 15
    spread = float(rng.choice([0.03, 0.08, 0.16], p=[0.5, 0.3, 0.2]))
    sheets = np.exp(rng.normal(0.0, spread, size=(32, 16))).astype(np.float32)
    tint = np.ones((32, 16, 3), dtype=np.float32) * base
    old = building.material in ("metal_old", "metal_rust", "metal_new")
    patched = float(rng.beta(0.5, 3.0)) if old else float(rng.beta(0.4, 12.0))
    other = ROOFS["metal_old" if building.material == "metal_rust" else "metal_rust"]
    swap = rng.random((32, 16)) < patched * 0.7
    tint[swap] = other[rng.integers(len(other), size=int(swap.sum()))]
    tint *= sheets[..., None]
    colour = tint[column, row]
    waves = min(0.1, 0.03 * (0.5 / max(px_m, 0.02)))
    value = 1.0 + np.float32(waves) * np.sin(across * np.float32(2 * np.pi / 0.42))
    value += np.float32(rng.uniform(0.02, 0.1)) * noise
    if old:
        rust = np.clip(noise * 0.8 - np.float32(rng.uniform(0.6, 2.4)), 0.0, 1.0)[..., None]
        colour = colour * (1 - 0.7 * rust) + other[0] * (0.7 * rust)
    return np.asarray(colour * np.maximum(value, 0.3)[..., None], dtype=np.float32)


def _flat(
    rng: np.random.Generator, building: Building, base: Float, surface: Surface, noise: Float
) -> Float:
    """Concrete or membrane: stains, a darker field, a rim of another brightness."""
    stained = float(rng.uniform(0.06, 0.22)) if building.material == "concrete" else 0.05
    value = 1.0 + stained * noise
    blotch = np.clip(noise - 0.9, 0.0, 1.0) * float(rng.uniform(0.0, 0.5))
    value = np.maximum(value - blotch, 0.35)
    colour = base * value[..., None]
    rim = (surface.edge < float(rng.uniform(0.15, 0.4)))[..., None]
    shade = float(rng.uniform(0.8, 1.3))
    return np.asarray(np.where(rim, colour * shade, colour), dtype=np.float32)
