"""Folder layouts and their failures, on rasters written for each test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from drawn_rasters import (
    BINARY,
    CHANGE,
    GRID,
    UTM,
    change,
    image,
    only,
    painted,
    segmentation,
    write,
)
from numpy.typing import ArrayLike

from n2m_core.checkpoints import ClassInfo
from n2m_core.datasets.base import Sample
from n2m_core.datasets.folder import FolderChange, FolderSegmentation, ReadOptions
from n2m_core.datasets.opening import open_dataset
from n2m_core.errors import BandError, DatasetError, ImageReadError, LabelError, NoOverlapError


def test_stems_match_whatever_the_extension_and_sidecars_are_passed_over(tmp_path: Path) -> None:
    for name, suffixes in (("b", (".jpg", ".tif")), ("a", (".png", ".bmp"))):
        write(tmp_path / "images" / (name + suffixes[0]), image())
        write(tmp_path / "masks" / (name + suffixes[1]), [[0, 1, 1], [0, 0, 0]])
    (tmp_path / "images" / "b.jpg.aux.xml").write_text("<x/>")
    (tmp_path / "images" / ".hidden").write_text("")
    (tmp_path / "masks" / "README.md").write_text("about")
    (tmp_path / "extra").mkdir()
    dataset = FolderSegmentation(tmp_path, BINARY)
    assert dataset.names == ("a", "b")
    assert [sample.name for sample in dataset] == ["a", "b"]
    assert dataset[1:].names == ("b",)
    assert dataset[-1].label.tolist() == [[0, 1, 1], [0, 0, 0]]
    with pytest.raises(IndexError):
        dataset[2]


def test_nothing_is_read_before_it_is_asked_for(tmp_path: Path) -> None:
    segmentation(tmp_path, [[0, 1]])
    (tmp_path / "images" / "b.png").write_bytes(b"not an image")
    write(tmp_path / "masks" / "b.png", [[0, 1]])
    dataset = FolderSegmentation(tmp_path, BINARY)
    assert dataset[0].name == "a"
    with pytest.raises(ImageReadError, match=r"b\.png"):
        dataset[1]


def test_options_reach_the_reader(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.tif", np.arange(4 * 6).reshape(4, 2, 3).astype(np.uint8))
    write(tmp_path / "masks" / "a.tif", [[0, 1, 1], [0, 0, 0]])
    options = ReadOptions(bands=(4, 1), nodata=0, resolution_m=2.5)
    sample = FolderSegmentation(tmp_path, BINARY, options=options)[0]
    assert sample.image.pixels[:, 0, 0].tolist() == [18, 0]
    assert sample.image.resolution_m == 2.5
    with pytest.raises(BandError):
        FolderSegmentation(tmp_path, BINARY, options=ReadOptions(bands=(5,)))[0]


def test_missing_folders_and_partners_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not a folder"):
        FolderSegmentation(tmp_path / "nowhere", BINARY)
    write(tmp_path / "images" / "a.png", image())
    with pytest.raises(DatasetError, match=r"has no masks/; it holds images/"):
        FolderSegmentation(tmp_path, BINARY)
    (tmp_path / "masks").mkdir()
    with pytest.raises(DatasetError, match=r"masks/ lacks 1 of 1 names found in images/ \(a\)"):
        FolderSegmentation(tmp_path, BINARY)
    write(tmp_path / "masks" / "a.png", [[0, 1, 1], [0, 0, 0]])
    write(tmp_path / "masks" / "b.png", [[0, 1, 1], [0, 0, 0]])
    with pytest.raises(DatasetError, match=r"images/ lacks 1 of 2 names found in masks/ \(b\)"):
        FolderSegmentation(tmp_path, BINARY)
    write(tmp_path / "images" / "b.png", image())
    write(tmp_path / "images" / "b.tif", image())
    with pytest.raises(DatasetError, match=r"both b\.png and b\.tif"):
        FolderSegmentation(tmp_path, BINARY)


def test_empty_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(DatasetError, match="hold no files"):
        FolderSegmentation(tmp_path, BINARY)


def test_a_label_of_another_size_needs_a_georeference(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.png", image(size=(4, 6)))
    write(tmp_path / "masks" / "a.png", [[0, 1, 1], [0, 0, 0]])
    with pytest.raises(LabelError, match="a: the label is 3 x 2 px and the image 6 x 4 px"):
        FolderSegmentation(tmp_path, BINARY)[0]


def test_a_label_on_another_grid_is_aligned(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.tif", image(size=(4, 4)), crs=UTM)
    mask = np.zeros((4, 4), np.uint8)
    mask[:, 2:] = 1
    # The label begins one pixel further east: the image's first column has none.
    write(tmp_path / "masks" / "a.tif", mask, crs=UTM, transform=GRID @ Affine.translation(1, 0))
    sample = FolderSegmentation(tmp_path, BINARY)[0]
    assert sample.label.tolist() == [[255, 0, 0, 1]] * 4
    assert any("another grid" in note for note in sample.notes)


def test_a_coarser_label_is_aligned(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.tif", image(size=(4, 4)), crs=UTM)
    coarse = GRID @ Affine.scale(2)
    write(tmp_path / "masks" / "a.tif", [[0, 1], [1, 0]], crs=UTM, transform=coarse)
    label = FolderSegmentation(tmp_path, BINARY)[0].label
    assert label.tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]]


def test_a_label_elsewhere_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.tif", image(size=(4, 4)), crs=UTM)
    far = GRID @ Affine.translation(500, 0)
    write(tmp_path / "masks" / "a.tif", np.zeros((4, 4)), crs=UTM, transform=far)
    with pytest.raises(NoOverlapError):
        FolderSegmentation(tmp_path, BINARY)[0]


@pytest.mark.parametrize("names", [("before", "after", "labels"), ("A", "B", "label")])
def test_change_folders(tmp_path: Path, names: tuple[str, str, str]) -> None:
    write(tmp_path / names[0] / "x.tif", image(10))
    write(tmp_path / names[1] / "x.png", image(20))
    write(tmp_path / names[2] / "x.png", [[0, 255, 0], [0, 0, 255]])
    sample = only(FolderChange(tmp_path, CHANGE))
    assert sample.after is not None
    assert (sample.image.pixels == 10).all()
    assert (sample.after.pixels == 20).all()
    assert sample.label.tolist() == [[0, 1, 0], [0, 0, 1]]
    assert sample.label_kind == "binary"


def test_a_split_with_any_index_above_one_is_by_class(tmp_path: Path) -> None:
    dataset = change(tmp_path, [[0, 0, 0]], [[0, 1, 255]], [[0, 1, 2]])
    assert dataset.label_kind == "classes"
    assert [sample.label.tolist() for sample in dataset] == [
        [[0, 0, 0]],
        [[0, 1, 255]],
        [[0, 1, 2]],
    ]


@pytest.mark.parametrize("masks", [([[0, 0]], [[0, 1]]), ([[0, 0]], [[0, 255]]), ([[0, 0]],)])
def test_a_split_without_is_binary(tmp_path: Path, masks: list[ArrayLike]) -> None:
    dataset = change(tmp_path, *masks)
    assert dataset.label_kind == "binary"
    assert max(int(sample.label.max()) for sample in dataset) <= 1


def test_a_change_label_in_colours_is_by_class(tmp_path: Path) -> None:
    classes = [
        ClassInfo(name, "#000000", colour)
        for name, colour in (("same", "#000000"), ("built", "#00ff00"), ("gone", "#ff0000"))
    ]
    mask = painted([[0, 1, 2], [3, 2, 0]], ["#000000", "#00ff00", "#ff0000", "#ffffff"])
    dataset = change(tmp_path / "colour", mask, classes=classes)
    assert dataset[0].label.tolist() == [[0, 1, 2], [255, 2, 0]]
    binary = change(tmp_path / "binary", [[0, 255, 0], [255, 0, 0]], classes=classes)
    assert binary.label_kind == "binary"
    assert binary[0].label.tolist() == [[0, 1, 0], [1, 0, 0]]


def landsat(root: Path, place: str) -> None:
    bands = np.arange(6)[:, None, None] + np.zeros((6, 2, 3))
    write(root / place / "A.tif", bands.astype(np.uint8), crs=UTM)
    write(root / place / "B.tif", bands.astype(np.uint8) + 10, crs=UTM)
    write(root / place / "label.tif", [[0, 1, 255], [255, 1, 0]], crs=UTM)


def test_landsat_change_leaves_255_out_and_reads_natural_colour(tmp_path: Path) -> None:
    landsat(tmp_path, "nanjing")
    landsat(tmp_path, "taizhou")
    dataset = open_dataset("landsat-change", tmp_path, task="change", classes=CHANGE)
    assert dataset.names == ("nanjing", "taizhou")
    sample = dataset[0]
    assert sample.label.tolist() == [[0, 1, 255], [255, 1, 0]]
    assert sample.image.pixels[:, 0, 0].tolist() == [2, 1, 0]
    assert sample.after is not None
    assert sample.after.pixels[:, 0, 0].tolist() == [12, 11, 10]
    chosen = open_dataset(
        "landsat-change", tmp_path, task="change", classes=CHANGE, bands=[4, 3, 2]
    )
    assert chosen[0].image.pixels[:, 0, 0].tolist() == [3, 2, 1]
    one = open_dataset("landsat-change", tmp_path / "taizhou", task="change", classes=CHANGE)
    assert one.names == ("taizhou",)
    (tmp_path / "taizhou" / "label.tif").unlink()
    with pytest.raises(DatasetError, match=r"A\.tif, B\.tif, label\.tif"):
        open_dataset("landsat-change", tmp_path / "taizhou", task="change", classes=CHANGE)


def test_open_dataset_takes_a_split(tmp_path: Path) -> None:
    segmentation(tmp_path / "val", [[0, 1]])
    dataset = open_dataset("folder", tmp_path, "val", task="segment", classes=BINARY)
    assert dataset[0].label.tolist() == [[0, 1]]
    with pytest.raises(DatasetError, match="no split 'test'; it holds val"):
        open_dataset("folder", tmp_path, "test", task="segment", classes=BINARY)
    for split in ("../val", "..", "val/images"):
        with pytest.raises(DatasetError, match="must be the name of a folder"):
            open_dataset("folder", tmp_path, split, task="segment", classes=BINARY)


def test_open_dataset_refuses_other_names_and_tasks(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="'nope' is unknown; choose one of folder"):
        open_dataset("nope", tmp_path, task="segment", classes=BINARY)
    with pytest.raises(DatasetError, match="can be scored for change only"):
        open_dataset("landsat-change", tmp_path, task="segment", classes=BINARY)


def test_a_sample_checks_its_label(tmp_path: Path) -> None:
    sample = only(segmentation(tmp_path, [[0, 1]]))
    with pytest.raises(LabelError, match=r"the label is int64 \(1, 2\)"):
        Sample("a", sample.image, np.zeros((1, 2), np.int64))  # type: ignore[arg-type]
    with pytest.raises(LabelError, match=r"uint8 \(1, 2\) is needed"):
        Sample("a", sample.image, np.zeros((2, 2), np.uint8))
