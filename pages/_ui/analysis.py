"""The work behind the Interpret page: scores over timesteps, decision times, calibration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from n2m_core.geo_image import GeoImage, Progress
from pages._ui import compute, jobs, resources, results
from pages._ui.compute import Choices
from pages._ui.inputs import Source

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard
    from n2m_core.datasets.base import Sample
    from n2m_core.diffusion.noise import NoiseKind, ScheduleName
    from n2m_core.metrics.calibration import ReliabilityCounts

Report = dict[str, Any]


@dataclass(frozen=True)
class Sweep:
    """What a curve over timesteps is made of.

    Attributes:
        timesteps: steps to score.
        seeds: noise draws at each step.
        middle_px: side of the square in the middle that is scored; None for the whole scene.
        process: noise process in place of the card's.
        schedule: schedule in place of the card's.
    """

    timesteps: tuple[int, ...]
    seeds: int = 3
    middle_px: int | None = None
    process: NoiseKind | None = None
    schedule: ScheduleName | None = None


@dataclass(frozen=True, eq=False)
class Scene:
    """A scene with its truth: the image or the pair, and the path of the mask."""

    name: str
    images: tuple[GeoImage, ...]
    truth: Path


def scenes(sources: list[Source], card: CheckpointCard, choices: Choices) -> list[Scene]:
    """The sources that have a truth in a checkpoint's classes."""
    found = []
    for source in sources:
        truth = results.truth_of(source, card)
        if truth is not None:
            found.append(Scene(source.title, compute.images_of(source, choices), truth))
    return found


def curve(
    slot: str,
    key: str,
    known: list[Scene],
    card: CheckpointCard,
    sweep: Sweep,
    choices: Choices,
    title: str,
) -> Report | None:
    """The report of `n2m evaluate` over timesteps, or its progress and None."""
    whole = f"curve/{key}/{card.id}/{card.sha256}/{sweep}/{choices.pass_key}"
    return jobs.result_of(
        slot, whole, title, lambda progress: _evaluate(known, card, sweep, choices, progress)
    )


def _evaluate(
    known: list[Scene], card: CheckpointCard, sweep: Sweep, choices: Choices, progress: Progress
) -> Report:
    """Score a checkpoint at every timestep; in the worker."""
    from n2m_core.tasks.evaluate import EvaluateParams, evaluate

    progress(0, 1, "loading the weights")
    params = EvaluateParams(
        timesteps=tuple(sorted(sweep.timesteps)),
        seeds=sweep.seeds,
        resolution_m=choices.resolution_m,
        process=sweep.process,
        schedule=sweep.schedule,
    )
    samples = [_sample(scene, card, sweep.middle_px) for scene in known]
    return evaluate(samples, resources.model(card), params, progress)


def _sample(scene: Scene, card: CheckpointCard, middle_px: int | None) -> Sample:
    """Read a scene's truth."""
    from n2m_core.datasets.base import Sample

    images, truth = compute.extent_of(scene.images, scene.truth, card, middle_px)
    assert truth is not None
    after = images[1] if len(images) == 2 else None
    return Sample(scene.name, images[0], truth.labels, after, truth.kind, truth.notes)


@dataclass(frozen=True, eq=False)
class DecisionTimes:
    """When each pixel's class was decided.

    Attributes:
        image: the grid (of a pair: the later image on the earlier one's grid).
        t: median over the noise seeds, float32 [H, W]; -1 where there is no data.
        timesteps: the steps that were tried, noisiest first.
        seeds: number of noise draws.
    """

    image: GeoImage
    t: NDArray[np.float32]
    timesteps: tuple[int, ...]
    seeds: int

    @property
    def shares(self) -> list[float]:
        """Share of the pixels decided at each timestep, the medians taken down to the grid."""
        grid = np.array(sorted(self.timesteps), np.float32)
        known = self.t[self.t >= 0]
        place = np.searchsorted(grid, known, side="right") - 1
        counts = np.bincount(place, minlength=len(grid))[::-1]
        return [float(count / max(1, known.size)) for count in counts]


def decision_times(
    slot: str, source: Source, card: CheckpointCard, sweep: Sweep, choices: Choices
) -> DecisionTimes | None:
    """The decision times of a source, or their progress and None."""
    key = f"decided/{source.key}/{card.id}/{card.sha256}/{sweep}/{choices.pass_key}"
    images = compute.images_of(source, choices)
    return jobs.result_of(
        slot,
        key,
        "Finding when each pixel is decided",
        lambda progress: _decide(images, card, sweep, choices, progress),
    )


def _decide(
    images: tuple[GeoImage, ...],
    card: CheckpointCard,
    sweep: Sweep,
    choices: Choices,
    progress: Progress,
) -> DecisionTimes:
    """Run one trajectory for each noise seed; in the worker."""
    from n2m_core.tasks import trajectory

    model = resources.model(card)
    images, _ = compute.extent_of(images, None, card, sweep.middle_px)
    seeds = sweep.seeds if card.noise_process == "gaussian" else 1
    found = []
    for seed in range(seeds):

        def forward(done: int, total: int, note: str, seed: int = seed) -> None:
            """Count the steps of all seeds together."""
            progress(seed * total + done, seeds * total, f"noise draw {seed + 1}, {note}")

        params = trajectory.TrajectoryParams(
            timesteps=sweep.timesteps, seed=seed, resolution_m=choices.resolution_m
        )
        after = images[1] if len(images) == 2 else None
        result = trajectory.run(images[0], after, model, params, None, forward)
        found.append(result.decision_time)
    middle = np.median(np.stack(found).astype(np.float32), axis=0).astype(np.float32)
    return DecisionTimes(result.image, middle, result.params.grid, seeds)


def calibration(
    slot: str, scene: Scene, source: Source, card: CheckpointCard, choices: Choices
) -> ReliabilityCounts | None:
    """How far the map's confidence can be believed, or the progress and None."""
    mapped = compute.map_of(f"{slot}.map", source, card, choices)
    if mapped is None:
        return None
    key = f"calibration/{source.key}/{scene.truth}/{card.sha256}/{choices.key}"
    result = mapped.result

    def work(progress: Progress) -> ReliabilityCounts:
        """Count pixels by confidence; in the worker."""
        from n2m_core.metrics.calibration import ReliabilityCounts
        from n2m_core.tasks.truth import read_truth

        truth = read_truth(scene.truth, scene.images[0], card)
        shown, sure = result.labels, result.confidence
        if truth.kind == "binary" and len(card.classes) > 2:
            shown = np.where(shown == 255, 255, np.minimum(shown, 1)).astype(np.uint8)
            target = 1 - result.probabilities[0]
            sure = np.where(shown == 1, target, 1 - target).astype(np.float32)
        return ReliabilityCounts.from_map(truth.labels, shown, sure)

    return jobs.result_of(f"{slot}.count", key, "Counting", work)
