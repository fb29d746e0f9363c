"""Training configurations: YAML in, frozen dataclasses out, anything unknown refused."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from n2m_core.checkpoints import ClassInfo
from n2m_core.corruption import CorruptionParams
from n2m_core.datasets.base import Task
from n2m_core.datasets.opening import DatasetName
from n2m_core.diffusion.noise import TIMESTEPS, NoiseKind, ScheduleName
from n2m_core.errors import ConfigError
from n2m_core.models.network import PEERS, NetworkName
from n2m_core.scenes.scene import Style
from n2m_core.training.strict_yaml import read_seeded

SourceKind = Literal[
    "folder",
    "xyz",
    "dataset",
    "images",
    "scenes",
    "land_cover_scenes",
    "scene_pairs",
    "burnt_scenes",
    "label_pairs",
]

OptimizerKind = Literal["adamw", "muon"]


@dataclass(frozen=True)
class SourceConfig:
    """One source of labelled tiles.

    Attributes:
        kind: folder (plain folder), xyz (OpenAerialMap tiles, joined), dataset (any layout that
            `n2m evaluate` reads, named by `layout`), images (any images below a folder, without
            labels, for pretraining), scenes and land_cover_scenes (procedural),
            scene_pairs and burnt_scenes (two dates), label_pairs (pairs made from the single-date
            tiles of `root`).
        root: folder below $N2M_DATA or the working folder; none for scenes.
        weight: how often it is drawn, relative to the others.
        resolution_m: ground size of its pixels where the files don't say.
        style: of scenes.
        count: number of scenes made.
        only: keep the files whose stem starts with one of these.
        zoom: zoom level of xyz tiles to use.
        layout: how `dataset` and `label_pairs` read `root`: folder, xyz, whu, xview2, ...
        split: of `dataset` and `label_pairs`, such as train; none for `root` itself.
        focus: share of the crops that are laid around a target pixel (any class but the first),
            for targets so rare that random crops hardly ever show one.
        two_places: of `label_pairs`, share of the pairs made from two different places, where all
            differs and only buildings count; in the others one place is edited.
    """

    kind: SourceKind
    name: str
    licence: str
    attribution: str
    root: str = ""
    weight: float = 1.0
    resolution_m: float | None = None
    style: Style = "any"
    count: int = 0
    only: tuple[str, ...] = ()
    zoom: int | None = None
    layout: DatasetName = "folder"
    split: str | None = None
    focus: float = 0.0
    two_places: float = 0.3


@dataclass(frozen=True)
class DataConfig:
    """Crops: size in pixels and the range of ground resolutions they are drawn at."""

    sources: tuple[SourceConfig, ...]
    crop_px: int
    resolution_range_m: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: no source, no crop, or no range of resolutions.
        """
        if not self.sources:
            raise ConfigError("data.sources is empty; name at least one.")
        if self.crop_px < 1:
            raise ConfigError(f"data.crop_px is {self.crop_px}; at least 1 wanted.")
        low_high = self.resolution_range_m
        if len(low_high) != 2 or not 0 < low_high[0] <= low_high[1]:
            raise ConfigError(
                f"data.resolution_range_m is {list(low_high)}; give [smallest, largest] in metres."
            )


@dataclass(frozen=True)
class NoiseConfig:
    """The noise process of training.

    Attributes:
        timestep_power: t = floor(1000 u^power), u uniform; 1 is the paper's uniform draw, more
            spends the steps where something can still be seen.
    """

    process: NoiseKind
    schedule: ScheduleName = "ddpm"
    timestep_power: float = 1.0


@dataclass(frozen=True)
class InferenceConfig:
    """What the card says about making maps.

    Attributes:
        timestep: step that the network is told.
        mix: whether x_t is mixed at that step, or the clean image given.
        window_px: side of the windows that an image is cut into; the crops' side when None.
    """

    timestep: int = 0
    mix: bool = False
    window_px: int | None = None


@dataclass(frozen=True)
class NetworkChoice:
    """Which network to train.

    Attributes:
        variant: Noise2Map's size, or the name of a peer.
        backbone_from: of Noise2Map: a folder in diffusers format, or a Hugging Face repository with
            an optional subfolder (`owner/name/subfolder`), whose backbone the network starts from;
            of ddpm-cd: a folder that `n2m pretrain` wrote, whose network gives the features.
        overrides: entries of the backbone's diffusers configuration, or settings of the peer.
        shares_dates: whether both dates go through one backbone side by side; see `NetworkConfig`.
    """

    variant: NetworkName = "compact"
    time_conditioning: bool = True
    backbone_from: str | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    shares_dates: bool = False


@dataclass(frozen=True)
class OptimizerConfig:
    """Warm-up and a cosine to zero; weights are averaged (EMA).

    Attributes:
        kind: adamw, or muon, which learns the same in about half the steps.
        steps: that the cosine is laid out for.
        stop_at: step that a run ends at before the cosine does; None for all steps.
        ease_in_steps: noise and new colours grow from nothing to their full strength over that many
            steps; a network from scratch learns to see several times sooner on clean images.
    """

    steps: int
    batch_size: int
    kind: OptimizerKind = "adamw"
    stop_at: int | None = None
    ease_in_steps: int = 0
    learning_rate: float = 1e-4
    weight_decay: float = 0.01
    warmup_steps: int = 100
    ema_decay: float = 0.998
    clip_norm: float = 1.0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: no steps, no samples in a batch, or an end that is none.
        """
        if self.steps < 1 or self.batch_size < 1:
            raise ConfigError("optimizer.steps and optimizer.batch_size must be at least 1.")
        if self.stop_at is not None and not 1 <= self.stop_at <= self.steps:
            raise ConfigError(f"optimizer.stop_at is {self.stop_at}; 1 to {self.steps} wanted.")

    @property
    def last_step(self) -> int:
        """Steps that a finished run has taken."""
        return self.steps if self.stop_at is None else self.stop_at


@dataclass(frozen=True)
class LossConfig:
    """Class-weighted cross-entropy, and a share of soft Dice."""

    class_weights: tuple[float, ...]
    dice: float = 0.0


@dataclass(frozen=True)
class AugmentConfig:
    """Chances (0..1) of the augmentations."""

    rotate: float = 0.3
    color: float = 0.6
    style: float = 0.1
    gray: float = 0.02
    blur: float = 0.1
    noise: float = 0.1
    independent_dates: float = 0.7

    def eased(self, strength: float) -> AugmentConfig:
        """Give the chances of new colours at a share (0..1) of their full strength."""
        names = ("color", "style", "gray", "blur", "noise")
        return dataclasses.replace(self, **{n: strength * getattr(self, n) for n in names})


def check_every(steps: int) -> None:
    """Check how many steps lie between two validations.

    Raises:
        ConfigError: fewer than one.
    """
    if steps < 1:
        raise ConfigError(f"validation.every is {steps}; 1 or more steps wanted.")


@dataclass(frozen=True)
class ValidationConfig:
    """A labelled set that scores the run; `only` keeps the samples whose name starts so."""

    name: str
    dataset: str
    root: str
    every: int
    only: tuple[str, ...] = ()
    split: str | None = None

    def __post_init__(self) -> None:
        """Check the range.

        Raises:
            ConfigError: it would never be looked at.
        """
        check_every(self.every)


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run.

    Attributes:
        init_from: whose weights the network starts from: id of a checkpoint, a folder that
            `n2m pretrain` wrote, or a `.pth` file of the authors' fine-tuned network.
        rough: shows the network a rough map beside the image, made by corruption of the truth: it
            learns to refine in one pass, see `tasks.one_pass`. None for a network of images alone.
        label_share: share (0..1] of every source's tiles that is learned from, chosen by the seed.
    """

    id: str
    title: str
    task: Task
    classes: tuple[ClassInfo, ...]
    resolution_m: float
    data: DataConfig
    noise: NoiseConfig
    optimizer: OptimizerConfig
    loss: LossConfig
    license: str
    limits: str
    network: NetworkChoice = NetworkChoice()
    inference: InferenceConfig = InferenceConfig()
    augment: AugmentConfig = AugmentConfig()
    validation: tuple[ValidationConfig, ...] = ()
    init_from: str | None = None
    rough: CorruptionParams | None = None
    twin: str | None = None
    label_share: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what types alone can't say.

        Raises:
            ConfigError: values contradict each other.
        """
        if len(self.loss.class_weights) != len(self.classes):
            raise ConfigError(
                f"loss.class_weights has {len(self.loss.class_weights)} values for "
                f"{len(self.classes)} classes; give one each."
            )
        if not 0 <= self.inference.timestep < TIMESTEPS:
            raise ConfigError(f"inference.timestep is {self.inference.timestep}; 0..999 wanted.")
        if self.init_from and self.network.backbone_from:
            raise ConfigError(
                "Both init_from and network.backbone_from are given; the first already holds a "
                "backbone. Give one of them."
            )
        if self.rough and (self.task != "segment" or self.noise.process != "none"):
            raise ConfigError(
                f"A rough map is refined for task segment with noise.process none, not for "
                f"{self.task} with {self.noise.process}. Change them, or leave rough out."
            )
        if not 0 < self.label_share <= 1:
            raise ConfigError(f"label_share is {self.label_share}; more than 0 and up to 1 wanted.")
        self._check_peer()

    def _check_peer(self) -> None:
        """Check that a peer is given what it can use."""
        name = self.network.variant
        if name not in PEERS:
            return
        if self.noise.process != "none":
            raise ConfigError(
                f"Network {name} knows no timestep, but noise.process is {self.noise.process}; "
                "set it to none."
            )
        if name == "ddpm-cd" and not self.network.backbone_from:
            raise ConfigError(
                "Network ddpm-cd reads the features of a pretrained denoiser; name the folder that "
                "n2m pretrain wrote in network.backbone_from."
            )
        if name != "ddpm-cd" and self.network.backbone_from:
            raise ConfigError(
                f"Network {name} starts from random weights; leave network.backbone_from out."
            )


def load_config(path: Path, *, seed: int | None = None) -> TrainConfig:
    """Read a training configuration.

    Args:
        path: a YAML file.
        seed: in place of the file's; the run and its checkpoint are then called `<id>-seed<seed>`.

    Returns:
        The configuration, every key known and every value of its type.

    Raises:
        ConfigError: the file can't be read, or a key or value is wrong.
    """
    return read_seeded(path, TrainConfig, seed)
