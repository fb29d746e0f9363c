"""Trees on open ground, in clumps."""

from __future__ import annotations

from typing import Literal

import numpy as np

from n2m_core.scenes.ground_frame import Occupancy
from n2m_core.scenes.scene import Style, Tree
from n2m_core.scenes.textures import field

TreeKind = Literal["broad", "palm", "conifer", "bush"]
SPACING_M = 4.6
CLUMP_M = 14.0


def draw_kind(rng: np.random.Generator, style: Style, palms: float) -> TreeKind:
    """Draw the kind of a tree."""
    if rng.random() < palms:
        return "palm"
    if rng.random() < 0.3:
        return "bush"
    return "conifer" if style == "suburb" and rng.random() < 0.15 else "broad"


def draw_tree(rng: np.random.Generator, x: float, y: float, kind: TreeKind, scale: float) -> Tree:
    """Draw the size of a tree."""
    radius = {
        "broad": rng.uniform(1.8, 5.0),
        "palm": rng.uniform(2.2, 3.6),
        "conifer": rng.uniform(1.5, 3.0),
        "bush": rng.uniform(0.6, 1.6),
    }[kind]
    return Tree(x, y, float(radius) * scale, kind, int(rng.integers(2**31)))


def plant(
    rng: np.random.Generator,
    occupancy: Occupancy,
    trees: list[Tree],
    extent_m: float,
    woods: float,
    style: Style,
) -> None:
    """Add clumps of trees where the ground is free.

    Args:
        rng: source of the draw.
        occupancy: what is taken.
        trees: grows.
        extent_m: side of the scene, metres.
        woods: density, 0 to 1.
        style: of the settlement.
    """
    palms = {"suburb": 0.02, "town": 0.08, "village": 0.35, "desert_city": 0.5}[style]
    palms *= float(rng.uniform(0.0, 1.6))
    scale = float(rng.uniform(0.75, 1.25))
    count = int(np.ceil((extent_m + 8.0) / SPACING_M))
    density = field(rng, (count, count), SPACING_M, CLUMP_M)
    jitter = rng.uniform(-0.5, 0.5, size=(2, count, count))
    chance = rng.random((count, count))
    cut = 1.9 - 2.4 * woods if style != "desert_city" else 2.4 - 1.2 * woods
    wanted = (density > cut) & (chance < 0.9) | (chance < 0.04 * woods)
    for row, col in zip(*np.nonzero(wanted), strict=True):
        x = float((col + 0.5 + jitter[0, row, col]) * SPACING_M - 4.0)
        y = float((row + 0.5 + jitter[1, row, col]) * SPACING_M - 4.0)
        outside = not (0 < x < extent_m and 0 < y < extent_m)
        if outside or occupancy.is_free(x, y):
            trees.append(draw_tree(rng, x, y, draw_kind(rng, style, min(palms, 0.9)), scale))
