from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_supervised import SOURCE, write_config
from tiny_models import BUILDINGS, save_tiny, segmenter, tiny_card
from tiny_refiners import TINY as REFINER

from n2m_core import checkpoints
from n2m_core.checkpoints import LoadedModel
from n2m_core.errors import ConfigError, ParameterError
from n2m_core.models.idgbr import Refiner
from n2m_core.models.network import NetworkConfig
from n2m_core.models.noise2map import Noise2Map
from n2m_core.training.kinds import REFINEMENT, kind_of
from n2m_core.training.loop import RunParams
from n2m_core.training.refine import RefineTrainer, draw_timesteps
from n2m_core.training.refine_config import load_refine_config
from n2m_core.training.refine_runner import train
from n2m_core.training.rough_maps import pack, unpack

CLASSES = [{"name": "background", "color": "#cccccc"}, {"name": "building", "color": "#d55e00"}]

TOWN = {"kind": "folder", "root": "town", **SOURCE}


def refining(tmp_path: Path, changes: dict[str, Any] | None = None) -> Path:
    source = {"kind": "folder", "root": str(tmp_path / "town"), **SOURCE}
    config: dict[str, Any] = {
        "task": "refine",
        "classes": CLASSES,
        "network": {"variant": "idgbr", "overrides": REFINER},
        "codec": {"steps": 30, "batch_size": 4},
        "diffusion": {"draws": 2, "weight": "velocity"},
        "inference": {"steps": 2, "window_px": 32},
        "data": {"crop_px": 32, "resolution_range_m": [0.5, 0.5], "sources": [source]},
        "optimizer": {
            "kind": "adamw",
            "steps": 6,
            "batch_size": 2,
            "learning_rate": 2e-3,
            "warmup_steps": 1,
            "ema_decay": 0.5,
        },
        "validation": [],
        **(changes or {}),
    }
    path = write_config(tmp_path, config)
    lines = path.read_text(encoding="utf-8").split("\n")
    kept, dropped = [], False
    for line in lines:
        if not line.startswith((" ", "-")):
            dropped = line.startswith(("loss:", "noise:"))
        if not dropped:
            kept.append(line)
    path.write_text("\n".join(kept), encoding="utf-8")
    return path


def test_a_run_leaves_a_checkpoint_that_loads_and_a_card_that_says_how(tmp_path: Path) -> None:
    validation = {"name": "town", "dataset": "folder", "root": str(tmp_path / "town")}
    path = refining(tmp_path, {"validation": [{**validation, "every": 6, "only": ["1"]}]})
    assert kind_of(path) is REFINEMENT
    run = RunParams(tmp_path / "runs" / "tiny")
    summary = train(path, run, checkpoints=tmp_path / "out")
    assert (summary.steps, summary.finished) == (6, True)
    card = checkpoints.read_card("tiny", root=tmp_path / "out")
    assert (card.task, card.schedule) == ("refine", "scaled_linear")
    assert (card.sampling_steps, card.guidance, card.window_px) == (2, 3.0, 32)
    loaded = checkpoints.load("tiny", device="cpu", root=tmp_path / "out")
    assert isinstance(loaded.model, Refiner)
    assert card.parameters == sum(each.numel() for each in loaded.model.parameters())
    with (summary.checkpoint / "validation.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert 0 < float(row["town_rough_f1"]) < 1
    assert {"town_refined_f1", "town_refined_wfm", "town_rough_wfm"} <= row.keys()


def test_a_broken_and_resumed_run_equals_an_unbroken_one(tmp_path: Path) -> None:
    config = load_refine_config(refining(tmp_path))
    whole = RefineTrainer(config, RunParams(tmp_path / "whole")).train()
    first = RefineTrainer(config, RunParams(tmp_path / "broken"))
    for _ in range(3):
        first.one_step()
    first.save_state()
    second = RefineTrainer(config, RunParams(tmp_path / "broken", resume=True)).train()
    assert second.steps == whole.steps == 6
    for name, value in whole.model.state_dict().items():
        # A tenth of one step: whatever was not restored would move weights by more.
        found = second.model.state_dict()[name]
        torch.testing.assert_close(found, value, rtol=0.0, atol=2e-4, msg=name)


def test_codec_and_trained_image_encoder_stay_while_the_rest_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path / "out"))
    torch.manual_seed(1)
    encoder = Noise2Map(NetworkConfig("compact", 3, 2, overrides=REFINER["image_encoder"]))
    card = tiny_card("encoder", "segment", BUILDINGS, "gaussian")
    save_tiny(tmp_path / "out", LoadedModel(card, encoder, torch.device("cpu")))
    own = {name: each for name, each in REFINER.items() if name != "image_encoder"}
    network = {"variant": "idgbr", "image_encoder_from": "encoder", "overrides": own}
    trainer = RefineTrainer(
        load_refine_config(refining(tmp_path, {"network": network})), RunParams(tmp_path / "run")
    )
    before = {name: each.clone() for name, each in trainer.model.state_dict().items()}
    trainer.train()
    after = trainer.model.state_dict()
    trunk = {name: each for name, each in after.items() if name.startswith("conditions.trunk.")}
    source = encoder.state_dict()
    for name, value in trunk.items():
        stored = source[name.removeprefix("conditions.trunk.")].half().float()
        assert torch.equal(value, stored), name
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert not any(name.startswith(("codec.", "conditions.trunk.")) for name in moved)
    assert {"fusions.0.query.weight", "conditions.from_image.0.0.weight"} <= moved


def test_an_image_encoder_of_other_levels_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path / "out"))
    save_tiny(tmp_path / "out", segmenter())
    own = {name: each for name, each in REFINER.items() if name != "image_encoder"}
    network = {"variant": "idgbr", "image_encoder_from": "tiny-buildings", "overrides": own}
    config = load_refine_config(refining(tmp_path, {"network": network}))
    with pytest.raises(ParameterError, match="2 levels from half the size"):
        RefineTrainer(config, RunParams(tmp_path / "run"))


def test_rough_maps_of_a_checkpoint_are_made_once_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path / "out"))
    save_tiny(tmp_path / "out", segmenter())
    rough = [{"checkpoint": "tiny-buildings", "sources": ["drawings"], "timesteps": [0]}]
    config = load_refine_config(refining(tmp_path, {"rough": rough, "model_share": 1.0}))
    trainer = RefineTrainer(config, RunParams(tmp_path / "runs" / "tiny"))
    (kept,) = (tmp_path / "runs" / "cache").glob("rough-*.npz")
    made = kept.stat().st_mtime_ns
    _, labels, drawn = trainer.batch(1.0)
    agree = float((labels == drawn).float().mean())
    assert 0.7 < agree < 1.0  # the network's own map: near the truth, and not the truth
    RefineTrainer(config, RunParams(tmp_path / "runs" / "tiny"))
    assert kept.stat().st_mtime_ns == made


def test_label_and_rough_map_share_a_byte() -> None:
    label = np.array([[0, 1, 14, 255]], np.uint8)
    rough = np.array([[14, 255, 0, 1]], np.uint8)
    packed = torch.from_numpy(pack(label, rough).astype(np.int64))[None]
    back = [part[0].numpy().tolist() for part in unpack(packed)]
    assert back == [label.tolist(), rough.tolist()]
    nothing = torch.from_numpy(pack(label, None).astype(np.int64))[None]
    assert unpack(nothing)[1].unique().tolist() == [255]


def test_timesteps_cover_the_range_evenly_or_prefer_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    uniform = draw_timesteps(1000, "uniform", generator)
    assert sorted((uniform // 100).bincount().tolist()) == [100] * 10
    cubic = draw_timesteps(4000, "cubic", generator).float()
    assert cubic.mean().item() == pytest.approx(750, abs=3)  # T (1 - 1/4)
    assert cubic.max() == 999


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": {"variant": "idgbr-paper"}}, "name its folder"),
        ({"network": {"stable_diffusion": "x"}}, "leave it out"),
        ({"rough": [{"checkpoint": "a", "sources": ["nowhere"]}]}, "source 'nowhere'"),
        ({"diffusion": {"condition_dropout": 1.5}}, "in 0..1"),
        ({"inference": {"steps": 0}}, "inference.steps is 0"),
        ({"classes": CLASSES[:1]}, "1 classes"),
        ({"data": {"crop_px": 32, "resolution_range_m": [2, 1], "sources": [TOWN]}}, "smallest"),
        ({"diffusion": {"timesteps": "linear"}}, "uniform, cubic"),
    ],
)
def test_wrong_entries_are_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_refine_config(refining(tmp_path, changes))
