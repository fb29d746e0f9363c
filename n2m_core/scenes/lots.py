"""Blocks into rows, rows into lots, lots with gardens."""

from __future__ import annotations

import numpy as np

from n2m_core.scenes.draft import Draft
from n2m_core.scenes.ground_frame import Rect
from n2m_core.scenes.planting import draw_kind, draw_tree


def rows_of(block: Rect) -> list[tuple[Rect, float]]:
    """Cut a block lengthwise into rows with the side of their street: +1 is larger b."""
    if block.depth < 36.0:
        return [(block, 1.0)]
    middle = (block.b0 + block.b1) / 2
    return [
        (Rect(block.a0, block.a1, block.b0, middle), -1.0),
        (Rect(block.a0, block.a1, middle, block.b1), 1.0),
    ]


def cut_lots(rng: np.random.Generator, row: Rect, width: tuple[float, float]) -> list[Rect]:
    """Cut a row across into lots."""
    lots, at = [], row.a0
    while row.a1 - at > 0.75 * width[0]:
        end = min(row.a1, at + float(rng.uniform(*width)))
        if row.a1 - end < 0.6 * width[0]:
            end = row.a1
        lots.append(Rect(at, end, row.b0, row.b1))
        at = end
    return lots


def garden(draft: Draft, lot: Rect, trees: float) -> None:
    """Scatter trees and bushes over a lot."""
    rng = draft.rng
    for _ in range(int(rng.poisson(trees))):
        a = float(rng.uniform(lot.a0 + 1, lot.a1 - 1))
        b = float(rng.uniform(lot.b0 + 1, lot.b1 - 1))
        x, y, _ = draft.frame.place(a, b)
        if draft.occupancy.is_free(x, y):
            kind = draw_kind(rng, draft.style, 0.06)
            draft.trees.append(draw_tree(rng, x, y, kind, float(rng.uniform(0.6, 1.1))))
