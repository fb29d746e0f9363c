"""Outlines as GeoPackage stores them, their ground areas, and the order of places on the ground.

GeoPackage binary (OGC 12-128r19, clause 2.1.3): "GP", version 0, flags, srs_id, then ISO WKB. No
envelope is written; the bounds are columns of their own.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, TypeAlias

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from n2m_core.errors import LabelError

_HEADER = struct.Struct("<2sBBi")
_LITTLE_ENDIAN = 1
HILBERT_BITS = 16
Outline: TypeAlias = Polygon | MultiPolygon


def to_blob(outline: BaseGeometry, srs_id: int) -> bytes:
    """Write a GeoPackage geometry."""
    return _HEADER.pack(b"GP", 0, _LITTLE_ENDIAN, srs_id) + bytes(outline.wkb)


def to_blobs(outlines: NDArray[Any], srs_id: int) -> list[bytes]:
    """Write many GeoPackage geometries of one CRS at once."""
    header = _HEADER.pack(b"GP", 0, _LITTLE_ENDIAN, srs_id)
    return [header + bytes(wkb) for wkb in shapely.to_wkb(outlines)]


def from_blob(blob: bytes) -> Outline:
    """Read a GeoPackage geometry that `to_blob` wrote."""
    outline: Outline = shapely.from_wkb(blob[_HEADER.size :])
    return outline


def check_outline(outline: BaseGeometry) -> Outline:
    """Give an outline that is a valid area, mended where lines cross.

    Raises:
        LabelError: nothing with an area is left.
    """
    flat: list[Polygon] = []
    if np.isfinite(shapely.get_coordinates(outline)).all():
        mended = outline if outline.is_valid else shapely.make_valid(outline)
        parts = [each for part in _parts(mended) for each in _parts(part)]
        flat = [part for part in parts if isinstance(part, Polygon) and part.area > 0]
    if not flat:
        raise LabelError("The outline encloses no area; draw at least three corners of a polygon.")
    joined: Outline = shapely.force_2d(shapely.union_all(flat))
    return joined


def _parts(shape: BaseGeometry) -> list[BaseGeometry]:
    return list(getattr(shape, "geoms", [shape]))


def areas_m2(outlines: Sequence[BaseGeometry] | NDArray[Any], crs: str) -> NDArray[np.float64]:
    """Measure ground areas, m2, in an equal-area plane centred on the outlines.

    Raises:
        LabelError: the outlines have no place on the Earth.
    """
    series = gpd.GeoSeries(list(outlines), crs=crs)
    west, south, east, north = series.to_crs("EPSG:4326").total_bounds
    if not np.isfinite([west, south, east, north]).all():
        raise LabelError(
            f"The outlines lie outside the range of their CRS {crs[:60]}; draw them on the map, or "
            "assign the right CRS."
        )
    plane = (
        f"+proj=laea +lat_0={(south + north) / 2:.9f} +lon_0={(west + east) / 2:.9f} "
        "+datum=WGS84 +units=m"
    )
    return np.asarray(series.to_crs(plane).area, np.float64)


def measure(
    outline: BaseGeometry, crs: str | None, transform: Affine | None, resolution_m: float | None
) -> tuple[float | None, float | None]:
    """Measure one outline.

    Args:
        outline: in the CRS, or in pixels without one.
        crs: of the outline.
        transform: of the map's grid, if it has one.
        resolution_m: ground size of a pixel, metres, for an image without a place.

    Returns:
        Area in m2 and in pixels; None each where it is not known.
    """
    pixels = None if transform is None else outline.area / abs(transform.determinant)
    if crs is not None:
        return float(areas_m2([outline], crs)[0]), pixels
    if resolution_m is not None and pixels is not None:
        return pixels * resolution_m**2, pixels
    return None, pixels


def describe_crs(crs: str) -> tuple[str, int | None, str]:
    """Describe a CRS for the table gpkg_spatial_ref_sys.

    Returns:
        Name, EPSG code where it is exactly that one, and WKT.

    Raises:
        LabelError: the CRS is unknown.
    """
    try:
        known = CRS.from_user_input(crs)
    except CRSError as e:
        raise LabelError(f"The CRS {crs[:80]!r} is unknown; assign another one.") from e
    wkt = known.to_wkt("WKT1_GDAL", pretty=False) or known.to_wkt()
    return known.name, known.to_epsg(min_confidence=100), wkt


def hilbert(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int64]:
    """Number places along a Hilbert curve over their own extent, so that neighbours lie close.

    D. Hilbert, "Ueber die stetige Abbildung einer Linie auf ein Flaechenstueck", 1891; the loop
    turns and mirrors the quadrant of every level.

    Args:
        x: float64 [N], any unit.
        y: the same.

    Returns:
        int64 [N] in 0..4^16 - 1.
    """
    side = 1 << HILBERT_BITS
    spread = max(float(np.ptp(x)), float(np.ptp(y)), 1e-300) if x.size else 1.0
    column = np.minimum((x - x.min(initial=np.inf)) / spread * side, side - 1).astype(np.int64)
    row = np.minimum((y - y.min(initial=np.inf)) / spread * side, side - 1).astype(np.int64)
    distance = np.zeros(x.shape, np.int64)
    step = side >> 1
    while step:
        right, upper = (column & step) > 0, (row & step) > 0
        distance += step * step * ((3 * right) ^ upper)
        mirrored = right & ~upper
        column, row = (
            np.where(mirrored, side - 1 - column, column),
            np.where(mirrored, side - 1 - row, row),
        )
        column, row = np.where(upper, column, row), np.where(upper, row, column)
        step >>= 1
    return distance
