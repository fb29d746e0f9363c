from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from test_supervised import TINY, write_config, write_town

from n2m_core.errors import CheckpointError, ConfigError, DatasetError
from n2m_core.models.storing import load_network
from n2m_core.training.config import load_config
from n2m_core.training.loop import RunParams
from n2m_core.training.pretrain import PretrainConfig as Config
from n2m_core.training.pretrain import Pretrainer, pretrain
from n2m_core.training.sources import TileSource
from n2m_core.training.strict_yaml import read_strict
from n2m_core.training.supervised import Trainer

SOURCE = {"kind": "images", "name": "drawings", "licence": "CC0-1.0", "attribution": "nobody"}


def written(tmp_path: Path, changes: dict[str, Any] | None = None) -> Path:
    if not (tmp_path / "town").exists():
        write_town(tmp_path / "town")
    config = {
        "id": "tiny-denoise",
        "license": "CC0-1.0",
        "prediction": "sample",
        "network": {"variant": "compact", "overrides": TINY},
        "data": {
            "crop_px": 32,
            "resolution_range_m": [0.5, 0.5],
            "sources": [{**SOURCE, "root": str(tmp_path / "town"), "resolution_m": 0.5}],
        },
        "optimizer": {"steps": 60, "batch_size": 4, "learning_rate": 5e-3, "ema_decay": 0.8},
        "seed": 2,
    }
    path = tmp_path / "pretrain.yaml"
    path.write_text(yaml.safe_dump({**config, **(changes or {})}), encoding="utf-8")
    return path


def test_a_run_learns_to_denoise_and_training_starts_from_it(tmp_path: Path) -> None:
    summary = pretrain(written(tmp_path), RunParams(tmp_path / "run"), out=tmp_path / "out")
    assert (summary.steps, summary.finished) == (60, True)
    with (summary.folder / "curve.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < 0.7 * losses[0]
    record = json.loads((summary.folder / "pretraining.json").read_text())
    assert (record["samples"], record["data"][0]["tiles"]) == (240, 3)
    with Image.open(summary.folder / "samples.png") as sheet:
        assert sheet.size == (8 * 32, 32)
        assert np.asarray(sheet).std() > 0

    started = load_config(
        write_config(tmp_path, {"init_from": str(summary.folder), "validation": []})
    )
    trainer = Trainer(started, RunParams(tmp_path / "fine"))
    pretrained = load_network(summary.folder).state_dict()
    taken = trainer.model.state_dict()
    for name, value in taken.items():
        is_same = name in pretrained and torch.equal(value, pretrained[name])
        assert is_same != name.startswith("head.logits"), name


def test_both_predictions_have_their_own_target(tmp_path: Path) -> None:
    losses = {}
    for prediction in ("epsilon", "sample"):
        config = read_strict(written(tmp_path, {"prediction": prediction}), Config)
        trainer = Pretrainer(config, RunParams(tmp_path / prediction))
        with torch.no_grad():
            for parameter in trainer.model.parameters():
                parameter.zero_()
            losses[prediction] = float(trainer.loss(1.0))
    assert losses["epsilon"] == pytest.approx(1.0, abs=0.05)  # the variance of the noise
    images, _ = trainer.mixer.batch(64, np.random.default_rng(0))
    assert losses["sample"] == pytest.approx(float((images**2).mean()), rel=0.5)


def test_labels_below_the_folder_are_not_read_as_images(tmp_path: Path) -> None:
    config = read_strict(written(tmp_path), Config)
    trainer = Pretrainer(config, RunParams(tmp_path / "run"))
    (source,) = trainer.sources
    assert isinstance(source, TileSource)
    assert len(source.tiles) == 3  # and three masks beside them


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"prediction": "velocity"}, ConfigError, "one of epsilon, sample"),
        ({"network": {"backbone_from": "a/b"}}, ConfigError, "belongs to training"),
        ({"steps": 5}, ConfigError, "unknown keys: steps"),
        ({"optimizer": {"steps": 0, "batch_size": 2}}, ConfigError, "at least 1"),
        ({"optimizer": {"steps": 2, "batch_size": 0}}, ConfigError, "at least 1"),
    ],
)
def test_wrong_configurations_are_refused(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_strict(written(tmp_path, changes), Config)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ({"kind": "folder"}, ConfigError, "pretraining reads images and scenes"),
        ({"resolution_m": None}, ConfigError, "give its resolution_m"),
        ({"root": "nowhere"}, DatasetError, "is not a folder"),
    ],
)
def test_wrong_sources_are_refused(
    tmp_path: Path, source: dict[str, Any], error: type[Exception], message: str
) -> None:
    path = written(tmp_path)
    config = yaml.safe_load(path.read_text())
    config["data"]["sources"][0] |= source
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(error, match=message):
        Pretrainer(read_strict(path, Config), RunParams(tmp_path / "run"))


@pytest.mark.parametrize("wrong", [[0.5], [0.0, 0.5], [0.5, 0.3]])
def test_a_range_that_is_none_is_refused(tmp_path: Path, wrong: list[float]) -> None:
    path = written(tmp_path)
    config = yaml.safe_load(path.read_text())
    config["data"]["resolution_range_m"] = wrong
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(ConfigError, match="smallest, largest"):
        read_strict(path, Config)


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    with pytest.raises(CheckpointError, match=r"config\.json can't be read"):
        load_network(tmp_path / "broken")
