"""Where the blocks of a scene lie, and which pixels and windows each one needs.

The windows of `tiling.predict_tiled` are placed once for the whole scene on its lattice. A block is
cut where windows begin, and takes every window that has a say in its pixels; so each window is
predicted from the same pixels, and blended with the same weights, as when the scene is mapped in
one piece. Windows across a cut are predicted by both blocks.

Everything is separable: a block is a part of the row axis and a part of the column axis.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from n2m_core.geo_image import Mask
from n2m_core.raster_io import Box
from n2m_core.tasks.inference import MARGIN_PX, WindowSides
from n2m_core.tasks.lattice import Axis, FloatArray, Lattice, separable, weighted
from n2m_core.tiling import Placement, place, reflect

Weights = sparse.csr_array[Any]


@dataclass(frozen=True, eq=False)
class AxisPart:
    """One axis of a block. Ends are exclusive.

    Attributes:
        image: pixels of the image that the block gives.
        read: pixels of the image that it needs.
        lattice: lattice pixels whose probabilities it needs.
        windows: counted from the first lattice position of the first window.
        origin: absolute number of that position.
        gather: lattice pixel at every position that the windows cover, mirrored at the scene's
            ends, int [N].
        forward: weights that resample `read` to the lattice pixels from `lowest` on; None where
            lattice and image are one grid.
        backward: weights that resample `lattice` to `image`; None likewise.
        lowest: first lattice pixel that any window shows.
        front: positions before the first lattice pixel of `lattice`.
    """

    image: tuple[int, int]
    read: tuple[int, int]
    lattice: tuple[int, int]
    windows: Placement
    origin: int
    gather: NDArray[np.intp]
    forward: Weights | None
    backward: Weights | None
    lowest: int
    front: int


@dataclass(frozen=True, eq=False)
class _Line:
    """One axis of the scene, with the weights of its whole length."""

    axis: Axis
    placement: Placement
    forward: Weights | None
    backward: Weights | None

    @property
    def padded(self) -> int:
        """Lattice pixels with the margins."""
        return self.axis.count + 2 * MARGIN_PX

    def cuts(self, side: int, sides: WindowSides) -> list[int]:
        """Image pixels at which blocks of about `side` lattice pixels begin, and the end."""
        starts = self.placement.starts
        per_block = max(1, round(side / (sides.size - sides.overlap)))
        count = max(1, round(len(starts) / per_block))
        lattice = [
            starts[round(index * len(starts) / count)] - MARGIN_PX for index in range(1, count)
        ]
        # The first image pixel whose centre lies at or behind the cut.
        pixels = [math.ceil((cut - self.axis.phase) / self.axis.scale - 0.5) for cut in lattice]
        inside = sorted({pixel for pixel in pixels if 0 < pixel < self.axis.size_px})
        return [0, *inside, self.axis.size_px]

    def part(self, first: int, stop: int) -> AxisPart:
        """Find what the image's pixels `first` to `stop` need."""
        low, high = (first, stop) if self.backward is None else _support(self.backward, first, stop)
        windows = self.placement.touching(low + MARGIN_PX, high + MARGIN_PX)
        start, end = windows.span
        padded = reflect(np.arange(start, end), self.padded)
        gather = reflect(padded - MARGIN_PX, self.axis.count)
        lowest, highest = int(gather.min()), int(gather.max()) + 1
        read = (lowest, highest)
        forward = backward = None
        if self.forward is not None and self.backward is not None:
            read = _support(self.forward, lowest, highest)
            forward = self.forward[lowest:highest, read[0] : read[1]]
            backward = self.backward[first:stop, low:high]
        return AxisPart(
            image=(first, stop),
            read=read,
            lattice=(low, high),
            windows=windows.moved(-start),
            origin=self.axis.first - MARGIN_PX + start,
            gather=gather,
            forward=forward,
            backward=backward,
            lowest=lowest,
            front=low + MARGIN_PX - start,
        )


@dataclass(frozen=True, eq=False)
class Block:
    """A rectangle of the scene that is worked on in one go.

    Attributes:
        number: counted row by row from 0.
        rows: its row axis.
        columns: its column axis.
    """

    number: int
    rows: AxisPart
    columns: AxisPart

    @property
    def image(self) -> Box:
        """The pixels that it gives."""
        return _box(self.rows.image, self.columns.image)

    @property
    def read(self) -> Box:
        """The pixels that it needs."""
        return _box(self.rows.read, self.columns.read)

    @property
    def inner(self) -> Box:
        """The pixels that it gives, counted from the first that it needs."""
        top, left = self.rows.read[0], self.columns.read[0]
        box = self.image
        return Box(box.top - top, box.left - left, box.bottom - top, box.right - left)

    @property
    def span(self) -> tuple[int, int]:
        """Lattice positions that its windows cover, rows and columns."""
        return len(self.rows.gather), len(self.columns.gather)

    @property
    def origin(self) -> tuple[int, int]:
        """Absolute position of its first window."""
        return self.rows.origin, self.columns.origin

    def image_rows(self, positions: NDArray[np.intp]) -> slice:
        """Rows of `read` that some row positions of the windows need."""
        low, high = self._lattice_rows(positions)
        if self.rows.forward is None:
            return slice(low, high)
        return slice(*_support(self.rows.forward, low, high))

    def lattice_rows(
        self, positions: NDArray[np.intp], values: FloatArray, valid: Mask
    ) -> FloatArray:
        """Bring image rows to positions of the windows.

        Args:
            positions: row positions, int [N].
            values: clean input of `image_rows(positions)`, float32 [C, h, W].
            valid: where it is data, bool [h, W].

        Returns:
            float32 [C + 1, N, span]; the last band is 1 where something valid is near.
        """
        low, high = self._lattice_rows(positions)
        if self.rows.forward is not None and self.columns.forward is not None:
            needed = self.image_rows(positions)
            down = self.rows.forward[low:high, needed]
            values, valid = weighted(values, valid, down, self.columns.forward)
        both = np.concatenate([values, valid[None].astype(np.float32)])
        rows = self.rows.gather[positions] - self.rows.lowest - low
        return both[:, rows[:, None], (self.columns.gather - self.columns.lowest)[None]]

    def to_image(self, lattice: FloatArray, first: int, stop: int) -> FloatArray:
        """Bring probabilities to rows of the image.

        Args:
            lattice: float32 [K, h, w], of the lattice pixels that the block needs.
            first: row of the block.
            stop: the row behind the last.

        Returns:
            float32 [K, stop - first, W].
        """
        if self.rows.backward is None or self.columns.backward is None:
            return lattice[:, first:stop]
        low, high = _support(self.rows.backward, first, stop)
        down = self.rows.backward[first:stop, low:high]
        return separable(lattice[:, low:high], down, self.columns.backward)

    def _lattice_rows(self, positions: NDArray[np.intp]) -> tuple[int, int]:
        """The lattice rows at some positions, counted from the lowest."""
        rows = self.rows.gather[positions]
        return int(rows.min()) - self.rows.lowest, int(rows.max()) + 1 - self.rows.lowest


@dataclass(frozen=True)
class BlockGrid:
    """The blocks of a scene.

    Attributes:
        lattice: on which the network sees the scene.
        sides: of the windows.
        side_px: about how large a block is, lattice pixels.
    """

    lattice: Lattice
    sides: WindowSides
    side_px: int

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Every block, row by row."""
        rows = self._parts(self.lattice.rows)
        columns = self._parts(self.lattice.columns)
        pairs = [(row, column) for row in rows for column in columns]
        return tuple(Block(number, *pair) for number, pair in enumerate(pairs))

    def _parts(self, axis: Axis) -> list[AxisPart]:
        """Cut one axis."""
        sides = self.sides
        is_same = self.lattice.is_identity
        line = _Line(
            axis,
            place(
                axis.count + 2 * MARGIN_PX,
                sides.size,
                sides.overlap,
                sides.multiple,
                axis.first - MARGIN_PX,
            ),
            None if is_same else axis.forward(),
            None if is_same else axis.backward(),
        )
        cuts = line.cuts(self.side_px, sides)
        return [line.part(first, stop) for first, stop in itertools.pairwise(cuts)]


def _box(rows: tuple[int, int], columns: tuple[int, int]) -> Box:
    """Rows and columns as a box."""
    return Box(rows[0], columns[0], rows[1], columns[1])


def _support(weights: Weights, first: int, stop: int) -> tuple[int, int]:
    """The inputs that some outputs are made of, first and behind the last."""
    used = weights.indices[weights.indptr[first] : weights.indptr[stop]]
    return int(used.min()), int(used.max()) + 1
