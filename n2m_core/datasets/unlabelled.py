"""Images without labels, for pretraining: any images below a folder.

    <class>/<name>.jpg              AID: 10,000 images of 600 px in 30 class folders, 0.5 to 8 m

The folders' names say nothing to a network that learns to denoise; they only come into the
images' names. Xia et al., "AID: A Benchmark Data Set for Performance Evaluation of Aerial Scene
Classification", TGRS 2017.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from n2m_core.datasets.folder import ReadOptions
from n2m_core.errors import DatasetError
from n2m_core.geo_image import GeoImage

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".jp2"})
LABELS = frozenset({"masks", "mask", "labels", "label", "out", "labels_raster", "damage"})
"""Folders and file stems of the other layouts that are labels, lower case; passed over."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One image without a label; its name is its path below the root, without the suffix."""

    name: str
    image: GeoImage


class UnlabelledImages(Sequence[Picture]):
    """Every image below a folder, at any depth, read when it is asked for."""

    def __init__(self, root: Path, *, options: ReadOptions | None = None) -> None:
        """List the images; nothing is read yet.

        Args:
            root: the folder; what is a label in the other layouts is passed over.
            options: how the images are read.

        Raises:
            DatasetError: the folder does not exist, or holds no image.
        """
        if not root.is_dir():
            raise DatasetError(f"{root} is not a folder. Give the folder that holds the images.")
        self._options = options or ReadOptions()
        self._paths = tuple(path for path in sorted(root.rglob("*")) if _is_image(path, root))
        self._root = root
        if not self._paths:
            suffixes = ", ".join(sorted(IMAGE_SUFFIXES))
            raise DatasetError(f"No images below {root}; files ending in {suffixes} are read.")

    @property
    def paths(self) -> tuple[Path, ...]:
        """Files in the order of the indices."""
        return self._paths

    @property
    def names(self) -> tuple[str, ...]:
        """Path below the root without the suffix, with slashes, in the order of the indices."""
        return tuple(self._name(path) for path in self._paths)

    def __len__(self) -> int:
        """Number of images."""
        return len(self._paths)

    def __iter__(self) -> Iterator[Picture]:
        """Read one image after the other."""
        return (self._read(path) for path in self._paths)

    @overload
    def __getitem__(self, index: int) -> Picture: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Picture]: ...
    def __getitem__(self, index: int | slice) -> Picture | Sequence[Picture]:
        """Read one image, or several."""
        chosen = self._paths[index]
        if isinstance(chosen, tuple):
            return [self._read(path) for path in chosen]
        return self._read(chosen)

    def _read(self, path: Path) -> Picture:
        return Picture(self._name(path), self._options.read(path))

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).with_suffix("").as_posix()


def _is_image(path: Path, root: Path) -> bool:
    """Whether a file is an image and neither hidden nor a label."""
    folders = path.relative_to(root).parts[:-1]
    is_hidden = any(part.startswith(".") for part in (*folders, path.name))
    is_label = any(part.lower() in LABELS for part in (*folders, path.stem))
    return path.suffix.lower() in IMAGE_SUFFIXES and not (is_hidden or is_label) and path.is_file()
