"""Open a labelled dataset by the name of its layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from n2m_core.datasets.base import LabelClass, Sample, Task
from n2m_core.datasets.folder import (
    FolderChange,
    FolderSegmentation,
    ReadOptions,
)
from n2m_core.datasets.landsat import LandsatChange
from n2m_core.datasets.xyz import XyzTiles
from n2m_core.errors import DatasetError

DatasetName = Literal["folder", "xyz", "landsat-change"]
DATASETS: tuple[str, ...] = get_args(DatasetName)


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
    """Open a dataset without reading its rasters.

    Args:
        name: one of `DATASETS`.
        root: its folder.
        split: a folder below `root`, None for `root` itself.
        task: "segment" or "change".
        classes: the checkpoint's classes, in the order of their indices.
        ignore: a mask value that counts nowhere.
        bands: 1-based band numbers, None for all (red, green, blue in landsat-change).
        nodata: value without data where an image names none.
        resolution_m: ground size of a pixel for images without georeference, metres.

    Returns:
        The samples, read when they are asked for.

    Raises:
        DatasetError: the name is unknown, the task does not fit, or files are missing.
    """
    folder = _split_folder(root, split)
    options = ReadOptions(None if bands is None else tuple(bands), nodata, resolution_m)
    if name == "folder" and task == "segment":
        return FolderSegmentation(folder, classes, ignore=ignore, options=options)
    if name == "folder":
        return FolderChange(folder, classes, ignore=ignore, options=options)
    if name == "landsat-change" and task == "change":
        return LandsatChange(folder, classes, options=options)
    if name == "landsat-change":
        raise DatasetError(f"Dataset {name} has two dates; it can be scored for change only.")
    if name == "xyz" and task == "segment":
        return XyzTiles(folder, classes)
    if name == "xyz":
        raise DatasetError(f"Dataset {name} has one date; it can be scored for segmentation only.")
    raise DatasetError(f"Dataset {name!r} is unknown; choose one of {', '.join(DATASETS)}.")


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
