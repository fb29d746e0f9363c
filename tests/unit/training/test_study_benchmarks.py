"""The scripts of the studies: pretraining, multi-task, Landsat, and what runs them all."""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import rasterio
import study_files
import torch
import yaml
from affine import Affine
from numpy.typing import NDArray
from PIL import Image
from rasters import RasterFactory
from test_supervised import write_config
from tiny_models import save_tiny, segmenter, untrained_network
from tiny_multitask import save_both

from n2m_core.checkpoints import ClassInfo, read_card, read_cards
from n2m_core.datasets.base import Sample
from n2m_core.datasets.xview2 import Xview2Tiles
from n2m_core.geo_image import GeoImage
from n2m_core.models.storing import fp16_weights, save_network
from n2m_core.training import runner
from n2m_core.training.config import load_config
from n2m_core.training.kinds import SUPERVISED

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def from_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def script(name: str) -> ModuleType:
    return importlib.import_module(f"benchmarks.{name}")


def image(pixels: NDArray[np.uint8]) -> GeoImage:
    names = tuple(f"band {i}" for i in range(len(pixels)))
    return GeoImage(pixels, np.ones(pixels.shape[1:], bool), None, Affine.identity(), names, None)


def small_study(tmp_path: Path) -> tuple[ModuleType, list[str]]:
    """Two steps from a small network and from random weights; words that ask for them."""
    path = write_config(tmp_path)
    config = yaml.safe_load(path.read_text())
    network = untrained_network("segment", 2)
    config["network"]["overrides"] = network.config.overrides
    config["optimizer"] = {"steps": 9, "batch_size": 1, "warmup_steps": 1}
    path.write_text(yaml.safe_dump(config))
    save_network(tmp_path / "pretrained", network, fp16_weights(network))
    Image.fromarray(np.zeros((8, 64, 3), np.uint8)).save(tmp_path / "pretrained" / "samples.png")
    (tmp_path / "pretrained" / "pretraining.json").write_text(
        json.dumps({"id": "tiny", "config": "pretrain/tiny.yaml", "steps": 6000, "data": []})
    )
    words = ["--config", str(path), "--pretrained", str(tmp_path / "pretrained"), "--folder",
             str(tmp_path / "out"), "--steps", "2", "--shares", "0.4", "--seeds", "5",
             "--device", "cpu", "--validations", "1"]  # fmt: skip
    return script("pretraining"), words


def test_pretraining_compares_both_starts_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study, words = small_study(tmp_path)
    town = load_config(tmp_path / "tiny.yaml").validation[0]
    monkeypatch.setattr(study, "VALIDATION", dataclasses.replace(town, only=("0",)))
    monkeypatch.setattr(study, "SETS", ())
    monkeypatch.setattr(runner, "STATISTIC_CROPS", 8)
    monkeypatch.setattr(study, "RESULTS", tmp_path / "pretraining.json")
    assert study.main([*words, "--report"]) == 1
    assert "None of 2 runs is finished" in capsys.readouterr().out
    assert study.main(words) == 0
    with Image.open(tmp_path / "pretraining.png") as picture:
        assert picture.size == (64, 8)
    results = json.loads((tmp_path / "pretraining.json").read_text())
    assert [(run["start"], run["share"], run["tiles"]) for run in results["runs"]] == [
        ("random", 0.4, 1),
        ("pretrained", 0.4, 1),
    ]
    assert all([step for step, *_ in run["validation"]] == [2] for run in results["runs"])
    pretrained, random, *_ = results["ranks"]
    assert (pretrained["network"], random["network"]) == ("pretrained", "random")
    depths = ["stem", "down 1", "down 2", "middle", "up 1", "up 2", "output"]
    assert [name for name, _ in random["depths"]] == depths
    assert all(1 < rank <= 64 for _, rank in random["depths"])
    cards = sorted((tmp_path / "out").glob("*/card.json"))
    written = [path.stat().st_mtime_ns for path in cards]
    assert study.main(words) == 0
    assert [path.stat().st_mtime_ns for path in cards] == written
    elsewhere = [str(tmp_path / "new") if word == str(tmp_path / "out") else word for word in words]
    assert study.main(elsewhere) == 0  # what the file has is not trained again
    assert not (tmp_path / "new").exists()
    assert json.loads((tmp_path / "pretraining.json").read_text())["runs"] == results["runs"]
    assert study.main([*elsewhere, "--seeds", "6", "--report"]) == 1  # another seed is another run
    weights = tmp_path / "pretrained" / "model.safetensors"
    before = weights.read_bytes()
    network = untrained_network("segment", 2)
    save_network(tmp_path / "pretrained", network, fp16_weights(network))
    assert weights.read_bytes() != before
    assert study.main([*elsewhere, "--report"]) == 0  # random starts know nothing of pretraining
    kept = json.loads((tmp_path / "pretraining.json").read_text())
    assert [run["start"] for run in kept["runs"]] == ["random"]
    with (tmp_path / "tiny.yaml").open("a") as config:
        config.write("# changed\n")
    assert study.main([*elsewhere, "--report"]) == 1


def test_the_effective_rank_counts_directions_by_their_weight() -> None:
    rank = script("feature_rank").effective_rank
    grid = torch.tensor([[1.0, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]).reshape(1, 3, 2, 2)
    assert rank(grid) == pytest.approx(3)
    assert rank(grid[:, [0, 0, 0]] + 5) == pytest.approx(1, abs=1e-3)
    halved = grid * torch.tensor([1.0, 1, 0.5])[None, :, None, None]
    assert rank(halved) == pytest.approx(np.exp(2 * 0.4 * np.log(2.5) + 0.2 * np.log(5)))


def test_pretraining_wants_its_pretrained_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script("pretraining").main(["--pretrained", str(tmp_path)]) == 1
    assert "n2m pretrain configs/pretrain/n2m-denoise.yaml" in capsys.readouterr().out


def test_points_lost_are_against_the_best_of_the_others() -> None:
    shared, worse, better = (
        {"sets": [study_files.entry("town", f1)]} for f1 in (0.60, 0.58, 0.625)
    )
    (row,) = script("multitask").lost([shared, worse, better])
    assert row == {"set": "town", "points": pytest.approx(2.5)}
    assert script("multitask").lost([shared]) == [{"set": "town", "points": None}]


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("n2m-buildings", [3600, 1000]),
        ("n2m-change", [3600, 1000, 900, 1000, 750, 160]),
        ("n2m-multitask", [3600, 1000, 1000, 1400, 1200, 160]),
    ],
)
def test_cards_count_what_a_run_started_from(name: str, steps: list[int]) -> None:
    config = ROOT / "configs" / f"{name}.yaml"
    assert [script("multitask").steps(path) for path in script("jobs").stages(config)] == steps
    for card in read_cards(name, root=ROOT / "checkpoints"):
        assert card.training.steps_in_all == sum(steps)


def test_weights_of_the_losses_are_told_over_all_stages(tmp_path: Path) -> None:
    for name, told in {"n2m-multitask-start": "9,1.1,1.6", "n2m-multitask": "20,1.2,1.7"}.items():
        (tmp_path / name).mkdir()
        curve = f"step,weight_segment,weight_change\n{told}\n"
        (tmp_path / name / "curve.csv").write_text(curve)
    weights = script("multitask").learned_weights("n2m-multitask", tmp_path)
    assert weights == [[9, 1.1, 1.6], [1000 + 1400 + 1200 + 20, 1.2, 1.7]]
    (tmp_path / "n2m-multitask").rename(tmp_path / "mine")
    assert script("multitask").learned_weights("mine", tmp_path) == [[20, 1.2, 1.7]]


def test_what_is_not_there_is_trained_from_the_first_stage_that_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = script("jobs")
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path))

    def planned() -> list[str]:
        commands = jobs.JOBS["multitask"].training()
        return [Path(command[2]).stem for command in commands]

    for name in ("n2m-buildings", "n2m-multitask-start"):
        (tmp_path / name).mkdir()
    (tmp_path / "n2m-buildings" / "card.json").write_text('{"training": {}}')
    after = ["n2m-multitask-places", "n2m-multitask-scenes", "n2m-multitask"]
    assert planned() == ["n2m-multitask-start", *after]
    (tmp_path / "n2m-multitask-start" / "card.json").write_text('{"training": {}}')
    assert planned() == after
    (tmp_path / "n2m-multitask").mkdir()
    (tmp_path / "n2m-multitask" / "card.json").write_text('{"training": {}}')
    assert planned() == []


def test_a_denoiser_is_pretrained_before_what_starts_from_it() -> None:
    jobs, peers = script("jobs"), ROOT / "configs" / "peers"
    names = {
        "ddpm-cd-change": ["ddpm-cd-denoise"],
        "tried/n2m-buildings-muon-pretrained": ["n2m-denoise"],
        "n2m-buildings-short": [],
    }
    for name, wanted in names.items():
        found = jobs.denoisers(peers / f"{name}.yaml")
        assert [path.stem for path in found] == wanted
        assert all(path.is_file() for path in found)


def test_multitask_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path))
    assert script("multitask").main([]) == 1
    assert "python -m benchmarks.models multitask --train" in capsys.readouterr().out


def test_pairs_of_the_fire_are_laid_out_as_published(
    tmp_path: Path, write_raster: RasterFactory
) -> None:
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for folder, bands in (("A", 3), ("B", 3), ("label", 1)):
            (tmp_path / split / folder).mkdir(parents=True)
            values = rng.integers(0, 2, (bands, 512, 512)) * 255
            path = write_raster(values.astype(np.uint8), f"{split}{folder}.tif")
            path.rename(tmp_path / split / folder / "00000012.tif")
    wildfire = script("wildfire")
    assert wildfire.lay_out(tmp_path, tmp_path / "xview2") == {"train": 1, "test": 1}
    root, classes = tmp_path / "xview2" / "test", (ClassInfo("a", "#000"), ClassInfo("b", "#fff"))
    (pair,) = Xview2Tiles(root, classes, task="change")
    assert pair.after is not None
    assert pair.image.pixels.shape == pair.after.pixels.shape == (3, 256, 256)
    assert set(np.unique(pair.label)) == {0, 1}
    with rasterio.open(tmp_path / "val" / "A" / "00000012.tif") as raster:
        mean = raster.read().reshape(3, 256, 2, 256, 2).mean((2, 4))
    assert np.abs(mean - pair.image.pixels).max() <= 1


def test_otsu_cuts_between_two_groups() -> None:
    values = np.concatenate([np.linspace(1, 2, 50), np.linspace(8, 9, 10)])
    assert 2 <= script("landsat").otsu(values) <= 8


def test_the_formula_finds_what_changed_and_not_the_light() -> None:
    landsat = script("landsat")
    before = np.random.default_rng(0).integers(40, 60, (6, 20, 20)).astype(np.uint8)
    after = (before * 1.5 + 20).astype(np.uint8)  # another light
    after[:, 5:9, 5:9] = 250
    label = np.full((20, 20), 255, np.uint8)
    label[:4], label[5:9, 5:9] = 0, 1
    sample = Sample("a", image(before), label, image(after))
    found = landsat.change_vector(sample)
    np.testing.assert_array_equal(found[5:9, 5:9], True)
    assert found.sum() == 16
    assert landsat.scores([found], [sample]) == {"f1": 1.0, "iou": 1.0}
    half = found.copy()
    half[5:7] = False
    assert landsat.scores([half], [sample]) == {"f1": pytest.approx(2 / 3), "iou": 0.5}


def save_shared(root: Path) -> Path:
    """The checkpoint of both tasks under the name that the study looks for."""
    return save_both(root).rename(root / "n2m-multitask")


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The runner over a folder of its own, with a script that writes a file of multi-task."""
    module = script("models")
    folder = study_files.write_all(tmp_path / "benchmarks")
    for name in (*module.JOBS, "__main__"):
        (folder / f"{name}.py").write_text("")
    monkeypatch.setattr(module, "HERE", folder)
    monkeypatch.setattr(module, "PAGE", tmp_path / "docs" / "studies.md")
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("N2M_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    calls: list[tuple[str, ...]] = []

    def call(command: tuple[str, ...], where: Path | None = None) -> bool:
        calls.append(command)
        return command[0] != "benchmarks.landsat"

    monkeypatch.setattr(module, "call", call)
    monkeypatch.setattr(module, "calls", calls, raising=False)
    return module


def test_a_study_is_run_once_until_its_weights_change(
    models: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save_shared(tmp_path / "checkpoints")
    assert models.main(["multitask"]) == 0
    assert models.calls == [("benchmarks.multitask",)]
    assert models.main(["multitask"]) == 0
    assert len(models.calls) == 1
    assert "multitask: up to date" in capsys.readouterr().out
    card = json.loads((folder / "card.json").read_text())
    card["cards"][0]["limits"] = "other words alone"
    (folder / "card.json").write_text(json.dumps(card))
    assert models.plan("multitask", is_forced=False) is None
    card["cards"][0]["sha256"] = "1" * 64
    (folder / "card.json").write_text(json.dumps(card))
    assert "last time it took 0.0 minutes" in models.plan("multitask", is_forced=False)
    assert models.main(["multitask", "--plan"]) == 0
    assert len(models.calls) == 1


def test_a_failing_study_fails_the_run_and_the_page_is_written(
    models: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert models.main(["landsat", "full_size"]) == 1
    assert "Failed: landsat" in capsys.readouterr().out
    page = models.PAGE.read_text()
    assert "## Pretraining" in page
    assert "| random | 0.300 (0.200 to 0.400) | 0.600 |" in page
    assert "## Peers" in page
    assert "## Speed" not in page  # which has a page of its own


def test_an_unknown_study_is_an_error(
    models: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        models.main(["absent"])
    assert "no study is called absent" in capsys.readouterr().err


def test_training_comes_first_where_it_is_asked_for(
    models: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def call(command: tuple[str, ...], where: Path | None = None) -> bool:
        models.calls.append(command)
        if command[:2] == ("n2m_core", "train") and "n2m-multitask.yaml" in command[2]:
            save_shared(tmp_path / "checkpoints")
        return True

    monkeypatch.setattr(models, "call", call)
    assert models.main(["multitask", "--train"]) == 0
    *trainings, last = models.calls
    assert {command[:2] for command in trainings} == {("n2m_core", "train")}
    assert trainings[-1][2].endswith("n2m-multitask.yaml")
    assert last == ("benchmarks.multitask",)


def test_nothing_is_lost_where_weights_or_data_are_not_here(
    models: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = {path: path.read_bytes() for path in models.HERE.glob("*.json")}
    names = ["peers", "multitask", "wildfire", "refinement", "fusion"]
    assert models.main([*names, "--all"]) == 0
    assert models.calls == []
    told = capsys.readouterr().out
    assert all(f"{name}: " in told for name in names)
    assert "left as it is, for want of n2m-multitask\n" in told
    assert {path: path.read_bytes() for path in models.HERE.glob("*.json")} == before
    save_shared(tmp_path / "checkpoints")
    monkeypatch.delenv("N2M_DATA")
    assert models.main(["multitask"]) == 0
    assert "for want of the real imagery ($N2M_DATA)" in capsys.readouterr().out
    assert models.calls == []


def test_weights_of_another_configuration_are_as_good_as_none(tmp_path: Path) -> None:
    jobs = script("jobs")
    path = write_config(tmp_path, {"validation": []})
    config = path.rename(tmp_path / "tiny-buildings.yaml")
    assert not jobs.is_trained(config, tmp_path)
    folder = save_tiny(tmp_path, segmenter())
    assert jobs.is_trained(config, tmp_path)  # its card noted none
    card = read_card("tiny-buildings", root=tmp_path)
    for noted, found in ((SUPERVISED.digest(config), []), ("0" * 64, ["tiny-buildings"])):
        record = dataclasses.replace(card.training, config_sha256=noted)
        (folder / "card.json").write_text(dataclasses.replace(card, training=record).to_json())
        assert jobs.untrained([config], tmp_path) == found


def test_a_study_is_not_measured_of_another_pretraining(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study, words = small_study(tmp_path)
    notes = tmp_path / "pretrained" / "pretraining.json"
    noted = json.loads(notes.read_text()) | {"config": "pretrain/n2m-denoise.yaml"}
    notes.write_text(json.dumps(noted | {"config_sha256": "0" * 64}))
    monkeypatch.setattr(study, "RESULTS", tmp_path / "pretraining.json")
    assert study.main(words) == 1
    assert "made by another configuration" in capsys.readouterr().out
    assert not (tmp_path / "pretraining.json").exists()
