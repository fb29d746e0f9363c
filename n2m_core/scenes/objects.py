"""Draw what stands up: buildings with their visible walls, vehicles, garden walls."""

from __future__ import annotations

import numpy as np

from n2m_core.scenes.canvas import Canvas, Window
from n2m_core.scenes.clutter import add_clutter, add_fittings
from n2m_core.scenes.palette import CANOPY, FACADES, WALLS, pick
from n2m_core.scenes.roofs import Surface, roof_colour, roof_surface
from n2m_core.scenes.scene import (
    BARE,
    BUILDING,
    ROAD,
    VEGETATION,
    WATER,
    Building,
    Float,
    Wall,
)

FACADE_STEEPNESS = 2.5


def draw_building(canvas: Canvas, building: Building, lean: tuple[float, float]) -> None:
    """Draw one building; its roof lies exactly where the plan says, walls lean away from it."""
    rng = np.random.default_rng(building.seed)
    shift = float(np.hypot(*lean)) * building.height_m
    reach = max(np.hypot(abs(w.u) + w.half_u, abs(w.v) + w.half_v) for w in building.wings)
    window = canvas.window(building.x, building.y, building.angle, float(reach) + shift)
    if window is None:
        return
    surface = roof_surface(building, window.u, window.v)
    if building.burnt:
        _draw_ruin(rng, canvas, building, window, surface)
        return
    colour = roof_colour(rng, building, surface, window.u, window.v, canvas.px_m)
    if building.roof == "flat":
        add_clutter(rng, building, surface, colour, (window.u, window.v))
    else:
        add_fittings(rng, building, surface, colour, (window.u, window.v))
    facade = pick(rng, FACADES, 0.15)
    if shift > 0.4 * canvas.px_m:
        _draw_facade(canvas, building, window, facade, lean)
    canvas_top = canvas.height[window.at]
    stands = canvas.instances[window.at] > 0
    mask = surface.inside & (~stands | (surface.top > canvas_top - 0.5))
    c, s = np.float32(np.cos(building.angle)), np.float32(np.sin(building.angle))
    slope_x = surface.slope_u * c - surface.slope_v * s
    slope_y = surface.slope_u * s + surface.slope_v * c
    np.copyto(canvas.albedo[window.at], colour, where=mask[..., None])
    np.copyto(canvas_top, surface.top, where=mask)
    np.copyto(canvas.slope_x[window.at], slope_x, where=mask)
    np.copyto(canvas.slope_y[window.at], slope_y, where=mask)
    np.copyto(canvas.land_cover[window.at], np.uint8(BUILDING), where=mask)
    np.copyto(canvas.instances[window.at], np.int32(building.number), where=mask)


def _draw_facade(
    canvas: Canvas,
    building: Building,
    window: Window,
    colour: Float,
    lean: tuple[float, float],
) -> None:
    """Paint the strip between roof and base that an oblique view shows."""
    c, s = np.cos(building.angle), np.sin(building.angle)
    length = float(np.hypot(*lean)) * building.height_m
    steps = min(max(int(np.ceil(length / canvas.px_m)), 1), 12)
    unit = np.array(lean) / np.hypot(*lean)
    free = canvas.instances[window.at] == 0
    for i in range(steps, 0, -1):
        share = i / steps
        mx, my = (m * building.height_m * share for m in lean)
        du, dv = np.float32(mx * c + my * s), np.float32(my * c - mx * s)
        edge = np.full(window.u.shape, -1.0, dtype=np.float32)
        for wing in building.wings:
            in_u = wing.half_u - np.abs(window.u + du - np.float32(wing.u))
            in_v = wing.half_v - np.abs(window.v + dv - np.float32(wing.v))
            edge = np.maximum(edge, np.minimum(in_u, in_v))
        mask = (edge > 0) & free
        level = np.float32(building.height_m * (1 - share))
        # Window rows darken the wall at every storey.
        shade = 0.6 if (level % 3.0) > 1.2 and (level % 3.0) < 2.2 else 0.9
        canvas.albedo[window.at][mask] = colour * np.float32(shade)
        canvas.height[window.at][mask] = level
        canvas.slope_x[window.at][mask] = np.float32(FACADE_STEEPNESS * unit[0])
        canvas.slope_y[window.at][mask] = np.float32(FACADE_STEEPNESS * unit[1])
        canvas.land_cover[window.at][mask] = BARE


def _draw_ruin(
    rng: np.random.Generator,
    canvas: Canvas,
    building: Building,
    window: Window,
    surface: Surface,
) -> None:
    """Draw ash within the footprint, wall stumps around it and soot beyond."""
    colour = roof_colour(rng, building, surface, window.u, window.v, canvas.px_m)
    mask = surface.inside & (canvas.instances[window.at] == 0)
    stumps = mask & (surface.edge < 0.5) & (rng.random(mask.shape) < 0.7)
    canvas.albedo[window.at][mask] = colour[mask]
    canvas.albedo[window.at][stumps] *= np.float32(1.5)
    canvas.height[window.at][mask] = 0.1
    canvas.height[window.at][stumps] = np.float32(rng.uniform(0.4, 1.6))
    canvas.slope_x[window.at][mask] = 0.0
    canvas.slope_y[window.at][mask] = 0.0
    canvas.land_cover[window.at][mask] = BARE
    canvas.damage[window.at][mask] = 1
    soot = (~mask) & (surface.edge > -3.0)
    canvas.albedo[window.at][soot] *= np.clip(0.55 - 0.15 * surface.edge[soot], 0.4, 1.0)[
        :, None
    ].astype(np.float32)


def draw_wall(canvas: Canvas, wall: Wall, seed: int) -> None:
    """Draw a garden wall or hedge on open ground."""
    rng = np.random.default_rng([seed, wall.seed])
    length = float(np.hypot(wall.x1 - wall.x0, wall.y1 - wall.y0))
    angle = float(np.arctan2(wall.y1 - wall.y0, wall.x1 - wall.x0))
    middle = ((wall.x0 + wall.x1) / 2, (wall.y0 + wall.y1) / 2)
    window = canvas.window(*middle, angle, length / 2 + 0.5)
    if window is None:
        return
    half = max(wall.width_m * (2.5 if wall.kind == "hedge" else 1.0), 0.9 * canvas.px_m) / 2
    mask = (np.abs(window.u) < length / 2) & (np.abs(window.v) < half)
    mask &= canvas.height[window.at] < 0.5
    mask &= ~np.isin(canvas.land_cover[window.at], (ROAD, WATER))
    hedge = wall.kind == "hedge"
    canvas.albedo[window.at][mask] = pick(rng, CANOPY if hedge else WALLS, 0.1)
    canvas.height[window.at][mask] = np.float32(wall.height_m)
    canvas.land_cover[window.at][mask] = VEGETATION if hedge else BARE
