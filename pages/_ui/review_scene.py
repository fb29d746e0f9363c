"""What the desk's map shows of an object or a sampled point: a crop, outlines, a cross.

The map lies in the pixels of the picture, x to the right and y down, stretched so that a pixel is
as wide and high as on the ground. Nothing is warped: a crop is cut and encoded in milliseconds, and
a drawn corner goes back to the map's coordinates by the same affine transform.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from affine import Affine
from shapely.affinity import affine_transform
from shapely.geometry import MultiPolygon, Polygon, box
from shapely.geometry.base import BaseGeometry

from n2m_core.errors import LabelError, ReviewError
from n2m_core.review import Project, ReviewObject, Source, Unit, objects_in
from n2m_core.review.project import Role
from pages._ui import review_pictures

LEAST_PX = 96
"""Shortest side of a crop in pixels of the picture: an object is seen with what is around it."""
MARGIN = 2.2
"""Side of a crop over that of the object."""
DEGREE_M = 111_320.0
"""Metres of a degree of latitude."""
SIMPLER_PX = 0.75
"""How far an outline offered for editing may leave the traced one: the stairs of pixels."""
MOST_NEIGHBOURS = 60
INK = "#111111"

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


def object_scene(
    project: Project, source: Source, shown: ReviewObject, *, is_blind: bool = False
) -> Json:
    """Everything that the desk's map shows of an object.

    Args:
        project: where.
        source: its map.
        shown: the object.
        is_blind: whether to leave out what others than the person have changed about it.
    """
    ground = ground_of(source)
    outline = moved(outline_of(shown, is_blind=is_blind), ground.to_desk)
    view = box_around(outline.bounds)
    around = moved(box(*view), ~ground.to_desk).bounds
    others = objects_in(project, source.id, around, limit=MOST_NEIGHBOURS)
    colors = {entry.id: entry.color for entry in source.classes}
    class_id = class_of(shown, is_blind=is_blind)
    return {
        "key": f"object {shown.id} {shown.version}",
        "object": shown.id,
        "outline": rings_of(outline),
        "edit": rings_of(simpler(outline)),
        "color": colors[class_id],
        "class": class_id,
        "others": [
            {
                "outline": rings_of(simpler(moved(each.final_outline, ground.to_desk))),
                "color": colors[each.final_class_id],
            }
            for each in others
            if each.id != shown.id and each.current.verdict != "wrong"
        ],
        "cross": None,
        **_around(source, ground, view),
    }


def outline_of(shown: ReviewObject, *, is_blind: bool) -> BaseGeometry:
    """An object's outline after the review; the person's own alone where others are hidden."""
    if not is_blind:
        return shown.final_outline
    return shown.outline if shown.mine.outline is None else shown.mine.outline


def class_of(shown: ReviewObject, *, is_blind: bool) -> int:
    """An object's class after the review; the person's own alone where others are hidden."""
    if not is_blind:
        return shown.final_class_id
    return shown.class_id if shown.mine.class_id is None else shown.mine.class_id


def prepare(source: Source, shape: BaseGeometry, *, has_map: bool) -> None:
    """Cut the crops around an outline of a map's coordinates before they are asked for.

    Raises:
        ReviewError: a picture's file is missing or damaged.
    """
    ground = ground_of(source)
    view = box_around(moved(shape, ground.to_desk).bounds)
    pictures(source, ground, view, has_map=has_map)


def unit_scene(source: Source, unit: Unit) -> Json:
    """Everything that the desk's map shows of a sampled point or block: not what the map says."""
    ground = ground_of(source)
    outline = moved(unit.outline, ground.to_desk)
    left, top, right, bottom = outline.bounds
    return {
        "key": f"unit {unit.id} {unit.version}",
        "unit": unit.id,
        "outline": rings_of(outline),
        "color": INK,
        "class": unit.mine.class_id,
        "others": [],
        "cross": [-(top + bottom) / 2, (left + right) / 2],
        **_around(source, ground, box_around(outline.bounds), has_map=False),
    }


def _around(source: Source, ground: Ground, view: Box, *, has_map: bool = True) -> Json:
    """The pictures of a part of the desk, and what the map needs to lie there.

    A picture that is gone leaves the outlines to be judged by, and a sentence under `missing`.
    """
    left, top, right, bottom = view
    missing = ""
    try:
        shown = pictures(source, ground, view, has_map=has_map)
    except ReviewError as error:
        shown, missing = {"sides": ["", ""], "pictures": []}, str(error)
    return {
        "fit": [[-bottom, left], [-top, right]],
        "metres": ground.metres,
        "stretch": ground.stretch,
        "missing": missing,
        "classes": [
            {"id": entry.id, "name": entry.name}
            for entry in source.classes
            if not entry.is_background
        ],
        **shown,
    }


def pictures(source: Source, ground: Ground, view: Box, *, has_map: bool = True) -> Json:
    """Cut the pictures of a part of the desk: two sides of the swipe, as far as there are files.

    Args:
        source: the map.
        ground: how the desk lies on it.
        view: the part.
        has_map: whether the map may be seen.

    Raises:
        ReviewError: a picture's file is missing or damaged.
    """
    window = _window(source, ground, view)
    if window is None or source.image is None:
        return {"sides": ["", ""], "pictures": []}
    rows, columns = window
    corners = [
        [-float(rows.stop), columns.start * ground.stretch],
        [-float(rows.start), columns.stop * ground.stretch],
    ]
    wanted: list[tuple[str, Role]] = [("both", "image")]
    sides = ["", ""]
    if source.before is not None:
        sides, wanted = ["Before", "After"], [("left", "before"), ("right", "image")]
    elif source.map is not None and has_map:
        sides = ["Picture", "Map"]
        wanted.append(("right", "map"))
    shown = []
    for side, role in wanted:
        url, token = review_pictures.encoded(source, role, window)
        shown.append({"side": side, "role": role, "url": url, "token": token, "bounds": corners})
    return {"sides": sides, "pictures": shown}


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
