from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from drawn_rasters import BINARY, CHANGE, COLOURED, write
from published_sets import (
    PLACES,
    canvas,
    mask,
    month_path,
    write_aid,
    write_levir,
    write_spacenet7,
    write_whu,
    write_xview2,
)

from n2m_core.datasets.base import Sample, Task
from n2m_core.datasets.opening import open_dataset
from n2m_core.datasets.unlabelled import UnlabelledImages
from n2m_core.errors import BandError, DatasetError, LabelError


def opened(
    name: str, root: Path, split: str | None = None, task: Task = "segment", **options: object
) -> list[Sample]:
    dataset = open_dataset(
        name,
        root,
        split,
        task=task,
        classes=BINARY,
        **options,  # type: ignore[arg-type]
    )
    assert len(dataset) == len(list(dataset))
    return list(dataset)


@pytest.fixture(scope="module")
def spacenet7(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_spacenet7(tmp_path_factory.mktemp("sn7"))


def test_whu_tiles_come_at_256_px(tmp_path: Path) -> None:
    samples = opened("whu", write_whu(tmp_path), "train")
    assert [sample.name for sample in samples] == ["1", "2"]
    sample = samples[0]
    assert sample.image.pixels.shape == (3, 256, 256)
    assert (sample.image.resolution_m, sample.image.crs) == (0.6, None)
    wanted = np.zeros((256, 256), np.uint8)
    wanted[:32, :64] = 1
    np.testing.assert_array_equal(sample.label, wanted)
    np.testing.assert_array_equal(sample.image.pixels[0], np.where(wanted, 220, 60))


def test_whu_pairs_with_a_mask_of_one_value_are_dropped(tmp_path: Path) -> None:
    samples = opened("whu", write_whu(tmp_path), "train", "change")
    assert [sample.name for sample in samples] == ["a"]
    assert samples[0].after is not None
    assert samples[0].after.pixels[0, 0, 0] == 220
    assert samples[0].image.pixels[0, 0, 0] == 60
    assert int(samples[0].label.sum()) == 64 * 128


def test_whu_without_any_change_is_refused(tmp_path: Path) -> None:
    for folder, drawn in (("A", canvas(64)), ("B", canvas(64)), ("OUT", mask(64))):
        write(tmp_path / "test" / folder / "a.png", drawn)
    with pytest.raises(DatasetError, match="none of the 1 masks in OUT/"):
        opened("whu", tmp_path, "test", "change")
    with pytest.raises(DatasetError, match="has no Image/"):
        opened("whu", tmp_path, "test")
    with pytest.raises(DatasetError, match="no split 'val'; it holds test"):
        opened("whu", tmp_path, "val")


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    write_levir(tmp_path, size=128)
    write(tmp_path / "train" / "label" / "train_1.png", mask(64))
    with pytest.raises(LabelError, match="64 x 64 px and its image 128 x 128 px"):
        opened("levir-cd", tmp_path, "train", "change")


def test_a_tile_needs_three_bands_or_named_ones(tmp_path: Path) -> None:
    write(tmp_path / "train" / "Image" / "1.tif", np.full((64, 64), 9, np.uint8))
    write(tmp_path / "train" / "Mask" / "1.tif", mask(64))
    with pytest.raises(BandError, match="has 1 band"):
        opened("whu", tmp_path, "train")
    (sample,) = opened("whu", tmp_path, "train", bands=[1, 1, 1], resolution_m=1.2)
    assert sample.image.pixels.shape == (3, 256, 256)
    assert sample.image.resolution_m == 1.2


def test_xview2_pairs_come_at_256_px_and_tiles_without_a_mask_are_left_out(tmp_path: Path) -> None:
    samples = opened("xview2", write_xview2(tmp_path), "train", "change")
    stems = ["santa-rosa-wildfire_00000001", "santa-rosa-wildfire_00000002"]
    assert [sample.name for sample in samples] == stems
    sample = samples[0]
    assert sample.image.pixels.shape == (3, 256, 256)
    assert sample.after is not None
    assert (sample.image.pixels[0, 0, 0], sample.after.pixels[0, 0, 0]) == (220, 90)
    wanted = np.zeros((256, 256), np.uint8)
    wanted[:16, :32] = 1
    np.testing.assert_array_equal(sample.label, wanted)


def test_images_are_area_averaged_and_masks_never_mixed(tmp_path: Path) -> None:
    folder = write_xview2(tmp_path) / "train" / "xBD" / "santa-rosa-wildfire"
    name = "santa-rosa-wildfire_00000001_pre_disaster.png"
    striped = canvas(1024, value=0)
    striped[:, :, ::2] = 200
    narrow = (slice(0, 1024), slice(0, 3))
    write(folder / "images" / name, striped)
    write(folder / "masks" / name, mask(1024, narrow))
    sample = opened("xview2", tmp_path, "train")[0]
    assert sample.after is None
    np.testing.assert_array_equal(sample.image.pixels, 100)
    assert set(np.unique(sample.label)) == {0, 1}
    assert int(sample.label.sum()) == 256


def test_xview2_says_which_tiles_lack_a_mask(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_xview2(tmp_path, size=256) / "train" / "xBD" / "santa-rosa-wildfire"
    with caplog.at_level(logging.WARNING):
        opened("xview2", tmp_path, "train")
        assert not caplog.records
        (folder / "masks" / "santa-rosa-wildfire_00000002_pre_disaster.png").unlink()
        assert len(opened("xview2", tmp_path, "train")) == 1
    assert "00000002" in caplog.text
    (folder / "images" / "santa-rosa-wildfire_00000001_post_disaster.png").unlink()
    with pytest.raises(DatasetError, match="lacks 1 images after the fire"):
        opened("xview2", tmp_path, "train", "change")
    (folder / "masks" / "santa-rosa-wildfire_00000001_pre_disaster.png").unlink()
    with pytest.raises(DatasetError, match="none of the 3 images has a mask"):
        opened("xview2", tmp_path, "train")
    with pytest.raises(DatasetError, match="has no xBD/santa-rosa-wildfire/"):
        opened("xview2", tmp_path)


def test_spacenet7_months_are_cut_into_tiles(spacenet7: Path) -> None:
    samples = opened("spacenet7", spacenet7, "train")
    # Month 2 is masked by the metadata: two months of one place remain, 16 tiles each.
    assert len(samples) == 32
    assert samples[0].name == f"{PLACES[0]}_2018-01_0_0"
    assert samples[31].name == f"{PLACES[0]}_2018-03_768_768"
    assert samples[0].image.pixels.shape == (3, 256, 256)
    assert int(samples[0].label.sum()) == 64 * 64
    assert int(samples[16].label.sum()) == 64 * 192
    assert int(samples[1].label.sum()) == 0
    assert int((~samples[31].image.valid).sum()) == 64


def test_spacenet7_change_is_the_exclusive_or_of_consecutive_months(spacenet7: Path) -> None:
    dataset = open_dataset("spacenet7", spacenet7, "val", task="change", classes=BINARY)
    assert len(dataset) == 32
    first = dataset[0]
    assert first.name == f"{PLACES[1]}_2018-01_2018-02_0_0"
    assert first.after is not None
    wanted = np.zeros((256, 256), np.uint8)
    wanted[:64, 64:128] = 1
    np.testing.assert_array_equal(first.label, wanted)
    assert [sample.name for sample in dataset[:2]] == [dataset[0].name, dataset[1].name]


def test_spacenet7_takes_every_place_without_a_split(spacenet7: Path) -> None:
    assert len(open_dataset("spacenet7", spacenet7, task="change", classes=BINARY)) == 64


def test_spacenet7_says_what_its_metadata_lack(tmp_path: Path) -> None:
    write_spacenet7(tmp_path, months=1, size=64)
    file = tmp_path / "metadata_train.json"
    with pytest.raises(DatasetError, match="no split 'dev'; it lists train, val, test"):
        opened("spacenet7", tmp_path, "dev")
    with pytest.raises(DatasetError, match=r"no month of .* has both"):
        opened("spacenet7", tmp_path, "train", "change")
    file.write_text(json.dumps({"split": {"train": [*PLACES, "L15-elsewhere"]}}))
    with pytest.raises(DatasetError, match=r"lacks 1 of 3 places .*L15-elsewhere"):
        opened("spacenet7", tmp_path, "train")
    file.write_text(json.dumps({PLACES[0]: []}))
    with pytest.raises(DatasetError, match=r"no entry 'split' .*Hafner"):
        opened("spacenet7", tmp_path, "train")
    file.write_text("{")
    with pytest.raises(DatasetError, match="is not JSON"):
        opened("spacenet7", tmp_path, "train")
    file.unlink()
    with pytest.raises(DatasetError, match="names the places of each split"):
        opened("spacenet7", tmp_path, "train")
    month_path(tmp_path, PLACES[0], 1, is_label=True).unlink()
    assert len(opened("spacenet7", tmp_path)) == 16


def test_levir_pairs_keep_their_size(tmp_path: Path) -> None:
    (sample,) = opened("levir-cd", write_levir(tmp_path, "val", size=128), "val", "change")
    assert sample.image.pixels.shape == (3, 128, 128)
    assert sample.image.resolution_m == 0.5
    assert int(sample.label.sum()) == 64 * 128
    with pytest.raises(DatasetError, match="has two dates; it can be scored for change only"):
        opened("levir-cd", tmp_path, "val")


def test_binary_sets_refuse_networks_of_more_classes_in_segmentation(tmp_path: Path) -> None:
    write_whu(tmp_path, size=64)
    with pytest.raises(DatasetError, match="binary masks and the checkpoint 3 classes"):
        open_dataset("whu", tmp_path, "train", task="segment", classes=COLOURED)
    pairs = open_dataset("whu", tmp_path, "train", task="change", classes=CHANGE)
    assert pairs[0].label_kind == "binary"


def test_aid_is_every_picture_below_its_folders(tmp_path: Path) -> None:
    pictures = UnlabelledImages(write_aid(tmp_path))
    assert pictures.names == ("Airport/airport_1", "Airport/airport_2", "Pond/pond_1")
    assert len(pictures) == len(pictures.paths) == 3
    assert pictures[2].image.pixels.shape == (3, 60, 60)
    assert [picture.name for picture in pictures[:2]] == list(pictures.names[:2])
    assert [picture.name for picture in pictures] == list(pictures.names)


def test_labels_of_other_layouts_are_no_pictures(tmp_path: Path) -> None:
    write_whu(tmp_path, size=64)
    write(tmp_path / "train" / ".hidden" / "x.png", canvas(8))
    write(tmp_path / "place" / "label.tif", mask(8))
    names = UnlabelledImages(tmp_path).names
    assert names == (
        *(f"train/{folder}/{name}" for folder in "AB" for name in "abc"),
        "train/Image/1",
        "train/Image/2",
    )


def test_folders_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="No images below"):
        UnlabelledImages(tmp_path)
    with pytest.raises(DatasetError, match="is not a folder"):
        UnlabelledImages(tmp_path / "none")
