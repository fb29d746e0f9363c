"""Streamed fusion gives what fusion in memory gives, and streamed refinement nearly so."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasters import RasterFactory
from tiny_fusion import write_tiny_fusion
from tiny_models import drawn_scene
from tiny_refiners import tiny_refiner

from n2m_core.datasets.triplets import write_farmland
from n2m_core.errors import LabelError, ParameterError
from n2m_core.fusion.inputs import sensor_bias
from n2m_core.raster_io import SceneFile, read_image, read_labels
from n2m_core.scenes.farmland import FarmlandParams
from n2m_core.streaming import fuse, refine
from n2m_core.streaming.run import MapOutputs, StreamOptions, run_map, work_through
from n2m_core.tasks import fuse as fusing
from n2m_core.tasks import refine as refining
from n2m_core.tasks.refine import RefineParams


@pytest.fixture(scope="module")
def triplet(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Five images of a farm, the coarse ones on a grid of their own, with a hole in the first."""
    folder = tmp_path_factory.mktemp("triplets")
    write_farmland(folder, 1, FarmlandParams(1_000_003, size=64, bands=4))
    (place,) = (path for path in folder.iterdir() if path.is_dir())
    files = {role: place / f"{role}.tif" for role in fuse.ROLES}
    with rasterio.open(files["fine0"]) as dataset:
        pixels, profile = dataset.read(), dataset.profile
    pixels[:, 10:31, 20:36] = 0
    holed = place / "holed.tif"
    with rasterio.open(holed, "w", **{**profile, "nodata": 0, "driver": "GTiff"}) as dataset:
        dataset.write(pixels)
    return {**files, "fine0": holed}


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small network in the place of the shipped one."""
    write_tiny_fusion(tmp_path / "checkpoints", "sastf-farmland")
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path / "checkpoints"))


def memory(triplet: dict[str, Path], params: fusing.FuseParams) -> fusing.FuseResult:
    images = {role: read_image(path) for role, path in triplet.items()}
    return fusing.run(fusing.FuseImages(**images), params)


def streamed(triplet: dict[str, Path], params: fusing.FuseParams, out: Path) -> float:
    files = {role: SceneFile(str(path)) for role, path in triplet.items()}
    prepared = fuse.prepare(files, params, side_px=24)
    assert len(prepared.work.boxes) == 9
    journal, _ = work_through(prepared.job, prepared.work, out, StreamOptions())
    return fuse.finish(journal, prepared.work, out)


@pytest.mark.parametrize("method", ["starfm", "estarfm", "mean-change"])
def test_streamed_fusion_is_fusion_in_memory(
    triplet: dict[str, Path], tmp_path: Path, method: str
) -> None:
    params = fusing.FuseParams(method, window_px=None if method == "mean-change" else 7)
    expected = memory(triplet, params)
    share = streamed(triplet, params, tmp_path / "f1.tif")
    made = read_image(tmp_path / "f1.tif")
    assert share == pytest.approx(expected.image.valid.mean())
    assert (made.valid == expected.image.valid).all()
    both = made.valid
    gap = made.pixels[:, both].astype(int) - expected.image.pixels[:, both]
    # Sums in another order may round a digital number the other way.
    assert np.abs(gap).max() <= 1
    assert (gap == 0).mean() > 0.999
    assert made.band_names == expected.image.band_names


@pytest.mark.usefixtures("weights")
def test_network_sees_the_scenes_windows_and_noise(
    triplet: dict[str, Path], tmp_path: Path
) -> None:
    """In one pass; a walk in steps lets what lies beyond the halo in, ever more faintly."""
    params = fusing.FuseParams("sa-stf-one-pass")
    expected = memory(triplet, params)
    streamed(triplet, params, tmp_path / "f1.tif")
    made = read_image(tmp_path / "f1.tif")
    gap = np.abs(made.pixels.astype(float) - expected.image.pixels)[:, made.valid]
    assert np.median(gap) <= 1
    spread = expected.image.pixels[:, made.valid].std()
    assert np.sqrt((gap**2).mean()) < 0.05 * spread


@pytest.mark.usefixtures("weights")
def test_the_coarse_sensors_bias_is_that_of_the_whole_scene(triplet: dict[str, Path]) -> None:
    params = fusing.FuseParams("sa-stf-one-pass")
    inputs = memory(triplet, params).prepared.inputs
    files = {role: SceneFile(str(path)) for role, path in triplet.items()}
    bias = fuse.prepare(files, params, side_px=24).job.bias
    np.testing.assert_allclose(bias, sensor_bias(inputs, inputs.valid), atol=1e-6)


def test_fsdaf_can_not_be_cut(triplet: dict[str, Path]) -> None:
    files = {role: SceneFile(str(path)) for role, path in triplet.items()}
    with pytest.raises(ParameterError, match="FSDAF finds its classes over the whole image"):
        fuse.prepare(files, fusing.FuseParams("fsdaf"))


# Refinement


def test_streamed_refinement_is_nearly_that_in_memory(
    write_raster: RasterFactory, tmp_path: Path
) -> None:
    """Windows of 32 px, a halo of one; the same classes for 98.5 % of the pixels at least."""
    picture, truth = drawn_scene(12, 100, 120)
    image = write_raster(picture, "image.tif")
    rough = write_raster(np.roll(truth, 3, axis=0)[None], "rough.tif")
    model = tiny_refiner(window_px=32)
    params = RefineParams(steps=2, guidance=1.0)
    expected = refining.run(read_image(image), read_labels(rough).pixels[0], model, params)
    prepared = refine.prepare(
        SceneFile(str(image)), SceneFile(str(rough)), model, params, side_px=64
    )
    outputs = MapOutputs(tmp_path / "m.tif")
    result = run_map(prepared.job, prepared.work, model.card, outputs, StreamOptions())
    found = read_labels(tmp_path / "m.tif").pixels[0]
    assert result.worked.blocks == 4
    assert expected.changed > 0.02
    assert (found == expected.labels).mean() >= 0.985
    assert result.counts["changed"] == (found != read_labels(rough).pixels[0]).sum()


def test_rough_map_of_another_kind_is_refused(write_raster: RasterFactory) -> None:
    picture, truth = drawn_scene(12, 64, 64)
    image, model = SceneFile(str(write_raster(picture, "image.tif"))), tiny_refiner()
    colours = SceneFile(str(write_raster(picture, "colours.tif")))
    with pytest.raises(LabelError, match="has 3 bands"):
        refine.prepare(image, colours, model, RefineParams())
    values = np.where(truth == 1, 7, 9)[None].astype(np.uint8)
    others = SceneFile(str(write_raster(values, "others.tif")))
    with pytest.raises(LabelError, match="other classes"):
        refine.prepare(image, others, model, RefineParams())
    shares = np.random.default_rng(1).random((1, 64, 64)).astype(np.float32)
    unclear = SceneFile(str(write_raster(shares, "shares.tif")))
    with pytest.raises(LabelError, match="a picture or probabilities"):
        refine.prepare(image, unclear, model, RefineParams())


def test_mask_written_with_nodata_zero_is_a_map(write_raster: RasterFactory) -> None:
    picture, truth = drawn_scene(12, 64, 64)
    image = SceneFile(str(write_raster(picture, "image.tif")))
    mask = SceneFile(str(write_raster(truth[None], "mask.tif", nodata=0)))
    job = refine.prepare(image, mask, tiny_refiner(), RefineParams()).job
    assert (dict(job.table), job.zeros_count) == ({0: 0, 1: 1}, True)
    assert dataclasses.replace(job, zeros_count=False) != job
