"""Paint the ground: grass and soil, fields with furrows, paving, streets, water."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from n2m_core.scenes.canvas import Bools, Canvas
from n2m_core.scenes.ground_frame import band
from n2m_core.scenes.palette import (
    ASPHALT,
    CANOPY,
    CONCRETE_ROAD,
    CROPS,
    DESERT_GRASS,
    DRY_GRASS,
    GRASS,
    PAVED,
    POOLS,
    SOILS,
    WATERS,
    pick,
)
from n2m_core.scenes.scene import (
    BARE,
    ROAD,
    VEGETATION,
    WATER,
    Float,
    Floats,
    Labels,
    Patch,
    Plan,
    Use,
)
from n2m_core.scenes.textures import field, grain, step

STALL_M = 2.7
PARKING_PERIOD_M = 17.0
MARKING_M = 0.16
BRIDGED_LEVEL = 1


def draw_ground(canvas: Canvas, plan: Plan, dryness: float) -> None:
    """Paint everything flat, in the order natural ground, patches, streets, sea.

    Natural ground has no edges, so it is computed on every other pixel.
    """
    rng = np.random.default_rng([plan.seed, 1])
    half = (canvas.shape[0] // 2, canvas.shape[1] // 2)
    px_m = 2 * canvas.px_m
    large = field(rng, half, px_m, 5.0)
    middle = field(rng, half, px_m, 0.7)
    fine = field(rng, half, px_m, 0.2)
    sparkle = grain(rng, half)
    grass = _grass(rng, plan, large, middle, dryness)
    soil = _soil(rng, plan, large, middle)
    green = np.float32(plan.greenness)
    level = 0.75 * large + 0.5 * middle
    cover = step(level, float(1.0 - 2.6 * green), float(1.7 - 2.6 * green))
    label = _index_patches(canvas, plan.patches)
    cover = _patch_cover(plan, label[::2, ::2], cover, level)
    rough = np.float32(rng.uniform(0.7, 1.7))
    texture = 1.0 + rough * (0.09 * middle + 0.11 * fine + 0.05 * sparkle)
    texture = np.clip(texture, 0.4, 1.7).astype(np.float32)
    sparse = np.float32(rng.uniform(0.1, 1.3) - 0.7 * plan.woods)
    scrub = np.clip(middle * 0.55 + fine * 0.5 + 0.35 * large - sparse, 0.0, 1.2)
    scrub *= cover * np.float32(0.4 if plan.style in ("suburb", "desert_city") else 1.0)
    bush = pick(rng, CANOPY, 0.1)
    colour = (soil + (grass - soil) * cover[..., None]) * texture[..., None]
    shrub = np.clip(scrub * 0.9, 0.0, 0.8)[..., None]
    colour += (bush * texture[..., None] - colour) * shrub
    slope_y, slope_x = np.gradient(scrub, px_m)
    canvas.slope_x[...] = _doubled(np.clip(slope_x, -0.8, 0.8))
    canvas.slope_y[...] = _doubled(np.clip(slope_y, -0.8, 0.8))
    canvas.albedo[...] = _doubled(colour)
    canvas.height[...] = _doubled(np.float32(0.7) * scrub)
    canvas.land_cover[...] = _doubled(np.where(cover > 0.5, np.uint8(VEGETATION), np.uint8(BARE)))
    _paint_patches(canvas, plan.patches, label, _doubled(texture))
    whole = _doubled(middle)
    _draw_water(rng, canvas, plan.patches, label, ("water", "pool"))
    _draw_streets(rng, canvas, plan, whole)
    _draw_water(rng, canvas, plan.patches, _without_bridges(canvas, plan, label), ("sea", "river"))


def _doubled(values: NDArray[Any]) -> NDArray[Any]:
    """Repeat rows and columns."""
    return values.repeat(2, axis=0).repeat(2, axis=1)


def _grass(
    rng: np.random.Generator, plan: Plan, large: Float, middle: Float, dryness: float
) -> Float:
    """Blend two greens and straw: float32 [H, W, 3]."""
    greens = DESERT_GRASS if plan.style == "desert_city" else GRASS
    lush = pick(rng, greens, 0.1)
    other = pick(rng, greens, 0.1)
    straw = pick(rng, DRY_GRASS, 0.1)
    blend = np.clip(0.5 + 0.3 * large + 0.15 * middle, 0.0, 1.0)[..., None]
    dry = np.clip(1.6 * dryness - 0.4 + 0.25 * large - 0.1 * middle, 0.0, 1.0)[..., None]
    colour = lush + (other - lush) * blend
    return np.asarray(colour + (straw - colour) * dry, dtype=np.float32)


def _soil(rng: np.random.Generator, plan: Plan, large: Float, middle: Float) -> Float:
    """Blend two soils of the region: float32 [H, W, 3]."""
    first, second = pick(rng, SOILS[plan.soil], 0.08), pick(rng, SOILS[plan.soil], 0.08)
    blend = np.clip(0.5 + 0.35 * middle - 0.2 * large, 0.0, 1.0)[..., None]
    return np.asarray(first + (second - first) * blend, dtype=np.float32)


def _index_patches(canvas: Canvas, patches: tuple[Patch, ...]) -> NDArray[np.int32]:
    """Number of the patch at every pixel, 0 for none; later ones lie on top."""
    picture = Image.new("I", canvas.shape[::-1])
    draw = ImageDraw.Draw(picture)
    for number, patch in enumerate(patches, start=1):
        draw.polygon(_pixels(patch.polygon, canvas.px_m), fill=number)
    return np.asarray(picture, dtype=np.int32)


def _pixels(points: Floats, px_m: float) -> list[tuple[float, float]]:
    return [(float(x) / px_m - 0.5, float(y) / px_m - 0.5) for x, y in points]


def _patch_cover(plan: Plan, label: NDArray[np.int32], cover: Float, level: Float) -> Float:
    """Replace the share of plants where a patch decides it."""
    if not plan.patches:
        return cover
    shift = np.full(len(plan.patches) + 1, np.nan, dtype=np.float32)
    for number, patch in enumerate(plan.patches, start=1):
        draw = np.random.default_rng(patch.seed).random()
        if patch.use in ("lawn", "park"):
            shift[number] = -0.2 - 2.2 * draw if plan.style != "town" else 0.9 - 2.5 * draw
        elif patch.use == "soil":
            shift[number] = 1.0 + 1.2 * draw
    here = shift[label]
    decided = ~np.isnan(here)
    wanted = np.clip((level - np.where(decided, here, 0.0)) / 0.7 + 0.5, 0.0, 1.0)
    return np.where(decided, wanted, cover).astype(np.float32)


def _paint_patches(
    canvas: Canvas,
    patches: tuple[Patch, ...],
    label: NDArray[np.int32],
    texture: Float,
) -> None:
    """Colour paving, parking and fields, in place."""
    count = len(patches) + 1
    colour = np.zeros((count, 3), dtype=np.float32)
    kind = np.zeros(count, dtype=np.uint8)
    rows = np.zeros((count, 4), dtype=np.float32)
    cover = np.zeros(count, dtype=np.uint8)
    for number, patch in enumerate(patches, start=1):
        draw = np.random.default_rng(patch.seed)
        if patch.use in ("paved", "parking"):
            kind[number] = 1 if patch.use == "paved" else 2
            colour[number] = pick(draw, PAVED if patch.use == "paved" else ASPHALT, 0.12)
            cover[number] = BARE if patch.use == "paved" else ROAD
        elif patch.use == "field":
            bare = draw.random() < 0.35
            kind[number] = 3
            colour[number] = pick(draw, SOILS["brown"] if bare else CROPS, 0.12)
            cover[number] = BARE if bare else VEGETATION
        turned = draw.random() < 0.5 and patch.use != "parking"
        turn = patch.angle + (np.pi / 2 if turned else 0.0)
        period = float(draw.uniform(0.9, 2.6))
        rows[number] = (np.cos(turn), np.sin(turn), 2 * np.pi / period, draw.uniform(0.05, 0.3))
    flat = kind[label] > 0
    which = label[flat]
    canvas.albedo[flat] = colour[which] * texture[flat][:, None]
    canvas.land_cover[flat] = cover[which]
    for layer in (canvas.slope_x, canvas.slope_y, canvas.height):
        layer[flat] = 0.0
    _paint_rows(canvas, (kind, colour, rows), label, texture)


def _paint_rows(
    canvas: Canvas,
    table: tuple[Labels, Float, Float],
    label: NDArray[np.int32],
    texture: Float,
) -> None:
    """Draw furrows on fields and stalls on parking grounds, in place."""
    kind, colour, rows = table
    at = np.nonzero(kind[label] >= 2)
    if at[0].size == 0:
        return
    which = label[at]
    here = kind[which]
    x, y = canvas.positions()
    px, py = x[0, at[1]], y[at[0], 0]
    cos, sin, wave, depth = rows[which].T
    along, across = px * cos + py * sin, py * cos - px * sin
    value = np.where(here == 3, 1.0 + depth * np.sin(across * wave), 1.0).astype(np.float32)
    base = colour[which]
    stall = (here == 2) & ((across % PARKING_PERIOD_M) < 10.0)
    line = stall & ((along % STALL_M) < max(MARKING_M, 0.6 * canvas.px_m))
    base = np.where(line[:, None], base + 0.25, base)
    canvas.albedo[at] = base * (value * texture[at])[:, None]
    canvas.height[at] = np.where(here == 3, np.clip(value - 1.0, 0, 1), 0.0)


def _draw_water(
    rng: np.random.Generator,
    canvas: Canvas,
    patches: tuple[Patch, ...],
    label: NDArray[np.int32],
    uses: tuple[Use, ...],
) -> None:
    """Fill ponds, rivers, the sea and pools: dark, with slow changes of depth."""
    wet = [(n, p) for n, p in enumerate(patches, start=1) if p.use in uses]
    waves = field(rng, (canvas.shape[0] // 2, canvas.shape[1] // 2), 2 * canvas.px_m, 18.0)
    if not wet:
        return
    waves = _doubled(waves)
    for number, patch in wet:
        mask: Bools = label == number
        draw = np.random.default_rng(patch.seed)
        if patch.use == "pool":
            canvas.albedo[mask] = pick(draw, POOLS, 0.1) * (1.0 + 0.05 * waves[mask])[:, None]
        else:
            deep, shoal = pick(draw, WATERS, 0.15), pick(draw, WATERS, 0.15)
            share = np.clip(0.5 + 0.4 * waves[mask], 0.0, 1.0)[:, None]
            canvas.albedo[mask] = deep + (shoal - deep) * share
        canvas.land_cover[mask] = WATER
        canvas.slope_x[mask] = 0.0
        canvas.slope_y[mask] = 0.0
        canvas.height[mask] = 0.0


def _without_bridges(canvas: Canvas, plan: Plan, label: NDArray[np.int32]) -> NDArray[np.int32]:
    """Take the main streets out of the rivers' pixels, so that they cross as bridges."""
    rivers = [n for n, patch in enumerate(plan.patches, start=1) if patch.use == "river"]
    if not rivers:
        return label
    picture = Image.new("1", canvas.shape[::-1])
    draw = ImageDraw.Draw(picture)
    for street in plan.streets:
        if street.level <= BRIDGED_LEVEL:
            draw.polygon(_pixels(band(street.points, street.width_m), canvas.px_m), fill=1)
    return np.where(np.asarray(picture) & np.isin(label, rivers), 0, label)


def _draw_streets(rng: np.random.Generator, canvas: Canvas, plan: Plan, middle: Float) -> None:
    """Paint verges, roadways and markings."""
    picture = Image.new("L", canvas.shape[::-1])
    draw = ImageDraw.Draw(picture)
    order = sorted(plan.streets, key=lambda street: -street.level)
    px = canvas.px_m
    walks = plan.style in ("suburb", "desert_city")
    for street in order:
        if street.surface != "path":
            verge = street.width_m + (3.0 if walks else 1.2)
            draw.polygon(_pixels(band(street.points, verge), px), fill=1)
    codes = {"dirt": 2, "concrete": 3, "asphalt": 4, "path": 6}
    for street in order:
        width = max(street.width_m, px)
        draw.polygon(_pixels(band(street.points, width), px), fill=codes[street.surface])
    marked = walks or rng.random() < 0.5
    for street in order:
        if street.surface == "asphalt" and street.level < 2 and marked:
            points = _pixels(street.points, px)
            for i in range(0, len(points) - 1, 2):
                draw.line(points[i : i + 2], fill=5, width=max(1, round(MARKING_M / px)))
    label = np.asarray(picture)
    table = np.stack(
        [
            np.zeros(3, dtype=np.float32),
            pick(rng, PAVED if walks else SOILS[plan.soil], 0.1),
            pick(rng, SOILS[plan.soil], 0.1) * np.float32(1.1),
            pick(rng, CONCRETE_ROAD, 0.1),
            pick(rng, ASPHALT, 0.12),
            np.full(3, 0.45, dtype=np.float32),
            pick(rng, SOILS[plan.soil], 0.1) * np.float32(1.12),
        ]
    )
    verge_noise = (label == 1) & (middle > (0.0 if walks else -0.4))
    on_water = (label == 6) & (canvas.land_cover == WATER)
    mask = ((label > 1) & ~on_water) | verge_noise
    wear = np.float32(rng.uniform(0.04, 0.12))
    worn = np.clip(1.0 + wear * middle[mask], 0.6, 1.4)[:, None]
    canvas.albedo[mask] = table[label[mask]] * worn
    canvas.height[mask] = 0.0
    canvas.slope_x[mask] = 0.0
    canvas.slope_y[mask] = 0.0
    canvas.land_cover[mask] = np.where((label[mask] > 1) & (label[mask] < 6), ROAD, BARE)
