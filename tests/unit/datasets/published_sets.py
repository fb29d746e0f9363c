"""Small folders in the layouts of the published sets; a target is a bright rectangle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from drawn_rasters import write
from numpy.typing import NDArray

Target = tuple[slice, slice]
PLACES = ("L15-0001E-0001N_0001_0001_13", "L15-0002E-0002N_0002_0002_13")


def canvas(size: int, *targets: Target, value: int = 60) -> NDArray[np.uint8]:
    """Ground uint8 [3, size, size] with bright targets."""
    picture = np.full((3, size, size), value, np.uint8)
    for rows, cols in targets:
        picture[:, rows, cols] = 220
    return picture


def mask(size: int, *targets: Target) -> NDArray[np.uint8]:
    """255 in the targets, 0 elsewhere, uint8 [size, size]."""
    drawn = np.zeros((size, size), np.uint8)
    for rows, cols in targets:
        drawn[rows, cols] = 255
    return drawn


CORNER: Target = (slice(0, 64), slice(0, 128))


def write_whu(root: Path, split: str = "train", *, size: int = 512) -> Path:
    """Two tiles of segmentation; three pairs, the last two with masks of one value."""
    folder = root / split
    for name in ("1", "2"):
        write(folder / "Image" / f"{name}.tif", canvas(size, CORNER))
        write(folder / "Mask" / f"{name}.tif", mask(size, CORNER))
    everywhere: Target = (slice(None), slice(None))
    for name, target in (("a", [CORNER]), ("b", []), ("c", [everywhere])):
        write(folder / "A" / f"{name}.png", canvas(256))
        write(folder / "B" / f"{name}.png", canvas(256, *target))
        write(folder / "OUT" / f"{name}.png", mask(256, *target))
    return root


def write_xview2(root: Path, split: str = "train", *, size: int = 1024) -> Path:
    """Two tiles with a mask, one without."""
    folder = root / split / "xBD" / "santa-rosa-wildfire"
    for number in ("00000001", "00000002", "00000334"):
        stem = f"santa-rosa-wildfire_{number}"
        write(folder / "images" / f"{stem}_pre_disaster.png", canvas(size, CORNER))
        write(folder / "images" / f"{stem}_post_disaster.png", canvas(size, value=90))
        if number != "00000334":
            write(folder / "masks" / f"{stem}_pre_disaster.png", mask(size, CORNER))
    return root


def month_path(root: Path, place: str, month: int, *, is_label: bool) -> Path:
    """Where a month's image or building raster lies."""
    folder = root / "train" / place / ("labels_raster" if is_label else "images_masked")
    stem = f"global_monthly_2018_{month:02d}_mosaic_{place}"
    return folder / f"{stem}{'_Buildings' if is_label else ''}.tif"


def write_spacenet7(root: Path, *, months: int = 3, size: int = 1024) -> Path:
    """Two places; a building of 64 px more each month, the last one's image masked in a corner."""
    for place in PLACES:
        for month in range(1, months + 1):
            built = [(slice(0, 64), slice(0, 64 * month))]
            image = np.concatenate([canvas(size, *built), np.full((1, size, size), 255, np.uint8)])
            image[3, -8:, -8:] = 0
            write(month_path(root, place, month, is_label=False), image)
            write(month_path(root, place, month, is_label=True), mask(size, *built))
    entries = {
        place: [
            {"aoi_id": place, "year": 2018, "month": m, "mask": m == 2, "label": True}
            for m in range(1, months + 1)
        ]
        for place in PLACES
    }
    split = {"train": [PLACES[0]], "val": [PLACES[1]], "test": []}
    (root / "metadata_train.json").write_text(json.dumps({**entries, "split": split}))
    return root


def write_levir(root: Path, split: str = "train", *, size: int = 1024) -> Path:
    """One pair."""
    folder = root / split
    write(folder / "A" / "train_1.png", canvas(size))
    write(folder / "B" / "train_1.png", canvas(size, CORNER))
    write(folder / "label" / "train_1.png", mask(size, CORNER))
    return root


def write_aid(root: Path) -> Path:
    """Three pictures in two class folders, and a text beside them."""
    for folder, name in (("Airport", "airport_1"), ("Airport", "airport_2"), ("Pond", "pond_1")):
        write(root / folder / f"{name}.jpg", canvas(60))
    (root / "readme.txt").write_text("pictures")
    return root


def write_idgbr(root: Path, *, size: int = 64) -> Path:
    """Two tiles of roads in the authors' folders, their index with the authors' keys and ours."""
    entries = []
    for name in ("1", "2"):
        paths = {key: f"train/{key}s/{name}.png" for key in ("image", "label", "rough_label")}
        road, rough = (slice(0, 16), slice(0, size)), (slice(0, 12), slice(8, size))
        write(root / paths["image"], canvas(size, road))
        write(root / paths["label"], mask(size, road))
        write(root / paths["rough_label"], mask(size, rough))
        entries.append(
            {
                "image": paths["image"],
                "label_index": paths["label"],
                "rough_label_index": paths["rough_label"],
                "text": "a road",
            }
        )
    lines = "\n".join(json.dumps(entry) for entry in entries)
    (root / "metadata_i2s_segformer_train.jsonl").write_text(lines + "\n", encoding="utf-8")
    ours = {"image": entries[0]["image"], "label": entries[0]["label_index"]}
    (root / "val.jsonl").write_text(json.dumps(ours), encoding="utf-8")
    return root
