from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from n2m_core.errors import ConfigError
from n2m_core.training.config import load_config
from n2m_core.training.kinds import kind_of
from n2m_core.training.pretrain import PretrainConfig
from n2m_core.training.strict_yaml import read_strict

CONFIGS = Path(__file__).resolve().parents[3] / "configs"

SCENES = {
    "kind": "scenes",
    "name": "scenes",
    "licence": "Apache-2.0",
    "attribution": "n2m",
    "count": 4,
}

MINIMAL: dict[str, Any] = {
    "id": "x",
    "title": "X",
    "task": "segment",
    "classes": [{"name": "a", "color": "#000000"}, {"name": "b", "color": "#ffffff"}],
    "resolution_m": 1,
    "license": "Apache-2.0",
    "limits": "none known",
    "noise": {"process": "gaussian"},
    "data": {"crop_px": 32, "resolution_range_m": [0.5, 1.0], "sources": [SCENES]},
    "optimizer": {"steps": 10, "batch_size": 2},
    "loss": {"class_weights": [1, 2.5]},
}


def written(tmp_path: Path, changes: dict[str, Any] | None = None) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump({**MINIMAL, **(changes or {})}), encoding="utf-8")
    return path


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_configurations_are_valid_and_named_like_their_file(path: Path) -> None:
    if path.parent.name == "pretrain":
        assert read_strict(path, PretrainConfig).id == path.stem
    else:
        assert kind_of(path).load(path).id == path.stem


def test_minimal_configuration_takes_the_defaults(tmp_path: Path) -> None:
    config = load_config(written(tmp_path))
    assert config.resolution_m == 1.0
    assert isinstance(config.resolution_m, float)
    assert config.loss.class_weights == (1.0, 2.5)
    assert config.noise.timestep_power == 1.0
    assert config.network.variant == "compact"


@pytest.mark.parametrize(("text", "value"), [("1e-4", 1e-4), ("2.5E3", 2500.0), ("3", 3.0)])
def test_numbers_in_scientific_notation_are_numbers(
    tmp_path: Path, text: str, value: float
) -> None:
    path = written(tmp_path)
    optimizer = f"optimizer: {{steps: 10, batch_size: 2, learning_rate: {text}}}\n"
    kept = yaml.safe_dump({k: v for k, v in MINIMAL.items() if k != "optimizer"})
    path.write_text(kept + optimizer, encoding="utf-8")
    assert load_config(path).optimizer.learning_rate == pytest.approx(value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 1}, "unknown keys: colour"),
        ({"optimizer": {"steps": 10}}, "optimizer lacks batch_size"),
        ({"optimizer": {"steps": 10, "batch_size": 2, "lr": 0.1}}, "unknown keys: lr"),
        ({"optimizer": {"steps": "ten", "batch_size": 2}}, "'ten'; int is wanted"),
        ({"optimizer": {"steps": True, "batch_size": 2}}, "True; int is wanted"),
        ({"optimizer": {"steps": 0, "batch_size": 2}}, "at least 1"),
        (
            {"optimizer": {"steps": 10, "stop_at": 11, "batch_size": 2}},
            "stop_at is 11; 1 to 10 wanted",
        ),
        ({"task": "detect"}, "one of segment, change is wanted"),
        ({"classes": "two"}, "a list is wanted"),
        ({"noise": 3}, "a mapping is wanted"),
        ({"loss": {"class_weights": [1]}}, "1 values for 2 classes"),
        ({"init_from": "a", "network": {"backbone_from": "b/c"}}, "Give one of them"),
        ({"inference": {"timestep": 1000}}, "0..999 wanted"),
        (
            {"data": {"crop_px": 32, "resolution_range_m": [2, 1], "sources": [SCENES]}},
            "smallest, largest",
        ),
        (
            {"data": {"crop_px": 0, "resolution_range_m": [1, 2], "sources": [SCENES]}},
            "crop_px is 0",
        ),
        ({"data": {"crop_px": 32, "resolution_range_m": [1, 2], "sources": []}}, "is empty"),
    ],
)
def test_wrong_entries_are_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(written(tmp_path, changes))


def test_missing_and_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        load_config(tmp_path / "none.yaml")
    path = tmp_path / "broken.yaml"
    path.write_text("a: [", encoding="utf-8")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_config(path)
    path.write_text("- a\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="a mapping is wanted"):
        load_config(path)
