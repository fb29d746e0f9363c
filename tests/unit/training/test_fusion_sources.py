"""The coarse sensor against hand-worked values; triplets from series and scenes; their mixing."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from rasters import UTM, ImageFactory
from tiny_fusion import block_mean

from n2m_core.errors import ConfigError, DatasetError
from n2m_core.fusion.bands import BAND_SLOTS
from n2m_core.raster_io import write_geotiff
from n2m_core.training.fuse import TripletMixer
from n2m_core.training.fuse_config import FusionDataConfig, FusionSourceConfig, SensorConfig
from n2m_core.training.fusion_scenes import FarmlandTriplets
from n2m_core.training.fusion_sources import (
    CoarseSensor,
    FineSeries,
    SeriesTriplets,
    observed_dates,
    read_series,
)

PLAIN = SensorConfig(fwhm=(0.0, 0.0), noise=0.0, gain=0.0, bias=0.0)
SOURCE = FusionSourceConfig(
    "series", "drawings", "CC0-1.0", "nobody", bands=("red", "nir"), gain=0.01, offset=-0.1
)


def numbered_series(dates: int = 4, size: int = 24) -> FineSeries:
    """Date d, band b at row r, column c: d + b / 2 + (r + c) / 1000."""
    place = np.add.outer(np.arange(size), np.arange(size)) / 1000
    values = np.arange(dates)[:, None, None, None] + np.array([0, 0.5])[None, :, None, None] + place
    return FineSeries(values.astype(np.float32), np.ones((dates, size, size), bool))


def test_without_blur_a_coarse_pixel_is_the_mean_of_its_block() -> None:
    fine = np.random.default_rng(0).random((2, 12, 8)).astype(np.float32)
    sensor = CoarseSensor.over(12, 8, scale=4, fwhm=0.0)
    coarse = sensor.observed(fine)
    assert coarse.shape == (2, 3, 2)
    np.testing.assert_allclose(coarse, block_mean(fine, 4)[:, ::4, ::4], atol=1e-6)


def test_the_coarse_grid_may_start_before_the_ground() -> None:
    fine = np.arange(6, dtype=np.float32).reshape(1, 1, 6)
    sensor = CoarseSensor.over(1, 6, scale=4, fwhm=0.0, phase=(0, 1))
    # Blocks -1..2, 3..6: the first sees 0, 1, 2 and the second 3, 4, 5.
    assert sensor.observed(fine).flatten().tolist() == pytest.approx([1.0, 4.0])


def test_the_way_back_is_bilinear_between_centres() -> None:
    sensor = CoarseSensor.over(1, 4, scale=2, fwhm=0.0)
    back = sensor.resampled(np.array([[[0.0, 4.0]]], np.float32))
    assert back.flatten().tolist() == pytest.approx([0.0, 1.0, 3.0, 4.0])


def test_blur_keeps_the_mean_and_lowers_the_contrast() -> None:
    stripes = np.kron(np.arange(8) % 2, np.ones(4)).astype(np.float32).reshape(1, 1, 32)
    spreads = []
    for fwhm in (0.0, 0.7, 1.4):
        sensor = CoarseSensor.over(1, 32, scale=4, fwhm=fwhm)
        seen = sensor.observed(stripes)[0, 0, 2:-2]
        assert float(seen.mean()) == pytest.approx(0.5, abs=0.02)
        assert np.allclose(sensor.observed(np.ones_like(stripes)), 1)
        spreads.append(float(np.ptp(seen)))
    assert spreads[0] == 1.0
    assert spreads[0] > 1.2 * spreads[1] > 1.2 * spreads[2] > 0


def test_gain_and_offset_stay_within_their_ranges() -> None:
    flat = [np.full((2, 8, 8), 0.4, np.float32) for _ in range(3)]
    biased = dataclasses.replace(PLAIN, gain=0.05, bias=0.01)
    worst = 0.0
    for seed in range(20):
        for coarse in observed_dates(flat, 4, biased, np.random.default_rng(seed)):
            assert float(np.ptp(coarse, axis=(1, 2)).max()) < 1e-6
            worst = max(worst, float(np.abs(coarse - 0.4).max()))
    assert 0.01 < worst <= 0.4 * 0.05 + 0.01


def test_a_triplet_has_three_dates_in_order_and_what_the_sensor_saw_of_them() -> None:
    source = SeriesTriplets([numbered_series()], SOURCE, PLAIN, [4])
    rng = np.random.default_rng(1)
    for _ in range(5):
        triplet = source.sample(rng, 16)
        given = triplet.inputs
        dates = [int(image[0, 0, 0]) for image in (given.fine0, triplet.fine1, given.fine2)]
        assert dates[0] < dates[1] < dates[2]
        for fine, coarse in (
            (given.fine0, given.coarse0),
            (triplet.fine1, given.coarse1),
            (given.fine2, given.coarse2),
        ):
            assert fine.shape == (2, 16, 16)
            # The ground is a plane, which coarse pixels resampled bilinearly give back inside.
            np.testing.assert_allclose(coarse[:, 4:12, 4:12], fine[:, 4:12, 4:12], atol=2e-3)
        assert given.scale == 4
        assert bool(given.valid.all())
    assert source.credit.tiles == 4


def test_holes_of_a_series_are_not_valid_and_not_seen() -> None:
    series = numbered_series(dates=3, size=16)
    series.values[1, :, 2, 3] = np.nan
    series.valid[1, 2, 3] = False
    triplet = SeriesTriplets([series], SOURCE, PLAIN, [4]).sample(np.random.default_rng(0), 16)
    assert np.argwhere(~triplet.inputs.valid).tolist() == [[2, 3]]
    assert bool(np.isfinite(triplet.inputs.coarse1).all())
    assert bool(np.isfinite(triplet.fine1).all())


def test_a_folder_of_dates_becomes_one_series(tmp_path: Path, make_image: ImageFactory) -> None:
    for date in range(3):
        pixels = np.full((2, 20, 20), 20 + 10 * date, np.uint8)
        # The last date lies two pixels further south and east.
        moved = UTM @ Affine.translation(2, 2) if date == 2 else UTM
        write_geotiff(tmp_path / f"{2020 + date}.tif", make_image(pixels, transform=moved))
    series = read_series(tmp_path, SOURCE)
    assert series.values.shape == (3, 2, 20, 20)
    assert series.values[:, 0, 10, 10].tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert bool(series.valid[:2].all())
    assert int((~series.valid[2]).sum()) == 2 * 20 + 2 * 20 - 4


def test_pairs_keep_what_the_real_sensor_saw(tmp_path: Path, make_image: ImageFactory) -> None:
    for date in range(3):
        for folder, value in (("fine", 20), ("coarse", 50)):
            pixels = np.full((2, 20, 20), value + date, np.uint8)
            (tmp_path / folder).mkdir(exist_ok=True)
            write_geotiff(tmp_path / folder / f"{2020 + date}.tif", make_image(pixels))
    pairs = dataclasses.replace(SOURCE, kind="pairs", offset=0.0)
    series = read_series(tmp_path, pairs)
    triplet = SeriesTriplets([series], pairs, SensorConfig(), [16]).sample(
        np.random.default_rng(0), 16
    )
    assert np.allclose(triplet.fine1, 0.21)
    seen = (triplet.inputs.coarse0, triplet.inputs.coarse1, triplet.inputs.coarse2)
    assert [float(each.mean()) for each in seen] == pytest.approx([0.50, 0.51, 0.52])
    (tmp_path / "coarse" / "2023.tif").write_bytes((tmp_path / "coarse" / "2022.tif").read_bytes())
    with pytest.raises(ConfigError, match="3 fine and 4 coarse"):
        read_series(tmp_path, pairs)


def test_farmland_comes_in_six_bands_at_the_scales_in_turn() -> None:
    config = FusionSourceConfig(
        "farmland", "farms", "Apache-2.0", "us", count=2, size_px=32, first_seed=7
    )
    source = FarmlandTriplets(config, (4, 8), 30.0)
    rng = np.random.default_rng(3)
    triplets = [source.sample(rng, 24) for _ in range(6)]
    assert {each.inputs.scale for each in triplets} == {4, 8}
    for triplet in triplets:
        given = triplet.inputs
        assert given.bands == len(BAND_SLOTS)
        assert triplet.fine1.shape == (6, 24, 24)
        assert 0 < float(triplet.fine1.mean()) < 0.6
        assert float(np.abs(given.coarse1 - triplet.fine1).mean()) < 0.1


def mixer(**changes: float) -> TripletMixer:
    still: dict[str, Any] = {
        "band_dropout": 0.0,
        "band_shuffle": 0.0,
        "time_reversal": 0.0,
        **changes,
    }
    data = FusionDataConfig(sources=(SOURCE,), crop_px=8, scales=(4,), sensor=PLAIN)
    data = dataclasses.replace(data, **still)
    return TripletMixer((SeriesTriplets([numbered_series(3)], SOURCE, PLAIN, [4]),), data)


def test_bands_go_into_their_slots_and_the_others_stay_empty() -> None:
    values, present, valid = mixer().draw(np.random.default_rng(0))
    assert present.tolist() == [0, 0, 1, 1, 0, 0]  # red and near infrared
    assert values.shape == (6, 6, 8, 8)
    assert not values[:, [0, 1, 4, 5]].any()
    np.testing.assert_allclose(values[:, 3] - values[:, 2], 1.0, atol=1e-5)  # 2 * 0.5
    # F0, C0, F2, C2, C1, F1 of dates 0, 2 and 1 in model range, 2 rho - 1
    assert np.round(values[:, 2].mean((1, 2))).tolist() == [-1, -1, 3, 3, 1, 1]
    assert bool(valid.all())


def test_bands_are_dropped_shuffled_and_dates_reversed() -> None:
    rng = np.random.default_rng(0)
    kept = {tuple(mixer(band_dropout=1.0).draw(rng)[1]) for _ in range(30)}
    assert kept == {(0, 0, 1, 0, 0, 0), (0, 0, 0, 1, 0, 0), (0, 0, 1, 1, 0, 0)}
    spots = np.sum([mixer(band_shuffle=1.0).draw(rng)[1] for _ in range(60)], axis=0)
    assert bool((spots > 0).all())
    reversed_first = mixer(time_reversal=1.0).draw(rng)[0][:, 2].mean((1, 2))
    assert np.round(reversed_first).tolist() == [3, 3, -1, -1, 1, 1]


def test_everything_is_turned_alike() -> None:
    batch = mixer().batch(8, np.random.default_rng(5))
    plane = batch.truth[:, 2]
    np.testing.assert_allclose(plane - batch.images.fine0[:, 2], 2.0, atol=1e-5)
    corners = {int(each.flatten().argmax()) for each in plane}
    assert corners <= {0, 7, 56, 63}
    assert len(corners) > 1


def test_sources_that_can_not_serve_are_named(tmp_path: Path) -> None:
    short = numbered_series(size=12)
    with pytest.raises(ConfigError, match="crops of 16 px don't fit"):
        SeriesTriplets([short], SOURCE, PLAIN, [4]).sample(np.random.default_rng(0), 16)
    with pytest.raises(ConfigError, match="names 1 bands, its images have 2"):
        one = dataclasses.replace(SOURCE, bands=("red",))
        SeriesTriplets([short], one, PLAIN, [4])
    with pytest.raises(ConfigError, match="has 2 dates"):
        FineSeries(short.values[:2], short.valid[:2])
    with pytest.raises(ConfigError, match="holds 0 GeoTIFFs"):
        read_series(tmp_path, SOURCE)
    with pytest.raises(DatasetError, match="not a folder"):
        read_series(tmp_path / "none", SOURCE)
