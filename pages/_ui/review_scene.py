"""What the desk's map shows of an object or a sampled point: a crop, outlines, a cross.

The map lies in the pixels of the picture, x to the right and y down, stretched so that a pixel is
as wide and high as on the ground. Nothing is warped: a crop is cut and encoded in milliseconds, and
a drawn corner goes back to the map's coordinates by the same affine transform.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine

from n2m_core import raster_io, render
from n2m_core.geo_image import GeoImage
from pages._ui.detail import crop, data_uri

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from n2m_core.review import Project, ReviewObject, Source

LEAST_PX = 96
"""Shortest side of a crop in pixels of the picture: an object is seen with what is around it."""
MARGIN = 2.2
"""Side of a crop over that of the object."""
MOST_PX = 900
"""Longest side of an encoded crop, pixels."""
DEGREE_M = 111_320.0
"""Metres of a degree of latitude."""
SIMPLER_PX = 0.75
"""How far an outline offered for editing may leave the traced one: half a pixel's stairs, no more."""
MOST_NEIGHBOURS = 120

Json = dict[str, Any]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom in the desk's coordinates."""


@dataclass(frozen=True, eq=False)
class Ground:
    """How the desk lies on a map's coordinates.

    Attributes:
        to_desk: the map's coordinates to the desk's.
        stretch: width of a pixel over its height on the ground.
        metres: ground size of one unit of the desk; None when it is unknown.
    """

    to_desk: Affine
    stretch: float
    metres: float | None


def ground_of(source: Source) -> Ground:
    """Lay out the desk for a map."""
    if source.crs is None:
        return Ground(Affine.identity(), 1.0, source.resolution_m)
    degrees = _is_geographic(source.crs)
    if source.transform is None:
        # Polygons without a picture: metres, or about so for degrees.
        scale = DEGREE_M if degrees else 1.0
        return Ground(Affine.scale(scale, -scale), 1.0, 1.0)
    transform = source.transform
    wide, high = math.hypot(transform.a, transform.d), math.hypot(transform.b, transform.e)
    middle = transform @ ((source.width or 0) / 2, (source.height or 0) / 2)
    stretch = wide / high * (math.cos(math.radians(middle[1])) if degrees else 1.0)
    metres = high * DEGREE_M if degrees else source.resolution_m
    return Ground(Affine.scale(stretch, 1.0) @ ~transform, stretch, metres)


@lru_cache(maxsize=32)
def _is_geographic(crs: str) -> bool:
    from pyproj import CRS

    return bool(CRS.from_user_input(crs).is_geographic)


def moved(shape: BaseGeometry, transform: Affine) -> BaseGeometry:
    """Take an outline to other coordinates."""
    from shapely.affinity import affine_transform

    t = transform
    return affine_transform(shape, [t.a, t.b, t.d, t.e, t.c, t.f])


def rings_of(shape: BaseGeometry) -> list[list[list[list[float]]]]:
    """Write an outline of the desk for its map: polygons, rings, corners as [-y, x], not closed."""
    parts = getattr(shape, "geoms", [shape])
    return [
        [[[-y, x] for x, y in ring.coords[:-1]] for ring in (part.exterior, *part.interiors)]
        for part in parts
    ]


def shape_of(rings: Sequence[Sequence[Sequence[Sequence[float]]]], ground: Ground) -> BaseGeometry:
    """Read what was drawn on the desk's map, in the map's own coordinates.

    Raises:
        LabelError: fewer than three corners, or numbers that are none.
    """
    from shapely.geometry import MultiPolygon, Polygon

    from n2m_core.errors import LabelError

    try:
        parts = []
        for outer, *holes in rings:
            outline, *inner = (
                [(float(lng), -float(lat)) for lat, lng in ring] for ring in (outer, *holes)
            )
            parts.append(Polygon(outline, inner))
    except (TypeError, ValueError) as e:
        raise LabelError("An outline needs at least three corners; draw it again.") from e
    drawn = parts[0] if len(parts) == 1 else MultiPolygon(parts)
    return moved(drawn, ~ground.to_desk)


def simpler(shape: BaseGeometry) -> BaseGeometry:
    """An outline of the desk with few corners, to be dragged; the stairs of pixels are left out."""
    made = shape.simplify(SIMPLER_PX)
    return made if made.is_valid and not made.is_empty else shape


def box_around(box: Box) -> Box:
    """The part of the desk to show around an object."""
    left, top, right, bottom = box
    half = max(MARGIN * (right - left), MARGIN * (bottom - top), LEAST_PX) / 2
    x, y = (left + right) / 2, (top + bottom) / 2
    return x - half, y - half, x + half, y + half


def object_scene(project: Project, source: Source, shown: ReviewObject) -> Json:
    """Everything that the desk's map shows of an object."""
    from n2m_core.review import objects_in

    ground = ground_of(source)
    outline = moved(shown.final_outline, ground.to_desk)
    view = box_around(outline.bounds)
    from shapely.geometry import box

    around = moved(box(*view), ~ground.to_desk).bounds
    others = objects_in(project, source.id, around, limit=MOST_NEIGHBOURS)
    colors = {entry.id: entry.color for entry in source.classes}
    return {
        "key": f"object {shown.id} {shown.version}",
        "object": shown.id,
        "version": shown.version,
        "outline": rings_of(outline),
        "edit": rings_of(simpler(outline)),
        "color": colors[shown.final_class_id],
        "class": shown.final_class_id,
        "others": [
            {
                "outline": rings_of(moved(each.final_outline, ground.to_desk)),
                "color": colors[each.final_class_id],
            }
            for each in others
            if each.id != shown.id and each.current.verdict != "wrong"
        ],
        "cross": None,
        **_around(source, ground, view),
    }


def _around(source: Source, ground: Ground, view: Box) -> Json:
    """The pictures of a part of the desk, and what the map needs to lie there."""
    left, top, right, bottom = view
    return {
        "fit": [[-bottom, left], [-top, right]],
        "metres": ground.metres,
        "classes": [
            {"id": entry.id, "name": entry.name}
            for entry in source.classes
            if not entry.is_background
        ],
        **pictures(source, ground, view),
    }


def pictures(source: Source, ground: Ground, view: Box) -> Json:
    """Cut the pictures of a part of the desk: two sides of the swipe, as far as there are files."""
    window = _window(source, ground, view)
    image, before = source.image, source.before
    if window is None or image is None:
        return {"sides": ["", ""], "pictures": []}
    rows, columns = window
    corners = [
        [-float(rows.stop), columns.start * ground.stretch],
        [-float(rows.start), columns.stop * ground.stretch],
    ]

    def one(side: str, path: Path, role: str) -> Json:
        colors = _colors(source) if role == "mask" else ()
        stamp = path.stat().st_mtime_ns if path.is_file() else 0
        url = _encoded(source, path, stamp, role, (*_ends(rows), *_ends(columns)), colors)
        return {"side": side, "url": url, "bounds": corners, "role": role}

    if before is not None:
        sides, shown = ["Before", "After"], [one("left", before, "before")]
        shown.append(one("right", image, "image"))
    else:
        sides, shown = ["Picture", "Map"], [one("both", image, "image")]
        if source.map is not None:
            shown.append(one("right", source.map, "mask"))
    return {"sides": sides, "pictures": shown}


def _ends(part: slice) -> tuple[int, int]:
    return part.start, part.stop


def _colors(source: Source) -> tuple[tuple[int, str], ...]:
    return tuple((entry.id, entry.color) for entry in source.classes if not entry.is_background)


def _window(source: Source, ground: Ground, view: Box) -> tuple[slice, slice] | None:
    """Rows and columns of the picture under a part of the desk; None where there is none."""
    if source.width is None or source.height is None:
        return None
    left, top, right, bottom = view
    columns = _within(left / ground.stretch, right / ground.stretch, source.width)
    rows = _within(top, bottom, source.height)
    return None if rows is None or columns is None else (rows, columns)


def _within(first: float, last: float, length: int) -> slice | None:
    start, stop = max(0, math.floor(first)), min(length, math.ceil(last))
    return slice(start, stop) if start < stop else None


@lru_cache(maxsize=96)
def _encoded_of(
    path: Path, stamp: int, role: str, ends: tuple[int, ...], colors: tuple[tuple[int, str], ...]
) -> str:
    raise NotImplementedError
