"""OpenAerialMap chips named by their Web Mercator tile, joined to larger scenes.

    images/OAM-<x>-<y>-<zoom>.jpg    masks/OAM-<x>-<y>-<zoom>.png

The same ground often repeats at several zooms. One zoom is read; its tiles are joined into the
squares of a coarser zoom, so that buildings are not cut every few metres.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from affine import Affine

from n2m_core.datasets.base import LabelClass, Sample, class_count
from n2m_core.datasets.folder import FolderSegmentation
from n2m_core.errors import DatasetError
from n2m_core.geo_image import GeoImage
from n2m_core.metrics.confusion import IGNORE

TILE_PX = 256
WORLD_M = 2 * math.pi * 6378137.0  # circumference of the Web Mercator sphere
NAME = re.compile(r"^.+-(\d+)-(\d+)-(\d+)$")
PARENT_ZOOM = 19


@dataclass(frozen=True)
class TileName:
    """Column, row and zoom of a Web Mercator tile."""

    x: int
    y: int
    zoom: int

    def parent(self, zoom: int) -> TileName:
        """Give the tile of a coarser zoom that holds this one."""
        shift = max(self.zoom - zoom, 0)
        return TileName(self.x >> shift, self.y >> shift, self.zoom - shift)

    def resolution_m(self, pixels: int) -> float:
        """Ground size of a pixel, metres, when the tile has so many pixels a side."""
        n = 2**self.zoom
        latitude = math.atan(math.sinh(math.pi * (1 - 2 * (self.y + 0.5) / n)))
        return float(WORLD_M / n / pixels * math.cos(latitude))

    def transform(self, pixels: int) -> Affine:
        """Pixel corner to EPSG:3857 metres."""
        side = WORLD_M / 2**self.zoom
        west, north = self.x * side - WORLD_M / 2, WORLD_M / 2 - self.y * side
        return Affine(side / pixels, 0, west, 0, -side / pixels, north)


def parse_name(stem: str) -> TileName | None:
    """Read column, row and zoom from a file stem; None when it is named otherwise."""
    match = NAME.match(stem)
    return TileName(*map(int, match.groups())) if match else None


class XyzTiles(Sequence[Sample]):
    """Joined tiles of one zoom, in EPSG:3857."""

    def __init__(
        self, root: Path, classes: Sequence[LabelClass], *, zoom: int | None = None
    ) -> None:
        """List the tiles.

        Args:
            root: holds images/ and masks/.
            classes: how masks are read.
            zoom: level to read; None for the finest level there is.

        Raises:
            DatasetError: no tile is named so, or none has that zoom.
        """
        class_count(tuple(classes))
        self._files = FolderSegmentation(root, classes)
        named = {i: parse_name(name) for i, name in enumerate(self._files.names)}
        tiles = {i: tile for i, tile in named.items() if tile is not None}
        level = zoom if zoom is not None else max((t.zoom for t in tiles.values()), default=0)
        groups: dict[TileName, list[tuple[int, TileName]]] = {}
        for i, tile in tiles.items():
            if tile.zoom == level:
                groups.setdefault(tile.parent(PARENT_ZOOM), []).append((i, tile))
        if not groups:
            raise DatasetError(f"{root} has no tiles named NAME-x-y-{level or 'zoom'}.")
        self._groups = list(groups.items())

    @property
    def names(self) -> list[str]:
        """Names of the joined squares."""
        return [f"{p.x}-{p.y}-{p.zoom}" for p, _ in self._groups]

    def __len__(self) -> int:
        """Number of joined squares."""
        return len(self._groups)

    def __iter__(self) -> Iterator[Sample]:
        """Read them one by one."""
        return (self[i] for i in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...

    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        """Read one joined square."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        parent, members = self._groups[index]
        across = 2 ** (members[0][1].zoom - parent.zoom)
        side = across * TILE_PX
        pixels = np.zeros((3, side, side), np.uint8)
        label = np.full((side, side), IGNORE, np.uint8)
        valid = np.zeros((side, side), np.bool_)
        for i, tile in members:
            sample = self._files[i]
            rows = slice((tile.y - parent.y * across) * TILE_PX, None)
            cols = slice((tile.x - parent.x * across) * TILE_PX, None)
            place = (
                slice(rows.start, rows.start + TILE_PX),
                slice(cols.start, cols.start + TILE_PX),
            )
            pixels[(slice(None), *place)] = sample.image.pixels[:3]
            label[place], valid[place] = sample.label, sample.image.valid
        image = GeoImage(
            pixels,
            valid,
            "EPSG:3857",
            parent.transform(side),
            ("red", "green", "blue"),
            resolution_m=parent.resolution_m(side),
        )
        return Sample(self.names[index], image, label)
