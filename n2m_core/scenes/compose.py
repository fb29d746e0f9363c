"""Put a scene together: plan, canvas, light, sensor, truth."""

from __future__ import annotations

import numpy as np
from affine import Affine

from n2m_core.geo_image import GeoImage
from n2m_core.scenes.canvas import Canvas
from n2m_core.scenes.ground import draw_ground
from n2m_core.scenes.layout import make_plan
from n2m_core.scenes.light import develop, illuminate
from n2m_core.scenes.objects import draw_building, draw_wall
from n2m_core.scenes.plants import draw_trees
from n2m_core.scenes.scene import (
    BARE,
    BUILDING,
    Appearance,
    Instances,
    Labels,
    Plan,
    Scene,
    SceneParams,
    Style,
)
from n2m_core.scenes.street_life import draw_litter, draw_traffic, park_cars

OVERSAMPLING = 2
UTM_SITES: tuple[tuple[str, float, float], ...] = (
    ("EPSG:32645", 356_000.0, 3_057_000.0),
    ("EPSG:32737", 529_000.0, 9_318_000.0),
    ("EPSG:32636", 452_000.0, 35_000.0),
    ("EPSG:32651", 632_000.0, 1_508_000.0),
    ("EPSG:32614", 621_000.0, 3_349_000.0),
    ("EPSG:32640", 325_000.0, 2_784_000.0),
)


def draw_appearance(rng: np.random.Generator, style: Style) -> Appearance:
    """Draw light, season and sensor of one date; the desert is clear, bright and pale."""
    desert = style == "desert_city"
    low = rng.random() < 0.3
    elevation = float(rng.uniform(24, 42) if low else rng.uniform(40, 74))
    lean = rng.normal(0.0, 0.11, size=2) if rng.random() < 0.6 else np.zeros(2)
    balance = np.exp(rng.normal(0.0, 0.06, size=3))
    return Appearance(
        sun_azimuth_deg=float(rng.uniform(0.0, 360.0)),
        sun_elevation_deg=elevation,
        warmth=float(np.clip((60.0 - elevation) / 40.0, 0.0, 1.0) * rng.uniform(0.3, 1.0)),
        sky=float(rng.uniform(0.1, 0.26) if desert else rng.uniform(0.16, 0.42)),
        dryness=float(rng.beta(1.4, 2.2)),
        haze=float(rng.beta(1.2, 6.0) * 0.5),
        exposure=float(np.exp(rng.normal(0.05, 0.2))),
        gamma=float(np.exp(rng.normal(0.0, 0.1))),
        saturation=float(rng.uniform(0.45, 1.0) if desert else rng.uniform(0.55, 1.15)),
        white_balance=(float(balance[0]), float(balance[1]), float(balance[2])),
        brightness=float(rng.uniform(92.0, 165.0) if desert else rng.uniform(88.0, 148.0)),
        contrast=float(rng.uniform(38.0, 72.0) if desert else rng.uniform(28.0, 62.0)),
        blur_px=float(rng.uniform(0.0, 0.75) if rng.random() < 0.8 else rng.uniform(0.75, 1.3)),
        sharpening=float(rng.uniform(0.1, 0.9) if rng.random() < 0.4 else 0.0),
        jpeg_quality=int(rng.integers(60, 96)) if rng.random() < 0.6 else 100,
        noise=float(rng.gamma(2.0, 1.2)),
        lean=(float(np.clip(lean[0], -0.25, 0.25)), float(np.clip(lean[1], -0.25, 0.25))),
        traffic=float(rng.uniform(0.3, 4.0)),
        clouds=0.0,
        shift_px=(0.0, 0.0),
        seed=int(rng.integers(2**31)),
    )


def render(plan: Plan, look: Appearance, params: SceneParams) -> Scene:
    """Draw a plan as it looks on one date.

    Args:
        plan: what stands on the ground.
        look: light, season and sensor.
        params: size and ground resolution.

    Returns:
        Picture and truth on the same grid.
    """
    px_m = params.resolution_m / OVERSAMPLING
    canvas = Canvas(params.size * OVERSAMPLING, px_m)
    draw_ground(canvas, plan, look.dryness)
    for wall in plan.walls:
        draw_wall(canvas, wall, plan.seed)
    for building in sorted(plan.buildings, key=lambda b: (b.height_m, b.number)):
        draw_building(canvas, building, look.lean)
    draw_litter(canvas, plan)
    moving = np.random.default_rng([look.seed, 2])
    draw_traffic(canvas, plan.streets, look.traffic, moving)
    park_cars(canvas, plan.patches, moving)
    draw_trees(canvas, plan.trees, plan.seed, look.dryness)
    pixels = develop(illuminate(canvas, look), look, params.size)
    return _with_truth(canvas, pixels, plan, look, params)


def _with_truth(
    canvas: Canvas,
    pixels: Labels,
    plan: Plan,
    look: Appearance,
    params: SceneParams,
) -> Scene:
    """Sample the truth at the pixels of the picture."""
    instances, cover = _sample_truth(canvas)
    crs, east, north = UTM_SITES[plan.seed % len(UTM_SITES)]
    step = 10.0 * (plan.seed // 7 % 2000)
    image = GeoImage(
        pixels=np.ascontiguousarray(np.moveaxis(pixels, 2, 0)),
        valid=np.ones((params.size, params.size), dtype=np.bool_),
        crs=crs,
        transform=Affine(params.resolution_m, 0, east + step, 0, -params.resolution_m, north),
        band_names=("red", "green", "blue"),
        resolution_m=params.resolution_m,
    )
    return Scene(
        image=image,
        land_cover=cover,
        instances=instances,
        damage=_sample_damage(canvas),
        plan=plan,
        appearance=look,
    )


def _sample_truth(canvas: Canvas) -> tuple[Instances, Labels]:
    """Reduce the truth to the picture's grid: a pixel is building where at least half of it is."""
    corners = [(row, col) for row in (0, 1) for col in (0, 1)]
    parts = np.stack([canvas.instances[r::2, c::2] for r, c in corners])
    instances = np.where((parts > 0).sum(axis=0) >= 2, parts.max(axis=0), 0).astype(np.int32)
    cover = np.full(instances.shape, BARE, dtype=np.uint8)
    for row, col in corners:
        part = canvas.land_cover[row::2, col::2]
        cover = np.where(part != BUILDING, part, cover)
    return instances, np.where(instances > 0, np.uint8(BUILDING), cover).astype(np.uint8)


def _sample_damage(canvas: Canvas) -> Labels:
    """Reduce the burnt footprints to the picture's grid by the same rule as the buildings."""
    parts = [canvas.damage[row::2, col::2] for row in (0, 1) for col in (0, 1)]
    return np.asarray(np.stack(parts).sum(axis=0) >= 2, dtype=np.uint8)


def make_scene(params: SceneParams) -> Scene:
    """Draw a settlement with its truth; the same parameters give the same bytes."""
    plan = make_plan(params)
    look = draw_appearance(np.random.default_rng([params.seed, 202]), plan.style)
    return render(plan, look, params)
