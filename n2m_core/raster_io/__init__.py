"""The only user of rasterio: read, align, resample and write rasters, measured in true metres.

| file | what |
|---|---|
| opening | which files may be opened, caps, and GDAL's complaints in plain words |
| reading | a file becomes a `GeoImage` |
| scenes | what is too large to hold: headers, overviews, windows |
| channels | palettes, alpha, nodata and photo orientation as pure functions |
| ground | metres, areas and the place of a grid |
| warping | from one grid to another |
| writing | a `GeoImage` becomes a cloud optimised GeoTIFF, whole or not at all |
| tracing | labelled pixels become polygon rings |
| burning | polygons become labelled pixels |
"""

from n2m_core.raster_io.burning import burn_polygons
from n2m_core.raster_io.ground import (
    ground_areas_m2,
    ground_size_m,
    lonlat_bounds,
)
from n2m_core.raster_io.opening import MAX_BANDS, MAX_BYTES, MAX_PIXELS
from n2m_core.raster_io.reading import read_image, read_labels
from n2m_core.raster_io.scenes import (
    SceneHeader,
    Window,
    read_scene,
    read_scene_header,
    read_size,
)
from n2m_core.raster_io.tracing import trace_polygons
from n2m_core.raster_io.warping import (
    Resampling,
    align_to,
    resample,
    same_grid,
    to_web_mercator,
)
from n2m_core.raster_io.writing import geotiff_bytes, write_geotiff

__all__ = [
    "MAX_BANDS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "Resampling",
    "SceneHeader",
    "Window",
    "align_to",
    "burn_polygons",
    "geotiff_bytes",
    "ground_areas_m2",
    "ground_size_m",
    "lonlat_bounds",
    "read_image",
    "read_labels",
    "read_scene",
    "read_scene_header",
    "read_size",
    "resample",
    "same_grid",
    "to_web_mercator",
    "trace_polygons",
    "write_geotiff",
]
