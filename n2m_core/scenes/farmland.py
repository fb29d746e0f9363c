"""Farmland through the seasons: three fine and three coarse images, with exact truth.

Fields follow the calendars of their crops; between the dates some are harvested, some irrigated,
and sudden events come on top: a flood, new fields, a fire, felled woods. The sensor that makes the
coarse images is blurred, biased and noisy, and sees the ground some days late. Everything follows
from the seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from n2m_core.errors import ParameterError
from n2m_core.geo_image import GeoImage
from n2m_core.scenes import farmland_crops as crops
from n2m_core.scenes.farmland_layout import Layout, lay_out
from n2m_core.scenes.farmland_ranges import HELD_OUT, RANGES, TRAIN, Event, FarmlandRanges
from n2m_core.scenes.farmland_sensor import CoarseSensor, clouds
from n2m_core.scenes.scene import Float
from n2m_core.scenes.textures import field, grain

Bools = NDArray[np.bool_]
EVENTS: tuple[Event, ...] = ("flood", "new-fields", "burn", "felling")
HARVEST = len(EVENTS) + 1
"""Value of the change map for a field that was cut between the dates."""
DN = 10_000
FIRST_DAYS, GAP_DAYS = (95, 215), (16, 40)
FINE_NOISE = 0.0025
YEAR = 2023
CRS = "EPSG:32633"


@dataclass(frozen=True)
class FarmlandParams:
    """What to draw.

    Attributes:
        seed: every seed gives another place and season; it must belong to the ranges' set.
        size: rows and columns of the fine images, a multiple of the scale.
        scale: sides of a coarse pixel in fine ones.
        resolution_m: ground size of a fine pixel.
        bands: 6, or 4 for blue, green, red and near infrared.
        ranges: "train" or "held-out".
        cloud: share of every fine image and every coarse one under clouds, 0..0.9.
    """

    seed: int
    size: int = 256
    scale: int = 16
    resolution_m: float = 30.0
    bands: int = 6
    ranges: str = "held-out"
    cloud: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ParameterError: a value is out of its range.
        """
        if self.ranges not in RANGES:
            raise ParameterError(f"Ranges {self.ranges!r} are unknown; choose train or held-out.")
        seeds = RANGES[self.ranges].seeds
        if self.seed not in seeds:
            raise ParameterError(
                f"Seed {self.seed} is not of the {self.ranges} set; choose {seeds.start} to "
                f"{seeds.stop - 1}."
            )
        if self.scale < 1 or not 32 <= self.size <= 2048 or self.size % self.scale:
            raise ParameterError(
                f"A size of {self.size} px with coarse pixels of {self.scale} px can't be drawn; "
                "choose a multiple of the scale from 32 to 2048."
            )
        if self.bands not in (4, 6) or not 0 <= self.cloud <= 0.9:
            raise ParameterError(
                f"{self.bands} bands and {self.cloud} of cloud can't be drawn; choose 4 or 6 bands "
                "and 0 to 0.9."
            )


@dataclass(frozen=True, eq=False)
class FarmlandSeries:
    """Three dates of one place.

    Attributes:
        fine: images of dates 0, 1 and 2, uint16 [C, H, W], reflectance times 10000; that of date 1
            is the truth.
        coarse: the same dates seen by the coarse sensor on its own grid, uint16 [C, H / s, W / s].
        change: uint8 [1, H, W]: 0, or what happened suddenly between dates 0 and 2: 1 + index in
            `EVENTS`, or `HARVEST`.
        days: of the three dates.
        scale: s.
    """

    fine: tuple[GeoImage, GeoImage, GeoImage]
    coarse: tuple[GeoImage, GeoImage, GeoImage]
    change: GeoImage
    days: tuple[date, date, date]
    scale: int


@dataclass(frozen=True, eq=False)
class _Event:
    """A sudden change: where, from which day on, and until when."""

    kind: Event
    where: Bools
    first: float
    last: float

    def holds(self, day: float) -> bool:
        """Whether it is to be seen on a day."""
        return self.first <= day <= self.last


class Farm:
    """A place whose surface can be asked for on any day."""

    def __init__(self, params: FarmlandParams) -> None:
        """Draw the place, its season and what happens to it."""
        self.params = params
        self._ranges: FarmlandRanges = RANGES[params.ranges]
        seed = params.seed
        self.layout: Layout = lay_out(
            np.random.default_rng([seed, 1]), params.size, params.resolution_m
        )
        rng = np.random.default_rng([seed, 2])
        count = self.layout.fields
        shares = rng.dirichlet(np.full(len(crops.CROPS), 1.3))
        self.crop = rng.choice(len(crops.CROPS), count, p=shares)
        self.lag = signed(rng, self._ranges.calendar_days) + rng.normal(0, 6, count)
        self.vigour = rng.uniform(0.72, 1.05, count)
        self.tone = rng.normal(1, 0.07, count)
        first = float(rng.integers(*FIRST_DAYS))
        second = first + float(rng.integers(*GAP_DAYS))
        self.days = (first, second, second + float(rng.integers(*GAP_DAYS)))
        self.events = self._draw_events(np.random.default_rng([seed, 3]))

    @cached_property
    def _textures(self) -> tuple[Float, Float]:
        """Stands of uneven growth within fields, and the grain of the ground."""
        rng = np.random.default_rng([self.params.seed, 4])
        shape, px = (self.params.size,) * 2, self.params.resolution_m
        return field(rng, shape, px, 4 * px), grain(rng, shape)

    def _draw_events(self, rng: np.random.Generator) -> tuple[_Event, ...]:
        """Draw the sudden changes, each before date 1 or between dates 1 and 2."""
        found = []
        size, px = self.params.size, self.params.resolution_m
        for kind in self._ranges.events:
            ragged = field(rng, (size, size), px, 20 * px)
            row, column = rng.uniform(0.2, 0.8, 2) * size
            rows, columns = np.ogrid[:size, :size]
            reach = rng.uniform(0.16, 0.3) * size
            near = np.hypot(rows - row, columns - column) / reach + 0.3 * ragged < 1
            # Water comes before date 1 and is gone at date 2; the rest stays to be seen.
            is_soon = rng.uniform() < 0.75 or kind == "flood"
            first = rng.uniform(self.days[0] + 1, self.days[1 if is_soon else 2] - 1)
            last = self.days[2] - 1 if kind == "flood" else np.inf
            found.append(_Event(kind, self._place(kind, near, ragged, rng), first, last))
        return tuple(found)

    def _place(self, kind: Event, near: Bools, ragged: Float, rng: np.random.Generator) -> Bools:
        """Where an event of a kind can be."""
        ground = self.layout
        if kind == "flood":
            reach_m = rng.uniform(260, 620) * (1 + 0.5 * ragged)
            return (ground.river_m < reach_m) & ~ground.is_built & ~ground.is_water
        if kind == "felling":
            return near & ground.is_wood
        if kind == "burn":
            return near & ~ground.is_built & ~ground.is_water
        return near & (ground.is_meadow | ground.is_wood)

    def surface(self, day: float) -> Float:
        """What the ground reflects on a day, float32 [6, H, W]."""
        ground, (growth, fleck) = self.layout, self._textures
        found = np.zeros((6, *ground.soil.shape), np.float32)
        wet = self._wetness(day)
        number = np.maximum(ground.field, 0)
        stand = crops.stand(self.crop, self.lag, self.vigour, day)
        uneven = 1 + 0.10 * growth
        green = np.clip(stand.green[number] * uneven, 0, 1)
        straw = np.clip(stand.straw[number] * (2 - uneven), 0, 1 - green)
        water = np.clip(stand.water[number], 0, 1 - green - straw)
        bare = 1 - green - straw - water
        soil = (1 + 0.09 * ground.soil) * (1 - (1 - crops.WET) * wet)
        parts = (
            (crops.SOIL, bare * soil),
            (crops.LEAVES, green * self.tone[number]),
            (crops.STRAW, straw * self.tone[number]),
            (crops.WATER, water),
        )
        for spectrum, share in parts:
            found += _shade(spectrum, share)
        self._cover(found, day)
        for event in self.events:
            if event.holds(day):
                _happen(found, event, day, soil)
        found *= 1 + np.float32(0.03) * fleck
        return found

    def _wetness(self, day: float) -> Float:
        """Wet soil, 0..1 [H, W]: some fields irrigated on the day, all after rain."""
        rng = np.random.default_rng([self.params.seed, 5, int(day)])
        rain = rng.uniform(0, 0.5) * (rng.uniform() < 0.4)
        irrigated = rng.uniform(size=self.layout.fields) < rng.uniform(0.02, 0.12)
        wet = np.maximum(rain, irrigated[np.maximum(self.layout.field, 0)] * 0.9)
        return np.asarray(wet, np.float32)

    def _cover(self, found: Float, day: float) -> None:
        """Paint what is no field."""
        ground, growth = self.layout, self._textures[0]
        leaves = 1 / (1 + np.exp(-(day - 118) / 9)) / (1 + np.exp((day - 292) / 9))
        dry = 0.35 * np.exp(-(((day - 225) / 45) ** 2))
        lively = 1 + 0.07 * growth
        wood = _mix(crops.BARE_WOOD, crops.WOOD, float(leaves))
        meadow = _mix(crops.MEADOW, crops.STRAW, float(dry))
        for where, spectrum, spread in (
            (ground.is_meadow, meadow, lively),
            (ground.is_wood, wood, 1 + 1.6 * (lively - 1)),
            (ground.is_built, crops.BUILT, 1 + 3 * (lively - 1)),
            (ground.is_water, crops.WATER, np.ones_like(lively)),
        ):
            found[:, where] = _shade(spectrum, spread[where])

    def change(self) -> NDArray[np.uint8]:
        """What happened suddenly after date 0 and until date 2, uint8 [H, W]."""
        ground = self.layout
        cut = crops.harvested(self.crop, self.lag, self.days[0], self.days[2])
        changed = np.where(cut[np.maximum(ground.field, 0)] & (ground.field >= 0), HARVEST, 0)
        for event in self.events:
            changed[event.where] = 1 + EVENTS.index(event.kind)
        return changed.astype(np.uint8)


def _happen(found: Float, event: _Event, day: float, soil: Float) -> None:
    """Paint a sudden change."""
    where = event.where
    if event.kind == "flood":
        found[:, where] = _shade(crops.MUD, np.ones(int(where.sum())))
    elif event.kind == "burn":
        # Grass comes back slowly through the ash.
        age = min(1.0, (day - event.first) / 120)
        found[:, where] = found[:, where] * np.float32(0.25 + 0.5 * age) + _shade(
            crops.ASH, np.full(int(where.sum()), 0.75 - 0.5 * age)
        )
    else:
        found[:, where] = _shade(crops.SOIL, 0.85 * soil[where])


def _shade(spectrum: crops.Spectrum, share: NDArray[np.floating]) -> Float:
    """A spectrum times a share, float32 [6, ...]."""
    shaded: Float = np.multiply.outer(np.asarray(spectrum), share).astype(np.float32)
    return shaded


def _mix(first: crops.Spectrum, second: crops.Spectrum, share: float) -> crops.Spectrum:
    a, b, c, d, e, f = (1 - share) * np.asarray(first) + share * np.asarray(second)
    return float(a), float(b), float(c), float(d), float(e), float(f)


def signed(rng: np.random.Generator, size: tuple[float, float]) -> float:
    """Draw a quantity by its size, with a free sign."""
    return float(rng.uniform(*size) * rng.choice((-1, 1)))


def draw_sensor(
    rng: np.random.Generator, ranges: FarmlandRanges, scale: int, bands: int
) -> CoarseSensor:
    """Draw a coarse sensor of a set of ranges."""
    return CoarseSensor(
        scale=scale,
        blur=float(rng.uniform(*ranges.blur)),
        gain=tuple(1 + signed(rng, ranges.gain) for _ in range(bands)),
        offset=tuple(signed(rng, ranges.offset) for _ in range(bands)),
        tilt=signed(rng, ranges.tilt),
        noise=float(rng.uniform(*ranges.noise)),
    )


def make_series(params: FarmlandParams) -> FarmlandSeries:
    """Draw a series; equal parameters give equal pixels."""
    farm = Farm(params)
    ranges = RANGES[params.ranges]
    rng = np.random.default_rng([params.seed, 6])
    sensor = draw_sensor(rng, ranges, params.scale, params.bands)
    fine, coarse = [], []
    for day in farm.days:
        ground = farm.surface(day)[: params.bands]
        seen_late = farm.surface(day + signed(rng, ranges.late_days))[: params.bands]
        haze = rng.uniform(0, 0.004) * np.linspace(1, 0.2, params.bands)[:, None, None]
        noise = FINE_NOISE * rng.standard_normal(ground.shape)
        shape = (params.size, params.size)
        under = [clouds(rng, shape, params.resolution_m, params.cloud) for _ in range(2)]
        fine.append(_image(ground + haze + noise, ~under[0], params, 1))
        pixels, valid = sensor.see(seen_late, ~under[1], rng)
        coarse.append(_image(pixels, valid, params, params.scale))
    change = fine[0].with_pixels(farm.change()[None], ("change",))
    days = tuple(date(YEAR, 1, 1) + timedelta(days=day - 1) for day in farm.days)
    return FarmlandSeries(
        fine=(fine[0], fine[1], fine[2]),
        coarse=(coarse[0], coarse[1], coarse[2]),
        change=change,
        days=(days[0], days[1], days[2]),
        scale=params.scale,
    )


def _image(
    values: NDArray[np.floating[Any]], valid: Bools, params: FarmlandParams, scale: int
) -> GeoImage:
    """Digital numbers on a UTM grid, named bands; 0 under clouds."""
    pixels = np.clip(np.rint(values * DN), 1, 2 * DN).astype(np.uint16)
    side = params.resolution_m * scale
    # Seeds lie beside each other, so that two scenes are not at one place.
    east = 300_000 + (params.seed % 97) * 4_000
    north = 5_000_000 + (params.seed % 89) * 4_000
    return GeoImage(
        pixels=np.where(valid, pixels, 0).astype(np.uint16),
        valid=np.ascontiguousarray(valid),
        crs=CRS,
        transform=Affine(side, 0, east, 0, -side, north),
        band_names=crops.BANDS[: params.bands],
        resolution_m=side,
    )


__all__ = [
    "EVENTS",
    "HARVEST",
    "HELD_OUT",
    "TRAIN",
    "Farm",
    "FarmlandParams",
    "FarmlandSeries",
    "draw_sensor",
    "make_series",
]
