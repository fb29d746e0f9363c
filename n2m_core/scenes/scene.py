"""What a scene is: its parameters, its truth, and the plan that both dates of a pair share.

Coordinates on the ground are metres from the upper left corner, x to the right, y downwards, so
that rows and columns follow from a division by the ground resolution. Angles are radians from x
towards y unless the name says `_deg`; a sun azimuth is degrees clockwise from north.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from n2m_core.errors import ParameterError
from n2m_core.geo_image import GeoImage

Float = NDArray[np.float32]
Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]
Instances = NDArray[np.int32]
Style = Literal["suburb", "town", "village", "desert_city", "any"]
Use = Literal["lawn", "soil", "paved", "field", "water", "pool", "park", "parking", "sea", "river"]
Surface = Literal["asphalt", "concrete", "dirt", "path"]
RoofKind = Literal["flat", "gable", "hip", "shed"]

STYLES: tuple[Style, ...] = ("suburb", "town", "village", "desert_city")
LAND_COVER: tuple[str, ...] = ("building", "bare land", "road", "vegetation", "water")
BUILDING, BARE, ROAD, VEGETATION, WATER = range(5)
UNCHANGED, BUILT, DEMOLISHED = range(3)
MIN_SIZE, MAX_SIZE = 32, 4096
MIN_RESOLUTION_M, MAX_RESOLUTION_M = 0.05, 2.0


@dataclass(frozen=True)
class SceneParams:
    """What to draw.

    Attributes:
        seed: every seed gives another place; the same seed gives the same bytes.
        size: rows and columns, pixels.
        resolution_m: ground size of a pixel, metres; the geometry stays in metres.
        style: kind of settlement; "any" draws one from the seed.
    """

    seed: int
    size: int = 512
    resolution_m: float = 0.5
    style: Style = "any"

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ParameterError: a value is out of its range.
        """
        if self.seed < 0:
            raise ParameterError(f"The seed is {self.seed}; it must be 0 or more.")
        if not MIN_SIZE <= self.size <= MAX_SIZE:
            raise ParameterError(
                f"The scene size is {self.size} px; choose {MIN_SIZE} to {MAX_SIZE}."
            )
        if not MIN_RESOLUTION_M <= self.resolution_m <= MAX_RESOLUTION_M:
            raise ParameterError(
                f"The ground resolution is {self.resolution_m} m; "
                f"choose {MIN_RESOLUTION_M} to {MAX_RESOLUTION_M}."
            )
        if self.style != "any" and self.style not in STYLES:
            raise ParameterError(f"Style {self.style!r} is unknown; choose of {', '.join(STYLES)}.")

    @property
    def extent_m(self) -> float:
        """Side of the square on the ground, metres."""
        return self.size * self.resolution_m


@dataclass(frozen=True)
class Wing:
    """A rectangle of a building in its own frame: centre and half extents, metres."""

    u: float
    v: float
    half_u: float
    half_v: float


@dataclass(frozen=True)
class Building:
    """One building; its details follow from its own seed, so they do not depend on neighbours.

    Attributes:
        x: centre on the ground, metres.
        y: centre on the ground, metres.
        angle: of the u axis, radians.
        wings: rectangles whose union is the footprint.
        height_m: of the eaves.
        roof: shape of the roof.
        slope: rise over run of the pitched facets.
        material: key of `palette.ROOFS`.
        seed: of colour, texture and clutter.
        burnt: whether only ash and wall stumps are left.
        number: its instance number, the same on every date, from 1.
    """

    x: float
    y: float
    angle: float
    wings: tuple[Wing, ...]
    height_m: float
    roof: RoofKind
    slope: float
    material: str
    seed: int
    burnt: bool = False
    number: int = 0


@dataclass(frozen=True, eq=False)
class Street:
    """A road: centre line [N, 2] metres, width in metres and what it is made of."""

    points: Floats
    width_m: float
    surface: Surface
    level: int


@dataclass(frozen=True, eq=False)
class Patch:
    """A piece of ground of one use: polygon [N, 2] metres, direction of its rows in radians."""

    polygon: Floats
    use: Use
    angle: float
    seed: int


@dataclass(frozen=True)
class Tree:
    """A tree or bush: place and crown radius in metres, kind and its own seed."""

    x: float
    y: float
    radius_m: float
    kind: Literal["broad", "palm", "conifer", "bush"]
    seed: int


@dataclass(frozen=True)
class Wall:
    """A garden wall, hedge or fence between two points, metres; one lot shares a seed."""

    x0: float
    y0: float
    x1: float
    y1: float
    width_m: float
    height_m: float
    kind: Literal["wall", "hedge"]
    seed: int


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that stands on the ground, before light and sensor.

    Attributes:
        extent_m: side of the square, metres.
        style: the style drawn, never "any".
        seed: of the textures of the ground.
        greenness: share of open ground under plants, 0 to 1.
        woods: density of trees on open ground, 0 to 1.
    """

    extent_m: float
    style: Style
    seed: int
    greenness: float
    woods: float
    soil: str
    streets: tuple[Street, ...] = ()
    patches: tuple[Patch, ...] = ()
    buildings: tuple[Building, ...] = ()
    trees: tuple[Tree, ...] = ()
    walls: tuple[Wall, ...] = ()


@dataclass(frozen=True)
class Appearance:
    """Light, season and sensor of one date.

    Attributes:
        sun_azimuth_deg: where the sun stands, clockwise from north.
        sun_elevation_deg: above the horizon.
        warmth: of the sunlight, 0 white to 1 low and golden.
        sky: ambient light as a share of the sun's.
        dryness: of the plants, 0 lush to 1 straw.
        haze: share of the path radiance, 0 to about 0.3.
        exposure: gain before the tone curve.
        gamma: of the tone curve on top of the display's.
        saturation: 1 leaves the colours.
        white_balance: gains of red, green, blue.
        brightness: median grey level aimed at, of 255.
        contrast: standard deviation of the grey levels aimed at, of 255.
        blur_px: standard deviation of the point spread function, pixels.
        sharpening: amount of unsharp masking, 0 none.
        jpeg_quality: of a compression on the way, 100 for none.
        noise: standard deviation of the sensor noise, grey levels of 255.
        lean: metres that a roof is displaced per metre of height (x, y): off-nadir view.
        traffic: vehicles per 100 m of road.
        clouds: strength of a cloud's shadow, 0 none.
        shift_px: displacement of the picture (rows, columns), pixels.
        seed: of vehicles, noise and the cloud.
    """

    sun_azimuth_deg: float
    sun_elevation_deg: float
    warmth: float
    sky: float
    dryness: float
    haze: float
    exposure: float
    gamma: float
    saturation: float
    white_balance: tuple[float, float, float]
    brightness: float
    contrast: float
    blur_px: float
    sharpening: float
    jpeg_quality: int
    noise: float
    lean: tuple[float, float]
    traffic: float
    clouds: float
    shift_px: tuple[float, float]
    seed: int


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture and its exact truth.

    Attributes:
        image: uint8 RGB [3, H, W], georeferenced in UTM.
        land_cover: uint8 [H, W], an index into `LAND_COVER`.
        instances: int32 [H, W], number of the building, 0 where there is none.
        damage: uint8 [H, W], 1 where a building has burnt down.
        plan: what was drawn.
        appearance: how it was lit and seen.
    """

    image: GeoImage
    land_cover: Labels
    instances: Instances
    damage: Labels
    plan: Plan
    appearance: Appearance

    @property
    def building_mask(self) -> Labels:
        """Buildings as uint8 [H, W], 1 inside."""
        return np.asarray(self.land_cover == BUILDING, dtype=np.uint8)


@dataclass(frozen=True, eq=False)
class ScenePair:
    """Two dates of one place.

    Attributes:
        before: the first date.
        after: the second date, on the same grid.
        change: uint8 [H, W]: 0 unchanged, 1 built, 2 demolished.
        damage: uint8 [H, W]: 1 where a building of the first date has burnt by the second.
        events: what happened, one sentence each.
    """

    before: Scene
    after: Scene
    change: Labels
    damage: Labels
    events: tuple[str, ...] = field(default=())
