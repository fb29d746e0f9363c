"""Self-supervised pretraining of Noise2Map's network: learn to denoise unlabelled tiles.

Papers: Ho, Jain, Abbeel, "Denoising Diffusion Probabilistic Models", NeurIPS 2020 (eq. 14); Shibli,
Nascetti, Ban, "Noise2Map", IEEE TGRS 2026, whose first stage this is.

Deviations from the papers: the compact network may predict the clean image instead of the noise,
since noise that differs from pixel to pixel does not pass through half the resolution; the whole
network with its stem is pretrained, not the backbone alone.
"""

from __future__ import annotations

import datetime
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from n2m_core.atomic import write_bytes
from n2m_core.diffusion.noise import NoiseProcess, make_schedule
from n2m_core.diffusion.sampling import Prediction, sample
from n2m_core.errors import ConfigError
from n2m_core.geo_image import Progress
from n2m_core.models.backbone import full_settings
from n2m_core.models.network import PEERS, AbstractNetwork, NetworkConfig
from n2m_core.models.noise2map import Noise2Map
from n2m_core.models.storing import fp16_weights, save_network
from n2m_core.render import Picture, encode_png
from n2m_core.training.config import (
    AugmentConfig,
    DataConfig,
    NetworkChoice,
    OptimizerConfig,
)
from n2m_core.training.crops import Cropper
from n2m_core.training.curves import read_curve
from n2m_core.training.loop import AbstractTrainer, RunParams
from n2m_core.training.sources import BUILDING_CLASSES, CropMixer, open_source
from n2m_core.training.starts import PRETRAINING
from n2m_core.training.strict_yaml import read_strict
from n2m_core.training.supervised import draw_timesteps

BANDS = 3
SAMPLES = 8
SAMPLING_STEPS = 50
SAMPLES_FILE = "samples.png"
LAST_ROWS = 25  # of the learning curve, whose mean is the loss reported


@dataclass(frozen=True)
class PretrainConfig:
    """Everything that decides a pretraining run.

    Attributes:
        id: name of the run and of the folder that it writes.
        prediction: what the network learns to give: the noise (epsilon), or the clean image
            (sample).
        timestep_power: t = floor(1000 u^power), u uniform; 1 is the papers' uniform draw.
        data: sources of kind images or scenes; labels are not looked at.
    """

    id: str
    data: DataConfig
    optimizer: OptimizerConfig
    license: str
    prediction: Prediction = "epsilon"
    timestep_power: float = 1.0
    network: NetworkChoice = field(default_factory=NetworkChoice)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what types alone can't say.

        Raises:
            ConfigError: a source has two dates, the network is to start from other weights, or is
                none that takes a timestep.
        """
        for source in self.data.sources:
            if source.kind not in ("images", "scenes"):
                raise ConfigError(
                    f"Source '{source.name}' is of kind {source.kind}; pretraining reads images "
                    "and scenes."
                )
        if self.network.backbone_from:
            raise ConfigError("network.backbone_from belongs to training; leave it out here.")
        if self.network.variant in PEERS:
            raise ConfigError(
                f"Network {self.network.variant} can't denoise; set network.variant to compact or "
                "paper."
            )


@dataclass(frozen=True)
class PretrainSummary:
    """What a run left behind; `finished` is False when time ran out first."""

    folder: Path
    steps: int
    minutes: float
    finished: bool


class Pretrainer(AbstractTrainer[AbstractNetwork]):
    """Learns to denoise crops: E || target - f(x_t, t) ||^2 with t drawn anew for each."""

    def __init__(self, config: PretrainConfig, run: RunParams) -> None:
        """Open the sources and build the network."""
        cache = run.folder.parent / "cache"
        sources = tuple(
            open_source(s, "segment", BUILDING_CLASSES, cache) for s in config.data.sources
        )
        super().__init__(config, run, _build_denoiser(config), sources)
        self.config = config
        low, high = config.data.resolution_range_m
        cropper = Cropper(config.data.crop_px, low, high, config.augment.rotate)
        self.mixer = CropMixer(sources, cropper, config.augment)
        self.process = NoiseProcess("gaussian", make_schedule("ddpm"))

    def loss(self, strength: float) -> Tensor:
        """Draw a batch, add noise, compare what the network gives with what was there."""
        images, _ = self.mixer.batch(self.options.batch_size, self.rng, strength)
        t = draw_timesteps(len(images), self.config.timestep_power, self.generator)
        eps = torch.randn(images.shape, generator=self.generator)
        found = self.forward(self.process.mix(images, t, eps), t)
        target = eps if self.config.prediction == "epsilon" else images
        return functional.mse_loss(found, target.to(self.device))


def pretrain(
    config_path: Path, run: RunParams, *, out: Path, progress: Progress | None = None
) -> PretrainSummary:
    """Pretrain, and write network, record, learning curve and a picture of samples.

    Args:
        config_path: YAML configuration.
        run: folder of the run's state, resume, time limit, device.
        out: receives `<id>/`, a folder that `init_from` of a training configuration takes.
        progress: told as training goes on.

    Returns:
        Where the network is and how far the run came.

    Raises:
        ConfigError: the configuration is wrong.
        DatasetError: a source lacks files.
    """
    config = read_strict(config_path, PretrainConfig)
    trainer = Pretrainer(config, run)
    result = trainer.train(progress=progress)
    folder = out / config.id
    summary = PretrainSummary(folder, result.steps, result.minutes, result.finished)
    if not run.group.is_first:
        return summary
    save_network(folder, result.model, fp16_weights(result.model))
    curve = run.folder / "curve.csv"
    if curve.exists():
        write_bytes(folder / "curve.csv", curve.read_bytes())
    write_bytes(folder / SAMPLES_FILE, encode_png(_sheet(config, result.model.to(trainer.device))))
    losses = [float(row["loss"]) for row in read_curve(curve)[-LAST_ROWS:]]
    record = {
        "id": config.id,
        "config": f"{config_path.parent.name}/{config_path.name}",
        "config_sha256": trainer.digest,
        "prediction": config.prediction,
        "steps": result.steps,
        "samples": trainer.samples,
        "minutes": round(result.minutes, 1),
        "loss": round(float(np.mean(losses)), 5) if losses else None,
        "seed": config.seed,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "license": config.license,
        "data": [asdict(source.credit) for source in result.sources],
    }
    write_bytes(
        folder / PRETRAINING, (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode()
    )
    return summary


def _build_denoiser(config: PretrainConfig) -> Noise2Map:
    """Build the network that gives three bands in place of classes."""
    choice = config.network
    assert choice.variant == "compact" or choice.variant == "paper"
    network = NetworkConfig(
        choice.variant,
        in_channels=BANDS,
        classes=BANDS,
        time_conditioning=choice.time_conditioning,
        overrides=full_settings(choice.variant, choice.overrides),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)  # initial weights only: the fork gives the state back
        return Noise2Map(network)


def _sheet(config: PretrainConfig, model: AbstractNetwork) -> Picture:
    """Draw samples side by side, uint8 [crop, SAMPLES * crop, 3]."""
    side = config.data.crop_px
    x_T = torch.randn(  # noqa: N806 - the papers' symbol
        (SAMPLES, BANDS, side, side), generator=torch.Generator().manual_seed(config.seed)
    )
    x_T = x_T.to(next(model.parameters()).device)  # noqa: N806
    with torch.inference_mode():
        images = sample(model, x_T, prediction=config.prediction, steps=SAMPLING_STEPS)
    pixels = ((images + 1) * 127.5).round().to(torch.uint8)
    return np.concatenate(list(pixels.permute(0, 2, 3, 1).cpu().numpy()), axis=1)
