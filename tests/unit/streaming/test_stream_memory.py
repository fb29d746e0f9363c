"""Memory is that of a block, whatever the scene."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window
from tiny_models import drawn_scene, save_tiny
from untrained_models import untrained

SIDE_PX = 3600
"""The pixels alone take 39 MB, what a network sees of them 156 MB, its answer and
what is made of both as much again."""
MOST_MB = 200
CHILD = """
import sys
from pathlib import Path
from n2m_core.checkpoints import load
from n2m_core.raster_io import SceneFile
from n2m_core.streaming import maps
from n2m_core.streaming.run import MapOutputs, StreamOptions, run_map
from n2m_core.tasks.params import MapParams


def kib(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


scene, out = sys.argv[1:]
model = load("plain-segment", "segment", device="cpu")
idle = kib("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
made = maps.prepare([SceneFile(scene)], model, MapParams(), side_px=512)
result = run_map(made.job, made.work, model.card, MapOutputs(Path(out)), StreamOptions())
print(result.worked.blocks, (kib("VmHWM") - idle) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
def test_memory_is_bounded_by_the_block(tmp_path: Path) -> None:
    save_tiny(tmp_path / "checkpoints", untrained("segment"))
    profile = {
        "driver": "GTiff", "width": SIDE_PX, "height": SIDE_PX, "count": 3, "dtype": "uint8",
        "crs": "EPSG:32633", "transform": Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000),
        "tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "DEFLATE", "nodata": 0,
        "sparse_ok": "TRUE",
    }  # fmt: skip
    with rasterio.open(tmp_path / "scene.tif", "w", **profile) as dataset:
        for corner in (0, SIDE_PX - 200):
            part = np.maximum(drawn_scene(corner, 200, 200)[0], 1)
            dataset.write(part, window=Window(corner, corner, 200, 200))
    environment = {
        **os.environ,
        "N2M_CHECKPOINTS": str(tmp_path / "checkpoints"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "scene.tif"), str(tmp_path / "map.tif")],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    blocks, used_mb = map(int, done.stdout.split())
    assert blocks > 40
    assert used_mb < MOST_MB
    with rasterio.open(tmp_path / "map.tif") as dataset:
        mapped = dataset.read(1) != 255
    assert mapped.sum() == 2 * 200 * 200
