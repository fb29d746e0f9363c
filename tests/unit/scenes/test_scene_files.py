"""Scenes on disk: labelled folders and the gallery's samples."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from n2m_core.errors import ParameterError
from n2m_core.raster_io import read_image, read_labels, same_grid
from n2m_core.scenes import HELD_OUT_SEEDS, STYLES, make_scene, write_dataset
from n2m_core.scenes.held_out import params_of
from n2m_core.tasks import samples
from n2m_core.tasks.samples import SAMPLES, SERIES, SampleSpec, write_samples


def test_segment_folder_holds_what_the_scene_holds(tmp_path: Path) -> None:
    notes: list[tuple[int, int, str]] = []
    paths = write_dataset(
        tmp_path, "segment", 2, size=64, progress=lambda *step: notes.append(step)
    )
    assert [path.name for path in paths] == ["scene_1000000.tif", "scene_1000001.tif"]
    assert [step[:2] for step in notes] == [(1, 2), (2, 2)]
    scene = make_scene(params_of(HELD_OUT_SEEDS.start, size=64))
    image, mask = read_image(paths[0]), read_labels(tmp_path / "masks" / paths[0].name)
    np.testing.assert_array_equal(image.pixels, scene.image.pixels)
    np.testing.assert_array_equal(mask.pixels[0], scene.building_mask * 255)
    assert same_grid(image, mask)
    assert image.crs == scene.image.crs
    assert image.resolution_m == pytest.approx(scene.image.resolution_m, rel=1e-3)


def test_land_cover_folder_holds_class_indices(tmp_path: Path) -> None:
    (path,) = write_dataset(tmp_path, "landcover", 1, 1_000_005, size=64)
    scene = make_scene(params_of(1_000_005, size=64))
    mask = read_labels(tmp_path / "masks" / path.name)
    np.testing.assert_array_equal(mask.pixels[0], scene.land_cover)


def test_change_folder_holds_both_dates(tmp_path: Path) -> None:
    (path,) = write_dataset(tmp_path, "change", 1, size=160, style="town", story="growth")
    before, after = (read_image(tmp_path / date / path.name) for date in ("before", "after"))
    label = read_labels(tmp_path / "labels" / path.name)
    assert same_grid(before, after)
    assert same_grid(before, label)
    assert set(np.unique(label.pixels).tolist()) <= {0, 1, 2}
    assert (label.pixels > 0).any()


@pytest.mark.parametrize(("kind", "count", "words"), [("maps", 1, "'maps'"), ("change", 0, "0 s")])
def test_bad_requests_are_refused(tmp_path: Path, kind: str, count: int, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        write_dataset(tmp_path / "out", kind, count)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_samples_are_held_out_and_cover_every_style() -> None:
    assert all(spec.params.seed in HELD_OUT_SEEDS for spec in SAMPLES)
    assert {spec.params.style for spec in SAMPLES} == set(STYLES)
    assert len({spec.id for spec in SAMPLES}) == len(SAMPLES)
    assert {spec.task for spec in SAMPLES} == {"segment", "change"}
    assert max(spec.params.size for spec in SAMPLES) == 1024


def small(spec: SampleSpec) -> SampleSpec:
    return replace(spec, params=replace(spec.params, size=96))


def test_index_lists_the_files_that_were_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = (small(SAMPLES[0]), small(SAMPLES[-1]))
    series = replace(SERIES[0], params=replace(SERIES[0].params, size=64))
    monkeypatch.setattr(samples, "SAMPLES", chosen)
    monkeypatch.setattr(samples, "SERIES", (series,))
    paths = write_samples(tmp_path)
    assert set(paths) == set(tmp_path.iterdir())
    scene, fire, farms = json.loads((tmp_path / "samples.json").read_text())["samples"]
    assert farms["task"] == "fuse"
    assert {*farms["series"].values(), *farms["truth"].values()} <= {path.name for path in paths}
    assert scene["task"] == "segment"
    assert scene["before"] is None
    assert fire["task"] == "change"
    grids = [read_image(tmp_path / scene["image"]), read_image(tmp_path / fire["before"])]
    for entry, grid in ((scene, grids[0]), (fire, grids[1])):
        assert entry["credit"]
        for name in (*entry["truth"].values(), entry["image"]):
            assert same_grid(read_labels(tmp_path / name), grid)
    again = tmp_path / "again"
    write_samples(again)
    for path in paths:
        assert path.read_bytes() == (again / path.name).read_bytes()
