"""The layout of IDGBR's authors: an index of images, labels and rough maps, one JSON object a line.

    <split>.jsonl, or metadata_i2s_<model>_<split>.jsonl as the authors name it
    {"image": "train/images/1.png", "label": "train/labels/1.png", "rough": "train/rough/1.png"}

Paths are relative to the folder of the index. The authors write `label_index` and
`rough_label_index`; both spellings are read. A line without a rough map is for segmentation alone;
other keys are passed over. CHN6-CUG (roads), FGFD (farmland) and WHU (buildings) are binary there;
Potsdam and Vaihingen hold class indices, 255 left out.

Wang, Hu, Guo, Li, Tao, "A Gift from the Integration of Discriminative and Diffusion-based
Generative Learning" (IDGBR), IEEE TPAMI 2026, arXiv 2507.01573.

Deviation from the authors' code: tiles keep their size; theirs brings every one to 512 px.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

from n2m_core.datasets.base import LabelClass
from n2m_core.datasets.folder import LabelledFiles, ReadOptions, SampleFiles
from n2m_core.errors import DatasetError

SUFFIX = ".jsonl"
LABEL_KEYS = ("label", "label_index")
ROUGH_KEYS = ("rough", "rough_label_index")
_SHOWN = 5


class IndexedTiles(LabelledFiles):
    """The tiles of one index; samples hold the rough map where a line names one."""

    def __init__(
        self,
        root: Path,
        classes: Sequence[LabelClass],
        *,
        split: str | None = None,
        ignore: int | None = None,
        options: ReadOptions | None = None,
    ) -> None:
        """Read the index; its images are read when they are asked for.

        Args:
            root: the folder that holds the index.
            classes: of the checkpoint, in the order of their indices.
            split: name of the index without suffix, or its end after an underscore; None for the
                only one.
            ignore: a mask value that counts nowhere.
            options: how the images are read.

        Raises:
            DatasetError: there is no such index, it is damaged, or files are missing.
        """
        files = read_index(find_index(root, split))
        super().__init__(files, classes, task="segment", ignore=ignore, options=options)


def find_index(root: Path, split: str | None) -> Path:
    """Find the index of a split.

    Args:
        root: the folder that holds the index.
        split: as in `IndexedTiles`.

    Returns:
        The index.

    Raises:
        DatasetError: none fits, or several do.
    """
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder. Give the folder that holds the index.")
    found = {path.stem: path for path in sorted(root.glob(f"*{SUFFIX}")) if path.is_file()}
    if not found:
        raise DatasetError(
            f"{root} has no index *{SUFFIX}. Write one JSON object a line, with image, label and "
            "rough as paths below this folder."
        )
    if split is not None and split in found:
        return found[split]
    fits = [stem for stem in found if split is None or stem.endswith(f"_{split}")]
    if len(fits) != 1:
        which = (
            "and no split is named" if split is None else f"and {len(fits)} of them fit {split!r}"
        )
        raise DatasetError(
            f"{root} has the indices {_some(list(found))}, {which}. Name one of them as the split."
        )
    return found[fits[0]]


def read_index(index: Path) -> list[SampleFiles]:
    """Read an index.

    Args:
        index: the file; the paths in it are relative to its folder.

    Returns:
        The files of each line, named by the image's stem, or its path where stems repeat.

    Raises:
        DatasetError: the file can't be read, a line is damaged, or a file is missing.
    """
    try:
        lines = index.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise DatasetError(f"{index} can't be read as text ({e}). Write it again.") from e
    read = [
        _read_line(line, f"{index.name}, line {number}", index.parent)
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    if not read:
        raise DatasetError(f"{index} has no lines. Write one JSON object a line.")
    _check_files(index, read)
    if len({item.image.stem for item in read}) == len(read):
        return read
    return [
        SampleFiles(_name(item.image, index.parent), item.image, item.label, rough=item.rough)
        for item in read
    ]


def _read_line(line: str, where: str, root: Path) -> SampleFiles:
    """Read one line."""
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as e:
        raise DatasetError(f"{where} is not JSON ({e}). Write one object a line.") from e
    if not isinstance(entry, dict):
        raise DatasetError(f"{where} is no JSON object but {line.strip()[:40]!r}.")
    image = _path(entry, ("image",), where, root)
    label = _path(entry, LABEL_KEYS, where, root)
    if image is None or label is None:
        lacking = "image" if image is None else " or ".join(LABEL_KEYS)
        raise DatasetError(f"{where} lacks {lacking}; it has {', '.join(entry) or 'nothing'}.")
    return SampleFiles(image.stem, image, label, rough=_path(entry, ROUGH_KEYS, where, root))


def _path(entry: Mapping[str, Any], keys: Sequence[str], where: str, root: Path) -> Path | None:
    """The file that an entry names under one of several keys; None when it names none.

    Raises:
        DatasetError: it names no plain path below the folder.
    """
    key = next((key for key in keys if entry.get(key) is not None), None)
    if key is None:
        return None
    name = entry[key]
    # Read as Windows reads it, where both slashes part folders: an index may be written anywhere.
    path = PureWindowsPath(name if isinstance(name, str) else "")
    if not path.parts or path.anchor or ".." in path.parts:
        raise DatasetError(
            f"{where}: {key} is {name!r}; a path below the index's folder is wanted."
        )
    return root.joinpath(*path.parts)


def _check_files(index: Path, items: Sequence[SampleFiles]) -> None:
    """Check that every file is there."""
    named = [
        path for item in items for path in (item.image, item.label, item.rough) if path is not None
    ]
    missing = [path for path in named if not path.is_file()]
    if missing:
        shown = _some([path.relative_to(index.parent).as_posix() for path in missing])
        raise DatasetError(
            f"{index} names {len(missing)} files that are not there ({shown}). Paths are relative "
            "to the folder of the index."
        )


def _name(image: Path, root: Path) -> str:
    """Path of an image below the folder, without suffix, with slashes."""
    return image.relative_to(root).with_suffix("").as_posix()


def _some(names: Sequence[str]) -> str:
    """A few names for a message."""
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
