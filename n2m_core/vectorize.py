"""A class map becomes polygons with true areas and mean confidence, for a GIS.

A polygon is a region of one class whose pixels share edges. Its area is the sum of the ground areas
of its pixels (see `raster_io.ground_areas_m2`), so it is right in metres whatever the CRS: degrees
and Web Mercator included.
"""

from __future__ import annotations

import json
import math
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage
from shapely.affinity import translate
from shapely.geometry import MultiPolygon, Polygon, box
from shapely.geometry.base import BaseGeometry

from n2m_core.atomic import write_bytes
from n2m_core.errors import LabelError, ParameterError
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import ground_areas_m2, trace_polygons

LAYER = "polygons"
DEGREE_DIGITS = 7
"""About 1 cm on the ground; RFC 7946 section 11.2 advises against more than is known."""
SUFFIXES = (".geojson", ".json", ".gpkg")


def to_polygons(
    labels: NDArray[np.uint8],
    grid: GeoImage,
    class_names: Mapping[int, str],
    *,
    confidence: NDArray[np.float32] | None = None,
    min_area_m2: float = 0.0,
    background: int | None = 0,
) -> gpd.GeoDataFrame:
    """Trace the regions of every class.

    Args:
        labels: class of each pixel, uint8 [H, W]; classes without a name, such as 255, are left
            out.
        grid: the image that the map lies on; its pixels are not used.
        class_names: class to name.
        confidence: probability of the chosen class, float32 [H, W] in [0, 1].
        min_area_m2: leave out regions smaller than this.
        background: class that is not traced.

    Returns:
        Columns class, class_id, area_m2 (area_px when the ground resolution is unknown),
        confidence (mean over the region, NaN when not given) and geometry, in the grid's CRS, or in
        pixels (column, row) without one.

    Raises:
        LabelError: the map is not of the grid's size.
        ParameterError: a least area in m2 without a ground resolution.
    """
    if labels.shape != grid.valid.shape:
        raise LabelError(
            f"The map is {labels.shape} and its grid {grid.valid.shape} (rows, columns); both "
            "must have the same size."
        )
    areas = ground_areas_m2(grid)
    if areas is None and min_area_m2 > 0:
        raise ParameterError(
            f"A least area of {min_area_m2} m2 needs the ground resolution of the image; state it "
            "in metres, or leave the least area at 0."
        )
    wanted = [index for index in class_names if index != background]
    regions, classes = connected_regions(labels, wanted)
    pixel_m2 = np.ones(labels.shape[0]) if areas is None else areas
    sizes, means = measure_regions(regions, len(classes), pixel_m2, confidence)
    kept = sizes >= min_area_m2
    kept[0] = False
    outlines = dict(trace_polygons(np.where(kept[regions], regions, 0), grid.transform))
    order = sorted(outlines)
    return gpd.GeoDataFrame(
        {
            "class": [class_names[int(classes[number])] for number in order],
            "class_id": classes[order].astype(np.int64),
            "area_px" if areas is None else "area_m2": sizes[order],
            "confidence": means[order],
        },
        geometry=[outlines[number] for number in order],
        crs=grid.crs,
    )


def measure_regions(
    regions: NDArray[np.int32],
    count: int,
    pixel_m2: NDArray[np.float64],
    confidence: NDArray[np.float32] | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Add up the area of every region and average its confidence.

    Args:
        regions: number of each pixel's region, int32 [H, W]; 0 is none.
        count: of the numbers, 0 included.
        pixel_m2: area of the pixels of each row, float64 [H].
        confidence: float32 [H, W]; the means are NaN without it.

    Returns:
        Areas and means, float64 [count] each.
    """
    flat = regions.ravel()
    weights = np.repeat(pixel_m2, regions.shape[1])
    sizes = np.bincount(flat, weights, minlength=count).astype(np.float64)
    if confidence is None:
        return sizes, np.full(count, np.nan)
    numbers = np.maximum(np.bincount(flat, minlength=count), 1)
    return sizes, np.bincount(flat, confidence.ravel(), minlength=count) / numbers


def connected_regions(
    labels: NDArray[np.uint8], wanted: list[int]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Number the regions of the wanted classes from 1.

    Args:
        labels: class of each pixel, uint8 [H, W].
        wanted: classes, in the order in which their regions are numbered.

    Returns:
        Number of each pixel's region, int32 [H, W], 0 for none; and the class of every number.
    """
    regions = np.zeros(labels.shape, np.int32)
    classes = [0]
    for index in wanted:
        inside = labels == index
        numbered, count = ndimage.label(inside)
        regions[inside] = numbered[inside] + (len(classes) - 1)
        classes.extend([index] * int(count))
    return regions, np.array(classes, np.int64)


def geojson_bytes(frame: gpd.GeoDataFrame) -> bytes:
    """Write GeoJSON as RFC 7946 wants it: longitude and latitude, outer rings counterclockwise.

    Polygons that cross the 180th meridian are cut there (section 3.1.9). Without a CRS the
    coordinates are pixels (column, row), and a member "coordinates" says so.
    """
    placed = frame.crs is not None
    if placed:
        frame = frame.to_crs("EPSG:4326")
    geometry = np.asarray(frame.geometry.array)
    shapes = shapely.to_geojson(_to_rfc7946(geometry) if placed else geometry)
    names = [name for name in frame.columns if name != frame.geometry.name]
    records = frame[names].to_dict("records")
    features = (
        f'{{"type": "Feature", "properties": {_to_json(record)}, "geometry": {shape}}}'
        for record, shape in zip(records, shapes, strict=True)
    )
    where = "" if placed else '"coordinates": "pixels (column, row)", '
    return f'{{"type": "FeatureCollection", {where}"features": [{", ".join(features)}]}}'.encode()


def _to_json(record: dict[Any, Any]) -> str:
    return json.dumps(
        {str(key): _json_value(value) for key, value in record.items()}, allow_nan=False
    )


def _json_value(value: Any) -> Any:  # noqa: ANN401 - a cell of a data frame may be anything
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value


def _to_rfc7946(shapes: NDArray[Any]) -> NDArray[Any]:
    """Cut at the 180th meridian, round, and turn the rings of many shapes at once."""
    shapes = shapes.copy()
    west, _, east, _ = shapely.bounds(shapes).T
    for index in np.flatnonzero(east - west > 180):
        shapes[index] = _cut_at_antimeridian(shapes[index])
    rounded = shapely.transform(shapes, lambda points: np.round(points, DEGREE_DIGITS))
    turned: NDArray[Any] = shapely.orient_polygons(rounded)
    return turned


def _cut_at_antimeridian(shape: BaseGeometry) -> BaseGeometry:
    def _unwrap(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack([points[:, 0] % 360, points[:, 1]])

    whole = shapely.transform(shape, _unwrap)
    halves = (
        whole.intersection(box(0, -90, 180, 90)),
        translate(whole.intersection(box(180, -90, 360, 90)), -360),
    )
    parts = [part for half in halves for part in getattr(half, "geoms", [half])]
    return MultiPolygon([part for part in parts if isinstance(part, Polygon) and part.area > 0])


def geopackage_bytes(frame: gpd.GeoDataFrame, crs: str | None = None) -> bytes:
    """Write a GeoPackage with one layer, in the frame's CRS or another one."""
    with tempfile.TemporaryDirectory(prefix="n2m-") as folder:
        path = Path(folder) / "polygons.gpkg"
        moved = frame if crs is None else frame.to_crs(crs)
        # A layer is of one type; a single part is a multi-polygon of one where there are others.
        has_parts = bool((moved.geometry.geom_type == "MultiPolygon").any())
        with warnings.catch_warnings():
            # A map without georeference is written in pixels, on purpose.
            warnings.filterwarnings("ignore", message="'crs' was not provided")
            moved.to_file(
                path,
                driver="GPKG",
                layer=LAYER,
                engine="pyogrio",
                geometry_type="MultiPolygon" if has_parts else "Polygon",
                promote_to_multi=has_parts,
            )
        return path.read_bytes()


def write_vector(path: Path, frame: gpd.GeoDataFrame) -> None:
    """Write polygons, GeoJSON or GeoPackage by the suffix, whole or not at all.

    Raises:
        ParameterError: another suffix.
        OutputError: the folder is full or not writable.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ParameterError(
            f"{path.name} ends in {suffix or 'nothing'}; polygons are written as "
            f"{', '.join(SUFFIXES)}."
        )
    write_bytes(path, geopackage_bytes(frame) if suffix == ".gpkg" else geojson_bytes(frame))
