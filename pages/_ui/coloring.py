"""Which bands become red, green and blue, and the stretch that several dates share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from n2m_core.geo_image import GeoImage

Bands = tuple[int, ...]
STRETCH = (0.02, 0.98)


@dataclass(frozen=True, eq=False)
class Coloring:
    """How reflectance is shown, the same for every date.

    Attributes:
        name: what a person reads.
        bands: red, green, blue, or one for grey, counted from 1.
        low: value that becomes black in each, float32.
        high: value that becomes white in each, float32.
    """

    name: str
    bands: Bands
    low: NDArray[np.float32]
    high: NDArray[np.float32]

    def rgb(self, reflectance: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Show an image [C, H, W] as uint8 [H, W, 3]."""
        shown = reflectance[[band - 1 for band in self.bands]]
        span = np.maximum(self.high - self.low, 1e-6)
        share = (shown - self.low[:, None, None]) / span[:, None, None]
        levels = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
        picture: NDArray[np.uint8] = np.moveaxis(levels, 0, -1)
        return picture if picture.shape[-1] == 3 else picture.repeat(3, axis=-1)


class Banded(Protocol):
    """What has named bands: a `GeoImage`, or the header of a scene."""

    @property
    def band_names(self) -> tuple[str, ...]:
        """One a band."""


def natural_bands(image: Banded) -> Bands:
    """The bands named red, green and blue, else the first three, or the first."""
    names = image.band_names
    return _named(names, ("red", "green", "blue")) or ((1, 2, 3) if len(names) >= 3 else (1,))


def choices_of(names: tuple[str, ...]) -> dict[str, Bands]:
    """The band combinations that make sense for an image with these bands."""
    found: dict[str, Bands] = {}
    natural, vegetation = ("red", "green", "blue"), ("nir", "red", "green")
    for title, wanted in (("Natural colours", natural), ("Vegetation in red", vegetation)):
        bands = _named(names, wanted)
        if bands is not None:
            found[title] = bands
    if not found:
        found["First bands"] = (1, 2, 3) if len(names) >= 3 else (1,)
    return found


def coloring(
    name: str, bands: Bands, images: list[NDArray[np.float32]], valid: NDArray[np.bool_]
) -> Coloring:
    """Find a stretch over several dates: 2 to 98 % of their valid pixels, band by band."""
    rows = [band - 1 for band in bands]
    values = np.concatenate([image[rows][:, valid] for image in images], axis=1)
    low, high = np.quantile(values, STRETCH, axis=1).astype(np.float32)
    return Coloring(name, bands, low, high)


def overview_coloring(overview: GeoImage) -> Coloring:
    """Find a stretch in the overview of a scene that holds its natural bands alone."""
    bands = tuple(range(1, overview.bands + 1))
    seen = overview.valid if overview.valid.any() else np.ones_like(overview.valid)
    return coloring("natural", bands, [overview.pixels.astype(np.float32)], seen)


def _named(names: tuple[str, ...], wanted: tuple[str, ...]) -> Bands | None:
    """Places of bands by their names, from 1; None when one is missing."""
    known = [name.lower() for name in names]
    if not all(name in known for name in wanted):
        return None
    return tuple(known.index(name) + 1 for name in wanted)
