"""The only user of rasterio: read, align, resample and write rasters, measured in true metres.

| file | what |
|---|---|
| opening | which files may be opened, caps, and GDAL's complaints in plain words |
| reading | a file becomes a `GeoImage` |
| overview | a scene of any size for the eye: what its header says, an overview, any part |
| layout | which bands of a file are read, and what says where there is data |
| scene | scenes of any size, read a window at a time |
| alignment | a scene on another grid, warped a window at a time |
| parts | rasters written block by block, and finished as cloud optimised GeoTIFFs |
| channels | palettes, alpha, nodata and photo orientation as pure functions |
| ground | metres, areas and the place of a grid |
| warping | from one grid to another |
| writing | a `GeoImage` becomes a cloud optimised GeoTIFF, whole or not at all |
| tracing | labelled pixels become polygon rings |
| burning | polygons become labelled pixels |
"""

from n2m_core.raster_io.alignment import on_grid
from n2m_core.raster_io.burning import burn_polygons
from n2m_core.raster_io.ground import (
    ground_areas_m2,
    ground_size_m,
    lonlat_bounds,
)
from n2m_core.raster_io.opening import MAX_BANDS, MAX_BYTES, MAX_PIXELS, MAX_SCENE_PIXELS
from n2m_core.raster_io.overview import (
    SceneHeader,
    Window,
    read_scene,
    read_scene_header,
    read_size,
)
from n2m_core.raster_io.parts import (
    PartSpec,
    create_part,
    finish_cog,
    quiet_gdal,
    strips_of,
    write_block,
    write_strips,
)
from n2m_core.raster_io.reading import read_image, read_labels
from n2m_core.raster_io.scene import (
    WINDOWED_DRIVERS,
    Box,
    FileScene,
    Scene,
    SceneFile,
    header_of,
    header_part,
    sampled,
)
from n2m_core.raster_io.tracing import trace_polygons
from n2m_core.raster_io.warping import (
    Resampling,
    align_to,
    pixel_match_note,
    resample,
    same_grid,
    to_web_mercator,
)
from n2m_core.raster_io.writing import geotiff_bytes, write_geotiff

__all__ = [
    "MAX_BANDS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "MAX_SCENE_PIXELS",
    "WINDOWED_DRIVERS",
    "Box",
    "FileScene",
    "PartSpec",
    "Resampling",
    "Scene",
    "SceneFile",
    "SceneHeader",
    "Window",
    "align_to",
    "burn_polygons",
    "create_part",
    "finish_cog",
    "geotiff_bytes",
    "ground_areas_m2",
    "ground_size_m",
    "header_of",
    "header_part",
    "lonlat_bounds",
    "on_grid",
    "pixel_match_note",
    "quiet_gdal",
    "read_image",
    "read_labels",
    "read_scene",
    "read_scene_header",
    "read_size",
    "resample",
    "same_grid",
    "sampled",
    "strips_of",
    "to_web_mercator",
    "trace_polygons",
    "write_block",
    "write_geotiff",
    "write_strips",
]
