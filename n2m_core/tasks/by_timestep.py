"""What a curve of F1 leaves out: calibration, object sizes and agreement at every timestep.

Every map comes from the same code that makes a person's map, once for each timestep and noise seed,
and once in the checkpoint's own way. Counts are pooled over samples and seeds before any ratio.

`agreement` compares the maps of a trajectory with its last one; that needs no truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from n2m_core.checkpoints import CheckpointCard, LoadedModel
from n2m_core.datasets.base import Sample
from n2m_core.errors import DatasetError, LabelError
from n2m_core.geo_image import Progress
from n2m_core.metrics.calibration import ReliabilityCounts
from n2m_core.metrics.confusion import ConfusionCounts
from n2m_core.metrics.objects import SizeCounts, count_sizes, size_edges
from n2m_core.metrics.report import headline
from n2m_core.raster_io import ground_areas_m2
from n2m_core.tasks.evaluate import EvaluateParams, maker_of, scheme_of
from n2m_core.tasks.labelling import with_stated_resolution
from n2m_core.tasks.result import INVALID, MapResult
from n2m_core.tasks.tally import Setting

Labels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class StepCounts:
    """What was counted at one timestep.

    Attributes:
        timestep: t; None for the checkpoint's own step and way.
        reliability: pixels by confidence.
        sizes: objects by size; None where a sample's ground resolution is unknown.
    """

    timestep: int | None
    reliability: ReliabilityCounts
    sizes: SizeCounts | None


def run(
    samples: Sequence[Sample],
    model: LoadedModel,
    params: EvaluateParams,
    progress: Progress | None = None,
) -> tuple[StepCounts, ...]:
    """Count calibration and object sizes at every timestep.

    Args:
        samples: labelled samples of the checkpoint's task.
        model: the checkpoint.
        params: timesteps, seeds and how maps are made; `timestep` is not used.
        progress: told after every map; may raise to stop.

    Returns:
        The checkpoint's own way first, then the timesteps, noisiest first.

    Raises:
        DatasetError: there are no samples.
    """
    if not samples:
        raise DatasetError("There are no samples with a truth; nothing can be counted.")
    make = maker_of(model, params)
    settings = _settings(model.card, params)
    found: dict[int | None, StepCounts] = {}
    total = len(samples) * len(settings)
    edges = size_edges(model.card.resolution_m)
    for index, sample in enumerate(samples):
        for number, setting in enumerate(settings):
            done = index * len(settings) + number
            note = f"{sample.name}, {_step_text(setting.timestep)}"
            result = make(sample, setting, _within(progress, done, total, note))
            assert isinstance(result, MapResult)
            areas = pixel_areas(sample, params.resolution_m)
            fresh = _count(sample, result, setting.timestep, areas, edges)
            known = found.get(setting.timestep)
            found[setting.timestep] = fresh if known is None else _pooled(known, fresh)
    if progress is not None:
        progress(total, total, "done")
    return tuple(found.values())


def agreement(frames: Sequence[Labels], card: CheckpointCard) -> list[ConfusionCounts]:
    """Compare each map with the last one, which takes the place of a truth.

    Args:
        frames: maps of one scene, uint8 [H, W] each; 255 counts nowhere.
        card: says the classes.

    Returns:
        Counts for each map; rows are the classes of the last map.
    """
    classes = len(card.classes)
    return [ConfusionCounts.from_labels(frames[-1], each, classes) for each in frames]


def agreement_scores(counts: ConfusionCounts, card: CheckpointCard) -> tuple[float, float]:
    """Give the share of equal pixels, and the IoU of the target (or class mean) with the last map.

    Returns:
        Both in [0, 1]; NaN where there is no pixel, or no target in either map.
    """
    share = float(counts.matrix.trace() / counts.total) if counts.total else float("nan")
    return share, headline(counts, scheme_of(card))[1]


def comparable(
    sample: Sample, result: MapResult
) -> tuple[Labels, NDArray[np.float32], tuple[int, ...]]:
    """Bring a map to the classes that a label tells apart.

    Args:
        sample: its label is binary or has class indices.
        result: the map.

    Returns:
        The map, uint8 [H, W]; the probability of what it shows, float32 [H, W]; and the classes
        whose objects are looked for: the target's, or all where there is none.

    Raises:
        LabelError: the label is binary and no class is the target.
    """
    scheme = scheme_of(result.card)
    targets = scheme.target or tuple(range(len(scheme.names)))
    if sample.label_kind == "classes" or len(scheme.names) == 2:
        return result.labels, result.confidence, targets
    if not scheme.target:
        raise LabelError(
            f"{sample.name} has a binary label and the checkpoint {len(scheme.names)} classes "
            "without a target; give labels of class indices."
        )
    united = np.where(result.labels == INVALID, INVALID, np.minimum(result.labels, 1))
    target = 1 - result.probabilities[0]
    sure = np.where(united == 1, target, 1 - target).astype(np.float32)
    return united.astype(np.uint8), sure, (1,)


def pixel_areas(sample: Sample, resolution_m: float | None) -> NDArray[np.float64] | None:
    """Ground area of a sample's pixels, m2, float64 [H]; None where the resolution is unknown."""
    return ground_areas_m2(with_stated_resolution(sample.image, resolution_m))


def _settings(card: CheckpointCard, params: EvaluateParams) -> list[Setting]:
    """The maps of one sample; one seed says all where nothing is drawn."""
    many, one = params.seed_numbers, (params.seed,)
    seeds = many if (params.process or card.noise_process) == "gaussian" else one
    own = many if card.noise_process == "gaussian" and card.mix_at_inference else one
    steps = sorted(set(params.timesteps), reverse=True)
    return [Setting(None, seed) for seed in own] + [
        Setting(step, seed) for step in steps for seed in seeds
    ]


def _count(
    sample: Sample,
    result: MapResult,
    timestep: int | None,
    areas: NDArray[np.float64] | None,
    edges: tuple[float, ...],
) -> StepCounts:
    """Count one map; `areas` of the pixels, and the size bins that objects fall into."""
    labels, sure, targets = comparable(sample, result)
    if areas is None:
        sizes = None
    else:
        sizes = count_sizes(sample.label, labels, targets, areas, edges_m2=edges)
    return StepCounts(
        timestep,
        ReliabilityCounts.from_map(sample.label, labels, sure),
        sizes,
    )


def _pooled(one: StepCounts, other: StepCounts) -> StepCounts:
    """Add the counts of two maps of one timestep."""
    both = one.sizes is not None and other.sizes is not None
    sizes = one.sizes.add(other.sizes) if both and one.sizes and other.sizes else None
    return StepCounts(one.timestep, one.reliability.add(other.reliability), sizes)


def _step_text(timestep: int | None) -> str:
    """What is being mapped, for the progress bar."""
    return "the model's own step" if timestep is None else f"t = {timestep}"


def _within(progress: Progress | None, done: int, total: int, note: str) -> Progress | None:
    """Report maps, but let the person stop within one."""
    if progress is None:
        return None
    report = progress
    return lambda _done, _total, _note: report(done, total, note)
