"""Crops through the year, and what surfaces reflect.

Bands are blue, green, red, near infrared, and short wave infrared at 1.6 and 2.2 micrometres.
Spectra are rounded from what such surfaces commonly show; they are of no one place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Spectrum = tuple[float, float, float, float, float, float]

BANDS = ("blue", "green", "red", "nir", "swir1", "swir2")
FOUR_BANDS = BANDS[:4]

SOIL: Spectrum = (0.10, 0.14, 0.185, 0.26, 0.35, 0.30)
LEAVES: Spectrum = (0.028, 0.066, 0.032, 0.47, 0.20, 0.09)
STRAW: Spectrum = (0.095, 0.155, 0.21, 0.33, 0.37, 0.25)
MEADOW: Spectrum = (0.040, 0.080, 0.055, 0.36, 0.25, 0.14)
WOOD: Spectrum = (0.022, 0.046, 0.028, 0.31, 0.14, 0.06)
BARE_WOOD: Spectrum = (0.045, 0.065, 0.075, 0.20, 0.21, 0.13)
WATER: Spectrum = (0.050, 0.055, 0.040, 0.026, 0.012, 0.008)
MUD: Spectrum = (0.080, 0.105, 0.115, 0.085, 0.035, 0.022)
ASH: Spectrum = (0.040, 0.048, 0.056, 0.095, 0.165, 0.175)
BUILT: Spectrum = (0.125, 0.145, 0.165, 0.225, 0.265, 0.235)
WET = 0.55
"""Wet soil reflects this share of dry soil."""


@dataclass(frozen=True)
class Crop:
    """The calendar of a crop, days of the year.

    Attributes:
        name: what it is.
        rise: when half of the ground is covered.
        ripe: when half of the leaves have turned.
        harvest: when the field is cut.
        spread: how fast it rises and ripens, days.
        most: largest share of ground that it covers.
        straw: share of the ground under straw after the harvest.
        cycle: days between cuts of a crop that grows again; 0 for one harvest.
        is_paddy: whether it stands in water until it covers the ground.
    """

    name: str
    rise: float
    ripe: float
    harvest: float
    spread: float = 9.0
    most: float = 0.95
    straw: float = 0.5
    cycle: float = 0.0
    is_paddy: bool = False


CROPS: tuple[Crop, ...] = (
    Crop("wheat", 92, 172, 196, spread=13.0, straw=0.7),
    Crop("barley", 84, 156, 178, spread=11.0, straw=0.65),
    Crop("rape", 78, 168, 192, spread=14.0, most=0.9, straw=0.35),
    Crop("maize", 166, 256, 278, straw=0.3),
    Crop("beet", 158, 330, 292, most=0.9, straw=0.1),
    Crop("alfalfa", 90, 400, 400, most=0.85, straw=0.15, cycle=38.0),
    Crop("rice", 176, 252, 272, spread=8.0, straw=0.45, is_paddy=True),
    Crop("fallow", 120, 400, 400, spread=40.0, most=0.3, straw=0.25),
)


@dataclass(frozen=True, eq=False)
class Stand:
    """What covers the fields on a day, as shares of the ground: float64 [N] each."""

    green: Floats
    straw: Floats
    water: Floats


def stand(crop: NDArray[np.intp], lag: Floats, vigour: Floats, day: float) -> Stand:
    """Look up what fields carry on a day.

    Args:
        crop: index into `CROPS` of every field, [N].
        lag: days by which a field is behind the calendar, [N].
        vigour: share of the usual cover that a field reaches, [N].
        day: day of the year, may have a fraction.
    """
    table = np.array(
        [(c.rise, c.ripe, c.harvest, c.spread, c.most, c.straw, c.cycle, c.is_paddy) for c in CROPS]
    )
    rise, ripe, harvest, spread, most, left, cycle, paddy = table[crop].T
    own = day - lag
    is_cut = own >= harvest
    grown = _logistic((own - rise) / spread)
    turned = _logistic((own - ripe) / (0.6 * spread))
    cover = np.minimum(most * vigour, 1.0) * grown
    # A crop with cuts falls back to stubble and recovers within its cycle.
    age = np.where(cycle > 0, np.mod(own - rise - 20, np.maximum(cycle, 1)), 60.0)
    cover = cover * np.where(
        (cycle > 0) & (own > rise + 20), 0.25 + 0.75 * _logistic((age - 14) / 5), 1
    )
    green = np.where(is_cut, 0.0, cover * (1 - turned))
    straw = np.where(is_cut, left * _logistic((harvest + 45 - own) / 10), cover * turned)
    is_wet = (paddy > 0) & (own > rise - 34) & (own < ripe - 20)
    water = np.where(is_wet & ~is_cut, 0.85 * (1 - green), 0.0)
    return Stand(green, straw, water)


def harvested(crop: NDArray[np.intp], lag: Floats, first: float, last: float) -> NDArray[np.bool_]:
    """Which fields were cut for good after `first` and until `last`, bool [N]."""
    when = np.array([each.harvest for each in CROPS])[crop] + lag
    cut: NDArray[np.bool_] = (when > first) & (when <= last)
    return cut


def _logistic(values: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(-np.clip(values, -30, 30)))
    return found
