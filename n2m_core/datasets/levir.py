"""LEVIR-CD: pairs of Google Earth images of Texan suburbs, 1024 px at 0.5 m, buildings changed.

    {train,val,test}/A B label

Chen, Shi, "A Spatial-Temporal Attention-Based Method and a New Dataset for Remote Sensing Image
Change Detection", Remote Sensing 2020. The images are for research use.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from n2m_core.datasets.base import LabelClass, Sample
from n2m_core.datasets.folder import ReadOptions, match_folders
from n2m_core.datasets.tiles import AbstractTiles, check_binary, read_binary_label, read_tile

RESOLUTION_M = 0.5


class LevirTiles(AbstractTiles):
    """One split of LEVIR-CD."""

    def __init__(
        self,
        root: Path,
        classes: Sequence[LabelClass],
        *,
        ignore: int | None = None,
        options: ReadOptions | None = None,
    ) -> None:
        """Match the files; nothing is read yet.

        Args:
            root: the folder of one split.
            classes: of the checkpoint.
            ignore: a mask value that counts nowhere.
            options: how the images are read.

        Raises:
            DatasetError: folders or files are missing.
        """
        check_binary("levir-cd", "change", classes)
        self._classes = tuple(classes)
        self._ignore = ignore
        self._options = options or ReadOptions()
        self._files = match_folders(root, (("A",), ("B",), ("label",)))
        super().__init__(list(self._files))

    def _read(self, index: int) -> Sample:
        """Read one pair."""
        name = self.names[index]
        before, after, label = self._files[name]
        image = read_tile(before, self._options, RESOLUTION_M)
        later = read_tile(after, self._options, RESOLUTION_M)
        mask = read_binary_label(label, image.valid.shape, self._classes, ignore=self._ignore)
        return Sample(name, image, mask, later, "binary")
