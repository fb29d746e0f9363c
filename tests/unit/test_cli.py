from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import typer
from affine import Affine
from PIL import Image
from rasters import UTM, RasterFactory
from tiny_models import (
    change_detector,
    cover_mapper,
    drawn_pair,
    drawn_scene,
    save_tiny,
    segmenter,
)

from n2m_core import __version__
from n2m_core.cli import app, learning, main
from n2m_core.cli.options import whole_numbers


@dataclass(frozen=True)
class Said:
    """What one command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        payload: dict[str, Any] = json.loads(self.out)
        return payload


Command = Callable[..., Said]


@pytest.fixture(scope="module")
def checkpoints_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    for model in (segmenter(), change_detector(), cover_mapper()):
        save_tiny(folder, model)
    return folder


@pytest.fixture
def n2m(
    checkpoints_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Command]:
    """Run the command line in this process, in a folder of its own."""
    monkeypatch.setenv("N2M_CHECKPOINTS", str(checkpoints_folder))
    monkeypatch.setenv("N2M_LOG", str(tmp_path / "log" / "n2m.log"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    on_terminate = signal.getsignal(signal.SIGTERM)
    handlers = list(logging.getLogger().handlers)

    def call(*words: object) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as leaving:
            main([str(word) for word in words])
        told = capsys.readouterr()
        return Said(int(leaving.value.code or 0), told.out, told.err)

    yield call
    signal.signal(signal.SIGTERM, on_terminate)
    logging.captureWarnings(False)
    for handler in set(logging.getLogger().handlers) - set(handlers):
        logging.getLogger().removeHandler(handler)


@pytest.fixture
def tile(write_raster: RasterFactory) -> Path:
    return write_raster(drawn_scene(31, 120, 150)[0], "tile.tif")


@pytest.fixture
def mask(write_raster: RasterFactory) -> Path:
    return write_raster(drawn_scene(31, 120, 150)[1][None] * 255, "mask.tif")


# Help


def words_of_help(*words: str) -> str:
    environment = {**os.environ, "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-m", "n2m_core", *words, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return done.stdout


def every_command() -> list[tuple[str, ...]]:
    """The words of every command, those of groups included."""
    found: list[tuple[str, ...]] = [(entry.name or "",) for entry in app.registered_commands]
    for group in app.registered_groups:
        assert group.typer_instance is not None
        found += [
            (group.name or "", entry.name or "")
            for entry in group.typer_instance.registered_commands
        ]
    return found


def test_design_names_the_commands() -> None:
    assert {" ".join(words) for words in every_command()} >= {
        "samples",
        "checkpoints",
        "segment",
        "change",
        "trajectory",
        "evaluate segment",
        "evaluate change",
        "train",
    }


@pytest.mark.parametrize("words", [(), *every_command()], ids=" ".join)
def test_every_help_has_an_example_that_parses(words: tuple[str, ...]) -> None:
    text = " ".join(words_of_help(*words).split())
    assert "Example: n2m" in text
    rest = text.split("Example: n2m ")[1].split()
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    command.make_context("n2m", rest)


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys; import n2m_core.cli; "
        "print([m for m in ('torch', 'rasterio', 'geopandas', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_version(n2m: Command) -> None:
    assert n2m("--version").out == f"n2m {__version__}\n"


# Maps


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
    assert [card["id"] for card in cards] == ["tiny-buildings", "tiny-change", "tiny-cover"]
    assert cards[0]["classes"][1]["name"] == "building"
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


def test_evaluate_change(n2m: Command, tmp_path: Path, write_raster: RasterFactory) -> None:
    for folder in ("before", "after", "labels"):
        (tmp_path / "pairs" / folder).mkdir(parents=True)
    before, after, truth = drawn_pair(43, 96, 96)
    for folder, pixels in (("before", before), ("after", after), ("labels", truth[None])):
        write_raster(pixels, f"pairs/{folder}/one.tif")
    report = n2m(
        "evaluate", "change", "--checkpoint", "tiny-change", "--root", "pairs", "--json"
    ).json
    assert [row["name"] for row in report["classes"]] == ["unchanged", "built", "demolished"]
    assert report["target"]["f1"] > 0.9


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


# Mistakes


MISTAKES: dict[str, tuple[tuple[str, ...], str]] = {
    "unknown checkpoint": (
        ("segment", "tile.tif", "--checkpoint", "x", "--out", "o.tif"),
        "choose one of tiny-buildings",
    ),
    "other task": (
        ("segment", "tile.tif", "--checkpoint", "tiny-change", "--out", "o.tif"),
        "Choose a segment checkpoint",
    ),
    "no such image": (
        ("segment", "none.tif", "--checkpoint", "tiny-buildings", "--out", "o.tif"),
        "There is no file none.tif",
    ),
    "not an image": (
        ("segment", "rubbish.tif", "--checkpoint", "tiny-buildings", "--out", "o.tif"),
        "rubbish.tif",
    ),
    "output over input": (
        ("segment", "tile.tif", "--checkpoint", "tiny-buildings", "--out", "tile.tif"),
        "is an input as well",
    ),
    "two outputs in one file": (
        ("segment", "tile.tif", "--checkpoint", "tiny-buildings", "--out", "o.tif",
         "--probabilities", "./o.tif"),
        "the file of --out as well",
    ),
    "wrong suffix": (
        ("segment", "tile.tif", "--checkpoint", "tiny-buildings", "--out", "o.png"),
        "must end in .tif or .tiff",
    ),
    "wrong vector suffix": (
        ("segment", "tile.tif", "--checkpoint", "tiny-buildings", "--out", "o.tif", "--vector",
         "v.shp"),
        "must end in .geojson",
    ),
    "missing folder": (
        ("segment", "tile.tif", "--checkpoint", "tiny-buildings", "--out", "none/o.tif"),
        "there is no folder none",
    ),
    "timestep": (
        ("segment", "tile.tif", "--checkpoint", "tiny-buildings", "--out", "o.tif",
         "--timestep", "1000"),
        "outside 0..999",
    ),
    "band": (
        ("segment", "tile.tif", "--checkpoint", "tiny-buildings", "--out", "o.tif",
         "--bands", "1,2,9"),
        "choose among 1 to 3",
    ),
    "device": (
        ("segment", "tile.tif", "--checkpoint", "tiny-buildings", "--out", "o.tif",
         "--device", "abacus"),
        "no device 'abacus'",
    ),
    "trajectory over other files": (
        ("trajectory", "tile.tif", "--checkpoint", "tiny-buildings", "--out", "."),
        "holds other files",
    ),
    "unknown dataset": (
        ("evaluate", "segment", "--checkpoint", "tiny-buildings", "--dataset", "x", "--root", "."),
        "Dataset 'x' is unknown",
    ),
    "empty dataset": (
        ("evaluate", "segment", "--checkpoint", "tiny-buildings", "--root", "."),
        "has no images/",
    ),
    "unknown key": (("train", "odd.yaml"), "unknown keys: colour"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_one_sentence(n2m: Command, tile: Path, name: str) -> None:
    original = tile.read_bytes()
    Path("rubbish.tif").write_bytes(b"II*\x00 not really")
    Path("odd.yaml").write_text("colour: red\n")
    words, expected = MISTAKES[name]
    said = n2m(*words)
    assert said.code == 1
    assert said.out == ""
    assert expected in said.err
    assert said.err.startswith("Error: ")
    assert len(said.err.strip().splitlines()) == 1
    assert tile.read_bytes() == original
    assert not Path("o.tif").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("segment", "tile.tif", "--checkpoint", "tiny-buildings"),
        ("segment", "tile.tif", "--checkpoint", "a", "--out", "o.tif", "--bands", "red"),
        ("evaluate", "segment", "--checkpoint", "a", "--root", ".", "--timesteps", "0,...,9"),
        ("train", "x.yaml", "--max-minutes", "-1"),
        ("fly",),
    ],
)
def test_wrong_usage_leaves_with_2(n2m: Command, words: tuple[str, ...]) -> None:
    said = n2m(*words)
    assert said.code == 2
    assert said.out == ""
    assert "Traceback" not in said.err


def test_traceback_goes_to_the_log_and_shows_with_debug(n2m: Command, tile: Path) -> None:
    words = ("segment", tile, "--checkpoint", "x", "--out", "o.tif")
    assert "Traceback" not in n2m(*words).err
    assert "CheckpointError" in Path("log/n2m.log").read_text(encoding="utf-8")
    assert "Traceback" in n2m("--debug", *words).err


def test_full_disk_keeps_the_old_map(
    n2m: Command, tile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("map.tif").write_bytes(b"the map of last year")
    Path("map.tif").chmod(0o400)
    monkeypatch.setattr(Path, "replace", _no_space)
    said = n2m("segment", tile, "--checkpoint", "tiny-buildings", "--out", "map.tif")
    assert said.code == 1
    assert "No space left" in said.err
    assert Path("map.tif").read_bytes() == b"the map of last year"


def _no_space(_self: Path, _target: Path) -> Path:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("3,2,1", (3, 2, 1)),
        ("0,100,...,900,999", (*range(0, 901, 100), 999)),
        ("10, 8, …, 0", (10, 8, 6, 4, 2, 0)),
    ],
)
def test_lists_of_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert whole_numbers(text, "--x") == numbers


@pytest.mark.parametrize(
    "text", ["", "a", "1;2", "...,3", "1,...,3", "1,2,...", "0,2,...,5", "1.5"]
)
def test_bad_lists_of_numbers(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"whole numbers|no number"):
        whole_numbers(text, "--x")


# A process of its own


@pytest.fixture
def long_run(
    checkpoints_folder: Path, write_raster: RasterFactory, tmp_path: Path
) -> Iterator[subprocess.Popen[str]]:
    """A trajectory of 201 steps that writes to `t`, where an earlier one lies; it has begun."""
    image = write_raster(drawn_scene(51, 380, 380)[0], "large.tif")
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "trajectory.json").write_text("{}")
    environment = {
        **os.environ,
        "N2M_CHECKPOINTS": str(checkpoints_folder),
        "N2M_LOG": str(tmp_path / "n2m.log"),
        "OMP_NUM_THREADS": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "n2m_core", "trajectory", str(image), "--checkpoint",
         "tiny-buildings", "--steps", "201", "--out", str(tmp_path / "t")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    assert process.stderr is not None
    assert "/201 t = " in process.stderr.readline()
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_stopped_run_leaves_what_was_there(
    long_run: subprocess.Popen[str], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    long_run.send_signal(number)
    began = time.monotonic()
    out, err = long_run.communicate(timeout=60)
    assert long_run.returncode == code
    assert time.monotonic() - began < 30
    assert out == ""
    assert "Traceback" not in err
    assert (tmp_path / "t" / "trajectory.json").read_text() == "{}"
    assert [path.name for path in (tmp_path / "t").iterdir()] == ["trajectory.json"]
    assert {path.name for path in tmp_path.iterdir()} <= {"t", "large.tif", "n2m.log"}


def test_defect_is_told_in_a_sentence_and_logged(tmp_path: Path) -> None:
    code = (
        "from n2m_core.cli import catalogue, main\n"
        "catalogue.Output = lambda **_: 1 / 0\n"
        "main(['checkpoints'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "N2M_LOG": str(tmp_path / "n2m.log")},
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert "Traceback" in (tmp_path / "n2m.log").read_text(encoding="utf-8")
