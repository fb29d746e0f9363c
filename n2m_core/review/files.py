"""Polygons from a file, of a whole scene, sent to review with the image that they lie on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio

from n2m_core.errors import GridError, LabelError, ReviewError
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import burn_polygons, read_image, read_labels, same_grid
from n2m_core.render import NOT_SHOWN
from n2m_core.review.geometry import check_outline
from n2m_core.review.importing import NewSource, add_source
from n2m_core.review.project import Project
from n2m_core.review.records import Kind, ReviewClass, Source

BACKGROUND = "background"
PALETTE = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442")
"""Okabe and Ito's colours, which the colour-blind can tell apart."""
BACKGROUND_COLOR = "#cfcfc4"
_MOST_CLASSES = 200
_KNOWN = ("class_id", "area_m2", "area_px", "confidence", "decision_time")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PolygonFile:
    """A file of polygons and what belongs to it.

    Attributes:
        path: GeoPackage or GeoJSON, as `n2m segment --vector` writes it: columns class (name) and,
            where known, class_id, area_m2, confidence and decision_time.
        image: the picture to look at; the later date of a change.
        before: the earlier date of a change.
        map: the class map, as `n2m segment --out` writes it; made of the polygons when an image is
            given and this is not.
        name: what to call it; the file's name when empty.
        layer: of a file with several.
        copy: whether image and earlier date are copied into the project, or stay where they are.
        settings: what made it, such as the checkpoint, for the report.
        seed: of the stratified random order.
    """

    path: Path
    image: Path | None = None
    before: Path | None = None
    map: Path | None = None
    name: str = ""
    layer: str | None = None
    copy: bool = False
    settings: Mapping[str, Any] | None = None
    seed: int = 0


def add_file(project: Project, given: PolygonFile) -> Source:
    """Send the polygons of a file to review.

    Raises:
        LabelError: no polygons, or they can't be read.
        ImageReadError: an image can't be read.
        GridError: image and map lie on different grids, or polygons without a CRS on a placed one.
        ReviewError: the project can't be written; it is as it was.
    """
    frame = read_polygons(given.path, given.layer)
    image = None if given.image is None else read_image(given.image)
    raster = None if given.map is None else read_labels(given.map)
    grid = image or raster
    frame = _on_grid(frame, grid, given.path.name)
    frame, classes = _with_classes(frame, raster)
    pictures: dict[str, GeoImage | Path] = {}
    if image is not None and given.image is not None:
        pictures["image"] = image if given.copy else given.image
    if given.before is not None:
        pictures["before"] = read_image(given.before) if given.copy else given.before
    if raster is not None:
        if image is not None and not _fit(image, raster):
            raise GridError(
                f"{given.map} is {raster.width} x {raster.height} px and {given.image} "
                f"{image.width} x {image.height} px, or they lie elsewhere; give the map of that "
                "image."
            )
        pictures["map"] = raster
    elif image is not None:
        pictures["map"] = _map_of(frame, image, classes)
    kind: Kind = "change" if given.before is not None else "polygons"
    settings = {"file": given.path.name, **(given.settings or {})}
    name = given.name or given.path.name
    new = NewSource(name, kind, classes, frame, grid, pictures, settings, (), given.seed)
    return add_source(project, new)


def read_polygons(path: Path, layer: str | None = None) -> gpd.GeoDataFrame:
    """Read polygons and mend what is broken.

    Raises:
        LabelError: no such file, another format, or no polygon.
    """
    if not path.is_file():
        raise LabelError(f"There is no file {path}; give GeoPackage or GeoJSON.")
    try:
        frame = gpd.read_file(path, layer=layer)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError) as e:
        _log.debug("polygons", exc_info=e)
        raise LabelError(
            f"{path.name} can't be read as polygons; give GeoPackage or GeoJSON, and --layer for "
            "a file with several."
        ) from e
    if not isinstance(frame, gpd.GeoDataFrame):
        raise LabelError(f"{path.name} is a table without shapes; give polygons.")
    frame = frame[~(frame.geometry.isna() | frame.geometry.is_empty)]
    strange = set(frame.geometry.geom_type) - {"Polygon", "MultiPolygon"}
    if strange or frame.empty:
        holds = ", ".join(sorted(strange)) or "nothing"
        raise LabelError(f"{path.name} holds {holds}; polygons are wanted.")
    broken = ~frame.geometry.is_valid
    if broken.any():
        mended = frame.geometry.copy()
        mended[broken] = [check_outline(each) for each in frame.geometry[broken]]
        frame = frame.set_geometry(mended)
    return frame.reset_index(drop=True)


def _on_grid(frame: gpd.GeoDataFrame, grid: GeoImage | None, name: str) -> gpd.GeoDataFrame:
    """Polygons in the CRS of the image, or in its pixels."""
    if grid is None:
        return frame
    if grid.crs is None:
        # GeoJSON without a place is read as degrees; on an image without a place it is in pixels.
        return frame.set_crs(None, allow_override=True)
    if frame.crs is None:
        raise GridError(f"{name} has no CRS and the image {grid.crs[:40]}; write it with its CRS.")
    return frame.to_crs(grid.crs)


def _with_classes(
    frame: gpd.GeoDataFrame, raster: GeoImage | None
) -> tuple[gpd.GeoDataFrame, tuple[ReviewClass, ...]]:
    """Find the classes by their columns: names, numbers or both; 0 is the background."""
    names = _class_names(frame)
    if raster is not None:
        for value in np.unique(raster.pixels[0][raster.valid]):
            if value != NOT_SHOWN:
                names.setdefault(int(value), BACKGROUND if value == 0 else f"class {value}")
    names.setdefault(0, BACKGROUND)
    background = 0 not in set(frame["class_id"])
    classes = tuple(
        ReviewClass(
            index,
            name,
            BACKGROUND_COLOR if index == 0 and background else PALETTE[index % len(PALETTE)],
            index == 0 and background,
        )
        for index, name in sorted(names.items())
    )
    kept = [name for name in _KNOWN if name in frame]
    return frame[[*kept, frame.geometry.name]], classes


def _class_names(frame: gpd.GeoDataFrame) -> dict[int, str]:
    """Give every polygon a class number (column class_id), and every number a name."""
    if "class" not in frame and "class_id" not in frame:
        frame["class_id"] = 1
        return {1: "object"}
    if "class_id" not in frame:
        order = {name: index for index, name in enumerate(dict.fromkeys(frame["class"]), 1)}
        frame["class_id"] = [order[name] for name in frame["class"]]
    ids = frame["class_id"]
    if ids.isna().any() or not ids.between(0, _MOST_CLASSES).all() or ids.nunique() > _MOST_CLASSES:
        raise LabelError(f"The column class_id must hold whole numbers from 0 to {_MOST_CLASSES}.")
    frame["class_id"] = ids.astype(np.int64)
    titles = frame["class"] if "class" in frame else [f"class {each}" for each in ids]
    return {int(index): str(name) for index, name in zip(frame["class_id"], titles, strict=True)}


def _fit(image: GeoImage, raster: GeoImage) -> bool:
    if image.is_georeferenced and raster.is_georeferenced:
        return same_grid(image, raster)
    return image.valid.shape == raster.valid.shape


def _map_of(frame: gpd.GeoDataFrame, image: GeoImage, classes: tuple[ReviewClass, ...]) -> GeoImage:
    """Paint the polygons as a map; the rest is background, unknown where class 0 is none."""
    background = 0 if classes[0].is_background else NOT_SHOWN
    shapes = list(zip(frame.geometry, frame["class_id"].astype(int), strict=True))
    labels = burn_polygons(shapes, image, background=background)
    valid = image.valid & (labels != NOT_SHOWN)
    if not valid.any():
        raise ReviewError("No polygon lies on the image; give the image that they were made of.")
    return image.with_pixels(labels[None], ("class",), valid=valid)
