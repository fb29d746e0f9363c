"""Read the rough map that a person wants refined: a raster or polygons, onto the image's grid.

A raster may hold class indices, a binary mask (0 and one other value), or the classes' colours on
maps or in masks. Polygons carry their class in a column `class` (name) or `class_id`, as
`n2m segment` writes them; in a binary task every polygon is of the target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import geopandas as gpd
import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray

from n2m_core.datasets.base import values_of
from n2m_core.errors import LabelError, NoOverlapError
from n2m_core.geo_image import GeoImage, Mask
from n2m_core.metrics.confusion import IGNORE
from n2m_core.raster_io import (
    align_to,
    burn_polygons,
    lonlat_bounds,
    read_labels,
    same_grid,
)

Labels = NDArray[np.uint8]

VECTOR_SUFFIXES = (".geojson", ".json", ".gpkg")
MOST_VALUES = 64
"""A raster with more different values or colours is a picture, not a map."""
_SHOWN = 8
_BLACK = 0x000000


class RoughClass(Protocol):
    """The part of a checkpoint's class that reading a rough map needs."""

    @property
    def name(self) -> str:
        """Name shown to people."""

    @property
    def color(self) -> str:
        """Colour on maps, "#rrggbb"."""

    @property
    def mask_colour(self) -> str | int | None:
        """How the class is drawn in masks: "#rrggbb", a pixel value, or None."""


@dataclass(frozen=True, eq=False)
class RoughMap:
    """A rough map on its image's grid.

    Attributes:
        labels: uint8 [H, W]; class indices, 255 where the rough map says nothing.
        notes: what was done to read it, each a sentence for the person.
    """

    labels: Labels
    notes: tuple[str, ...] = ()


def read_rough(path: Path, image: GeoImage, classes: Sequence[RoughClass]) -> RoughMap:
    """Read a rough map, raster or polygons by its suffix.

    Args:
        path: the file.
        image: the image whose map it is.
        classes: of the checkpoint that refines, in the order of their indices.

    Returns:
        The rough map on the image's grid.

    Raises:
        ImageReadError: the raster can't be read.
        LabelError: it is no map, of other classes, or of another size without a georeference.
        NoOverlapError: it lies on other ground than the image.
    """
    if path.suffix.lower() in VECTOR_SUFFIXES:
        return _from_polygons(path, image, classes)
    raw = read_labels(path)
    labels = _classes_of_raster(path.name, raw, classes)
    rough = raw.with_pixels(labels[None], ("class",), valid=labels != IGNORE)
    return _on_grid(path.name, rough, image)


def _on_grid(name: str, rough: GeoImage, image: GeoImage) -> RoughMap:
    """Bring a rough map onto the image's grid."""
    if rough.valid.shape != image.valid.shape and not (
        rough.is_georeferenced and image.is_georeferenced
    ):
        raise LabelError(
            f"The rough map {name} is {rough.width} x {rough.height} px and the image "
            f"{image.width} x {image.height} px. Give a map of the image's size, or both as "
            "GeoTIFF with a CRS so that they can be aligned."
        )
    notes: tuple[str, ...] = ()
    if rough.is_georeferenced and image.is_georeferenced and not same_grid(rough, image):
        rough = align_to(rough, image, resampling="nearest")
        notes = ("The rough map lies on another grid and was aligned to the image.",)
    labels = np.where(rough.valid, rough.pixels[0], IGNORE).astype(np.uint8)
    missing = float(((labels == IGNORE) & image.valid).sum() / max(1, image.valid.sum()))
    if missing == 1:
        raise LabelError(f"The rough map {name} has no class anywhere on the image.")
    if missing > 0:
        notes += (
            f"The rough map says nothing of {missing:.1%} of the image, nor does the result.",
        )
    return RoughMap(labels, notes)


def _classes_of_raster(name: str, raw: GeoImage, classes: Sequence[RoughClass]) -> Labels:
    """Turn values or colours into class indices, 255 where there is none."""
    is_grey = raw.bands < 3 or bool((raw.pixels[:3] == raw.pixels[0]).all())
    if not is_grey:
        return _classes_of_colours(name, raw, classes)
    values = raw.pixels[0]
    valid = _with_label(values, raw.valid)
    table = table_of_values(name, values_of(values[valid]), classes)
    labels = np.full(values.shape, IGNORE, np.uint8)
    for value, index in table.items():
        labels[valid & (values == value)] = index
    return labels


def table_of_values(
    name: str, found: NDArray[Any], classes: Sequence[RoughClass]
) -> dict[int, int]:
    """Tell which class each value of a rough map means.

    Args:
        name: of the file, for messages.
        found: every value that it holds, sorted.
        classes: of the checkpoint that refines.

    Returns:
        Value to class index; other values mean no class.

    Raises:
        LabelError: the values are those of a picture, or of other classes.
    """
    if found.size > MOST_VALUES or (found != np.rint(found)).any():
        raise LabelError(
            f"{name} holds {found.size} different values ({_listed(found)}); it is a picture or "
            f"probabilities, not a map of classes. Give class indices, {_expected(classes)}, or "
            "polygons; cut probabilities at a threshold first."
        )
    table = _table_of_values([int(v) for v in found], classes)
    if table is None:
        raise LabelError(
            f"{name} holds the values {_listed(found)}, which are other classes than those to be "
            f"refined: {_expected(classes)}. Give a map of these, or choose another checkpoint."
        )
    return table


def _table_of_values(found: Sequence[int], classes: Sequence[RoughClass]) -> dict[int, int] | None:
    """Class index of every value; None where the values are of other classes."""
    indices = {index: index for index in range(len(classes))}
    coded = {c.mask_colour: i for i, c in enumerate(classes) if isinstance(c.mask_colour, int)}
    is_binary = len(classes) == 2 and IGNORE in found and 1 not in found
    for table in (indices, coded):
        if table and set(found) <= {*table, IGNORE} and not is_binary:
            return {value: table[value] for value in found if value in table}
    others = [value for value in found if value != 0]
    if len(classes) == 2 and len(others) <= 1:
        return {0: 0, **dict.fromkeys(others, 1)}
    return None


def _classes_of_colours(name: str, raw: GeoImage, classes: Sequence[RoughClass]) -> Labels:
    """Look colours up: those of the maps, those of the masks, black for a background."""
    red, green, blue = (raw.pixels[band].astype(np.int64) for band in range(3))
    packed = (red << 16) | (green << 8) | blue
    found = values_of(packed[raw.valid])
    if found.size > MOST_VALUES or raw.pixels.dtype != np.uint8:
        raise LabelError(
            f"{name} holds {found.size} different colours; it is a picture, not a map of classes. "
            f"Give one band of class indices, {_expected(classes)}, or polygons."
        )
    table = {_BLACK: 0} if len(classes) == 2 else {}
    for index, entry in enumerate(classes):
        for colour in (entry.color, entry.mask_colour):
            if isinstance(colour, str):
                table[int(colour.removeprefix("#"), 16)] = index
    unknown = [int(each) for each in found if int(each) not in table]
    if unknown and len(classes) == 2 and set(found.tolist()) <= {_BLACK, unknown[0]}:
        table[unknown.pop()] = 1
    if unknown:
        seen = ", ".join(f"#{each:06x}" for each in unknown[:_SHOWN])
        wanted = ", ".join(f"{entry.color} {entry.name}" for entry in classes)
        raise LabelError(f"{name} has colours {seen}, which are no class ({wanted}). Recolour it.")
    labels = np.full(packed.shape, IGNORE, np.uint8)
    for colour, index in table.items():
        labels[raw.valid & (packed == colour)] = index
    return labels


def _with_label(values: NDArray[Any], valid: Mask) -> Mask:
    """Pixels with a label; a mask written with nodata = 0 means its zeros as background."""
    if not valid.all() and bool(((values == 0) == ~valid).all()):
        return np.ones_like(valid)
    return valid


def _from_polygons(path: Path, image: GeoImage, classes: Sequence[RoughClass]) -> RoughMap:
    """Read polygons and burn them."""
    try:
        frame = gpd.read_file(path)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError) as e:
        raise LabelError(
            f"{path.name} can't be read as polygons ({e}). Give GeoJSON or GeoPackage."
        ) from e
    if not isinstance(frame, gpd.GeoDataFrame):
        raise LabelError(f"{path.name} is a table without shapes. Give polygons.")
    frame = frame[~(frame.geometry.isna() | frame.geometry.is_empty)]
    kinds = set(frame.geometry.geom_type) - {"Polygon", "MultiPolygon"}
    if kinds:
        raise LabelError(f"{path.name} holds {', '.join(sorted(kinds))}; polygons are wanted.")
    if frame.empty:
        raise LabelError(f"{path.name} holds no polygon; there is nothing to refine.")
    indices = _classes_of_polygons(path.name, frame, classes)
    notes: tuple[str, ...] = ()
    if image.crs is None:
        notes = ("The image has no georeference; the polygons were taken in pixels.",)
    elif frame.crs is not None:
        frame = frame.to_crs(image.crs)
    _check_overlap(path.name, frame, image)
    background = 0 if len(classes) == 2 else IGNORE
    shapes = list(zip(frame.geometry, indices, strict=True))
    labels = burn_polygons(shapes, image, background=background)
    rough = image.with_pixels(labels[None], ("class",), valid=labels != IGNORE)
    found = _on_grid(path.name, rough, image)
    return RoughMap(found.labels, (*notes, *found.notes))


def _classes_of_polygons(
    name: str, frame: gpd.GeoDataFrame, classes: Sequence[RoughClass]
) -> list[int]:
    """Class index of every polygon."""
    names = [entry.name for entry in classes]
    if "class" in frame and set(frame["class"]) <= set(names):
        return [names.index(each) for each in frame["class"]]
    if "class_id" in frame and set(frame["class_id"]) <= set(range(len(names))):
        return [int(each) for each in frame["class_id"]]
    if len(names) == 2 and not {"class", "class_id"} & set(frame):
        return [1] * len(frame)
    seen = [str(each) for column in ("class", "class_id") if column in frame for each in
            frame[column].unique()[:_SHOWN]]  # fmt: skip
    raise LabelError(
        f"The polygons of {name} name "
        f"{'the classes ' + ', '.join(seen) if seen else 'no class'}; the checkpoint refines "
        f"{', '.join(names)}. Name one of these in a column `class`."
    )


def _check_overlap(name: str, frame: gpd.GeoDataFrame, image: GeoImage) -> None:
    """Check that polygons lie on the image.

    Raises:
        NoOverlapError: none does.
    """
    corners = [(0, 0), (image.width, 0), (image.width, image.height), (0, image.height)]
    outline = shapely.Polygon([image.transform @ corner for corner in corners])
    if frame.intersects(outline).any():
        return
    west, south, east, north = frame.total_bounds
    place = ""
    if image.crs is not None:
        first, left, last, right = lonlat_bounds(image)
        place = f" ({first:.4f} to {last:.4f}, {left:.4f} to {right:.4f} in degrees)"
    raise NoOverlapError(
        f"The polygons of {name} reach from {west:.6g} to {east:.6g} and {south:.6g} to "
        f"{north:.6g} in the image's coordinates, and none lies on the image{place}. Give polygons "
        "of the same place."
    )


def _expected(classes: Sequence[RoughClass]) -> str:
    """The class indices with their names."""
    return ", ".join(f"{index} {entry.name}" for index, entry in enumerate(classes))


def _listed(values: NDArray[Any]) -> str:
    """A few values for a message."""
    text = ", ".join(f"{value:g}" for value in values[:_SHOWN])
    return text + (", ..." if len(values) > _SHOWN else "")
