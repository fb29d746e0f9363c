"""Tiny rasters that several tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from n2m_core.geo_image import GeoImage

UTM = Affine(0.5, 0.0, 500_000.0, 0.0, -0.5, 5_000_000.0)
ImageFactory = Callable[..., GeoImage]
RasterFactory = Callable[..., Path]


def scene(bands: int = 3, height: int = 40, width: int = 50, dtype: str = "uint8") -> NDArray[Any]:
    """Pixels [C, H, W] that differ smoothly in every band and direction."""
    band, row, column = np.ogrid[:bands, :height, :width]
    return (60 + 40 * band / bands + row * 1.5 + column).astype(dtype)
