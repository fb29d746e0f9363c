"""Metres, square metres and the place of a grid on the Earth.

Areas come from a Lambert azimuthal equal-area projection of the ellipsoid centred on the image, so
they are true ground areas whatever the CRS: a Web Mercator pixel at 60 degrees north covers a
quarter of its square of nominal metres, and a degree of longitude shrinks towards the poles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.warp import transform as transform_points

from n2m_core.errors import GridError
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io.opening import RASTER_ERRORS

LONLAT = "EPSG:4326"
WEB_MERCATOR = "EPSG:3857"
WORLD_TURNS = {LONLAT: 360.0, WEB_MERCATOR: 2 * np.pi * 6_378_137.0}
"""Length of the equator in the units of each CRS that is shown to people."""
_EPSG_CONFIDENCE = 100
OUTLINE_POINTS = 20
"""Points on a side: its curve in another CRS is followed to well below a pixel."""


def crs_text(crs: CRS | None) -> str | None:
    """Write a CRS as "EPSG:n" when it is exactly that one, else as WKT; None when there is none."""
    if not crs:
        return None
    code = crs.to_epsg(confidence_threshold=_EPSG_CONFIDENCE)
    return f"EPSG:{code}" if code else str(crs.to_wkt())


def parse_crs(text: str) -> CRS:
    """Read a CRS.

    Raises:
        GridError: the text names no CRS.
    """
    try:
        return CRS.from_user_input(text)
    except (CRSError, *RASTER_ERRORS) as error:
        raise GridError(f"The CRS {text[:80]!r} is unknown; assign another one.") from error


def project(
    from_crs: str, to_crs: str, xs: NDArray[Any], ys: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Move points between two CRSs; x is east or longitude, y north or latitude.

    Raises:
        GridError: the points have no place in the other CRS.
    """
    try:
        moved = transform_points(parse_crs(from_crs), parse_crs(to_crs), xs.ravel(), ys.ravel())
    except RASTER_ERRORS as error:
        raise GridError(
            f"The image has no place on the Earth in its CRS {from_crs[:60]}; assign the right CRS."
        ) from error
    x, y = (np.asarray(part, np.float64).reshape(xs.shape) for part in moved[:2])
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise GridError(
            f"The image lies outside the range of its CRS {from_crs[:60]}; assign the right CRS."
        )
    return x, y


def pixel_corners(
    transform: Affine, rows: NDArray[Any], columns: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give CRS coordinates of pixel corners; whole numbers are upper left corners."""
    x = transform.a * columns + transform.b * rows + transform.c
    y = transform.d * columns + transform.e * rows + transform.f
    return np.asarray(x, np.float64), np.asarray(y, np.float64)


def _local_metres(
    image: GeoImage, rows: NDArray[Any], columns: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give true-area metres of pixel corners in a plane that touches the image centre."""
    assert image.crs is not None
    middle = pixel_corners(
        image.transform, np.array([image.height / 2]), np.array([image.width / 2])
    )
    longitude, latitude = project(image.crs, LONLAT, *middle)
    plane = f"+proj=laea +lat_0={latitude[0]:.9f} +lon_0={longitude[0]:.9f} +datum=WGS84 +units=m"
    return project(image.crs, plane, *pixel_corners(image.transform, rows, columns))


def ground_areas_m2(image: GeoImage) -> NDArray[np.float64] | None:
    """Measure the ground that a pixel of each row covers, at the middle column.

    Returns:
        float64 [H], m2; without a CRS the square of `resolution_m`; None when that is unknown too.

    Raises:
        GridError: the image lies outside the range of its CRS.
    """
    if image.crs is None:
        if image.resolution_m is None:
            return None
        return np.full(image.height, image.resolution_m**2)
    edges = np.arange(image.height + 1, dtype=np.float64)
    column = np.full_like(edges, (image.width - 1) / 2)
    left = np.stack(_local_metres(image, edges, column))
    right = np.stack(_local_metres(image, edges, column + 1))
    first, second = right[:, 1:] - left[:, :-1], left[:, 1:] - right[:, :-1]
    return np.asarray(np.abs(first[0] * second[1] - first[1] * second[0]) / 2)


def ground_size_m(image: GeoImage) -> tuple[float, float] | None:
    """Measure the sides of the pixel at the image centre.

    Returns:
        Metres along a row step and along a column step; None when unknown.

    Raises:
        GridError: the image lies outside the range of its CRS.
    """
    if image.crs is None:
        return None if image.resolution_m is None else (image.resolution_m, image.resolution_m)
    row, column = image.height / 2, image.width / 2
    rows = np.array([row - 0.5, row + 0.5, row, row])
    columns = np.array([column, column, column - 0.5, column + 0.5])
    x, y = _local_metres(image, rows, columns)
    return float(np.hypot(x[1] - x[0], y[1] - y[0])), float(np.hypot(x[3] - x[2], y[3] - y[2]))


def centre_resolution_m(image: GeoImage) -> float | None:
    """Give the side of a square with the ground area of the pixel at the centre, metres."""
    size = ground_size_m(image)
    return None if size is None else float(np.sqrt(size[0] * size[1]))


def lonlat_bounds(image: GeoImage) -> tuple[float, float, float, float]:
    """Give south, west, north, east of the image's outline in degrees.

    East is more than 180 for an image across the 180th meridian.

    Raises:
        GridError: no georeference, or outside the range of the CRS.
    """
    if image.crs is None:
        raise GridError("The image has no georeference, so it has no bounds in degrees.")
    x, y = project_outline(image, LONLAT)
    return float(y.min()), float(x.min()), float(y.max()), float(x.max())


def project_outline(image: GeoImage, crs: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Move the outline of an image, 20 points a side in one direction, to another CRS.

    An image across the 180th meridian goes on beyond it to the east, as web maps want it.

    Raises:
        GridError: outside the range of the CRS.
    """
    assert image.crs is not None
    rise = np.arange(OUTLINE_POINTS) / OUTLINE_POINTS
    none, full = np.zeros(OUTLINE_POINTS), np.ones(OUTLINE_POINTS)
    rows = np.concatenate([none, rise, full, 1 - rise]) * image.height
    columns = np.concatenate([rise, full, 1 - rise, none]) * image.width
    x, y = project(image.crs, crs, *pixel_corners(image.transform, rows, columns))
    turn = WORLD_TURNS.get(crs)
    if turn is not None and np.ptp(x) > turn / 2:
        x = x % turn
    return x, y
