"""Draw the shape, roof and material of single buildings."""

from __future__ import annotations

import numpy as np

from n2m_core.scenes.scene import Building, RoofKind, Style, Wing

STOREY_M = 3.0


def shape_wings(
    rng: np.random.Generator, width: float, depth: float, complexity: float
) -> tuple[Wing, ...]:
    """Draw a footprint within a box: a rectangle, L, T or U.

    Args:
        rng: source of the draw.
        width: of the box along u, metres.
        depth: of the box along v, metres.
        complexity: chance of more than a rectangle, 0 to 1.

    Returns:
        Wings that overlap where they join.
    """
    hu, hv = width / 2, depth / 2
    if rng.random() > complexity or min(width, depth) < 5.0:
        return (Wing(0.0, 0.0, hu, hv),)
    main_depth = float(rng.uniform(0.45, 0.62)) * depth
    main = Wing(0.0, -hv + main_depth / 2, hu, main_depth / 2)
    kind = int(rng.choice(4, p=[0.55, 0.2, 0.12, 0.13]))
    share = float(rng.uniform(0.32, 0.5))
    wing_half = share * width / 2
    if kind == 0:
        side = 1.0 if rng.random() < 0.5 else -1.0
        return (main, Wing(side * (hu - wing_half), 0.0, wing_half, hv))
    if kind == 1:
        return (main, Wing(float(rng.uniform(-0.2, 0.2)) * width, 0.0, wing_half, hv))
    if kind == 2:
        arm = 0.7 * wing_half
        return (main, Wing(hu - arm, 0.0, arm, hv), Wing(arm - hu, 0.0, arm, hv))
    # A set-back corner: two boxes of different depth side by side.
    cut = float(rng.uniform(0.75, 0.92))
    split = float(rng.uniform(-0.2, 0.3)) * width
    left, right = hu + split, hu - split
    return (
        Wing(-hu + left / 2, 0.0, left / 2, hv),
        Wing(hu - right / 2, -hv + cut * hv, right / 2, cut * hv),
    )


def roof_of(rng: np.random.Generator, material: str, style: Style) -> tuple[RoofKind, float]:
    """Draw a roof that suits the material: kind, slope."""
    if material in ("concrete", "membrane", "gravel", "sandstone", "unroofed"):
        return "flat", 0.0
    if material.startswith("metal"):
        odds = {"village": (0.05, 0.55, 0.2, 0.2), "suburb": (0.1, 0.6, 0.3, 0.0)}.get(
            style, (0.15, 0.4, 0.1, 0.35)
        )
        kinds: tuple[RoofKind, ...] = ("flat", "gable", "hip", "shed")
        return kinds[int(rng.choice(4, p=odds))], float(rng.uniform(0.12, 0.4))
    if rng.random() < (0.55 if style == "suburb" else 0.7):
        return "hip", float(rng.uniform(0.3, 0.6))
    return "gable", float(rng.uniform(0.3, 0.75))


def storeys_of(rng: np.random.Generator, style: Style, area_m2: float) -> float:
    """Draw the height of the eaves, metres."""
    if style == "town":
        storeys = int(rng.choice([1, 2, 3, 4, 5], p=[0.24, 0.27, 0.25, 0.16, 0.08]))
    elif style == "suburb":
        storeys = int(rng.choice([1, 2, 3], p=[0.6, 0.36, 0.04]))
    elif style == "desert_city":
        storeys = int(rng.choice([1, 2, 3], p=[0.25, 0.6, 0.15]))
    else:
        storeys = 1
    if area_m2 > 500.0:
        return float(rng.uniform(4.5, 9.0))
    return storeys * STOREY_M * float(rng.uniform(0.85, 1.1)) + float(rng.uniform(-0.4, 0.4))


def make_building(
    rng: np.random.Generator,
    place: tuple[float, float, float],
    size: tuple[float, float],
    *,
    style: Style,
    material: str,
    complexity: float,
) -> Building:
    """Draw one building.

    Args:
        rng: source of the draw.
        place: x, y in metres and the angle of u in radians.
        size: width along u and depth along v, metres.
        style: of the settlement.
        material: of the roof.
        complexity: chance of more than a rectangle.
    """
    width, depth = size
    roof, slope = roof_of(rng, material, style)
    if max(size) > 22.0 and roof != "flat":
        slope = min(slope, 0.2)
    height = storeys_of(rng, style, width * depth)
    if material == "metal_rust" and style == "town":
        height = min(height, 4.0)
    return Building(
        x=place[0],
        y=place[1],
        angle=place[2],
        wings=shape_wings(rng, width, depth, complexity),
        height_m=max(height, 2.2),
        roof=roof,
        slope=slope,
        material=material,
        seed=int(rng.integers(2**31)),
    )
