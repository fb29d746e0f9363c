"""Open a labelled dataset by the name of its layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from n2m_core.datasets.base import LabelClass, Sample, Task
from n2m_core.datasets.folder import (
    FolderChange,
    FolderSegmentation,
    ReadOptions,
)
from n2m_core.datasets.idgbr import IndexedTiles
from n2m_core.datasets.landsat import LandsatChange
from n2m_core.datasets.levir import LevirTiles
from n2m_core.datasets.spacenet7 import SpaceNet7Tiles
from n2m_core.datasets.whu import WhuTiles
from n2m_core.datasets.xview2 import Xview2Tiles
from n2m_core.datasets.xyz import XyzTiles
from n2m_core.errors import DatasetError

DatasetName = Literal[
    "folder",
    "xyz",
    "landsat-change",
    "whu",
    "xview2",
    "spacenet7",
    "levir-cd",
    "idgbr-jsonl",
]
DATASETS: tuple[str, ...] = get_args(DatasetName)


@dataclass(frozen=True)
class _Wanted:
    """What is to be opened; `open_dataset` says what each part is."""

    root: Path
    split: str | None
    task: Task
    classes: Sequence[LabelClass]
    ignore: int | None
    options: ReadOptions

    @property
    def folder(self) -> Path:
        """The folder of the split."""
        return _split_folder(self.root, self.split)


_Opener = Callable[[_Wanted], Sequence[Sample]]


def open_dataset(
    name: str,
    root: Path,
    split: str | None = None,
    *,
    task: Task,
    classes: Sequence[LabelClass],
    ignore: int | None = None,
    bands: Sequence[int] | None = None,
    nodata: float | None = None,
    resolution_m: float | None = None,
) -> Sequence[Sample]:
    """Open a dataset; its images are read when they are asked for.

    Args:
        name: one of `DATASETS`.
        root: its folder.
        split: a folder below `root`, None for `root` itself; in spacenet7 a split of the metadata,
            None for every place; in idgbr-jsonl an index, None for the only one.
        task: "segment" or "change".
        classes: the checkpoint's classes, in the order of their indices.
        ignore: a mask value that counts nowhere.
        bands: 1-based band numbers; None for all, or for red, green and blue in landsat-change and
            the first three in the published sets.
        nodata: value without data where an image names none.
        resolution_m: ground size of a pixel for images without georeference, metres; in the
            published sets in place of the set's own, at the size that tiles are brought to.

    Returns:
        The samples, read when they are asked for.

    Raises:
        DatasetError: the name is unknown, the task does not fit, or files are missing.
    """
    if name not in DATASETS:
        raise DatasetError(f"Dataset {name!r} is unknown; choose one of {', '.join(DATASETS)}.")
    opener = (_SEGMENT if task == "segment" else _CHANGE).get(name)
    if opener is None:
        dates, other = (
            ("two dates", "change") if task == "segment" else ("one date", "segmentation")
        )
        raise DatasetError(f"Dataset {name} has {dates}; it can be scored for {other} only.")
    options = ReadOptions(None if bands is None else tuple(bands), nodata, resolution_m)
    return opener(_Wanted(root, split, task, classes, ignore, options))


def _folder_segmentation(w: _Wanted) -> Sequence[Sample]:
    return FolderSegmentation(w.folder, w.classes, ignore=w.ignore, options=w.options)


def _folder_change(w: _Wanted) -> Sequence[Sample]:
    return FolderChange(w.folder, w.classes, ignore=w.ignore, options=w.options)


def _xyz(w: _Wanted) -> Sequence[Sample]:
    return XyzTiles(w.folder, w.classes)


def _landsat(w: _Wanted) -> Sequence[Sample]:
    return LandsatChange(w.folder, w.classes, options=w.options)


def _whu(w: _Wanted) -> Sequence[Sample]:
    return WhuTiles(w.folder, w.classes, task=w.task, ignore=w.ignore, options=w.options)


def _xview2(w: _Wanted) -> Sequence[Sample]:
    return Xview2Tiles(w.folder, w.classes, task=w.task, ignore=w.ignore, options=w.options)


def _spacenet7(w: _Wanted) -> Sequence[Sample]:
    return SpaceNet7Tiles(
        w.root, w.classes, task=w.task, split=w.split, ignore=w.ignore, options=w.options
    )


def _levir(w: _Wanted) -> Sequence[Sample]:
    return LevirTiles(w.folder, w.classes, ignore=w.ignore, options=w.options)


def _idgbr(w: _Wanted) -> Sequence[Sample]:
    return IndexedTiles(w.root, w.classes, split=w.split, ignore=w.ignore, options=w.options)


_BOTH: dict[str, _Opener] = {"whu": _whu, "xview2": _xview2, "spacenet7": _spacenet7}
_SEGMENT: dict[str, _Opener] = {
    "folder": _folder_segmentation,
    "xyz": _xyz,
    "idgbr-jsonl": _idgbr,
    **_BOTH,
}
_CHANGE: dict[str, _Opener] = {
    "folder": _folder_change,
    "landsat-change": _landsat,
    "levir-cd": _levir,
    **_BOTH,
}


def _split_folder(root: Path, split: str | None) -> Path:
    """The folder of one split.

    Raises:
        DatasetError: the split is no plain folder name, or is not there.
    """
    if not split:
        return root
    if Path(split).name != split or split == "..":
        raise DatasetError(f"Split {split!r} must be the name of a folder in {root}.")
    if not (root / split).is_dir():
        seen = (
            sorted(item.name for item in root.iterdir() if item.is_dir()) if root.is_dir() else []
        )
        raise DatasetError(f"{root} has no split {split!r}; it holds {', '.join(seen) or 'none'}.")
    return root / split
