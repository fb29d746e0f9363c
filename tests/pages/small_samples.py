"""Small samples in the layout of `n2m samples`, for tests of the pages."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import write_geotiff
from n2m_core.scenes import SceneParams, make_pair, make_scene
from n2m_core.tasks import samples as sample_task

SIZE_PX = 96


SERIES_PX = 64


def write(folder: Path) -> Path:
    """Write two scenes and a pair."""
    entries = [_write_scene(folder, name, seed) for name, seed in (("first", 5), ("second", 6))]
    return _list(folder, [*entries, _write_pair(folder)])


def write_series(folder: Path) -> Path:
    """Write the first series that ships, but small."""
    spec = sample_task.SERIES[0]
    small = replace(spec, params=replace(spec.params, size=SERIES_PX))
    return _list(folder, [sample_task._write_series(folder, small)[0]])


def _list(folder: Path, entries: list[dict[str, object]]) -> Path:
    """Add entries to those that a folder lists."""
    path = folder / "samples.json"
    former = json.loads(path.read_text(encoding="utf-8"))["samples"] if path.is_file() else []
    path.write_text(json.dumps({"samples": former + entries}), encoding="utf-8")
    return folder


def _write_scene(folder: Path, name: str, seed: int) -> dict[str, object]:
    scene = make_scene(SceneParams(seed=seed, size=SIZE_PX))
    write_geotiff(folder / f"{name}.tif", scene.image)
    _write_labels(folder / f"{name}_cover.tif", scene.image, scene.land_cover)
    buildings = ((scene.land_cover == 0) * 255).astype(np.uint8)
    _write_labels(folder / f"{name}_buildings.tif", scene.image, buildings)
    truth = {"land_cover": f"{name}_cover.tif", "buildings": f"{name}_buildings.tif"}
    return _entry(name, "segment", f"{name}.tif", None, truth)


def _write_pair(folder: Path) -> dict[str, object]:
    pair = make_pair(SceneParams(seed=7, size=SIZE_PX), "growth")
    write_geotiff(folder / "before.tif", pair.before.image)
    write_geotiff(folder / "after.tif", pair.after.image)
    _write_labels(folder / "change.tif", pair.before.image, pair.change)
    truth = {"change": "change.tif", "damage": "change.tif"}
    return _entry("pair", "change", "after.tif", "before.tif", truth)


def _write_labels(path: Path, grid: GeoImage, labels: np.ndarray) -> None:
    write_geotiff(path, grid.with_pixels(labels[None], ("class",)))


def _entry(
    name: str, task: str, image: str, before: str | None, truth: dict[str, str]
) -> dict[str, object]:
    return {
        "id": name,
        "title": f"The {name} sample",
        "description": "A small scene.",
        "task": task,
        "image": image,
        "before": before,
        "truth": truth,
        "credit": "Procedural scene, CC0",
        "size": SIZE_PX,
    }
