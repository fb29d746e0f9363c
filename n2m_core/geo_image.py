"""The one object that carries pixels and their place on the ground across every border.

Axes are written `[C, H, W]`: bands, rows, columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from n2m_core.errors import GridError

Pixels = NDArray[Any]
Mask = NDArray[np.bool_]
Progress = Callable[[int, int, str], None]
"""Called with (steps done, steps in all, a short note); raises `CancelledError` to stop the run."""


@dataclass(frozen=True, eq=False)
class GeoImage:
    """A raster in memory, checked when built.

    Attributes:
        pixels: numbers of any real dtype [C, H, W], in the file's own units.
        valid: bool [H, W], False where there is no data in any band that was read.
        crs: "EPSG:n" or WKT; None when the image has no georeference.
        transform: pixel (column, row) corner to CRS units; identity when there is no georeference.
        band_names: one a band.
        resolution_m: ground size of a pixel at the image centre, metres; None when unknown.
        notes: what the reader changed or found, each a sentence for the person.
    """

    pixels: Pixels
    valid: Mask
    crs: str | None
    transform: Affine
    band_names: tuple[str, ...]
    resolution_m: float | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check shapes and the transform.

        Raises:
            GridError: the parts do not fit each other.
        """
        if self.pixels.ndim != 3 or 0 in self.pixels.shape:
            raise GridError(f"Pixels have shape {self.pixels.shape}; bands, rows, columns wanted.")
        if self.valid.shape != self.pixels.shape[1:] or self.valid.dtype != np.bool_:
            raise GridError(
                f"The valid mask is {self.valid.dtype} {self.valid.shape}; "
                f"bool {self.pixels.shape[1:]} wanted."
            )
        if len(self.band_names) != self.pixels.shape[0]:
            raise GridError(
                f"{len(self.band_names)} band names for {self.pixels.shape[0]} bands; one each."
            )
        if self.transform.is_degenerate:
            raise GridError("The transform maps the image to a line; write the file again.")

    @property
    def bands(self) -> int:
        """Number of bands C."""
        return int(self.pixels.shape[0])

    @property
    def height(self) -> int:
        """Rows H."""
        return int(self.pixels.shape[1])

    @property
    def width(self) -> int:
        """Columns W."""
        return int(self.pixels.shape[2])

    @property
    def is_georeferenced(self) -> bool:
        """Whether the pixels have a known place on the ground."""
        return self.crs is not None

    def with_pixels(
        self, pixels: Pixels, band_names: tuple[str, ...], *, valid: Mask | None = None
    ) -> GeoImage:
        """Put other pixels on the same grid."""
        return replace(
            self,
            pixels=pixels,
            band_names=band_names,
            valid=self.valid if valid is None else valid,
        )

    def with_notes(self, *notes: str) -> GeoImage:
        """Add sentences about what was done to the image."""
        return replace(self, notes=(*self.notes, *notes))
