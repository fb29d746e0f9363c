"""Draw what stands up: buildings with their visible walls, vehicles, garden walls."""

from __future__ import annotations

import numpy as np

from n2m_core.scenes.canvas import Canvas, Window
from n2m_core.scenes.palette import CANOPY, CARS, FACADES, WALLS, pick
from n2m_core.scenes.roofs import Surface, add_clutter, roof_colour, roof_surface
from n2m_core.scenes.scene import (
    BARE,
    BUILDING,
    ROAD,
    VEGETATION,
    Building,
    Float,
    Plan,
    Street,
    Wall,
)

FACADE_STEEPNESS = 2.5
CAR_M = (4.4, 1.8)
LITTER_PER_M2 = {"suburb": 0.003, "town": 0.02, "village": 0.008, "desert_city": 0.002}


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
    facade = pick(rng, FACADES, 0.15)
    if shift > 0.4 * canvas.px_m:
        _draw_facade(canvas, building, window, facade, lean)
    canvas_top = canvas.height[window.at]
    mask = surface.inside & (surface.top > canvas_top - 0.5)
    c, s = np.float32(np.cos(building.angle)), np.float32(np.sin(building.angle))
    canvas.albedo[window.at][mask] = colour[mask]
    canvas_top[mask] = surface.top[mask]
    canvas.slope_x[window.at][mask] = (surface.slope_u * c - surface.slope_v * s)[mask]
    canvas.slope_y[window.at][mask] = (surface.slope_u * s + surface.slope_v * c)[mask]
    canvas.land_cover[window.at][mask] = BUILDING
    canvas.instances[window.at][mask] = building.number


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
    free = (canvas.instances[window.at] == 0) | (canvas.height[window.at] < 0.5)
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
    mask = surface.inside
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
    rng = np.random.default_rng(seed)
    length = float(np.hypot(wall.x1 - wall.x0, wall.y1 - wall.y0))
    angle = float(np.arctan2(wall.y1 - wall.y0, wall.x1 - wall.x0))
    middle = ((wall.x0 + wall.x1) / 2, (wall.y0 + wall.y1) / 2)
    window = canvas.window(*middle, angle, length / 2 + 0.5)
    if window is None:
        return
    half = max(wall.width_m * (2.5 if wall.kind == "hedge" else 1.0), 0.9 * canvas.px_m) / 2
    mask = (np.abs(window.u) < length / 2) & (np.abs(window.v) < half)
    mask &= canvas.height[window.at] < 0.5
    mask &= canvas.land_cover[window.at] != ROAD
    hedge = wall.kind == "hedge"
    canvas.albedo[window.at][mask] = pick(rng, CANOPY if hedge else WALLS, 0.1)
    canvas.height[window.at][mask] = np.float32(wall.height_m)
    canvas.land_cover[window.at][mask] = VEGETATION if hedge else BARE


def draw_car(canvas: Canvas, rng: np.random.Generator, x: float, y: float, angle: float) -> None:
    """Draw a vehicle with its windows; nothing where something stands already."""
    truck = rng.random() < 0.07
    length, width = (8.5, 2.5) if truck else CAR_M
    length *= float(rng.uniform(0.85, 1.12))
    paint = pick(rng, CARS, 0.1)
    rise = np.float32(3.0 if truck else 1.4)
    window = canvas.window(x, y, angle, length * 0.6)
    if window is None:
        return
    du, dv = np.abs(window.u), np.abs(window.v)
    mask = (du < length / 2) & (dv < width / 2)
    if not mask.any() or (canvas.land_cover[window.at][mask] != ROAD).mean() > 0.3:
        return
    if (canvas.height[window.at][mask] > 0.3).any():
        return
    glass = mask & (window.u > 0.12 * length) & (window.u < 0.27 * length)
    glass |= mask & (window.u < -0.3 * length) & (window.u > -0.42 * length)
    canvas.albedo[window.at][mask] = paint
    if not truck:
        canvas.albedo[window.at][glass] = np.float32(0.03)
    canvas.height[window.at][mask] = rise


def draw_traffic(
    canvas: Canvas, streets: tuple[Street, ...], per_100_m: float, rng: np.random.Generator
) -> None:
    """Put vehicles on the streets, in their lanes or parked at the side."""
    for street in streets:
        legs = np.hypot(*np.diff(street.points, axis=0).T)
        length = float(legs.sum())
        wanted = per_100_m / 100.0 * (0.3 if street.surface == "dirt" else 1.0)
        if street.surface == "path":
            continue
        for _ in range(int(rng.poisson(length * wanted))):
            at = float(rng.uniform(0.0, length))
            leg = int(np.searchsorted(np.cumsum(legs), at))
            leg = min(leg, len(legs) - 1)
            start, end = street.points[leg], street.points[leg + 1]
            direction = (end - start) / max(float(legs[leg]), 1e-6)
            share = float(rng.uniform(0.0, 1.0))
            side = float(rng.choice([-1.0, 1.0]))
            room = max(street.width_m / 2 - 1.2, 0.3)
            off = side * (room if rng.random() < 0.5 else room * 0.5)
            x = float(start[0] + share * (end[0] - start[0]) - direction[1] * off)
            y = float(start[1] + share * (end[1] - start[1]) + direction[0] * off)
            angle = float(np.arctan2(direction[1], direction[0])) + (np.pi if side > 0 else 0.0)
            draw_car(canvas, rng, x, y, angle)


def draw_litter(canvas: Canvas, plan: Plan) -> None:
    """Scatter what lies about on bare ground: stacks, bins, tarpaulins, rubble."""
    rng = np.random.default_rng([plan.seed, 6])
    per_m2 = LITTER_PER_M2[plan.style] * float(rng.gamma(1.2, 0.8))
    side = canvas.shape[0]
    count = min(int(per_m2 * plan.extent_m**2), 4000)
    rows, cols = rng.random((2, count)) * plan.extent_m
    sizes = rng.gamma(2.0, 0.25, size=(2, count))
    tones = rng.beta(0.8, 1.3, size=count)[:, None] * rng.uniform(0.75, 1.1, size=(count, 3))
    for i in range(count):
        r, c = int(rows[i] / canvas.px_m), int(cols[i] / canvas.px_m)
        if canvas.land_cover[r, c] != BARE or canvas.height[r, c] > 0.3:
            continue
        h, w = (max(1, round(float(s) / canvas.px_m)) for s in sizes[:, i])
        at = slice(r, min(r + h, side)), slice(c, min(c + w, side))
        free = (canvas.land_cover[at] == BARE) & (canvas.height[at] < 0.3)
        canvas.albedo[at][free] = tones[i]
        canvas.height[at][free] += np.float32(0.6 * sizes[0, i])
