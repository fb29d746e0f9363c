"""Settlements of the desert: walled villas, towers, bare sand and dark lawns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from n2m_core.scenes.draft import Draft, Grid
from n2m_core.scenes.ground_frame import Rect
from n2m_core.scenes.lots import cut_lots, garden, rows_of


def desert_grid(rng: np.random.Generator) -> Grid:
    """Draw long blocks between wide streets."""
    return Grid(
        (float(rng.uniform(100.0, 220.0)), float(rng.uniform(48.0, 80.0))),
        (float(rng.uniform(14.0, 26.0)), float(rng.uniform(8.0, 12.0)), 7.0),
        ("asphalt", "asphalt", "asphalt"),
        float(rng.uniform(0.0, 0.6)),
    )


def fill_desert(draft: Draft, blocks: list[Rect]) -> None:
    """Put villas on most blocks, towers on some, and leave others to the sand."""
    rng = draft.rng
    towers = float(rng.choice([0.0, 0.12, 0.35]))
    empty = float(rng.uniform(0.0, 0.4))
    lot_width = float(rng.uniform(17.0, 28.0))
    green = float(rng.uniform(0.05, 0.6))
    for block in blocks:
        if not draft.sees(block):
            continue
        draw = rng.random()
        if draw < empty:
            _open_block(draft, block)
        elif draw < empty + towers:
            _towers(draft, block)
        else:
            for row, side in rows_of(block):
                for lot in cut_lots(rng, row, (lot_width, lot_width * 1.3)):
                    if rng.random() >= 0.08:
                        _villa(draft, lot, side, green)


def _open_block(draft: Draft, block: Rect) -> None:
    rng = draft.rng
    if rng.random() < 0.12:
        draft.lay(block, "park")
        garden(draft, block, 0.003 * block.width * block.depth)
    elif rng.random() < 0.12:
        draft.lay(block, "water", keep=True)


def _villa(draft: Draft, lot: Rect, side: float, green: float) -> None:
    """A large house behind a wall, its yard paved or green, now and then a pool."""
    rng = draft.rng
    draft.lay(lot, "lawn" if rng.random() < green else "paved")
    size = (lot.width * float(rng.uniform(0.55, 0.8)), lot.depth * 0.55)
    centre = (lot.centre[0], lot.centre[1] + side * float(rng.uniform(-1.0, 3.0)))
    draft.build(centre, (size[0], min(size[1], 20.0)), gap_m=0.5, complexity=0.7)
    draft.wall(lot.inset(0.2), 0.4, 2.2, "wall")
    garden(draft, lot, 3.0 * green + 0.5)
    if rng.random() < 0.2:
        a, b = lot.centre[0], lot.centre[1] - side * lot.depth * 0.36
        draft.lay(Rect(a - 3.4, a + 3.4, b - 1.8, b + 1.8), "pool")


def _towers(draft: Draft, block: Rect) -> None:
    """High blocks around a paved court with parking."""
    rng = draft.rng
    draft.lay(block, "paved")
    draft.lay(block.inset(min(block.depth, block.width) * 0.3), "parking")
    for _ in range(4):
        side = float(rng.uniform(16.0, 30.0))
        centre = (
            float(rng.uniform(block.a0 + side / 2, max(block.a1 - side / 2, block.a0 + side))),
            float(rng.uniform(block.b0 + side / 2, max(block.b1 - side / 2, block.b0 + side))),
        )
        size = (side, side * float(rng.uniform(0.6, 1.0)))
        built = draft.build(centre, size, gap_m=4.0, complexity=0.5)
        if built is not None:
            height = float(rng.uniform(18.0, 70.0))
            draft.buildings[-1] = replace(built, height_m=height)
