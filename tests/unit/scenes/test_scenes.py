"""Scenes: the same seed gives the same bytes, and the truth lies where the picture shows it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from n2m_core.errors import ParameterError
from n2m_core.scenes import (
    BUILDING,
    HELD_OUT_SEEDS,
    LAND_COVER,
    STYLES,
    TRAIN_SEEDS,
    Scene,
    SceneParams,
    held_out,
    held_out_pairs,
    make_scene,
)
from n2m_core.scenes.compose import draw_appearance, render
from n2m_core.scenes.layout import make_plan
from n2m_core.scenes.scene import Appearance, Building, Plan, Style, Wing

CLEAR = replace(
    draw_appearance(np.random.default_rng(0), "town"),
    sun_azimuth_deg=90.0,
    sun_elevation_deg=45.0,
    sky=0.3,
    dryness=0.0,
    haze=0.0,
    noise=0.0,
    blur_px=0.0,
    sharpening=0.0,
    jpeg_quality=100,
    lean=(0.0, 0.0),
    traffic=0.0,
)


def house(x: float, y: float, **changes: object) -> Building:
    """A bright box of 12 x 8 m and 6 m height."""
    box = Building(
        x=x,
        y=y,
        angle=0.0,
        wings=(Wing(0.0, 0.0, 6.0, 4.0),),
        height_m=6.0,
        roof="flat",
        slope=0.0,
        material="gravel",
        seed=3,
        number=1,
    )
    return replace(box, **changes)  # type: ignore[arg-type]


def bare_plan(*buildings: Building) -> Plan:
    """Level grass of 48 m with the given buildings only."""
    return Plan(48.0, "suburb", 5, 1.0, 0.0, "brown", buildings=buildings)


def draw(plan: Plan, look: Appearance = CLEAR, resolution_m: float = 0.5) -> Scene:
    size = round(plan.extent_m / resolution_m)
    return render(plan, look, SceneParams(0, size, resolution_m, "suburb"))


@pytest.mark.parametrize("style", STYLES)
def test_same_seed_gives_the_same_bytes(style: Style) -> None:
    params = SceneParams(11, 96, 0.4, style)
    first, second = make_scene(params), make_scene(params)
    assert first.image.pixels.tobytes() == second.image.pixels.tobytes()
    assert first.land_cover.tobytes() == second.land_cover.tobytes()
    assert first.instances.tobytes() == second.instances.tobytes()
    assert first.image.transform == second.image.transform


def test_another_seed_gives_another_place() -> None:
    first, second = (make_scene(SceneParams(seed, 96, 0.4, "town")) for seed in (1, 2))
    assert (first.image.pixels != second.image.pixels).mean() > 0.5
    assert (first.land_cover != second.land_cover).any()


@pytest.mark.parametrize("style", STYLES)
def test_layers_agree(style: Style) -> None:
    scene = make_scene(SceneParams(21, 160, 0.5, style))
    assert scene.image.pixels.shape == (3, 160, 160)
    assert scene.image.pixels.dtype == np.uint8
    assert scene.land_cover.dtype == np.uint8
    assert scene.instances.dtype == np.int32
    assert scene.land_cover.max() < len(LAND_COVER)
    np.testing.assert_array_equal(scene.instances > 0, scene.land_cover == BUILDING)
    np.testing.assert_array_equal(scene.building_mask == 1, scene.instances > 0)
    numbers = {building.number for building in scene.plan.buildings}
    assert set(np.unique(scene.instances).tolist()) - {0} <= numbers
    assert scene.plan.style == style
    assert not scene.damage.any()


def test_footprint_lies_where_the_plan_says() -> None:
    scene = draw(bare_plan(house(24.0, 20.0)))
    rows, cols = np.nonzero(scene.instances)
    assert (rows.min(), rows.max() + 1) == (32, 48)
    assert (cols.min(), cols.max() + 1) == (36, 60)
    assert (scene.instances > 0).sum() == 16 * 24


def test_picture_shows_the_building_where_the_truth_is() -> None:
    scene = draw(bare_plan(house(24.0, 20.0, height_m=2.5)), replace(CLEAR, sun_elevation_deg=70.0))
    empty = draw(bare_plan(), replace(CLEAR, sun_elevation_deg=70.0))
    # The levels follow the whole picture, so the contrast between roof and grass is compared.
    red_over_green = [
        s.image.pixels[0].astype(float) - s.image.pixels[1].astype(float) for s in (scene, empty)
    ]
    inside = scene.instances > 0
    roof_gap = red_over_green[0][inside].mean() - red_over_green[0][~inside].mean()
    ground_gap = red_over_green[1][inside].mean() - red_over_green[1][~inside].mean()
    assert roof_gap > 20.0
    assert abs(ground_gap) < 6.0


@pytest.mark.parametrize("resolution_m", [0.25, 0.5])
def test_geometry_is_in_metres(resolution_m: float) -> None:
    scene = draw(bare_plan(house(24.0, 20.0, angle=0.4)), resolution_m=resolution_m)
    area = (scene.instances > 0).sum() * resolution_m**2
    assert area == pytest.approx(96.0, rel=0.05)
    assert scene.image.resolution_m == resolution_m
    assert scene.image.transform.a == resolution_m
    assert scene.image.transform.e == -resolution_m


def test_plan_depends_on_the_extent_not_on_the_pixel() -> None:
    coarse = make_plan(SceneParams(31, 96, 0.6, "town"))
    fine = make_plan(SceneParams(31, 192, 0.3, "town"))
    assert coarse.buildings == fine.buildings
    assert coarse.trees == fine.trees
    shares = [
        (make_scene(SceneParams(31, size, res, "town")).land_cover == BUILDING).mean()
        for size, res in ((96, 0.6), (192, 0.3))
    ]
    assert shares[0] == pytest.approx(shares[1], abs=0.02)


def test_crs_is_metric_and_plausible() -> None:
    image = make_scene(SceneParams(7, 64)).image
    assert image.crs is not None
    zone = int(image.crs.removeprefix("EPSG:"))
    assert 32601 <= zone <= 32660 or 32701 <= zone <= 32760
    assert 166_000 < image.transform.c < 834_000
    assert 0 < image.transform.f < 10_000_000


def test_lean_shows_walls_without_moving_the_roof() -> None:
    straight = draw(bare_plan(house(24.0, 20.0)))
    oblique = draw(bare_plan(house(24.0, 20.0)), replace(CLEAR, lean=(0.25, 0.0)))
    np.testing.assert_array_equal(straight.instances, oblique.instances)
    changed = np.abs(straight.image.pixels.astype(int) - oblique.image.pixels.astype(int)).max(
        axis=0
    )
    # The base of the wall lies 1.5 m, three pixels, to the left of the roof.
    assert changed[34:46, 33:36].mean() > changed[34:46, 64:76].mean() + 10


def test_styles_differ_in_how_much_is_built() -> None:
    built = {
        style: np.mean(
            [(make_scene(SceneParams(s, 128, 0.6, style)).instances > 0).mean() for s in range(4)]
        )
        for style in ("town", "village")
    }
    assert built["town"] > 2 * built["village"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": -1}, "seed is -1"),
        ({"size": 8}, "size is 8"),
        ({"resolution_m": 30.0}, "resolution is 30"),
        ({"style": "castle"}, "'castle'"),
    ],
)
def test_parameters_out_of_range_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        SceneParams(**{"seed": 1, **changes})  # type: ignore[arg-type]


def test_held_out_scenes_share_no_seed_with_training() -> None:
    assert not set(TRAIN_SEEDS[-5:]) & set(HELD_OUT_SEEDS[:5])
    assert TRAIN_SEEDS.stop <= HELD_OUT_SEEDS.start
    first = next(held_out(1, size=64, resolution_m=0.5))
    same = make_scene(SceneParams(HELD_OUT_SEEDS.start, 64, 0.5))
    np.testing.assert_array_equal(first.image.pixels, same.image.pixels)
    assert len(list(held_out_pairs(2, size=64))) == 2
    with pytest.raises(ParameterError, match="-1 held-out"):
        next(held_out(-1))
