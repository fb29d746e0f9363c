"""Labelled pixels become polygon rings in the CRS of their grid."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import shapes
from shapely import Polygon


def trace_polygons(regions: NDArray[np.int32], transform: Affine) -> Iterator[tuple[int, Polygon]]:
    """Trace the outline of every region along its pixel edges, holes included.

    Args:
        regions: int32 [H, W]; each number above 0 one region connected by edges; 0 is left out.
        transform: pixel corner to CRS.

    Yields:
        (number of the region, polygon in CRS units).
    """
    for geometry, value in shapes(regions, mask=regions > 0, connectivity=4, transform=transform):
        shell, *holes = geometry["coordinates"]
        yield int(value), Polygon(shell, holes)
