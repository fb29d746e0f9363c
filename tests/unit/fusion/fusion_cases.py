"""Small fusions with a known answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from n2m_core.fusion.inputs import FusionInputs

SCALE = 4
BASE = np.array([[0.05, 0.25], [0.10, 0.40], [0.20, 0.15]])
"""Reflectance of three kinds of field in two bands."""
Images = NDArray[np.float32]
Kinds = NDArray[np.intp]


def quiet(done: int, total: int, note: str) -> None:
    """Progress that nobody looks at."""


def fields(height: int = 24, width: int = 28) -> Kinds:
    """Three kinds of field, in blocks of whole coarse pixels."""
    rows, columns = np.arange(height) // (2 * SCALE), np.arange(width) // SCALE
    kinds: Kinds = (rows[:, None] + columns[None, :] // 2) % 3
    return kinds


def painted(kinds: Kinds, values: NDArray[np.float64]) -> Images:
    """Every field in its own reflectance, [C, H, W]."""
    return np.moveaxis(values[kinds], -1, 0).astype(np.float32)


def block_mean(image: Images, scale: int = SCALE) -> Images:
    """Coarse pixels of whole blocks, laid out on the fine grid."""
    bands, height, width = image.shape
    cells = image.reshape(bands, height // scale, scale, width // scale, scale).mean(axis=(2, 4))
    return cells.repeat(scale, 1).repeat(scale, 2).astype(np.float32)


def made(
    fine0: Images, fine1: Images, fine2: Images, valid: NDArray[np.bool_] | None = None
) -> FusionInputs:
    """Inputs whose coarse images are the block means of the fine ones."""
    coarse = [block_mean(each) for each in (fine0, fine1, fine2)]
    mask = np.ones(fine0.shape[1:], np.bool_) if valid is None else valid
    return FusionInputs(fine0, coarse[0], fine2, coarse[2], coarse[1], mask, SCALE)


def noisy(seed: int = 3, height: int = 12, width: int = 16) -> FusionInputs:
    """Fields with texture, sensors that disagree, and a few masked pixels."""
    rng = np.random.default_rng(seed)
    kinds = fields(height, width)

    def draw(change: float) -> Images:
        image = painted(kinds, BASE * (1 + change * np.array([[1.0], [-0.5], [0.3]])))
        return (image + 0.01 * rng.standard_normal(image.shape)).astype(np.float32)

    valid = np.ones((height, width), np.bool_)
    valid[3:5, 6:9] = False
    inputs = made(draw(0.0), draw(0.3), draw(0.6), valid)
    haze = (0.004 * rng.standard_normal(inputs.coarse1.shape)).astype(np.float32)
    return replace(inputs, coarse1=inputs.coarse1 + haze, coarse0=inputs.coarse0 + haze / 2)
