"""Segment one image."""

from __future__ import annotations

from n2m_core.checkpoints import LoadedModel
from n2m_core.geo_image import GeoImage, Progress
from n2m_core.tasks.mapping import check_task, make_map
from n2m_core.tasks.params import MapParams
from n2m_core.tasks.result import MapResult

SegmentParams = MapParams
"""Choices for a segmentation."""


def run(
    image: GeoImage,
    model: LoadedModel,
    params: SegmentParams | None = None,
    progress: Progress | None = None,
) -> MapResult:
    """Segment an image in one pass.

    Args:
        image: the image, of any ground resolution that the checkpoint can bear.
        model: a checkpoint for segmentation.
        params: the person's choices; the card's where not given.
        progress: told after every batch of windows; may raise to stop.

    Returns:
        The map on the image's own grid.

    Raises:
        CheckpointError: the checkpoint is for change detection.
        BandError: the image lacks bands.
        GridError: no pixel with data, or too coarse or too fine an image.
        ParameterError: a choice that does not suit the checkpoint.
    """
    check_task(model.card, "segment")
    return make_map((image,), model, params or SegmentParams(), progress)
