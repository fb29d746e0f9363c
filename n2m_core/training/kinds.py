"""Which kind of training a configuration asks for: the functions that read it and run it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from n2m_core.checkpoints import FUSION_TASK
from n2m_core.training import fuse_runner, multitask, refine_runner, runner
from n2m_core.training.config import load_config
from n2m_core.training.fuse_config import load_fuse_config
from n2m_core.training.refine_config import load_refine_config
from n2m_core.training.runner import TrainSummary
from n2m_core.training.strict_yaml import Seeded, digest_of, read_entry


@dataclass(frozen=True)
class TrainingKind:
    """How one kind of training is read and run.

    Attributes:
        load: reads a configuration strictly; takes the path and `seed`.
        train: runs it; takes the path, the `RunParams`, `checkpoints`, `seed` and `progress`.
        parts: configurations of single tasks within one that was read; takes it and its folder.
    """

    load: Callable[..., Seeded]
    train: Callable[..., TrainSummary]
    parts: Callable[[Any, Path], Sequence[object]] = lambda config, folder: ()

    def digest(self, path: Path, *, seed: int | None = None) -> str:
        """Name all in a configuration that decides the weights, as their card does.

        Raises:
            ConfigError: the file can't be read, or a key or value is wrong.
        """
        config = self.load(path, seed=seed)
        return digest_of(config, *self.parts(config, path.parent))


FUSION = TrainingKind(load_fuse_config, fuse_runner.train_fusion)
REFINEMENT = TrainingKind(load_refine_config, refine_runner.train)
MULTI_TASK = TrainingKind(
    multitask.load_multitask,
    multitask.train_multitask,
    lambda config, folder: tuple(config.parts(folder).values()),
)
SUPERVISED = TrainingKind(load_config, runner.train)


def kind_of(config_path: Path) -> TrainingKind:
    """Find the kind of training that a configuration asks for.

    Raises:
        ConfigError: the file can't be read.
    """
    task = read_entry(config_path, "task")
    if task == FUSION_TASK:
        return FUSION
    if task == "refine":
        return REFINEMENT
    return MULTI_TASK if multitask.is_multitask(config_path) else SUPERVISED
