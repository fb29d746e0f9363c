"""Several processes that learn one network together, one a GPU, as `torchrun` starts them.

Every process draws its own crops, `DistributedDataParallel` averages the gradients. The first one
alone validates, keeps the run's state, and writes the checkpoint.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

State = TypeVar("State")

PATIENCE = datetime.timedelta(hours=4)
"""How long processes wait for each other: the first one validates while the others do."""


@dataclass(frozen=True)
class Group:
    """The processes of a run; without `torchrun` one alone.

    Attributes:
        rank: of this process, 0 for the first.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process validates and writes."""
        return self.rank == 0

    def seed(self, seed: int) -> int:
        """Give this process its own seed; the first one has the run's."""
        return seed + 1_000_003 * self.rank

    def together(self, learner: nn.Module) -> nn.Module:
        """Have all processes learn with the mean of their gradients."""
        if self.size == 1:
            return learner
        # A step may leave a part of a network out: a task's head, the way of one pass.
        return DistributedDataParallel(learner, find_unused_parameters=True)

    def agreed(self, *flags: bool) -> tuple[bool, ...]:
        """What the first process says, in every process."""
        if self.size == 1:
            return flags
        said = [flags]
        dist.broadcast_object_list(said, src=0)
        return said[0]

    def gathered(self, own: State) -> list[State]:
        """What every process has, in order of ranks, in every process."""
        every = [own] * self.size
        if self.size == 1:
            return every
        dist.all_gather_object(every, own)
        return every


class Learner(nn.Module):
    """A loss as a module around what it learns, as `DistributedDataParallel` wants it."""

    def __init__(self, loss: Callable[[float], Tensor], *learned: nn.Module) -> None:
        """Wrap a loss; `learned` holds every weight that gradients flow to."""
        super().__init__()
        self._loss = loss
        self.learned = nn.ModuleList(learned)

    def forward(self, strength: float) -> Tensor:
        """Draw a batch and give its loss; `strength` as for `AbstractTrainer.loss`."""
        return self._loss(strength)


@contextlib.contextmanager
def joined(device: str) -> Iterator[tuple[Group, str]]:
    """Join the processes that `torchrun` started, for the length of a `with`; alone without it.

    Args:
        device: "cpu" or "cuda"; every process of a machine gets a GPU of its own.

    Yields:
        The group, and the device of this process.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Group(), device
        return
    is_gpu = device.startswith("cuda")
    if is_gpu:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if is_gpu else "gloo", timeout=PATIENCE)
    try:
        yield Group(dist.get_rank(), size), device
    finally:
        dist.destroy_process_group()
