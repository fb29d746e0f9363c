from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from rasters import UTM, ImageFactory
from tiny_models import CHANGES, change_detector, drawn_pair, segmenter

from n2m_core.checkpoints import LoadedModel
from n2m_core.errors import CheckpointError, GridError, NoOverlapError
from n2m_core.metrics.confusion import ConfusionCounts
from n2m_core.raster_io import align_to
from n2m_core.tasks.change import ChangeParams, align_pair, run
from n2m_core.tasks.export import polygons_of


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return change_detector()


def test_built_and_demolished_are_told_apart(model: LoadedModel, make_image: ImageFactory) -> None:
    before, after, truth = drawn_pair(1, 170, 210)
    result = run(make_image(before), make_image(after), model)
    scores = ConfusionCounts.from_labels(truth, result.labels, 3).f1
    assert scores.min() > 0.9
    np.testing.assert_array_equal(result.image.pixels, after)
    assert result.before is not None
    np.testing.assert_array_equal(result.before.pixels, before)
    assert result.class_names == tuple(entry.name for entry in CHANGES)
    assert result.is_mixed


def test_swapped_dates_swap_the_classes(model: LoadedModel, make_image: ImageFactory) -> None:
    before, after, truth = drawn_pair(2)
    backwards = run(make_image(after), make_image(before), model).labels
    expected = np.array([0, 2, 1], np.uint8)[truth]
    assert ConfusionCounts.from_labels(expected, backwards, 3).f1.min() > 0.9


def test_at_the_last_step_the_dates_have_traded_places(
    model: LoadedModel, make_image: ImageFactory
) -> None:
    """x_t at t = 999 is (after, before), which is what the reversed pair is at t = 0."""
    before, after, _ = drawn_pair(3)
    first, second = make_image(before), make_image(after)
    with_own_step = model.card.process()
    assert with_own_step.kind == "swap"
    late = run(first, second, model, ChangeParams(timestep=999)).probabilities
    early = run(first, second, model, ChangeParams(timestep=0)).probabilities
    assert np.abs(late - early).mean() > 0.05


def test_pair_on_other_grids_is_aligned_to_the_first(
    model: LoadedModel, make_image: ImageFactory
) -> None:
    """The later image is shifted by a fraction of a pixel, finer, and larger."""
    before, after, truth = drawn_pair(4, 200, 200)
    fine = after.repeat(2, 1).repeat(2, 2)
    shifted = UTM @ Affine.scale(0.5) @ Affine.translation(1, 1)
    first = make_image(before)
    second = make_image(fine[:, 1:, 1:], transform=shifted, resolution_m=0.25)
    result = run(first, second, model)
    assert result.labels.shape == truth.shape
    assert (result.image.crs, result.image.transform) == (first.crs, first.transform)
    assert (result.map_image.crs, result.map_image.transform) == (first.crs, first.transform)
    inside = result.labels != 255
    assert inside.mean() > 0.98
    scores = ConfusionCounts.from_labels(truth, result.labels, 3).f1
    assert scores.min() > 0.85
    assert any("lies on the grid of the first" in note for note in result.notes)


def test_pair_in_other_reference_systems_is_aligned(
    model: LoadedModel, make_image: ImageFactory
) -> None:
    before, after, truth = drawn_pair(5, 200, 200)
    degrees = Affine(6.3e-6, 0, 15.0, 0, -4.5e-6, 45.15355)
    first = make_image(before)
    sphere = align_to(
        make_image(after),
        make_image(
            np.zeros((3, 230, 230), np.uint8), crs="EPSG:4326", transform=degrees, resolution_m=0.5
        ),
    )
    result = run(first, sphere, model)
    assert result.map_image.crs == "EPSG:32633"
    scores = ConfusionCounts.from_labels(truth, result.labels, 3).f1
    assert scores.min() > 0.8


def test_only_common_ground_is_mapped(model: LoadedModel, make_image: ImageFactory) -> None:
    before, after, _ = drawn_pair(6)
    first = make_image(before)
    second = make_image(after, transform=UTM @ Affine.translation(60, 0))
    result = run(first, second, model)
    assert (result.labels[:, :60] == 255).all()
    assert (result.labels[:, 61:] != 255).all()


def test_pairs_without_common_ground_are_refused(
    model: LoadedModel, make_image: ImageFactory
) -> None:
    before, after, _ = drawn_pair(7)
    far = make_image(after, transform=UTM @ Affine.translation(5000, 0))
    with pytest.raises(NoOverlapError, match="do not overlap"):
        run(make_image(before), far, model)
    left, right = np.zeros((2, 160, 160), np.bool_)
    left[:, :80] = True
    right[:, 80:] = True
    with pytest.raises(NoOverlapError, match="share no pixel with data"):
        run(make_image(before, valid=left), make_image(after, valid=right), model)


def test_pictures_of_equal_size_need_no_georeference(
    model: LoadedModel, make_image: ImageFactory
) -> None:
    before, after, truth = drawn_pair(8)
    result = run(make_image(before, crs=None), make_image(after, crs=None), model)
    assert ConfusionCounts.from_labels(truth, result.labels, 3).f1.min() > 0.9
    with pytest.raises(GridError, match="can't be aligned"):
        run(make_image(before, crs=None), make_image(after[:, 5:], crs=None), model)


@pytest.mark.parametrize("placed", ["before", "after"])
def test_one_georeference_serves_both(make_image: ImageFactory, placed: str) -> None:
    pixels = drawn_pair(9)[:2]
    crs = {"before": ("EPSG:32633", None), "after": (None, "EPSG:32633")}[placed]
    pair = (make_image(each, crs=name) for each, name in zip(pixels, crs, strict=True))
    before, after = align_pair(*pair)
    assert before.crs == after.crs == "EPSG:32633"
    assert before.transform == after.transform == UTM
    assert any("Only one image of the pair" in note for note in (*before.notes, *after.notes))


def test_threshold_is_of_any_change(model: LoadedModel, make_image: ImageFactory) -> None:
    before, after, _ = drawn_pair(10)
    pair = make_image(before), make_image(after)
    for threshold in (0.1, 0.9):
        result = run(*pair, model, ChangeParams(threshold=threshold))
        is_target = 1 - result.probabilities[0] >= threshold
        np.testing.assert_array_equal(result.labels > 0, is_target)
        likelier = 1 + result.probabilities[1:].argmax(axis=0)
        np.testing.assert_array_equal(result.labels[is_target], likelier[is_target])


def test_polygons_are_of_the_changes_alone(model: LoadedModel, make_image: ImageFactory) -> None:
    before, after, _ = drawn_pair(11)
    frame = polygons_of(run(make_image(before), make_image(after), model))
    assert set(frame["class"]) == {"built", "demolished"}
    assert frame["confidence"].between(1 / 3, 1).all()


def test_crop_and_scene_agree(model: LoadedModel, make_image: ImageFactory) -> None:
    before, after, _ = drawn_pair(12, 420, 440)
    place = Affine(0.37, 0, 500_000.21, 0, -0.37, 5e6 + 0.4)
    box = (slice(None), slice(33, 390), slice(41, 420))
    cut = place @ Affine.translation(41, 33)
    scene = [make_image(p, transform=place, resolution_m=0.37) for p in (before, after)]
    crop = [make_image(p[box], transform=cut, resolution_m=0.37) for p in (before, after)]
    expected = run(*scene, model).labels[box[1:]][64:-64, 64:-64]
    seen = run(*crop, model).labels[64:-64, 64:-64]
    assert (seen == expected).mean() >= 0.985


def test_segmentation_checkpoint_is_refused(make_image: ImageFactory) -> None:
    with pytest.raises(CheckpointError, match="Choose a change checkpoint"):
        run(make_image(), make_image(), segmenter())
