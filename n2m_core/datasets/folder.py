"""Plain folders: images with masks, or two dates with labels, matched by file stem.

    images/ masks/                  segmentation
    before/ after/ labels/          change (or A/ B/ label/)

Extensions are free, other folders are ignored. Files are read when a sample is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import overload

from n2m_core.datasets.base import LabelClass, LabelKind, Sample, Task, class_count
from n2m_core.datasets.truth import Truth, label_kind, read_truth
from n2m_core.errors import DatasetError
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import read_image

IMAGE_FOLDERS = ("images",)
MASK_FOLDERS = ("masks",)
BEFORE_FOLDERS = ("before", "A")
AFTER_FOLDERS = ("after", "B")
LABEL_FOLDERS = ("labels", "label")
SIDECAR_SUFFIXES = frozenset(
    {".xml", ".tfw", ".jgw", ".pgw", ".wld", ".prj", ".ovr", ".msk", ".txt", ".md"}
    | {".json", ".geojson", ".csv", ".ini", ".db", ".license"}
)
_NAMES_SHOWN = 5


@dataclass(frozen=True)
class ReadOptions:
    """How the images of a dataset are read.

    Attributes:
        bands: 1-based band numbers, None for all.
        nodata: value without data where the file names none.
        resolution_m: ground size of a pixel for images without georeference, metres.
    """

    bands: tuple[int, ...] | None = None
    nodata: float | None = None
    resolution_m: float | None = None

    def read(self, path: Path) -> GeoImage:
        """Read one image."""
        return read_image(
            path, bands=self.bands, nodata=self.nodata, resolution_m=self.resolution_m
        )


@dataclass(frozen=True)
class SampleFiles:
    """The files of one sample; `after` is None in segmentation, `rough` where there is none."""

    name: str
    image: Path
    label: Path
    after: Path | None = None
    rough: Path | None = None


class LabelledFiles(Sequence[Sample]):
    """Samples read from files when they are asked for.

    Args:
        files: the files of each sample.
        classes: the checkpoint's classes, in the order of their indices.
        task: "segment" or "change".
        ignore: a mask value that counts nowhere.
        options: how the images are read.
    """

    def __init__(
        self,
        files: Sequence[SampleFiles],
        classes: Sequence[LabelClass],
        *,
        task: Task,
        ignore: int | None = None,
        options: ReadOptions | None = None,
    ) -> None:
        """Keep the paths; nothing is read yet."""
        self._files = tuple(files)
        self._classes = tuple(classes)
        self._task: Task = task
        self._ignore = ignore
        self._options = options or ReadOptions()
        class_count(self._classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Sample names in the order of the indices."""
        return tuple(item.name for item in self._files)

    @property
    def files(self) -> tuple[SampleFiles, ...]:
        """Paths of each sample, in the order of the indices."""
        return self._files

    @cached_property
    def label_kind(self) -> LabelKind:
        """Whether the labels tell the classes apart, from the values of the whole split."""
        return label_kind((item.label for item in self._files), self._classes, self._task)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._files)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> LabelledFiles: ...
    def __getitem__(self, index: int | slice) -> Sample | LabelledFiles:
        """Read one sample, or take some of the files without reading them."""
        if isinstance(index, slice):
            return LabelledFiles(
                self._files[index],
                self._classes,
                task=self._task,
                ignore=self._ignore,
                options=self._options,
            )
        return self._read(self._files[index])

    def __iter__(self) -> Iterator[Sample]:
        """Read one sample after the other."""
        return (self._read(item) for item in self._files)

    def _read(self, item: SampleFiles) -> Sample:
        """Read one sample's files and put its labels on the image's grid."""
        image = self._options.read(item.image)
        after = None if item.after is None else self._options.read(item.after)
        truth = self._labels(item.label, image, item.name)
        if item.rough is None:
            return Sample(item.name, image, truth.labels, after, truth.kind, truth.notes)
        rough = self._labels(item.rough, image, f"{item.name} (rough map)")
        notes = (*truth.notes, *rough.notes)
        return Sample(item.name, image, truth.labels, after, truth.kind, notes, rough.labels)

    def _labels(self, path: Path, image: GeoImage, name: str) -> Truth:
        """Read a label file onto the image's grid."""
        return read_truth(
            path,
            image,
            self._classes,
            task=self._task,
            kind=self.label_kind,
            ignore=self._ignore,
            name=name,
        )


class FolderSegmentation(LabelledFiles):
    """`images/` with `masks/`, matched by stem."""

    def __init__(
        self,
        root: Path,
        classes: Sequence[LabelClass],
        *,
        ignore: int | None = None,
        options: ReadOptions | None = None,
    ) -> None:
        """Match the files; nothing is read yet."""
        stems = match_folders(root, (IMAGE_FOLDERS, MASK_FOLDERS))
        files = [SampleFiles(name, image, mask) for name, (image, mask) in stems.items()]
        super().__init__(files, classes, task="segment", ignore=ignore, options=options)


class FolderChange(LabelledFiles):
    """`before/`, `after/` and `labels/` (or `A`, `B`, `label`), matched by stem."""

    def __init__(
        self,
        root: Path,
        classes: Sequence[LabelClass],
        *,
        ignore: int | None = None,
        options: ReadOptions | None = None,
    ) -> None:
        """Match the files; nothing is read yet."""
        stems = match_folders(root, (BEFORE_FOLDERS, AFTER_FOLDERS, LABEL_FOLDERS))
        files = [
            SampleFiles(name, before, label, after)
            for name, (before, after, label) in stems.items()
        ]
        super().__init__(files, classes, task="change", ignore=ignore, options=options)


def match_folders(root: Path, roles: Sequence[Sequence[str]]) -> dict[str, tuple[Path, ...]]:
    """Match the files of several folders by stem.

    Args:
        root: the folder that holds them.
        roles: for each role the folder names that may play it, best first.

    Returns:
        stem -> one path a role, sorted by stem.

    Raises:
        DatasetError: a folder is missing or empty, or a stem lacks a partner.
    """
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder. Give the folder that holds {_layout(roles)}.")
    folders = [_find_folder(root, names, roles) for names in roles]
    listings = [_files_by_stem(folder) for folder in folders]
    stems = sorted(set().union(*listings))
    if not stems:
        raise DatasetError(f"{root}: {_layout(roles)} hold no files.")
    for folder, listing in zip(folders, listings, strict=True):
        missing = [stem for stem in stems if stem not in listing]
        if missing:
            others = " and ".join(f"{f.name}/" for f in folders if f != folder)
            raise DatasetError(
                f"{root}: {folder.name}/ lacks {len(missing)} of {len(stems)} names found in "
                f"{others} ({_some(missing)}). Every file needs its partner of the same stem."
            )
    return {stem: tuple(listing[stem] for listing in listings) for stem in stems}


def _find_folder(root: Path, names: Sequence[str], roles: Sequence[Sequence[str]]) -> Path:
    """The first folder of these names that exists."""
    for name in names:
        if (root / name).is_dir():
            return root / name
    seen = sorted(item.name + "/" for item in root.iterdir() if item.is_dir())
    raise DatasetError(
        f"{root} has no {' or '.join(n + '/' for n in names)}; it holds "
        f"{_some(seen) if seen else 'no folders'}. The layout is {_layout(roles)}."
    )


def _files_by_stem(folder: Path) -> dict[str, Path]:
    """Image files of a folder by stem; hidden files and sidecars are passed over."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        is_image = path.is_file() and path.suffix.lower() not in SIDECAR_SUFFIXES
        if not is_image or path.name.startswith("."):
            continue
        if path.stem in found:
            raise DatasetError(
                f"{folder} holds both {found[path.stem].name} and {path.name}; a stem may occur "
                "once. Remove one of them."
            )
        found[path.stem] = path
    return found


def _layout(roles: Sequence[Sequence[str]]) -> str:
    """The wanted folders, for a message."""
    return ", ".join(" or ".join(f"{name}/" for name in names) for names in roles)


def _some(names: Sequence[str]) -> str:
    """A few names for a message."""
    return ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
