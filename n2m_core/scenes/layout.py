"""Lay out a settlement: streets, blocks, lots, buildings, trees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from n2m_core.scenes.draft import Draft, split_blocks
from n2m_core.scenes.ground_frame import Frame, Occupancy
from n2m_core.scenes.palette import ROOF_MIXES, SOILS
from n2m_core.scenes.planting import plant
from n2m_core.scenes.scene import STYLES, Plan, SceneParams, Style
from n2m_core.scenes.settlements import GRIDS, RECIPES, add_paths
from n2m_core.scenes.shores import lay_water


def make_plan(params: SceneParams) -> Plan:
    """Draw the plan of a scene; it depends on seed, extent and style, not on the pixel size."""
    rng = np.random.default_rng([params.seed, 101])
    drawn = STYLES[int(rng.choice(4, p=[0.27, 0.34, 0.24, 0.15]))]
    style = drawn if params.style == "any" else params.style
    grid = GRIDS[style](rng)
    extent = params.extent_m
    mixes = ROOF_MIXES[style]
    base = mixes[int(rng.integers(len(mixes)))]
    mix = {name: share * float(np.exp(rng.normal(0.0, 0.6))) for name, share in base.items()}
    greenness = _greenness(rng, style)
    draft = Draft(rng, Frame(rng, extent, grid.bend), style, mix, Occupancy(extent), greenness)
    lay_water(draft)
    blocks = split_blocks(draft, grid)
    RECIPES[style](draft, blocks)
    add_paths(draft, blocks)
    woods = float(np.clip(rng.normal(greenness * 0.6, 0.2), 0.0, 1.0))
    plant(draft.rng, draft.occupancy, draft.trees, extent, woods, style)
    return Plan(
        extent_m=extent,
        style=style,
        seed=int(rng.integers(2**31)),
        greenness=greenness,
        woods=woods,
        soil=_soil(rng, style),
        streets=tuple(draft.streets),
        patches=(*draft.patches, *draft.shores),
        buildings=tuple(replace(b, number=n) for n, b in enumerate(draft.buildings, start=1)),
        trees=tuple(draft.trees),
        walls=tuple(draft.walls),
    )


def _greenness(rng: np.random.Generator, style: Style) -> float:
    low, high = {
        "suburb": (0.55, 1.0),
        "town": (0.1, 0.75),
        "village": (0.3, 1.0),
        "desert_city": (0.0, 0.12),
    }[style]
    return float(rng.uniform(low, high))


def _soil(rng: np.random.Generator, style: Style) -> str:
    if style == "desert_city":
        return "sand"
    names = [name for name in SOILS if name != "sand"]
    return names[int(rng.integers(len(names)))]
