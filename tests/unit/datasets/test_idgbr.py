"""The layout of IDGBR's authors, on small folders of that shape."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from drawn_rasters import BINARY, CHANGE, COLOURED, GRID, INDEXED, UTM, write
from published_sets import canvas, mask, write_idgbr

from n2m_core.checkpoints import ClassInfo
from n2m_core.datasets.base import Sample
from n2m_core.datasets.idgbr import find_index, read_index
from n2m_core.datasets.opening import open_dataset
from n2m_core.errors import DatasetError, LabelError


def opened(
    root: Path, split: str | None = None, classes: tuple[ClassInfo, ...] = BINARY
) -> list[Sample]:
    dataset = open_dataset("idgbr-jsonl", root, split, task="segment", classes=classes)
    assert len(dataset) == len(list(dataset))
    return list(dataset)


def write_index(root: Path, *entries: object, name: str = "test") -> Path:
    text = "\n".join(e if isinstance(e, str) else json.dumps(e) for e in entries)
    path = root / f"{name}.jsonl"
    path.write_text(text, encoding="utf-8")
    return path


def test_binary_tiles_come_with_their_rough_maps(tmp_path: Path) -> None:
    samples = opened(write_idgbr(tmp_path), "train")
    assert [sample.name for sample in samples] == ["1", "2"]
    sample = samples[0]
    assert sample.image.pixels.shape == (3, 64, 64)
    assert (sample.label_kind, sample.label.sum()) == ("binary", 16 * 64)
    assert sample.rough is not None
    assert sample.rough.dtype == np.uint8
    wanted = np.zeros((64, 64), np.uint8)
    wanted[:12, 8:] = 1
    np.testing.assert_array_equal(sample.rough, wanted)


def test_a_line_without_a_rough_map_is_a_tile_without_one(tmp_path: Path) -> None:
    (sample,) = opened(write_idgbr(tmp_path), "val")
    assert sample.rough is None
    assert sample.label.sum() == 16 * 64


def test_a_slice_keeps_the_rough_maps(tmp_path: Path) -> None:
    root = write_idgbr(tmp_path)
    dataset = open_dataset("idgbr-jsonl", root, "train", task="segment", classes=BINARY)
    (second,) = dataset[1:]
    assert (second.name, second.rough is None) == ("2", False)


def test_class_indices_of_potsdam_and_what_they_leave_out(tmp_path: Path) -> None:
    label = np.array([[0, 1, 2], [2, 255, 0]], np.uint8)
    rough = np.array([[0, 1, 1], [2, 2, 0]], np.uint8)
    write(tmp_path / "images_IRRG" / "test" / "a.tif", canvas(8)[:, :2, :3])
    write(tmp_path / "label_index" / "test" / "a.png", label)
    write(tmp_path / "rough" / "a.png", rough)
    write_index(
        tmp_path,
        {
            "image": "images_IRRG/test/a.tif",
            "label_index": "label_index/test/a.png",
            "rough_label_index": "rough/a.png",
        },
    )
    (sample,) = opened(tmp_path, classes=INDEXED)
    np.testing.assert_array_equal(sample.label, label)
    assert sample.rough is not None
    np.testing.assert_array_equal(sample.rough, rough)
    # The same in the classes' colours, as Potsdam is published.
    colours = {i: tuple(bytes.fromhex(c.mask_colour[1:])) for i, c in enumerate(COLOURED)}
    write(tmp_path / "rough" / "a.png", rough, palette=colours)  # type: ignore[arg-type]
    (drawn,) = opened(tmp_path, classes=COLOURED)
    assert drawn.rough is not None
    np.testing.assert_array_equal(drawn.rough, rough)


def test_a_rough_map_on_another_grid_is_aligned_or_refused(tmp_path: Path) -> None:
    road = (slice(0, 8), slice(0, 16))
    write(tmp_path / "a.tif", canvas(16, road), crs=UTM)
    write(tmp_path / "truth.tif", mask(16, road), crs=UTM)
    write(
        tmp_path / "fine.tif",
        mask(32, (slice(0, 16), slice(0, 32))),
        crs=UTM,
        transform=GRID @ Affine.scale(0.5),
    )
    entry = {"image": "a.tif", "label": "truth.tif", "rough": "fine.tif"}
    write_index(tmp_path, entry)
    (sample,) = opened(tmp_path)
    assert sample.rough is not None
    np.testing.assert_array_equal(sample.rough, sample.label)
    assert any("a (rough map)" in note and "aligned" in note for note in sample.notes)
    write(tmp_path / "small.png", mask(8))
    write_index(tmp_path, {**entry, "rough": "small.png"})
    with pytest.raises(LabelError, match=r"a \(rough map\): the label is 8 x 8 px"):
        opened(tmp_path)


def test_images_of_one_name_are_told_apart_by_their_folder(tmp_path: Path) -> None:
    for folder in ("east", "west"):
        write(tmp_path / folder / "1.png", canvas(4))
        write(tmp_path / folder / "mask.png", mask(4))
    lines = [{"image": f"{f}/1.png", "label": f"{f}/mask.png"} for f in ("east", "west")]
    write_index(tmp_path, lines[0], "", lines[1])
    assert [sample.name for sample in opened(tmp_path)] == ["east/1", "west/1"]


def test_an_index_written_on_windows_is_read(tmp_path: Path) -> None:
    write(tmp_path / "images" / "1.png", canvas(4))
    write(tmp_path / "labels" / "1.png", mask(4))
    write_index(tmp_path, {"image": "images\\1.png", "label": "labels\\1.png", "rough": None})
    assert opened(tmp_path)[0].name == "1"


def test_the_index_of_a_split_is_found(tmp_path: Path) -> None:
    for name in ("metadata_i2s_segformer_train", "metadata_i2s_segformer_test"):
        write_index(tmp_path, "", name=name)
    assert find_index(tmp_path, "test").stem == "metadata_i2s_segformer_test"
    assert find_index(tmp_path, "metadata_i2s_segformer_test") == find_index(tmp_path, "test")
    with pytest.raises(DatasetError, match=r"segformer_test, .*no split is named\. Name one"):
        find_index(tmp_path, None)
    with pytest.raises(DatasetError, match="0 of them fit 'val'"):
        find_index(tmp_path, "val")
    write_index(tmp_path, "", name="metadata_i2s_hrnet_test")
    with pytest.raises(DatasetError, match="2 of them fit 'test'"):
        find_index(tmp_path, "test")
    write_index(tmp_path, "", name="test")
    assert find_index(tmp_path, "test").stem == "test"


def test_folders_without_an_index_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not a folder"):
        opened(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="has no index"):
        opened(tmp_path)
    with pytest.raises(DatasetError, match="it can be scored for segmentation only"):
        open_dataset("idgbr-jsonl", tmp_path, task="change", classes=CHANGE)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("not json", r"test\.jsonl, line 2 is not JSON"),
        ("[1, 2]", r"line 2 is no JSON object but '\[1, 2\]'"),
        ({"label": "a.png"}, "line 2 lacks image; it has label"),
        ({"image": "a.png", "mask": "a.png"}, "lacks label or label_index; it has image, mask"),
        ({"image": "a.png", "label": 3}, "label is 3; a path below"),
        ({"image": "a.png", "label": "../a.png"}, "path below the index's folder"),
        ({"image": "/a.png", "label": "a.png"}, "image is '/a.png'; a path below"),
        ({"image": "C:\\a.png", "label": "a.png"}, "a path below"),
        ({"image": "a.png", "label": ""}, "label is ''; a path below"),
        ({"image": "a.png", "label": "b.png", "rough": "c.png"}, r"names 2 files .*b\.png, c\.png"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: object, complaint: str) -> None:
    write(tmp_path / "a.png", canvas(4))
    index = write_index(tmp_path, {"image": "a.png", "label": "a.png"}, line)
    with pytest.raises(DatasetError, match=complaint):
        read_index(index)


def test_an_index_that_is_no_text_or_empty_is_refused(tmp_path: Path) -> None:
    index = write_index(tmp_path, "", "  ")
    with pytest.raises(DatasetError, match="has no lines"):
        read_index(index)
    index.write_bytes(b"\xff\xfe\x00\x9f")
    with pytest.raises(DatasetError, match="can't be read as text"):
        read_index(index)
