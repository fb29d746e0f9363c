"""Which of a network's band slots an image's bands go into.

A learned method has six slots with a meaning. An image fills some of them; the others stay empty,
which training has shown the network as well. More than six bands go in several groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from n2m_core.errors import BandError

BAND_SLOTS = ("blue", "green", "red", "nir", "swir1", "swir2")
ALIASES = {
    "b02": "blue",
    "b2": "blue",
    "b03": "green",
    "b3": "green",
    "b04": "red",
    "b4": "red",
    "b08": "nir",
    "b8": "nir",
    "b8a": "nir",
    "b11": "swir1",
    "swir": "swir1",
    "b12": "swir2",
}
"""Sentinel-2 MSI band numbers, and a word that is as good as a name."""
SLOTS_BY_COUNT = {
    1: (2,),
    2: (2, 3),
    3: (2, 1, 0),
    4: (0, 1, 2, 3),
    5: (0, 1, 2, 3, 4),
    6: (0, 1, 2, 3, 4, 5),
}
"""Slots of bands without names: red; red and NIR; red, green, blue; else by wavelength."""


@dataclass(frozen=True)
class BandGroup:
    """Bands that go through the network together.

    Attributes:
        bands: their numbers in the image, counted from 0.
        slots: the slot of each.
    """

    bands: tuple[int, ...]
    slots: tuple[int, ...]


def band_groups(count: int, names: Sequence[str] | None = None) -> list[BandGroup]:
    """Sort an image's bands into slots.

    Args:
        count: bands of the image.
        names: what each is, of `BAND_SLOTS` or a Sentinel-2 number; None when unknown.

    Returns:
        One group, or as many as more than six bands need.

    Raises:
        BandError: names that don't fit the bands, are unknown, or stand twice.
    """
    if names is not None:
        return [BandGroup(tuple(range(count)), slots_named(names, count))]
    most = len(BAND_SLOTS)
    groups = []
    for first in range(0, count, most):
        bands = tuple(range(first, min(first + most, count)))
        groups.append(BandGroup(bands, SLOTS_BY_COUNT[len(bands)]))
    return groups


def names_if_known(names: Sequence[str]) -> tuple[str, ...] | None:
    """Give an image's band names where each has a slot of its own, None where one doesn't."""
    known = [ALIASES.get(name.strip().lower(), name.strip().lower()) for name in names]
    is_known = all(each in BAND_SLOTS for each in known) and len(set(known)) == len(known)
    return tuple(known) if is_known else None


def slots_named(names: Sequence[str], count: int) -> tuple[int, ...]:
    """Give the slot of each named band.

    Raises:
        BandError: names that don't fit the bands, are unknown, or stand twice.
    """
    if len(names) != count:
        raise BandError(f"{len(names)} band names were given for {count} bands; name each.")
    known = names_if_known(names)
    if known is None:
        raise BandError(
            f"Bands {', '.join(names)}: each must be one of {', '.join(BAND_SLOTS)}, and stand "
            "once. Leave the names out when the bands are others."
        )
    return tuple(BAND_SLOTS.index(each) for each in known)
