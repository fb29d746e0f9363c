"""The bent grid on which streets and lots are laid out, and the raster that keeps them apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from n2m_core.scenes.scene import Building, Floats

CELL_M = 0.5


@dataclass(frozen=True)
class Rect:
    """An upright rectangle in layout coordinates, metres."""

    a0: float
    a1: float
    b0: float
    b1: float

    @property
    def width(self) -> float:
        """Extent along a."""
        return self.a1 - self.a0

    @property
    def depth(self) -> float:
        """Extent along b."""
        return self.b1 - self.b0

    @property
    def centre(self) -> tuple[float, float]:
        """Middle (a, b)."""
        return (self.a0 + self.a1) / 2, (self.b0 + self.b1) / 2

    def inset(self, by: float) -> Rect:
        """Move every side inwards."""
        return Rect(self.a0 + by, self.a1 - by, self.b0 + by, self.b1 - by)

    def outline(self, step_m: float = 6.0) -> Floats:
        """Corners and points between them, [N, 2], so that a bent side stays bent."""
        along = np.linspace(0.0, 1.0, max(2, int(self.width / step_m) + 2))[:-1]
        up = np.linspace(0.0, 1.0, max(2, int(self.depth / step_m) + 2))[:-1]
        a = np.concatenate(
            [
                self.a0 + along * self.width,
                np.full(len(up), self.a1),
                self.a1 - along * self.width,
                np.full(len(up), self.a0),
            ]
        )
        b = np.concatenate(
            [
                np.full(len(along), self.b0),
                self.b0 + up * self.depth,
                np.full(len(along), self.b1),
                self.b1 - up * self.depth,
            ]
        )
        return np.stack([a, b], axis=1)


class Frame:
    """Rotated and smoothly bent coordinates: (a, b) in layout metres to (x, y) on the ground."""

    def __init__(self, rng: np.random.Generator, extent_m: float, bend: float) -> None:
        """Draw rotation and waves.

        Args:
            rng: source of the draw.
            extent_m: side of the scene, metres.
            bend: largest slope of the displacement, 0 for a straight grid.
        """
        self.extent_m = extent_m
        self.reach_m = 0.72 * extent_m + 25.0
        self.theta = float(rng.uniform(0.0, np.pi))
        wave_m = rng.uniform(90.0, 320.0, size=3)
        direction = rng.uniform(0.0, 2 * np.pi, size=3)
        self._k = 2 * np.pi / wave_m[:, None] * np.stack([np.cos(direction), np.sin(direction)], 1)
        self._phase = rng.uniform(0.0, 2 * np.pi, size=3)
        heading = rng.uniform(0.0, 2 * np.pi, size=3)
        size = bend * rng.uniform(0.4, 1.0, size=3) / (2 * np.pi / wave_m) / 2.0
        self._move = size[:, None] * np.stack([np.cos(heading), np.sin(heading)], 1)
        self._waves = tuple(
            zip(self._k.tolist(), self._phase.tolist(), self._move.tolist(), strict=True)
        )

    def to_ground(self, points: Floats) -> Floats:
        """Map layout points [N, 2] to the ground [N, 2]."""
        wave = np.sin(points @ self._k.T + self._phase)
        bent = points + wave @ self._move
        c, s = np.cos(self.theta), np.sin(self.theta)
        half = self.extent_m / 2
        return np.stack(
            [
                half + c * bent[:, 0] - s * bent[:, 1],
                half + s * bent[:, 0] + c * bent[:, 1],
            ],
            axis=1,
        )

    def place(self, a: float, b: float) -> tuple[float, float, float]:
        """Ground position and direction of the a axis there: x, y, radians."""
        bent, slope = [a, b], [1.0, 0.0]
        for (ka, kb), phase, (ma, mb) in self._waves:
            angle = ka * a + kb * b + phase
            wave, rise = math.sin(angle), math.cos(angle) * ka
            bent[0] += wave * ma
            bent[1] += wave * mb
            slope[0] += rise * ma
            slope[1] += rise * mb
        c, s = math.cos(self.theta), math.sin(self.theta)
        half = self.extent_m / 2
        x, y = half + c * bent[0] - s * bent[1], half + s * bent[0] + c * bent[1]
        return x, y, math.atan2(slope[1], slope[0]) + self.theta

    def sees(self, x: float, y: float, margin_m: float) -> bool:
        """Whether a ground point lies within the scene or at most `margin_m` outside."""
        return -margin_m <= x <= self.extent_m + margin_m and (
            -margin_m <= y <= self.extent_m + margin_m
        )


def band(points: Floats, width_m: float) -> Floats:
    """The polygon [2 N, 2] of a strip along a line [N, 2], metres."""
    along = np.gradient(points, axis=0)
    along /= np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)[:, None]
    side = np.stack([-along[:, 1], along[:, 0]], axis=1) * (width_m / 2)
    return np.concatenate([points + side, (points - side)[::-1]])


class Occupancy:
    """What is taken on the ground, in cells of half a metre, so that buildings do not collide."""

    def __init__(self, extent_m: float) -> None:
        """Start with free ground."""
        side = int(np.ceil(extent_m / CELL_M)) + 1
        self.taken: NDArray[np.bool_] = np.zeros((side, side), dtype=np.bool_)

    def add_line(self, points: Floats, width_m: float) -> None:
        """Take a band along a line [N, 2]."""
        self.add_polygon(band(points, width_m))

    def add_polygon(self, points: Floats) -> None:
        """Take the inside of a polygon [N, 2]."""
        picture = Image.new("1", self.taken.shape[::-1])
        flat = [(float(x) / CELL_M, float(y) / CELL_M) for x, y in points]
        ImageDraw.Draw(picture).polygon(flat, fill=1)
        self.taken |= np.asarray(picture)

    def is_free(self, x: float, y: float) -> bool:
        """Whether the cell of a point is free; outside counts as taken."""
        col, row = int(x / CELL_M), int(y / CELL_M)
        side = self.taken.shape[0]
        return 0 <= row < side and 0 <= col < side and not self.taken[row, col]

    def claim(self, building: Building, gap_m: float, tolerance: float = 0.0) -> bool:
        """Take a building's ground if it is free.

        Args:
            building: what wants to stand there.
            gap_m: free strip wanted around it; negative lets neighbours touch.
            tolerance: share of its cells that may be taken already.

        Returns:
            Whether it was free; nothing is taken if not. A building outside the scene is not.
        """
        reach = max(
            np.hypot(abs(w.u) + w.half_u, abs(w.v) + w.half_v) for w in building.wings
        ) + max(gap_m, 0.0)
        side = self.taken.shape[0]
        c0, c1 = ((building.x + s * reach) / CELL_M for s in (-1.0, 1.0))
        r0, r1 = ((building.y + s * reach) / CELL_M for s in (-1.0, 1.0))
        rows = np.arange(max(0, int(r0)), min(side, int(r1) + 2))
        cols = np.arange(max(0, int(c0)), min(side, int(c1) + 2))
        if rows.size == 0 or cols.size == 0:
            return False
        dx = (cols[None, :] + 0.5) * CELL_M - building.x
        dy = (rows[:, None] + 0.5) * CELL_M - building.y
        c, s = np.cos(building.angle), np.sin(building.angle)
        u, v = dx * c + dy * s, dy * c - dx * s
        wide = np.zeros(u.shape, dtype=np.bool_)
        inside = np.zeros(u.shape, dtype=np.bool_)
        for w in building.wings:
            du, dv = np.abs(u - w.u) - w.half_u, np.abs(v - w.v) - w.half_v
            wide |= (du < gap_m) & (dv < gap_m)
            inside |= (du < 0) & (dv < 0)
        window = self.taken[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
        if not inside.any() or (window & wide).sum() > tolerance * wide.sum():
            return False
        window |= inside
        return True
