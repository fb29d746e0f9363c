"""Run the training of a refiner and write the checkpoint that comes out of it."""

from __future__ import annotations

import datetime
import hashlib
import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from n2m_core.checkpoints import CheckpointCard, LoadedModel, save_checkpoint
from n2m_core.corruption import corrupted_truth
from n2m_core.datasets.base import Sample
from n2m_core.geo_image import Progress
from n2m_core.lineage import TrainingRecord
from n2m_core.models.idgbr import SCHEDULE, Refiner
from n2m_core.models.network import AbstractNetwork
from n2m_core.models.storing import fp16_weights
from n2m_core.normalize import Normalization
from n2m_core.tasks.evaluate_refine import EvaluateRefineParams, evaluate_refine
from n2m_core.tasks.refine import RefineParams
from n2m_core.training.loop import RunParams
from n2m_core.training.refine import BANDS, RefineTrainer
from n2m_core.training.refine_config import RefineConfig, RefineInference, load_refine_config
from n2m_core.training.runner import (
    TILE_PX,
    TrainSummary,
    common_interval,
    copy_curves,
    device_name,
    image_statistics,
    validation_set,
)

VALIDATION_STEPS = 10

_log = logging.getLogger(__name__)


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
        seed: in place of the configuration's.
        progress: told as training goes on.

    Returns:
        Where the checkpoint is and how far the run came.

    Raises:
        ConfigError: the configuration is wrong.
        DatasetError: a source lacks files.
        CheckpointError: a network to start from, or one that draws rough maps, can't be read.
    """
    config = load_refine_config(config_path, seed=seed)
    trainer = RefineTrainer(config, run)
    sets = [(v, validation_set(v, "segment", config.classes)) for v in config.validation]

    def rough(sample: Sample) -> NDArray[np.uint8]:
        return corrupted_truth(sample.label, sample.name, len(config.classes), config.seed)

    def validate(model: AbstractNetwork, step: int) -> dict[str, float]:
        assert isinstance(model, Refiner)
        card = describe(config, config_path, model, trainer, 0.0)
        loaded = LoadedModel(card, model.to(trainer.device), trainer.device)
        scores: dict[str, float] = {}
        for wanted, samples in sets:
            params = EvaluateRefineParams(RefineParams(steps=VALIDATION_STEPS, samples=1))
            report = evaluate_refine(samples, loaded, rough, params)
            for name in ("rough", "refined"):
                block = report[name]
                target = block["target" if block["target"]["f1"] is not None else "mean"]
                scores[f"{wanted.name}_{name}_f1"] = target["f1"]
                scores[f"{wanted.name}_{name}_wfm"] = block["boundary"]["wfm"]
        _log.info("step %d: %s", step, scores)
        return scores

    every = common_interval(config.validation)
    result = trainer.train(validate if sets else None, every, progress)
    if not run.group.is_first:
        return TrainSummary.elsewhere(checkpoints / config.id, result)
    assert isinstance(result.model, Refiner)
    card = describe(config, config_path, result.model, trainer, result.minutes)
    folder = save_checkpoint(checkpoints, result.model, card, fp16_weights(result.model))
    copy_curves(run.folder, folder)
    return TrainSummary(folder, result.steps, result.minutes, result.finished)


def describe(
    config: RefineConfig,
    config_path: Path,
    model: Refiner,
    trainer: RefineTrainer,
    minutes: float,
) -> CheckpointCard:
    """Write the card; every number on it is measured here."""
    inference = config.inference
    return CheckpointCard(
        id=config.id,
        title=config.title,
        task="refine",
        classes=config.classes,
        bands=("red", "green", "blue"),
        resolution_m=config.resolution_m,
        normalization=Normalization(),
        noise_process="gaussian",
        schedule=SCHEDULE,
        inference_timestep=0,
        mix_at_inference=False,
        backbone=model.design,
        parameters=sum(p.numel() for p in model.parameters()),
        gflop_per_tile=round(gflop_per_tile(model, inference), 2),
        window_px=inference.window_px,
        training=TrainingRecord(
            data=tuple(source.credit for source in trainer.sources),
            config=f"{config_path.parent.name}/{config_path.name}",
            steps=trainer.step,
            samples=trainer.samples,
            seed=config.seed,
            device=device_name(trainer.device),
            minutes=round(minutes, 1),
            date=datetime.datetime.now(datetime.UTC).date().isoformat(),
            before=trainer.before,
            config_sha256=trainer.digest,
            init_from=config.network.image_encoder_from or config.network.stable_diffusion,
        ),
        image_statistics=image_statistics(trainer.mixer, config.seed),
        license=config.license,
        limits=config.limits,
        sha256=hashlib.sha256(fp16_weights(model)).hexdigest(),
        sampling_steps=inference.steps,
        guidance=inference.guidance,
        sampling_draws=inference.samples,
    )


def gflop_per_tile(model: Refiner, inference: RefineInference) -> float:
    """Count 10^9 floating point operations (two a multiply-add) of one 256 px tile.

    Args:
        model: the network.
        inference: steps, draws and guidance, which needs two passes a step unless its weight is 1.
    """
    device = next(model.parameters()).device
    image = torch.zeros(1, BANDS, TILE_PX, TILE_PX, device=device)
    rough = torch.zeros(1, TILE_PX, TILE_PX, dtype=torch.int64, device=device)
    t = torch.zeros(1, dtype=torch.int64, device=device)
    with torch.no_grad():
        with FlopCounterMode(display=False) as once:
            guidance = model.guidance(image, rough)
            z = model.codec.encode(rough)
            model.codec.decode(z)
        with FlopCounterMode(display=False) as each:
            model(z, t, guidance)
    passes = inference.steps * inference.samples * (1 if inference.guidance == 1 else 2)
    return float(once.get_total_flops() + passes * each.get_total_flops()) / 1e9
