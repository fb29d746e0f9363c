"""Run a fusion training and write the checkpoint that comes out of it."""

from __future__ import annotations

import datetime
import hashlib
import logging
from pathlib import Path

from n2m_core.fusion.bands import BAND_SLOTS
from n2m_core.fusion.cards import FusionCard, save_fusion
from n2m_core.geo_image import Progress
from n2m_core.lineage import TrainingRecord
from n2m_core.models.fusion_building import fusion_gflop
from n2m_core.models.fusion_network import AbstractFusionNetwork
from n2m_core.models.storing import fp16_weights
from n2m_core.training.fuse import FusionTrainer, FusionValidation, image_statistics
from n2m_core.training.fuse_config import FuseConfig, load_fuse_config
from n2m_core.training.loop import RunParams
from n2m_core.training.runner import TrainSummary, copy_curves, device_name

_log = logging.getLogger(__name__)


def train_fusion(
    config_path: Path,
    run: RunParams,
    *,
    checkpoints: Path,
    seed: int | None = None,
    progress: Progress | None = None,
) -> TrainSummary:
    """Train, validate on the way, write the checkpoint with its card and curves.

    Args:
        config_path: YAML configuration with `task: fuse`.
        run: folder of the run's state, resume, time limit, device.
        checkpoints: folder that receives `<id>/`.
        seed: in place of the configuration's, see `load_fuse_config`.
        progress: told as training goes on.

    Returns:
        Where the checkpoint is and how far the run came.

    Raises:
        ConfigError: the configuration is wrong.
        DatasetError: a source lacks files.
    """
    config = load_fuse_config(config_path, seed=seed)
    trainer = FusionTrainer(config, run)
    held = FusionValidation(config) if config.validation else None

    def validate(model: AbstractFusionNetwork, step: int) -> dict[str, float]:
        assert held is not None
        scores = held.scores(model, trainer.schedule)
        _log.info("step %d: %s", step, scores)
        return scores

    every = config.validation.every if config.validation else 0
    result = trainer.train(validate if held else None, every, progress)
    if not run.group.is_first:
        return TrainSummary.elsewhere(checkpoints / config.id, result)
    weights = fp16_weights(result.model)
    card = describe(config, config_path, trainer, weights, result.minutes)
    folder = save_fusion(checkpoints, result.model, card, weights)
    copy_curves(run.folder, folder)
    return TrainSummary(folder, result.steps, result.minutes, result.finished)


def describe(
    config: FuseConfig, config_path: Path, trainer: FusionTrainer, weights: bytes, minutes: float
) -> FusionCard:
    """Write the card; every number on it is measured here."""
    once, each = fusion_gflop(config.network)
    return FusionCard(
        id=config.id,
        title=config.title,
        bands=BAND_SLOTS,
        resolution_m=config.resolution_m,
        scales=(min(config.data.scales), max(config.data.scales)),
        schedule=config.diffusion.schedule,
        steps_trained=config.diffusion.steps,
        noise_scale=config.diffusion.noise_scale,
        endpoint=config.diffusion.endpoint,
        steps=config.inference.steps,
        has_one_pass=config.has_one_pass,
        is_one_pass=config.inference.is_one_pass,
        backbone=trainer.model.design,
        parameters=sum(p.numel() for p in trainer.model.parameters()),
        gflop_per_tile=round(each, 2),
        gflop_once=round(once, 2),
        window_px=config.inference.window_px,
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
        ),
        image_statistics=image_statistics(trainer.mixer, config.seed),
        license=config.license,
        limits=config.limits,
        sha256=hashlib.sha256(weights).hexdigest(),
    )
