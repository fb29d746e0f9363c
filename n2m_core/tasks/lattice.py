"""The grid on which a network sees an image, and the way there and back.

A checkpoint is trained at one ground resolution. An image of another resolution is resampled to a
lattice of that resolution, and the probabilities come back to the image's own grid. Lattice lines
are anchored at the origin of the image's coordinate reference system, not at the image's corner, so
that a georeferenced crop and the scene that it was cut from are sampled at the same places and get
the same noise.

Symbols: `scale` lattice pixels per image pixel along one axis; `phase` lattice coordinate of the
image's first edge, in [0, 1); `first` number of the first lattice pixel, counted from the origin of
the reference system.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from n2m_core.errors import GridError
from n2m_core.geo_image import GeoImage, Mask
from n2m_core.raster_io import MAX_PIXELS, ground_size_m

FloatArray = NDArray[np.float32]

MAX_COARSER = 8.0
"""An image may be this many times coarser than the checkpoint's resolution; beyond it, what the
network looks for is smaller than a pixel."""
MAX_FINER = 64.0
"""An image may be this many times finer."""
STEPS_PER_OCTAVE = 32
"""Scales are rounded to 2^(k/32), so that a crop and its scene, whose centres differ, agree."""
SAME_SCALE_STEPS = 4
"""Scales within 2^(4/32) = 9 % of one are taken as one: training varies the scale more."""
_EDGE = 1e-6


@dataclass(frozen=True)
class Axis:
    """One axis of a lattice.

    Attributes:
        size_px: pixels of the image along the axis.
        scale: lattice pixels per image pixel.
        phase: lattice coordinate of the image's first edge, in [0, 1).
        first: number of the first lattice pixel, counted from the reference system's origin.
    """

    size_px: int
    scale: float
    phase: float
    first: int

    @property
    def count(self) -> int:
        """Lattice pixels that cover the image, the first and last perhaps in part."""
        return max(1, math.ceil(self.phase + self.scale * self.size_px - _EDGE))

    def forward(self) -> sparse.csr_array[Any]:
        """Weights [count, size_px] that resample the image to the lattice."""
        centres = (np.arange(self.count) + 0.5 - self.phase) / self.scale
        return _triangle_weights(centres, max(1.0, 1.0 / self.scale), self.size_px)

    def backward(self) -> sparse.csr_array[Any]:
        """Weights [size_px, count] that resample the lattice to the image."""
        centres = self.phase + self.scale * (np.arange(self.size_px) + 0.5)
        return _triangle_weights(centres, max(1.0, self.scale), self.count)

    def cropped(self, start: int, stop: int) -> Axis:
        """Give the axis of the image's pixels `start` to `stop` (exclusive), on the same lines."""
        corner = self.phase + self.scale * start
        whole = math.floor(corner + _EDGE)
        return Axis(stop - start, self.scale, max(0.0, corner - whole), self.first + whole)

    def nearest(self) -> NDArray[np.int64]:
        """Lattice pixel under the centre of each image pixel, [size_px]."""
        centres = self.phase + self.scale * (np.arange(self.size_px) + 0.5)
        inside: NDArray[np.int64] = np.clip(np.floor(centres), 0, self.count - 1).astype(np.int64)
        return inside


@dataclass(frozen=True)
class Lattice:
    """The inference grid of one image: a row axis and a column axis."""

    rows: Axis
    columns: Axis

    @property
    def is_identity(self) -> bool:
        """Whether lattice and image are the same grid."""
        return self.rows.scale == 1.0 and self.columns.scale == 1.0

    @property
    def origin(self) -> tuple[int, int]:
        """Absolute (row, column) number of the first lattice pixel."""
        return self.rows.first, self.columns.first

    def from_image(self, values: FloatArray, valid: Mask) -> FloatArray:
        """Resample an image to the lattice, each pixel from the valid ones near it.

        Args:
            values: float32 [C, H, W].
            valid: bool [H, W].

        Returns:
            float32 [C, h, w]; 0 where nothing valid is near.
        """
        if self.is_identity:
            return values
        return weighted(values, valid, self.rows.forward(), self.columns.forward())[0]

    def to_image(self, values: FloatArray) -> FloatArray:
        """Resample float32 [C, h, w] from the lattice to the image's grid [C, H, W], bilinearly."""
        if self.is_identity:
            return values
        return separable(values, self.rows.backward(), self.columns.backward())

    def to_image_nearest(self, values: NDArray[Any]) -> NDArray[Any]:
        """Take, for every image pixel, the lattice pixel [..., h, w] under its centre."""
        if self.is_identity:
            return values
        return values[..., self.rows.nearest()[:, None], self.columns.nearest()[None, :]]


def plan_lattice(
    image: GeoImage,
    resolution_m: float,
    *,
    taken_as_m: float | None,
    max_pixels: int = MAX_PIXELS,
) -> Lattice:
    """Lay the lattice of a ground resolution over an image.

    Args:
        image: the image.
        resolution_m: ground resolution wanted, metres.
        taken_as_m: ground size of an image pixel, metres, that overrides the image's own.
        max_pixels: refuse larger lattices.

    Returns:
        The lattice; the identity when the resolutions are within 9 % of each other, or when the
        image's resolution is unknown.

    Raises:
        GridError: the image is too coarse or too fine for the checkpoint, or the lattice too large.
    """
    pixel_m = taken_as_m or image.resolution_m
    scale = 1.0 if pixel_m is None else pixel_m / resolution_m
    if scale > MAX_COARSER or scale < 1.0 / MAX_FINER:
        raise GridError(_resolution_message(float(pixel_m or 0), resolution_m, scale))
    stretch = math.sqrt(1.0 if taken_as_m else _ground_aspect(image))
    scale_y, scale_x = _rounded(scale / stretch), _rounded(scale * stretch)
    row, column = _absolute_corner(image)
    lattice = Lattice(_axis(image.height, scale_y, row), _axis(image.width, scale_x, column))
    pixels = lattice.rows.count * lattice.columns.count
    if pixels > max_pixels:
        raise GridError(
            f"At the checkpoint's {resolution_m:g} m the image has {pixels / 1e6:.0f} million "
            f"pixels; at most {max_pixels / 1e6:.0f} million. Cut it into parts."
        )
    return lattice


def _axis(size_px: int, scale: float, corner_px: float) -> Axis:
    """Build an axis from the absolute position of the image's first edge, in image pixels."""
    if scale == 1.0:
        # Not round(): corners at half a pixel are common, and must not fall to either side.
        return Axis(size_px, 1.0, 0.0, math.floor(corner_px + 0.501))
    first = math.floor(corner_px * scale + _EDGE)
    return Axis(size_px, scale, max(0.0, corner_px * scale - first), first)


def _absolute_corner(image: GeoImage) -> tuple[float, float]:
    """Row and column of the image's corner, in its own pixels from the reference system's origin.

    (0, 0) without georeference, where no other origin is known.
    """
    if not image.is_georeferenced:
        return 0.0, 0.0
    a, b, c, d, e, f = tuple(image.transform)[:6]
    determinant = a * e - b * d
    return (a * f - d * c) / determinant, (e * c - b * f) / determinant


def _ground_aspect(image: GeoImage) -> float:
    """Ground width of a pixel over its ground height, at the image centre."""
    size = ground_size_m(image)
    return 1.0 if size is None else size[1] / size[0]


def _rounded(scale: float) -> float:
    """Round a scale to the nearest 2^(k/32), and to one when near it."""
    steps = round(math.log2(scale) * STEPS_PER_OCTAVE)
    return 1.0 if abs(steps) <= SAME_SCALE_STEPS else 2.0 ** (steps / STEPS_PER_OCTAVE)


def _resolution_message(pixel_m: float, resolution_m: float, scale: float) -> str:
    """Say why an image does not suit a checkpoint."""
    if scale > 1:
        return (
            f"The image has {pixel_m:g} m per pixel, {scale:.0f} times coarser than the "
            f"{resolution_m:g} m that the checkpoint was trained for; at most {MAX_COARSER:.0f} "
            "times. Use a finer image or another checkpoint, or set the resolution by hand."
        )
    return (
        f"The image has {pixel_m:g} m per pixel, {1 / scale:.0f} times finer than the "
        f"{resolution_m:g} m that the checkpoint was trained for; at most {MAX_FINER:.0f} "
        "times. Check the resolution, or reduce the image first."
    )


def _triangle_weights(
    centres: NDArray[np.floating], radius: float, size: int
) -> sparse.csr_array[Any]:
    """Weights of a triangle filter: bilinear when enlarging, antialiased when reducing.

    Args:
        centres: continuous coordinate of every output sample, float64 [N]; sample i of the input
            lies at i + 0.5.
        radius: half the width of the triangle, in input samples, at least 1.
        size: input samples.

    Returns:
        float32 [N, size]; every row sums to one.
    """
    reach = math.ceil(radius)
    nearest = np.floor(centres).astype(np.int64)
    index = nearest[:, None] + np.arange(-reach, reach + 1)[None, :]
    weight = np.maximum(0.0, 1.0 - np.abs(centres[:, None] - (index + 0.5)) / radius)
    weight[(index < 0) | (index >= size)] = 0.0
    lost = weight.sum(axis=1) <= 0
    if lost.any():
        closest = np.clip(nearest[lost], 0, size - 1)
        weight[lost] = index[lost] == closest[:, None]
    weight /= weight.sum(axis=1, keepdims=True)
    row, column = np.nonzero(weight)
    data = weight[row, column].astype(np.float32)
    shape = (len(centres), size)
    return sparse.csr_array((data, (row, index[row, column])), shape=shape)


def weighted(
    values: FloatArray, valid: Mask, down: sparse.csr_array[Any], across: sparse.csr_array[Any]
) -> tuple[FloatArray, Mask]:
    """Resample valid pixels alone.

    Args:
        values: float32 [C, H, W].
        valid: bool [H, W].
        down: row weights [h, H].
        across: column weights [w, W].

    Returns:
        float32 [C, h, w], 0 where nothing valid is near; and where something is, bool [h, w].
    """
    if valid.all():
        return separable(values, down, across), np.ones((down.shape[0], across.shape[0]), np.bool_)
    weight = separable(valid[None].astype(np.float32), down, across)[0]
    total = separable(np.where(valid, values, np.float32(0)), down, across)
    is_near = weight > _EDGE
    return np.divide(total, weight, out=np.zeros_like(total), where=is_near), is_near


def separable(
    values: FloatArray, down: sparse.csr_array[Any], across: sparse.csr_array[Any]
) -> FloatArray:
    """Apply row weights and column weights to float32 [C, H, W], a band at a time."""
    result = np.empty((len(values), down.shape[0], across.shape[0]), dtype=np.float32)
    for band, plane in enumerate(values):
        result[band] = (across @ (down @ plane).T).T
    return result
