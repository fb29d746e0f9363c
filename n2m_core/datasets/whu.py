"""WHU Building: aerial images of Christchurch with building masks, one date or two.

    {train,test}/Image Mask         segmentation, 0.3 m, brought to 256 px
    {train,test}/A B OUT            change between 2012 and 2016, 0.2 m

Pairs whose mask holds one value alone (nothing changed, or everything) are dropped, as in the
paper. Ji, Wei, Lu, "Fully Convolutional Networks for Multisource Building Extraction from an Open
Aerial and Satellite Imagery Data Set", TGRS 2019.

Deviation from the authors' code: masks are resized by nearest neighbour, images by area.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from n2m_core.datasets.base import LabelClass, Task
from n2m_core.datasets.folder import ReadOptions, SampleFiles, match_folders
from n2m_core.datasets.tiles import BinaryTiles, TileForm, check_binary
from n2m_core.errors import DatasetError
from n2m_core.raster_io import read_labels

SEGMENT_TILES = TileForm(resolution_m=0.6, size_px=256)
"""512 px tiles of 0.3 m brought to 256 px."""
CHANGE_TILES = TileForm(resolution_m=0.2)

_log = logging.getLogger(__name__)


class WhuTiles(BinaryTiles):
    """One split of WHU."""

    def __init__(
        self,
        root: Path,
        classes: Sequence[LabelClass],
        *,
        task: Task,
        ignore: int | None = None,
        options: ReadOptions | None = None,
    ) -> None:
        """Match the files; in change every mask is read once, to drop the single-valued ones.

        Args:
            root: the folder of one split.
            classes: two classes, or any in change.
            task: "segment" or "change".
            ignore: a mask value that counts nowhere.
            options: how the images are read.

        Raises:
            DatasetError: folders or files are missing, or no pair shows a change.
        """
        check_binary("whu", task, classes)
        is_change = task == "change"
        files = _pairs(root) if is_change else _singles(root)
        form = CHANGE_TILES if is_change else SEGMENT_TILES
        super().__init__(files, form, classes, ignore=ignore, options=options)


def _singles(root: Path) -> list[SampleFiles]:
    """Images with their masks."""
    stems = match_folders(root, (("Image",), ("Mask",)))
    return [SampleFiles(name, image, mask) for name, (image, mask) in stems.items()]


def _pairs(root: Path) -> list[SampleFiles]:
    """Pairs with a mask of more than one value."""
    stems = match_folders(root, (("A",), ("B",), ("OUT",)))
    pairs = [
        SampleFiles(name, before, label, after)
        for name, (before, after, label) in stems.items()
        if _has_two_values(label)
    ]
    if not pairs:
        raise DatasetError(
            f"{root}: none of the {len(stems)} masks in OUT/ holds both changed and unchanged "
            "pixels; pairs with a single-valued mask are dropped. Check the masks."
        )
    dropped = len(stems) - len(pairs)
    _log.info("%s: %d of %d pairs dropped, their mask has one value", root, dropped, len(stems))
    return pairs


def _has_two_values(path: Path) -> bool:
    """Whether a mask holds more than one value."""
    pixels = read_labels(path).pixels
    return bool(pixels.min() != pixels.max())
