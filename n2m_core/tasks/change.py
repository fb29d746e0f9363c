"""Detect change between two dates.

The map lies exactly on the grid of the image before. The image after is brought onto it when its
grid differs, and the result's notes say so.
"""

from __future__ import annotations

from n2m_core.checkpoints import LoadedModel
from n2m_core.errors import NoOverlapError
from n2m_core.geo_image import GeoImage, Progress
from n2m_core.raster_io import align_to, same_grid
from n2m_core.tasks.mapping import check_task, make_map
from n2m_core.tasks.params import MapParams
from n2m_core.tasks.result import MapResult

ON_BEFORE = "The two images lie on different grids; the map lies on the grid of the first."
NO_COMMON_PIXEL = "The two images share no pixel with data. Choose two images of the same place."

ChangeParams = MapParams
"""Choices for a change detection."""


def run(
    before: GeoImage,
    after: GeoImage,
    model: LoadedModel,
    params: ChangeParams | None = None,
    progress: Progress | None = None,
) -> MapResult:
    """Map what changed between two images in one pass.

    Args:
        before: the earlier image; the map lies on its grid.
        after: the later image, on any grid that overlaps.
        model: a checkpoint for change detection.
        params: the person's choices; the card's where not given.
        progress: told after every batch of windows; may raise to stop.

    Returns:
        The map; its `image` is the later image on the earlier one's grid.

    Raises:
        CheckpointError: the checkpoint is for segmentation.
        NoOverlapError: the images share no ground with data.
        BandError: an image lacks bands.
        GridError: the images can't be aligned, or are too coarse or too fine.
        ParameterError: a choice that does not suit the checkpoint.
    """
    check_task(model.card, "change")
    return make_map(align_pair(before, after), model, params or ChangeParams(), progress)


def align_pair(before: GeoImage, after: GeoImage) -> tuple[GeoImage, GeoImage]:
    """Put both images on the grid of the earlier one.

    Where the later image alone has a georeference, and their sizes agree, both get it.

    Returns:
        (before, after) on one grid, with notes on what was done.

    Raises:
        NoOverlapError: the images share no ground with data.
        GridError: they can't be aligned.
    """
    if before.crs is None and after.crs is not None:
        before = align_to(before, after)
    elif not same_grid(before, after):
        moved = align_to(after, before)
        is_placed = before.is_georeferenced and after.is_georeferenced
        after = moved.with_notes(ON_BEFORE) if is_placed else moved
    if not (before.valid & after.valid).any():
        raise NoOverlapError(NO_COMMON_PIXEL)
    return before, after
