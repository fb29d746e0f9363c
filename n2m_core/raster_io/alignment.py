"""A scene on the grid of another one, warped a window at a time.

A window is warped from the part of the scene that lies under it with a margin, by the same steps as
a whole image; see `warping`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from n2m_core.errors import GridError, NoOverlapError
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io.ground import lonlat_bounds, project_outline
from n2m_core.raster_io.scene import Box, OtherGrid, Scene, header_part, part_of
from n2m_core.raster_io.warping import Resampling, same_grid, warp

MARGIN_PX = 4
"""Pixels of the scene around what lies under a window, beside the reach of the filter."""
MAX_SOURCE_PX = 48_000_000
"""A window under which more pixels lie is warped in parts."""
SMALLEST_PART_PX = 16


def on_grid(scene: Scene, grid: GeoImage, *, resampling: Resampling = "bilinear") -> Scene:
    """See a scene on the grid of another one.

    Args:
        scene: what is read.
        grid: header whose CRS, transform and size to take.
        resampling: "nearest" for labels.

    Returns:
        The scene itself where the grids agree. Scenes of which one has no georeference pass pixel
        by pixel when they have equal size.

    Raises:
        GridError: no georeference and different sizes.
        NoOverlapError: their outlines share no ground.
    """
    header = scene.header
    if same_grid(header, grid):
        return scene
    if header.crs is None or grid.crs is None:
        return OtherGrid(scene, grid)
    aligned = AlignedScene(scene, grid, resampling)
    height, width = grid.valid.shape
    if aligned.under(Box(0, 0, height, width)) is None:
        raise NoOverlapError(
            f"The two images do not overlap: one covers {_extent(grid)}, the other "
            f"{_extent(header)} (latitude, longitude). Choose two images of the same place."
        )
    return aligned


@dataclass(frozen=True, eq=False)
class AlignedScene:
    """A scene warped to another grid.

    Attributes:
        scene: what is read.
        grid: header with the CRS, transform and size to take.
        resampling: how.
    """

    scene: Scene
    grid: GeoImage
    resampling: Resampling

    @cached_property
    def header(self) -> GeoImage:
        """The scene without its pixels, on the other grid."""
        own, grid = self.scene.header, self.grid
        pixels = np.broadcast_to(np.zeros((), own.pixels.dtype), (own.bands, *grid.valid.shape))
        return replace(
            own,
            pixels=pixels,
            valid=grid.valid,
            crs=grid.crs,
            transform=grid.transform,
            resolution_m=grid.resolution_m,
        )

    def read(self, box: Box) -> GeoImage:
        """Read a window."""
        pixels = np.zeros((self.header.bands, *box.shape), self.header.pixels.dtype)
        valid = np.zeros(box.shape, np.bool_)
        for part in self._parts(box):
            under = self.under(part)
            if under is None:
                continue
            rows = slice(part.top - box.top, part.bottom - box.top)
            columns = slice(part.left - box.left, part.right - box.left)
            target = header_part(self.grid, part)
            moved = warp(self.scene.read(under), target, self.resampling)
            pixels[:, rows, columns], valid[rows, columns] = moved
        return part_of(self.header, box, pixels, valid)

    def under(self, box: Box) -> Box | None:
        """The pixels of the scene that a window is made of; None where it does not reach."""
        own = self.scene.header
        assert own.crs is not None
        try:
            x, y = project_outline(header_part(self.grid, box), own.crs)
        except GridError:
            return None
        back = ~own.transform
        columns = back.a * x + back.b * y + back.c
        rows = back.d * x + back.e * y + back.f
        margins = [
            math.ceil(2 * max(1.0, float(np.ptp(along)) / side)) + MARGIN_PX
            for along, side in zip((rows, columns), box.shape, strict=True)
        ]
        top = max(0, math.floor(rows.min()) - margins[0])
        left = max(0, math.floor(columns.min()) - margins[1])
        bottom = min(own.height, math.ceil(rows.max()) + margins[0])
        right = min(own.width, math.ceil(columns.max()) + margins[1])
        return Box(top, left, bottom, right) if top < bottom and left < right else None

    def _parts(self, box: Box) -> list[Box]:
        """Cut a window until not too much lies under each part."""
        under = self.under(box)
        small = max(box.shape) <= SMALLEST_PART_PX
        if under is None or under.pixels <= MAX_SOURCE_PX or small:
            return [box]
        if box.shape[0] >= box.shape[1]:
            middle = (box.top + box.bottom) // 2
            halves = replace(box, bottom=middle), replace(box, top=middle)
        else:
            middle = (box.left + box.right) // 2
            halves = replace(box, right=middle), replace(box, left=middle)
        return [part for half in halves for part in self._parts(half)]


def _extent(header: GeoImage) -> str:
    """Where a scene lies, for a message."""
    south, west, north, east = lonlat_bounds(header)
    return f"{south:.4f} to {north:.4f}, {west:.4f} to {east:.4f}"
