from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from test_config import CONFIGS
from test_supervised import SOURCE, write_config
from tiny_multitask import both_network
from torch import nn

from n2m_core import checkpoints
from n2m_core.cli import learning
from n2m_core.errors import ConfigError
from n2m_core.models import storing
from n2m_core.training import runner
from n2m_core.training.config import load_config
from n2m_core.training.loop import RunParams
from n2m_core.training.multitask import (
    LossBalance,
    MultiTaskTrainer,
    is_multitask,
    load_multitask,
    load_part,
    train_multitask,
)

CHANGES = ("same", "built", "demolished")
SMALL = {
    "attention_head_dim": 4,
    "in_channels": 8,
    "out_channels": 8,
    "block_out_channels": [8, 8],
    "norm_num_groups": 4,
    "down_block_types": ["DownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "UpBlock2D"],
    "layers_per_block": 1,
}


@pytest.fixture(autouse=True)
def few_crops_for_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "STATISTIC_CROPS", 8)


def write_both(tmp_path: Path, changes: dict[str, Any] | None = None) -> Path:
    """Write a configuration of both tasks beside those of the tasks."""
    crops = {"crop_px": 24, "resolution_range_m": [0.5, 0.5]}
    town = {"kind": "folder", "root": str(tmp_path / "town"), **SOURCE}
    single: dict[str, object] = {"data": {**crops, "sources": [town]}}
    write_config(tmp_path, single).rename(tmp_path / "segment.yaml")
    source = {"kind": "label_pairs", "root": str(tmp_path / "town"), **SOURCE, "name": "pairs"}
    pairs: dict[str, object] = {
        "task": "change",
        "title": "Pairs",
        "classes": [{"name": name, "color": "#000000"} for name in CHANGES],
        "loss": {"class_weights": [1.0, 2.0, 2.0]},
        "noise": {"process": "swap", "timestep_power": 5.0},
        "inference": {"timestep": 0, "mix": True},
        "data": {**crops, "crop_px": 32, "sources": [source, {**source, "name": "more pairs"}]},
        "validation": [],
    }
    write_config(tmp_path, pairs).rename(tmp_path / "change.yaml")
    config = {
        "id": "both",
        "title": "both",
        "tasks": {"segment": "segment.yaml", "change": "change.yaml"},
        "license": "CC0-1.0",
        "limits": "drawings",
        "network": {"variant": "compact", "overrides": SMALL},
        "optimizer": {"steps": 40, "batch_size": 2, "learning_rate": 2e-2, "ema_decay": 0.8,
                      "warmup_steps": 5},
        "seed": 3,
    }  # fmt: skip
    path = tmp_path / "both.yaml"
    path.write_text(yaml.safe_dump({**config, **(changes or {})}), encoding="utf-8")
    return path


def test_a_run_learns_both_tasks_and_leaves_one_checkpoint(tmp_path: Path) -> None:
    path = write_both(tmp_path)
    run = RunParams(tmp_path / "runs" / "both")
    summary = train_multitask(path, run, checkpoints=tmp_path / "out")
    assert (summary.steps, summary.finished) == (40, True)
    one, pair = checkpoints.read_cards("both", root=tmp_path / "out")
    assert (one.title, pair.title) == ("both: Tiny", "both: Pairs")
    assert (one.noise_process, pair.noise_process) == ("gaussian", "swap")
    assert (len(one.classes), len(pair.classes)) == (2, 3)
    assert (one.window_px, pair.window_px) == (24, 32)
    assert (one.mix_at_inference, pair.mix_at_inference) == (False, True)
    assert [credit.name for credit in one.training.data] == ["drawings"]
    assert [credit.name for credit in pair.training.data] == ["pairs", "more pairs"]
    assert pair.gflop_per_tile > 1.5 * one.gflop_per_tile > 0
    assert "shared with the other task" in one.backbone
    for card in (one, pair):
        loaded = checkpoints.load("both", card.task, device="cpu", root=tmp_path / "out")
        assert card.parameters == sum(p.numel() for p in loaded.model.parameters())
    with (summary.checkpoint / "curve.csv").open() as file:
        first, *_, last = csv.DictReader(file)
    assert float(last["loss_segment"]) < float(first["loss_segment"])
    assert float(last["loss_change"]) < float(first["loss_change"])
    assert float(last["weight_segment"]) != pytest.approx(1.0, abs=1e-3)
    with (summary.checkpoint / "validation.csv").open() as file:
        (score,) = csv.DictReader(file)
    assert (score["step"], 0 <= float(score["town_f1"]) <= 1) == ("30", True)


def test_the_command_knows_configurations_of_both_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_both(tmp_path, {"optimizer": {"steps": 1, "batch_size": 1}})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path / "out"))
    learning.train(path, seed=4, device="cpu", is_json=True)
    assert json.loads(capsys.readouterr().out)["checkpoint"] == "both-seed4"
    assert [card.task for card in checkpoints.read_cards("both-seed4")] == ["segment", "change"]


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_a_broken_and_resumed_run_equals_an_unbroken_one(tmp_path: Path, kind: str) -> None:
    steps = {"kind": kind, "steps": 4, "batch_size": 1, "warmup_steps": 1}
    config = load_multitask(write_both(tmp_path, {"optimizer": steps}))
    whole = MultiTaskTrainer(config, tmp_path, RunParams(tmp_path / "whole"))
    learned = whole.train().model.state_dict()

    first = MultiTaskTrainer(config, tmp_path, RunParams(tmp_path / "broken"))
    for _ in range(2):
        first.one_step()
    first.save_state()
    second = MultiTaskTrainer(config, tmp_path, RunParams(tmp_path / "broken", resume=True))
    for name, value in second.train().model.state_dict().items():
        torch.testing.assert_close(learned[name], value, msg=name)
    assert second.balance.weights == pytest.approx(whole.balance.weights)
    assert second.balance.weights["segment"] != 1.0


def test_a_balance_comes_to_rest_within_a_short_run_at_a_networks_rate(tmp_path: Path) -> None:
    """Without its own rate s could move by the sum of the schedule, here .04, and no more."""
    steps = {"steps": 100, "batch_size": 1, "learning_rate": 8e-4, "warmup_steps": 1}
    config = load_multitask(write_both(tmp_path, {"optimizer": steps}))
    trainer = MultiTaskTrainer(config, tmp_path, RunParams(tmp_path / "run"))
    losses = {"segment": torch.tensor(0.25), "change": torch.tensor(0.5)}
    trainer.loss = lambda strength: trainer.balance(losses)  # type: ignore[method-assign]  # known
    for _ in range(100):
        trainer.one_step()
    assert trainer.balance.weights["segment"] == pytest.approx(2.0, rel=0.1)
    assert trainer.balance.weights["change"] == pytest.approx(1.0, rel=0.1)


def test_fixed_weights_multiply_the_losses_and_stay() -> None:
    balance = LossBalance({"segment": 2.0, "change": 0.5}, is_learned=False)
    total = balance({"segment": torch.tensor(3.0), "change": torch.tensor(4.0)})
    assert float(total) == pytest.approx(2 * 3 + 0.5 * 4)
    assert not any(p.requires_grad for p in balance.parameters())


def test_learned_weights_follow_the_losses() -> None:
    """Sum of L exp(-s) + s / 2 is least where exp(-s) = 1 / (2 L)."""
    balance = LossBalance({"segment": 1.0, "change": 1.0}, is_learned=True)
    losses = {"segment": torch.tensor(0.5), "change": torch.tensor(0.125)}
    optimizer = torch.optim.SGD(balance.parameters(), lr=0.5)
    for _ in range(200):
        optimizer.zero_grad()
        balance(losses).backward()
        optimizer.step()
    assert balance.weights == pytest.approx({"segment": 1.0, "change": 4.0}, rel=1e-3)


def test_a_run_starts_from_weights_of_one_task(tmp_path: Path) -> None:
    network = both_network()
    choice = {"variant": "compact", "overrides": network.config.overrides}
    config = load_multitask(write_both(tmp_path, {"network": choice}))
    storing.save_network(
        tmp_path / "single", network.of_images, storing.fp16_weights(network.of_images)
    )
    started = dataclasses.replace(config, init_from=str(tmp_path / "single"))
    trainer = MultiTaskTrainer(started, tmp_path, RunParams(tmp_path / "run"))
    model: nn.Module = trainer.model
    for name, value in network.of_images.state_dict().items():
        if not name.startswith("head"):
            torch.testing.assert_close(
                model.state_dict()[name], value, atol=1e-3, rtol=1e-3, msg=name
            )
    assert trainer.exercises["change"].config.init_from == str(tmp_path / "single")


def test_a_source_can_be_left_out(tmp_path: Path) -> None:
    config = load_multitask(write_both(tmp_path, {"leave_out": ["more pairs"]}))
    assert [s.name for s in config.part("change", tmp_path).data.sources] == ["pairs"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": {"variant": "unet"}}, "Network unet learns one task"),
        ({"balance": {"kind": "fixed", "segment": 0.0}}, "must be above 0"),
        ({"init_from": "a", "network": {"backbone_from": "b"}}, "Give one of them"),
        ({"tasks": {"segment": "change.yaml", "change": "change.yaml"}}, "which is for change"),
        ({"leave_out": ["no such"]}, "leave_out names no such"),
        ({"task": "segment"}, "unknown keys: task"),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write_both(tmp_path, changes)
    with pytest.raises(ConfigError, match=message):
        train_multitask(path, RunParams(tmp_path / "run"), checkpoints=tmp_path / "out")


def test_a_task_can_be_read_from_either_kind_of_file(tmp_path: Path) -> None:
    path = write_both(tmp_path)
    assert is_multitask(path)
    assert not is_multitask(tmp_path / "segment.yaml")
    assert load_part(path, "change").noise == load_config(tmp_path / "change.yaml").noise
    assert load_part(path, "change").id == "both"
    assert load_part(tmp_path / "segment.yaml", "segment").id == "tiny"
    assert load_multitask(path, seed=7).id == "both-seed7"


def test_what_one_task_is_validated_on_the_other_does_not_learn_from() -> None:
    """The shipped configuration: places of validation are no source of either task."""
    path = CONFIGS / "n2m-multitask.yaml"
    parts = [load_part(path, task) for task in ("segment", "change")]
    roots = {source.root for part in parts for source in part.data.sources}
    assert roots.isdisjoint(wanted.root for part in parts for wanted in part.validation)
    assert len(parts[1].data.sources) == 5
