"""The Fuse page: the sample series, other methods, own images, series that do not fit."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import small_samples
from affine import Affine
from page_runs import OpenPage, maps_of, settle, texts
from streamlit.testing.v1 import AppTest
from tiny_fusion import write_tiny_fusion

from n2m_core.datasets.triplets import Triplet, farmland_triplet, write_triplet
from n2m_core.fusion.estarfm import Estarfm, EstarfmParams
from n2m_core.fusion.fsdaf import Fsdaf, FsdafParams
from n2m_core.fusion.inputs import FusionInputs, FusionMethod, FusionOutput
from n2m_core.fusion.naive import Copy
from n2m_core.fusion.starfm import Starfm, StarfmParams
from n2m_core.geo_image import GeoImage, Progress
from n2m_core.raster_io import read_image, write_geotiff
from n2m_core.scenes.farmland import FarmlandParams
from n2m_core.tasks.fusion_methods import METHODS
from pages._ui import clicks, coloring, fused, fusing, resources

PAGE = "6_Fuse"
LABELS = {
    "fine0": "First date, fine",
    "coarse0": "First date, coarse",
    "coarse1": "Target date, coarse",
    "fine2": "Last date, fine",
    "coarse2": "Last date, coarse",
    "fine1": "Target date, fine (truth, if known)",
}


@pytest.fixture(scope="module")
def series_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_samples.write_series(tmp_path_factory.mktemp("series"))


@pytest.fixture(scope="module")
def own_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another place, in four bands."""
    folder = tmp_path_factory.mktemp("own")
    write_triplet(folder, own_triplet())
    return folder


def own_triplet() -> Triplet:
    return farmland_triplet(FarmlandParams(1_000_005, size=64, bands=4))


@pytest.fixture
def open_fuse(
    open_page: OpenPage, series_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> OpenPage:
    """The page on a small series, its methods with small windows, which are quicker."""
    monkeypatch.setenv("N2M_SAMPLES", str(series_folder))
    small: dict[str, FusionMethod] = {
        "estarfm": Estarfm(EstarfmParams(window_px=9)),
        "starfm": Starfm(StarfmParams(window_px=7)),
        "fsdaf": Fsdaf(FsdafParams(reach_px=4)),
    }
    for name, method in small.items():
        entry = replace(METHODS[name], open=lambda *_, method=method: method)
        monkeypatch.setitem(METHODS, name, entry)
    return open_page


def first_day(folder: Path) -> str:
    (entry,) = json.loads((folder / "samples.json").read_text(encoding="utf-8"))["samples"]
    day = date.fromisoformat(entry["dates"][0])
    return f"{day.day} {day:%B %Y}"


def upload(app: AppTest, role: str, data: bytes) -> AppTest:
    field = next(each for each in app.get("file_uploader") if each.label == LABELS[role])
    field.upload(f"{role}.tif", data)
    return settle(app.run())


def test_sample_is_fused_and_compared_without_a_click(
    open_fuse: OpenPage, series_folder: Path
) -> None:
    app = open_fuse(PAGE)
    assert not app.exception
    assert not app.error
    swipe, errors = maps_of(app)
    assert '"left": "Fused"' in swipe
    assert '"right": "Truth"' in swipe
    for title in ("ESTARFM", "STARFM", "FSDAF", "Copy"):
        assert f'"title": "{title}: 0.' in errors
    assert {"RMSE", "CC", "SSIM", "ERGAS", "SAM"} <= {metric.label for metric in app.metric}
    shown = texts(app)
    assert f"{first_day(series_folder)}, fine" in shown
    assert "factor 100 / 16" in shown
    assert "RMSE, sudden change" in shown
    assert app.query_params["method"] == "starfm"
    assert "Takes about a second here." in shown
    assert "checkpoint" not in app.query_params


def test_link_and_choice_name_the_method(open_fuse: OpenPage) -> None:
    app = open_fuse(PAGE, sample="river_farms", method="copy")
    assert app.selectbox(key="fus.w.method").value == "copy"
    copied = float(next(each.value for each in app.metric if each.label == "RMSE"))
    app.selectbox(key="fus.w.method").set_value("mean-change")
    settle(app.run())
    mixed = float(next(each.value for each in app.metric if each.label == "RMSE"))
    assert mixed < copied


def test_spectrum_of_a_pixel_is_that_of_the_images(
    open_fuse: OpenPage, series_folder: Path
) -> None:
    app = open_fuse(PAGE, method="copy")
    app.number_input(key="fus.w.row.river_farms").set_value(3)
    app.number_input(key="fus.w.column.river_farms").set_value(60)
    settle(app.run())
    plot = next(each for each in app.get("plotly_chart"))
    lines = {line["name"]: line["y"] for line in json.loads(plot.proto.spec)["data"]}
    assert len(lines) == 5
    first = lines[f"{first_day(series_folder)}, fine"]
    copied = next(values for name, values in lines.items() if name.endswith("fused"))
    assert first == copied
    assert len(first) == 6


def test_own_images_become_the_choice_and_a_truth_unlocks_scores(
    open_fuse: OpenPage, own_folder: Path
) -> None:
    app = open_fuse(PAGE, method="mean-change")
    for role in ("fine0", "coarse0", "coarse1", "fine2"):
        upload(app, role, (own_folder / f"{role}.tif").read_bytes())
    assert app.selectbox(key="fuse.w.source").value == "river_farms"
    upload(app, "coarse2", (own_folder / "coarse2.tif").read_bytes())
    assert not app.error
    assert app.selectbox(key="fuse.w.source").value != "river_farms"
    assert not app.metric
    assert '"right": "Coarse image of the date"' in maps_of(app)[0]
    upload(app, "fine1", (own_folder / "fine1.tif").read_bytes())
    assert not app.error
    assert "RMSE" in {metric.label for metric in app.metric}
    assert len(maps_of(app)) == 2


def test_images_that_do_not_fit_are_named_and_nothing_is_lost(
    open_fuse: OpenPage, own_folder: Path, tmp_path: Path
) -> None:
    app = open_fuse(PAGE, method="copy")
    before = maps_of(app)
    for role in ("fine0", "coarse0", "coarse1", "fine2"):
        upload(app, role, (own_folder / f"{role}.tif").read_bytes())
    coarse = own_triplet().coarse[2]
    bad: dict[str, tuple[GeoImage, str]] = {
        "bands": (coarse.with_pixels(coarse.pixels[:3], coarse.band_names[:3]), "bands"),
        "scale": (
            coarse.with_pixels((coarse.pixels / 1e4).astype(np.float32), coarse.band_names),
            "different scales",
        ),
        "cover": (
            replace(coarse, transform=coarse.transform @ Affine.translation(3, 0)), "covers only"
        ),
    }  # fmt: skip
    for name, (image, words) in bad.items():
        write_geotiff(tmp_path / f"{name}.tif", image)
        upload(app, "coarse2", (tmp_path / f"{name}.tif").read_bytes())
        assert len(app.error) == 1
        assert words in app.error[0].value
        assert app.selectbox(key="fuse.w.source").value == "river_farms"
        assert maps_of(app) == before


def test_learned_method_shows_its_way_its_decisions_and_its_weights(
    open_fuse: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("N2M_CHECKPOINTS", str(tmp_path))
    write_tiny_fusion(tmp_path, "sastf-farmland", title="First weights", window_px=64)
    write_tiny_fusion(tmp_path, "sastf-other", title="Other weights", window_px=64)
    app = open_fuse(PAGE, checkpoint="sastf-other", method="sa-stf")
    assert not app.exception
    assert app.selectbox(key="fus.w.weights.sa-stf").options == ["First weights", "Other weights"]
    assert app.query_params["checkpoint"] == "sastf-other"
    way, decisions = maps_of(app)[1:3]
    assert '"title": "On the way"' in way
    assert "step 1 of 2  ·  expected image: RMSE 0." in way
    assert '"t": 10' in way
    assert '"t": 0' in way
    assert '"title": "Unchanged (copied): 0 to 1"' in decisions
    shown = texts(app)
    assert "Unchanged mask M: the share of the feature channels" in shown
    assert "Chosen reference: the share of the channels" in shown
    assert "**Other weights**  `sastf-other`  ·  licence CC0-1.0" in shown
    ways = app.selectbox(key="fus.w.method").options
    assert ways[:2] == ["SA-STF without diffusion", "SA-STF"]
    app.selectbox(key="fus.w.method").set_value("sa-stf-one-pass")
    settle(app.run())
    assert not app.exception
    assert "Other weights" in app.selectbox(key="fus.w.weights.sa-stf").options
    assert not any('"title": "On the way"' in each for each in maps_of(app))


class Gated:
    """A method that waits until its gate is opened."""

    name = "starfm"

    def __init__(self) -> None:
        self.gate = Event()
        self.gate.set()

    def predict(self, inputs: FusionInputs, progress: Progress) -> FusionOutput:
        assert self.gate.wait(60)
        return Copy().predict(inputs, progress)


def test_first_guess_stands_there_while_the_method_works(
    open_fuse: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Gated()
    monkeypatch.setitem(METHODS, "starfm", replace(METHODS["starfm"], open=lambda *_: slow))
    app = open_fuse(PAGE)
    slow.gate.clear()
    app.number_input(key="fus.w.window").set_value(10)
    app.run()
    (guess,) = maps_of(app)
    assert '"left": "First guess"' in guess
    assert "Until the method is done" in texts(app)
    assert not app.metric
    slow.gate.set()
    settle(app)
    assert '"left": "Fused"' in maps_of(app)[0]
    assert "Until the method is done" not in texts(app)


def test_option_out_of_range_is_told_in_place(open_fuse: OpenPage) -> None:
    app = open_fuse(PAGE, method="copy")
    app.number_input(key="fus.w.scale").set_value(400)
    settle(app.run())
    assert not app.exception
    assert ["scale is 400" in each.value for each in app.error] == [True]


def test_layers_of_a_method_become_maps(own_folder: Path) -> None:
    from n2m_core.tasks.evaluate_fusion import images_of
    from n2m_core.tasks.fuse import FuseParams, run

    result = run(images_of(own_triplet()), FuseParams("copy"))
    half = np.zeros(result.image.valid.shape, np.float32)
    html = fused._layers_html(replace(result, layers={"unchanged": half, "reference": half}))
    assert '"title": "Unchanged (copied): 0 to 1"' in html
    assert '"title": "Chosen reference: 0 first date, 1 last date"' in html


def test_way_is_kept_as_far_as_memory_allows() -> None:
    def scene(side: int) -> GeoImage:
        pixels = np.broadcast_to(np.uint8(0), (4, side, side))
        return GeoImage(pixels, np.ones((side, side), np.bool_), None, Affine.identity(), ("",) * 4)

    # Two float32 images of four bands take 32 bytes a pixel; 160 MB hold 5 million such pixels.
    assert [fusing.moments(scene(side)) for side in (64, 1000, 1290, 1300)] == [10, 5, 3, 0]


def test_clicked_place_is_the_pixel_under_it_on_any_grid() -> None:
    pixels = np.zeros((1, 40, 60), np.uint16)
    north = Affine(30, 0, 500_000, 0, -30, 5_300_000)
    turned = north @ Affine.rotation(20) @ Affine.scale(1, -1)
    valid = np.ones((40, 60), np.bool_)
    for crs, transform in (("EPSG:32633", north), ("EPSG:32633", turned), (None, north)):
        image = GeoImage(pixels, valid, crs, transform, ("red",))
        for pixel in ((0, 0), (39, 59), (7, 31)):
            assert clicks.pixel_at(image, *clicks.place_of(image, pixel)) == pixel
        assert clicks.pixel_at(image, -41.0 if crs is None else 5.0, 3.0) is None
    # The middle of the meridian of zone 33 lies 500 km east: its first pixel begins there.
    placed = GeoImage(pixels, valid, "EPSG:32633", north, ("red",))
    assert clicks.pixel_at(placed, clicks.place_of(placed, (4, 0))[0], 15.00001) == (4, 0)
    assert clicks.place_of(replace(placed, crs=None), (4, 0)) == (-4.5, 0.5)


def test_click_on_a_map_chooses_the_pixel(
    open_fuse: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_fuse(PAGE, method="copy")
    assert all("n2m.clicks(map_" in each for each in maps_of(app))
    assert app.number_input(key="fus.w.row.river_farms").value == 32
    monkeypatch.setattr(clicks, "clicked", lambda *_: (5, 9))
    settle(app.run())
    assert app.number_input(key="fus.w.row.river_farms").value == 5
    assert app.number_input(key="fus.w.column.river_farms").value == 9
    told = json.loads(app.get("bidi_component")[0].proto.json)
    image = read_image(next(resources.samples_folder().glob("*fine0.tif")))
    assert clicks.pixel_at(image, *told["place"]) == (5, 9)


def test_colours_follow_the_names_of_the_bands() -> None:
    names = ("blue", "green", "red", "nir")
    assert coloring.choices_of(names) == {
        "Natural colours": (3, 2, 1),
        "Vegetation in red": (4, 3, 2),
    }
    assert coloring.choices_of(("band 1", "band 2")) == {"First bands": (1,)}
    grey = np.linspace(0, 1, 101, dtype=np.float32).reshape(1, 1, 101)
    shown = coloring.coloring("", (1,), [grey], np.ones((1, 101), np.bool_)).rgb(grey)
    assert shown.shape == (1, 101, 3)
    np.testing.assert_array_equal(shown[0, [0, 2, 98, 100], 0], [0, 0, 255, 255])
    assert shown[0, 50, 0] in (127, 128)
