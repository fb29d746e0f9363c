"""One network for segmentation and change: a batch of each task a step, their losses balanced.

Papers: Shibli, Nascetti, Ban, "Noise2Map", IEEE TGRS 2026, arXiv 2604.27889; Kendall, Gal, Cipolla,
"Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and Semantics", CVPR 2018,
arXiv 1705.07115.

Symbols:
    L_k  loss of task k
    s_k  log sigma_k^2, the learned log variance of task k; its weight is exp(-s_k)

Each task keeps its own noise process, timesteps, crops, classes and loss.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from n2m_core.checkpoints import Task, load, network_for
from n2m_core.errors import ConfigError
from n2m_core.geo_image import Progress
from n2m_core.models.multitask import MultiTask
from n2m_core.models.network import PEERS, AbstractNetwork
from n2m_core.models.storing import load_network
from n2m_core.training.config import (
    NetworkChoice,
    OptimizerConfig,
    TrainConfig,
    load_config,
)
from n2m_core.training.loop import AbstractTrainer, RunParams
from n2m_core.training.runner import TrainSummary, run_exercises
from n2m_core.training.strict_yaml import read_entry, read_seeded
from n2m_core.training.supervised import Exercise, build_noise2map, take_weights

TASKS: tuple[Task, ...] = ("segment", "change")


@dataclass(frozen=True)
class TaskFiles:
    """Configurations of the tasks, files beside this one.

    Sources, classes, noise, loss, augmentation, inference and validation are theirs.
    """

    segment: str
    change: str


@dataclass(frozen=True)
class BalanceConfig:
    """Weights of the tasks' losses.

    Attributes:
        kind: fixed, or learned as uncertainties from these weights on.
        segment: weight of segmentation.
        change: weight of change.
    """

    kind: Literal["fixed", "learned"] = "learned"
    segment: float = 1.0
    change: float = 1.0


@dataclass(frozen=True)
class MultiTaskConfig:
    """Everything that decides a run of both tasks.

    Attributes:
        title: stands before the title of each task on its card.
        tasks: where all that belongs to one task alone is written.
        network: Noise2Map's size; both dates of a pair always share the backbone.
        leave_out: names of sources that are not learned from, since what one task trains on may be
            what the other is validated on.
        optimizer: steps and rates; `batch_size` samples of each task make a step.
        init_from: whose weights stem, backbone and heads start from, as in a run of one task.
    """

    id: str
    title: str
    tasks: TaskFiles
    license: str
    limits: str
    optimizer: OptimizerConfig
    balance: BalanceConfig = BalanceConfig()
    network: NetworkChoice = field(default_factory=NetworkChoice)
    leave_out: tuple[str, ...] = ()
    init_from: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what types alone can't say.

        Raises:
            ConfigError: a peer is to learn both tasks, a weight is no positive number, or two
                starts are named.
        """
        if self.network.variant in PEERS:
            raise ConfigError(
                f"Network {self.network.variant} learns one task; set network.variant to compact "
                "or paper."
            )
        if min(self.balance.segment, self.balance.change) <= 0:
            raise ConfigError(
                f"balance has the weights {self.balance.segment} and {self.balance.change}; both "
                "must be above 0. For one task alone use its own configuration."
            )
        if self.init_from and self.network.backbone_from:
            raise ConfigError(
                "Both init_from and network.backbone_from are given; the first already holds a "
                "backbone. Give one of them."
            )

    def parts(self, folder: Path) -> dict[Task, TrainConfig]:
        """Give the configurations of all tasks within this run; `folder` holds their files.

        Raises:
            ConfigError: a task's file can't be read or is of the other task, or a source that is to
                be left out is in neither.
        """
        parts = {task: self.part(task, folder) for task in TASKS}
        files = (self.tasks.segment, self.tasks.change)
        known = {s.name for file in files for s in load_config(folder / file).data.sources}
        unknown = [name for name in self.leave_out if name not in known]
        if unknown:
            raise ConfigError(
                f"leave_out names {unknown[0]}, which is no source; there are "
                f"{', '.join(sorted(known))}."
            )
        return parts

    def part(self, task: Task, folder: Path) -> TrainConfig:
        """Give the configuration of a task within this run.

        Args:
            task: which.
            folder: holds this configuration and those of the tasks.

        Raises:
            ConfigError: the task's file can't be read, or is of the other task.
        """
        path = folder / (self.tasks.segment if task == "segment" else self.tasks.change)
        own = load_config(path)
        if own.task != task:
            raise ConfigError(f"tasks.{task} names {path.name}, which is for {own.task}.")
        sources = tuple(s for s in own.data.sources if s.name not in self.leave_out)
        return dataclasses.replace(
            own,
            id=self.id,
            title=f"{self.title}: {own.title}",
            license=self.license,
            limits=self.limits,
            network=self.network,
            optimizer=self.optimizer,
            data=dataclasses.replace(own.data, sources=sources),
            init_from=self.init_from,
            twin=None,
            seed=self.seed,
        )


class LossBalance(nn.Module):
    """Adds the tasks' losses up, by fixed weights or by learned uncertainties."""

    def __init__(self, weights: Mapping[str, float], *, is_learned: bool) -> None:
        """Start from these weights."""
        super().__init__()
        self.tasks = tuple(weights)
        log_variances = -torch.tensor(list(weights.values())).log()
        self.log_variances = nn.Parameter(log_variances, requires_grad=is_learned)

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each task's loss as it is now, exp(-s_k)."""
        found = (-self.log_variances.detach()).exp().tolist()
        return dict(zip(self.tasks, found, strict=True))

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Give sum_k exp(-s_k) L_k, and where s_k is learned + s_k / 2 (Kendall et al., eq. 10).

        Args:
            losses: a scalar of each task.

        Returns:
            Scalar. The learned weights come to rest at 1 / (2 L_k).
        """
        each = torch.stack([losses[task] for task in self.tasks])
        total = (each * (-self.log_variances).exp()).sum()
        if self.log_variances.requires_grad:
            total = total + 0.5 * self.log_variances.sum()
        return total


class MultiTaskTrainer(AbstractTrainer[AbstractNetwork]):
    """Learns both tasks, a batch of each a step."""

    def __init__(self, config: MultiTaskConfig, folder: Path, run: RunParams) -> None:
        """Open the sources of both tasks and build the network; `folder` holds the tasks' files."""
        cache = run.folder.parent / "cache"
        parts = config.parts(folder)
        self.exercises = {task: Exercise(part, cache) for task, part in parts.items()}
        balance = {"segment": config.balance.segment, "change": config.balance.change}
        self.balance = LossBalance(balance, is_learned=config.balance.kind == "learned")
        super().__init__(
            config,
            run,
            build_multitask(parts["segment"], parts["change"]),
            tuple(s for exercise in self.exercises.values() for s in exercise.sources),
            beside=self.balance,
            parts=tuple(parts.values()),
            starts_from=config.init_from or config.network.backbone_from,
        )

    def loss(self, strength: float) -> Tensor:
        """Learn from a batch of each task."""
        losses = {task: each.loss(self, strength) for task, each in self.exercises.items()}
        self.told = {f"loss_{task}": float(loss.detach()) for task, loss in losses.items()}
        self.told |= {f"weight_{task}": value for task, value in self.balance.weights.items()}
        return torch.as_tensor(self.balance(losses))


def build_multitask(segment: TrainConfig, change: TrainConfig) -> MultiTask:
    """Build the network of both tasks, with the weights that it starts from.

    Raises:
        CheckpointError: those weights can't be read, or don't fit.
    """
    model = build_noise2map(segment, pair_classes=len(change.classes))
    assert isinstance(model, MultiTask)
    if segment.init_from:
        folder = Path(segment.init_from)
        for task in TASKS:
            other = (
                network_for(task, load_network(folder))
                if folder.is_dir()
                else load(segment.init_from, task, device="cpu").model
            )
            take_weights(network_for(task, model), other)
    return model


def is_multitask(config_path: Path) -> bool:
    """Whether a training configuration is one of both tasks.

    Raises:
        ConfigError: the file can't be read.
    """
    return read_entry(config_path, "tasks") is not None


def load_multitask(config_path: Path, *, seed: int | None = None) -> MultiTaskConfig:
    """Read a configuration of both tasks; `seed` as in `load_config`.

    Raises:
        ConfigError: the file can't be read, or a key or value is wrong.
    """
    return read_seeded(config_path, MultiTaskConfig, seed)


def load_part(config_path: Path, task: Task) -> TrainConfig:
    """Read what a configuration says of a task, be it of that one or of both.

    Raises:
        ConfigError: the file can't be read, or a key or value is wrong.
    """
    if is_multitask(config_path):
        return load_multitask(config_path).part(task, config_path.parent)
    return load_config(config_path)


def train_multitask(
    config_path: Path,
    run: RunParams,
    *,
    checkpoints: Path,
    seed: int | None = None,
    progress: Progress | None = None,
) -> TrainSummary:
    """Train both tasks, validate each on the way, write one checkpoint with a card for each.

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
    """
    config = load_multitask(config_path, seed=seed)
    trainer = MultiTaskTrainer(config, config_path.parent, run)
    exercises = tuple(trainer.exercises.values())
    return run_exercises(exercises, trainer, config_path, checkpoints, progress)
