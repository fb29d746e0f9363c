"""xView2 wildfire: houses destroyed by the Santa Rosa fire of 2017, in tiles of xBD.

    {train,test}/xBD/santa-rosa-wildfire/images/<id>_pre_disaster.png  <id>_post_disaster.png
    {train,test}/xBD/santa-rosa-wildfire/masks/<id>_pre_disaster.png   named as the image before

Tiles of 1024 px are brought to 256 px; tiles without a mask are left out. In change the pair is the
input; in segmentation the image before the fire alone, as in the paper's released code, although
the mask shows what the fire destroyed. Gupta et al., "Creating xBD", CVPR workshops 2019.

Deviation from the authors' code: masks are resized by nearest neighbour, images by area.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from n2m_core.datasets.base import LabelClass, Task
from n2m_core.datasets.folder import ReadOptions, SampleFiles
from n2m_core.datasets.tiles import BinaryTiles, TileForm, check_binary
from n2m_core.errors import DatasetError

FOLDER = Path("xBD") / "santa-rosa-wildfire"
BEFORE = "_pre_disaster"
AFTER = "_post_disaster"
TILES = TileForm(resolution_m=1.8, size_px=256)
"""About 0.45 m at 1024 px, brought to 256 px."""
KNOWN_WITHOUT_MASK = frozenset(
    {"00000334", "00000192", "00000125", "00000247", "00000327", "00000258", "00000320"}
    | {"00000087", "00000289"}
)
"""Tile numbers whose mask is known to be missing: the first seven in train, two in test."""

_log = logging.getLogger(__name__)


class Xview2Tiles(BinaryTiles):
    """One split of the Santa Rosa wildfire."""

    def __init__(
        self,
        root: Path,
        classes: Sequence[LabelClass],
        *,
        task: Task,
        ignore: int | None = None,
        options: ReadOptions | None = None,
    ) -> None:
        """Find images with a mask; nothing is read yet.

        Args:
            root: the folder of one split; it holds xBD/santa-rosa-wildfire/, or images/ and masks/.
            classes: two classes, or any in change.
            task: "segment" or "change".
            ignore: a mask value that counts nowhere.
            options: how the images are read.

        Raises:
            DatasetError: folders or later images are missing, or no image has a mask.
        """
        check_binary("xview2", task, classes)
        files = _find(_fire_folder(root), task)
        super().__init__(files, TILES, classes, ignore=ignore, options=options)


def _fire_folder(root: Path) -> Path:
    """The folder that holds images/ and masks/."""
    for folder in (root / FOLDER, root):
        if (folder / "images").is_dir() and (folder / "masks").is_dir():
            return folder
    raise DatasetError(
        f"{root} has no {FOLDER.as_posix()}/ with images/ and masks/. Give the folder that holds "
        "train/ and test/, and the split."
    )


def _find(folder: Path, task: Task) -> list[SampleFiles]:
    """Images before the fire that have a mask, with the image after it in change."""
    images = sorted((folder / "images").glob(f"*{BEFORE}.png"))
    if not images:
        raise DatasetError(f"{folder / 'images'} has no files named *{BEFORE}.png.")
    masked = [path for path in images if (folder / "masks" / path.name).is_file()]
    if not masked:
        raise DatasetError(
            f"{folder}: none of the {len(images)} images has a mask; masks/ needs files named as "
            f"the images before the fire, such as {images[0].name}."
        )
    _log_left_out(folder, [path for path in images if path not in masked])
    pairs = [(path, path.with_name(path.name.replace(BEFORE, AFTER))) for path in masked]
    lacking = [after.name for _, after in pairs if not after.is_file()]
    if task == "change" and lacking:
        raise DatasetError(
            f"{folder / 'images'} lacks {len(lacking)} images after the fire, {lacking[0]} first. "
            "Change needs both dates of every tile."
        )
    return [
        SampleFiles(
            before.stem.removesuffix(BEFORE),
            before,
            folder / "masks" / before.name,
            after if task == "change" else None,
        )
        for before, after in pairs
    ]


def _log_left_out(folder: Path, images: list[Path]) -> None:
    """Say which tiles have no mask; those not known to lack one may be a broken download."""
    numbers = [path.stem.removesuffix(BEFORE).rsplit("_", 1)[-1] for path in images]
    other = [number for number in numbers if number not in KNOWN_WITHOUT_MASK]
    if other:
        _log.warning("%s: left out without a mask: %s", folder, ", ".join(other))
    elif numbers:
        _log.info("%s: %d tiles known to lack a mask were left out", folder, len(numbers))
