"""Fusing images as people have them: other grids, units and holes; scores; mistakes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from tiny_fusion import tiny_config, write_tiny_fusion

from n2m_core.datasets.triplets import Triplet, farmland_triplet
from n2m_core.errors import (
    BandError,
    CheckpointError,
    DatasetError,
    GridError,
    NoOverlapError,
    ParameterError,
)
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import same_grid
from n2m_core.scenes.farmland import FarmlandParams
from n2m_core.tasks.evaluate_fusion import evaluate, images_of, params_for
from n2m_core.tasks.fuse import (
    FuseImages,
    FuseParams,
    FuseResult,
    run,
    score_result,
    truth_on_grid,
)
from n2m_core.tasks.fusion_methods import METHODS, expected_seconds, ready_methods, weights_for

TRIPLET = farmland_triplet(FarmlandParams(1_000_003, size=64, bands=4))
IMAGES = images_of(TRIPLET)
MEAN = FuseParams("mean-change")
CLASSICAL = {name for name, entry in METHODS.items() if entry.weights is None}


def with_part(name: str, image: GeoImage) -> FuseImages:
    return replace(IMAGES, **{name: image})


def with_values(image: GeoImage, pixels: np.ndarray) -> GeoImage:
    return image.with_pixels(pixels, image.band_names)


def masked(image: GeoImage, rows: slice) -> GeoImage:
    valid = image.valid.copy()
    valid[rows] = False
    return image.with_pixels(image.pixels, image.band_names, valid=valid)


def fused(images: FuseImages = IMAGES, params: FuseParams = MEAN) -> FuseResult:
    return run(images, params)


# Results


def test_result_is_in_the_scale_dtype_and_grid_of_the_first_fine_image() -> None:
    result = fused()
    assert same_grid(result.image, IMAGES.fine0)
    assert result.image.pixels.dtype == np.uint16
    assert result.image.band_names == IMAGES.fine0.band_names
    assert (result.prepared.dn_scale, result.prepared.inputs.scale) == (10_000, 16)
    np.testing.assert_allclose(result.image.pixels / 10_000, result.reflectance, atol=6e-5)
    assert result.tags["N2M_FUSION"] == "mean-change"


@pytest.mark.parametrize("method", sorted(CLASSICAL))
def test_every_method_runs_and_is_better_than_noise(method: str) -> None:
    result = fused(params=FuseParams(method, window_px=9 if METHODS[method].is_naive else 7))
    report = score_result(result, TRIPLET.fine[1])
    assert report["method"] == method
    assert 0 < report["rmse"] < 0.1
    assert report["cc"] > 0.3
    assert report["ergas_ratio"] == 16


def test_a_learned_method_without_weights_is_not_ready_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path))
    assert "sa-stf" not in ready_methods()
    with pytest.raises(CheckpointError, match="sastf-farmland"):
        fused(params=FuseParams("sa-stf"))
    (tmp_path / "sastf-farmland").mkdir()
    assert "sa-stf" not in ready_methods()


def test_weights_are_told_by_their_design(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path))
    write_tiny_fusion(tmp_path, "another", title="Another", has_one_pass=False)
    assert ready_methods().keys() - CLASSICAL == {"sa-stf"}
    write_tiny_fusion(tmp_path, "sastf-farmland")
    write_tiny_fusion(tmp_path, "peer", tiny_config("stfdiff"))
    assert list(weights_for("sa-stf")) == ["sastf-farmland", "another"]
    assert list(weights_for("sa-stf-one-pass")) == ["sastf-farmland"]
    assert list(weights_for("stfdiff")) == ["peer"]
    assert weights_for("sa-stf")["another"].title == "Another"
    assert weights_for("fsdaf") == {}
    # 0.1 GFLOP once and 0.1 for each of two steps; a tile of 256 px and half of it again.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert expected_seconds("sa-stf", 256**2, 4) == pytest.approx(1.5 * 0.3 / 40)
    assert expected_seconds("sa-stf-one-pass", 256**2, 8) == pytest.approx(2 * 1.5 * 0.2 / 40)
    assert expected_seconds("fsdaf", 256**2, 6) == pytest.approx(18 * 0.065536 * 6)
    with pytest.raises(CheckpointError, match="peer is of the design stfdiff"):
        fused(params=FuseParams("sa-stf", checkpoint="peer"))


def test_moments_of_the_way_are_kept_where_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path))
    write_tiny_fusion(tmp_path, "sastf-farmland", window_px=64)
    plain = fused(params=FuseParams("sa-stf", steps=4))
    assert plain.frames == ()
    assert plain.tags["N2M_CHECKPOINT"] == "sastf-farmland"
    watched = fused(params=FuseParams("sa-stf", steps=4, frames=2))
    assert np.array_equal(watched.reflectance, plain.reflectance)
    # Of 20 steps that were trained, four are taken: 20, 15, 10, 5, and then the fine image.
    assert [(each.step, each.timestep) for each in watched.frames] == [(2, 10), (4, 0)]
    assert np.array_equal(watched.frames[-1].x, watched.reflectance)
    assert np.array_equal(watched.frames[-1].expected, watched.reflectance)
    assert not np.array_equal(watched.frames[0].x, watched.frames[0].expected)
    for other in ("sa-stf-one-pass", "copy"):
        assert fused(params=FuseParams(other, frames=2)).frames == ()


def test_reflectance_and_digital_numbers_give_one_result() -> None:
    parts = {
        name: with_values(image, (image.pixels / 10_000).astype(np.float32))
        for name, image in vars(IMAGES).items()
    }
    result = fused(FuseImages(**parts))
    assert result.prepared.dn_scale == 1
    assert result.image.pixels.dtype == np.float32
    # Digital numbers are rounded when the coarse images are resampled.
    np.testing.assert_allclose(result.image.pixels, fused().reflectance, atol=2e-4)


def test_stated_scales_are_taken() -> None:
    result = fused(params=FuseParams("copy", scale=20, dn_scale=20_000))
    assert result.prepared.inputs.scale == 20
    np.testing.assert_allclose(result.reflectance * 20_000, IMAGES.fine0.pixels, atol=1e-2)


def test_coarse_images_on_the_fine_grid_are_taken_as_they_are() -> None:
    first = fused().prepared.images
    result = fused(first)
    assert any("scale of 16 was taken" in note for note in result.notes)
    np.testing.assert_array_equal(result.image.pixels, fused().image.pixels)


def test_masked_pixels_stay_masked_and_are_told() -> None:
    result = fused(with_part("fine2", masked(IMAGES.fine2, slice(0, 16))))
    assert not result.image.valid[:16].any()
    assert result.image.valid[16:].all()
    assert (result.image.pixels[:, :16] == 0).all()
    assert any("25.0% of the pixels are masked" in note for note in result.notes)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_masked_cloud_raises_no_error_beyond_its_window(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a cloud hides is left out, for whoever does not see its place."""
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path))
    write_tiny_fusion(tmp_path, "sastf-farmland", window_px=16)
    write_tiny_fusion(tmp_path, "stfdiff-farmland", tiny_config("stfdiff"), window_px=16)
    params = FuseParams(method, window_px=9)
    clear = fused(params=params)
    pixels, valid = IMAGES.fine2.pixels.copy(), IMAGES.fine2.valid.copy()
    pixels[:, :8, :8], valid[:8, :8] = 9_999, False
    cloud = with_part("fine2", IMAGES.fine2.with_pixels(pixels, IMAGES.fine2.band_names))
    cloud = replace(cloud, fine2=replace(cloud.fine2, valid=valid))
    found = fused(cloud, params)
    assert np.array_equal(found.image.valid, valid)
    truth, _ = truth_on_grid(TRIPLET.fine[1], clear.prepared)
    far = np.ones((64, 64), bool)
    # Two steps of 16 px windows, or two coarse pixels and a window of 9 px.
    far[:44, :44] = False
    before, after = (
        float(np.sqrt(((each.reflectance - truth)[:, far] ** 2).mean())) for each in (clear, found)
    )
    if METHODS[method].is_naive:
        assert after == before
    else:  # thresholds, classes and the coarse sensor's bias are those of the whole scene
        assert after <= 1.01 * before


def test_second_fine_image_is_moved_and_it_is_told() -> None:
    moved = replace(IMAGES.fine2, transform=IMAGES.fine2.transform @ Affine.translation(0.3, 0.0))
    result = fused(with_part("fine2", moved))
    assert any("moved to the grid of the first" in note for note in result.notes)


# Mistakes


def test_dates_out_of_order_are_named() -> None:
    days = date(2023, 7, 6), date(2023, 6, 6), date(2023, 8, 6)
    with pytest.raises(ParameterError, match="2023-07-06, 2023-06-06, 2023-08-06 are out of order"):
        FuseParams(dates=days)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "magic"}, "choose of sa-stf-one-pass, sa-stf"),
        ({"scale": 0}, "scale is 0"),
        ({"dn_scale": -1.0}, "value of reflectance 1 is -1"),
        ({"eta": 2.0}, "eta 2.0"),
        ({"frames": 25}, "25 frames"),
        ({"seed": -1}, "Seed -1"),
    ],
)
def test_options_out_of_range_are_named(change: dict[str, object], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        FuseParams(**change)  # type: ignore[arg-type]


def test_different_band_counts_are_named() -> None:
    three = IMAGES.coarse1.with_pixels(IMAGES.coarse1.pixels[:3], IMAGES.coarse1.band_names[:3])
    with pytest.raises(BandError, match="fine0 4, coarse0 4, fine2 4, coarse2 4, coarse1 3"):
        fused(with_part("coarse1", three))


def test_mixed_scales_are_named() -> None:
    reflectance = with_values(IMAGES.coarse1, (IMAGES.coarse1.pixels / 1e4).astype(np.float32))
    with pytest.raises(ParameterError, match=r"coarse1 like 0\.\.1 .*fine0, fine2, coarse0"):
        fused(with_part("coarse1", reflectance))


def test_coarse_image_that_does_not_cover_is_named() -> None:
    coarse = IMAGES.coarse2
    beside = replace(coarse, transform=coarse.transform @ Affine.translation(3, 0))
    with pytest.raises(GridError, match="coarse2 covers only 25%"):
        fused(with_part("coarse2", beside))
    near = replace(coarse, transform=coarse.transform @ Affine.translation(1, 0))
    result = fused(with_part("coarse2", near))
    assert any("coarse2 covers 75.0%" in note for note in result.notes)
    assert result.image.valid.mean() == pytest.approx(0.75)
    far = replace(coarse, transform=coarse.transform @ Affine.translation(400, 0))
    with pytest.raises(NoOverlapError):
        fused(with_part("coarse2", far))


def test_exchanged_fine_and_coarse_are_noticed() -> None:
    exchanged = FuseImages(
        IMAGES.coarse0, IMAGES.fine0, IMAGES.coarse2, IMAGES.fine2, TRIPLET.fine[1]
    )
    with pytest.raises(GridError, match="exchanged"):
        fused(exchanged)


def test_fully_masked_input_is_named_with_the_shares() -> None:
    with pytest.raises(GridError, match=r"coarse1 0%"):
        fused(with_part("coarse1", masked_softly(IMAGES.coarse1)))


def masked_softly(image: GeoImage) -> GeoImage:
    """An image on the fine grid without any data."""
    grid = IMAGES.fine0
    return grid.with_pixels(
        np.zeros_like(grid.pixels), image.band_names, valid=np.zeros_like(grid.valid)
    )


def test_truth_of_another_kind_is_refused() -> None:
    result, truth = fused(), TRIPLET.fine[1]
    with pytest.raises(BandError, match="truth has 3 bands"):
        score_result(result, truth.with_pixels(truth.pixels[:3], truth.band_names[:3]))
    with pytest.raises(ParameterError, match="the truth like"):
        score_result(result, with_values(truth, (truth.pixels / 1e4).astype(np.float32)))


# Scores over triplets


def test_evaluation_is_the_mean_of_its_triplets() -> None:
    other = farmland_triplet(FarmlandParams(1_000_004, size=64, bands=4))
    triplets: list[Triplet] = [TRIPLET, other]
    report = evaluate(triplets, FuseParams("coarse-change"))
    alone = [
        score_result(
            run(images_of(each), params_for(each, FuseParams("coarse-change"))), each.fine[1]
        )
        for each in triplets
    ]
    assert report["triplets"] == 2
    for key in ("rmse", "rmse_band_mean", "cc", "ssim", "ergas", "sam_deg"):
        assert report[key] == pytest.approx(np.mean([each[key] for each in alone]))
        assert [row[key] for row in report["per_triplet"]] == [each[key] for each in alone]
    assert report["ergas_ratio"] == 16
    assert [band["name"] for band in report["per_band"]] == ["blue", "green", "red", "nir"]
    with pytest.raises(DatasetError, match="no triplets"):
        evaluate([], FuseParams())
