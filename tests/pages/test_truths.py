"""A person's own truth mask: checked at once, given back, and seen by nobody else."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray
from page_runs import OpenPage, settle, texts
from PIL import Image
from streamlit.testing.v1 import AppTest

from n2m_core.checkpoints import read_card
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import geotiff_bytes, read_image, read_labels
from pages._ui import analysis, choosing
from pages._ui.inputs import Source

SEGMENT, INTERPRET = "1_Segment", "4_Interpret"
SCENE = {"sample": "first", "checkpoint": "n2m-buildings"}


def drop(app: AppTest, name: str, data: bytes) -> AppTest:
    field = next(each for each in app.get("file_uploader") if each.label == "Truth mask")
    field.upload(name, data)
    return settle(app.run())


def inverted_pixels(samples: Path) -> NDArray[np.uint8]:
    mask = read_labels(samples / "first_buildings.tif")
    return np.where(mask.pixels > 0, 0, 1).astype(np.uint8)


def inverted(samples: Path) -> bytes:
    mask = read_labels(samples / "first_buildings.tif")
    return geotiff_bytes(mask.with_pixels(inverted_pixels(samples), mask.band_names))


def png(mask: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(mask[0]).save(stream, "PNG")
    return stream.getvalue()


def scores(app: AppTest) -> list[str]:
    assert not app.exception
    return [metric.value for metric in app.metric]


def curve(app: AppTest) -> list[float]:
    assert not app.exception
    assert not app.error
    trace: dict[str, Any] = next(
        line
        for line in json.loads(app.get("plotly_chart")[0].proto.spec)["data"]
        if "fill" not in line
    )
    found: list[float] = trace["y"]
    return found


def test_a_mask_of_another_size_leaves_the_scores_as_they_were(
    open_page: OpenPage, samples: Path
) -> None:
    app = open_page(SEGMENT, **SCENE)
    before = scores(app)
    mask = read_labels(samples / "first_buildings.tif")
    small = GeoImage(
        mask.pixels[:, :20, :20], mask.valid[:20, :20], None, Affine.identity(), ("mask",)
    )
    drop(app, "small.tif", geotiff_bytes(small))
    assert len(app.error) == 1
    assert "truth labels cannot be used" in app.error[0].value
    assert "small.tif: the label is 20 x 20 px" in app.error[0].value.replace("\\", "")
    assert scores(app) == before


def test_the_own_mask_counts_and_the_samples_comes_back(open_page: OpenPage, samples: Path) -> None:
    app = open_page(SEGMENT, **SCENE)
    before = scores(app)
    drop(app, "mine.tif", inverted(samples))
    assert not app.error
    assert scores(app) != before
    assert "against your mine.tif" in texts(app)
    back = next(each for each in app.button if each.label == "Use the sample's truth")
    settle(back.click().run())
    assert scores(app) == before


def test_a_mask_of_buildings_is_no_truth_of_land_cover(open_page: OpenPage, samples: Path) -> None:
    app = open_page(SEGMENT, sample="first", checkpoint="n2m-landcover")
    before = scores(app)
    app = open_page(SEGMENT, **SCENE)
    drop(app, "mine.tif", inverted(samples))
    app.selectbox(key="segment.w.checkpoint").set_value("n2m-landcover")
    settle(app.run())
    assert scores(app) == before


def test_curves_are_of_the_own_truth_and_of_nobody_elses(
    open_page: OpenPage, samples: Path
) -> None:
    shipped = curve(open_page(INTERPRET, **SCENE))
    mine = drop(open_page(SEGMENT, **SCENE), "mine.tif", inverted(samples))
    mine.switch_page(f"pages/{INTERPRET}.py")
    settle(mine.run())
    assert curve(mine) != shipped
    assert curve(open_page(INTERPRET, **SCENE)) == shipped


def test_a_mask_that_the_area_left_is_not_used(open_page: OpenPage, samples: Path) -> None:
    app = open_page(SEGMENT, **SCENE)
    before = scores(app)
    drop(app, "mine.tif", inverted(samples))
    key = "truth.first.segment.background/building.kept"
    other = samples / "second_buildings.tif"
    kept = app.session_state[key]
    moved = dataclasses.replace(kept, mask=dataclasses.replace(kept.mask, path=other))
    app.session_state[key] = moved
    settle(app.run())
    assert scores(app) == before
    assert "Your mine.tif is not used here" in texts(app)


def test_a_mask_without_a_place_is_of_the_area_that_it_was_dropped_for(
    open_page: OpenPage, samples: Path
) -> None:
    app = open_page(SEGMENT, **SCENE)
    before = scores(app)
    drop(app, "mine.png", png(inverted_pixels(samples)))
    own = scores(app)
    assert own != before
    key = "truth.first.segment.background/building.kept"
    kept = app.session_state[key]
    app.session_state[key] = dataclasses.replace(kept, place="another area")
    settle(app.run())
    assert scores(app) == before
    assert "is of another area of this scene" in app.error[0].value
    app.session_state[key] = kept
    settle(app.run())
    assert scores(app) == own


def test_every_scene_is_scored_at_its_own_stated_resolution(
    monkeypatch: pytest.MonkeyPatch, checkpoints: Path, samples: Path, tmp_path: Path
) -> None:
    card = read_card("n2m-buildings", root=checkpoints)
    image, mask = samples / "first.tif", samples / "first_buildings.tif"
    monkeypatch.setattr(choosing, "stated_resolution", lambda source: {"mine": 2.0}.get(source.id))
    shipped = Source("first", "First", image, None, {"buildings": mask}, "", True)
    mine = Source("mine", "Mine", tmp_path / "mine.png", None, {"buildings": mask}, "", False)
    _write_png(image, mine.image)
    found = analysis.scenes([shipped, mine], card)
    assert found[1].images[0].resolution_m == 2.0
    assert found[0].images[0].resolution_m == pytest.approx(0.5, abs=0.3)
    monkeypatch.setattr(choosing, "stated_resolution", lambda source: None)
    assert analysis.scenes_key(analysis.scenes([mine], card)) != analysis.scenes_key(found[1:])


def _write_png(image: Path, path: Path) -> None:
    Image.fromarray(np.moveaxis(read_image(image).pixels, 0, -1)).save(path)
