"""Read the truth that a person gives for one image, in the classes of a checkpoint."""

from __future__ import annotations

from pathlib import Path

from n2m_core.checkpoints import CheckpointCard
from n2m_core.datasets import truth
from n2m_core.datasets.base import Task
from n2m_core.datasets.truth import Truth
from n2m_core.geo_image import GeoImage

__all__ = ["Truth", "read_truth"]


def read_truth(
    path: Path, image: GeoImage, card: CheckpointCard, *, ignore: int | None = None
) -> Truth:
    """Read a label file onto an image's grid.

    Args:
        path: the label.
        image: the image; the earlier one in change detection.
        card: says task and classes.
        ignore: a mask value that counts nowhere.

    Returns:
        The truth on the image's grid.

    Raises:
        LabelError: values, colours or size do not fit the classes or the image.
        NoOverlapError: label and image lie on different ground.
    """
    task: Task = "change" if card.task == "change" else "segment"
    return truth.read_truth(path, image, card.classes, task=task, ignore=ignore)
