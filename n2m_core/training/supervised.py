"""Supervised training of Noise2Map: a timestep a sample, x_t in, class-weighted loss out.

Paper: Shibli, Nascetti, Ban, "Noise2Map", IEEE TGRS 2026, arXiv 2604.27889.

Deviations from the paper: AdamW with warm-up, cosine and averaged weights in place of plain Adam;
augmentation; optional Dice share; timesteps can be drawn with more weight on the clean end, since
above t = 600 little of the image is left to learn from, and can start all clean.
"""

from __future__ import annotations

import io
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from n2m_core.atomic import write_bytes
from n2m_core.checkpoints import load
from n2m_core.diffusion.noise import TIMESTEPS, NoiseProcess, make_schedule
from n2m_core.errors import CheckpointError, ConfigError
from n2m_core.geo_image import Progress
from n2m_core.models.backbone import adopted_settings, full_settings, open_backbone
from n2m_core.models.noise2map import NetworkConfig, Noise2Map, channels_last
from n2m_core.models.released import load_released
from n2m_core.training.config import TrainConfig
from n2m_core.training.crops import Cropper
from n2m_core.training.curves import Curve
from n2m_core.training.losses import supervised_loss
from n2m_core.training.sources import AbstractSource, CropMixer, open_source

SAVE_EVERY_S = 120.0
STATE = "state.pt"

Validator = Callable[[Noise2Map, int], dict[str, float]]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunParams:
    """How long to run, where, and whether to go on from a saved state."""

    folder: Path
    resume: bool = False
    max_minutes: float | None = None
    device: str = "cpu"


@dataclass(frozen=True, eq=False)
class TrainResult:
    """The averaged network after the run; `finished` is False when time ran out first."""

    model: Noise2Map
    steps: int
    minutes: float
    finished: bool
    sources: tuple[AbstractSource, ...]


def draw_timesteps(
    count: int, power: float, generator: torch.Generator, reach: float = 1.0
) -> Tensor:
    """Draw t = floor(1000 reach u^power), u uniform.

    Args:
        count: how many.
        power: 1 for uniform; more prefers small t.
        generator: decides.
        reach: share of the timesteps that can be drawn, 0..1.

    Returns:
        int64 [count] in 0..999.
    """
    u = torch.rand(count, generator=generator)
    return (TIMESTEPS * reach * u**power).long().clamp_(max=TIMESTEPS - 1)


class Trainer:
    """One training run that can be stopped and resumed at any step."""

    def __init__(self, config: TrainConfig, run: RunParams) -> None:
        """Open the sources and build the network."""
        self.config, self.run = config, run
        self.device = torch.device(run.device)
        cache = run.folder.parent / "cache"
        self.sources = tuple(
            open_source(s, config.task, config.classes, cache) for s in config.data.sources
        )
        low, high = config.data.resolution_range_m
        cropper = Cropper(config.data.crop_px, low, high, config.augment.rotate)
        self.mixer = CropMixer(self.sources, cropper, config.augment)
        self.process = NoiseProcess(config.noise.process, make_schedule(config.noise.schedule))
        self.generator = torch.Generator().manual_seed(config.seed)
        self.rng = np.random.default_rng(config.seed)
        self.model = channels_last(self._build()).to(self.device)
        self.average = AveragedModel(
            self.model,
            multi_avg_fn=get_ema_multi_avg_fn(config.optimizer.ema_decay),  # type: ignore[no-untyped-call]
        )
        opt = config.optimizer
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=opt.learning_rate, weight_decay=opt.weight_decay, fused=True
        )
        self.weights = torch.tensor(config.loss.class_weights, device=self.device)
        self.step, self.seconds = 0, 0.0

    def _build(self) -> Noise2Map:
        """Build the network, with the weights that the configuration starts from."""
        config, choice = self.config, self.config.network
        backbone = choice.backbone_from and open_backbone(choice.backbone_from)
        overrides = choice.overrides
        if backbone:
            overrides = adopted_settings(backbone, overrides, choice.backbone_from or "")
        network = NetworkConfig(
            choice.variant,
            in_channels=6 if config.task == "change" else 3,
            classes=len(config.classes),
            time_conditioning=choice.time_conditioning,
            # Spelled out, so that the weights stay readable when the defaults move on.
            overrides=full_settings(choice.variant, overrides),
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)  # initial weights only: the fork gives the state back
            model = Noise2Map(network)
        if backbone:
            model.backbone.load_state_dict(backbone.state_dict())
        if config.init_from and config.init_from.endswith(".pth"):
            load_released(model, Path(config.init_from))
        elif config.init_from:
            taken = take_weights(model, load(config.init_from, device="cpu").model)
            _log.info("%d of %d tensors from %s", *taken, config.init_from)
        return model

    def train(
        self, validate: Validator | None = None, progress: Progress | None = None
    ) -> TrainResult:
        """Run until the last step or until time is up.

        Args:
            validate: scores the averaged network every so many steps.
            progress: called with (step, steps, note); may raise to stop.

        Returns:
            The averaged network.

        Raises:
            ConfigError: the saved state is of another run.
        """
        if self.run.resume:
            self._load_state()
        curve = Curve(self.run.folder / "curve.csv", self.step)
        scores = Curve(self.run.folder / "validation.csv", self.step)
        every = min((v.every for v in self.config.validation), default=0)
        started = saved = time.monotonic()
        before = self.seconds
        self.model.train()
        while self.step < self.config.optimizer.steps:
            loss = self._one_step()
            self.step += 1
            now = time.monotonic()
            self.seconds = before + now - started
            if self.step % 20 == 0:
                row = {"step": self.step, "loss": loss, "rate": self._rate(), "s": self.seconds}
                curve.add(row)
                if progress:
                    progress(self.step, self.config.optimizer.steps, f"loss {loss:.3f}")
            if validate and every and self.step % every == 0:
                scores.add({"step": self.step, **validate(self.averaged(), self.step)})
            if now - saved > SAVE_EVERY_S:
                self.save_state()
                saved = now
            if self.run.max_minutes is not None and now - started > 60 * self.run.max_minutes:
                break
        self.save_state()
        finished = self.step >= self.config.optimizer.steps
        return TrainResult(self.averaged(), self.step, self.seconds / 60, finished, self.sources)

    def _rate(self) -> float:
        """Learning rate of this step: linear warm-up, then a cosine to zero."""
        opt = self.config.optimizer
        warm = min(1.0, (self.step + 1) / max(opt.warmup_steps, 1))
        return opt.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * self.step / opt.steps))

    def _one_step(self) -> float:
        """Draw a batch, mix x_t, learn."""
        opt = self.config.optimizer
        strength = min(1.0, self.step / opt.ease_in_steps) if opt.ease_in_steps else 1.0
        images, labels = self.mixer.batch(opt.batch_size, self.rng, strength)
        power = self.config.noise.timestep_power
        t = draw_timesteps(len(images), power, self.generator, strength)
        draw = torch.randn(images.shape, generator=self.generator)
        x_t = self.process.mix(images, t, self.process.noise_for(images, draw))
        x_t = x_t.to(self.device, memory_format=torch.channels_last)
        with torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.device.type == "cuda"
        ):
            logits = self.model(x_t, t.to(self.device))
        labels = labels.to(self.device)
        loss = supervised_loss(logits.float(), labels, self.weights, self.config.loss.dice)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), opt.clip_norm)
        self.optimizer.step()
        self.average.update_parameters(self.model)
        return float(loss.detach())

    def averaged(self) -> Noise2Map:
        """Give a copy of the averaged network, rounded to fp16 as it will be stored."""
        model = Noise2Map(self.model.config)
        state = self.average.module.state_dict()
        model.load_state_dict({k: v.cpu().half().float() for k, v in state.items()})
        model.eval().requires_grad_(False)
        return channels_last(model)

    def save_state(self) -> None:
        """Write everything a resumed run needs, whole or not at all."""
        buffer = io.BytesIO()
        torch.save(
            {
                "id": self.config.id,
                "step": self.step,
                "seconds": self.seconds,
                "model": self.model.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "generator": self.generator.get_state(),
                "rng": self.rng.bit_generator.state,
            },
            buffer,
        )
        write_bytes(self.run.folder / STATE, buffer.getvalue())

    def _load_state(self) -> None:
        """Go on from the saved state, or start anew when there is none."""
        path = self.run.folder / STATE
        if not path.exists():
            _log.warning("nothing to resume in %s; starting at step 0", self.run.folder)
            return
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if state["id"] != self.config.id:
            raise ConfigError(
                f"{path} belongs to '{state['id']}', not to '{self.config.id}'; "
                "use another run folder."
            )
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.rng.bit_generator.state = state["rng"]
        self.step, self.seconds = int(state["step"]), float(state["seconds"])


def take_weights(model: Noise2Map, other: Noise2Map) -> tuple[int, int]:
    """Copy every tensor of another network that has the same name and shape.

    Single-date kernels enter a two-date network on both dates, with opposite signs: at first it
    looks at the difference.

    Args:
        model: changed in place.
        other: where the weights come from.

    Returns:
        (tensors taken, tensors in all).

    Raises:
        CheckpointError: not one tensor fits.
    """
    state, source = model.state_dict(), other.state_dict()
    taken = 0
    for name, tensor in state.items():
        value = source.get(name)
        if value is None:
            continue
        if value.shape == tensor.shape:
            tensor.copy_(value)
        elif value.ndim == 4 and tensor.shape[1] == 2 * value.shape[1]:
            tensor.copy_(torch.cat([-value, value], dim=1))
        else:
            continue
        taken += 1
    if not taken:
        raise CheckpointError("The weights to start from fit this network nowhere.")
    return taken, len(state)
