"""Connected areas of a map that is gone through strip by strip: smallest area and polygons.

Areas are found in each strip, and those that touch across a seam are joined, so every object counts
as a whole, as it does for a map in memory. What is held grows with the number of objects and not
with that of pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from scipy import sparse
from scipy.ndimage import distance_transform_edt
from scipy.sparse.csgraph import connected_components
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import ground_areas_m2, strips_of, trace_polygons
from n2m_core.streaming.rasters import CONFIDENCE_STEPS
from n2m_core.tasks.result import INVALID
from n2m_core.vectorize import connected_regions, measure_regions

SMALL = 254
"""Marks the pixels of an area that is too small, where no background takes them."""
REACH_PX = 256
"""A small area takes the class of the nearest pixel that stays, looked for so many rows away."""
Labels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Regions:
    """Every area of a map.

    Attributes:
        offsets: number of areas in the strips before each strip.
        root: which object each area is a part of, int [N].
        classes: of each object, int [M].
        areas: of each object, m2, or pixels where the ground resolution is unknown, float64 [M].
        confidence: mean of each object, 0..1, float64 [M]; NaN when it is not known.
        first: number of the first area of each object, int [M].
        parts: how many areas each object has, int [M].
    """

    offsets: tuple[int, ...]
    root: NDArray[np.int64]
    classes: NDArray[np.int64]
    areas: NDArray[np.float64]
    confidence: NDArray[np.float64]
    first: NDArray[np.int64]
    parts: NDArray[np.int64]


def find_regions(
    classes: Path, grid: GeoImage, wanted: list[int], confidence: Path | None = None
) -> Regions:
    """Find the connected areas of some classes.

    Args:
        classes: raster of uint8.
        grid: header of the map.
        wanted: which classes.
        confidence: raster of uint16, see `rasters`.

    Returns:
        The areas; pixels of one class that share an edge are of one object.
    """
    pixel_m2 = ground_areas_m2(grid)
    by_row = np.ones(grid.height) if pixel_m2 is None else pixel_m2
    offsets, found, total = list[int](), list[NDArray[np.float64]](), 0
    pairs: list[NDArray[np.int64]] = []
    above: NDArray[np.int64] | None = None
    for top, bands in strips_of([classes] if confidence is None else [classes, confidence]):
        labels = bands[0][0]
        numbers, kinds = connected_regions(labels, wanted)
        share = None if confidence is None else (bands[1][0] / np.float32(CONFIDENCE_STEPS))
        areas, means = measure_regions(numbers, len(kinds), by_row[top : top + len(labels)], share)
        counts = np.bincount(numbers.ravel(), minlength=len(kinds)).astype(np.float64)
        found.append(np.stack([kinds.astype(np.float64), areas, counts, counts * means])[:, 1:])
        offsets.append(total)
        below = _global(numbers[0], labels[0], total)
        if above is not None:
            pairs.append(_touching(above, below))
        above = _global(numbers[-1], labels[-1], total)
        total += len(kinds) - 1
    return _joined(tuple(offsets), np.concatenate(found, axis=1), pairs)


def _global(numbers: NDArray[np.int32], labels: Labels, offset: int) -> NDArray[np.int64]:
    """Area of each pixel of a row counted over the whole map, and its class; int [2, W]."""
    counted = np.where(numbers > 0, numbers.astype(np.int64) - 1 + offset, -1)
    return np.stack([counted, labels.astype(np.int64)])


def _touching(above: NDArray[np.int64], below: NDArray[np.int64]) -> NDArray[np.int64]:
    """Areas of one class that meet at a seam, int [2, P]."""
    meets = (above[0] >= 0) & (below[0] >= 0) & (above[1] == below[1])
    return np.unique(np.stack([above[0][meets], below[0][meets]]), axis=1)


def _joined(
    offsets: tuple[int, ...], facts: NDArray[np.float64], pairs: list[NDArray[np.int64]]
) -> Regions:
    """Make objects of areas."""
    count = facts.shape[1]
    if count == 0:
        nothing = np.zeros(0, np.int64)
        return Regions(offsets, nothing, nothing, np.zeros(0), np.zeros(0), nothing, nothing)
    links = np.concatenate(pairs, axis=1) if pairs else np.zeros((2, 0), np.int64)
    graph = sparse.coo_array((np.ones(links.shape[1], np.bool_), tuple(links)), (count, count))
    objects, root = connected_components(graph, directed=False)
    sums = [np.bincount(root, row, minlength=objects).astype(np.float64) for row in facts[1:]]
    first = np.full(objects, count, np.int64)
    np.minimum.at(first, root, np.arange(count))
    return Regions(
        offsets=offsets,
        root=root.astype(np.int64),
        classes=facts[0][first].astype(np.int64),
        areas=sums[0],
        confidence=sums[2] / np.maximum(sums[1], 1),
        first=first,
        parts=np.bincount(root, minlength=objects),
    )


def without_small(
    classes: Path, grid: GeoImage, wanted: list[int], min_area_m2: float, *, has_background: bool
) -> Iterator[tuple[int, Labels, None]]:
    """Give a map without its small areas, from the top down; see `labelling.drop_small`.

    Args:
        classes: raster of uint8.
        grid: header of the map.
        wanted: classes whose areas may go.
        min_area_m2: areas smaller than this go.
        has_background: whether small areas become class 0; else they are marked with `SMALL`.

    Yields:
        (first row, classes [1, rows, W], None), as `write_strips` takes it.
    """
    regions = find_regions(classes, grid, wanted)
    goes = np.concatenate([[False], (regions.areas < min_area_m2)[regions.root]])
    fill = np.uint8(0 if has_background else SMALL)
    for (top, (bands,)), offset in zip(strips_of([classes]), regions.offsets, strict=True):
        numbers, _ = connected_regions(bands[0], wanted)
        everywhere = np.where(numbers > 0, numbers.astype(np.int64) + offset, 0)
        yield top, np.where(goes[everywhere], fill, bands[0]).astype(np.uint8)[None], None


def filled(marked: Path, classes: Path) -> Iterator[tuple[int, Labels, None]]:
    """Give marked pixels the class of the nearest pixel that stays, from the top down.

    A pixel with none within `REACH_PX` rows keeps its own class.

    Args:
        marked: raster of uint8 with `SMALL` in it.
        classes: the map before, of the same size.

    Yields:
        (first row, classes [1, rows, W], None), as `write_strips` takes it.
    """
    strips = strips_of([marked, classes])
    before = np.zeros((0, 0), np.uint8)
    current = next(strips, None)
    while current is not None:
        following = next(strips, None)
        top, (now, own) = current[0], [band[0] for band in current[1]]
        after = now[:0] if following is None else following[1][0][0][:REACH_PX]
        stacked = np.concatenate([before.reshape(-1, now.shape[1]), now, after])
        keeps = (stacked != SMALL) & (stacked != INVALID)
        result = np.where(now == SMALL, own, now)
        if keeps.any():
            rows, columns = distance_transform_edt(
                ~keeps, return_distances=False, return_indices=True
            )
            offset = len(stacked) - len(now) - len(after)
            inside = slice(offset, offset + len(now))
            nearest = stacked[rows[inside], columns[inside]]
            result = np.where(now == SMALL, nearest, now)
        yield top, result.astype(np.uint8)[None], None
        before, current = now[-REACH_PX:], following


def polygons_of(
    classes: Path,
    grid: GeoImage,
    names: Mapping[int, str],
    *,
    confidence: Path | None,
    background: int | None,
) -> gpd.GeoDataFrame:
    """Trace the areas of a map; columns and order as of `vectorize.to_polygons`.

    Args:
        classes: raster of uint8.
        grid: header of the map.
        names: class to name.
        confidence: raster of uint16, see `rasters`.
        background: class that is not traced.
    """
    wanted = [index for index in names if index != background]
    regions = find_regions(classes, grid, wanted, confidence)
    pieces: dict[int, list[Polygon]] = {}
    whole: dict[int, BaseGeometry] = {}
    for (top, (bands,)), offset in zip(strips_of([classes]), regions.offsets, strict=True):
        numbers, _ = connected_regions(bands[0], wanted)
        for number, outline in trace_polygons(numbers, Affine.translation(0, top)):
            key = int(regions.root[number - 1 + offset])
            if regions.parts[key] == 1:
                whole[key] = outline
            else:
                pieces.setdefault(key, []).append(outline)
    for key, outlines in pieces.items():
        # Pixel edges are whole numbers, so that seams vanish without a trace.
        whole[key] = shapely.union_all(outlines).simplify(0.0)
    order = sorted(whole, key=lambda key: (regions.classes[key], regions.first[key]))
    placed = [shapely.transform(whole[key], lambda at: _placed(at, grid)) for key in order]
    area = "area_m2" if ground_areas_m2(grid) is not None else "area_px"
    return gpd.GeoDataFrame(
        {
            "class": [names[int(regions.classes[key])] for key in order],
            "class_id": regions.classes[order].astype(np.int64),
            area: regions.areas[order],
            "confidence": regions.confidence[order],
        },
        geometry=placed,
        crs=grid.crs,
    )


def _placed(points: NDArray[np.float64], grid: GeoImage) -> NDArray[np.float64]:
    """Move points [N, 2] from pixels (column, row) to the CRS."""
    at, (x, y) = grid.transform, points.T
    return np.column_stack([at.a * x + at.b * y + at.c, at.d * x + at.e * y + at.f])
