"""The work behind the Interpret page: which inputs name a result, and what the worker does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from n2m_core.geo_image import GeoImage, Progress
from pages._ui import choosing, compute, frame, jobs, resources, truths
from pages._ui.compute import Choices
from pages._ui.inputs import Source

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard
    from n2m_core.datasets.base import Sample
    from n2m_core.diffusion.noise import NoiseKind, ScheduleName
    from n2m_core.metrics.confusion import ConfusionCounts
    from n2m_core.tasks.by_timestep import StepCounts
    from n2m_core.tasks.evaluate import EvaluateParams

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
    """A scene with its truth: the image or the pair, their paths, and the path of the mask.

    The images hold the ground resolution that the person stated, where they have none themselves.
    """

    name: str
    images: tuple[GeoImage, ...]
    truth: Path
    paths: tuple[Path, ...]


def scenes(sources: Iterable[Source], card: CheckpointCard) -> list[Scene]:
    """The sources that have a truth in a checkpoint's classes."""
    found = []
    for source in sources:
        truth = truths.truth_of(source, card)
        if truth is not None:
            stated = Choices(resolution_m=choosing.stated_resolution(source))
            images = compute.images_of(source, stated)
            found.append(Scene(source.title, images, truth, source.paths))
    return found


def scored(source: Source, card: CheckpointCard) -> list[Scene]:
    """The one scene with its truth; none, and a line on the page, where it has no truth."""
    found = scenes([source], card)
    if not found:
        frame.empty("No truth for this scene", "Drop a mask of it on the Segment or Change page.")
    return found


def curve(
    slot: str, known: list[Scene], card: CheckpointCard, sweep: Sweep, title: str
) -> Report | None:
    """The report of `n2m evaluate` over timesteps, or its progress and None."""
    key = f"curve/{scenes_key(known)}/{card.id}/{card.sha256}/{sweep}"

    def work(progress: Progress) -> Report:
        """Score a checkpoint at every timestep; in the worker."""
        from n2m_core.tasks.evaluate import evaluate

        progress(0, 1, "loading the weights")
        samples = [sample_of(scene, card, sweep.middle_px) for scene in known]
        return evaluate(samples, resources.model(card), _params(sweep), progress)

    return jobs.result_of(slot, key, title, work)


def _params(sweep: Sweep) -> EvaluateParams:
    """What is scored."""
    from n2m_core.tasks.evaluate import EvaluateParams

    return EvaluateParams(
        timesteps=tuple(sorted(sweep.timesteps)),
        seeds=sweep.seeds,
        process=sweep.process,
        schedule=sweep.schedule,
    )


def steps(
    slot: str, known: list[Scene], card: CheckpointCard, sweep: Sweep
) -> tuple[StepCounts, ...] | None:
    """Calibration and object sizes at every timestep, or their progress and None."""

    def work(progress: Progress) -> tuple[StepCounts, ...]:
        """Map and count; in the worker."""
        from n2m_core.tasks import by_timestep

        progress(0, 1, "loading the weights")
        samples = [sample_of(scene, card, sweep.middle_px) for scene in known]
        return by_timestep.run(samples, resources.model(card), _params(sweep), progress)

    key = f"steps/{scenes_key(known)}/{card.id}/{card.sha256}/{sweep}"
    return jobs.result_of(slot, key, "Counting at every timestep", work)


def twin_of(card: CheckpointCard) -> CheckpointCard | None:
    """The checkpoint trained alike but for the noise."""
    return next((each for each in resources.cards(card.task) if each.id == card.twin), None)


def scenes_key(known: list[Scene]) -> str:
    """Names all that scores of some scenes depend on: the files' state, the resolutions.

    The truth is among the files: who brings a mask of a sample gets scores of their own, and nobody
    else does.
    """
    return "+".join(
        f"{'+'.join(f'{path}@{path.stat().st_mtime_ns}' for path in (*scene.paths, scene.truth))}"
        f"@{[image.resolution_m for image in scene.images]}"
        for scene in known
    )


def sample_of(scene: Scene, card: CheckpointCard, middle_px: int | None) -> Sample:
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
        agreement: for each step the counts of its maps against the cleanest, over the draws.
    """

    image: GeoImage
    t: NDArray[np.float32]
    timesteps: tuple[int, ...]
    seeds: int
    agreement: tuple[ConfusionCounts, ...]

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
    from n2m_core.metrics.confusion import ConfusionCounts
    from n2m_core.tasks import trajectory
    from n2m_core.tasks.by_timestep import agreement

    model = resources.model(card)
    images, _ = compute.extent_of(images, None, card, sweep.middle_px)
    seeds = sweep.seeds if card.noise_process == "gaussian" else 1
    found = []
    agreed = [ConfusionCounts.zeros(len(card.classes)) for _ in sweep.timesteps]
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
        fresh = agreement([each.labels for each in result.frames], card)
        agreed = [one.add(other) for one, other in zip(agreed, fresh, strict=True)]
    middle = np.median(np.stack(found).astype(np.float32), axis=0).astype(np.float32)
    return DecisionTimes(result.image, middle, result.params.grid, seeds, tuple(agreed))
