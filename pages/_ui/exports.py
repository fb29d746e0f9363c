"""Take a result home: raster, polygons, picture, numbers; each is made when it is asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from n2m_core import raster_io, render
from pages._ui import frame, results, views
from pages._ui.adjust import has_background
from pages._ui.compute import Choices
from pages._ui.inputs import Source

if TYPE_CHECKING:
    import geopandas as gpd

    from n2m_core.tasks.result import MapResult


def panel(
    page: str, source: Source, result: MapResult, choices: Choices, report: dict[str, Any] | None
) -> None:
    """Show the row of download buttons of a result."""
    st.subheader("Take it home", anchor=False)
    stem = f"{file_stem(source.title)}_{result.card.id}"
    files: tuple[tuple[str, str, str, str, Callable[[], bytes]], ...] = (
        ("GeoTIFF", ".tif", "image/tiff", "raster_on", lambda: geotiff(result)),
        ("GeoJSON", ".geojson", "application/geo+json", "polyline", lambda: geojson(result)),
        ("GeoPackage", ".gpkg", "application/geopackage+sqlite3", "polyline", lambda: gpkg(result)),
        ("PNG", ".png", "image/png", "image", lambda: png(result, choices)),
        (
            "Numbers",
            ".json",
            "application/json",
            "data_object",
            lambda: numbers(result, choices, source, report),
        ),
        ("Probabilities", "_p.tif", "image/tiff", "gradient", lambda: probabilities(result)),
    )
    with st.container(horizontal=True, key=f"{page}-exports"):
        for label, suffix, mime, icon, make in files:
            st.download_button(
                label,
                data=make,
                file_name=stem + suffix,
                mime=mime,
                icon=f":material/{icon}:",
                on_click="ignore",
                key=f"{page}.download.{label}",
            )
    where = "in the image's own grid" if result.image.is_georeferenced else "in pixel coordinates"
    frame.quiet(
        f"The GeoTIFF is cloud optimised and lies {where}; polygons carry class, area and mean "
        "confidence. The class map's licence follows the weights: " + result.card.license + "."
    )


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


def polygons(result: MapResult) -> gpd.GeoDataFrame:
    """The map as polygons with area and mean confidence."""
    from n2m_core import vectorize

    return vectorize.to_polygons(
        result.labels,
        result.image,
        dict(enumerate(result.class_names)),
        confidence=result.confidence,
        background=0 if has_background(result.card) else None,
    )


def geojson(result: MapResult) -> bytes:
    """The polygons as GeoJSON, longitude and latitude."""
    from n2m_core import vectorize

    return vectorize.geojson_bytes(polygons(result))


def gpkg(result: MapResult) -> bytes:
    """The polygons as a GeoPackage in the image's CRS."""
    from n2m_core import vectorize

    return vectorize.geopackage_bytes(polygons(result))


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
    facts = {
        "source": source.title,
        "checkpoint": result.card.id,
        "license": result.card.license,
        "timestep": result.timestep,
        "x_t_mixed": result.is_mixed,
        "threshold": choices.threshold,
        "min_area_m2": choices.min_area_m2,
        "resolution_m": choices.resolution_m or result.image.resolution_m,
        "notes": list(result.notes),
        "areas": results.area_rows(result),
        "scores": report,
    }
    return json.dumps(facts, indent=2, ensure_ascii=False).encode()
