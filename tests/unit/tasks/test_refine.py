from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from rasters import ImageFactory
from tiny_models import BUILDINGS, cover_mapper, drawn_scene, save_tiny, segmenter
from tiny_refiners import cover_refiner, square, tiny_refiner

from n2m_core.checkpoints import LoadedModel
from n2m_core.datasets.base import Sample
from n2m_core.diffusion.noise import position_noise
from n2m_core.errors import CancelledError, CheckpointError, LabelError, ParameterError
from n2m_core.geo_image import GeoImage
from n2m_core.models.idgbr import Refiner
from n2m_core.tasks import denoising
from n2m_core.tasks.denoising import kept_steps
from n2m_core.tasks.evaluate_refine import EvaluateRefineParams, evaluate_refine, open_rough
from n2m_core.tasks.refine import RefineParams, RefineResult, Walk, chosen_walk, run
from n2m_core.tasks.repairing import COUNTS, repair_codes, repair_report

Labels = NDArray[np.uint8]


def town(make_image: ImageFactory, height: int = 64, width: int = 64, **place: object) -> GeoImage:
    return make_image(drawn_scene(4, height, width)[0], **place)


def test_the_walk_is_ddim_on_the_blended_noise_with_guidance(make_image: ImageFactory) -> None:
    model = tiny_refiner(window_px=64)
    network = model.model
    assert isinstance(network, Refiner)
    image, rough = town(make_image, crs=None), square()
    result = run(image, rough, model, RefineParams(steps=1, guidance=2.5, seed=7))
    # One step of DDIM from t = 999 goes straight to the clean latent that the noise leaves.
    x0 = torch.from_numpy(image.pixels.astype(np.float32) / 127.5 - 1)[None]
    seen = network.guidance(x0, torch.from_numpy(rough.astype(np.int64))[None])
    nothing = tuple(level.times(torch.zeros(1)) for level in seen)
    z_t = torch.from_numpy(position_noise(7, 4, 16, 16)[None])
    t = torch.tensor([999])
    told, untold = network(z_t, t, seen), network(z_t, t, nothing)
    eps = untold + 2.5 * (told - untold)
    alpha_bar = float(network.signal[999]) ** 2
    z0 = (z_t - (1 - alpha_bar) ** 0.5 * eps) / alpha_bar**0.5
    expected = network.codec.decode(z0).softmax(1)[0].numpy()
    np.testing.assert_allclose(result.probabilities, expected, atol=2e-3)
    assert result.labels.shape == (64, 64)


def test_the_same_seed_gives_the_same_map_whatever_the_tiling_order(
    make_image: ImageFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, rough, model = town(make_image, 48, 72), square(48, 72), tiny_refiner()
    params = RefineParams(steps=2, seed=11)
    together = run(image, rough, model, params)
    monkeypatch.setattr(denoising, "BATCH", 1)
    one_by_one = run(image, rough, model, params)
    np.testing.assert_allclose(one_by_one.probabilities, together.probabilities, atol=2e-4)
    monkeypatch.setattr(denoising, "GUIDANCE_BYTES", 0)
    forgetful = run(image, rough, model, params)
    np.testing.assert_allclose(forgetful.probabilities, together.probabilities, atol=2e-4)
    other = run(image, rough, model, dataclasses.replace(params, seed=12))
    assert np.abs(other.probabilities - together.probabilities).max() > 0.05


def test_windows_leave_no_seam(make_image: ImageFactory) -> None:
    """Steps between neighbouring pixels are no larger where windows meet than elsewhere."""
    image = make_image(np.full((3, 96, 128), 90, np.uint8), crs=None)
    model = tiny_refiner(window_px=32)
    found = run(image, np.zeros((96, 128), np.uint8), model, RefineParams(steps=2, seed=2))
    steps = np.abs(np.diff(found.probabilities[1], axis=1)).mean(axis=0)
    edges = [23, 47, 71, 95]  # windows of 32 px lie every 24 px
    assert max(steps[edges]) < steps.mean() + 4 * steps.std()


def test_a_result_lies_on_the_images_grid_whatever_its_resolution(make_image: ImageFactory) -> None:
    image = town(make_image, 50, 70, resolution_m=0.2)
    image = dataclasses.replace(image, transform=image.transform @ image.transform.scale(0.4))
    result = run(image, square(50, 70), tiny_refiner(), RefineParams(steps=2))
    assert result.labels.shape == result.rough.shape == (50, 70)
    assert result.map_image.transform == image.transform
    assert any("resampled" in note for note in result.notes)
    np.testing.assert_allclose(result.probabilities.sum(axis=0), 1, atol=1e-3)


@pytest.mark.parametrize("value", [0, 1])
def test_a_rough_map_of_one_class_is_a_map(make_image: ImageFactory, value: int) -> None:
    rough = np.full((64, 64), value, np.uint8)
    result = run(town(make_image), rough, tiny_refiner(), RefineParams(steps=2))
    assert set(np.unique(result.labels)) <= {0, 1}


def test_where_image_or_rough_map_say_nothing_the_result_says_nothing(
    make_image: ImageFactory,
) -> None:
    valid = np.ones((64, 64), np.bool_)
    valid[:8] = False
    image = make_image(drawn_scene(4, 64, 64)[0], valid=valid)
    rough = square()
    rough[:, :6] = 255
    result = run(image, rough, tiny_refiner(), RefineParams(steps=2))
    nothing = ~valid | (rough == 255)
    assert np.array_equal(result.labels == 255, nothing)
    assert np.array_equal(result.rough == 255, nothing)
    assert not result.probabilities[:, nothing].any()


def test_samples_give_their_mean_and_where_they_differ(make_image: ImageFactory) -> None:
    image, rough, model = town(make_image), square(), tiny_refiner()
    draws = [run(image, rough, model, RefineParams(steps=2, seed=seed)) for seed in (5, 6)]
    both = run(image, rough, model, RefineParams(steps=2, seed=5, samples=2))
    mean = (draws[0].probabilities + draws[1].probabilities) / 2
    np.testing.assert_allclose(both.probabilities, mean, atol=1e-5)
    others = np.mean([each.probabilities.argmax(0) != both.labels for each in draws], axis=0)
    assert both.uncertainty is not None
    np.testing.assert_allclose(both.uncertainty, others)
    assert draws[0].uncertainty is None
    assert draws[0].uncertainty_image is None


def test_frames_are_moments_of_one_walk_and_the_last_is_the_map(make_image: ImageFactory) -> None:
    told: list[tuple[int, int]] = []
    result = run(
        town(make_image),
        square(),
        tiny_refiner(),
        RefineParams(steps=5, frames=3),
        lambda done, total, note: told.append((done, total)),
    )
    assert [frame.step for frame in result.frames] == [2, 3, 5]
    assert [frame.timestep for frame in result.frames] == sorted(
        (frame.timestep for frame in result.frames), reverse=True
    )
    assert np.array_equal(result.frames[-1].labels, result.labels)
    assert told == [(done, 5) for done in range(1, 6)]


@pytest.mark.parametrize(("steps", "frames", "kept"), [(20, 4, {5, 10, 15, 20}), (2, 9, {1, 2})])
def test_kept_steps_are_even_and_end_with_the_last(steps: int, frames: int, kept: set[int]) -> None:
    assert kept_steps(steps, frames) == kept
    assert kept_steps(steps, 0) == set()


def test_a_walk_can_be_stopped(make_image: ImageFactory) -> None:
    def stop(done: int, _total: int, _note: str) -> None:
        if done == 2:
            raise CancelledError("Stopped.")

    with pytest.raises(CancelledError):
        run(town(make_image), square(), tiny_refiner(), RefineParams(steps=4), stop)


def test_what_does_not_fit_is_refused(make_image: ImageFactory) -> None:
    image, model = town(make_image), tiny_refiner()
    with pytest.raises(CheckpointError, match="takes one image not for refine"):
        run(image, square(), cover_mapper())
    with pytest.raises(LabelError, match=r"\(32, 64\) and the image \(64, 64\)"):
        run(image, square(32, 64), model)
    with pytest.raises(LabelError, match="holds class 2; tiny-refiner refines 0 background"):
        run(image, square() * np.uint8(2), model)
    with pytest.raises(LabelError, match="no class anywhere"):
        run(image, np.full((64, 64), 255, np.uint8), model)
    for wrong in ({"steps": 0}, {"guidance": -1.0}, {"samples": 0}, {"frames": 99}, {"seed": -1}):
        with pytest.raises(ParameterError):
            RefineParams(**wrong)  # type: ignore[arg-type]  # one wrong value each


def known_result(
    make_image: ImageFactory, model: LoadedModel, rough: Labels, refined: Labels
) -> RefineResult:
    """A result with maps that were written by hand."""
    image = make_image(np.zeros((3, *rough.shape), np.uint8))
    found = run(image, rough, model, RefineParams(steps=1))
    return dataclasses.replace(found, labels=refined)


def test_repair_is_counted_as_worked_by_hand(make_image: ImageFactory) -> None:
    truth = np.array([[1, 1, 1, 1, 0, 0, 0, 255]], np.uint8).repeat(8, 0)
    rough = np.array([[1, 1, 0, 0, 1, 1, 0, 0]], np.uint8).repeat(8, 0)
    refined = np.array([[1, 0, 1, 0, 0, 1, 1, 1]], np.uint8).repeat(8, 0)
    result = known_result(make_image, tiny_refiner(), rough, refined)
    assert repair_codes(result, truth)[0].tolist() == [1, 4, 2, 3, 2, 3, 5, 255]
    report = repair_report(result, truth, k=0.5)
    assert [report[name] for name in COUNTS] == [8, 16, 16, 8, 8]  # kept, repaired, missed, ...
    # RT: 8 of 16 kept. RF: 8 found, 16 missed or falsely mapped. 1/3 - 0.5 (1 - 1/2).
    assert report["iou_imp"] == pytest.approx(1 / 3 - 0.25)
    assert "classes" not in report


def test_with_several_classes_a_pixel_is_right_or_wrong(make_image: ImageFactory) -> None:
    truth = np.array([[0, 1, 2, 2, 255, 0, 1, 2]], np.uint8).repeat(8, 0)
    rough = np.array([[0, 0, 2, 1, 0, 0, 1, 2]], np.uint8).repeat(8, 0)
    refined = np.array([[0, 1, 0, 0, 0, 0, 1, 2]], np.uint8).repeat(8, 0)
    result = known_result(make_image, cover_refiner(), rough, refined)
    assert repair_codes(result, truth)[0].tolist() == [1, 2, 4, 3, 255, 1, 1, 1]
    report = repair_report(result, truth)
    assert [row["name"] for row in report["classes"]] == ["building", "road", "water"]
    assert report["kept"] == sum(row["kept"] for row in report["classes"])


def test_the_report_scores_rough_and_refined_maps_side_by_side(make_image: ImageFactory) -> None:
    model, samples, roughs = tiny_refiner(), [], {}
    for seed in (1, 2):
        picture, truth = drawn_scene(seed, 48, 48)
        samples.append(Sample(f"tile{seed}", make_image(picture), truth, label_kind="binary"))
        roughs[f"tile{seed}"] = truth
    params = EvaluateRefineParams(RefineParams(steps=1), k=2.0)
    report = evaluate_refine(samples, model, lambda sample: roughs[sample.name], params)
    assert report["task"] == "refine"
    assert report["rough"]["target"]["f1"] == 1.0  # the truth itself was given as the rough map
    assert report["rough"]["boundary"]["wfm"] == pytest.approx(1.0)
    assert report["refined"]["target"] == report["target"]
    assert 0 <= report["refined"]["target"]["f1"] < 1
    repair = report["repair"]
    assert (repair["k"], repair["missed"], repair["repaired"]) == (2.0, 0, 0)
    assert repair["kept"] + repair["broken"] == sum(int(each.sum()) for each in roughs.values())
    assert repair["iou_imp"] is None  # nothing was wrong, so nothing could be repaired
    assert (report["steps"], report["guidance"], report["tiles"]) == (1, 2.0, 2)
    assert report["samples"] == 1


def test_the_walk_is_the_persons_else_the_cards_else_the_papers() -> None:
    card = tiny_refiner().card
    assert chosen_walk(RefineParams(), card) == (3, 2.0, 1)
    drawn = dataclasses.replace(card, sampling_draws=3)
    assert chosen_walk(RefineParams(), drawn).samples == 3
    assert chosen_walk(RefineParams(1, 0.5, samples=2), drawn) == (1, 0.5, 2)
    bare = dataclasses.replace(card, sampling_steps=None, guidance=None)
    assert chosen_walk(RefineParams(), bare) == (25, 3.0, 1)
    assert Walk(5, 3.0, 2).told(7) == "5 DDIM steps, guidance 3, seed 7, 2 sample(s)"


def test_a_rough_model_is_named_by_its_folder_too(
    make_image: ImageFactory, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = save_tiny(tmp_path_factory.mktemp("elsewhere"), segmenter())
    picture, truth = drawn_scene(1, 48, 48)
    sample = Sample("tile", make_image(picture), truth, label_kind="binary")
    plain, noisy = (
        open_rough(f"{folder}{at}", tiny_refiner(), device="cpu")(sample) for at in ("", "@900")
    )
    assert plain.shape == noisy.shape == (48, 48)
    assert set(np.unique(plain)) <= {0, 1}
    assert (plain != noisy).any()


def test_a_rough_model_of_other_classes_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("checkpoints")
    save_tiny(root, cover_mapper())
    monkeypatch.setenv("N2M_CHECKPOINTS", str(root))
    with pytest.raises(CheckpointError, match="refines background, building"):
        open_rough("tiny-cover", tiny_refiner(BUILDINGS))
    with pytest.raises(CheckpointError, match="no checkpoint 'nothing'"):
        open_rough("nothing", tiny_refiner())
