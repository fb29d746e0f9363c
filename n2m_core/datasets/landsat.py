"""Two Landsat pairs with sparse change labels (Taizhou and Nanjing, 30 m).

    <place>/A.tif B.tif label.tif       0 unchanged, 1 changed, 255 unlabelled

Only 0 and 1 are scored. The images are USGS public domain; the labels come from Chen Hongruixuan's
ChangeDetectionRepository (MIT).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from n2m_core.datasets.base import LabelClass
from n2m_core.datasets.folder import LabelledFiles, ReadOptions, SampleFiles
from n2m_core.errors import DatasetError
from n2m_core.metrics.confusion import IGNORE

NATURAL_COLOUR = (3, 2, 1)
"""Bands 1 to 6: blue, green, red, near infrared, two short-wave infrareds, as on Landsat 7."""

FILES = ("A.tif", "B.tif", "label.tif")


class LandsatChange(LabelledFiles):
    """One sample a place; red, green and blue unless other bands are asked for."""

    def __init__(
        self,
        root: Path,
        classes: Sequence[LabelClass],
        *,
        options: ReadOptions | None = None,
    ) -> None:
        """Find the places; nothing is read yet."""
        chosen = options or ReadOptions()
        if chosen.bands is None:
            chosen = ReadOptions(NATURAL_COLOUR, chosen.nodata, chosen.resolution_m)
        super().__init__(find_places(root), classes, task="change", ignore=IGNORE, options=chosen)


def find_places(root: Path) -> list[SampleFiles]:
    """List the places below `root`, or `root` itself where it holds the files of one.

    Raises:
        DatasetError: no folder holds all three files.
    """
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder. Give the folder that holds the places.")
    folders = [root, *sorted(item for item in root.iterdir() if item.is_dir())]
    places = [folder for folder in folders if all((folder / name).is_file() for name in FILES)]
    if not places:
        raise DatasetError(
            f"No folder below {root} holds {', '.join(FILES)}. Each place needs all three."
        )
    return [
        SampleFiles(folder.name, folder / "A.tif", folder / "label.tif", folder / "B.tif")
        for folder in places
    ]
