from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from test_pretrain import written as pretraining
from test_supervised import SOURCE, write_config
from tiny_peers import TINY_DENOISER, TINY_SETTINGS

from n2m_core import checkpoints
from n2m_core.errors import CheckpointError, ConfigError
from n2m_core.models import storing
from n2m_core.models.network import PeerName
from n2m_core.models.peers.ddpm_cd import FrozenFeatureDetector
from n2m_core.training.config import load_config
from n2m_core.training.loop import RunParams
from n2m_core.training.pretrain import pretrain
from n2m_core.training.runner import train
from n2m_core.training.supervised import Trainer

STEPS = {"steps": 4, "batch_size": 4, "warmup_steps": 1, "ema_decay": 0.5, "learning_rate": 1e-2}


def peer(name: PeerName, **choice: object) -> dict[str, Any]:
    return {
        "network": {"variant": name, "overrides": TINY_SETTINGS[name], **choice},
        "noise": {"process": "none"},
        "optimizer": STEPS,
        "validation": [],
    }


def change(tmp_path: Path) -> dict[str, Any]:
    source = {"kind": "label_pairs", "root": str(tmp_path / "town"), **SOURCE}
    return {
        "task": "change",
        "classes": [{"name": n, "color": "#000000"} for n in ("same", "built", "demolished")],
        "loss": {"class_weights": [1.0, 1.0, 1.0]},
        "data": {"crop_px": 32, "resolution_range_m": [0.5, 0.5], "sources": [source]},
    }


def segment(tmp_path: Path) -> dict[str, Any]:
    source = {"kind": "folder", "root": str(tmp_path / "town"), **SOURCE}
    return {"data": {"crop_px": 64, "resolution_range_m": [0.4, 0.6], "sources": [source]}}


@pytest.mark.parametrize(
    ("name", "task", "design"),
    [
        ("deeplabv3plus", "segment", "DeepLabV3+"),
        ("segformer", "segment", "SegFormer"),
        ("changeformer", "change", "ChangeFormer"),
    ],
)
def test_a_peer_trains_and_its_checkpoint_loads(
    tmp_path: Path, name: PeerName, task: str, design: str
) -> None:
    data = change(tmp_path) if task == "change" else segment(tmp_path)
    path = write_config(tmp_path, {**peer(name), **data})
    summary = train(path, RunParams(tmp_path / "run"), checkpoints=tmp_path / "out", seed=2)
    assert (summary.steps, summary.finished) == (4, True)
    loaded = checkpoints.load("tiny-seed2", device="cpu", root=tmp_path / "out")
    card = loaded.card
    assert (card.training.seed, card.noise_process) == (2, "none")
    assert design in card.backbone
    assert card.parameters == sum(each.numel() for each in loaded.model.parameters())
    counters = [v for k, v in loaded.model.state_dict().items() if k.endswith("batches_tracked")]
    assert all(v.dtype == torch.int64 and 0 < v <= 4 for v in counters)


def test_batch_statistics_are_part_of_a_resumed_run(tmp_path: Path) -> None:
    config = load_config(write_config(tmp_path, {**peer("deeplabv3plus"), **segment(tmp_path)}))
    whole = Trainer(config, RunParams(tmp_path / "whole")).train()
    first = Trainer(config, RunParams(tmp_path / "broken"))
    first.one_step()
    first.one_step()
    first.save_state()
    second = Trainer(config, RunParams(tmp_path / "broken", resume=True)).train()
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(second.model.state_dict()[name], value, msg=name)


def test_batch_statistics_are_averaged_like_the_weights(tmp_path: Path) -> None:
    config = load_config(write_config(tmp_path, {**peer("deeplabv3plus"), **segment(tmp_path)}))
    trainer = Trainer(config, RunParams(tmp_path / "run"))
    key = "low.1.running_mean"
    seen = []
    for _ in range(3):
        trainer.one_step()
        seen.append(trainer.model.state_dict()[key].clone())
    expected = 0.25 * seen[0] + 0.25 * seen[1] + 0.5 * seen[2]
    torch.testing.assert_close(trainer.average.module.state_dict()[key], expected)


def test_frozen_features_come_from_pretraining_and_stay(tmp_path: Path) -> None:
    short = {
        "optimizer": {"steps": 2, "batch_size": 2},
        "network": {"variant": "compact", "overrides": TINY_DENOISER},
    }
    pretrained = pretrain(
        pretraining(tmp_path, short), RunParams(tmp_path / "pre"), out=tmp_path / "pretrained"
    )
    chosen = {"overrides": {}, "backbone_from": str(pretrained.folder)}
    path = write_config(tmp_path, {**peer("ddpm-cd", **chosen), **change(tmp_path)})
    trainer = Trainer(load_config(path), RunParams(tmp_path / "other"))
    model = trainer.model
    assert isinstance(model, FrozenFeatureDetector)
    learned = {id(each) for group in trainer.optimizer.param_groups for each in group["params"]}
    assert learned == {id(each) for each in model.head.parameters()}

    train(path, RunParams(tmp_path / "run"), checkpoints=tmp_path / "out")
    denoiser = storing.load_network(pretrained.folder).state_dict()
    (tmp_path / "pretrained").rename(tmp_path / "gone")
    loaded = checkpoints.load("tiny", device="cpu", root=tmp_path / "out")
    assert isinstance(loaded.model, FrozenFeatureDetector)
    for key, value in loaded.model.denoiser.state_dict().items():
        torch.testing.assert_close(value, denoiser[key], rtol=0, atol=0, msg=key)
    assert loaded.card.training.init_from == str(pretrained.folder)
    config = json.loads((tmp_path / "out" / "tiny" / "config.json").read_text())
    assert config["overrides"]["denoiser"]["overrides"]["block_out_channels"] == [8, 16]


def test_weights_of_noise2map_fit_no_peer(tmp_path: Path) -> None:
    write_config(tmp_path)
    path = write_config(tmp_path, {**peer("unet"), **segment(tmp_path), "init_from": "w.pth"})
    with pytest.raises(ConfigError, match=r"w\.pth holds weights of Noise2Map"):
        Trainer(load_config(path), RunParams(tmp_path / "run"))
    raw = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**raw, "init_from": "n2m-buildings"}))
    with pytest.raises(CheckpointError, match="fit this network nowhere"):
        Trainer(load_config(path), RunParams(tmp_path / "run"))
