"""Rivers and the sea, laid before the streets."""

from __future__ import annotations

import numpy as np

from n2m_core.scenes.draft import Draft
from n2m_core.scenes.scene import Floats, Patch, Use

CHANCES = {"suburb": 0.06, "town": 0.08, "village": 0.14, "desert_city": 0.35}


def lay_water(draft: Draft) -> None:
    """Lay a coast or a river with its bank now and then."""
    rng = draft.rng
    if rng.random() >= CHANCES[draft.style]:
        return
    extent = draft.frame.extent_m
    heading = float(rng.uniform(0.0, 2 * np.pi))
    coast = rng.random() < 0.5
    off = float(rng.uniform(0.05, 0.45) if coast else rng.uniform(-0.35, 0.35)) * extent
    width = 3.0 * extent if coast else float(rng.uniform(8.0, 45.0))
    bank = float(rng.uniform(1.5, 14.0))
    near = _shore(rng, extent)
    water: Use = "sea" if coast else "river"
    sides: tuple[tuple[float, float, Use], ...] = (
        (off - bank, off + width + bank, "soil"),
        (off, off + width, water),
    )
    for low, high, use in sides:
        polygon = _band(near, low, high, heading, extent)
        seed = int(rng.integers(2**31))
        draft.shores.append(Patch(polygon, use, heading, seed))
        if use == water:
            draft.occupancy.add_polygon(polygon)


def _shore(rng: np.random.Generator, extent: float) -> Floats:
    """A wavy line along the first axis: [N, 2] metres around the centre."""
    along = np.linspace(-1.2 * extent, 1.2 * extent, 120)
    wave_m = rng.uniform(25.0, 260.0, size=4)
    phase = rng.uniform(0.0, 2 * np.pi, size=4)
    size = wave_m * rng.uniform(0.01, 0.07, size=4)
    swing = (size * np.sin(2 * np.pi * along[:, None] / wave_m + phase)).sum(axis=1)
    return np.stack([along, swing], axis=1)


def _band(shore: Floats, low: float, high: float, heading: float, extent: float) -> Floats:
    """The strip between two displaced copies of a line, turned by a heading: [M, 2] metres."""
    strip = np.concatenate([shore + np.array([0.0, low]), (shore + np.array([0.0, high]))[::-1]])
    c, s = np.cos(heading), np.sin(heading)
    x = extent / 2 + strip[:, 0] * c - strip[:, 1] * s
    y = extent / 2 + strip[:, 0] * s + strip[:, 1] * c
    return np.stack([x, y], axis=1)
