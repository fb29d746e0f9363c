"""Areas that are found strip by strip, on maps small enough to count by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from rasters import UTM

from n2m_core.raster_io import PartSpec, create_part, header_of, parts, write_block
from n2m_core.raster_io.scene import Box
from n2m_core.streaming.regions import find_regions, polygons_of, without_small


@pytest.fixture(autouse=True)
def two_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "STRIP_PIXELS", 1)
    monkeypatch.setattr(parts, "STRIP_ROWS", 2)


def written(folder: Path, classes: list[list[int]]) -> tuple[Path, PartSpec]:
    pixels: NDArray[np.uint8] = np.array([classes], np.uint8)
    header = header_of(pixels.shape[1:], "EPSG:32633", UTM, ("class",), np.dtype(np.uint8))
    spec = PartSpec(header, 255, 255, None, {})
    path = folder / "classes.tif"
    create_part(path, spec)
    write_block(path, Box(0, 0, *pixels.shape[1:]), pixels)
    return path, spec


HORSESHOE = [
    [1, 0, 1, 0, 2],
    [1, 0, 1, 0, 0],
    [1, 0, 1, 0, 1],
    [1, 1, 1, 0, 0],
    [0, 0, 0, 1, 1],
]
"""A shape whose arms are two areas until the fourth row; corners do not touch."""


def test_arms_that_meet_below_are_one_object(tmp_path: Path) -> None:
    path, spec = written(tmp_path, HORSESHOE)
    found = find_regions(path, spec.header, [1, 2])
    assert found.offsets == (0, 3, 5)
    assert sorted(zip(found.classes, found.areas.round(2), found.parts, strict=True)) == [
        (1, 0.25, 1), (1, 0.5, 1), (1, 2.25, 3), (2, 0.25, 1),
    ]  # fmt: skip


def test_objects_go_as_wholes(tmp_path: Path) -> None:
    """Each strip holds at most five pixels of the horseshoe, which has nine, 2.25 m2."""
    path, spec = written(tmp_path, HORSESHOE)
    strips = without_small(path, spec.header, [1, 2], 2.0, has_background=True)
    kept = np.concatenate([pixels[0] for _, pixels, _ in strips])
    expected = np.array(HORSESHOE)
    expected[0, 4] = expected[2, 4] = expected[4, 3] = expected[4, 4] = 0
    assert (kept == expected).all()


def test_polygon_of_a_horseshoe(tmp_path: Path) -> None:
    path, spec = written(tmp_path, HORSESHOE)
    frame = polygons_of(
        path, spec.header, {0: "ground", 1: "house", 2: "road"}, confidence=None, background=0
    )
    assert list(frame["class"]) == ["house", "house", "house", "road"]
    horseshoe = frame.geometry[0]
    assert horseshoe.area == pytest.approx(2.25)
    # Eight corners and the first again: no vertex is left where strips met.
    assert len(horseshoe.exterior.coords) == 9
    assert horseshoe.bounds == (500_000.0, 4_999_998.0, 500_001.5, 5_000_000.0)
    assert frame["confidence"].isna().all()


def test_map_without_areas(tmp_path: Path) -> None:
    path, spec = written(tmp_path, [[0, 0], [0, 0], [0, 255]])
    assert find_regions(path, spec.header, [1]).areas.size == 0
    frame = polygons_of(path, spec.header, {1: "house"}, confidence=None, background=None)
    assert len(frame) == 0
    assert "area_m2" in frame
    strips = without_small(path, spec.header, [1], 9.0, has_background=True)
    assert [pixels.max() for _, pixels, _ in strips] == [0, 255]
