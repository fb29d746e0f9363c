from __future__ import annotations

import shutil
from pathlib import Path
from typing import get_args

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from command_runs import Command
from PIL import Image
from rasters import UTM, RasterFactory
from tiny_models import drawn_pair, drawn_scene
from tiny_multitask import NAME

from n2m_core.cli import learning, options
from n2m_core.diffusion.noise import NOISE_KINDS, SCHEDULES

# Maps


def test_weights_of_both_tasks_serve_both_commands(
    n2m: Command, tmp_path: Path, tile: Path, mask: Path, write_raster: RasterFactory
) -> None:
    one = n2m("segment", tile, "--checkpoint", NAME, "--out", "map.tif", "--json")
    two = n2m("change", tile, tile, "--checkpoint", NAME, "--out", "change.tif", "--json")
    assert [len(said.json["classes"]) for said in (one, two)] == [2, 3]
    assert (two.json["timestep"], two.json["mixed"]) == (999, True)
    for folder, paths in {"images": tile, "masks": mask, "before": tile, "after": tile}.items():
        (tmp_path / "set" / folder).mkdir(parents=True)
        shutil.copy(paths, tmp_path / "set" / folder / "a.tif")
    for task in ("segment", "change"):
        if task == "change":
            (tmp_path / "set" / "masks").rename(tmp_path / "set" / "labels")
        said = n2m("evaluate", task, "--checkpoint", NAME, "--root", tmp_path / "set", "--json")
        assert (said.code, said.json["task"]) == (0, task)
    steps = n2m("trajectory", tile, tile, "--checkpoint", NAME, "--out", "t", "--timesteps", "0")
    assert steps.code == 0
    listed = n2m("checkpoints").out.splitlines()
    assert [line.split()[1] for line in listed if line.startswith(NAME)] == ["segment", "change"]


def test_segment_writes_a_map_on_the_images_grid(n2m: Command, tile: Path, mask: Path) -> None:
    said = n2m(
        "segment", tile, "--checkpoint", "tiny-buildings", "--out", "map.tif",
        "--probabilities", "p.tif", "--vector", "v.geojson", "--json",
    )  # fmt: skip
    assert said.code == 0
    with rasterio.open("map.tif") as dataset, rasterio.open(tile) as image:
        assert (dataset.crs, dataset.transform, dataset.shape) == (
            image.crs, image.transform, image.shape,
        )  # fmt: skip
        assert (dataset.dtypes, dataset.nodata) == (("uint8",), 255)
        assert dataset.tags()["N2M_CHECKPOINT"] == "tiny-buildings"
        labels = dataset.read(1)
    with rasterio.open(mask) as truth:
        assert ((labels == 1) == (truth.read(1) > 0)).mean() > 0.97
    with rasterio.open("p.tif") as dataset:
        assert dataset.descriptions == ("background", "building")
        np.testing.assert_array_equal(dataset.read().argmax(axis=0), labels)
    report = said.json
    assert report["checkpoint"] == "tiny-buildings"
    assert report["classes"][1]["pixels"] == (labels == 1).sum()
    assert report["polygons"] == len(gpd.read_file("v.geojson"))
    assert sorted(path.name for path in Path().iterdir() if path.is_file()) == [
        "map.tif", "mask.tif", "p.tif", "tile.tif", "v.geojson",
    ]  # fmt: skip


def test_segment_tells_a_person_what_it_found(n2m: Command, tile: Path) -> None:
    said = n2m("segment", tile, "--checkpoint", "tiny-buildings", "--out", "map.tif")
    assert "building" in said.out
    assert "CC0-1.0" in said.out
    assert "Wrote map.tif" in said.out
    assert said.err == ""


def test_options_reach_the_map(n2m: Command, tile: Path, write_raster: RasterFactory) -> None:
    bgr = write_raster(drawn_scene(31, 120, 150)[0][::-1], "bgr.png", crs=None)
    said = n2m(
        "segment", bgr, "--checkpoint", "tiny-buildings", "--out", "map.tif", "--json",
        "--bands", "3,2,1", "--resolution", "0.5", "--threshold", "0.7", "--min-area", "20",
        "--timestep", "30", "--seed", "4", "--device", "cpu", "--vector", "v.gpkg",
    )  # fmt: skip
    assert said.code == 0
    assert (said.json["timestep"], said.json["mixed"]) == (30, True)
    assert not any("unknown" in note for note in said.json["notes"])
    polygons = gpd.read_file("v.gpkg")
    assert polygons["area_m2"].min() >= 20
    assert len(polygons) == said.json["polygons"] > 0


def test_nodata_is_left_out(n2m: Command, write_raster: RasterFactory) -> None:
    pixels = drawn_scene(32)[0]
    pixels[:, :40] = 7
    path = write_raster(pixels, "holes.tif")
    said = n2m(
        "segment", path, "--checkpoint", "tiny-buildings", "--out", "m.tif", "--nodata", "7",
    )  # fmt: skip
    assert said.code == 0
    with rasterio.open("m.tif") as dataset:
        labels = dataset.read(1)
    assert (labels[:40] == 255).all()
    assert (labels[40:] != 255).mean() > 0.99


def test_change_lies_on_the_grid_of_before(n2m: Command, write_raster: RasterFactory) -> None:
    before, after, truth = drawn_pair(33)
    first = write_raster(before, "first.tif")
    second = write_raster(after, "second.tif", transform=UTM @ Affine.translation(0, 0.25))
    said = n2m(
        "change", first, second, "--checkpoint", "tiny-change", "--out", "c.tif",
        "--vector", "c.geojson", "--json",
    )  # fmt: skip
    assert said.code == 0
    assert any("grid of the first" in note for note in said.json["notes"])
    with rasterio.open("c.tif") as dataset:
        assert dataset.transform == UTM
        labels = dataset.read(1)
    assert (labels == truth).mean() > 0.9
    assert set(gpd.read_file("c.geojson")["class"]) == {"built", "demolished"}


def test_trajectory_is_scored_against_a_truth(n2m: Command, tile: Path, mask: Path) -> None:
    said = n2m(
        "trajectory", tile, "--checkpoint", "tiny-buildings", "--out", "t", "--truth", mask,
        "--steps", "3", "--json",
    )  # fmt: skip
    assert said.code == 0
    assert [frame["t"] for frame in said.json["frames"]] == [999, 500, 0]
    assert said.json["frames"][-1]["scores"]["f1"] > 0.9
    assert {"trajectory.gif", "trajectory.mp4", "trajectory.json"} <= {
        path.name for path in Path("t").iterdir()
    }
    with Image.open("t/trajectory.gif") as animation:
        assert animation.n_frames == 3  # type: ignore[attr-defined]
    listed = n2m(
        "trajectory", tile, "--checkpoint", "tiny-buildings", "--out", "t2",
        "--timesteps", "0,100,...,300",
    )  # fmt: skip
    assert [line.split()[1] for line in listed.out.splitlines() if line.startswith("t ")] == [
        "300", "200", "100", "0",
    ]  # fmt: skip


# Lists and scores


def test_checkpoints_are_listed(n2m: Command) -> None:
    cards = n2m("checkpoints", "--json").json["checkpoints"]
    tasks: dict[str, list[str]] = {}
    for card in cards:
        tasks.setdefault(card["id"], []).append(card["task"])
    assert list(tasks) == ["tiny-both", "tiny-buildings", "tiny-change", "tiny-cover"]
    assert tasks["tiny-both"] == ["segment", "change"]
    by_id = {card["id"]: card for card in cards}
    assert by_id["tiny-buildings"]["classes"][1]["name"] == "building"
    assert "tiny-change" in n2m("checkpoints").out


def test_no_checkpoint_is_said(
    n2m: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path / "none"))
    assert "No checkpoint is installed" in n2m("checkpoints").out


@pytest.fixture
def buildings_folder(tmp_path: Path, write_raster: RasterFactory) -> Path:
    for folder in ("images", "masks"):
        (tmp_path / "set" / "val" / folder).mkdir(parents=True)
    for seed in (41, 42):
        picture, truth = drawn_scene(seed, 96, 96)
        write_raster(picture, f"set/val/images/{seed}.tif")
        write_raster(truth[None] * 255, f"set/val/masks/{seed}.png", crs=None)
    return tmp_path / "set"


def test_evaluate_prints_the_report(n2m: Command, buildings_folder: Path) -> None:
    said = n2m(
        "evaluate", "segment", "--checkpoint", "tiny-buildings", "--dataset", "folder",
        "--root", buildings_folder, "--split", "val", "--timesteps", "0,900", "--seeds", "2",
        "--json",
    )  # fmt: skip
    report = said.json
    assert report["tiles"] == 2
    assert report["target"]["f1"] > 0.9
    assert [row["t"] for row in report["by_timestep"]] == [0, 900]
    assert {
        "task", "checkpoint", "tiles", "timestep", "classes", "mean", "target", "all_positive",
        "boundary", "by_timestep", "per_tile", "seconds", "megapixels_per_second",
    } <= report.keys()  # fmt: skip
    text = n2m(
        "evaluate", "segment", "--checkpoint", "tiny-buildings", "--root", buildings_folder,
        "--split", "val",
    ).out  # fmt: skip
    assert "all_positive" in text
    assert f"{report['target']['f1']:.3f}" in text
    sieved = n2m(
        "evaluate", "segment", "--checkpoint", "tiny-buildings", "--root", buildings_folder,
        "--split", "val", "--min-area", "1e6", "--json",
    ).json  # fmt: skip
    assert sieved["target"]["recall"] == 0


def test_evaluate_change(n2m: Command, tmp_path: Path, write_raster: RasterFactory) -> None:
    for folder in ("before", "after", "labels"):
        (tmp_path / "pairs" / folder).mkdir(parents=True)
    before, after, truth = drawn_pair(43, 96, 96)
    for folder, pixels in (("before", before), ("after", after), ("labels", truth[None])):
        write_raster(pixels, f"pairs/{folder}/one.tif")
    words = ("evaluate", "change", "--checkpoint", "tiny-change", "--root", "pairs", "--json")
    report = n2m(*words).json
    assert [row["name"] for row in report["classes"]] == ["unchanged", "built", "demolished"]
    assert report["target"]["f1"] > 0.9
    # At t = 258 DDPM's betas make both dates one blend: what came can't be told from what went.
    ddpm, cosine, clean = (
        n2m(*words, "--timestep", 258, *mix).json["mean"]["f1"]
        for mix in (("--schedule", "ddpm"), ("--schedule", "cosine"), ("--process", "none"))
    )
    assert min(cosine, clean) > ddpm + 0.1
    refused = n2m(*words, "--schedule", "cosine")
    assert refused.code != 0
    assert "needs a timestep" in refused.err


def test_every_noise_and_schedule_can_be_named() -> None:
    for option, known in ((options.Process, NOISE_KINDS), (options.Schedule, SCHEDULES)):
        names = get_args(get_args(get_args(option)[0])[0])
        assert names == known


def test_labelled_scenes_can_be_scored(n2m: Command) -> None:
    said = n2m("samples", "--labelled", "segment", "--count", "2", "--out", "scenes", "--json")
    assert said.code == 0
    assert all(Path(name).is_file() for name in said.json["files"])
    report = n2m(
        "evaluate", "segment", "--checkpoint", "tiny-buildings", "--root", "scenes", "--json"
    ).json
    assert report["tiles"] == 2
    assert report["all_positive"]["iou"] > 0


def test_train_makes_a_checkpoint_and_goes_on(
    n2m: Command, buildings_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path / "made"))
    monkeypatch.setenv("N2M_DATA", str(tmp_path))
    Path("tiny.yaml").write_text(TINY_TRAINING, encoding="utf-8")
    first = n2m("train", "tiny.yaml", "--max-minutes", "0", "--device", "cpu", "--json")
    assert first.code == 0, first.err
    assert not first.json["finished"]
    assert (learning.RUNS / "tiny-trained").is_dir()
    second = n2m("train", "tiny.yaml", "--resume", "--device", "cpu", "--json")
    assert second.code == 0, second.err
    assert second.json["finished"]
    assert second.json["steps"] == 3 >= first.json["steps"]
    assert n2m("checkpoints", "--json").json["checkpoints"][0]["id"] == "tiny-trained"
    assert n2m(
        "segment", buildings_folder / "val" / "images" / "41.tif", "--checkpoint", "tiny-trained",
        "--out", "m.tif",
    ).code == 0  # fmt: skip


TINY_TRAINING = """
id: tiny-trained
title: Tiny
task: segment
classes: [{name: background, color: "#cfcfc4"}, {name: building, color: "#d55e00"}]
resolution_m: 0.5
license: CC0-1.0
limits: a test
network:
  overrides: {block_out_channels: [8, 8], down_block_types: [DownBlock2D, DownBlock2D],
    up_block_types: [UpBlock2D, UpBlock2D], layers_per_block: 1, norm_num_groups: 4,
    attention_head_dim: 4, in_channels: 8, out_channels: 8}
noise: {process: gaussian}
data:
  crop_px: 32
  resolution_range_m: [0.5, 0.5]
  sources: [{kind: folder, name: drawings, licence: CC0, attribution: nobody, root: set/val}]
optimizer: {steps: 3, batch_size: 2, learning_rate: 1e-3, warmup_steps: 1}
loss: {class_weights: [1.0, 1.0]}
"""


FUSION_TRAINING = """
id: tiny-fusion
title: Tiny
task: fuse
resolution_m: 30.0
license: CC0-1.0
limits: drawings
network: {design: sa-stf, width: 8, multipliers: [1, 2], groups: 4, shrink: 2}
data:
  crop_px: 16
  scales: [8]
  sources:
    - {kind: farmland, name: farms, count: 1, size_px: 32, licence: CC0-1.0, attribution: nobody}
optimizer: {steps: 2, batch_size: 1}
inference: {steps: 3, window_px: 16}
"""


def test_fusion_weights_are_trained_and_listed(
    n2m: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path / "made"))
    Path("tiny.yaml").write_text(FUSION_TRAINING, encoding="utf-8")
    said = n2m("train", "tiny.yaml", "--seed", "5", "--device", "cpu", "--json")
    assert said.code == 0, said.err
    assert (said.json["checkpoint"], said.json["finished"]) == ("tiny-fusion-seed5", True)
    (card,) = n2m("checkpoints", "--json").json["checkpoints"]
    assert (card["id"], card["task"], card["steps"]) == ("tiny-fusion-seed5", "fuse", 3)
    assert "tiny-fusion-seed5" in n2m("checkpoints").out
    Path("x.png").write_bytes(b"")
    refused = n2m("segment", "x.png", "--checkpoint", "tiny-fusion-seed5", "--out", "m.tif")
    assert refused.code != 0
    assert "Traceback" not in refused.err


def test_a_mistake_in_a_fusion_configuration_is_named(n2m: Command) -> None:
    Path("odd.yaml").write_text(
        FUSION_TRAINING.replace("crop_px: 16", "crop_px: 15"), encoding="utf-8"
    )
    said = n2m("train", "odd.yaml", "--device", "cpu")
    assert said.code != 0
    assert "data.crop_px is 15; a multiple of 4 is wanted" in said.err
