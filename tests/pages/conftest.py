"""Small real checkpoints and samples for the pages, and the app opened on them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny_checkpoints
from streamlit.testing.v1 import AppTest

from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import write_geotiff
from n2m_core.scenes import SceneParams, make_pair, make_scene

APP = Path(__file__).resolve().parents[2] / "app.py"
SIZE_PX = 96
OpenPage = Callable[..., AppTest]


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoints.write_all(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes and a pair in the layout of `n2m samples`."""
    folder = tmp_path_factory.mktemp("samples")
    entries = [_write_scene(folder, name, seed) for name, seed in (("first", 5), ("second", 6))]
    entries.append(_write_pair(folder))
    (folder / "samples.json").write_text(json.dumps({"samples": entries}), encoding="utf-8")
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


@pytest.fixture
def open_page(
    monkeypatch: pytest.MonkeyPatch, checkpoints: Path, samples: Path
) -> Iterator[OpenPage]:
    """Open a page through the app, and run it until its work is done."""
    monkeypatch.setenv("N2M_CHECKPOINTS", str(checkpoints))
    monkeypatch.setenv("N2M_SAMPLES", str(samples))

    def opened(page: str = "", **query: str) -> AppTest:
        app = AppTest.from_file(str(APP), default_timeout=120)
        for name, value in query.items():
            app.query_params[name] = value
        if page:
            app.switch_page(f"pages/{page}.py")
        return settle(app.run())

    yield opened


def settle(app: AppTest, seconds: float = 90) -> AppTest:
    """Run the page again until no work is under way; there is no browser that would poll."""
    until = time.monotonic() + seconds
    while any(button.label == "Cancel" for button in app.button):
        assert time.monotonic() < until, "the page's work did not end"
        time.sleep(0.1)
        app.run()
    return app


def texts(app: AppTest) -> str:
    """All text of a page that people read, one string."""
    parts = [each.value for kind in ("title", "header", "subheader", "markdown", "caption")
             for each in app.get(kind)]  # fmt: skip
    parts += [each.proto.body for each in app.get("html")]
    return "\n".join(parts)


def maps_of(app: AppTest) -> list[str]:
    """The HTML of every map on a page."""
    return [each.proto.srcdoc for each in app.get("iframe")]
