from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_runs import Command, Said
from rasters import RasterFactory
from tiny_models import change_detector, cover_mapper, drawn_scene, save_tiny, segmenter
from tiny_multitask import save_both

from n2m_core.cli import main


@pytest.fixture(scope="module")
def checkpoints_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    for model in (segmenter(), change_detector(), cover_mapper()):
        save_tiny(folder, model)
    save_both(folder)
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
