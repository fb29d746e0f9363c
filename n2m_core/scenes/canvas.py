"""The layers that a scene is drawn into, before it is lit: colour, height, slope, class, number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from n2m_core.scenes.scene import BARE, Float, Instances, Labels

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Window:
    """A rectangle of the canvas with the local coordinates of its pixels, float32 [h, w] metres."""

    rows: slice
    cols: slice
    u: Float
    v: Float

    @property
    def at(self) -> tuple[slice, slice]:
        """Index of the rectangle."""
        return self.rows, self.cols


class Canvas:
    """Layers [H, W] on a grid of `px_m` metres; row 0, column 0 starts at the ground's origin."""

    def __init__(self, side: int, px_m: float) -> None:
        """Start with bare, level ground."""
        shape = (side, side)
        self.px_m = px_m
        self.shape = shape
        self.albedo: Float = np.zeros((*shape, 3), dtype=np.float32)
        self.height: Float = np.zeros(shape, dtype=np.float32)
        self.slope_x: Float = np.zeros(shape, dtype=np.float32)
        self.slope_y: Float = np.zeros(shape, dtype=np.float32)
        self.land_cover: Labels = np.full(shape, BARE, dtype=np.uint8)
        self.instances: Instances = np.zeros(shape, dtype=np.int32)
        self.damage: Labels = np.zeros(shape, dtype=np.uint8)
        self._centres: Float = ((np.arange(side) + 0.5) * px_m).astype(np.float32)

    def window(self, x: float, y: float, angle: float, reach_m: float) -> Window | None:
        """Cut the square of half side `reach_m` around a point, with axes turned by `angle`."""
        side = self.shape[0]
        r0, r1 = (int(np.floor((y + s * reach_m) / self.px_m)) for s in (-1.0, 1.0))
        c0, c1 = (int(np.floor((x + s * reach_m) / self.px_m)) for s in (-1.0, 1.0))
        rows, cols = slice(max(0, r0), min(side, r1 + 2)), slice(max(0, c0), min(side, c1 + 2))
        if rows.start >= rows.stop or cols.start >= cols.stop:
            return None
        dx = self._centres[None, cols] - np.float32(x)
        dy = self._centres[rows, None] - np.float32(y)
        c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        return Window(rows, cols, dx * c + dy * s, dy * c - dx * s)

    def positions(self) -> tuple[Float, Float]:
        """Ground coordinates of the pixel centres: x [1, W] and y [H, 1], metres."""
        return self._centres[None, :], self._centres[:, None]
