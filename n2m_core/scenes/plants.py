"""Crowns of trees as height fields, stamped from a small bank of sprites."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image

from n2m_core.scenes.canvas import Canvas
from n2m_core.scenes.palette import CANOPY, DRY_CANOPY, PALM
from n2m_core.scenes.scene import BUILDING, ROAD, VEGETATION, Float, Labels, Tree
from n2m_core.scenes.textures import noise_bank

VARIANTS = 10
SPRITE_SIDE = 96
SPRITE_SEED = 77
TINTS = 48


@lru_cache(maxsize=64)
def _master(kind: str, variant: int) -> Float:
    """Draw a crown of unit radius: relative height float32 [96, 96], 0 outside."""
    rng = np.random.default_rng([SPRITE_SEED, variant, len(kind)])
    axis = (np.arange(SPRITE_SIDE, dtype=np.float32) + 0.5) / SPRITE_SIDE * 2 - 1
    x, y = axis[None, :], axis[:, None]
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    row, col = (int(n) for n in rng.integers(0, 900, size=2))
    lumps = noise_bank()[variant % 3][row : row + SPRITE_SIDE, col : col + SPRITE_SIDE]
    if kind == "palm":
        fronds = int(rng.integers(7, 12))
        wave = np.abs(np.cos(angle * fronds / 2 + rng.uniform(0, 6) + radius * rng.normal(0, 0.6)))
        blade = wave > 0.35 + 0.5 * radius
        height = np.where(blade & (radius < 1), (1 - 0.5 * radius) * (0.6 + 0.4 * wave), 0.0)
        return np.asarray(np.where(radius < 0.16, 1.0, height), dtype=np.float32)
    if kind == "conifer":
        ragged = radius * (1 + 0.12 * lumps)
        return np.asarray(np.clip(1 - ragged, 0, 1) * (1 + 0.1 * lumps), dtype=np.float32)
    outline = 1.0 + sum(
        float(rng.normal(0, 0.07)) * np.cos(n * angle + float(rng.uniform(0, 6)))
        for n in (2, 3, 4, 5, 7)
    )
    ragged = radius / np.maximum(outline * 0.92 + 0.07 * lumps, 0.3)
    dome = np.sqrt(np.clip(1 - ragged**2, 0, 1))
    return np.asarray(dome * np.clip(0.8 + 0.17 * lumps, 0.3, 1.3), dtype=np.float32)


@lru_cache(maxsize=4096)
def _sprite(kind: str, variant: int, radius_px: int) -> Float:
    """Scale a crown to a radius in pixels: float32 [2r + 1, 2r + 1]."""
    side = 2 * radius_px + 1
    picture = Image.fromarray(_master(kind, variant))
    sprite = np.asarray(picture.resize((side, side), Image.Resampling.BOX), dtype=np.float32)
    sprite.setflags(write=False)
    return sprite


def draw_trees(canvas: Canvas, trees: tuple[Tree, ...], seed: int, dryness: float) -> None:
    """Draw crowns above what is there; the crown hides it, buildings keep their class."""
    if not trees:
        return
    crown = np.zeros(canvas.shape, dtype=np.float32)
    tint = np.zeros(canvas.shape, dtype=np.uint8)
    side = canvas.shape[0]
    for tree in trees:
        radius = max(1, round(tree.radius_m / canvas.px_m))
        kind = "broad" if tree.kind == "bush" else tree.kind
        sprite = _sprite(kind, tree.seed % VARIANTS, radius)
        row = int(tree.y / canvas.px_m) - radius
        col = int(tree.x / canvas.px_m) - radius
        r0, c0 = max(row, 0), max(col, 0)
        r1, c1 = min(row + sprite.shape[0], side), min(col + sprite.shape[1], side)
        if r0 >= r1 or c0 >= c1:
            continue
        tall = _height_m(tree)
        part = sprite[r0 - row : r1 - row, c0 - col : c1 - col] * np.float32(tall)
        window = crown[r0:r1, c0:c1]
        wins = part > window
        np.copyto(window, part, where=wins)
        code = tree.seed // VARIANTS % (TINTS // 2) + (TINTS // 2 if kind == "palm" else 0)
        np.copyto(tint[r0:r1, c0:c1], np.uint8(code), where=wins)
    _blend(canvas, crown, tint, seed, dryness)


def _height_m(tree: Tree) -> float:
    share = {"broad": 1.5, "palm": 2.6, "conifer": 3.0, "bush": 1.1}[tree.kind]
    return min(tree.radius_m * share, 16.0)


def _blend(canvas: Canvas, crown: Float, tint: Labels, seed: int, dryness: float) -> None:
    """Put the crowns on the canvas where they overtop it."""
    rng = np.random.default_rng([seed, 5])
    half = TINTS // 2
    lush = CANOPY[rng.integers(len(CANOPY), size=TINTS)]
    lush[half:] = PALM[rng.integers(len(PALM), size=half)]
    dry = DRY_CANOPY[rng.integers(len(DRY_CANOPY), size=TINTS)]
    turn = np.clip(dryness * 1.5 - 0.5 + rng.normal(0, 0.25, TINTS), 0, 1)[:, None]
    mixed = np.asarray(lush + (dry - lush) * turn)
    table = mixed * np.exp(rng.normal(0, 0.16, (TINTS, 1)))
    mask = (crown > canvas.height) & (crown > 0.25)
    slope_y, slope_x = (np.asarray(g) for g in np.gradient(crown, canvas.px_m))
    depth = np.clip(crown[mask] / 5.0, 0.0, 1.0)
    texture = (0.72 + 0.45 * depth)[:, None]
    canvas.albedo[mask] = table.astype(np.float32)[tint[mask]] * texture
    canvas.height[mask] = crown[mask]
    canvas.slope_x[mask] = np.clip(0.55 * slope_x[mask], -1.2, 1.2)
    canvas.slope_y[mask] = np.clip(0.55 * slope_y[mask], -1.2, 1.2)
    cover = canvas.land_cover[mask]
    keep = (cover == BUILDING) | (cover == ROAD)
    canvas.land_cover[mask] = np.where(keep, cover, VEGETATION)
