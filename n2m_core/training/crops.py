"""Cut crops of a chosen ground resolution and turn from larger tiles."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Rng = np.random.Generator


@dataclass(frozen=True, eq=False)
class Tile:
    """A labelled tile in memory.

    Attributes:
        image: uint8 [C, H, W]; both dates' bands for a pair.
        label: uint8 [H, W], 255 where it counts nowhere.
        resolution_m: ground size of a pixel.
    """

    image: NDArray[np.uint8]
    label: NDArray[np.uint8]
    resolution_m: float


@dataclass(frozen=True, eq=False)
class Crop:
    """What a source gives: image float32 [C, h, w] in [0, 1], label uint8 [h, w]."""

    image: Tensor
    label: Tensor


@dataclass(frozen=True)
class Cropper:
    """Draws crops of a fixed size in pixels at random ground resolution, place and turn.

    Attributes:
        crop_px: side of a crop.
        low_m: finest ground resolution.
        high_m: coarsest ground resolution.
        rotate: chance of a turn by any angle (quarter turns and mirrors are always drawn).
    """

    crop_px: int
    low_m: float
    high_m: float
    rotate: float

    def resolution(self, rng: Rng) -> float:
        """Draw a ground resolution, log-uniform, metres."""
        return float(math.exp(rng.uniform(math.log(self.low_m), math.log(self.high_m))))

    def cut(
        self, tile: Tile, resolution_m: float, rng: Rng, held: tuple[int, int] | None = None
    ) -> Crop:
        """Cut one crop; a tile too small for it is mirrored at its border.

        Args:
            tile: the tile.
            resolution_m: ground size of the crop's pixels.
            rng: decides place and turn.
            held: row and column of a pixel that the crop is to lie around, None for anywhere.

        Returns:
            The crop.
        """
        row, col = held or (None, None)
        angle = rng.uniform(-math.pi / 4, math.pi / 4) if rng.random() < self.rotate else 0.0
        reach = abs(math.cos(angle)) + abs(math.sin(angle))
        scale = resolution_m / tile.resolution_m
        height, width = tile.label.shape
        rows, top = _span(height, self.crop_px * scale * reach, rng, row)
        cols, left = _span(width, self.crop_px * scale * reach, rng, col)
        size = (self._resized(rows / scale, angle), self._resized(cols / scale, angle))
        image = torch.from_numpy(tile.image[:, top : top + rows, left : left + cols]).float() / 255
        part = tile.label[top : top + rows, left : left + cols]
        label = torch.from_numpy(part.astype(np.float32))  # a copy: labels may be read-only
        image = functional.interpolate(image[None], size, mode="bilinear", antialias=True)
        label = functional.interpolate(label[None, None], size, mode="nearest-exact")
        grid = self._grid(size, angle)
        image = functional.grid_sample(
            image, grid, mode="bilinear", padding_mode="reflection", align_corners=False
        )
        label = functional.grid_sample(
            label, grid, mode="nearest", padding_mode="reflection", align_corners=False
        )
        return _mirrored(image[0], label[0, 0].round().to(torch.uint8), rng)

    def _resized(self, pixels: float, angle: float) -> int:
        """Round a size; within a pixel of the crop's, take the crop's, so that nothing shifts."""
        if not angle and abs(pixels - self.crop_px) <= 1:
            return self.crop_px
        return max(round(pixels), 1)

    def _grid(self, size: tuple[int, int], angle: float) -> Tensor:
        """Sampling grid [1, crop, crop, 2] centred on a window of that size."""
        steps = torch.arange(self.crop_px) - (self.crop_px - 1) / 2
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        cos, sin = math.cos(angle), math.sin(angle)
        turned_x, turned_y = cos * x - sin * y, sin * x + cos * y
        return torch.stack([2 * turned_x / size[1], 2 * turned_y / size[0]], dim=-1)[None]


def _span(length: int, wanted: float, rng: Rng, held: int | None) -> tuple[int, int]:
    """Choose a run of pixels, its length and its start; `held` comes to lie in its middle half."""
    run = min(max(math.ceil(wanted), 1), length)
    if held is None:
        return run, int(rng.integers(0, length - run + 1))
    start = held - round(run * rng.uniform(0.25, 0.75))
    return run, min(max(start, 0), length - run)


def _mirrored(image: Tensor, label: Tensor, rng: Rng) -> Crop:
    """Turn by quarter turns and mirror."""
    turns = int(rng.integers(4))
    image, label = torch.rot90(image, turns, (1, 2)), torch.rot90(label, turns, (0, 1))
    if rng.random() < 0.5:
        image, label = image.flip(2), label.flip(1)
    return Crop(image.contiguous(), label.contiguous())
