"""One label file as the truth of one image; and what kind of labels a set of files holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from n2m_core.datasets.base import LabelClass, LabelKind, Task
from n2m_core.datasets.mask_reading import label_values, on_image_grid, read_mask
from n2m_core.errors import LabelError
from n2m_core.geo_image import GeoImage
from n2m_core.metrics.confusion import IGNORE


@dataclass(frozen=True, eq=False)
class Truth:
    """The truth of an image.

    Attributes:
        labels: uint8 [H, W] on the image's grid; class indices, 255 where a pixel counts nowhere.
        kind: whether the label tells the classes apart or only target from the rest.
        notes: what was done to read it, each a sentence for the person.
    """

    labels: NDArray[np.uint8]
    kind: LabelKind
    notes: tuple[str, ...] = ()


def read_truth(
    path: Path,
    image: GeoImage,
    classes: Sequence[LabelClass],
    *,
    task: Task,
    kind: LabelKind | None = None,
    ignore: int | None = None,
    name: str | None = None,
) -> Truth:
    """Read a label file onto an image's grid.

    Args:
        path: the label.
        image: the image that it belongs to; the earlier one in change detection.
        classes: the checkpoint's classes, in the order of their indices.
        task: "segment" or "change".
        kind: what the label holds; None to see from its own values.
        ignore: a mask value that counts nowhere.
        name: what messages call the sample; None for the file's stem.

    Returns:
        The truth on the image's grid.

    Raises:
        LabelError: values, colours or size do not fit the classes or the image.
        NoOverlapError: label and image lie on different ground.
    """
    found = label_kind([path], classes, task) if kind is None else kind
    mask = read_mask(path, classes, kind=found, ignore=ignore, has_background=task == "change")
    labels, notes = on_image_grid(mask, image, path.stem if name is None else name)
    return Truth(labels, found, notes)


def label_kind(paths: Iterable[Path], classes: Sequence[LabelClass], task: Task) -> LabelKind:
    """Whether the labels of a split tell the classes apart.

    Two classes are always binary. A split of more than two classes is by class, but in change a
    split without any class index above 1 is binary: its 1 or 255 means "changed somehow".

    Args:
        paths: the split's labels, read until one settles the matter.
        classes: the checkpoint's classes.
        task: "segment" or "change".

    Raises:
        LabelError: a segmentation of three or more classes is given masks of 0 and 255 only.
    """
    if len(classes) == 2:
        return "binary"
    if any(isinstance(item.mask_colour, int) for item in classes):
        return "classes"
    lowest = 1 if task == "segment" else 2
    has_255 = False
    for path in paths:
        values = label_values(path)
        if values is None or bool(((values >= lowest) & (values < len(classes))).any()):
            return "classes"
        has_255 = has_255 or IGNORE in values
        if task == "change" and IGNORE in values and 1 not in values:
            return "binary"
    if task == "change":
        return "binary"
    if has_255:
        raise LabelError(
            "The masks hold 0 and 255 only, which is a binary label; the checkpoint has "
            f"{len(classes)} classes. Give masks of class indices 0..{len(classes) - 1}, or a "
            "checkpoint of two classes."
        )
    return "classes"
