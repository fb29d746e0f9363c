"""What a review leaves: corrected polygons for a GIS, corrected masks to train on.

The last word on each object counts. An object goes when it was judged wrong and neither class nor
outline was corrected with that verdict or after it, or when its class became the background.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray

from n2m_core.errors import OutputError, ReviewError
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import burn_polygons, write_geotiff
from n2m_core.render import NOT_SHOWN
from n2m_core.review.desk import all_objects
from n2m_core.review.project import Project, get_source, picture, sources
from n2m_core.review.records import ReviewObject, Source
from n2m_core.vectorize import write_vector

MASK_FOLDERS = {"segment": ("images", "masks"), "change": ("after", "labels")}


def is_kept(found: ReviewObject, source: Source) -> bool:
    """Whether an object is there after the review."""
    said = found.current
    is_nothing = any(e.is_background and e.id == found.final_class_id for e in source.classes)
    return not is_nothing and (said.verdict != "wrong" or said.is_corrected)


def is_open(found: ReviewObject) -> bool:
    """Whether nobody has settled what an object is: not judged and not corrected, or unsure."""
    said = found.current
    return said.verdict == "unsure" or (said.verdict is None and not said.is_corrected)


def polygons_of_review(
    project: Project, source_id: int, *, with_removed: bool = False
) -> gpd.GeoDataFrame:
    """Collect the corrected objects of a map.

    Args:
        project: where.
        source_id: the map.
        with_removed: also those judged wrong; the column kept tells them apart.

    Returns:
        Columns object, class, class_id, area_m2 (area_px where it is unknown), confidence,
        decision_time, origin, verdict, comment, reviewer, decided_at, map_class, redrawn, disputed,
        kept and geometry, in the map's CRS, or in pixels (column, row).

    Raises:
        ParameterError: no such map.
        ReviewError: the project can't be read.
    """
    source = get_source(project, source_id)
    found = all_objects(project, source_id=source_id)
    found = [each for each in found if with_removed or is_kept(each, source)]
    names = {entry.id: entry.name for entry in source.classes}
    has_area = source.crs is not None or source.resolution_m is not None
    table: dict[str, list[Any]] = {
        "object": [each.id for each in found],
        "class": [names[each.final_class_id] for each in found],
        "class_id": [each.final_class_id for each in found],
        "area_m2" if has_area else "area_px": [
            each.final_area_m2 if has_area else _pixels(each) for each in found
        ],
        "confidence": [each.confidence for each in found],
        "decision_time": [each.decision_time for each in found],
        "origin": [each.origin for each in found],
        "verdict": [each.current.verdict for each in found],
        "comment": [each.current.comment or None for each in found],
        "reviewer": [each.current.reviewer or None for each in found],
        "decided_at": [each.current.at or None for each in found],
        "map_class": [None if each.origin == "drawn" else names[each.class_id] for each in found],
        "redrawn": [each.current.outline is not None for each in found],
        "disputed": [each.is_disputed for each in found],
        "kept": [is_kept(each, source) for each in found],
    }
    frame = gpd.GeoDataFrame(table, geometry=[e.final_outline for e in found], crs=source.crs)
    for name in ("area_m2", "area_px", "confidence", "decision_time"):
        if name in frame:
            frame[name] = frame[name].astype(np.float64)
    return frame


def _pixels(found: ReviewObject) -> float | None:
    return found.area_px if found.current.outline is None else found.current.area_px


def export_polygons(
    project: Project, source_id: int, path: Path, *, with_removed: bool = False
) -> int:
    """Write the corrected objects, GeoPackage or GeoJSON by the suffix, whole or not at all.

    Returns:
        How many.

    Raises:
        ParameterError: another suffix, or no such map.
        OutputError: the folder is full or not writable.
    """
    frame = polygons_of_review(project, source_id, with_removed=with_removed)
    write_vector(path, frame)
    return len(frame)


def corrected_labels(project: Project, source: Source, *, keep_unjudged: bool = False) -> GeoImage:
    """Paint the review over the map.

    Every object is taken off the map first (its pixels become background; where the map has none,
    unknown), then those that stay are painted, small ones over large ones.

    Args:
        project: where.
        source: the map; it must have come with its raster.
        keep_unjudged: let the map's word stand for objects that nobody has judged, or that were
            left unsure; else their pixels are unknown.

    Returns:
        One band of class indices, uint8; 255 where there is no data, or nothing was decided.

    Raises:
        ReviewError: the map came without a raster, or its file is gone.
    """
    image = picture(source, "map")
    labels = np.where(image.valid, image.pixels[0], NOT_SHOWN).astype(np.uint8)
    found = all_objects(project, source_id=source.id)
    background = next((e.id for e in source.classes if e.is_background), NOT_SHOWN)
    changed = [each for each in found if _is_changed(each, source)]
    labels = _painted(labels, image, [(each.outline, background) for each in changed])
    painted = sorted(
        (e for e in changed if is_kept(e, source)), key=lambda e: -e.final_outline.area
    )
    shapes = [(each.final_outline, each.final_class_id) for each in painted]
    labels = _painted(labels, image, shapes)
    if not keep_unjudged:
        still_open = [each for each in found if is_open(each)]
        labels = _painted(labels, image, [(e.final_outline, NOT_SHOWN) for e in still_open])
    labels[~image.valid] = NOT_SHOWN
    return image.with_pixels(labels[None], ("class",), valid=labels != NOT_SHOWN)


def _is_changed(found: ReviewObject, source: Source) -> bool:
    """Whether the raster differs from the map because of this object."""
    said = found.current
    moved = said.outline is not None or said.class_id not in (None, found.class_id)
    return found.origin == "drawn" or moved or not is_kept(found, source)


def _painted(
    labels: NDArray[np.uint8], grid: GeoImage, shapes: Sequence[tuple[Any, int]]
) -> NDArray[np.uint8]:
    """Labels with shapes over them, in order."""
    if not shapes:
        return labels
    # Numbers of classes may be 255 (unknown), so where a shape lies is asked apart.
    covered = burn_polygons([(shape, 1) for shape, _ in shapes], grid, background=0) == 1
    return np.where(covered, burn_polygons(shapes, grid, background=0), labels).astype(np.uint8)


def write_masks(project: Project, folder: Path, *, keep_unjudged: bool = False) -> tuple[Path, ...]:
    """Write images and corrected masks of every map in the layout that `n2m train` reads.

    A segmentation gives images/ with masks/, a change before/, after/ and labels/; files of a map
    have one name. A mask holds class indices (or the values that the checkpoint's classes have in
    masks), and 255, declared as no data, where nothing is known.

    Args:
        project: where.
        folder: receives the files; made when missing, refused when it holds any.
        keep_unjudged: see `corrected_labels`.

    Returns:
        The files written.

    Raises:
        OutputError: the folder holds files already, or can't be written.
        ReviewError: no map came with image and raster, or a file is gone.
    """
    known = [each for each in sources(project) if each.image is not None and each.map is not None]
    if not known:
        raise ReviewError(
            "No map of the project came with its image and its raster; send a map of this program "
            "to review, or name the image with `n2m review import --image`."
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder} holds files already; choose an empty or a new folder.")
    written: list[Path] = []
    for source in known:
        # Masks are made before anything is written, so a missing file leaves no half a pair.
        labels = corrected_labels(project, source, keep_unjudged=keep_unjudged)
        written.extend(_write_pair(source, labels, folder))
    return tuple(written)


def _write_pair(source: Source, labels: GeoImage, folder: Path) -> list[Path]:
    name = f"{source.id:03d}-{re.sub(r'[^A-Za-z0-9_-]+', '-', Path(source.name).stem)[:60]}"
    images, masks = MASK_FOLDERS["segment" if source.before is None else "change"]
    copies = [(source.image, folder / images)]
    if source.before is not None:
        copies.append((source.before, folder / "before"))
    written = []
    for path, place in copies:
        assert path is not None
        picture(source, "image" if path == source.image else "before")
        target = place / f"{name}{path.suffix}"
        _copy(path, target)
        written.append(target)
    mask = folder / masks / f"{name}.tif"
    write_geotiff(mask, _with_mask_values(source, labels), nodata=NOT_SHOWN)
    return [*written, mask]


def _with_mask_values(source: Source, labels: GeoImage) -> GeoImage:
    """Class indices, or the pixel values that the checkpoint's classes have in masks."""
    table = np.arange(256, dtype=np.uint8)
    for class_id, value in source.settings.get("mask_values", {}).items():
        table[int(class_id)] = value
    return labels.with_pixels(table[labels.pixels], labels.band_names)


def _copy(path: Path, target: Path) -> None:
    """Copy a file, whole or not at all."""
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, part)
        part.replace(target)
    except OSError as e:
        raise OutputError(f"{target} can't be written ({e.strerror}); choose another place.") from e
    finally:
        part.unlink(missing_ok=True)
