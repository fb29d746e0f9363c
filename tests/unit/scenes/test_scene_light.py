"""Shadows have the length and direction that the sun's place asks for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from n2m_core.scenes.canvas import Canvas
from n2m_core.scenes.compose import draw_appearance
from n2m_core.scenes.light import cast_shadows, develop, illuminate, sun_vector
from n2m_core.scenes.scene import Appearance
from n2m_core.scenes.textures import BANK_LAYERS, field, grain, noise_bank, step

PX_M = 0.25


def block(height_m: float) -> np.ndarray:
    """A block of 5 x 5 m in the middle of 75 m of level ground."""
    height = np.zeros((300, 300), dtype=np.float32)
    height[140:160, 140:160] = height_m
    return height


@pytest.mark.parametrize("elevation", [25.0, 45.0, 65.0])
@pytest.mark.parametrize("height_m", [3.0, 8.0])
def test_shadow_length_is_height_over_tangent(elevation: float, height_m: float) -> None:
    visible = cast_shadows(block(height_m), PX_M, 90.0, elevation)
    # The sun stands in the east, so the shadow falls to the west, to smaller columns.
    length_m = (visible[150, :140] < 0.5).sum() * PX_M
    assert length_m == pytest.approx(height_m / np.tan(np.deg2rad(elevation)), abs=0.6)
    assert (visible[150, 160:] == 1.0).all()
    assert (visible[140:160, 140:160] == 1.0).all()


@pytest.mark.parametrize(
    ("azimuth", "row_sign", "col_sign"),
    [(0.0, 1, 0), (90.0, 0, -1), (180.0, -1, 0), (270.0, 0, 1), (45.0, 1, -1), (200.0, -1, 1)],
)
def test_shadow_points_away_from_the_sun(azimuth: float, row_sign: int, col_sign: int) -> None:
    visible = cast_shadows(block(6.0), PX_M, azimuth, 40.0)
    rows, cols = np.nonzero(visible < 0.5)
    for mean, sign in ((rows.mean() - 149.5, row_sign), (cols.mean() - 149.5, col_sign)):
        if sign:
            assert np.sign(mean) == sign
            assert abs(mean) > 3
        else:
            assert abs(mean) < 3


def test_level_ground_has_no_shadow() -> None:
    assert (cast_shadows(np.zeros((40, 40), np.float32), PX_M, 123.0, 30.0) == 1.0).all()


def test_shadows_of_thin_things_are_whole() -> None:
    height = np.zeros((200, 200), dtype=np.float32)
    height[100, 40:160] = 2.0
    visible = cast_shadows(height, PX_M, 17.0, 45.0)
    band = visible[102:107, 60:140]
    assert (band < 0.5).all()


def look() -> Appearance:
    """A clear day without sensor effects."""
    return replace(
        draw_appearance(np.random.default_rng(1), "suburb"),
        sun_azimuth_deg=90.0,
        sun_elevation_deg=40.0,
        haze=0.0,
        noise=0.0,
        blur_px=0.0,
        sharpening=0.0,
        jpeg_quality=100,
    )


def test_facets_towards_the_sun_are_brighter() -> None:
    canvas = Canvas(60, PX_M)
    canvas.albedo[...] = 0.4
    canvas.slope_x[:, :30] = 0.4
    canvas.slope_x[:, 30:] = -0.4
    radiance = illuminate(canvas, look()).mean(axis=2)
    sun = np.array(sun_vector(90.0, 40.0))
    assert sun == pytest.approx([np.cos(np.deg2rad(40)), 0.0, np.sin(np.deg2rad(40))])
    # A slope that rises to the east faces west, away from the sun.
    assert radiance[:, 32:].mean() > 1.5 * radiance[:, :28].mean()


def test_levels_reach_the_wanted_brightness() -> None:
    rng = np.random.default_rng(0)
    radiance = rng.uniform(0.05, 0.5, size=(80, 80, 1)).astype(np.float32) * np.ones(3, np.float32)
    wanted = replace(look(), brightness=110.0, contrast=40.0, white_balance=(1.0, 1.0, 1.0))
    picture = develop(radiance, wanted, 80)
    assert picture.shape == (80, 80, 3)
    assert picture.dtype == np.uint8
    assert float(np.median(picture)) == pytest.approx(110.0, abs=4.0)
    assert float(picture.std()) == pytest.approx(40.0, rel=0.15)


def test_twice_as_many_subpixels_are_averaged() -> None:
    fine = np.zeros((40, 40, 3), dtype=np.float32)
    fine[:, ::2] = 0.5
    coarse = np.full((20, 20, 3), 0.25, dtype=np.float32)
    np.testing.assert_array_equal(develop(fine, look(), 20), develop(coarse, look(), 20))


def test_noise_fields_are_standardised_and_seeded() -> None:
    bank = noise_bank()
    assert bank.shape[0] == BANK_LAYERS
    assert bank.std() == pytest.approx(1.0, abs=1e-3)
    first, again, other = (
        field(np.random.default_rng(seed), (90, 70), 0.5, 6.0) for seed in (4, 4, 5)
    )
    assert first.shape == (90, 70)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    # Features of 6 m at 0.5 m a pixel: neighbours hardly differ, grain does.
    assert np.abs(np.diff(first, axis=0)).mean() < 0.35
    assert np.abs(np.diff(grain(np.random.default_rng(4), (90, 70)), axis=0)).mean() > 0.8


def test_step_is_smooth_between_its_ends() -> None:
    values = np.array([-1.0, 0.0, 0.5, 1.0, 2.0], dtype=np.float32)
    np.testing.assert_allclose(step(values, 0.0, 1.0), [0.0, 0.0, 0.5, 1.0, 1.0])
