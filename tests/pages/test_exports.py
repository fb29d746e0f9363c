"""What is taken home opens elsewhere, in the right place and with the right numbers."""

from __future__ import annotations

import io
import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from PIL import Image

from n2m_core.checkpoints import load
from n2m_core.raster_io import read_image
from n2m_core.tasks import segment
from n2m_core.tasks.result import MapResult
from pages._ui import exports
from pages._ui.compute import Choices, Mapped, decide
from pages._ui.inputs import Source


@pytest.fixture(scope="module")
def source(samples: Path) -> Source:
    return Source("first", "The first sample", samples / "first.tif", None, {}, "CC0", True)


@pytest.fixture(scope="module")
def result(samples: Path, checkpoints: Path) -> MapResult:
    return segment.run(
        read_image(samples / "first.tif"), load("n2m-landcover", root=checkpoints, device="cpu")
    )


def test_geotiff_has_grid_colours_and_provenance(result: MapResult, samples: Path) -> None:
    with (
        rasterio.open(io.BytesIO(exports.geotiff(result))) as made,
        rasterio.open(samples / "first.tif") as file,
    ):
        assert (made.crs, made.transform, made.shape) == (file.crs, file.transform, file.shape)
        np.testing.assert_array_equal(made.read(1), result.labels)
        assert made.colormap(1)[3][:3] == result.colors[3]
        assert made.tags()["N2M_CHECKPOINT"] == "n2m-landcover"


def test_probabilities_have_one_band_a_class(result: MapResult) -> None:
    with rasterio.open(io.BytesIO(exports.probabilities(result))) as made:
        assert made.descriptions == result.class_names
        np.testing.assert_allclose(made.read().sum(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "name"), [(exports.geojson, "a.geojson"), (exports.gpkg, "a.gpkg")]
)
def test_polygons_have_area_and_confidence(
    result: MapResult, tmp_path: Path, make: object, name: str
) -> None:
    assert callable(make)
    (tmp_path / name).write_bytes(make(result))
    frame = gpd.read_file(tmp_path / name)
    pixel_m2 = result.image.resolution_m**2
    for index, label in enumerate(result.class_names):
        area = frame.loc[frame["class"] == label, "area_m2"].sum()
        assert area == pytest.approx((result.labels == index).sum() * pixel_m2, rel=0.01, abs=1)
    assert frame["confidence"].between(0, 1).all()


def test_png_shows_picture_and_map(result: MapResult) -> None:
    picture = Image.open(io.BytesIO(exports.png(result, Choices())))
    assert picture.mode == "RGB"
    assert picture.width >= 2 * result.image.width


def test_numbers_tell_how_the_map_was_made(result: MapResult, source: Source) -> None:
    choices = Choices(timestep=400)
    facts = json.loads(exports.numbers(result, choices, source, None))
    assert facts["checkpoint"] == "n2m-landcover"
    assert facts["scores"] is None
    assert sum(row["share"] for row in facts["areas"]) == pytest.approx(1)
    assert [row["name"] for row in facts["areas"]] == list(result.class_names)


@pytest.mark.parametrize(
    ("title", "stem"),
    [("My Image (2).tif", "my-image-2"), ("../../etc/passwd", "passwd"), ("☃.png", "map")],
)
def test_file_names_are_harmless(title: str, stem: str) -> None:
    assert exports.file_stem(title) == stem


def test_threshold_and_smallest_area_are_decided_again(samples: Path, checkpoints: Path) -> None:
    image = read_image(samples / "first.tif")
    model = load("n2m-buildings", root=checkpoints, device="cpu")
    kept = Mapped(segment.run(image, model), None)
    middle = float(np.median(kept.result.probabilities[1]))
    again = decide(kept, Choices(threshold=middle, min_area_m2=20.0)).result
    direct = segment.run(image, model, segment.SegmentParams(threshold=middle, min_area_m2=20.0))
    np.testing.assert_array_equal(again.labels, direct.labels)
    assert decide(kept, Choices()) is kept
