"""The one-pass refiner: a network that is shown the rough map beside the image."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rasters import ImageFactory
from test_config import written
from test_supervised import write_config, write_town
from tiny_models import drawn_scene, untrained_network

from n2m_core import checkpoints
from n2m_core.checkpoints import LoadedModel
from n2m_core.corruption import corrupt
from n2m_core.errors import BandError, CheckpointError, ConfigError, LabelError, ParameterError
from n2m_core.models.building import build
from n2m_core.models.network import NetworkConfig
from n2m_core.tasks import segment
from n2m_core.tasks.one_pass import refine_once, rough_planes, with_rough
from n2m_core.training.config import load_config
from n2m_core.training.loop import RunParams
from n2m_core.training.runner import train
from n2m_core.training.supervised import Trainer, take_weights

ONE_PASS: dict[str, Any] = {"noise": {"process": "none"}, "rough": {"kinds": [1, 4]}}


@pytest.fixture(scope="module")
def refiner(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """A tiny refiner, trained for a moment on pictures that show nothing but the rough map."""
    folder = tmp_path_factory.mktemp("one_pass")
    write_town(folder / "town")
    for path in (folder / "town" / "images").iterdir():
        Image.new("RGB", (96, 96), (120, 110, 100)).save(path)
    steps = {"steps": 30, "batch_size": 4, "learning_rate": 1e-2, "warmup_steps": 3}
    config = write_config(folder, {**ONE_PASS, "optimizer": {**steps, "ema_decay": 0.8}})
    train(config, RunParams(folder / "run"), checkpoints=folder / "out")
    with (folder / "run" / "validation.csv").open() as file:
        assert [float(row["town_f1"]) > 0.6 for row in csv.DictReader(file)] == [True]
    return checkpoints.load("tiny", device="cpu", root=folder / "out")


def test_the_card_names_what_the_network_is_shown(refiner: LoadedModel) -> None:
    bands = ("red", "green", "blue", "rough ground", "rough roof")
    assert refiner.card.bands == bands
    assert refiner.card.takes_rough
    assert not replace(refiner.card, bands=bands[:3]).takes_rough
    assert refiner.model.config.in_channels == 5
    assert len(refiner.card.image_statistics.mean) == 3


def test_a_map_follows_the_rough_map_that_is_shown(
    refiner: LoadedModel, make_image: ImageFactory
) -> None:
    truth = drawn_scene(11, 100, 120)[1]
    image = make_image(np.full((3, 100, 120), 110, np.uint8))
    rough = corrupt(truth.astype(np.int64), 2, np.random.default_rng(3))
    result = refine_once(image, rough, refiner)
    assert result.image is image
    assert result.labels.shape == (100, 120)
    inside = truth == 1
    assert result.labels[inside].mean() > 0.6
    assert result.labels[~inside].mean() < 0.1
    assert not refine_once(image, np.zeros_like(rough), refiner).labels.any()
    # A rough map of one class, or of nothing, has no look to warn of.
    for value in (1, 255):
        plain = refine_once(image, np.full_like(rough, value), refiner)
        assert plain.notes == result.notes


def test_what_does_not_fit_is_refused(refiner: LoadedModel, make_image: ImageFactory) -> None:
    image = make_image(drawn_scene(11, 64, 64)[0])
    rough = np.zeros((64, 64), np.uint8)
    with pytest.raises(LabelError, match=r"shape \(64, 60\) and the image \(64, 64\)"):
        refine_once(image, rough[:, :60], refiner)
    with pytest.raises(BandError, match=r"needs 5 .*rough roof"):
        segment.run(image, refiner)
    with pytest.raises(BandError, match=r"needs 3 \(red, green, blue\)"):
        refine_once(make_image(image.pixels[:2]), rough, refiner)


def test_a_network_of_images_alone_is_refused(
    refiner: LoadedModel, make_image: ImageFactory
) -> None:
    plain = replace(refiner, card=replace(refiner.card, bands=("red", "green", "blue")))
    with pytest.raises(CheckpointError, match="takes red, green, blue and no rough map"):
        refine_once(make_image(), np.zeros((40, 50), np.uint8), plain)


def test_a_rough_map_is_drawn_as_bands(make_image: ImageFactory) -> None:
    rough = np.array([[0, 2, 255], [1, 1, 0]], np.uint8)
    planes = rough_planes(rough, 3)
    assert planes.tolist() == [
        [[255, 0, 0], [0, 0, 255]],
        [[0, 0, 0], [255, 255, 0]],
        [[0, 255, 0], [0, 0, 0]],
    ]
    pixels = np.arange(18, dtype=np.uint8).reshape(3, 2, 3) * 14
    shown = with_rough(make_image(pixels), rough, ("a", "b", "c"))
    np.testing.assert_array_equal(shown.pixels, np.concatenate([pixels, planes]))
    assert shown.band_names[3:] == ("rough a", "rough b", "rough c")
    sixteen = with_rough(make_image(pixels.astype(np.uint16) * 100), rough, ("a", "b", "c"))
    assert sixteen.pixels.dtype == np.uint8
    np.testing.assert_array_equal(sixteen.pixels[3:], planes)
    assert np.ptp(sixteen.pixels[:3]) == 255


def test_a_batch_shows_a_corrupted_truth(tmp_path: Path) -> None:
    config = load_config(write_config(tmp_path, ONE_PASS))
    trainer = Trainer(config, RunParams(tmp_path / "run"))
    shown, labels = trainer.exercise.batch(trainer.options.batch_size, trainer.rng, 1.0)
    assert shown.shape == (4, 5, 48, 48)
    rough = shown[:, 3:]
    assert set(rough.unique().tolist()) == {-1.0, 1.0}
    torch.testing.assert_close(rough.sum(1), torch.zeros(4, 48, 48))  # one class a pixel
    agreement = float((rough.argmax(1) == labels).float().mean())
    assert 0.5 < agreement < 1
    second = Trainer(config, RunParams(tmp_path / "run"))
    again = second.exercise.batch(second.options.batch_size, second.rng, 1.0)
    torch.testing.assert_close(again[0], shown)


def test_weights_of_images_alone_make_nothing_of_the_rough_map_at_first() -> None:
    plain = untrained_network("segment", 2)
    settings = plain.config
    wider = build(NetworkConfig("compact", 5, 2, overrides=settings.overrides)).eval()
    taken, tensors = take_weights(wider, plain, added_bands=2)
    assert taken == tensors
    image, rough = torch.rand(1, 3, 32, 32), torch.rand(2, 2, 32, 32)
    t = torch.zeros(1, dtype=torch.int64)
    with torch.no_grad():
        wanted = plain.eval()(image, t)
        for each in rough.split(1):
            torch.testing.assert_close(wider(torch.cat([image, each], 1), t), wanted)


def test_another_number_of_classes_leaves_the_last_layer_as_it_was() -> None:
    plain = untrained_network("segment", 2)
    wider = build(NetworkConfig("compact", 8, 5, overrides=plain.config.overrides))
    before = {name: value.clone() for name, value in wider.head.state_dict().items()}
    taken, tensors = take_weights(wider, plain, added_bands=5)
    kept = [n for n, v in wider.head.state_dict().items() if torch.equal(v, before[n])]
    assert sorted(kept) == ["logits.bias", "logits.weight"]
    assert taken == tensors - 2


def test_wrong_configurations_are_refused(tmp_path: Path) -> None:
    for changes in ({"noise": {"process": "gaussian"}}, {"task": "change"}):
        with pytest.raises(ConfigError, match="A rough map is refined for task segment"):
            load_config(written(tmp_path, {**ONE_PASS, **changes}))
    with pytest.raises(ConfigError, match="CorruptionParams or nothing is wanted"):
        load_config(written(tmp_path, {**ONE_PASS, "rough": {"holy": [1, 2]}}))
    with pytest.raises(ParameterError, match="Corruption holes"):
        load_config(written(tmp_path, {**ONE_PASS, "rough": {"holes": [2]}}))
