from __future__ import annotations

from pathlib import Path

import pytest
import typer
from command_runs import Command

from n2m_core.cli.options import whole_numbers

MISTAKES: dict[str, tuple[tuple[str, ...], str]] = {
    "unknown checkpoint": (
        ("segment", "tile.tif", "--checkpoint", "x", "--out", "o.tif"),
        "choose one of tiny-both, tiny-buildings",
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
