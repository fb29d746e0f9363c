"""The stand-ins of the published sets through `n2m train` and `n2m evaluate`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from published_sets import (
    write_aid,
    write_idgbr,
    write_levir,
    write_spacenet7,
    write_whu,
    write_xview2,
)
from typer.testing import CliRunner

from n2m_core import checkpoints
from n2m_core.cli import app
from n2m_core.errors import CheckpointError
from n2m_core.models.backbone import build_backbone
from n2m_core.models.noise2map import NetworkConfig, Noise2Map
from n2m_core.training.config import load_config
from n2m_core.training.supervised import RunParams, Trainer

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
TINY: dict[str, Any] = {
    "block_out_channels": [8, 8],
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
    "layers_per_block": 1,
    "attention_head_dim": 8,
    "norm_num_groups": 4,
}
COMPACT = {**TINY, "in_channels": 8, "out_channels": 8}


def write_config(folder: Path, layout: str, task: str, **changes: object) -> Path:
    source = {
        "kind": "dataset",
        "layout": layout,
        "split": "train",
        "root": str(folder / "data"),
        "name": layout,
        "licence": "CC0-1.0",
        "attribution": "nobody",
        "resolution_m": 1.0,
    }
    config = {
        "id": "tiny",
        "title": "Tiny",
        "task": task,
        "classes": [{"name": "rest", "color": "#cccccc"}, {"name": "new", "color": "#d55e00"}],
        "resolution_m": 1.0,
        "license": "CC0-1.0",
        "limits": "drawings",
        "network": {"variant": "compact", "overrides": COMPACT},
        "noise": {"process": "self" if task == "segment" else "swap"},
        "data": {"crop_px": 32, "resolution_range_m": [1.0, 1.0], "sources": [source]},
        "optimizer": {"steps": 1, "batch_size": 1},
        "loss": {"class_weights": [1.0, 3.0]},
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump({**config, **changes}), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("layout", "task", "write", "tiles"),
    [
        ("whu", "segment", write_whu, 2),
        ("whu", "change", write_whu, 1),
        ("xview2", "segment", write_xview2, 2),
        ("xview2", "change", write_xview2, 2),
        ("spacenet7", "segment", lambda root: write_spacenet7(root, months=1), 16),
        ("spacenet7", "change", lambda root: write_spacenet7(root, months=2), 16),
        ("levir-cd", "change", lambda root: write_levir(root, size=256), 1),
        ("idgbr-jsonl", "segment", write_idgbr, 2),
    ],
)
def test_a_published_set_trains_and_is_scored(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    layout: str,
    task: str,
    write: Callable[[Path], Path],
    tiles: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path / "out"))
    root = write(tmp_path / "data")
    config = write_config(tmp_path, layout, task)
    trained = CliRunner().invoke(app, ["train", str(config), "--device", "cpu", "--json"])
    assert trained.exit_code == 0, trained.output
    assert checkpoints.read_card("tiny").training.data[0].tiles == tiles
    words = ["evaluate", task, "--checkpoint", "tiny", "--dataset", layout, "--root", str(root)]
    scored = CliRunner().invoke(
        app, [*words, "--split", "train", "--resolution", "1", "--device", "cpu", "--json"]
    )
    assert scored.exit_code == 0, scored.output
    report = json.loads(scored.stdout)
    assert report["tiles"] == tiles
    assert report["classes"][1]["support"] > 0


def test_aid_teaches_a_backbone_that_training_starts_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path / "out"))
    monkeypatch.setenv("N2M_DATA", str(tmp_path))
    write_aid(tmp_path / "data" / "AID")
    own = yaml.safe_load((CONFIGS / "pretrain" / "aid-paper.yaml").read_text(encoding="utf-8"))
    own["network"] = {"variant": "compact", "overrides": COMPACT}
    own["data"]["crop_px"] = 32
    own["optimizer"] = {"steps": 1, "batch_size": 1}
    (tmp_path / "aid.yaml").write_text(yaml.safe_dump(own), encoding="utf-8")
    told = CliRunner().invoke(app, ["pretrain", "aid.yaml", "--device", "cpu", "--json"])
    assert told.exit_code == 0, told.output
    record = json.loads((tmp_path / "pretrained" / "aid-paper" / "pretraining.json").read_text())
    assert [each["tiles"] for each in record["data"]] == [3]

    root = write_whu(tmp_path / "data", size=64)
    config = write_config(tmp_path, "whu", "segment", init_from="pretrained/aid-paper")
    trained = CliRunner().invoke(app, ["train", str(config), "--device", "cpu", "--json"])
    assert trained.exit_code == 0, trained.output
    words = ["evaluate", "segment", "--checkpoint", "tiny", "--dataset", "whu", "--root", str(root)]
    scored = CliRunner().invoke(app, [*words, "--split", "train", "--device", "cpu", "--json"])
    assert scored.exit_code == 0, scored.output
    assert checkpoints.read_card("tiny").training.init_from == "pretrained/aid-paper"


def test_training_starts_from_a_backbone_folder(tmp_path: Path) -> None:
    write_whu(tmp_path / "data", size=64)
    torch.manual_seed(8)
    backbone = build_backbone("compact", COMPACT)
    backbone.unet.save_pretrained(tmp_path / "nets")
    network: dict[str, Any] = {"variant": "compact", "backbone_from": str(tmp_path / "nets")}
    config = load_config(write_config(tmp_path, "whu", "segment", network=network))
    trainer = Trainer(config, RunParams(tmp_path / "run"))
    for name, value in backbone.state_dict().items():
        torch.testing.assert_close(trainer.model.backbone.state_dict()[name], value)
    network["overrides"] = {"layers_per_block": 2}
    config = load_config(write_config(tmp_path, "whu", "segment", network=network))
    with pytest.raises(CheckpointError, match="leave network"):
        Trainer(config, RunParams(tmp_path / "run"))


def test_the_authors_weights_become_a_checkpoint_unchanged(tmp_path: Path) -> None:
    write_whu(tmp_path / "data", size=64)
    theirs = Noise2Map(NetworkConfig("paper", 3, 2, overrides=TINY))
    names = {"stem": "input_conv", "head": "output_conv", "backbone": ""}
    state = {}
    for name, value in theirs.state_dict().items():
        part, rest = name.split(".", 1)
        state[f"{names[part]}.{rest}".removeprefix(".")] = value
    torch.save(state, tmp_path / "best.pth")
    path = write_config(
        tmp_path,
        "whu",
        "segment",
        network={"variant": "paper", "overrides": TINY},
        init_from=str(tmp_path / "best.pth"),
        optimizer={"steps": 1, "batch_size": 1, "learning_rate": 0.0},
    )
    result = Trainer(load_config(path), RunParams(tmp_path / "run")).train()
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(result.model.state_dict()[name], value.half().float())
