"""Workers in processes of their own, one of which is killed half way."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import rasterio
from distributed import Client, LocalCluster
from rasters import RasterFactory
from tiny_models import drawn_scene, save_tiny
from untrained_models import untrained

from n2m_core.checkpoints import load
from n2m_core.errors import CheckpointError, ParameterError
from n2m_core.raster_io import SceneFile
from n2m_core.streaming import maps
from n2m_core.streaming.jobs import ReadyJob
from n2m_core.streaming.run import MapOutputs, StreamedMap, StreamOptions, run_map
from n2m_core.tasks.params import MapParams

Ready = ReadyJob[maps.MapJob, maps.MapWork]


@pytest.fixture
def prepared(write_raster: RasterFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ready:
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    save_tiny(tmp_path / "checkpoints", untrained("segment"))
    path = write_raster(drawn_scene(9, 230, 240)[0], "scene.tif")
    model = load("plain-segment", "segment", device="cpu")
    return maps.prepare(
        [SceneFile(str(path))],
        model,
        MapParams(),
        device="cpu",
        extras=("probabilities",),
        side_px=64,
    )


def run(prepared: Ready, out: Path, options: StreamOptions, progress: object = None) -> StreamedMap:
    outputs = MapOutputs(out, out.with_name(f"{out.stem}_p.tif"))
    card = prepared.work.model.card
    assert progress is None or callable(progress)
    return run_map(prepared.job, prepared.work, card, outputs, options, progress=progress)


def test_workers_give_the_local_bytes_though_one_is_killed(prepared: Ready, tmp_path: Path) -> None:
    run(prepared, tmp_path / "local.tif", StreamOptions())
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        pids = client.run(os.getpid)
        killed = list[int]()

        def kill_one(done: int, total: int, note: str) -> None:
            """Kill a worker once some blocks are done."""
            if done >= total // 3 and not killed:
                killed.append(min(pids.values()))
                os.kill(killed[0], signal.SIGKILL)

        options = StreamOptions("dask", cluster.scheduler_address)
        result = run(prepared, tmp_path / "spread.tif", options, kill_one)
    assert killed
    assert result.worked.blocks >= 9
    for name in ("", "_p"):
        ours = tmp_path / f"spread{name}.tif"
        assert ours.read_bytes() == (tmp_path / f"local{name}.tif").read_bytes()
    with rasterio.open(tmp_path / "spread.tif") as dataset:
        assert set(np.unique(dataset.read(1))) == {0, 1}


def test_no_scheduler_is_told(
    prepared: Ready, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("n2m_core.streaming.cluster.CONNECT_S", 0.5)
    with pytest.raises(ParameterError, match="No dask scheduler answers"):
        run(prepared, tmp_path / "m.tif", StreamOptions("dask", "tcp://127.0.0.1:9"))


def test_worker_with_other_weights_is_refused(
    prepared: Ready, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    job = dataclasses.replace(prepared.job, sha256="0" * 64)
    with pytest.raises(CheckpointError, match="others than those of the machine"):
        job.open()
