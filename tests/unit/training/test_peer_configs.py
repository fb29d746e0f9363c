"""The short study: the same data and the same budget for every network."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_config import CONFIGS, written

from n2m_core.errors import ConfigError
from n2m_core.models.network import PEERS
from n2m_core.models.peers.ddpm_cd import LEAN
from n2m_core.training.config import TrainConfig, load_config
from n2m_core.training.pretrain import PretrainConfig
from n2m_core.training.strict_yaml import read_strict

STUDY = {path.stem: load_config(path) for path in sorted((CONFIGS / "peers").glob("*.yaml"))}
TRIED = {p.stem: load_config(p) for p in sorted((CONFIGS / "peers" / "tried").glob("*.yaml"))}
OURS = {"segment": "starts/n2m-buildings-clean", "change": "starts/n2m-change-places"}
REFERENCE = {"segment": "n2m-buildings-short", "change": "n2m-change-short"}
SAME = (
    "task",
    "classes",
    "resolution_m",
    "data",
    "augment",
    "loss",
    "inference",
    "seed",
)


def blocks(config: TrainConfig, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(config, name) for name in names}


def test_every_design_is_in_the_study() -> None:
    tasks: dict[str, set[str]] = {"segment": set(), "change": set()}
    for config in STUDY.values():
        tasks[config.task].add(config.network.variant)
    assert tasks["segment"] == {"compact", "unet", "deeplabv3plus", "segformer", "upernet"}
    assert tasks["change"] == {"compact", "unet", "siamese-unet", "changeformer", "ddpm-cd"}
    assert tasks["segment"] | tasks["change"] == {"compact", *PEERS}


@pytest.mark.parametrize("name", STUDY)
def test_the_study_differs_in_the_network_alone(name: str) -> None:
    config = STUDY[name]
    reference = STUDY[REFERENCE[config.task]]
    assert blocks(config, SAME) == blocks(reference, SAME)
    assert config.optimizer == reference.optimizer
    assert config.optimizer.steps == 500
    assert config.init_from is None


@pytest.mark.parametrize("name", TRIED)
def test_what_was_tried_keeps_data_and_steps(name: str) -> None:
    config = TRIED[name]
    reference = STUDY[REFERENCE[config.task]]
    assert blocks(config, SAME) == blocks(reference, SAME)
    assert config.optimizer.steps == reference.optimizer.steps
    assert config.init_from in (None, "pretrained/n2m-denoise")
    assert config not in STUDY.values()


@pytest.mark.parametrize("name", REFERENCE.values())
def test_the_study_has_our_data_and_augmentation(name: str) -> None:
    config = STUDY[name]
    ours = load_config(CONFIGS / f"{OURS[config.task]}.yaml")
    shared = ("task", "classes", "resolution_m", "data", "augment", "loss", "seed")
    assert blocks(config, shared) == blocks(ours, shared)
    # A window is chosen for weights, by the rule on cuts.
    windowless = (dataclasses.replace(c.inference, window_px=None) for c in (config, ours))
    assert len(set(windowless)) == 1
    # The study is shorter, and what counts in steps with it; it learns with AdamW throughout, at
    # AdamW's rate.
    own = {"kind", "learning_rate", "steps", "warmup_steps", "ema_decay", "ease_in_steps"}
    assert {each.optimizer.kind for each in STUDY.values()} == {"adamw"}
    for field in dataclasses.fields(config.optimizer):
        if field.name not in own:
            assert getattr(config.optimizer, field.name) == getattr(ours.optimizer, field.name)


def test_the_frozen_denoiser_is_the_lean_one_on_our_data() -> None:
    lean = read_strict(CONFIGS / "pretrain" / "ddpm-cd-denoise.yaml", PretrainConfig)
    ours = read_strict(CONFIGS / "pretrain" / "n2m-denoise.yaml", PretrainConfig)
    assert lean.network.overrides == LEAN
    assert dataclasses.replace(lean, id=ours.id, network=ours.network) == ours
    assert STUDY["ddpm-cd-change"].network.backbone_from == f"pretrained/{lean.id}"


def test_another_seed_makes_another_run(tmp_path: Path) -> None:
    path = written(tmp_path)
    config = load_config(path, seed=2)
    assert (config.id, config.seed) == ("x-seed2", 2)
    assert dataclasses.replace(config, id="x", seed=0) == load_config(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": {"variant": "resnet"}}, "variant is 'resnet'; one of compact, paper, unet"),
        (
            {"network": {"variant": "unet"}, "noise": {"process": "gaussian"}},
            "knows no timestep, but noise.process is gaussian",
        ),
        ({"network": {"variant": "ddpm-cd"}}, "name the folder"),
        ({"network": {"variant": "unet", "backbone_from": "a/b"}}, "starts from random weights"),
    ],
)
def test_peers_are_refused_what_they_can_not_use(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(written(tmp_path, {"noise": {"process": "none"}, **changes}))


def test_a_peer_can_not_be_pretrained(tmp_path: Path) -> None:
    raw = yaml.safe_load((CONFIGS / "pretrain" / "n2m-denoise.yaml").read_text())
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump({**raw, "network": {"variant": "segformer"}}))
    with pytest.raises(ConfigError, match="segformer can't denoise"):
        read_strict(path, PretrainConfig)
