"""One map from prepared images: the part that segmentation and change detection share."""

from __future__ import annotations

import time
from collections.abc import Sequence

from n2m_core.checkpoints import CheckpointCard, LoadedModel, Task
from n2m_core.errors import CheckpointError
from n2m_core.geo_image import GeoImage, Progress
from n2m_core.tasks.inference import NoiseField, predict, prepare, process_for, step_for
from n2m_core.tasks.labelling import (
    check_params,
    drop_small,
    make_labels,
    with_stated_resolution,
)
from n2m_core.tasks.params import MapParams
from n2m_core.tasks.result import MapResult

NEEDS: dict[Task, str] = {
    "segment": "one image",
    "change": "two images, before and after,",
    "refine": "an image and a rough map",
}


def check_task(card: CheckpointCard, task: Task) -> None:
    """Refuse a checkpoint that was trained for another task.

    Raises:
        CheckpointError: it was.
    """
    if card.task != task:
        raise CheckpointError(
            f"Checkpoint {card.id} is for {card.task} and takes {NEEDS[card.task]} not for {task}. "
            f"Choose a {task} checkpoint."
        )


def make_map(
    images: Sequence[GeoImage], model: LoadedModel, params: MapParams, progress: Progress | None
) -> MapResult:
    """Map one image, or a pair on one grid.

    Args:
        images: the image, or (before, after).
        model: network and card.
        params: the person's choices.
        progress: told after every batch of windows; may raise to stop.

    Returns:
        The map on the images' own grid.
    """
    started = time.perf_counter()
    card = model.card
    images = [with_stated_resolution(image, params.resolution_m) for image in images]
    check_params(card, params, images[0])
    step, process = step_for(card, params.timestep, params.told), process_for(card, params)
    prepared = prepare(images, card, resolution_m=params.resolution_m)
    noise = NoiseField(params.seed, len(prepared.x0))
    probabilities = predict(prepared, model, step, process, noise, progress)
    labels = make_labels(probabilities, prepared.valid, card, params.threshold)
    labels = drop_small(labels, images[0], min_area_m2=params.min_area_m2, card=card)
    return MapResult(
        image=images[-1],
        before=images[0] if len(images) == 2 else None,
        labels=labels,
        probabilities=probabilities,
        card=card,
        timestep=step.timestep,
        is_mixed=step.is_mixed and process.kind != "none",
        notes=prepared.notes,
        seconds=time.perf_counter() - started,
    )
