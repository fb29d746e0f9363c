"""The benchmark of refiners on two small scenes."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_models import drawn_scene, save_tiny, segmenter
from tiny_refiners import save_refiner, tiny_refiner

from n2m_core.tasks.refinement_tables import refinement

ROOT = Path(__file__).resolve().parents[2]


def write_tiles(root: Path) -> Path:
    """Write two labelled pictures."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for seed in (1, 2):
        picture, truth = drawn_scene(seed, 64, 64)
        Image.fromarray(picture.transpose(1, 2, 0)).save(root / "images" / f"{seed}.png")
        Image.fromarray(truth * 255).save(root / "masks" / f"{seed}.png")
    return root


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "checkpoints"
    save_tiny(folder, segmenter())
    save_refiner(folder, tiny_refiner(window_px=64))
    monkeypatch.setenv("N2M_CHECKPOINTS", str(folder))
    monkeypatch.delenv("N2M_DATA", raising=False)
    monkeypatch.syspath_prepend(str(ROOT))
    return folder


def test_every_refiner_is_scored_on_the_maps_of_every_rough_model(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("benchmarks.refinement")
    scores = importlib.import_module("benchmarks.scores")
    root = str(write_tiles(tmp_path / "tiles"))
    scenes = scores.Measurement("scenes", "segment", root, "--dataset folder", "segment")
    real = scores.Measurement("a town", "segment", "$N2M_DATA/town", "--dataset folder")
    monkeypatch.setattr(module, "SETS", (real, scenes))
    monkeypatch.setattr(module, "TILE_PX", 64)
    monkeypatch.setattr(module, "REPEATS", 1)
    out = tmp_path / "table.json"
    words = ["--checkpoint", "tiny-refiner", "--rough", "tiny-buildings,tiny-buildings@600"]
    assert module.main([*words, "--walks", "2x2,3,1", "--device", "cpu", "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["main"] == "tiny-refiner, 2 steps, mean of 2 draws"
    assert found["timed"] == "tiny-refiner, 3 steps"
    assert found["left_out"][0].startswith("one-pass-buildings is not trained here")
    assert found["seconds"].keys() == {
        "tiny-refiner, 2 steps, mean of 2 draws",
        "tiny-refiner, 3 steps",
        "tiny-refiner, 1 step",
        "guided filter",
    }
    (table,) = found["sets"]
    assert (table["name"], table["is_real"], table["tiles"]) == ("scenes", False, 2)
    clean, noisy = table["rough"]
    assert [row["name"] for row in clean["maps"]] == ["rough map", *found["seconds"]]
    assert clean["command"].endswith("--dataset folder --rough tiny-buildings --json")
    assert [each["step"] for each in clean["by_step"]] == [0, 1, 2, 3]
    rough, main, longest, *_, guided = clean["maps"]
    assert ["mean_power" in row["error"] for row in clean["maps"]] == [
        True,
        True,
        *[False] * 3,
    ]
    assert clean["by_step"][0]["f1_3px"] == pytest.approx(rough["scores"]["f1_3px"])
    assert clean["by_step"][-1]["f1_3px"] == pytest.approx(longest["scores"]["f1_3px"])
    assert rough["scores"]["mean_iou"] > noisy["maps"][0]["scores"]["mean_iou"]
    gained = main["gains"]["mean_iou"]
    assert gained["value"] == pytest.approx(
        main["scores"]["mean_iou"] - rough["scores"]["mean_iou"]
    )
    assert gained["low"] <= gained["value"] <= gained["high"]
    wrong = rough["error"]["coarse"] + rough["error"]["fine"]
    assert wrong == pytest.approx(round(wrong))  # each wrong pixel brings in a power of 1
    assert guided["scores"]["mean_iou"] > main["scores"]["mean_iou"]  # which has learned nothing
    shown = refinement(found, "target_f1")
    assert np.all([len(row) == len(each.header) for each in shown.tables for row in each.rows])


def test_missing_weights_are_told(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = importlib.import_module("benchmarks.refinement")
    assert module.main(["--checkpoint", "absent"]) == 1
    assert "no checkpoint 'absent'" in capsys.readouterr().out
    assert module.main(["--checkpoint", "tiny-buildings"]) == 1
    assert "one image not for refine" in capsys.readouterr().out
