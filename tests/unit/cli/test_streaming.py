"""Streamed runs on the command line: in this process, stopped, killed, and on workers."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from command_runs import Command
from rasters import RasterFactory
from tiny_models import drawn_pair, drawn_scene, save_tiny
from tiny_refiners import save_refiner, tiny_refiner
from untrained_models import untrained

from n2m_core.cli import main, streaming
from n2m_core.datasets.triplets import write_farmland
from n2m_core.scenes.farmland import FarmlandParams
from n2m_core.streaming.fuse import ROLES

FINISHED = 60
"""Seconds that a run of a tiny scene may take on a busy machine."""
PLACE = Affine(0.5, 0, 500_000.3, 0, -0.5, 5_000_000.2)


@pytest.fixture(scope="module")
def checkpoints_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    save_tiny(folder, untrained("segment"))
    save_tiny(folder, untrained("change"))
    save_refiner(folder, tiny_refiner(window_px=32))
    return folder


@pytest.fixture
def scene(write_raster: RasterFactory) -> Path:
    return write_raster(drawn_scene(7, 260, 270)[0], "scene.tif", transform=PLACE)


def words(scene: Path, out: Path, *more: object) -> list[str]:
    """A run of some twenty blocks."""
    told = ["segment", scene, "--checkpoint", "plain-segment", "--out", out, "--engine", "stream"]
    return [str(word) for word in (*told, "--block", 64, "--device", "cpu", *more)]


# In this process


def test_streamed_segmentation_says_what_one_in_memory_says(
    n2m: Command, scene: Path, tmp_path: Path
) -> None:
    extras = ("--vector", tmp_path / "v.geojson", "--min-area", 5, "--json")
    streamed = n2m(*words(scene, tmp_path / "s.tif", *extras))
    assert streamed.code == 0, streamed.err
    memory = n2m(
        "segment", scene, "--checkpoint", "plain-segment", "--out", tmp_path / "m.tif", *extras
    )
    ours, theirs = streamed.json, memory.json
    assert (ours["engine"], ours["resumed_blocks"]) == ("stream", 0)
    assert ours["blocks"] >= 9
    same = theirs.keys() - {"out", "seconds"}
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}
    assert (tmp_path / "s.tif").read_bytes() == (tmp_path / "m.tif").read_bytes() or (
        pixels(tmp_path / "s.tif") == pixels(tmp_path / "m.tif")
    )


def pixels(path: Path) -> bytes:
    with rasterio.open(path) as dataset:
        return bytes(dataset.read().tobytes())


def test_streamed_change_tells_a_person(
    n2m: Command, write_raster: RasterFactory, tmp_path: Path
) -> None:
    before, after, _ = drawn_pair(3, 140, 130)
    files = write_raster(before, "before.tif"), write_raster(after, "after.tif")
    said = n2m(
        "change", *files, "--checkpoint", "plain-change", "--out", tmp_path / "c.tif",
        "--probabilities", tmp_path / "p.tif", "--engine", "stream", "--block", 64,
    )  # fmt: skip
    assert said.code == 0, said.err
    assert "blocks by engine stream; " in said.out
    with rasterio.open(tmp_path / "p.tif") as dataset:
        assert dataset.descriptions == ("unchanged", "built", "demolished")
        assert np.allclose(dataset.read().sum(axis=0), 1, atol=1e-5)


def test_streamed_refinement(n2m: Command, write_raster: RasterFactory) -> None:
    picture, truth = drawn_scene(7, 90, 100)
    scene = write_raster(picture, "small.tif", transform=PLACE)
    labels = np.roll(truth, 3, axis=1)
    rough = write_raster(labels[None], "rough.tif", transform=PLACE)
    told = ("refine", scene, rough, "--checkpoint", "tiny-refiner", "--steps", 1, "--json")
    said = n2m(
        *told, "--out", "s.tif", "--samples", 2, "--uncertainty", "u.tif", "--engine", "stream",
        "--block", 64,
    )  # fmt: skip
    assert said.code == 0, said.err
    facts = said.json
    assert facts["blocks"] == 4
    assert (facts["steps"], facts["samples"], facts["guidance"]) == (1, 2, 2.0)
    with rasterio.open("s.tif") as made, rasterio.open("u.tif") as apart:
        changed = (made.read(1) != labels).mean()
        assert 0 <= apart.read(1).min() <= apart.read(1).max() <= 0.5
    assert facts["changed"] == pytest.approx(changed)


def test_fusion_on_the_command_line(n2m: Command, tmp_path: Path) -> None:
    write_farmland(tmp_path / "farm", 1, FarmlandParams(1_000_003, size=64, bands=4))
    (place,) = (path for path in (tmp_path / "farm").iterdir() if path.is_dir())
    triplet = {role: place / f"{role}.tif" for role in ROLES}
    words = [word for role, path in triplet.items() for word in (f"--{role}", path)]
    said = n2m("fuse", *words, "--method", "copy", "--out", "f1.tif", "--engine", "stream",
               "--block", 64, "--json")  # fmt: skip
    assert said.code == 0, said.err
    assert (said.json["engine"], said.json["dn_scale"]) == ("stream", 10_000)
    with rasterio.open("f1.tif") as made, rasterio.open(triplet["fine0"]) as first:
        assert (made.read() == first.read()).all()
        assert made.tags()["N2M_FUSION"] == "copy"


def test_large_images_are_streamed_by_themselves(
    n2m: Command, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "AUTO_PIXELS", 260 * 270 - 1)
    asked = streaming.Asked("auto", None, is_resumed=False, side_px=None)
    assert asked.streams(scene)
    assert not streaming.Asked("memory", None, is_resumed=False, side_px=None).streams(scene)
    photo = tmp_path / "photo.png"
    with rasterio.open(photo, "w", driver="PNG", width=9, height=9, count=1, dtype="uint8") as d:
        d.write(np.zeros((1, 9, 9), np.uint8))
    assert not asked.streams(scene, photo)
    monkeypatch.setattr(streaming, "AUTO_PIXELS", 260 * 270)
    assert not asked.streams(scene)
    assert not asked.streams(tmp_path / "absent.tif")
    assert asked.streams(Path("/vsis3/bucket/scene.tif"))


def test_addresses_keep_their_slashes(tmp_path: Path) -> None:
    typed = Path("/vsicurl/https://example.org/a/b.tif")
    assert streaming.scene_file(typed, None, None).path == "/vsicurl/https://example.org/a/b.tif"
    assert streaming.scene_file(Path("/vsis3/bucket/b.tif"), None, None).path.startswith("/vsis3/")
    assert streaming.scene_file(tmp_path / "x" / ".." / "b.tif", (1,), 0).path == str(
        tmp_path / "b.tif"
    )


def test_mistakes_are_told(n2m: Command, scene: Path, tmp_path: Path) -> None:
    said = n2m("segment", scene, "--checkpoint", "plain-segment", "--out", "m.tif", "--engine",
               "memory", "--resume")  # fmt: skip
    assert said.code == 2
    assert "--engine stream" in said.err
    picture = tmp_path / "photo.png"
    with rasterio.open(picture, "w", driver="PNG", width=9, height=9, count=3, dtype="uint8") as d:
        d.write(np.zeros((3, 9, 9), np.uint8))
    said = n2m(*words(picture, tmp_path / "m.tif"))
    assert said.code == 1
    assert "can't be read in windows" in said.err


# Processes of their own


@contextmanager
def forked(arguments: list[str], errors: Path) -> Iterator[int]:
    """Run a command in a child of this process, which has everything loaded; gives its number."""
    number = os.fork()
    if number == 0:
        code = 70
        try:
            with errors.open("w") as told:
                os.dup2(told.fileno(), 2)
            sys.stderr = os.fdopen(2, "w", closefd=False)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            # Threads of the parent's pool do not come along.
            torch.set_num_threads(1)
            main(arguments)
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        finally:
            sys.stderr.flush()
            os._exit(code)
    try:
        yield number
    finally:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(number, 0)


def wait_for_blocks(journal: Path, count: int) -> None:
    """Wait until so many blocks are on the disk."""
    until = time.monotonic() + FINISHED
    while time.monotonic() < until:
        if journal.is_file() and journal.read_text().count('"block"') >= count:
            return
        time.sleep(0.002)
    raise AssertionError(f"{journal} never held {count} blocks")


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@needs_fork
def test_killed_twice_it_goes_on_and_nothing_differs(
    n2m: Command, scene: Path, tmp_path: Path
) -> None:
    assert n2m(*words(scene, tmp_path / "whole.tif")).code == 0
    out = tmp_path / "map.tif"
    journal = tmp_path / "map.tif.part" / "journal.jsonl"
    done = 0
    for more, least in (((), 2), (("--resume",), 6)):
        with forked(words(scene, out, *more), tmp_path / "said.txt") as number:
            wait_for_blocks(journal, least)
            os.kill(number, signal.SIGKILL)
            _, status = os.waitpid(number, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        assert not out.exists()
        done = journal.read_text().count('"block"')
        assert done >= least
    # A line that was being written when the run was killed counts for nothing.
    with journal.open("a") as file:
        file.write('{"block": 99')
    said = n2m(*words(scene, out, "--resume", "--json"))
    assert said.code == 0, said.err
    assert said.json["resumed_blocks"] == done
    assert out.read_bytes() == (tmp_path / "whole.tif").read_bytes()
    assert not journal.parent.exists()


@needs_fork
def test_stopped_run_says_how_to_go_on(n2m: Command, scene: Path, tmp_path: Path) -> None:
    out, errors = tmp_path / "map.tif", tmp_path / "said.txt"
    with forked(words(scene, out), errors) as number:
        wait_for_blocks(tmp_path / "map.tif.part" / "journal.jsonl", 1)
        os.kill(number, signal.SIGINT)
        _, status = os.waitpid(number, 0)
    assert os.waitstatus_to_exitcode(status) == 130
    told = errors.read_text()
    assert "the same command with --resume goes on" in told
    assert "Traceback" not in told
    assert not out.exists()
