"""Run a training configuration and write the checkpoint that comes out of it."""

from __future__ import annotations

import datetime
import hashlib
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from n2m_core.checkpoints import (
    CheckpointCard,
    ClassInfo,
    ImageStatistics,
    LoadedModel,
    network_for,
    save_checkpoint,
)
from n2m_core.corruption import corrupted_truth
from n2m_core.datasets.base import Sample, Task
from n2m_core.datasets.opening import open_dataset
from n2m_core.errors import ConfigError, DatasetError
from n2m_core.geo_image import Progress
from n2m_core.lineage import TrainingRecord
from n2m_core.models.network import AbstractNetwork
from n2m_core.models.storing import fp16_weights
from n2m_core.normalize import Normalization
from n2m_core.tasks.evaluate import EvaluateParams, Mapper, maker_of, score_maps
from n2m_core.tasks.one_pass import refine_once, rough_bands
from n2m_core.tasks.tally import ScoredMap, Setting
from n2m_core.training.config import TrainConfig, ValidationConfig, load_config
from n2m_core.training.loop import AbstractTrainer, RunParams, TrainResult
from n2m_core.training.sources import CropMixer, data_root
from n2m_core.training.supervised import Exercise, Trainer

BANDS = ("red", "green", "blue")
TILE_PX = 256
STATISTIC_CROPS = 256
SHARED = ", shared with the other task"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainSummary:
    """What a run left behind.

    Attributes:
        checkpoint: folder written.
        steps: steps done so far, resumed runs counted in.
        minutes: wall time so far.
        finished: False when time ran out; the checkpoint then holds what was learned so far.
    """

    checkpoint: Path
    steps: int
    minutes: float
    finished: bool

    @classmethod
    def elsewhere(cls, folder: Path, result: TrainResult[Any]) -> TrainSummary:
        """Say where the first process of a run leaves its checkpoint."""
        return cls(folder, result.steps, result.minutes, result.finished)


def train(
    config_path: Path,
    run: RunParams,
    *,
    checkpoints: Path,
    seed: int | None = None,
    progress: Progress | None = None,
) -> TrainSummary:
    """Train, validate on the way, write the checkpoint with its card and curves.

    Args:
        config_path: YAML configuration.
        run: folder of the run's state, resume, time limit, device.
        checkpoints: folder that receives `<id>/`.
        seed: in place of the configuration's, see `load_config`.
        progress: told as training goes on.

    Returns:
        Where the checkpoint is and how far the run came.

    Raises:
        ConfigError: the configuration is wrong.
        DatasetError: a source lacks files.
    """
    trainer = Trainer(load_config(config_path, seed=seed), run)
    return run_exercises((trainer.exercise,), trainer, config_path, checkpoints, progress)


def run_exercises(
    exercises: Sequence[Exercise],
    trainer: AbstractTrainer[AbstractNetwork],
    config_path: Path,
    checkpoints: Path,
    progress: Progress | None = None,
) -> TrainSummary:
    """Train a network of one task or several, validate each on the way, write the checkpoint.

    Args:
        exercises: of every task, the first one's card first.
        trainer: learns them.
        config_path: for the cards.
        checkpoints: folder that receives `<id>/`.
        progress: told as training goes on.

    Returns:
        Where the checkpoint is and how far the run came.

    Raises:
        DatasetError: a validation set lacks files.
    """
    sets = [
        (exercise, wanted, validation_set(wanted, exercise.config.task, exercise.config.classes))
        for exercise in exercises
        for wanted in exercise.config.validation
    ]

    cards: dict[str, CheckpointCard] = {}

    def validate(network: AbstractNetwork, step: int) -> dict[str, float]:
        scores: dict[str, float] = {}
        params = EvaluateParams()
        if not cards:  # once: what a map needs of a card does not change as a network learns
            cards.update({e.config.task: describe(e, config_path, network, trainer, 0.0)
                          for e in exercises})  # fmt: skip
        network.to(trainer.device)
        for exercise, wanted, samples in sets:
            model = network_for(exercise.config.task, network)
            card = cards[exercise.config.task]
            loaded = LoadedModel(card, model, trainer.device)
            is_rough = exercise.config.rough is not None
            maker = _refining(loaded, exercise.config) if is_rough else maker_of(loaded, params)
            report = score_maps(samples, card, maker, params)
            has_target = report["target"]["f1"] is not None
            target = report["target" if has_target else "mean"]
            scores |= {f"{wanted.name}_f1": target["f1"], f"{wanted.name}_iou": target["iou"]}
            scores[f"{wanted.name}_mean_f1"] = report["mean"]["f1"]
        _log.info("step %d: %s", step, scores)
        return scores

    every = common_interval([wanted for _, wanted, _ in sets])
    result = trainer.train(validate if sets else None, every, progress)
    return export(exercises, config_path, trainer, result, checkpoints)


def export(
    exercises: Sequence[Exercise],
    config_path: Path,
    trainer: AbstractTrainer[AbstractNetwork],
    result: TrainResult[AbstractNetwork],
    checkpoints: Path,
) -> TrainSummary:
    """Write the averaged network, its cards and its learning curves; the first process alone."""
    if not trainer.run.group.is_first:
        return TrainSummary.elsewhere(checkpoints / exercises[0].config.id, result)
    first, *others = (
        describe(exercise, config_path, result.model, trainer, result.minutes)
        for exercise in exercises
    )
    folder = save_checkpoint(checkpoints, result.model, first, fp16_weights(result.model), others)
    copy_curves(trainer.run.folder, folder)
    return TrainSummary(folder, result.steps, result.minutes, result.finished)


def copy_curves(run_folder: Path, folder: Path) -> None:
    """Copy a run's learning curves into its checkpoint."""
    for name in ("curve.csv", "validation.csv"):
        if (run_folder / name).exists():
            shutil.copyfile(run_folder / name, folder / name)


def describe(
    exercise: Exercise,
    config_path: Path,
    network: AbstractNetwork,
    trainer: AbstractTrainer[AbstractNetwork],
    minutes: float,
) -> CheckpointCard:
    """Write the card of a task; every number on it is measured here."""
    config = exercise.config
    shown = rough_bands([entry.name for entry in config.classes]) if config.rough else ()
    model = network_for(config.task, network)
    return CheckpointCard(
        id=config.id,
        title=config.title,
        task=config.task,
        classes=config.classes,
        bands=(*BANDS, *shown),
        resolution_m=config.resolution_m,
        normalization=Normalization(),
        noise_process=config.noise.process,
        schedule=config.noise.schedule,
        inference_timestep=config.inference.timestep,
        mix_at_inference=config.inference.mix,
        backbone=model.design + (SHARED if model is not network else ""),
        parameters=sum(p.numel() for p in model.parameters()),
        gflop_per_tile=round(gflop_per_tile(model), 2),
        window_px=config.inference.window_px or config.data.crop_px,
        training=TrainingRecord(
            data=tuple(source.credit for source in exercise.sources),
            config=f"{config_path.parent.name}/{config_path.name}",
            steps=trainer.step,
            samples=trainer.samples,
            seed=config.seed,
            device=device_name(trainer.device),
            minutes=round(minutes, 1),
            date=datetime.datetime.now(datetime.UTC).date().isoformat(),
            before=trainer.before,
            config_sha256=trainer.digest,
            init_from=config.init_from or config.network.backbone_from,
        ),
        image_statistics=image_statistics(exercise.mixer, config.seed),
        license=config.license,
        limits=config.limits,
        sha256=hashlib.sha256(fp16_weights(network)).hexdigest(),
        twin=config.twin,
    )


def gflop_per_tile(model: AbstractNetwork) -> float:
    """Count 10^9 floating point operations (two a multiply-add) of one 256 px tile."""
    device = next(model.parameters()).device
    x = torch.zeros(1, model.config.in_channels, TILE_PX, TILE_PX, device=device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x, torch.zeros(1, dtype=torch.int64, device=device))
    return float(counter.get_total_flops()) / 1e9


def device_name(device: torch.device) -> str:
    """Say what a run was made on, for the card."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} thread(s)"


def image_statistics(mixer: CropMixer, seed: int) -> ImageStatistics:
    """Measure the images that the network was trained on, as they come from the mixer."""
    rng = np.random.default_rng(seed)
    crops = [mixer.draw(rng).image[:3] for _ in range(STATISTIC_CROPS)]
    means = torch.stack([crop.mean((1, 2)) for crop in crops])
    stds = torch.stack([crop.std((1, 2)) for crop in crops])
    return ImageStatistics(
        mean=_rounded(means.mean(0)), std=_rounded(stds.mean(0)), spread=_rounded(means.std(0))
    )


def _rounded(values: torch.Tensor) -> tuple[float, ...]:
    return tuple(round(float(v), 4) for v in values)


def validation_set(
    wanted: ValidationConfig, task: Task, classes: tuple[ClassInfo, ...]
) -> Sequence[Sample]:
    """Open a validation set, perhaps some of its samples alone.

    Raises:
        DatasetError: it lacks files, or has none of the samples that are asked for.
    """
    samples = open_dataset(
        wanted.dataset,
        data_root() / wanted.root,
        wanted.split,
        task=task,
        classes=classes,
    )
    if not wanted.only:
        return samples
    chosen = [sample for sample in samples if sample.name.startswith(wanted.only)]
    if not chosen:
        raise DatasetError(
            f"No sample of validation set '{wanted.name}' has a name that starts with "
            f"{' or '.join(wanted.only)}; the first is {samples[0].name}. Mend 'only'."
        )
    return chosen


def common_interval(sets: Sequence[ValidationConfig]) -> int:
    """Give the steps between two validations of a run; 0 for a run without any.

    Raises:
        ConfigError: the sets of a run, whose scores share a table, want different intervals.
    """
    wanted = sorted({each.every for each in sets})
    if len(wanted) > 1:
        raise ConfigError(
            f"The validation sets of one run ask for every {', '.join(map(str, wanted))} steps; "
            "give all the same 'every'."
        )
    return wanted[0] if wanted else 0


def _refining(loaded: LoadedModel, config: TrainConfig) -> Mapper:
    """Make maps by refining a rough one: the sample's own, or a corrupted truth."""
    params = config.rough
    assert params is not None

    def make(sample: Sample, _: Setting, progress: Progress | None) -> ScoredMap:
        if sample.rough is not None:
            return refine_once(sample.image, sample.rough, loaded, progress=progress)
        rough = corrupted_truth(sample.label, sample.name, len(config.classes), config.seed, params)
        return refine_once(sample.image, rough, loaded, progress=progress)

    return make
