"""What moves or lies about: vehicles on the road and on parking grounds, litter."""

from __future__ import annotations

import numpy as np

from n2m_core.scenes.canvas import Canvas
from n2m_core.scenes.ground import PARKING_PERIOD_M, STALL_M
from n2m_core.scenes.palette import CARS, pick
from n2m_core.scenes.scene import BARE, ROAD, Patch, Plan, Street

CAR_M = (4.4, 1.8)
LITTER_PER_M2 = {"suburb": 0.003, "town": 0.02, "village": 0.008, "desert_city": 0.002}


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


def park_cars(canvas: Canvas, patches: tuple[Patch, ...], rng: np.random.Generator) -> None:
    """Fill some stalls of the parking grounds; the stalls are those that `ground` marks."""
    for patch in patches:
        if patch.use != "parking":
            continue
        share = float(rng.uniform(0.05, 0.7))
        cos, sin = float(np.cos(patch.angle)), float(np.sin(patch.angle))
        along = patch.polygon @ [cos, sin]
        across = patch.polygon @ [-sin, cos]
        columns = np.arange(np.ceil(along.min() / STALL_M), along.max() / STALL_M) * STALL_M
        for row in np.arange(np.floor(across.min() / PARKING_PERIOD_M), across.max() / 17.0):
            for offset in (2.5, 7.5):
                v = float(row * PARKING_PERIOD_M + offset)
                for u in columns[rng.random(columns.size) < share] + 0.5 * STALL_M:
                    x, y = float(u * cos - v * sin), float(u * sin + v * cos)
                    if (
                        0 < x < canvas.px_m * canvas.shape[1]
                        and 0 < y < canvas.px_m * canvas.shape[0]
                    ):
                        draw_car(canvas, rng, x, y, patch.angle + np.pi / 2)
