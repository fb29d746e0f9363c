"""The study's ranking, its page and its measures; the full-size comparison."""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import drawn_scene, save_tiny, segmenter

from n2m_core import checkpoints
from n2m_core.lineage import TrainingStage
from n2m_core.tasks import peer_tables
from n2m_core.training.config import load_config
from n2m_core.training.pretrain import PretrainConfig
from n2m_core.training.strict_yaml import digest_of, read_strict

ROOT = Path(__file__).resolve().parents[2]
KEYS = ("mean_f1", "mean_iou", "target_f1", "target_iou", "boundary_iou")


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.peers")


def save_studied(root: Path, config: str, seeds: tuple[int, ...]) -> None:
    for seed in seeds:
        folder = save_tiny(root, segmenter())
        card = checkpoints.read_card("tiny-buildings", root=root)
        record = dataclasses.replace(card.training, config=config, seed=seed)
        card = dataclasses.replace(card, id=f"tiny-seed{seed}", training=record)
        (folder / "card.json").write_text(card.to_json())
        folder.rename(root / card.id)


def test_rank_is_by_mean_f1_and_iou_breaks_ties() -> None:
    scores = {"a": (0.7, 0.5), "b": (0.8, 0.6), "c": (0.7, 0.55), "d": (0.70001, 0.5)}
    assert peer_tables.ranked(scores) == {"b": 1, "c": 2, "a": 3, "d": 3}


def test_memory_is_what_is_held_at_once(peers: ModuleType) -> None:
    def call() -> None:
        first = torch.empty(1 << 18)
        second = torch.empty(1 << 18)
        del first
        third = torch.empty(1 << 17)
        del second, third

    call()
    assert peers.peak_bytes(call) == 2 * 4 * (1 << 18)


def test_checkpoints_of_the_study_are_grouped_by_configuration(
    peers: ModuleType, tmp_path: Path
) -> None:
    save_studied(tmp_path, "peers/unet-buildings.yaml", (2, 1))
    save_studied(tmp_path, "configs/n2m-buildings.yaml", (7,))
    groups = peers.studied(tmp_path)
    assert list(groups) == ["unet-buildings"]
    assert [card.training.seed for card in groups["unet-buildings"]] == [1, 2]


def test_what_was_tried_names_the_network_that_it_changes(peers: ModuleType) -> None:
    assert peers.changed("n2m-buildings-no-noise") == "n2m-buildings-short"
    assert peers.changed("upernet-buildings-muon") == "upernet-buildings"
    assert peers.changed("upernet-buildings") == ""


def test_the_study_is_measured_and_told_on_its_page(
    peers: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_studied(tmp_path / "out", "peers/unet-buildings.yaml", (1, 2))
    for folder in ("images", "masks"):
        (tmp_path / "town" / folder).mkdir(parents=True)
    picture, truth = drawn_scene(5, 96, 96)
    Image.fromarray(picture.transpose(1, 2, 0)).save(tmp_path / "town" / "images" / "a.png")
    Image.fromarray((truth * 255).astype(np.uint8)).save(tmp_path / "town" / "masks" / "a.png")
    monkeypatch.setenv("N2M_DATA", str(tmp_path))
    town = peers.Measurement("town", "segment", "$N2M_DATA/town", "--dataset folder")
    monkeypatch.setattr(peers, "SETS", (town,))
    monkeypatch.setattr(peers, "RESULTS", tmp_path / "peers.json")
    assert peers.main([str(tmp_path / "out")]) == 0
    (network,) = json.loads((tmp_path / "peers.json").read_text())["networks"]
    assert network["seeds"] == [1, 2]
    assert network["tried"] == ""
    assert network["seconds_per_tile"] > 0
    assert network["peak_mb"] > 256 * 256 * 4 / 1e6
    (scores,) = network["sets"]
    assert scores["commands"][1] == (
        "n2m evaluate segment --checkpoint tiny-seed2 --root $N2M_DATA/town --dataset folder --json"
    )
    assert scores["scores"].keys() == set(KEYS)
    assert all(0 <= value <= 1 for values in scores["scores"].values() for value in values)


def test_seeds_measured_before_stay_beside_new_ones(
    peers: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def network(name: str, seeds: list[int], f1: list[float], digest: str = "") -> dict[str, Any]:
        sets = [{"name": "town", "commands": seeds, "scores": dict.fromkeys(KEYS, f1)}]
        one_a_seed = {"steps": seeds, "training_minutes": seeds}
        return {"name": name, "seeds": seeds, "sets": sets, "config_sha256": digest, **one_a_seed}

    monkeypatch.setattr(peers, "config_digest", lambda name: "")
    former = [network("a", [1, 3], [0.1, 0.3]), network("b", [1], [0.5]), network("c", [1], [0.6])]
    former[2]["config_sha256"] = "of another configuration"
    first, kept = peers.joined([network("a", [2, 3], [0.2, 0.9])], former)
    assert (first["name"], first["seeds"], first["steps"]) == ("a", [1, 2, 3], [1, 2, 3])
    assert first["sets"][0]["scores"]["mean_f1"] == [0.1, 0.2, 0.9]
    assert first["sets"][0]["commands"] == [1, 2, 3]
    assert kept == former[1]


def test_an_empty_folder_is_no_study(
    peers: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert peers.main([str(tmp_path)]) == 1
    assert "holds no checkpoint" in capsys.readouterr().out
    assert peers.main([]) == 1


def test_full_sizes_are_compared_within_one_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    full = importlib.import_module("benchmarks.full_size")
    assert [
        round(full.size(full.DESIGNS[name])["parameters"] / 1e6, 1) for name in full.DESIGNS
    ] == [
        113.7,
        437.5,
    ]
    ours = {"median_s": 2.0, "parameters": 10, "gflop_per_tile": 5.0}
    other = {"median_s": 27.0, "parameters": 38, "gflop_per_tile": 80.0}
    assert full.compared({"Noise2Map": ours, "DDPM-CD": other}) == {
        "faster": 13.5,
        "smaller": 3.8,
        "less_arithmetic": 16.0,
    }

    class Small(torch.nn.Module):
        def forward(self, pair: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.avg_pool2d(pair, 2)

    monkeypatch.setattr(full, "RESULTS", tmp_path / "full_size.json")
    monkeypatch.setattr(full, "DESIGNS", {"Noise2Map": Small, "DDPM-CD": Small})
    monkeypatch.setattr(full, "size", lambda _: {"parameters": 2, "gflop_per_tile": 1.0})
    full.main(["1", "cpu"])
    results = json.loads((tmp_path / "full_size.json").read_text())
    assert results["noise2map_is"]["faster"] > 0
    assert results["designs"]["DDPM-CD"]["repeats"] == 1


def test_what_another_configuration_trained_is_left_out(
    peers: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_studied(tmp_path, "peers/unet-buildings.yaml", (1,))
    path = tmp_path / "tiny-seed1" / "card.json"
    card = checkpoints.read_card("tiny-seed1", root=tmp_path)
    own = digest_of(load_config(peers.configurations()["unet-buildings"], seed=1))
    for noted, found in ((own, ["unet-buildings"]), ("0" * 64, [])):
        record = dataclasses.replace(card.training, config_sha256=noted)
        path.write_text(dataclasses.replace(card, training=record).to_json())
        assert list(peers.studied(tmp_path)) == found
    assert "train it again" in capsys.readouterr().out


def test_what_another_pretraining_began_is_left_out(peers: ModuleType, tmp_path: Path) -> None:
    save_studied(tmp_path, "peers/ddpm-cd-change.yaml", (1,))
    path = tmp_path / "tiny-seed1" / "card.json"
    card = checkpoints.read_card("tiny-seed1", root=tmp_path)
    own = read_strict(ROOT / "configs" / "pretrain" / "ddpm-cd-denoise.yaml", PretrainConfig)
    for noted, found in ((digest_of(own), ["ddpm-cd-change"]), ("0" * 64, []), (None, [])):
        stage = TrainingStage("ddpm-cd-denoise", "", 1, (), config_sha256=noted)
        record = dataclasses.replace(card.training, before=(stage,))
        path.write_text(dataclasses.replace(card, training=record).to_json())
        assert list(peers.studied(tmp_path)) == found


def test_a_pretraining_is_part_of_what_a_network_is(peers: ModuleType) -> None:
    own = peers.digest(peers.configurations()["ddpm-cd-change"])
    assert peers.config_digest("ddpm-cd-change") != own
    assert peers.config_digest("unet-buildings") == peers.digest(
        peers.configurations()["unet-buildings"]
    )
