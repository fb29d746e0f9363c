"""Where things lie on farmland: a river, woods, villages, and fields between tracks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from n2m_core.scenes.scene import Float
from n2m_core.scenes.textures import field, step

Ints = NDArray[np.int32]
Bools = NDArray[np.bool_]

TRACK_PARTS = 40
"""Blocks larger than the scene divided by this have a track between them."""
PIVOT_LEAST_M = 380.0
SMALL_M, LARGE_M = 140.0, 520.0


@dataclass(frozen=True, eq=False)
class Layout:
    """The ground of a farmland scene, all [H, W].

    Attributes:
        field: number of the field, int32; -1 where there is none.
        is_meadow: grass that nobody ploughs: field margins, corners outside pivots, river banks.
        is_wood: woodland.
        is_water: the river.
        is_built: villages and tracks.
        river_m: distance to the river's middle, metres, float32.
        soil: slow variation of the soil, about -2..2, float32.
        fields: how many fields there are.
    """

    field: Ints
    is_meadow: Bools
    is_wood: Bools
    is_water: Bools
    is_built: Bools
    river_m: Float
    soil: Float
    fields: int


def lay_out(rng: np.random.Generator, size: int, resolution_m: float) -> Layout:
    """Draw a layout.

    Args:
        rng: every value is drawn from it.
        size: rows and columns.
        resolution_m: ground size of a pixel.
    """
    extent = size * resolution_m
    shape = (size, size)
    across, along, river_m = _river(rng, size, resolution_m)
    numbers, is_track, is_corner = _fields(rng, along, across, resolution_m)
    soil = field(rng, shape, resolution_m, 18 * resolution_m)
    hills = field(rng, shape, resolution_m, 34 * resolution_m)
    is_water = river_m < rng.uniform(1.0, 2.4) * resolution_m
    bank = river_m < (2.0 + 3.0 * step(hills, -1.0, 1.0)) * resolution_m
    is_wood = (hills > rng.uniform(1.0, 1.5)) | (bank & (soil > -0.3))
    is_built = is_track | _villages(rng, size, extent, resolution_m)
    is_wood &= ~is_water & ~is_built
    is_built &= ~is_water
    is_meadow = (bank | is_corner | _margins(numbers)) & ~(is_water | is_wood | is_built)
    taken = is_water | is_wood | is_built | is_meadow
    return Layout(
        field=np.where(taken, -1, numbers).astype(np.int32),
        is_meadow=is_meadow,
        is_wood=is_wood,
        is_water=is_water,
        is_built=is_built,
        river_m=river_m.astype(np.float32),
        soil=soil,
        fields=int(numbers.max()) + 1,
    )


def _river(rng: np.random.Generator, size: int, px_m: float) -> tuple[Float, Float, Float]:
    """Turned ground coordinates (across, along), metres, and the distance to a winding line."""
    extent = size * px_m
    angle = rng.uniform(0, np.pi)
    centres = (np.arange(size) + 0.5) * px_m - extent / 2
    x, y = centres[None, :], centres[:, None]
    along = (x * np.cos(angle) + y * np.sin(angle)).astype(np.float32)
    across = (y * np.cos(angle) - x * np.sin(angle)).astype(np.float32)
    middle = np.full_like(along, rng.uniform(-0.32, 0.32) * extent)
    slope = np.zeros_like(along)
    for wave in rng.uniform(0.18, 0.9, size=4) * extent:
        height, phase = rng.uniform(0.02, 0.06) * wave, rng.uniform(0, 2 * np.pi)
        turn = 2 * np.pi * along / wave + phase
        middle += height * np.sin(turn)
        slope += height * 2 * np.pi / wave * np.cos(turn)
    return across, along, np.abs(across - middle) / np.sqrt(1 + slope**2)


def _fields(rng: np.random.Generator, u: Float, v: Float, px_m: float) -> tuple[Ints, Bools, Bools]:
    """Cut the ground into blocks again and again: field numbers, tracks, corners of pivots."""
    shape, extent = u.shape, float(np.ptp(u))
    numbers = np.zeros(u.size, np.int32)
    is_track, is_corner = np.zeros(u.size, np.bool_), np.zeros(u.size, np.bool_)
    flat = np.stack([u.ravel(), v.ravel()])
    box = np.array([[flat[0].min(), flat[0].max()], [flat[1].min(), flat[1].max()]])
    todo = [(np.arange(u.size), box)]
    count = 0
    while todo:
        pixels, box = todo.pop()
        sides = box[:, 1] - box[:, 0]
        axis, where = int(sides[1] > sides[0]), rng.uniform(0.36, 0.64)
        least = np.exp(rng.uniform(np.log(SMALL_M), np.log(LARGE_M)))
        if not pixels.size:
            continue
        if sides[axis] < 2 * least:
            numbers[pixels] = count
            count += 1
            if sides.min() > PIVOT_LEAST_M and rng.uniform() < 0.6:
                gap = flat[:, pixels] - box.mean(axis=1, keepdims=True)
                is_corner[pixels] = np.hypot(gap[0], gap[1]) > sides.min() / 2
            continue
        cut = box[axis, 0] + where * sides[axis]
        place = flat[axis, pixels]
        if sides[axis] > extent / np.sqrt(TRACK_PARTS):
            is_track[pixels[np.abs(place - cut) < 0.5 * px_m]] = True
        for part, end in ((place < cut, 1), (place >= cut, 0)):
            half = box.copy()
            half[axis, end] = cut
            todo.append((pixels[part], half))
    return numbers.reshape(shape), is_track.reshape(shape), is_corner.reshape(shape)


def _villages(rng: np.random.Generator, size: int, extent: float, px_m: float) -> Bools:
    """Two or three small settlements with gardens between the houses."""
    rows, columns = np.mgrid[:size, :size] * px_m
    ragged = field(rng, (size, size), px_m, 3 * px_m)
    found = np.zeros((size, size), np.bool_)
    for _ in range(int(rng.integers(1, 4))):
        row, column = rng.uniform(0.05, 0.95, size=2) * extent
        radius = rng.uniform(150, 420)
        apart = np.hypot(rows - row, columns - column) / radius
        found |= (apart + 0.35 * ragged < 0.8) & (ragged > -0.9)
    return found


def _margins(numbers: Ints) -> Bools:
    """Pixels at the lower and right side of some fields: hedges and grass strips."""
    edge = np.zeros(numbers.shape, np.bool_)
    edge[:-1] |= (numbers[:-1] != numbers[1:]) & (numbers[:-1] % 3 == 0)
    edge[:, :-1] |= (numbers[:, :-1] != numbers[:, 1:]) & (numbers[:, :-1] % 4 == 0)
    return edge
