"""A small picture of a map with its outlines, coloured by what was said of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from affine import Affine
from PIL import Image, ImageDraw
from PIL.Image import Resampling
from shapely.geometry.base import BaseGeometry

from n2m_core.errors import ReviewError
from n2m_core.render import Color, Picture, to_rgb
from n2m_core.review.desk import all_objects
from n2m_core.review.project import Project, picture
from n2m_core.review.records import ReviewObject, Source

SIDE_PX = 720
MARKS: dict[str, tuple[str, Color]] = {
    "right": ("green", (0, 158, 115)),
    "wrong": ("orange", (213, 94, 0)),
    "unsure": ("yellow", (240, 228, 66)),
    "open": ("white", (255, 255, 255)),
    "added": ("blue", (86, 180, 233)),
}
"""What was said -> name and colour of the outline (Okabe and Ito)."""


def overview(project: Project, source: Source, *, side_px: int = SIDE_PX) -> Picture:
    """Draw a map's image with the outlines of all objects.

    Args:
        project: where.
        source: the map.
        side_px: longest side of the picture.

    Returns:
        uint8 [H, W, 3].

    Raises:
        ReviewError: the map came without an image, or its file is gone.
    """
    image = picture(source)
    if source.transform is None:
        raise ReviewError(f"{source.name} was sent to review without a grid to draw on.")
    shown = Image.fromarray(to_rgb(image))
    if max(shown.size) > side_px:
        shown.thumbnail((side_px, side_px))
    else:
        # Whole pixels of a small image stay square, and outlines don't cover what they surround.
        factor = side_px // max(shown.size)
        shown = shown.resize((shown.width * factor, shown.height * factor), Resampling.NEAREST)
    scale = Affine.scale(shown.width / image.width, shown.height / image.height)
    to_picture = scale @ ~image.transform if source.crs is not None else scale
    pen = ImageDraw.Draw(shown)
    for found in all_objects(project, source_id=source.id):
        _, color = MARKS[mark_of(found)]
        for ring in _rings(found.final_outline):
            pen.line([to_picture @ corner[:2] for corner in ring], fill=color, width=2)
    return np.asarray(shown).copy()


def mark_of(found: ReviewObject) -> str:
    """Which of `MARKS` an object gets."""
    return "added" if found.origin == "drawn" else found.current.verdict or "open"


def _rings(outline: BaseGeometry) -> Iterator[list[tuple[float, float]]]:
    for part in getattr(outline, "geoms", [outline]):
        for ring in (part.exterior, *part.interiors):
            yield list(ring.coords)
