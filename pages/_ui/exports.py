"""Take a result home: raster, polygons, picture, numbers; each is made when it is asked for."""

from __future__ import annotations

import io
import json
import re
import tempfile
import zipfile
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from n2m_core import raster_io, render
from pages._ui import downloads, frame, review_send, views
from pages._ui.compute import Choices
from pages._ui.downloads import File
from pages._ui.inputs import Source

if TYPE_CHECKING:
    from n2m_core.tasks.result import MapResult
    from n2m_core.tasks.trajectory import TrajectoryResult

TRAJECTORY_FILES = {
    "GIF": "trajectory.gif",
    "MP4": "trajectory.mp4",
    "Numbers": "trajectory.json",
    "All frames": "",
}


def panel(
    page: str, source: Source, result: MapResult, choices: Choices, report: dict[str, Any] | None
) -> None:
    """Show the row of download buttons of a result."""
    st.subheader("Take it home", anchor=False)
    stem = f"{file_stem(source.title)}_{result.card.id}"
    files = (
        File("GeoTIFF", ".tif", lambda: geotiff(result)),
        File("GeoJSON", ".geojson", lambda: geojson(result)),
        File("GeoPackage", ".gpkg", lambda: gpkg(result)),
        File("PNG", ".png", lambda: png(result, choices)),
        File("Numbers", ".json", lambda: numbers(result, choices, source, report)),
        File("Probabilities", "_p.tif", lambda: probabilities(result), "gradient"),
    )
    downloads.row(page, f"{page}-exports", stem, files)
    where = "in the image's own grid" if result.image.is_georeferenced else "in pixel coordinates"
    frame.quiet(
        f"The GeoTIFF is cloud optimised and lies {where}; polygons carry class, area and mean "
        "confidence. The class map's licence follows the weights: " + result.card.license + "."
    )
    review_send.panel(page, source, result, choices)


def file_stem(title: str) -> str:
    """A harmless file name out of a title."""
    stem = re.sub(r"[^A-Za-z0-9]+", "-", Path(title).stem).strip("-").lower()
    return stem[:40] or "map"


def geotiff(result: MapResult) -> bytes:
    """The class map as a GeoTIFF with its colours."""
    return raster_io.geotiff_bytes(
        result.map_image, nodata=255, colormap=result.colors, tags=result.tags
    )


def probabilities(result: MapResult) -> bytes:
    """The probabilities as a GeoTIFF, one band a class."""
    return raster_io.geotiff_bytes(result.probability_image, tags=result.tags)


def geojson(result: MapResult) -> bytes:
    """The polygons as GeoJSON, longitude and latitude."""
    from n2m_core import vectorize
    from n2m_core.tasks.export import polygons_of

    return vectorize.geojson_bytes(polygons_of(result))


def gpkg(result: MapResult) -> bytes:
    """The polygons as a GeoPackage in the image's CRS."""
    from n2m_core import vectorize
    from n2m_core.tasks.export import polygons_of

    return vectorize.geopackage_bytes(polygons_of(result))


def png(result: MapResult, choices: Choices) -> bytes:
    """Picture and map side by side, with captions."""
    shown = views.picture(result.image, choices)
    overlay = render.colorize(result.labels, views.shown_classes(result.card))
    alpha = overlay[..., 3:].astype("float32") / 255 * 0.65
    mixed = (shown * (1 - alpha) + overlay[..., :3] * alpha).round().astype("uint8")
    pictures, captions = [shown, mixed], ["Picture", "Map"]
    if result.before is not None:
        pictures = [views.picture(result.before, choices), *pictures]
        captions = ["Before", "After", "Change"]
    return render.encode_png(render.side_by_side(pictures, captions))


def numbers(
    result: MapResult, choices: Choices, source: Source, report: dict[str, Any] | None
) -> bytes:
    """How the map was made, its areas and, with a truth, its scores, as JSON."""
    from n2m_core.tasks.export import class_figures

    facts = {
        "source": source.title,
        "checkpoint": result.card.id,
        "license": result.card.license,
        **_how(result),
        "threshold": choices.threshold,
        "min_area_m2": choices.min_area_m2,
        "resolution_m": choices.resolution_m or result.image.resolution_m,
        "notes": list(result.notes),
        "areas": class_figures(result),
        "scores": report,
    }
    return json.dumps(facts, indent=2, ensure_ascii=False).encode()


def _how(result: MapResult) -> dict[str, Any]:
    """How the network made a map."""
    from n2m_core.tasks.refine import RefineResult

    if isinstance(result, RefineResult):
        names = ("steps", "guidance", "seed", "samples", "changed")
        return {name: getattr(result, name) for name in names}
    return {"timestep": result.timestep, "x_t_mixed": result.is_mixed}


def trajectory(page: str, source: Source, result: TrajectoryResult, key: str) -> None:
    """Show the download buttons of a trajectory."""
    stem = f"{file_stem(source.title)}_{result.card.id}_trajectory"
    files = [
        File(label, Path(name).suffix or ".zip", partial(trajectory_file, key, result, name))
        for label, name in TRAJECTORY_FILES.items()
    ]
    downloads.row(page, f"{page}-exports", stem, files)


def trajectory_file(key: str, result: TrajectoryResult, name: str) -> bytes:
    """One file of a trajectory, or all of them as a ZIP when no name is given."""
    archive = _trajectory_zip(key, result)
    if not name:
        return archive
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        return files.read(name)


@lru_cache(maxsize=4)
def _trajectory_zip(key: str, result: TrajectoryResult) -> bytes:
    """All files that `n2m trajectory` writes, as a ZIP."""
    from n2m_core.tasks.trajectory import write_trajectory

    stream = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="n2m-") as folder:
        out = Path(folder) / "trajectory"
        write_trajectory(result, out)
        with zipfile.ZipFile(stream, "w") as files:
            for path in sorted(each for each in out.rglob("*") if each.is_file()):
                files.write(path, path.relative_to(out).as_posix())
    return stream.getvalue()
