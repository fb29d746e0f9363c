"""What a review leaves: polygons, masks, reports, and polygons that come from files."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from affine import Affine
from rasters import RasterFactory
from review_cases import CLASSES, frame_of, map_result, reviewed, square
from shapely.geometry import Polygon, box

from n2m_core.checkpoints import ClassInfo
from n2m_core.datasets.folder import FolderChange, FolderSegmentation
from n2m_core.errors import GridError, LabelError, OutputError, ParameterError, ReviewError
from n2m_core.review import (
    NewSource,
    PolygonFile,
    Project,
    SampleParams,
    Source,
    add_file,
    add_map,
    add_object,
    add_source,
    all_objects,
    all_units,
    answer,
    assess,
    create_project,
    decide,
    draw_pixels,
    export_polygons,
    join,
    numbers_of,
    picture,
    polygons_of_review,
    sources,
    write_masks,
    write_report,
)
from n2m_core.review.exporting import corrected_labels
from n2m_core.review.report import percent
from n2m_core.vectorize import write_vector

BLOCKS = {1: (5, 5), 2: (5, 25), 3: (25, 5), 4: (25, 25)}


def town(folder: Path) -> tuple[Project, Source]:
    """A map of 40 x 40 px with four buildings of 4 x 4 px; objects 1 to 4 row by row."""
    labels = np.zeros((40, 40), np.uint8)
    for row, column in BLOCKS.values():
        labels[row : row + 4, column : column + 4] = 1
    labels[39, 39] = 255
    project = create_project(folder, "Town")
    return project, add_map(project, map_result(labels), name="../town tile.tif")


def corrected(folder: Path) -> tuple[Project, Source]:
    """One right, one wrong, one redrawn, one open, one added."""
    project, source = town(folder)
    ann = join(project, "Ann")
    decide(project, 1, ann, verdict="right")
    decide(project, 2, ann, verdict="wrong", comment="a shadow")
    decide(project, 3, ann, verdict="wrong", outline=square(5, 25, 6))
    add_object(project, source.id, ann, square(15, 15, 4), 1)
    return project, source


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson"])
def test_corrected_polygons_open_in_a_gis(tmp_path: Path, suffix: str) -> None:
    project, source = corrected(tmp_path / "p")
    path = tmp_path / f"out{suffix}"
    assert export_polygons(project, source.id, path) == 4
    frame = gpd.read_file(path)
    assert list(frame["object"]) == [1, 3, 4, 5]
    assert frame.crs.to_epsg() == (32633 if suffix == ".gpkg" else 4326)
    placed = frame.to_crs("EPSG:32633")
    assert placed.geometry[1].symmetric_difference(square(5, 25, 6)).area < 0.1
    # UTM stretches areas by 1.0008 at 500 km east, its middle: the ground is larger than the plane.
    assert frame["area_m2"].to_numpy() == pytest.approx([4, 9, 4, 4], rel=2e-3)
    assert list(frame["reviewer"].fillna("")) == ["Ann", "Ann", "", "Ann"]
    assert list(frame["origin"]) == ["map"] * 3 + ["drawn"]
    assert list(frame["redrawn"].astype(bool)) == [False, True, False, False]
    everything = polygons_of_review(project, source.id, with_removed=True)
    assert list(everything["kept"]) == [True, False, True, True, True]
    assert everything["comment"][1] == "a shadow"


@pytest.mark.parametrize("keep_unjudged", [False, True])
def test_corrected_masks_are_read_back_for_training(tmp_path: Path, keep_unjudged: bool) -> None:
    project, _ = corrected(tmp_path / "p")
    written = write_masks(project, tmp_path / "out", keep_unjudged=keep_unjudged)
    assert [path.relative_to(tmp_path / "out").as_posix() for path in written] == [
        "images/001-town-tile.tif",
        "masks/001-town-tile.tif",
    ]
    expected = np.zeros((40, 40), np.uint8)
    expected[5:9, 5:9] = 1
    expected[25:31, 5:11] = 1
    expected[15:19, 15:19] = 1
    expected[25:29, 25:29] = 1 if keep_unjudged else 255
    expected[39, 39] = 255
    (sample,) = FolderSegmentation(tmp_path / "out", map_result(expected).card.classes)
    assert np.array_equal(sample.label, expected)
    with pytest.raises(OutputError, match="holds files already"):
        write_masks(project, tmp_path / "out")


def test_report_says_what_the_numbers_say(tmp_path: Path) -> None:
    project, source = corrected(tmp_path / "p")
    sample = draw_pixels(project, source.id, SampleParams(40, least=20))
    ben = join(project, "Ben <b>")
    for unit in all_units(project, sample.id):
        answer(project, unit.id, ben, 1 if unit.rank % 7 == 0 else unit.class_id)
    numbers = numbers_of(project)
    write_report(project, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    found = numbers["accuracy"][0]
    assert found["overall"]["value"] < 1
    for each in (found["overall"], *(row["producers"] for row in found["classes"])):
        assert percent(each) in text
    assert "data:image/png;base64," in text
    assert "Apache-2.0" in text
    assert "Ben &lt;b&gt;" in text
    assert "Ben <b>" not in text
    assert not re.search(r"(?:src|href)=.?(?:https?:)?//", text)
    write_report(project, tmp_path / "report.pdf")
    pdf = (tmp_path / "report.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")
    with pytest.raises(ParameterError, match=r"ends in \.txt"):
        write_report(project, tmp_path / "report.txt")


def test_report_without_the_image_says_so(tmp_path: Path) -> None:
    project, source = corrected(tmp_path / "p")
    assert source.image is not None
    source.image.unlink()
    with pytest.raises(ReviewError, match=r"not at .*image\.tif any more; put the file back"):
        picture(source)
    write_report(project, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "put the file back" in text
    assert "nothing is claimed of the map&#39;s accuracy" in text
    with pytest.raises(ReviewError, match="put the file back"):
        write_masks(project, tmp_path / "out")


def test_polygons_of_a_file_with_their_image(tmp_path: Path, write_raster: RasterFactory) -> None:
    image = write_raster(np.full((3, 40, 90), 7, np.uint8))
    frame = frame_of(4).assign(**{"class": ["house", "house", "shed", "house"]})
    frame = frame.drop(columns="class_id").to_crs("EPSG:4326")
    write_vector(tmp_path / "objects.geojson", frame)
    project = create_project(tmp_path / "p")
    given = PolygonFile(tmp_path / "objects.geojson", image, settings={"checkpoint": "x"})
    source = add_file(project, given)
    assert source.crs == "EPSG:32633"
    assert [entry.name for entry in source.classes] == ["background", "house", "shed"]
    assert source.image == image
    assert source.settings == {"file": "objects.geojson", "checkpoint": "x"}
    found = all_objects(project)
    assert [each.class_id for each in found] == [1, 1, 2, 1]
    assert [each.area_m2 for each in found] == pytest.approx([25] * 4, rel=2e-3)
    assert found[3].confidence == pytest.approx(0.6)
    labels = picture(source, "map").pixels[0]
    assert np.bincount(labels.ravel()).tolist() == [3600 - 400, 300, 100]


def test_whole_project_survives_a_failed_import(tmp_path: Path) -> None:
    project, _ = reviewed(tmp_path / "p")
    write_vector(tmp_path / "far.gpkg", frame_of(2).drop(columns="class_id"))
    (tmp_path / "broken.tif").write_bytes(b"II*\x00 not really")
    for given, error in (
        (PolygonFile(tmp_path / "none.gpkg"), LabelError),
        (PolygonFile(tmp_path / "broken.tif"), LabelError),
        (PolygonFile(tmp_path / "far.gpkg", layer="x"), LabelError),
    ):
        with pytest.raises(error):
            add_file(project, given)
    assert len(sources(project)) == 1
    assert not (tmp_path / "p" / "pictures").exists()


def test_map_of_another_size_is_refused(tmp_path: Path, write_raster: RasterFactory) -> None:
    image = write_raster(np.full((3, 40, 90), 7, np.uint8))
    other = write_raster(np.ones((1, 20, 90), np.uint8), "map.tif")
    write_vector(tmp_path / "o.gpkg", frame_of(2))
    project = create_project(tmp_path / "p")
    with pytest.raises(GridError, match="give the map of that image"):
        add_file(project, PolygonFile(tmp_path / "o.gpkg", image, map=other))


def test_wrong_after_a_correction_removes_and_before_it_corrects(tmp_path: Path) -> None:
    project, source = town(tmp_path / "p")
    ann = join(project, "Ann")
    decide(project, 1, ann, outline=square(5, 5, 6))
    decide(project, 1, ann, verdict="wrong")
    decide(project, 2, ann, verdict="wrong")
    decide(project, 2, ann, outline=square(25, 5, 6))
    decide(project, 3, ann, outline=square(5, 25, 6))
    decide(project, 4, ann, class_id=0)
    assert list(polygons_of_review(project, source.id)["object"]) == [2, 3]
    expected = np.zeros((40, 40), np.uint8)
    expected[5:11, 25:31] = 1
    expected[25:31, 5:11] = 1
    expected[39, 39] = 255
    assert np.array_equal(corrected_labels(project, source).pixels[0], expected)


def test_outline_of_two_parts_is_written_as_such(tmp_path: Path) -> None:
    project, source = town(tmp_path / "p")
    left, top = square(5, 5).bounds[0], square(5, 5).bounds[3]
    crossed = [(left, top), (left + 2, top - 2), (left + 2, top), (left, top - 2)]
    decide(project, 1, join(project, "Ann"), verdict="right", outline=Polygon(crossed))
    export_polygons(project, source.id, tmp_path / "out.gpkg")
    frame = gpd.read_file(tmp_path / "out.gpkg")
    assert frame.geometry[0].geom_type == "MultiPolygon"
    assert frame.geometry[0].area == pytest.approx(2)


def test_change_is_written_for_training_with_both_dates(tmp_path: Path) -> None:
    labels = np.zeros((30, 30), np.uint8)
    labels[4:8, 4:8] = 1
    result = map_result(labels)
    classes = (*result.card.classes, ClassInfo("demolished", "#0000ff"))
    card = replace(result.card, task="change", classes=classes)
    before = result.image.with_pixels(result.image.pixels + 1, result.image.band_names)
    project = create_project(tmp_path / "p")
    source = add_map(project, replace(result, card=card, before=before), name="pair")
    assert source.kind == "change"
    decide(project, 1, join(project, "Ann"), verdict="wrong", class_id=2)
    write_masks(project, tmp_path / "out")
    (sample,) = FolderChange(tmp_path / "out", classes)
    assert np.array_equal(sample.label, labels * 2)
    assert sample.after is not None
    assert np.array_equal(sample.image.pixels, before.pixels)
    assert np.array_equal(sample.after.pixels, result.image.pixels)


@pytest.mark.parametrize("resolution_m", [None, 0.5])
def test_map_without_a_place_is_reviewed_in_pixels(
    tmp_path: Path, resolution_m: float | None
) -> None:
    labels = np.zeros((30, 30), np.uint8)
    labels[4:8, 6:10] = 1
    result = map_result(labels)
    image = replace(result.image, crs=None, transform=Affine.identity(), resolution_m=resolution_m)
    project = create_project(tmp_path / "p")
    source = add_map(project, replace(result, image=image), name="photo.png")
    (found,) = all_objects(project)
    assert (source.crs, found.outline.bounds, found.area_px) == (None, (6, 4, 10, 8), 16)
    assert found.area_m2 == (None if resolution_m is None else 4)
    ann = join(project, "Ann")
    decide(project, 1, ann, verdict="wrong", outline=box(6, 4, 12, 8))
    frame = polygons_of_review(project, source.id)
    assert frame.crs is None
    assert list(frame["area_px" if resolution_m is None else "area_m2"]) == [
        24 if resolution_m is None else 6
    ]
    assert int((corrected_labels(project, source).pixels == 1).sum()) == 24
    sample = draw_pixels(project, source.id, SampleParams(20, least=5))
    for unit in all_units(project, sample.id):
        answer(project, unit.id, ann, unit.class_id)
    area = assess(project, sample.id)["classes"][1]["area_m2"]
    assert area is None if resolution_m is None else area["value"] == pytest.approx(4)
    write_report(project, tmp_path / "report.pdf")


def test_crs_without_a_code_shows_in_a_gis(tmp_path: Path) -> None:
    own = "+proj=laea +lat_0=52 +lon_0=10 +x_0=0 +y_0=0 +datum=WGS84 +units=m"
    project = create_project(tmp_path)
    for number in range(2):
        frame = frame_of(2).set_crs(own, allow_override=True)
        frame.geometry = frame.geometry.translate(-500_000, -5_000_000)
        add_source(project, NewSource(f"tile {number}", "polygons", CLASSES, frame))
    layer = gpd.read_file(tmp_path / "review.gpkg", layer="map_2")
    assert layer.crs.to_dict()["proj"] == "laea"
    assert layer.geometry[0].area == pytest.approx(25)
    assert all_objects(project)[0].area_m2 == pytest.approx(25, rel=1e-3)


def test_polygons_in_pixels_on_a_picture_without_a_place(
    tmp_path: Path, write_raster: RasterFactory
) -> None:
    image = write_raster(np.full((3, 40, 90), 7, np.uint8), "photo.png", crs=None)
    frame = gpd.GeoDataFrame({"class": ["house"]}, geometry=[box(3, 4, 8, 9)], crs=None)
    write_vector(tmp_path / "o.geojson", frame)
    project = create_project(tmp_path / "p")
    source = add_file(project, PolygonFile(tmp_path / "o.geojson", image))
    assert source.crs is None
    assert picture(source, "map").pixels.sum() == 25
