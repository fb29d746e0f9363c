"""Send a map to review: its polygons become objects, and its pictures go along.

A map that was made in this program brings its pixels, which are written into the project. A file of
polygons names the files that it belongs to; they stay where they are unless a copy is asked for.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from n2m_core.errors import LabelError, OutputError, ParameterError, ReviewError
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import burn_polygons, write_geotiff
from n2m_core.render import NOT_SHOWN, hex_to_rgb
from n2m_core.review import schema
from n2m_core.review.geometry import areas_m2, describe_crs, hilbert, to_blobs
from n2m_core.review.project import PICTURES, Project, get_source, now
from n2m_core.review.records import Kind, ReviewClass, Source
from n2m_core.review.strata import strata_of, stratified_order

if TYPE_CHECKING:
    from n2m_core.tasks.result import MapResult

FIRST_OWN_SRS = 200_000
"""CRSs without an EPSG code are numbered from here on, above all codes of EPSG."""


@dataclass(frozen=True, eq=False)
class NewSource:
    """A map about to be sent to review.

    Attributes:
        name: what to call it; a number is added when the project has the name.
        kind: what made it.
        classes: of the map.
        frame: polygons with columns class_id and, where known, area_m2, area_px, confidence and
            decision_time; in the CRS of the grid, or in pixels.
        grid: the map's grid, if it has one.
        pictures: role (image, before, map) to what is written into the project, or to the path of a
            file that stays where it is.
        settings: what made the map, for the report.
        notes: what the person should know.
        seed: of the stratified random order.
    """

    name: str
    kind: Kind
    classes: tuple[ReviewClass, ...]
    frame: gpd.GeoDataFrame
    grid: GeoImage | None = None
    pictures: Mapping[str, GeoImage | Path] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seed: int = 0


def add_map(
    project: Project,
    result: MapResult,
    *,
    name: str,
    min_area_m2: float = 0.0,
    decision_time: NDArray[np.int16] | None = None,
    seed: int = 0,
) -> Source:
    """Send a segmentation, a change or a refined map to review, with copies of its pictures.

    Args:
        project: where.
        result: the map.
        name: what to call it, such as the image's name.
        min_area_m2: leave out smaller polygons.
        decision_time: int16 [H, W] of the same map, -1 where there is none; see
            `tasks.trajectory.decision_times`.
        seed: of the stratified random order.

    Returns:
        The map as it lies in the project.

    Raises:
        LabelError: the map has no object.
        ReviewError: the project can't be written; it is as it was.
    """
    from n2m_core.tasks.export import polygons_of
    from n2m_core.tasks.labelling import has_background

    frame = polygons_of(result, min_area_m2=min_area_m2)
    if decision_time is not None:
        frame["decision_time"] = mean_inside(frame, result.image, decision_time)
    background = has_background(result.card)
    classes = tuple(
        ReviewClass(index, entry.name, entry.color, background and index == 0)
        for index, entry in enumerate(result.card.classes)
    )
    pictures = {"image": result.image, "before": result.before, "map": result.map_image}
    return add_source(
        project,
        NewSource(
            name,
            result.card.task,
            classes,
            frame,
            result.image,
            {role: image for role, image in pictures.items() if image is not None},
            {
                "checkpoint": result.card.id,
                "checkpoint_sha256": result.card.sha256,
                "license": result.card.license,
                "min_area_m2": min_area_m2,
                "mask_values": {
                    index: entry.mask_colour
                    for index, entry in enumerate(result.card.classes)
                    if isinstance(entry.mask_colour, int)
                },
                **{key.removeprefix("N2M_").lower(): text for key, text in result.tags.items()},
            },
            result.notes,
            seed,
        ),
    )


def add_source(project: Project, new: NewSource) -> Source:
    """Write a map, its objects and its pictures into a project, whole or not at all.

    Raises:
        LabelError: no polygon, or a class that the map does not name.
        ParameterError: an empty name.
        ReviewError: the project can't be written; it is as it was.
    """
    if not new.name.strip():
        raise ParameterError("The map needs a name, such as that of its image.")
    _check_frame(new)
    columns = _object_columns(new)
    folder = Path(PICTURES) / uuid.uuid4().hex[:12]
    try:
        written = _write_pictures(project.folder, folder, new)
        with project.store.writing() as connection:
            source_id = _insert(connection, new, written, columns)
    except BaseException:
        shutil.rmtree(project.folder / folder, ignore_errors=True)
        raise
    return get_source(project, source_id)


def mean_inside(
    frame: gpd.GeoDataFrame, grid: GeoImage, values: NDArray[Any]
) -> NDArray[np.float64]:
    """Average a raster inside polygons that were traced on its grid; negative values don't count.

    Args:
        frame: polygons whose edges are edges of pixels.
        grid: their grid.
        values: [H, W].

    Returns:
        float64 [N]; NaN where nothing counts.
    """
    means = np.full(len(frame), np.nan)
    inverse = ~grid.transform
    for index, outline in enumerate(frame.geometry):
        corners = shapely.transform(
            outline, lambda p: np.column_stack(inverse @ (p[:, 0], p[:, 1]))
        )
        left, top, right, bottom = (round(each) for each in corners.bounds)
        window = np.s_[max(top, 0) : bottom, max(left, 0) : right]
        part = GeoImage(
            grid.valid[window][None],
            grid.valid[window],
            None,
            Affine.translation(max(left, 0), max(top, 0)),
            ("valid",),
        )
        inside = burn_polygons([(corners, 1)], part, background=0) == 1
        counted = values[window][inside & (values[window] >= 0)]
        means[index] = counted.mean() if counted.size else np.nan
    return means


def _check_frame(new: NewSource) -> None:
    if not len(new.frame):
        raise LabelError(f"{new.name} has no polygon; there is nothing to review.")
    known = {entry.id for entry in new.classes}
    strange = set(new.frame["class_id"].astype(int)) - known
    if strange:
        raise LabelError(
            f"{new.name} has polygons of class {', '.join(map(str, sorted(strange)))}; its classes "
            f"are {', '.join(f'{entry.id} {entry.name}' for entry in new.classes)}."
        )


def _object_columns(new: NewSource) -> dict[str, Sequence[Any]]:
    """Everything about the objects but source and geometry, a column each."""
    frame = new.frame
    outlines = np.asarray(frame.geometry.array)
    bounds = shapely.bounds(outlines)
    confidence, time = _floats(frame, "confidence"), _floats(frame, "decision_time")
    area_px, area_m2 = _floats(frame, "area_px"), _floats(frame, "area_m2")
    if new.grid is not None and np.isnan(area_px).all():
        area_px = shapely.area(outlines) / abs(new.grid.transform.determinant)
    if np.isnan(area_m2).all():
        if frame.crs is not None:
            area_m2 = areas_m2(outlines, frame.crs.to_wkt())
        elif new.grid is not None and new.grid.resolution_m is not None:
            area_m2 = area_px * new.grid.resolution_m**2
    sizes = np.where(np.isnan(area_m2), shapely.area(outlines), area_m2)
    class_id = frame["class_id"].to_numpy(np.int64)
    return {
        "class_id": class_id.tolist(),
        "area_m2": _numbers(area_m2),
        "area_px": _numbers(area_px),
        "confidence": _numbers(confidence),
        "decision_time": _numbers(time),
        "min_x": bounds[:, 0].tolist(),
        "min_y": bounds[:, 1].tolist(),
        "max_x": bounds[:, 2].tolist(),
        "max_y": bounds[:, 3].tolist(),
        "place": hilbert(bounds[:, ::2].mean(axis=1), bounds[:, 1::2].mean(axis=1)).tolist(),
        "shuffle": stratified_order(strata_of(class_id, sizes, confidence), new.seed).tolist(),
    }


def _floats(frame: gpd.GeoDataFrame, name: str) -> NDArray[np.float64]:
    if name not in frame:
        return np.full(len(frame), np.nan)
    return np.asarray(frame[name].to_numpy(np.float64, na_value=np.nan))


def _numbers(values: NDArray[np.float64]) -> list[float | None]:
    """Numbers for the database, which knows no NaN."""
    return [None if np.isnan(value) else value for value in values.tolist()]


def _write_pictures(root: Path, folder: Path, new: NewSource) -> dict[str, str]:
    """Write what came as pixels; give the file of every role as the database keeps it."""
    files = {}
    colors = {entry.id: hex_to_rgb(entry.color) for entry in new.classes}
    for role, what in new.pictures.items():
        if isinstance(what, Path):
            files[role] = str(what.resolve())
            continue
        try:
            if role == "map":
                write_geotiff(root / folder / "map.tif", what, nodata=NOT_SHOWN, colormap=colors)
            else:
                write_geotiff(root / folder / f"{role}.tif", what)
        except OutputError as e:
            raise ReviewError(f"The {role} of {new.name} can't be kept: {e}") from e
        files[role] = (folder / f"{role}.tif").as_posix()
    return files


def _insert(
    connection: Connection,
    new: NewSource,
    files: Mapping[str, str],
    columns: Mapping[str, Sequence[Any]],
) -> int:
    crs = new.frame.crs
    text = None if crs is None else (new.grid.crs if new.grid and new.grid.crs else crs.to_string())
    srs_id = _register_crs(connection, text)
    grid, name = new.grid, _free_name(connection, new.name.strip())
    source_id: int = connection.execute(
        schema.sources.insert()
        .values(
            name=name,
            kind=new.kind,
            crs=text,
            srs_id=srs_id,
            transform=None if grid is None else json.dumps(tuple(grid.transform)[:6]),
            width=None if grid is None else grid.width,
            height=None if grid is None else grid.height,
            resolution_m=None if grid is None else grid.resolution_m,
            image=files.get("image"),
            before=files.get("before"),
            map=files.get("map"),
            settings=json.dumps(dict(new.settings)),
            notes=json.dumps(new.notes),
            added_at=now(),
        )
        .returning(schema.sources.c.id)
    ).scalar_one()
    connection.execute(
        schema.classes.insert(),
        [
            {
                "source_id": source_id,
                "class_id": entry.id,
                "name": entry.name,
                "color": entry.color,
                "is_background": int(entry.is_background),
            }
            for entry in new.classes
        ],
    )
    rows = zip(
        *columns.values(), to_blobs(np.asarray(new.frame.geometry.array), srs_id), strict=True
    )
    names = (*columns, "geom")
    connection.execute(
        schema.objects.insert(),
        [
            {"source_id": source_id, "origin": "map", **dict(zip(names, row, strict=True))}
            for row in rows
        ],
    )
    _register_layer(connection, source_id, srs_id, name, new.frame.total_bounds)
    return source_id


def _free_name(connection: Connection, name: str) -> str:
    taken = set(connection.execute(select(schema.sources.c.name)).scalars())
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} ({number})"
    return free


def _register_crs(connection: Connection, crs: str | None) -> int:
    """Find or add a CRS in gpkg_spatial_ref_sys; -1 stands for pixels."""
    if crs is None:
        return -1
    name, code, wkt = describe_crs(crs)
    table = schema.spatial_ref_sys
    is_same = table.c.definition == wkt if code is None else table.c.srs_id == code
    known = connection.execute(select(table.c.srs_id).where(is_same)).scalar_one_or_none()
    if known is not None:
        return int(known)
    highest = connection.execute(select(func.max(table.c.srs_id))).scalar_one()
    srs_id = code or max(FIRST_OWN_SRS, highest + 1)
    connection.execute(
        table.insert().values(
            srs_name=name,
            srs_id=srs_id,
            organization="EPSG" if code else "NONE",
            organization_coordsys_id=srs_id,
            definition=wkt,
        )
    )
    return srs_id


def _register_layer(
    connection: Connection, source_id: int, srs_id: int, name: str, bounds: NDArray[np.float64]
) -> None:
    """Make the map a layer that any GIS shows."""
    layer = schema.layer_name(source_id)
    connection.exec_driver_sql(schema.layer_view(source_id))
    connection.exec_driver_sql(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, min_x, min_y, max_x, max_y, "
        "srs_id) VALUES (?, 'features', ?, ?, ?, ?, ?, ?)",
        (layer, name, *bounds.tolist(), srs_id),
    )
    connection.exec_driver_sql(
        "INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', 'GEOMETRY', ?, 0, 0)", (layer, srs_id)
    )
