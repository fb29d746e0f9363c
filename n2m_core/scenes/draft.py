"""The plan while it is being drawn, and the streets that divide its ground."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from n2m_core.scenes.buildings import make_building
from n2m_core.scenes.ground_frame import Frame, Occupancy, Rect
from n2m_core.scenes.palette import weighted
from n2m_core.scenes.scene import Building, Patch, Street, Style, Surface, Tree, Use, Wall

WALL_SETBACK_M = 0.5
WALL_PIECE_M = 9.0


@dataclass
class Draft:
    """The plan while it is being drawn."""

    rng: np.random.Generator
    frame: Frame
    style: Style
    mix: Mapping[str, float]
    occupancy: Occupancy
    greenness: float
    streets: list[Street] = field(default_factory=list)
    patches: list[Patch] = field(default_factory=list)
    shores: list[Patch] = field(default_factory=list)
    buildings: list[Building] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    walls: list[Wall] = field(default_factory=list)

    def sees(self, rect: Rect) -> bool:
        """Whether a rectangle of the layout may show in the scene."""
        x, y, _ = self.frame.place(*rect.centre)
        return self.frame.sees(x, y, 0.65 * float(np.hypot(rect.width, rect.depth)) + 4.0)

    def lay(self, rect: Rect, use: Use, *, keep: bool = False) -> None:
        """Cover a rectangle of the layout with one use; `keep` forbids building there."""
        seed = int(self.rng.integers(2**31))
        if not self.sees(rect):
            return
        polygon = self.frame.to_ground(rect.outline())
        angle = self.frame.place(*rect.centre)[2]
        low, high = polygon.min(axis=0), polygon.max(axis=0)
        if (high < 0).any() or (low > self.frame.extent_m).any():
            return
        self.patches.append(Patch(polygon, use, angle, seed))
        if keep:
            self.occupancy.add_polygon(polygon)

    def build(
        self,
        centre: tuple[float, float],
        size: tuple[float, float],
        *,
        gap_m: float,
        complexity: float,
        turn: float = 0.0,
        material: str | None = None,
        tolerance: float = 0.0,
    ) -> Building | None:
        """Put up a building in layout coordinates if its ground is free."""
        x, y, angle = self.frame.place(*centre)
        if not self.frame.sees(x, y, max(size) / 2):
            return None
        building = make_building(
            self.rng,
            (x, y, angle + turn),
            size,
            style=self.style,
            material=material or weighted(self.rng, self.mix),
            complexity=complexity,
        )
        if not self.occupancy.claim(building, gap_m, tolerance):
            return None
        self.buildings.append(building)
        return building

    def wall(self, rect: Rect, width: float, height: float, kind: Literal["wall", "hedge"]) -> None:
        """Put a wall or hedge around a rectangle of the layout, one side open now and then.

        It keeps off the street and bends with the frame.
        """
        lot = rect.inset(WALL_SETBACK_M)
        corners = np.array([[lot.a0, lot.b0], [lot.a1, lot.b0], [lot.a1, lot.b1], [lot.a0, lot.b1]])
        seed = len(self.walls)
        for i in range(4):
            if self.rng.random() >= 0.85:
                continue
            start, end = corners[i], corners[(i + 1) % 4]
            pieces = int(np.hypot(*(end - start)) / WALL_PIECE_M) + 1
            share = np.linspace(0.0, 1.0, pieces + 1)[:, None]
            points = self.frame.to_ground(start * (1 - share) + end * share)
            for (x0, y0), (x1, y1) in itertools.pairwise(points.tolist()):
                self.walls.append(Wall(x0, y0, x1, y1, width, height, kind, seed))


@dataclass(frozen=True)
class Grid:
    """How a style divides its ground.

    Attributes:
        block: block size aimed at, metres (long, short).
        widths: street width by level of the split, metres.
        surfaces: street surface by level.
        bend: of the frame.
    """

    block: tuple[float, float]
    widths: tuple[float, ...]
    surfaces: tuple[Surface, ...]
    bend: float


def split_blocks(draft: Draft, grid: Grid) -> list[Rect]:
    """Split the reach of the frame into blocks, laying a street along every cut."""
    reach = draft.frame.reach_m
    rng = draft.rng
    long, short = grid.block
    stack = [(Rect(-reach, reach, -reach, reach), 0)]
    blocks = []
    while stack:
        rect, level = stack.pop()
        over_a, over_b = rect.width / long, rect.depth / short
        if max(over_a, over_b) < 1.45:
            blocks.append(rect)
            continue
        width = grid.widths[min(level, len(grid.widths) - 1)] * float(rng.uniform(0.85, 1.15))
        surface = grid.surfaces[min(level, len(grid.surfaces) - 1)]
        at = float(rng.uniform(0.38, 0.62))
        if over_a >= over_b:
            cut = rect.a0 + at * rect.width
            ends = ((cut, rect.b0 - 1), (cut, rect.b1 + 1))
            parts = (
                Rect(rect.a0, cut - width / 2, rect.b0, rect.b1),
                Rect(cut + width / 2, rect.a1, rect.b0, rect.b1),
            )
        else:
            cut = rect.b0 + at * rect.depth
            ends = ((rect.a0 - 1, cut), (rect.a1 + 1, cut))
            parts = (
                Rect(rect.a0, rect.a1, rect.b0, cut - width / 2),
                Rect(rect.a0, rect.a1, cut + width / 2, rect.b1),
            )
        add_street(draft, ends, width, surface, level)
        stack.extend((part, level + 1) for part in parts)
    return blocks


def add_street(
    draft: Draft,
    ends: tuple[tuple[float, float], tuple[float, float]],
    width: float,
    surface: Surface,
    level: int,
) -> None:
    """Lay a street between two layout points; it bends with the frame."""
    length = float(np.hypot(ends[1][0] - ends[0][0], ends[1][1] - ends[0][1]))
    share = np.linspace(0.0, 1.0, int(length / 5.0) + 2)[:, None]
    line = np.array(ends[0]) * (1 - share) + np.array(ends[1]) * share
    points = draft.frame.to_ground(line)
    draft.streets.append(Street(points, width, surface, level))
    draft.occupancy.add_line(points, width + (1.0 if draft.style != "town" else 0.3))
