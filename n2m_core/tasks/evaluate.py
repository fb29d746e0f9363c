"""Score a checkpoint on labelled samples: the report that `n2m evaluate` prints.

Every map comes from the same code that makes a person's map (`segment.run`, `change.run`). A curve
over timesteps maps every tile once for each timestep and noise seed; where the noise process draws
nothing (swap, self, none) one seed says all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from n2m_core.checkpoints import CheckpointCard, LoadedModel
from n2m_core.datasets.base import Sample
from n2m_core.diffusion.noise import NoiseKind, ScheduleName, check_timestep
from n2m_core.errors import CancelledError, DatasetError, LabelError, N2MError, ParameterError
from n2m_core.geo_image import Progress
from n2m_core.metrics.report import ClassScheme, Json, score_blocks, timestep_row
from n2m_core.tasks import change, segment
from n2m_core.tasks.params import MapParams
from n2m_core.tasks.tally import ScoredMap, Setting, Tally

P = TypeVar("P", bound=MapParams)

CURVE_SEEDS = 5
"""Noise draws a timestep of a curve, when the noise is drawn and nothing else is asked for."""
MAX_SEEDS = 100

Mapper = Callable[[Sample, Setting, Progress | None], ScoredMap]
"""Makes the map of a sample on the grid of `sample.image`."""


@dataclass(frozen=True)
class EvaluateParams:
    """What to score.

    Attributes:
        timestep: step of the main scores; None for the card's own step and way.
        timesteps: steps of the curve, 0..999; empty for none but the main one.
        seed: first noise seed.
        seeds: how many noise seeds; None for 5 with a curve and 1 without.
        threshold: probability from which the target is mapped; None for the most probable class.
        resolution_m: ground size of a pixel in place of the images' own, metres.
        min_area_m2: target areas smaller than this become background, m2.
        process: noise process in place of the card's wherever a timestep is named.
        schedule: noise schedule in place of the card's wherever a timestep is named.
    """

    timestep: int | None = None
    timesteps: tuple[int, ...] = ()
    seed: int = 0
    seeds: int | None = None
    threshold: float | None = None
    resolution_m: float | None = None
    min_area_m2: float = 0.0
    process: NoiseKind | None = None
    schedule: ScheduleName | None = None

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ParameterError: a timestep is outside 0..999 or repeated, the seeds are not 1..100, or
                another process or schedule has no timestep to mix at.
        """
        for step in (*self.timesteps, *(() if self.timestep is None else (self.timestep,))):
            check_timestep(step)
        if len(set(self.timesteps)) != len(self.timesteps):
            raise ParameterError(f"Timesteps {self.timesteps} repeat; name each once.")
        if self.seeds is not None and not 1 <= self.seeds <= MAX_SEEDS:
            raise ParameterError(f"{self.seeds} noise seeds; 1 to {MAX_SEEDS} are possible.")
        is_other = self.process is not None or self.schedule is not None
        if is_other and self.timestep is None and not self.timesteps:
            raise ParameterError(
                "Another noise process or schedule needs a timestep to mix at; name one or a list."
            )

    @property
    def seed_numbers(self) -> tuple[int, ...]:
        """The noise seeds, one after the other."""
        count = self.seeds or (CURVE_SEEDS if self.timesteps else 1)
        return tuple(range(self.seed, self.seed + count))


def evaluate(
    dataset: Sequence[Sample],
    model: LoadedModel,
    params: EvaluateParams,
    progress: Progress | None = None,
) -> Json:
    """Score a checkpoint on a dataset.

    Args:
        dataset: labelled samples, read one at a time.
        model: the checkpoint.
        params: timesteps and seeds.
        progress: told after every map.

    Returns:
        The report of DESIGN's command line section, ready for JSON (null for what does not exist).

    Raises:
        DatasetError: the dataset is empty, or of another task than the checkpoint.
        LabelError: a label does not fit the classes, or no pixel is labelled.
    """
    return score_maps(dataset, model.card, maker_of(model, params), params, progress)


def score_maps(
    dataset: Sequence[Sample],
    card: CheckpointCard,
    mapper: Mapper,
    params: EvaluateParams,
    progress: Progress | None = None,
) -> Json:
    """Score any maker of maps; see `evaluate`."""
    if not len(dataset):
        raise DatasetError("The dataset has no samples; there is nothing to score.")
    scheme = scheme_of(card)
    plan = _plan(card, params)
    tally = Tally(scheme, is_single=len(dataset) == 1)
    settings = [Setting(step, seed) for step, seeds in plan.items() for seed in seeds]
    main = next(iter(plan))
    done, total = 0, len(dataset) * len(settings)
    for sample in dataset:
        _check_sample(sample, card)
        tally.open(sample)
        for setting in settings:
            note = _note(sample, setting)
            result = _made(mapper, sample, setting, _forward(progress, done, total, note))
            tally.add(sample, setting, result, is_main=setting.timestep == main)
            done += 1
            if progress is not None:
                progress(done, total, note)
    return _report(card, params, plan, tally)


def scheme_of(card: CheckpointCard) -> ClassScheme:
    """Names and target of a checkpoint's classes.

    In change every class but the first is the target, in a binary segmentation the second one; a
    segmentation of more classes has none.
    """
    names = tuple(item.name for item in card.classes)
    if card.task == "change" or len(names) == 2:
        return ClassScheme(names, tuple(range(1, len(names))))
    return ClassScheme(names, ())


def _plan(card: CheckpointCard, params: EvaluateParams) -> dict[int | None, tuple[int, ...]]:
    """Noise seeds of every timestep to map; the main one comes first."""
    many, one = params.seed_numbers, (params.seed,)
    named = many if (params.process or card.noise_process) == "gaussian" else one
    main = params.timestep if params.timestep is not None else _same_as_main(card, params)
    if main is not None:
        plan: dict[int | None, tuple[int, ...]] = {main: named}
    else:
        is_drawn = card.mix_at_inference and card.noise_process == "gaussian"
        plan = {None: many if is_drawn else one}
    return plan | dict.fromkeys(sorted(params.timesteps), named)


def _same_as_main(card: CheckpointCard, params: EvaluateParams) -> int | None:
    """The step of the curve that makes the same map as the card's own way, if there is one."""
    is_mixed = card.mix_at_inference or card.noise_process == "none"
    is_other = params.process is not None or params.schedule is not None
    is_on_curve = card.inference_timestep in params.timesteps
    return card.inference_timestep if is_mixed and is_on_curve and not is_other else None


def _report(
    card: CheckpointCard,
    params: EvaluateParams,
    plan: dict[int | None, tuple[int, ...]],
    tally: Tally,
) -> Json:
    """Assemble the report."""
    main, *_ = plan
    runs = {step: tally.finished(step) for step in plan}
    if not runs[main].pooled.total:
        raise LabelError("No pixel is both labelled and mapped; check the labels and --ignore.")
    scheme = tally.final_scheme
    curve: Sequence[int | None] = sorted(params.timesteps) or [main]
    rows = [timestep_row(runs[step], scheme, params.seed) for step in curve]
    return {
        "task": card.task,
        "checkpoint": card.id,
        "tiles": len(tally.tiles),
        "timestep": runs[main].timestep,
        **score_blocks(runs[main], scheme, params.seed),
        "by_timestep": rows,
        "per_tile": tally.finished_tiles(),
        "interval_over": "blocks" if tally.is_single else "tiles",
        "seeds": sorted({seed for seeds in plan.values() for seed in seeds}),
        "notes": tally.notes,
        "seconds": tally.seconds,
        "megapixels_per_second": tally.pixels / 1e6 / tally.seconds if tally.seconds > 0 else None,
    }


def maker_of(model: LoadedModel, params: EvaluateParams) -> Mapper:
    """Make maps with the task's own code."""

    def make(sample: Sample, setting: Setting, progress: Progress | None) -> ScoredMap:
        if sample.after is None:
            choices = _choices(segment.SegmentParams, setting, params)
            return segment.run(sample.image, model, choices, progress)
        options = _choices(change.ChangeParams, setting, params)
        return change.run(sample.image, sample.after, model, options, progress)

    return make


def _choices(kind: type[P], setting: Setting, params: EvaluateParams) -> P:
    """The choices of one map; another noise needs a named timestep."""
    is_named = setting.timestep is not None
    return kind(
        timestep=setting.timestep,
        seed=setting.seed,
        threshold=params.threshold,
        resolution_m=params.resolution_m,
        min_area_m2=params.min_area_m2,
        process=params.process if is_named else None,
        schedule=params.schedule if is_named else None,
    )


def _made(mapper: Mapper, sample: Sample, setting: Setting, progress: Progress | None) -> ScoredMap:
    """Make one map; a complaint names the sample."""
    try:
        return mapper(sample, setting, progress)
    except CancelledError:
        raise
    except N2MError as e:
        raise type(e)(f"{sample.name}: {e}") from e


def _check_sample(sample: Sample, card: CheckpointCard) -> None:
    """Check that a sample has the dates that the checkpoint needs."""
    if card.task == "change" and sample.after is None:
        raise DatasetError(
            f"{sample.name} has one date and {card.id} detects change; give before and after."
        )
    if card.task == "segment" and sample.after is not None:
        raise DatasetError(
            f"{sample.name} has two dates and {card.id} maps one; use a change checkpoint."
        )


def _forward(progress: Progress | None, done: int, total: int, note: str) -> Progress | None:
    """A progress for inside a map: the count stands, but the person can cancel."""
    if progress is None:
        return None
    report = progress

    def forward(_inner_done: int, _inner_total: int, _inner_note: str) -> None:
        report(done, total, note)

    return forward


def _note(sample: Sample, setting: Setting) -> str:
    """What is being mapped, for the progress bar."""
    step = "" if setting.timestep is None else f", timestep {setting.timestep}"
    return f"{sample.name}{step}"
