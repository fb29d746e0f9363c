"""LEVIR-CD: pairs of Google Earth images of Texan suburbs, 1024 px at 0.5 m, buildings changed.

    {train,val,test}/A B label

Chen, Shi, "A Spatial-Temporal Attention-Based Method and a New Dataset for Remote Sensing Image
Change Detection", Remote Sensing 2020. The images are for research use.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from n2m_core.datasets.base import LabelClass
from n2m_core.datasets.folder import ReadOptions, SampleFiles, match_folders
from n2m_core.datasets.tiles import BinaryTiles, TileForm, check_binary

TILES = TileForm(resolution_m=0.5)


class LevirTiles(BinaryTiles):
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
        stems = match_folders(root, (("A",), ("B",), ("label",)))
        files = [
            SampleFiles(name, before, label, after)
            for name, (before, after, label) in stems.items()
        ]
        super().__init__(files, TILES, classes, ignore=ignore, options=options)
