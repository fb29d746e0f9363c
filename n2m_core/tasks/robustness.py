"""How much of a map's score survives a spoilt image, beside a twin trained without noise.

The same samples are mapped clean and at every strength of one perturbation, by both checkpoints and
each in its own way, and scored by `evaluate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from n2m_core.checkpoints import LoadedModel
from n2m_core.datasets.base import Sample
from n2m_core.geo_image import Progress
from n2m_core.tasks.evaluate import EvaluateParams, evaluate
from n2m_core.tasks.perturbations import (
    STRENGTHS,
    Kind,
    Perturbation,
    check_kind,
    check_strength,
    perturb_sample,
)

CLEAN = "clean"


@dataclass(frozen=True)
class RobustnessParams:
    """What to try.

    Attributes:
        kind: the perturbation.
        strengths: in its unit; empty for the usual ones, the mildest first.
        seed: names the draw of noise.
        resolution_m: ground size of a pixel in place of the images' own, metres.
    """

    kind: Kind
    strengths: tuple[float, ...] = ()
    seed: int = 0
    resolution_m: float | None = None

    def __post_init__(self) -> None:
        """Check kind and strengths.

        Raises:
            ParameterError: one is out of its range.
        """
        check_kind(self.kind)
        for each in self.strengths:
            check_strength(self.kind, each)

    @property
    def steps(self) -> tuple[Perturbation, ...]:
        """The perturbations, in order."""
        strengths = self.strengths or STRENGTHS[self.kind]
        return tuple(Perturbation(self.kind, each, self.seed) for each in strengths)


@dataclass(frozen=True)
class Score:
    """The score of one checkpoint at one strength.

    Attributes:
        checkpoint: its id.
        strength: None for the clean image.
        label: the strength with its unit, or "clean".
        f1: of the target, or the class mean; None where it does not exist.
        iou: the same.
        low: lower end of the 95 % interval of f1, over tiles or blocks.
        high: upper end.
    """

    checkpoint: str
    strength: float | None
    label: str
    f1: float | None
    iou: float | None
    low: float | None
    high: float | None


def run(
    samples: Sequence[Sample],
    models: Sequence[LoadedModel],
    params: RobustnessParams,
    progress: Progress | None = None,
) -> tuple[Score, ...]:
    """Score checkpoints on images spoilt ever more strongly.

    Args:
        samples: labelled samples of the checkpoints' task.
        models: the checkpoint, and its twin where there is one.
        params: kind, strengths, seed.
        progress: told after every map; may raise to stop.

    Returns:
        For each checkpoint the clean score, then one for each strength, in order.

    Raises:
        DatasetError: no samples, or of another task.
        LabelError: no pixel is labelled.
    """
    steps: tuple[Perturbation | None, ...] = (None, *params.steps)
    rounds = [(model, how) for how in steps for model in models]
    scores = []
    for index, (model, how) in enumerate(rounds):
        label = CLEAN if how is None else how.label
        forward = _within(progress, index, len(rounds), f"{model.card.id}, {label}")
        spoilt = samples if how is None else [perturb_sample(each, how) for each in samples]
        report = evaluate(spoilt, model, _params(params), forward)
        main = report["target"] if report["target"]["f1"] is not None else report["mean"]
        strength = None if how is None else how.strength
        numbers = (main[key] for key in ("f1", "iou", "low", "high"))
        scores.append(Score(model.card.id, strength, label, *numbers))
    if progress is not None:
        progress(len(rounds), len(rounds), "done")
    order = {model.card.id: place for place, model in enumerate(models)}
    return tuple(sorted(scores, key=lambda each: order[each.checkpoint]))


def _params(params: RobustnessParams) -> EvaluateParams:
    """Each checkpoint in its own way."""
    return EvaluateParams(seed=params.seed, resolution_m=params.resolution_m)


def _within(progress: Progress | None, done: int, total: int, note: str) -> Progress | None:
    """Report rounds, but let the person stop within one."""
    if progress is None:
        return None
    report = progress
    return lambda _done, _total, _note: report(done, total, note)
