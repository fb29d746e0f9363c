"""The pages' work: which inputs name a result, and what the worker does to make it.

A map costs a pass of the network, its threshold and smallest area do not: the probabilities are
kept, and the classes are decided again in the page whenever those two are moved.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from n2m_core.geo_image import GeoImage, Progress
from pages._ui import detail, jobs, resources
from pages._ui.inputs import Source

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard
    from n2m_core.tasks.result import MapResult
    from n2m_core.tasks.trajectory import TrajectoryResult
    from n2m_core.tasks.truth import Truth


Stretch = Literal["percentile", "minmax", "none"]


@dataclass(frozen=True)
class Choices:
    """What a person chose for a map.

    Attributes:
        bands: bands shown and given to the network, counted from 1; empty for the file's own.
        stretch: how they are shown.
        timestep: None for the checkpoint's own step.
        threshold: None for the likeliest class.
        min_area_m2: target areas smaller than this become background, m2.
        resolution_m: stated ground size of a pixel, metres; None to trust the file.
        seed: names the noise draw.
    """

    bands: tuple[int, ...] = ()
    stretch: Stretch = "percentile"
    timestep: int | None = None
    threshold: float | None = None
    min_area_m2: float = 0.0
    resolution_m: float | None = None
    seed: int = 0

    @property
    def pass_key(self) -> str:
        """Names what changes the network's pass."""
        return f"{self.bands}/{self.timestep}/{self.resolution_m}/{self.seed}"

    @property
    def key(self) -> str:
        """Names everything that changes the map."""
        return f"{self.pass_key}/{self.threshold}/{self.min_area_m2}/{self.stretch}"


@dataclass(frozen=True, eq=False)
class Mapped:
    """A map and a warning when its image is unlike those that the weights were trained on."""

    result: MapResult
    warning: str | None


def load(path: Path, choices: Choices) -> GeoImage:
    """Read an image, with the chosen bands and the stated resolution."""
    image = resources.image(path)
    if choices.bands:
        image = resources.pick_bands(image, choices.bands)
    if choices.resolution_m is not None and not image.is_georeferenced:
        image = replace(image, resolution_m=choices.resolution_m)
    return image


def middle_of(image: GeoImage, side_px: int) -> tuple[slice, slice]:
    """Rows and columns of a square in the middle; a smaller image stays whole in that direction."""
    top, left = (max(0, (length - side_px) // 2) for length in (image.height, image.width))
    return slice(top, top + side_px), slice(left, left + side_px)


def map_of(page: str, source: Source, card: CheckpointCard, choices: Choices) -> Mapped | None:
    """The map of a source, or its progress and None while it is being made."""
    key = f"map/{source.key}/{card.id}/{card.sha256}/{choices.pass_key}"
    title = "Mapping the change" if source.before else "Mapping the scene"
    images = images_of(source, choices)
    mapped = jobs.result_of(
        f"{page}.map", key, title, lambda progress: _make(images, card, choices, progress)
    )
    return None if mapped is None else decide(mapped, choices)


def images_of(source: Source, choices: Choices) -> tuple[GeoImage, ...]:
    """The image of a source, or its pair with the earlier date first."""
    paths = [source.image] if source.before is None else [source.before, source.image]
    return tuple(load(path, choices) for path in paths)


def _make(
    images: tuple[GeoImage, ...], card: CheckpointCard, choices: Choices, progress: Progress
) -> Mapped:
    """Run the network over an image or a pair; in the worker."""
    from n2m_core.tasks import change, segment
    from n2m_core.tasks.params import MapParams

    progress(0, 1, "loading the weights")
    model = resources.model(card)
    params = MapParams(
        timestep=choices.timestep, resolution_m=choices.resolution_m, seed=choices.seed
    )
    if len(images) == 1:
        result = segment.run(images[0], model, params, progress)
    else:
        result = change.run(images[0], images[1], model, params, progress)
    return Mapped(result, _far_warning(images, card))


def _far_warning(images: tuple[GeoImage, ...], card: CheckpointCard) -> str | None:
    """Say so when an image is unlike the training images."""
    from n2m_core.normalize import domain_distance, to_model_range
    from n2m_core.tasks.inference import choose_bands

    for image in images:
        chosen = choose_bands(image, card)
        scaled = to_model_range(chosen, card.normalization)
        found = domain_distance(scaled, card.image_statistics, valid=chosen.valid)
        if found.warning is not None:
            return found.warning
    return None


def decide(mapped: Mapped, choices: Choices) -> Mapped:
    """Choose the classes again for another threshold or smallest area."""
    from n2m_core.tasks.labelling import drop_small, make_labels
    from n2m_core.tasks.result import INVALID

    if choices.threshold is None and not choices.min_area_m2:
        return mapped
    result = mapped.result
    valid = result.labels != INVALID
    labels = make_labels(result.probabilities, valid, result.card, choices.threshold)
    labels = drop_small(
        labels,
        result.image,
        min_area_m2=choices.min_area_m2,
        resolution_m=choices.resolution_m,
        card=result.card,
    )
    return replace(mapped, result=replace(result, labels=labels))


@dataclass(frozen=True)
class Frames:
    """What a trajectory is made of.

    Attributes:
        timesteps: noisiest first.
        truth: a mask to score the frames against.
        middle_px: side of the square that is cut out of the middle; None for the whole scene.
    """

    timesteps: tuple[int, ...]
    truth: Path | None = None
    middle_px: int | None = None


def trajectory_of(
    page: str, source: Source, card: CheckpointCard, choices: Choices, frames: Frames
) -> TrajectoryResult | None:
    """The frames from noise to map, or their progress and None while they are being made."""
    key = f"frames/{source.key}/{card.id}/{card.sha256}/{choices.pass_key}/{frames}"
    images = images_of(source, choices)
    return jobs.result_of(
        f"{page}.frames",
        key,
        "One pass for each timestep",
        lambda progress: _make_frames(images, card, choices, frames, progress),
    )


def extent_of(
    images: tuple[GeoImage, ...], mask: Path | None, card: CheckpointCard, middle_px: int | None
) -> tuple[tuple[GeoImage, ...], Truth | None]:
    """Cut the middle out of an image or a pair, and out of its truth.

    Args:
        images: the image, or the pair with the earlier date first.
        mask: path of the truth, if there is one.
        card: says its classes.
        middle_px: side of the square; None for the whole scene.

    Returns:
        The images on one grid and the truth on that grid.
    """
    from n2m_core.tasks.change import align_pair
    from n2m_core.tasks.truth import read_truth

    if len(images) == 2:
        images = align_pair(images[0], images[1])
    truth = None if mask is None else read_truth(mask, images[0], card)
    if middle_px is None:
        return images, truth
    window = middle_of(images[0], middle_px)
    if truth is not None:
        truth = replace(truth, labels=truth.labels[window])
    return tuple(detail.crop(image, window) for image in images), truth


def _make_frames(
    images: tuple[GeoImage, ...],
    card: CheckpointCard,
    choices: Choices,
    frames: Frames,
    progress: Progress,
) -> TrajectoryResult:
    """Run the network at every timestep; in the worker."""
    from n2m_core.tasks import trajectory

    progress(0, len(frames.timesteps), "loading the weights")
    model = resources.model(card)
    images, truth = extent_of(images, frames.truth, card, frames.middle_px)
    params = trajectory.TrajectoryParams(
        timesteps=frames.timesteps, seed=choices.seed, resolution_m=choices.resolution_m
    )
    return trajectory.run(
        images[0],
        images[1] if len(images) == 2 else None,
        model,
        params,
        None if truth is None else truth.labels,
        progress,
        truth_kind="classes" if truth is None else truth.kind,
    )
