from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import known_maps
import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasters import UTM, ImageFactory
from tiny_models import change_detector, cover_mapper, drawn_scene, segmenter

from n2m_core.checkpoints import LoadedModel
from n2m_core.errors import (
    BandError,
    CancelledError,
    CheckpointError,
    GridError,
    N2MError,
    ParameterError,
)
from n2m_core.metrics.confusion import ConfusionCounts
from n2m_core.raster_io import write_geotiff
from n2m_core.tasks import inference
from n2m_core.tasks.export import class_figures, polygons_of
from n2m_core.tasks.segment import SegmentParams, run

RGB = ("red", "green", "blue")


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return segmenter()


def f1_of_buildings(truth: NDArray[np.uint8], labels: NDArray[np.uint8]) -> float:
    return float(ConfusionCounts.from_labels(truth, labels, 2).f1[1])


def test_map_lies_on_the_images_grid_and_is_right(
    model: LoadedModel, make_image: ImageFactory
) -> None:
    pixels, truth = drawn_scene(1, 210, 330)
    image = make_image(pixels, names=RGB)
    result = run(image, model)
    assert f1_of_buildings(truth, result.labels) > 0.95
    assert result.labels.dtype == np.uint8
    assert result.probabilities.shape == (2, 210, 330)
    np.testing.assert_allclose(result.probabilities.sum(axis=0), 1.0, atol=1e-5)
    assert (result.map_image.crs, result.map_image.transform) == (image.crs, image.transform)
    assert result.notes == ()
    assert (result.timestep, result.is_mixed) == (0, False)


@pytest.mark.parametrize("factor", [2, 4])
def test_finer_image_is_mapped_at_the_checkpoints_resolution(
    model: LoadedModel, make_image: ImageFactory, factor: int
) -> None:
    """The network only knows rectangles of half-metre pixels; the map is as fine as the image."""
    pixels, truth = (each.repeat(factor, -1).repeat(factor, -2) for each in drawn_scene(2))
    size_m = 0.5 / factor
    image = make_image(pixels, transform=UTM @ Affine.scale(1 / factor), resolution_m=size_m)
    result = run(image, model)
    assert result.labels.shape == truth.shape
    assert f1_of_buildings(truth, result.labels) > 0.93
    assert any("was resampled to about 0.5 m" in note for note in result.notes)


def test_unknown_resolution_is_told_and_can_be_stated(
    model: LoadedModel, make_image: ImageFactory
) -> None:
    pixels, truth = drawn_scene(3)
    unknown = make_image(pixels, crs=None, resolution_m=None)
    assert any("resolution is unknown" in note for note in run(unknown, model).notes)
    fine = make_image(pixels.repeat(2, 1).repeat(2, 2), crs=None, resolution_m=None)
    stated = run(fine, model, SegmentParams(resolution_m=0.25))
    assert not any("unknown" in note for note in stated.notes)
    assert stated.image.resolution_m == 0.25
    assert f1_of_buildings(truth.repeat(2, 0).repeat(2, 1), stated.labels) > 0.93


# A map does not depend on how the image was cut


CUTS = {
    "same resolution": ("EPSG:32633", Affine(0.5, 0, 500_000.13, 0, -0.5, 5e6 + 0.27), 0.5),
    "finer": ("EPSG:32633", Affine(0.3, 0, 500_000.13, 0, -0.3, 5e6 + 0.27), 0.3),
    "coarser": ("EPSG:32633", Affine(0.8, 0, 500_000.13, 0, -0.8, 5e6 + 0.27), 0.8),
    "degrees": ("EPSG:4326", Affine(5e-6, 0, 15.1, 0, -5e-6, 48.2), 0.45),
    "rotated": ("EPSG:32633", UTM @ Affine.rotation(12), 0.5),
}
UNPLACED = (None, Affine.identity(), 0.5)
"""Nothing says where such a crop lay, so its noise must differ from the scene's."""


@pytest.mark.parametrize(
    ("name", "timestep"), [("no georeference", None), *itertools.product(CUTS, (None, 258))]
)
def test_crop_and_scene_agree(
    model: LoadedModel, make_image: ImageFactory, name: str, timestep: int | None
) -> None:
    """At least 98.5 % of the pixels more than 64 px from a cut get the same class."""
    crs, transform, resolution_m = CUTS.get(name, UNPLACED)
    pixels, _ = drawn_scene(4, 470, 500)
    scene = make_image(pixels, crs=crs, transform=transform, resolution_m=resolution_m)
    top, bottom, left, right = 75, 420, 91, 463
    crop = make_image(
        pixels[:, top:bottom, left:right],
        crs=crs,
        transform=transform @ Affine.translation(left, top),
        resolution_m=resolution_m,
    )
    params = SegmentParams(timestep=timestep, seed=3)
    whole, part = run(scene, model, params), run(crop, model, params)
    expected = whole.labels[top:bottom, left:right][64:-64, 64:-64]
    assert (part.labels[64:-64, 64:-64] == expected).mean() >= 0.985
    assert 0.05 < expected.mean() < 0.95


def test_map_does_not_depend_on_the_batch(
    model: LoadedModel, make_image: ImageFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image(drawn_scene(5, 400, 410)[0])
    params = SegmentParams(timestep=300, seed=11)
    maps = []
    for batch in (1, 3):
        monkeypatch.setattr(inference, "BATCH", batch)
        maps.append(run(image, model, params).probabilities)
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-4)


def test_seed_names_the_noise(model: LoadedModel, make_image: ImageFactory) -> None:
    image = make_image(drawn_scene(6)[0])
    first, again, other = (
        run(image, model, SegmentParams(timestep=500, seed=seed)).probabilities
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.01


def test_timestep_mixes_and_the_cards_own_way_does_not(
    model: LoadedModel, make_image: ImageFactory
) -> None:
    pixels, truth = drawn_scene(7)
    image = make_image(pixels)
    clean, noisy = run(image, model), run(image, model, SegmentParams(timestep=900))
    assert (clean.is_mixed, noisy.is_mixed) == (False, True)
    assert f1_of_buildings(truth, clean.labels) > f1_of_buildings(truth, noisy.labels) + 0.2


def test_told_step_reaches_the_network_and_not_the_mix(
    model: LoadedModel, make_image: ImageFactory
) -> None:
    image = make_image(drawn_scene(7, 64, 64)[0])
    truth, told, misled = (
        run(image, model, SegmentParams(timestep=300, told=t)).probabilities
        for t in (None, 300, 900)
    )
    np.testing.assert_array_equal(truth, told)
    assert np.abs(truth - misled).mean() > 1e-3
    deaf = known_maps.model()
    heard, unheard = (
        run(image, deaf, SegmentParams(timestep=300, told=t)).probabilities for t in (None, 900)
    )
    np.testing.assert_array_equal(heard, unheard)


def test_card_that_mixes_is_obeyed(model: LoadedModel, make_image: ImageFactory) -> None:
    image = make_image(drawn_scene(7)[0])
    card = replace(model.card, inference_timestep=400, mix_at_inference=True)
    own = run(image, LoadedModel(card, model.model, model.device), SegmentParams(seed=5))
    asked = run(image, model, SegmentParams(timestep=400, seed=5))
    np.testing.assert_array_equal(own.probabilities, asked.probabilities)
    assert own.is_mixed


def test_other_process_is_mixed_when_asked(make_image: ImageFactory) -> None:
    """The plain twin sees the clean image at every step, unless it is fed the same x_t."""
    plain = segmenter("none")
    image = make_image(drawn_scene(8)[0])
    clean = run(image, plain)
    alone = run(image, plain, SegmentParams(timestep=700))
    fed = run(image, plain, SegmentParams(timestep=700, process="gaussian"))
    assert not alone.is_mixed
    assert fed.is_mixed
    assert (alone.labels == clean.labels).mean() > (fed.labels == clean.labels).mean()


# Bands, missing data, sizes


def test_missing_pixels_have_no_class(model: LoadedModel, make_image: ImageFactory) -> None:
    pixels, truth = drawn_scene(9)
    valid = np.ones(truth.shape, np.bool_)
    valid[40:70, 20:90] = False
    result = run(make_image(pixels, valid=valid), model)
    np.testing.assert_array_equal(result.labels == 255, ~valid)
    assert (result.probabilities[:, ~valid] == 0).all()
    assert (result.confidence[~valid] == 0).all()
    assert (result.confidence[valid] >= 0.5).all()
    assert np.isnan(result.probability_image.pixels[:, ~valid]).all()


def test_image_without_any_data_is_refused(model: LoadedModel, make_image: ImageFactory) -> None:
    pixels, truth = drawn_scene(9)
    with pytest.raises(GridError, match="no pixel with data"):
        run(make_image(pixels, valid=np.zeros(truth.shape, np.bool_)), model)


def test_one_band_is_taken_as_grey(model: LoadedModel, make_image: ImageFactory) -> None:
    pixels, truth = drawn_scene(10)
    result = run(make_image(pixels[:1]), model)
    assert f1_of_buildings(truth, result.labels) > 0.9
    assert any("has one band" in note for note in result.notes)


def test_bands_are_found_by_name_before_order(model: LoadedModel, make_image: ImageFactory) -> None:
    pixels, _ = drawn_scene(11)
    pixels[0] //= 2
    plain = run(make_image(pixels, names=RGB), model)
    infrared = np.full_like(pixels[:1], 200)
    named = run(
        make_image(np.concatenate([infrared, pixels[::-1]]), names=("nir", "blue", "green", "red")),
        model,
    )
    np.testing.assert_array_equal(named.labels, plain.labels)
    assert any("bands 4, 3, 2 were taken by their names" in note for note in named.notes)
    unnamed = run(make_image(np.concatenate([pixels, infrared])), model)
    np.testing.assert_array_equal(unnamed.labels, plain.labels)
    assert any("bands 1, 2, 3 were taken as red" in note for note in unnamed.notes)


def test_two_bands_are_too_few(model: LoadedModel, make_image: ImageFactory) -> None:
    with pytest.raises(BandError, match="has 2 bands; checkpoint tiny-buildings needs 3"):
        run(make_image(drawn_scene(12)[0][:2]), model)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (37, 51), (257, 31)])
def test_any_size_is_mapped(
    model: LoadedModel, make_image: ImageFactory, shape: tuple[int, int]
) -> None:
    result = run(make_image(drawn_scene(13, 300, 300)[0][:, : shape[0], : shape[1]]), model)
    assert result.labels.shape == shape
    assert set(np.unique(result.labels)) <= {0, 1}


@pytest.mark.parametrize("dtype", ["uint16", "float32", "int16"])
def test_wider_types_are_stretched(
    model: LoadedModel, make_image: ImageFactory, dtype: str
) -> None:
    pixels, truth = drawn_scene(14)
    result = run(make_image((pixels.astype(np.float64) * 40).astype(dtype)), model)
    assert f1_of_buildings(truth, result.labels) > 0.85


def test_unusual_image_is_warned_of(model: LoadedModel, make_image: ImageFactory) -> None:
    result = run(make_image(np.full((3, 50, 50), 255, np.uint8)), model)
    assert any("far from those that the weights were trained on" in note for note in result.notes)


# Threshold and smallest area


def test_threshold_is_the_least_probability(model: LoadedModel, make_image: ImageFactory) -> None:
    image = make_image(drawn_scene(15)[0])
    for threshold in (0.05, 0.5, 0.95):
        result = run(image, model, SegmentParams(threshold=threshold))
        np.testing.assert_array_equal(result.labels == 1, 1 - result.probabilities[0] >= threshold)


def test_threshold_needs_a_background(make_image: ImageFactory) -> None:
    with pytest.raises(ParameterError, match="needs a background class"):
        run(make_image(drawn_scene(15)[0]), cover_mapper(), SegmentParams(threshold=0.5))


def two_squares() -> NDArray[np.uint8]:
    """Squares of 8 px (16 m2 at half a metre) and 24 px (144 m2)."""
    pixels = np.full((3, 96, 96), 80, np.uint8)
    pixels[:, 20:28, 20:28] = 190
    pixels[:, 50:74, 50:74] = 190
    return pixels


def test_small_areas_become_background(model: LoadedModel, make_image: ImageFactory) -> None:
    image = make_image(two_squares())
    everything = run(image, model)
    large = run(image, model, SegmentParams(min_area_m2=60))
    assert len(polygons_of(everything)) == 2
    (area,) = polygons_of(large)["area_m2"]
    assert area == pytest.approx(144, rel=0.25)
    assert (large.labels[18:30, 18:30] == 0).all()


def test_smallest_area_needs_a_resolution(model: LoadedModel, make_image: ImageFactory) -> None:
    image = make_image(two_squares(), crs=None, resolution_m=None)
    with pytest.raises(ParameterError, match="State the resolution"):
        run(image, model, SegmentParams(min_area_m2=60))
    stated = run(image, model, SegmentParams(min_area_m2=60, resolution_m=0.5))
    assert len(polygons_of(stated)) == 1


def test_without_background_small_areas_take_the_class_beside_them(
    make_image: ImageFactory,
) -> None:
    image = make_image(drawn_scene(16)[0])
    mapper = cover_mapper()
    speckled = run(image, mapper)
    clean = run(image, mapper, SegmentParams(min_area_m2=50))
    assert polygons_of(speckled)["area_m2"].min() < 50
    assert polygons_of(clean)["area_m2"].min() >= 50
    assert (clean.labels != 255).all()
    assert (
        0 in {entry["pixels"] for entry in class_figures(clean)}
        or len(np.unique(clean.labels)) == 3
    )


def test_areas_follow_the_pixels(model: LoadedModel, make_image: ImageFactory) -> None:
    result = run(make_image(two_squares()), model)
    background, building = class_figures(result)
    assert building["pixels"] == (result.labels == 1).sum()
    assert building["area_m2"] == pytest.approx(building["pixels"] * 0.25, rel=0.002)
    assert background["share"] + building["share"] == pytest.approx(1.0)
    assert polygons_of(result)["area_m2"].sum() == pytest.approx(building["area_m2"], rel=1e-6)


# Refusals


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"timestep": 1000}, "outside 0..999"),
        ({"timestep": -1}, "outside 0..999"),
        ({"seed": -1}, "Seed -1"),
        ({"threshold": 0.0}, "between 0 and 1"),
        ({"threshold": float("nan")}, "between 0 and 1"),
        ({"resolution_m": 0.0}, "positive number of metres"),
        ({"resolution_m": float("inf")}, "positive number of metres"),
        ({"min_area_m2": -1.0}, "0 or a positive"),
        ({"process": "gaussian"}, "needs a timestep"),
        ({"told": 5}, "needs a timestep"),
        ({"timestep": 5, "told": 1000}, "outside 0..999"),
    ],
)
def test_choices_out_of_range_are_refused(choices: dict[str, float], words: str) -> None:
    with pytest.raises(N2MError, match=words):
        replace(SegmentParams(), **choices)


def test_change_checkpoint_is_refused(make_image: ImageFactory) -> None:
    with pytest.raises(CheckpointError, match="Choose a segment checkpoint"):
        run(make_image(), change_detector())


def test_progress_counts_and_can_stop(model: LoadedModel, make_image: ImageFactory) -> None:
    image = make_image(drawn_scene(17, 400, 400)[0])
    seen: list[tuple[int, int]] = []
    run(image, model, progress=lambda done, total, _note: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] > 1
    assert seen == sorted(seen)

    def stop(_done: int, _total: int, _note: str) -> None:
        raise CancelledError("The run was stopped.")

    with pytest.raises(CancelledError):
        run(image, model, progress=stop)


def test_exported_map_says_where_it_comes_from(
    model: LoadedModel, make_image: ImageFactory, tmp_path: Path
) -> None:
    pixels, truth = drawn_scene(18)
    valid = np.ones(truth.shape, np.bool_)
    valid[:9] = False
    image = make_image(pixels, valid=valid)
    result = run(image, model, SegmentParams(timestep=20))
    path = tmp_path / "map.tif"
    write_geotiff(path, result.map_image, nodata=255, colormap=result.colors, tags=result.tags)
    with rasterio.open(path) as dataset:
        assert dataset.crs.to_epsg() == 32633
        assert dataset.transform == image.transform
        assert (dataset.dtypes, dataset.nodata) == (("uint8",), 255)
        assert dataset.colormap(1)[1][:3] == (0xD5, 0x5E, 0x00)
        np.testing.assert_array_equal(dataset.read(1), result.labels)
        tags = dataset.tags()
    assert tags["N2M_CHECKPOINT"] == "tiny-buildings"
    assert tags["N2M_TIMESTEP"] == "20 (x_t mixed)"
    assert tags["N2M_LICENSE"] == "CC0-1.0"
