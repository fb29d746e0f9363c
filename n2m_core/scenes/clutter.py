"""What stands on roofs: parapets, upper floors, stair heads, tanks, sheds, units, panels."""

from __future__ import annotations

import numpy as np

from n2m_core.scenes.palette import ROOFS, TANKS, pick
from n2m_core.scenes.roofs import Surface
from n2m_core.scenes.scene import Building, Float, Wing

PANEL = np.array([0.012, 0.018, 0.045], dtype=np.float32)


def add_fittings(
    rng: np.random.Generator,
    building: Building,
    surface: Surface,
    colour: Float,
    local: tuple[Float, Float],
) -> None:
    """Put solar panels, a chimney or vents on a pitched roof, in place."""
    wing = building.wings[0]
    du, dv = local[0] - np.float32(wing.u), local[1] - np.float32(wing.v)
    if building.roof != "shed" and rng.random() < 0.14:
        side = float(rng.choice([-1.0, 1.0]))
        along_u = wing.half_u >= wing.half_v
        first, second = (du, dv) if along_u else (dv, du)
        reach = min(wing.half_u, wing.half_v)
        half = float(rng.uniform(0.25, 0.5)) * max(wing.half_u, wing.half_v)
        panel = surface.inside & (np.abs(first) < half)
        panel &= np.abs(second - side * 0.5 * reach) < 0.3 * reach
        colour[panel] = PANEL
    if building.material in ("tile", "tile_dark", "shingle", "slate"):
        for _ in range(int(rng.poisson(0.8))):
            at_u, at_v = rng.uniform(-0.7, 0.7, size=2) * (wing.half_u, wing.half_v)
            box = surface.inside & (np.abs(du - at_u) < 0.4) & (np.abs(dv - at_v) < 0.35)
            colour[box] = np.float32(rng.uniform(0.1, 0.6))
            surface.top[box] += np.float32(rng.uniform(0.4, 1.4))


def add_clutter(
    rng: np.random.Generator,
    building: Building,
    surface: Surface,
    colour: Float,
    local: tuple[Float, Float],
) -> None:
    """Put parapets, stair heads, tanks, sheds, units and panels on a flat roof, in place."""
    u, v = local
    wing = building.wings[0]
    if building.material == "unroofed":
        return
    area = 4 * wing.half_u * wing.half_v
    if building.material == "concrete" and area > 30.0 and rng.random() < 0.35:
        _upper_floor(rng, wing, surface, colour, local)
    if building.material != "gravel" and rng.random() < 0.8:
        rim = surface.inside & (surface.edge < 0.28)
        surface.top[rim] += np.float32(rng.uniform(0.3, 1.0))
    for _ in range(min(int(rng.poisson(0.6 + area / 32.0)), 14)):
        kind = rng.random()
        at_u = wing.u + float(rng.uniform(-0.85, 0.85)) * wing.half_u
        at_v = wing.v + float(rng.uniform(-0.85, 0.85)) * wing.half_v
        if building.material in ("membrane", "gravel"):
            size = (float(rng.uniform(0.6, 1.6)), float(rng.uniform(0.6, 1.3)))
            _box(rng, surface, colour, (u - at_u, v - at_v), size, "unit")
        elif kind < 0.3:
            radius = float(rng.uniform(0.45, 0.85))
            disc = surface.inside & ((u - at_u) ** 2 + (v - at_v) ** 2 < radius**2)
            colour[disc] = pick(rng, TANKS, 0.1)
            surface.top[disc] += np.float32(rng.uniform(1.0, 1.8))
        elif kind < 0.55:
            size = (float(rng.uniform(1.1, 2.0)), float(rng.uniform(1.0, 1.8)))
            _box(rng, surface, colour, (u - at_u, v - at_v), size, "stair")
        elif kind < 0.75:
            size = (float(rng.uniform(0.2, 0.6)) * wing.half_u, 0.5 * wing.half_v)
            _box(rng, surface, colour, (u - at_u, v - at_v), size, "shed")
        else:
            size = (float(rng.uniform(0.25, 1.1)), float(rng.uniform(0.25, 1.0)))
            _box(rng, surface, colour, (u - at_u, v - at_v), size, "junk")


def _upper_floor(
    rng: np.random.Generator,
    wing: Wing,
    surface: Surface,
    colour: Float,
    local: tuple[Float, Float],
) -> None:
    """Raise a part of the roof by a storey, with a rim and another colour, in place."""
    share = float(rng.uniform(0.3, 0.65))
    half_u, half_v = (
        (share * wing.half_u, wing.half_v)
        if rng.random() < 0.5
        else (wing.half_u, share * wing.half_v)
    )
    side = rng.choice([-1.0, 1.0], size=2)
    du = np.abs(local[0] - wing.u - side[0] * (wing.half_u - half_u))
    dv = np.abs(local[1] - wing.v - side[1] * (wing.half_v - half_v))
    margin = np.minimum(half_u - du, half_v - dv)
    box = surface.inside & (margin > 0)
    colour[box] *= (
        pick(rng, ROOFS["concrete"], 0.1) / colour[box].mean(axis=0).clip(0.02)
        if box.any()
        else np.float32(1.0)
    )
    surface.top[box] += np.float32(rng.uniform(2.4, 3.1))
    surface.top[box & (margin < 0.28)] += np.float32(0.6)
    surface.edge[box] = np.minimum(surface.edge[box], margin[box].astype(np.float32))


def _box(
    rng: np.random.Generator,
    surface: Surface,
    colour: Float,
    local: tuple[Float, Float],
    half: tuple[float, float],
    kind: str,
) -> None:
    """Put one box on a roof, in place."""
    du, dv = local
    box = surface.inside & (np.abs(du) < half[0]) & (np.abs(dv) < half[1])
    if kind == "stair":
        fill, rise = pick(rng, ROOFS["concrete"], 0.12), float(rng.uniform(2.0, 2.7))
    elif kind == "shed":
        name = ("metal_blue", "metal_rust", "metal_red", "metal_old", "metal_new")
        odds = (0.3, 0.25, 0.1, 0.2, 0.15)
        material = name[int(rng.choice(5, p=odds))]
        fill, rise = pick(rng, ROOFS[material], 0.1), float(rng.uniform(1.5, 2.6))
    elif kind == "unit":
        fill, rise = pick(rng, ROOFS["membrane"], 0.2) * 0.8, float(rng.uniform(0.8, 1.8))
    else:
        fill = np.asarray(rng.uniform(0.02, 0.7) * rng.uniform(0.6, 1.1, 3), dtype=np.float32)
        rise = float(rng.uniform(0.0, 1.0))
    colour[box] = fill
    if kind == "shed":
        ribs = 1.0 + 0.06 * np.sign(np.sin(du[box] * np.float32(2 * np.pi / 1.6)))
        colour[box] *= ribs[:, None].astype(np.float32)
    surface.top[box] += np.float32(rise)
