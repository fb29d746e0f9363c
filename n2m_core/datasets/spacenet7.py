"""SpaceNet 7: monthly Planet mosaics of 60 places over two years, with building rasters.

    metadata_train.json
    train/<place>/images_masked/global_monthly_<year>_<month>_mosaic_<place>.tif
    train/<place>/labels_raster/<image>_Buildings.tif

Scenes of 1024 px at about 4 m are cut into 256 px tiles. Segmentation takes each month alone;
change takes consecutive months, and its label is the exclusive or of their building rasters. Pixels
that the mosaics mask out have no label. Van Etten et al., "The Multi-Temporal Urban Development
SpaceNet Dataset", CVPR 2021.

The places are split 30, 15 and 14 as in Hafner et al. 2023 (doi 10.3390/rs15215135). SpaceNet's own
download does not carry that split, so metadata_train.json must:

    {"split": {"train": ["L15-...", ...], "val": [...], "test": [...]}, "<place>": [...]}

Entries of a place, where there are any, say with `mask` and `label` which months are left out of
segmentation. Change takes every two months that follow each other.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from n2m_core.datasets.base import LabelClass, Sample, Task
from n2m_core.datasets.folder import ReadOptions
from n2m_core.datasets.tiles import AbstractTiles, check_binary, read_binary_label, read_tile
from n2m_core.errors import DatasetError
from n2m_core.geo_image import GeoImage
from n2m_core.metrics.confusion import IGNORE

METADATA = "metadata_train.json"
SCENE_PX = 1024
TILE_PX = 256
RESOLUTION_M = 4.0
NAME = re.compile(r"^global_monthly_(\d{4})_(\d{2})_mosaic_.+$")
_NAMES_SHOWN = 3


@dataclass(frozen=True, order=True)
class Month:
    """One month of a place that has an image and a building raster."""

    date: str
    image: Path
    label: Path


@dataclass(frozen=True)
class Scene:
    """What tiles are cut from: one month, or two that follow each other."""

    name: str
    months: tuple[Month, ...]


class SpaceNet7Tiles(AbstractTiles):
    """One split of SpaceNet 7, 16 tiles a scene in the order of its rows."""

    def __init__(
        self,
        root: Path,
        classes: Sequence[LabelClass],
        *,
        task: Task,
        split: str | None = None,
        ignore: int | None = None,
        options: ReadOptions | None = None,
    ) -> None:
        """List the scenes; no raster is read yet.

        Args:
            root: holds train/ and metadata_train.json.
            classes: two classes, or any in change.
            task: "segment" or "change".
            split: "train", "val" or "test" of the metadata; None for every place of train/.
            ignore: a mask value that counts nowhere.
            options: how the images are read.

        Raises:
            DatasetError: folders, metadata or the split are missing, or no month has a label.
        """
        check_binary("spacenet7", task, classes)
        self._classes = tuple(classes)
        self._ignore = ignore
        self._options = options or ReadOptions()
        metadata = _metadata(root, is_needed=split is not None)
        places = _places(root) if split is None else _split_places(root, metadata, split)
        self._scenes = [
            scene
            for place in places
            for scene in _scenes(root / "train" / place, metadata.get(place, []), task)
        ]
        if not self._scenes:
            raise DatasetError(
                f"{root}: no month of {_some(places)} has both images_masked/*.tif and "
                "labels_raster/*_Buildings.tif."
            )
        corners = range(0, SCENE_PX, TILE_PX)
        self._tiles = [
            (scene, row, col) for scene in self._scenes for row in corners for col in corners
        ]
        self._held: tuple[str, Sample] | None = None
        super().__init__([f"{scene.name}_{row}_{col}" for scene, row, col in self._tiles])

    def _read(self, index: int) -> Sample:
        """Cut one tile; the scene is kept, for the next tile is likely to be of it."""
        scene, row, col = self._tiles[index]
        if self._held is None or self._held[0] != scene.name:
            self._held = scene.name, self._read_scene(scene)
        whole = self._held[1]
        place = slice(row, row + TILE_PX), slice(col, col + TILE_PX)
        after = None if whole.after is None else _cut(whole.after, place)
        label = np.ascontiguousarray(whole.label[place])
        return Sample(self.names[index], _cut(whole.image, place), label, after, "binary")

    def _read_scene(self, scene: Scene) -> Sample:
        """Read a scene's images and labels whole."""
        images = [
            read_tile(month.image, self._options, RESOLUTION_M, SCENE_PX) for month in scene.months
        ]
        buildings = [self._buildings(month) for month in scene.months]
        label = buildings[0] if len(buildings) == 1 else _difference(*buildings)
        return Sample(scene.name, images[0], label, images[1] if images[1:] else None, "binary")

    def _buildings(self, month: Month) -> NDArray[np.uint8]:
        """Building raster of a month, uint8 [1024, 1024]."""
        return read_binary_label(
            month.label,
            (SCENE_PX, SCENE_PX),
            self._classes,
            ignore=self._ignore,
            size_px=SCENE_PX,
        )


def _difference(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Exclusive or of two building rasters, 255 where either counts nowhere."""
    changed: NDArray[np.uint8] = (before != after).astype(np.uint8)
    changed[(before == IGNORE) | (after == IGNORE)] = IGNORE
    return changed


def _cut(image: GeoImage, place: tuple[slice, slice]) -> GeoImage:
    """One tile of a scene."""
    return replace(image, pixels=image.pixels[:, *place], valid=image.valid[place])


def _metadata(root: Path, *, is_needed: bool) -> dict[str, Any]:
    """The contents of metadata_train.json; empty when it is neither there nor needed."""
    path = root / METADATA
    if not path.is_file() and not is_needed:
        return {}
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise DatasetError(
            f"{path} can't be read ({e.strerror}); it names the places of each split. Put it "
            "beside train/, or leave the split out to take every place."
        ) from e
    except ValueError as e:
        raise DatasetError(f"{path} is not JSON ({e}). Fetch it again.") from e
    if not isinstance(raw, dict):
        raise DatasetError(f"{path} holds no object with the places' names. Fetch it again.")
    return raw


def _places(root: Path) -> list[str]:
    """Every place below train/."""
    folder = root / "train"
    if not folder.is_dir():
        raise DatasetError(
            f"{root} has no train/. Give the folder that holds train/ of SpaceNet 7."
        )
    return sorted(item.name for item in folder.iterdir() if item.is_dir())


def _split_places(root: Path, metadata: dict[str, Any], split: str) -> list[str]:
    """Places of one split, checked against the folders."""
    splits = metadata.get("split")
    if not isinstance(splits, dict):
        raise DatasetError(
            f"{root / METADATA} has no entry 'split' with the places of train, val and test. Add "
            "the lists of Hafner et al. 2023 (doi 10.3390/rs15215135: 30, 15 and 14 places), or "
            "leave the split out to take every place."
        )
    places = splits.get(split)
    if not isinstance(places, list) or not all(isinstance(place, str) for place in places):
        raise DatasetError(
            f"{root / METADATA} lists no split {split!r}; it lists {', '.join(splits) or 'none'}."
        )
    missing = sorted(set(places) - set(_places(root)))
    if missing:
        raise DatasetError(
            f"{root / 'train'} lacks {len(missing)} of {len(places)} places of split {split!r} "
            f"({_some(missing)}). Fetch them, or change the split."
        )
    return places


def _scenes(folder: Path, entries: list[dict[str, Any]], task: Task) -> list[Scene]:
    """Scenes of one place: its months, or the pairs of months that follow each other."""
    months = _months(folder)
    if task == "change":
        return [
            Scene(f"{folder.name}_{before.date}_{after.date}", (before, after))
            for before, after in itertools.pairwise(months)
        ]
    unusable = {
        f"{int(entry['year'])}-{int(entry['month']):02d}"
        for entry in entries
        if entry.get("mask") or not entry.get("label", True)
    }
    return [
        Scene(f"{folder.name}_{month.date}", (month,))
        for month in months
        if month.date not in unusable
    ]


def _months(folder: Path) -> list[Month]:
    """Months with an image and a building raster, in their order."""
    if not (folder / "images_masked").is_dir() or not (folder / "labels_raster").is_dir():
        raise DatasetError(f"{folder} needs images_masked/ and labels_raster/. Fetch it again.")
    found = []
    for image in (folder / "images_masked").glob("*.tif"):
        name = NAME.match(image.stem)
        label = folder / "labels_raster" / f"{image.stem}_Buildings.tif"
        if name and label.is_file():
            found.append(Month(f"{name[1]}-{name[2]}", image, label))
    return sorted(found)


def _some(names: Sequence[str]) -> str:
    """A few names for a message."""
    listed = ", ".join(names[:_NAMES_SHOWN])
    return f"{listed}, ..." if len(names) > _NAMES_SHOWN else listed or "train/"
