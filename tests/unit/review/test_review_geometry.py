"""Outlines are mended, measured on the ground, stored as GeoPackage has them, and put in order."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from pyproj import Geod
from review_cases import square
from shapely.geometry import GeometryCollection, LineString, Polygon, box

from n2m_core.errors import LabelError
from n2m_core.review.geometry import (
    areas_m2,
    check_outline,
    describe_crs,
    from_blob,
    hilbert,
    measure,
    to_blob,
    to_blobs,
)


def test_hilbert_curve_goes_from_neighbour_to_neighbour() -> None:
    column, row = (each.ravel() for each in np.meshgrid(np.arange(8), np.arange(8)))
    # The corners fix the extent, so that every cell of the 8 x 8 lattice is a quadrant of its own.
    x, y = (np.append((each + 0.5) / 8, [0.0, 1.0]) for each in (column, row))
    order = np.argsort(hilbert(x, y)[:64])
    steps = np.abs(np.diff(column[order])) + np.abs(np.diff(row[order]))
    assert steps.tolist() == [1] * 63
    assert hilbert(np.zeros(0), np.zeros(0)).size == 0
    assert hilbert(np.full(2, 5.0), np.full(2, 7.0)).tolist() == [0, 0]


@pytest.mark.parametrize("latitude", [0.0, 52.0, -70.0])
def test_areas_are_those_of_the_ellipsoid(latitude: float) -> None:
    field = box(13.0, latitude, 13.01, latitude + 0.01)
    expected, _ = Geod(ellps="WGS84").geometry_area_perimeter(field)
    assert areas_m2([field], "EPSG:4326")[0] == pytest.approx(abs(expected), rel=1e-4)
    # Web Mercator stretches areas; the ground stays what it is.
    assert measure(square(0, 0), "EPSG:3857", None, None)[0] != pytest.approx(25, rel=0.1)


def test_place_outside_the_earth_is_told() -> None:
    with pytest.raises(LabelError, match="outside the range of their CRS EPSG:32633"):
        measure(box(1e9, 1e9, 2e9, 2e9), "EPSG:32633", None, None)


def test_pixels_are_counted_on_the_grid() -> None:
    grid = Affine(2.0, 0, 0, 0, -2.0, 0)
    assert measure(box(0, 0, 4, 6), None, grid, None) == (None, 6)
    assert measure(box(0, 0, 4, 6), None, grid, 0.5) == (1.5, 6)
    assert measure(box(0, 0, 4, 6), None, None, None) == (None, None)


def test_crossed_outline_is_mended_and_lines_are_left_out() -> None:
    crossed = Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    assert check_outline(crossed).area == pytest.approx(2)
    mixed = GeometryCollection([box(0, 0, 1, 1), LineString([(0, 0), (5, 5)])])
    assert check_outline(mixed).equals(box(0, 0, 1, 1))
    for nothing in (LineString([(0, 0), (1, 1)]), Polygon(), box(0, 0, np.inf, 1)):
        with pytest.raises(LabelError, match="encloses no area"):
            check_outline(nothing)


def test_blob_is_that_of_the_standard() -> None:
    shape = box(0, 0, 1, 1)
    blob = to_blob(shape, 32633)
    # Magic, version 0, little endian without envelope, srs_id: OGC 12-128r19, clause 2.1.3.1.1.
    assert blob[:8] == b"GP\x00\x01" + (32633).to_bytes(4, "little")
    assert from_blob(blob) == shape
    assert to_blobs(np.array([shape]), 32633) == [blob]


def test_crs_with_and_without_a_code() -> None:
    assert describe_crs("EPSG:32633")[1] == 32633
    name, code, wkt = describe_crs("+proj=laea +lat_0=52 +lon_0=10 +datum=WGS84")
    assert (name, code) == ("unknown", None)
    assert "Lambert_Azimuthal_Equal_Area" in wkt
    with pytest.raises(LabelError, match="is unknown"):
        describe_crs("nowhere")
