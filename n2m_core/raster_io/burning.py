"""Polygons become labelled pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

from n2m_core.geo_image import GeoImage


def burn_polygons(
    shapes: Sequence[tuple[BaseGeometry, int]], grid: GeoImage, *, background: int
) -> NDArray[np.uint8]:
    """Label the pixels whose centre lies in a polygon.

    Args:
        shapes: polygons in the grid's CRS, or in pixels without one, each with its label 0..255; a
            later one lies over an earlier one.
        grid: gives size and place; its pixels are not used.
        background: label of the other pixels.

    Returns:
        uint8 [H, W].
    """
    if not shapes:
        return np.full(grid.valid.shape, background, np.uint8)
    burnt: NDArray[np.uint8] = rasterize(
        shapes,
        out_shape=grid.valid.shape,
        fill=background,
        transform=grid.transform,
        dtype="uint8",
    )
    return burnt
