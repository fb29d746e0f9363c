"""Masks of every kind turned into class indices, on rasters written for each test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn_rasters import BINARY, CHANGE, COLOURED, INDEXED, only, painted, segmentation, write

from n2m_core.checkpoints import ClassInfo
from n2m_core.datasets.truth import read_truth
from n2m_core.errors import LabelError


def test_zero_is_background_and_anything_else_positive(tmp_path: Path) -> None:
    sample = only(segmentation(tmp_path, [[0, 1, 255], [7, 0, 128]]))
    assert sample.label.tolist() == [[0, 1, 1], [1, 0, 1]]
    assert sample.label.dtype == np.uint8
    assert sample.name == "a"
    assert sample.image.pixels.shape == (3, 2, 3)


def test_an_ignored_value_is_left_out(tmp_path: Path) -> None:
    sample = only(segmentation(tmp_path, [[0, 1, 255], [7, 0, 255]], ignore=255))
    assert sample.label.tolist() == [[0, 1, 255], [1, 0, 255]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_binary_masks_of_any_type(tmp_path: Path, dtype: type) -> None:
    mask = np.array([[0, 1, 0], [100, 0, 0]], dtype)
    assert only(segmentation(tmp_path, mask, suffix=".tif")).label.tolist() == [
        [0, 1, 0],
        [1, 0, 0],
    ]


def test_a_binary_mask_in_three_bands(tmp_path: Path) -> None:
    mask = np.repeat(np.array([[[0, 255, 0], [255, 0, 0]]], np.uint8), 3, axis=0)
    assert only(segmentation(tmp_path, mask)).label.tolist() == [[0, 1, 0], [1, 0, 0]]


def test_a_binary_mask_drawn_in_red_on_black(tmp_path: Path) -> None:
    mask = painted([[0, 1, 1], [0, 0, 1]], ["#000000", "#ff0000"])
    assert only(segmentation(tmp_path, mask)).label.tolist() == [[0, 1, 1], [0, 0, 1]]


def test_black_is_background_wherever_the_palette_keeps_it(tmp_path: Path) -> None:
    palette = {0: (255, 255, 255), 1: (0, 0, 0)}
    sample = only(segmentation(tmp_path, [[0, 1, 1], [0, 0, 1]], palette=palette))
    assert sample.label.tolist() == [[1, 0, 0], [1, 1, 0]]


def test_a_compressed_binary_mask_is_cut_at_half(tmp_path: Path) -> None:
    mask = np.zeros((16, 16), np.uint8)
    mask[:, 5:] = 255
    sample = only(segmentation(tmp_path, mask, suffix=".jpg"))
    assert sample.label.tolist() == (mask // 255).tolist()


def test_nodata_zero_is_still_background(tmp_path: Path) -> None:
    sample = only(segmentation(tmp_path, [[0, 255, 0], [0, 0, 255]], suffix=".tif", nodata=0))
    assert sample.label.tolist() == [[0, 1, 0], [0, 0, 1]]


def test_nodata_zero_is_unlabelled_where_no_class_is_the_background(tmp_path: Path) -> None:
    sample = only(segmentation(tmp_path, [[0, 1], [0, 2]], INDEXED, suffix=".tif", nodata=0))
    assert sample.label.tolist() == [[255, 1], [255, 2]]


def test_nodata_zero_is_background_in_change(tmp_path: Path) -> None:
    write(tmp_path / "label.tif", [[0, 1], [0, 2]], nodata=0)
    before = segmentation(tmp_path, [[0, 1], [0, 1]])[0].image
    truth = read_truth(tmp_path / "label.tif", before, CHANGE, task="change")
    assert truth.labels.tolist() == [[0, 1], [0, 2]]
    assert truth.kind == "classes"


def test_one_label_file_is_read_by_its_own_values(tmp_path: Path) -> None:
    write(tmp_path / "label.png", [[0, 255], [0, 0]])
    before = segmentation(tmp_path, [[0, 1], [0, 1]])[0].image
    truth = read_truth(tmp_path / "label.png", before, CHANGE, task="change")
    assert truth.labels.tolist() == [[0, 1], [0, 0]]
    assert truth.kind == "binary"
    left_out = read_truth(tmp_path / "label.png", before, BINARY, task="segment", ignore=255)
    assert left_out.labels.tolist() == [[0, 255], [0, 0]]
    write(tmp_path / "small.png", [[0, 255]])
    with pytest.raises(LabelError, match="small: the label is 2 x 1 px and the image 2 x 2 px"):
        read_truth(tmp_path / "small.png", before, BINARY, task="segment")


def test_other_nodata_is_left_out(tmp_path: Path) -> None:
    sample = only(segmentation(tmp_path, [[0, 9, 0], [1, 9, 1]], suffix=".tif", nodata=9))
    assert sample.label.tolist() == [[0, 255, 0], [1, 255, 1]]


def test_class_indices_and_255(tmp_path: Path) -> None:
    sample = only(segmentation(tmp_path, [[0, 1, 2], [2, 255, 0]], INDEXED))
    assert sample.label.tolist() == [[0, 1, 2], [2, 255, 0]]
    assert sample.label_kind == "classes"


def test_class_indices_with_an_ignored_value(tmp_path: Path) -> None:
    sample = only(segmentation(tmp_path, [[0, 1, 2], [2, 9, 0]], INDEXED, ignore=9))
    assert sample.label.tolist() == [[0, 1, 2], [2, 255, 0]]


def test_pixel_values_of_the_classes_are_looked_up(tmp_path: Path) -> None:
    classes = [ClassInfo(n, "#000000", v) for n, v in (("a", 10), ("b", 20), ("c", 30))]
    sample = only(segmentation(tmp_path, [[10, 20, 30], [30, 0, 99]], classes))
    assert sample.label.tolist() == [[0, 1, 2], [2, 255, 255]]


def test_colours_are_looked_up_and_others_left_out(tmp_path: Path) -> None:
    colours = ["#3C1098", "#E2A929", "#6EC1E4", "#9B9B9B", "#000000"]
    mask = painted([[0, 1, 2], [3, 4, 0]], colours)
    sample = only(segmentation(tmp_path, mask, COLOURED))
    assert sample.label.tolist() == [[0, 1, 2], [255, 255, 0]]


def test_a_palette_is_read_by_colour_whatever_its_order(tmp_path: Path) -> None:
    palette = {0: (0xE2, 0xA9, 0x29), 1: (0x6E, 0xC1, 0xE4), 2: (0x3C, 0x10, 0x98), 3: (9, 9, 9)}
    sample = only(segmentation(tmp_path, [[0, 1, 2], [3, 2, 0]], COLOURED, palette=palette))
    assert sample.label.tolist() == [[1, 2, 0], [255, 0, 1]]


def test_indices_are_read_though_the_classes_have_colours(tmp_path: Path) -> None:
    sample = only(segmentation(tmp_path, [[0, 1, 2], [2, 255, 0]], COLOURED))
    assert sample.label.tolist() == [[0, 1, 2], [2, 255, 0]]


def test_a_colour_mask_without_any_label_is_all_left_out(tmp_path: Path) -> None:
    mask = painted([[0, 1, 1], [1, 1, 1]], ["#000000", "#9B9B9B"])
    assert (only(segmentation(tmp_path, mask, COLOURED)).label == 255).all()


def test_a_binary_task_by_colour_has_black_as_background(tmp_path: Path) -> None:
    classes = (ClassInfo("rest", "#000000"), ClassInfo("house", "#ff0000", "#3C1098"))
    mask = painted([[0, 1, 1], [2, 0, 1]], ["#000000", "#3C1098", "#9B9B9B"])
    assert only(segmentation(tmp_path / "colour", mask, classes)).label.tolist() == [
        [0, 1, 1],
        [255, 0, 1],
    ]
    grey = np.repeat(np.array([[[0, 255, 0], [255, 0, 0]]], np.uint8), 3, axis=0)
    sample = only(segmentation(tmp_path / "grey", grey, classes))
    assert sample.label.tolist() == [[0, 1, 0], [1, 0, 0]]


def test_wrong_masks_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"a\.png: values 3, 7 are no class; 0\.\.2 are"):
        only(segmentation(tmp_path / "values", [[1, 7], [3, 0]], INDEXED))
    with pytest.raises(LabelError, match="0 and 255 only, which is a binary label"):
        only(segmentation(tmp_path / "binary", [[0, 255], [0, 0]], INDEXED))
    with pytest.raises(LabelError, match="#102030; none is a class colour"):
        only(segmentation(tmp_path / "colour", painted([[0, 0]], ["#102030"]), COLOURED))
    with pytest.raises(LabelError, match="the classes have no mask colours"):
        only(segmentation(tmp_path / "none", painted([[0, 0]], ["#102030"]), INDEXED))


def test_wrong_classes_are_refused(tmp_path: Path) -> None:
    bad = (BINARY[0], ClassInfo("x", "#ffffff", "red"))
    with pytest.raises(LabelError, match=r'"#rrggbb" is needed'):
        only(segmentation(tmp_path, [[0, 1]], bad))
    twice = [ClassInfo("x", "#ffffff", "#101010")] * 3
    with pytest.raises(LabelError, match="another one for each class"):
        only(segmentation(tmp_path, [[0, 1]], twice))
    with pytest.raises(LabelError, match="1 classes given"):
        segmentation(tmp_path, [[0, 1]], BINARY[:1])
