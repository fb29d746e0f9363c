"""Plans: what stands on the ground does not collide and lies where it should."""

from __future__ import annotations

import numpy as np
import pytest

from n2m_core.scenes import ROAD, STYLES, WATER, SceneParams, make_scene
from n2m_core.scenes.buildings import shape_wings
from n2m_core.scenes.ground_frame import Frame, Occupancy, Rect, band
from n2m_core.scenes.layout import make_plan
from n2m_core.scenes.roofs import roof_surface
from n2m_core.scenes.scene import Building, Style, Wing


def box(x: float, y: float, **changes: float) -> Building:
    return Building(x, y, changes.get("angle", 0.0), (Wing(0, 0, 5, 3),), 4.0, "flat", 0, "tile", 1)


def test_buildings_cannot_take_the_same_ground() -> None:
    ground = Occupancy(60.0)
    assert ground.claim(box(20.0, 20.0), 0.5)
    assert not ground.claim(box(24.0, 22.0), 0.5)
    assert ground.claim(box(40.0, 40.0, angle=0.7), 0.5)
    assert not ground.is_free(20.0, 20.0)
    assert ground.is_free(20.0, 30.0)
    assert not ground.is_free(-1.0, 5.0)
    assert not ground.claim(box(200.0, 200.0), 0.5)


def test_streets_keep_buildings_off() -> None:
    ground = Occupancy(60.0)
    ground.add_line(np.array([[0.0, 30.0], [60.0, 30.0]]), 8.0)
    assert not ground.claim(box(30.0, 32.0), 0.5)
    assert ground.claim(box(30.0, 42.0), 0.5)


@pytest.mark.parametrize("style", STYLES)
def test_instances_hardly_overlap(style: Style) -> None:
    scene = make_scene(SceneParams(51, 160, 0.5, style))
    for building in scene.plan.buildings:
        seen = int((scene.instances == building.number).sum()) * 0.25
        area = sum(4 * w.half_u * w.half_v for w in building.wings)
        # Wings overlap where they join, and the frame cuts some buildings off.
        assert seen <= area * 1.1 + 4.0


@pytest.mark.parametrize("style", STYLES)
def test_every_style_has_streets(style: Style) -> None:
    covers = [make_scene(SceneParams(seed, 128, 0.6, style)).land_cover for seed in (61, 62)]
    assert any((cover == ROAD).any() for cover in covers)


def test_rivers_and_coasts_are_water() -> None:
    plans = {seed: make_plan(SceneParams(seed, 64, 0.6, "village")) for seed in range(30)}
    wet = {
        seed: [patch.use for patch in plan.patches if patch.use in ("sea", "river")]
        for seed, plan in plans.items()
    }
    assert max(len(uses) for uses in wet.values()) == 1
    seeds = [seed for seed, uses in wet.items() if uses]
    covers = [make_scene(SceneParams(seed, 64, 0.6, "village")).land_cover for seed in seeds]
    assert max((cover == WATER).mean() for cover in covers) > 0.05


def test_bend_is_smooth_and_keeps_directions() -> None:
    frame = Frame(np.random.default_rng(3), 100.0, 0.6)
    x, y, angle = frame.place(12.0, -7.0)
    (x0, y0), (x1, y1) = frame.to_ground(np.array([[12.0, -7.0], [12.01, -7.0]]))
    assert (x, y) == pytest.approx((x0, y0))
    turn = angle - np.arctan2(y1 - y0, x1 - x0)
    assert np.cos(turn) == pytest.approx(1.0, abs=1e-4)
    straight = Frame(np.random.default_rng(3), 100.0, 0.0)
    assert straight.place(0.0, 0.0)[:2] == pytest.approx((50.0, 50.0))


def test_band_has_the_width_asked_for() -> None:
    strip = band(np.array([[0.0, 0.0], [10.0, 0.0], [20.0, 0.0]]), 6.0)
    assert strip[:, 1].min() == pytest.approx(-3.0)
    assert strip[:, 1].max() == pytest.approx(3.0)


def test_outline_goes_round_the_rectangle() -> None:
    points = Rect(0.0, 20.0, 0.0, 10.0).outline()
    x, y = points.T
    area = abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2
    assert area == pytest.approx(200.0)


def test_shapes_stay_in_their_box() -> None:
    counts = set()
    for seed in range(60):
        wings = shape_wings(np.random.default_rng(seed), 14.0, 10.0, 0.8)
        counts.add(len(wings))
        for wing in wings:
            assert abs(wing.u) + wing.half_u <= 7.0 + 1e-6
            assert abs(wing.v) + wing.half_v <= 5.0 + 1e-6
    assert counts == {1, 2, 3}


@pytest.mark.parametrize(
    ("roof", "middle", "corner"),
    [("flat", 4.0, 4.0), ("gable", 5.5, 4.05), ("hip", 5.5, 4.05), ("shed", 5.5, 4.05)],
)
def test_roofs_rise_as_their_kind_does(roof: str, middle: float, corner: float) -> None:
    building = Building(0, 0, 0, (Wing(0, 0, 5, 3),), 4.0, roof, 0.5, "tile", 1)  # type: ignore[arg-type]
    u = np.array([[0.0, -4.9, 6.0]], dtype=np.float32)
    v = np.array([[0.0, -2.9, 0.0]], dtype=np.float32)
    surface = roof_surface(building, u, v)
    assert surface.inside.tolist() == [[True, True, False]]
    assert surface.top[0, 0] == pytest.approx(middle, abs=1e-4)
    assert surface.top[0, 1] == pytest.approx(corner, abs=1e-4)
    assert surface.top[0, 2] == 0.0
