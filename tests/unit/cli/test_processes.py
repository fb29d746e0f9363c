from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from command_runs import Command
from rasters import RasterFactory
from tiny_models import drawn_scene

from n2m_core import __version__
from n2m_core.cli import app

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


# A process of its own


def _heed_interrupts() -> None:
    """A shell starts background jobs deaf to Ctrl-C, and so would this child be of one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


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
        preexec_fn=_heed_interrupts,
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
