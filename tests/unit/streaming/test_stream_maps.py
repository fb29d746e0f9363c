"""A streamed map is the map of the scene in memory, whatever its blocks."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasters import RasterFactory
from tiny_models import cover_mapper, drawn_pair, drawn_scene
from untrained_models import untrained

from n2m_core.checkpoints import LoadedModel
from n2m_core.errors import GridError, NoOverlapError, OutputError, ParameterError
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import SceneFile, parts, read_image
from n2m_core.streaming import maps
from n2m_core.streaming.journal import Journal, folder_of
from n2m_core.streaming.run import MapOutputs, StreamedMap, StreamOptions, run_map
from n2m_core.tasks import change, segment
from n2m_core.tasks.export import class_figures, polygons_of
from n2m_core.tasks.params import MapParams
from n2m_core.tasks.result import MapResult


def at(resolution_m: float, east_px: float = 0.0) -> Affine:
    """A grid whose lines are not those of the network's lattice."""
    corner = 500_003.3 + east_px * resolution_m
    return Affine(resolution_m, 0, corner, 0, -resolution_m, 5_000_001.7)


def streamed(
    files: list[Path],
    model: LoadedModel,
    folder: Path,
    params: MapParams | None = None,
    *,
    side_px: int = 64,
) -> StreamedMap:
    params = params or MapParams()
    outputs = MapOutputs(folder / "m.tif", folder / "p.tif", folder / "v.gpkg")
    prepared = maps.prepare(
        [SceneFile(str(path)) for path in files],
        model,
        params,
        extras=outputs.extras,
        side_px=side_px,
    )
    assert len(prepared.work.boxes) >= 4
    return run_map(
        prepared.job,
        prepared.work,
        model.card,
        outputs,
        StreamOptions(),
        min_area_m2=params.min_area_m2,
        notes=prepared.notes,
    )


def written(path: Path) -> NDArray[np.float32]:
    with rasterio.open(path) as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        pixels: NDArray[np.float32] = dataset.read()
    return pixels


def check_equal(expected: MapResult, folder: Path) -> None:
    """Every pixel of one class but for a tie or two; probabilities to the rounding of sums."""
    found = written(folder / "m.tif")[0]
    known = np.where(expected.labels == 255, np.float32(np.nan), expected.probabilities)
    np.testing.assert_allclose(written(folder / "p.tif"), known, atol=5e-6)
    assert ((found == 255) == (expected.labels == 255)).all()
    differs = found != expected.labels
    assert differs.mean() < 2e-4
    first, second = np.sort(expected.probabilities, axis=0)[:-3:-1]
    assert (first - second)[differs].max(initial=0) < 1e-5


@pytest.mark.parametrize(
    ("resolution_m", "dtype", "shape"),
    [(0.5, "uint8", (171, 163)), (0.8, "uint16", (117, 131)), (0.37, "uint8", (241, 203))],
)
def test_streamed_map_with_a_hole_is_the_map_in_memory(
    write_raster: RasterFactory,
    tmp_path: Path,
    resolution_m: float,
    dtype: str,
    shape: tuple[int, int],
) -> None:
    """Odd sizes, three ground resolutions, a hole without data, percentiles of the whole scene."""
    pixels = (drawn_scene(3, *shape)[0].astype(dtype) + 1) * (1 if dtype == "uint8" else 17)
    pixels[:, 60:100, 40:90] = 0
    path = write_raster(pixels, transform=at(resolution_m), nodata=0)
    model = untrained("segment")
    expected = segment.run(read_image(path), model)
    result = streamed([path], model, tmp_path)
    check_equal(expected, tmp_path)
    assert result.notes == expected.notes
    assert result.classes == class_figures(expected)
    with rasterio.open(tmp_path / "m.tif") as dataset:
        assert dataset.transform == at(resolution_m)
        assert dataset.nodata == 255
        assert dataset.colormap(1)[1] == (0xD5, 0x5E, 0x00, 255)
        assert dataset.tags()["N2M_CHECKPOINT"] == "plain-segment"
    assert not list(tmp_path.glob("*.part"))


def in_strips(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """Go through finished rasters so many rows at a time."""
    monkeypatch.setattr(parts, "STRIP_PIXELS", 1)
    monkeypatch.setattr(parts, "STRIP_ROWS", rows)


def test_small_areas_go_and_polygons_join_across_strips(
    write_raster: RasterFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_strips(monkeypatch, 16)
    path = write_raster(drawn_scene(5, 170, 165)[0], transform=at(0.5))
    model, params = untrained("segment"), MapParams(threshold=0.5, min_area_m2=5.0)
    expected = segment.run(read_image(path), model, params)
    plain = segment.run(read_image(path), model, MapParams(threshold=0.5))
    result = streamed([path], model, tmp_path, params)
    assert (plain.labels != expected.labels).any()
    assert (written(tmp_path / "m.tif")[0] == expected.labels).all()
    wanted, found = polygons_of(expected), gpd.read_file(tmp_path / "v.gpkg")
    assert len(wanted) == len(found) == result.polygons
    assert found.geometry.geom_equals(wanted.geometry).all()
    np.testing.assert_allclose(found["area_m2"], wanted["area_m2"])
    np.testing.assert_allclose(found["confidence"], wanted["confidence"], atol=2e-5)


@pytest.mark.parametrize(("rows", "least"), [(1024, 1.0), (64, 0.995)])
def test_without_a_background_small_areas_take_the_class_beside_them(
    write_raster: RasterFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows: int,
    least: float,
) -> None:
    """In strips a pixel as near to two classes may take either."""
    in_strips(monkeypatch, rows)
    path = write_raster(drawn_scene(6, 165, 170)[0], transform=at(0.5))
    model, params = cover_mapper(), MapParams(min_area_m2=8.0)
    expected = segment.run(read_image(path), model, params)
    plain = segment.run(read_image(path), model)
    result = streamed([path], model, tmp_path, params)
    assert (plain.labels != expected.labels).mean() > 0.02
    assert (written(tmp_path / "m.tif")[0] == expected.labels).mean() >= least
    assert any("nearest pixel that stays" in note for note in result.notes)


def test_pair_on_different_grids(write_raster: RasterFactory, tmp_path: Path) -> None:
    """The later image is of another resolution, lies elsewhere, and leaves a part uncovered."""
    before, after, _ = drawn_pair(8, 165, 180)
    earlier = write_raster(before, "before.tif", transform=at(0.5))
    later = write_raster(after[:, ::2, ::2], "after.tif", transform=at(1.0, 20))
    model = untrained("change")
    expected = change.run(read_image(earlier), read_image(later), model)
    streamed([earlier, later], model, tmp_path)
    assert (expected.labels == 255).any()
    check_equal(expected, tmp_path)


def test_pair_of_which_one_has_no_place(write_raster: RasterFactory, tmp_path: Path) -> None:
    before, after, _ = drawn_pair(9, 165, 140)
    earlier = write_raster(before, "before.tif", crs=None)
    later = write_raster(after, "after.tif")
    model = untrained("change")
    expected = change.run(read_image(earlier), read_image(later), model)
    result = streamed([earlier, later], model, tmp_path)
    check_equal(expected, tmp_path)
    note = "Only one image of the pair has a georeference; they were matched pixel by pixel."
    assert note in expected.notes
    assert note in result.notes


def test_pair_without_common_ground_is_refused(write_raster: RasterFactory) -> None:
    before, after, _ = drawn_pair(9, 64, 64)
    files = [
        SceneFile(str(write_raster(before, "before.tif"))),
        SceneFile(str(write_raster(after, "after.tif", transform=at(0.5, 9000)))),
    ]
    with pytest.raises(NoOverlapError, match="do not overlap"):
        maps.prepare(files, untrained("change"), MapParams())


def test_other_bands_decide_where_there_is_data(
    write_raster: RasterFactory, tmp_path: Path
) -> None:
    """Four bands with nodata 0: a pixel black in colours has data while its infrared does."""
    pixels = np.concatenate([drawn_scene(4, 150, 140)[0], np.full((1, 150, 140), 9, np.uint8)])
    pixels[:3, 20:60, 30:70] = 0
    pixels[:, 100:120, 30:70] = 0
    path = write_raster(pixels, nodata=0, photometric="MINISBLACK")
    model = untrained("segment")
    expected = segment.run(read_image(path), model)
    result = streamed([path], model, tmp_path)
    check_equal(expected, tmp_path)
    assert result.notes == expected.notes


def test_empty_blocks_are_not_shown_to_the_network(
    write_raster: RasterFactory, tmp_path: Path
) -> None:
    pixels = np.zeros((3, 400, 64), np.uint8)
    pixels[:, :64] = drawn_scene(4, 64, 64)[0] + 1
    prepared = maps.prepare(
        [SceneFile(str(write_raster(pixels, nodata=0)))],
        untrained("segment"),
        MapParams(),
        side_px=64,
    )
    last = len(prepared.work.boxes) - 1
    told: list[int] = []
    result = prepared.work.compute(
        last, prepared.work.read(last), lambda done, total, note: told.append(done)
    )
    assert (result.bands, dict(result.counts), told) == ({}, {"valid": 0}, [])


def test_scene_without_data_is_refused(write_raster: RasterFactory) -> None:
    path = write_raster(np.zeros((3, 80, 80), np.uint8), nodata=0)
    with pytest.raises(GridError, match="no pixel with data"):
        maps.prepare([SceneFile(str(path))], untrained("segment"), MapParams())


def test_earlier_work_is_kept_or_refused(write_raster: RasterFactory, tmp_path: Path) -> None:
    path = write_raster(drawn_scene(4, 150, 140)[0])
    model, out = untrained("segment"), tmp_path / "m.tif"
    outputs = MapOutputs(out)

    def run(seed: int, *, is_resumed: bool, stop: bool = False) -> StreamedMap:
        prepared = maps.prepare([SceneFile(str(path))], model, MapParams(seed=seed), side_px=64)

        def tell(done: int, total: int, note: str) -> None:
            if stop and done:
                raise KeyboardInterrupt

        options = StreamOptions(is_resumed=is_resumed)
        return run_map(prepared.job, prepared.work, model.card, outputs, options, progress=tell)

    with pytest.raises(KeyboardInterrupt):
        run(0, is_resumed=False, stop=True)
    assert not out.exists()
    with pytest.raises(OutputError, match="Add --resume"):
        run(0, is_resumed=False)
    with pytest.raises(OutputError, match="another run: params differ"):
        run(1, is_resumed=True)
    assert run(0, is_resumed=True).worked.resumed >= 1
    assert out.exists()


def test_two_runs_do_not_share_a_folder(write_raster: RasterFactory, tmp_path: Path) -> None:
    path = write_raster(drawn_scene(4, 64, 64)[0])
    prepared = maps.prepare([SceneFile(str(path))], untrained("segment"), MapParams())
    out, rasters = tmp_path / "m.tif", prepared.work.rasters
    first = Journal.begin(out, prepared.job, rasters, is_resumed=False)
    with pytest.raises(OutputError, match="Another run works in"):
        Journal.begin(out, prepared.job, rasters, is_resumed=True)
    first.close()
    second = Journal.begin(out, prepared.job, rasters, is_resumed=True)
    second.remove()
    assert not folder_of(out).exists()


def test_changed_input_is_noticed(write_raster: RasterFactory, tmp_path: Path) -> None:
    path = write_raster(drawn_scene(4, 64, 64)[0])
    out, model = tmp_path / "m.tif", untrained("segment")
    prepared = maps.prepare([SceneFile(str(path))], model, MapParams())
    Journal.begin(out, prepared.job, prepared.work.rasters, is_resumed=False).close()
    write_raster(drawn_scene(5, 64, 64)[0])
    again = maps.prepare([SceneFile(str(path))], model, MapParams())
    with pytest.raises(OutputError, match="the input files differ"):
        Journal.begin(out, again.job, again.work.rasters, is_resumed=True)


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ParameterError, match="Blocks of 8 px"):
        StreamOptions(side_px=8)
    with pytest.raises(ParameterError, match="--engine dask"):
        StreamOptions(scheduler="tcp://127.0.0.1:1")


def test_header_takes_no_memory(write_raster: RasterFactory) -> None:
    header: GeoImage = SceneFile(str(write_raster(drawn_scene(4, 64, 64)[0]))).opened().header
    assert header.pixels.strides == (0, 0, 0)
    assert header.valid.strides == (0, 0)
