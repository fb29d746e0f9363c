"""Farmland through the seasons: calendars, events, the coarse sensor, and sets kept apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from n2m_core.errors import GridError, ParameterError
from n2m_core.scenes import farmland_crops as crops
from n2m_core.scenes.farmland import EVENTS, HARVEST, Farm, FarmlandParams, make_series
from n2m_core.scenes.farmland_ranges import HELD_OUT, TRAIN
from n2m_core.scenes.farmland_sensor import CoarseSensor, clouds, to_fine_grid

PARAMS = FarmlandParams(1_000_003, size=64, scale=8)
NAMES = [crop.name for crop in crops.CROPS]


def ndvi(image: np.ndarray) -> np.ndarray:
    return (image[3] - image[2]) / (image[3] + image[2])


# Crops


def test_wheat_grows_ripens_and_is_cut() -> None:
    wheat = np.array([NAMES.index("wheat")])
    days = {day: crops.stand(wheat, np.zeros(1), np.ones(1), day) for day in (40, 130, 185, 200)}
    assert days[40].green[0] < 0.05
    assert days[130].green[0] > 0.85
    assert days[185].straw[0] > days[185].green[0]
    assert days[200].green[0] == 0
    assert 0.5 < days[200].straw[0] < 0.75


def test_rice_stands_in_water_before_it_covers_the_ground() -> None:
    rice = np.array([NAMES.index("rice")])
    day = crops.CROPS[rice[0]].rise
    early, late = (crops.stand(rice, np.zeros(1), np.ones(1), d) for d in (day - 25, day + 40))
    assert early.water[0] > 0.7
    assert late.water[0] < 0.1 < late.green[0]


def test_lag_shifts_the_calendar() -> None:
    crop, one = np.arange(len(NAMES)), np.ones(len(NAMES))
    late = crops.stand(crop, 10 * one, one, 170)
    np.testing.assert_allclose(late.green, crops.stand(crop, 0 * one, one, 160).green)


def test_fields_harvested_between_two_days_by_hand() -> None:
    wheat = np.full(3, NAMES.index("wheat"))
    harvest = crops.CROPS[wheat[0]].harvest
    found = crops.harvested(wheat, np.array([-5.0, 0.0, 5.0]), harvest - 1, harvest + 1)
    np.testing.assert_array_equal(found, [False, True, False])


# Series


def test_series_follow_from_the_seed() -> None:
    first, again = make_series(PARAMS), make_series(PARAMS)
    other = make_series(replace(PARAMS, seed=1_000_004))
    for one, two in zip((*first.fine, *first.coarse), (*again.fine, *again.coarse), strict=True):
        np.testing.assert_array_equal(one.pixels, two.pixels)
    assert not np.array_equal(first.fine[0].pixels, other.fine[0].pixels)
    assert first.days == again.days
    assert first.days[0] < first.days[1] < first.days[2]


def test_series_are_reflectance_on_grids_of_one_place() -> None:
    series = make_series(replace(PARAMS, bands=4))
    for fine, coarse in zip(series.fine, series.coarse, strict=True):
        assert (fine.pixels.dtype, fine.bands, fine.valid.shape) == (np.uint16, 4, (64, 64))
        assert (coarse.bands, coarse.valid.shape) == (4, (8, 8))
        assert fine.band_names == coarse.band_names == ("blue", "green", "red", "nir")
        assert coarse.resolution_m == 8 * 30
        assert (coarse.transform @ (8, 8)) == (fine.transform @ (64, 64))
        assert fine.pixels.min() > 0
        assert fine.pixels.max() < 9_000
        assert abs(fine.pixels.mean() / coarse.pixels.mean() - 1) < 0.25


def test_fire_darkens_what_it_burns() -> None:
    farm = Farm(FarmlandParams(1_000_003, size=64))
    (burn,) = [event for event in farm.events if event.kind == "burn"]
    # An hour before and after, so that nothing else has moved on.
    before, after = farm.surface(burn.first - 0.05), farm.surface(burn.first + 0.05)
    changed = farm.change()
    assert set(np.unique(changed)) <= {0, HARVEST, *(1 + i for i in range(len(EVENTS)))}
    at = changed == 1 + EVENTS.index("burn")
    assert at.sum() > 100
    assert ndvi(after)[:,].mean() < ndvi(before).mean()
    assert after[3][at].mean() < 0.7 * before[3][at].mean()


def test_flood_is_seen_at_the_target_date_and_gone_at_the_last() -> None:
    farms = [Farm(FarmlandParams(seed, size=64, ranges="train")) for seed in range(6)]
    for farm in farms:
        (flood,) = [event for event in farm.events if event.kind == "flood"]
        assert [flood.holds(day) for day in farm.days] == [False, True, False]


def test_training_never_draws_from_the_held_out_ranges() -> None:
    names = ("blur", "calendar_days", "gain", "offset", "tilt", "late_days")
    for name in names:
        (low, high), (first, last) = getattr(TRAIN, name), getattr(HELD_OUT, name)
        assert high < first or last < low, name
    assert not set(TRAIN.events) & set(HELD_OUT.events)
    assert set(TRAIN.events) | set(HELD_OUT.events) == set(EVENTS)
    assert TRAIN.seeds.stop <= HELD_OUT.seeds.start
    with pytest.raises(ParameterError, match="not of the train set"):
        FarmlandParams(1_000_003, ranges="train")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ranges": "test"}, "unknown"),
        ({"size": 100}, "can't be drawn"),
        ({"bands": 5}, "5 bands"),
        ({"cloud": 0.95}, "of cloud"),
    ],
)
def test_bad_series_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        replace(PARAMS, **change)  # type: ignore[arg-type]


def test_clouds_mask_about_their_share() -> None:
    series = make_series(replace(PARAMS, cloud=0.3))
    shares = [1 - image.valid.mean() for image in series.fine]
    assert all(0.25 < share < 0.35 for share in shares)
    assert all((image.pixels[:, ~image.valid] == 0).all() for image in series.fine)
    assert not clouds(np.random.default_rng(0), (8, 8), 30.0, 0.0).any()


# The coarse sensor


def test_sharp_sensor_gives_the_mean_of_blocks() -> None:
    fine = np.arange(32, dtype=np.float32).reshape(1, 4, 8)
    seen, valid = CoarseSensor(4, blur=0).see(fine, np.ones((4, 8), np.bool_))
    np.testing.assert_allclose(seen, [[[13.5, 17.5]]])
    assert valid.all()


def test_bias_by_hand() -> None:
    """0.5 * gain * (1 -+ tilt / 2) + offset at the two sides."""
    fine, valid = np.full((2, 4, 8), 0.5, np.float32), np.ones((4, 8), np.bool_)
    sensor = CoarseSensor(4, gain=(1.1, 0.9), offset=(0.01, -0.02), tilt=0.1)
    seen, _ = sensor.see(fine, valid)
    left_right = [
        [0.55 * 0.95 + 0.01, 0.55 * 1.05 + 0.01],
        [0.45 * 0.95 - 0.02, 0.45 * 1.05 - 0.02],
    ]
    np.testing.assert_allclose(seen[:, 0], left_right, rtol=1e-6)


def test_point_spread_carries_light_into_the_next_pixel() -> None:
    """A pixel of light: its own coarse pixel keeps less the wider the spread, none is lost."""
    fine = np.zeros((1, 40, 40), np.float32)
    fine[0, 16:24, 16:24] = 1
    valid = np.ones((40, 40), np.bool_)
    kept = []
    for blur in (0.0, 0.8, 1.4):
        seen, _ = CoarseSensor(8, blur=blur).see(fine, valid)
        assert seen.sum() == pytest.approx(1, rel=0.02)
        kept.append(seen[0, 2, 2])
    assert kept[0] == 1
    assert kept[0] > kept[1] > kept[2]


def test_masked_ground_gives_no_light() -> None:
    fine, valid = np.full((1, 8, 8), 0.3, np.float32), np.ones((8, 8), np.bool_)
    fine[:, :4, :4], valid[:4, :4] = 9.0, False
    seen, clear = CoarseSensor(4, blur=0.5).see(fine, valid)
    np.testing.assert_allclose(seen[0][clear], 0.3, rtol=1e-5)
    np.testing.assert_array_equal(clear, [[False, True], [True, True]])
    resampled, known = to_fine_grid(seen, clear, 4)
    np.testing.assert_allclose(resampled[0][known], 0.3, rtol=1e-5)
    assert not known[0, 0]
    assert known[-1, -1]


def test_sensor_refuses_what_it_can_not_see() -> None:
    with pytest.raises(GridError, match="cut it to 8 x 8 px"):
        CoarseSensor(4).see(np.zeros((1, 9, 10), np.float32), np.ones((9, 10), np.bool_))
    with pytest.raises(ParameterError, match="scale of 1 or more"):
        CoarseSensor(0)
