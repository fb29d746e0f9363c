"""A map as polygons and as figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from n2m_core.raster_io import ground_areas_m2
from n2m_core.tasks.labelling import has_background
from n2m_core.tasks.result import MapResult

if TYPE_CHECKING:
    import geopandas as gpd


def polygons_of(result: MapResult, *, min_area_m2: float = 0.0) -> gpd.GeoDataFrame:
    """Trace a map; the background, where there is one, is not traced.

    Args:
        result: the map.
        min_area_m2: leave out polygons smaller than this.

    Returns:
        See `vectorize.to_polygons`.
    """
    # geopandas takes 70 MB, which a server that only shows areas can do without.
    from n2m_core.vectorize import to_polygons

    return to_polygons(
        result.labels,
        result.image,
        dict(enumerate(result.class_names)),
        confidence=result.confidence,
        min_area_m2=min_area_m2,
        background=0 if has_background(result.card) else None,
    )


def class_figures(result: MapResult) -> list[dict[str, Any]]:
    """Count a map.

    Returns:
        One entry a class: name, color, pixels, share of the pixels with data (0..1), area_m2 (None
        when the ground resolution is unknown).
    """
    areas = ground_areas_m2(result.image)
    rows = np.stack(
        [(result.labels == index).sum(axis=1) for index in range(len(result.card.classes))]
    )
    total = max(1, int(rows.sum()))
    return [
        {
            "name": entry.name,
            "color": entry.color,
            "pixels": int(row.sum()),
            "share": float(row.sum() / total),
            "area_m2": None if areas is None else float(row @ areas),
        }
        for entry, row in zip(result.card.classes, rows, strict=True)
    ]
