"""Supervised training: a timestep a sample, x_t in, class-weighted loss out.

Noise2Map and its peers go through the same loop; a peer is given clean images (process none). So
is a refiner of one pass, with a corrupted truth as further bands.

Paper: Shibli, Nascetti, Ban, "Noise2Map", IEEE TGRS 2026, arXiv 2604.27889.

Deviations from the paper: AdamW or Muon with warm-up, cosine and averaged weights in place of plain
Adam; augmentation; optional Dice share; timesteps can be drawn with more weight on the clean end,
since above t = 600 little of the image is left to learn from, and can start all clean.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from n2m_core.checkpoints import Task, load, network_for
from n2m_core.corruption import corrupt
from n2m_core.diffusion.noise import TIMESTEPS, NoiseProcess, make_schedule
from n2m_core.errors import CheckpointError, ConfigError
from n2m_core.models.backbone import adopted_settings, full_settings, open_backbone
from n2m_core.models.building import build
from n2m_core.models.multitask import MultiTask
from n2m_core.models.network import PEERS, AbstractNetwork, NetworkConfig
from n2m_core.models.noise2map import Noise2Map
from n2m_core.models.peers.ddpm_cd import FrozenFeatureDetector
from n2m_core.models.released import load_released
from n2m_core.models.storing import load_network
from n2m_core.tasks.one_pass import rough_planes
from n2m_core.training.config import TrainConfig
from n2m_core.training.crops import Cropper, Rng
from n2m_core.training.loop import AbstractTrainer, RunParams
from n2m_core.training.losses import supervised_loss
from n2m_core.training.sources import CropMixer, open_source, shared_labels

_log = logging.getLogger(__name__)


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


class Exercise:
    """What there is to learn for a task: its crops, its noise process and its loss."""

    def __init__(self, config: TrainConfig, cache: Path) -> None:
        """Open the sources; `cache` keeps scenes that were made before."""
        self.config = config
        opened = (open_source(s, config.task, config.classes, cache) for s in config.data.sources)
        self.sources = shared_labels(tuple(opened), config.label_share, config.seed)
        low, high = config.data.resolution_range_m
        cropper = Cropper(config.data.crop_px, low, high, config.augment.rotate)
        self.mixer = CropMixer(self.sources, cropper, config.augment)
        self.process = NoiseProcess(config.noise.process, make_schedule(config.noise.schedule))

    def batch(self, size: int, rng: Rng, strength: float) -> tuple[Tensor, Tensor]:
        """Draw crops, with a rough map beside each where the network is to refine one.

        Args:
            size: how many.
            rng: decides which, and how maps are corrupted.
            strength: share (0..1) of the full augmentation.

        Returns:
            What the network is shown, float32 [B, C, h, w] in [-1, 1], and int64 [B, h, w].
        """
        images, labels = self.mixer.batch(size, rng, strength)
        if self.config.rough is None:
            return images, labels
        classes, options = len(self.config.classes), self.config.rough
        rough = [corrupt(each.numpy(), classes, rng, params=options) for each in labels]
        planes = np.stack([rough_planes(each, classes) for each in rough])
        return torch.cat([images, torch.from_numpy(planes).float() / 127.5 - 1], dim=1), labels

    def loss(self, trainer: AbstractTrainer[AbstractNetwork], strength: float) -> Tensor:
        """Draw a batch, mix x_t, compare the trained network's maps with the labels."""
        images, labels = self.batch(trainer.options.batch_size, trainer.rng, strength)
        power = self.config.noise.timestep_power
        t = draw_timesteps(len(images), power, trainer.generator, strength)
        draw = torch.randn(images.shape, generator=trainer.generator)
        x_t = self.process.mix(images, t, self.process.noise_for(images, draw))
        logits = trainer.forward(x_t, t)
        weights = torch.tensor(self.config.loss.class_weights, device=logits.device)
        return supervised_loss(logits, labels.to(logits.device), weights, self.config.loss.dice)


class Trainer(AbstractTrainer[AbstractNetwork]):
    """Learns maps from labelled crops."""

    def __init__(self, config: TrainConfig, run: RunParams) -> None:
        """Open the sources and build the network."""
        self.exercise = Exercise(config, run.folder.parent / "cache")
        sources = self.exercise.sources
        model = build_network(config)
        start = config.init_from or config.network.backbone_from
        super().__init__(config, run, model, sources, starts_from=start)
        self.config, self.mixer = config, self.exercise.mixer

    def loss(self, strength: float) -> Tensor:
        """Draw a batch, mix x_t, compare the maps with the labels."""
        return self.exercise.loss(self, strength)


def build_network(config: TrainConfig) -> AbstractNetwork:
    """Build the network, with the weights that the configuration starts from.

    Raises:
        CheckpointError: those weights can't be read, or don't fit.
        ConfigError: the authors' weights are to start a peer.
        ParameterError: a peer's settings are unknown, or it is of another task.
    """
    variant = config.network.variant
    model = _peer(config) if variant in PEERS else build_noise2map(config)
    if config.init_from and config.init_from.endswith(".pth"):
        if not isinstance(model, Noise2Map):
            raise ConfigError(
                f"{config.init_from} holds weights of Noise2Map, network.variant is {variant}; "
                "leave init_from out."
            )
        load_released(model, Path(config.init_from))
    elif config.init_from:
        shown = len(config.classes) if config.rough else 0
        start = _network_named(config.init_from, config.task)
        taken = take_weights(model, start, added_bands=shown)
        _log.info("%d of %d tensors from %s", *taken, config.init_from)
    return model


def build_noise2map(config: TrainConfig, pair_classes: int | None = None) -> AbstractNetwork:
    """Build Noise2Map, perhaps around another's backbone.

    Args:
        config: of a task; of segmentation, where the network is to serve pairs as well.
        pair_classes: number of classes of pairs then.

    Raises:
        CheckpointError: the backbone can't be read, or is another than asked for.
    """
    choice = config.network
    variant = choice.variant
    assert variant == "compact" or variant == "paper"
    backbone = choice.backbone_from and open_backbone(choice.backbone_from)
    overrides = choice.overrides
    if backbone:
        overrides = adopted_settings(backbone, overrides, choice.backbone_from or "")
    network = NetworkConfig(
        variant,
        in_channels=_channels(config),
        classes=len(config.classes),
        time_conditioning=choice.time_conditioning,
        # Spelled out, so that the weights stay readable when the defaults move on.
        overrides=full_settings(variant, overrides),
        shares_dates=choice.shares_dates,
        pair_classes=pair_classes,
    )
    model = _seeded(network, config.seed)
    assert isinstance(model, Noise2Map | MultiTask)
    if backbone:
        model.backbone.load_state_dict(backbone.state_dict())
    return model


def _peer(config: TrainConfig) -> AbstractNetwork:
    """Build a peer; DDPM-CD's takes the pretrained denoiser in."""
    choice = config.network
    overrides = dict(choice.overrides)
    denoiser = load_network(Path(choice.backbone_from)) if choice.backbone_from else None
    if denoiser:
        overrides["denoiser"] = denoiser.config.to_dict()
    network = NetworkConfig(
        choice.variant, _channels(config), len(config.classes), overrides=overrides
    )
    model = _seeded(network, config.seed)
    if denoiser and isinstance(model, FrozenFeatureDetector):
        model.take_denoiser(denoiser)
    return model


def _channels(config: TrainConfig) -> int:
    """Bands of the input, both dates and a rough map's classes counted."""
    shown = len(config.classes) if config.rough else 0
    return 6 if config.task == "change" else 3 + shown


def _seeded(network: NetworkConfig, seed: int) -> AbstractNetwork:
    """Build a network whose first weights the seed decides."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # initial weights only: the fork gives the state back
        return build(network)


def _network_named(name: str, task: Task) -> AbstractNetwork:
    """Load the network of a checkpoint, or of a folder that pretraining wrote.

    Where it serves both tasks, it is given as the network of `task`.
    """
    folder = Path(name)
    if folder.is_dir():
        return network_for(task, load_network(folder))
    return load(name, task, device="cpu").model


def take_weights(model: nn.Module, other: nn.Module, *, added_bands: int = 0) -> tuple[int, int]:
    """Copy every tensor of another network that fits, by name and shape.

    A single-date kernel enters a network that takes both dates together on both of them, with
    opposite signs: at first it looks at the difference. Where each date has its own pass, the
    classifier of buildings becomes one of buildings that came and went. A kernel that also sees the
    bands of a rough map makes nothing of them at first.

    Args:
        model: changed in place.
        other: where the weights come from.
        added_bands: bands of a rough map that the network sees and the other does not.

    Returns:
        (tensors taken, tensors in all).

    Raises:
        CheckpointError: not one tensor fits.
    """
    state, source = model.state_dict(), other.state_dict()
    taken = 0
    for name, tensor in state.items():
        value = _fitted(name, source[name], tensor.shape, added_bands) if name in source else None
        if value is not None:
            tensor.copy_(value)
            taken += 1
    if not taken:
        raise CheckpointError("The weights to start from fit this network nowhere.")
    return taken, len(state)


def _fitted(name: str, value: Tensor, shape: torch.Size, added_bands: int) -> Tensor | None:
    """Give a tensor in the shape of its namesake, None where there is no way."""
    if value.shape == shape:
        return value
    if value.ndim != 4:
        return None
    if added_bands:
        outputs, inputs, *kernel = value.shape
        if shape != (outputs, inputs + added_bands, *kernel):
            return None
        return torch.cat([value, value.new_zeros(outputs, added_bands, *kernel)], dim=1)
    if shape[1] != 2 * value.shape[1]:
        return None
    if not name.startswith("head.logits"):
        return torch.cat([-value, value], dim=1) if shape[0] == value.shape[0] else None
    if (value.shape[0], shape[0]) == (2, 3):
        gain = value[1:] - value[:1]  # for a building, in one date
        built = torch.cat([-gain, gain], dim=1)
        return torch.cat([torch.zeros_like(built), built, -built])
    return None
