"""Blocks with a halo, for work that looks beyond a block by a known reach or ever more faintly."""

from __future__ import annotations

from dataclasses import dataclass

from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import Box
from n2m_core.raster_io.scene import boxes


@dataclass(frozen=True)
class HaloBlock:
    """A rectangle of the scene and what is read around it.

    Attributes:
        image: the pixels that the block gives.
        read: the pixels that it is worked out from.
    """

    image: Box
    read: Box

    @property
    def inner(self) -> tuple[slice, slice]:
        """Rows and columns that it gives, counted from the first that it reads."""
        top, left = self.read.top, self.read.left
        return (
            slice(self.image.top - top, self.image.bottom - top),
            slice(self.image.left - left, self.image.right - left),
        )


def halo_blocks(header: GeoImage, side_px: int, halo_px: int) -> tuple[HaloBlock, ...]:
    """Cut a scene into blocks of one size, each with a halo as far as the scene reaches."""
    height, width = header.valid.shape
    return tuple(
        HaloBlock(
            box,
            Box(
                max(0, box.top - halo_px),
                max(0, box.left - halo_px),
                min(height, box.bottom + halo_px),
                min(width, box.right + halo_px),
            ),
        )
        for box in boxes((height, width), side_px)
    )
