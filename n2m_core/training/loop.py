"""The training loop of every paper: steps, averaged weights, saved state, learning curves.

AdamW or Muon with warm-up and a cosine to zero; a run broken off at any step and resumed gives the
same weights as one that never stopped.
"""

from __future__ import annotations

import copy
import io
import logging
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from n2m_core.atomic import write_bytes
from n2m_core.errors import ConfigError
from n2m_core.geo_image import Progress
from n2m_core.lineage import DataCredit, TrainingStage
from n2m_core.models.network import channels_last
from n2m_core.training.config import OptimizerConfig
from n2m_core.training.curves import Curve
from n2m_core.training.muon import Muon
from n2m_core.training.processes import Group, Learner
from n2m_core.training.run_state import STATE, goes_on
from n2m_core.training.starts import stages_of
from n2m_core.training.strict_yaml import Seeded, digest_of

SAVE_EVERY_S = 120.0
CURVE_EVERY = 20
BESIDE_RATE = 20.0
"""How much faster than a network what is learned beside it goes: a few hundred steps at a network's
rate would leave a balance of losses where it began."""

Network = TypeVar("Network", bound=nn.Module)
Validator = Callable[[Network, int], dict[str, float]]

_log = logging.getLogger(__name__)


class RunConfig(Seeded, Protocol):
    """What every configuration of a run has."""

    @property
    def optimizer(self) -> OptimizerConfig:
        """Steps and rates."""


class Credited(Protocol):
    """A source of training data that says whom to credit."""

    @property
    def credit(self) -> DataCredit:
        """What the card says about it."""


@dataclass(frozen=True)
class RunParams:
    """How long to run, where, with whom, and whether to go on from a saved state.

    Attributes:
        folder: keeps the run's state and curves.
        resume: go on from what the folder keeps; else it is replaced.
        max_minutes: stop after so long; None for no limit.
        device: where the network lies.
        group: processes of the run.
        renews: with `resume`, begin anew where the configuration has changed since.
    """

    folder: Path
    resume: bool = False
    max_minutes: float | None = None
    device: str = "cpu"
    group: Group = field(default_factory=Group)
    renews: bool = False

    def goes_on(self, name: str, config_sha256: str, before: Sequence[TrainingStage]) -> bool:
        """Whether the run of that name, configuration and start goes on from a saved state.

        Raises:
            ConfigError: it is to, and the state is not its own.
        """
        return self.resume and goes_on(self.folder, name, config_sha256, before, renews=self.renews)


@dataclass(frozen=True, eq=False)
class TrainResult(Generic[Network]):
    """The averaged network after the run; `finished` is False when time ran out first."""

    model: Network
    steps: int
    minutes: float
    finished: bool
    sources: tuple[Credited, ...]


def build_optimizer(model: nn.Module, options: OptimizerConfig) -> torch.optim.Optimizer:
    """Give the optimiser that a configuration names."""
    learned = [each for each in model.parameters() if each.requires_grad]
    rate, decay = options.learning_rate, options.weight_decay
    if options.kind == "muon":
        return Muon(learned, lr=rate, weight_decay=decay)
    return torch.optim.AdamW(learned, lr=rate, weight_decay=decay, fused=True)


@dataclass(frozen=True)
class _Curves:
    """Learning curves of a run: of the loss, and of the scores of validation."""

    loss: Curve
    scores: Curve


class AbstractTrainer(ABC, Generic[Network]):
    """One training run that can be stopped and resumed at any step."""

    def __init__(
        self,
        config: RunConfig,
        run: RunParams,
        model: Network,
        sources: Sequence[Credited],
        beside: nn.Module | None = None,
        parts: Sequence[object] = (),
        starts_from: str | None = None,
    ) -> None:
        """Prepare optimiser, average and random generators.

        Args:
            config: of the run.
            run: where and how long.
            model: the network with its first weights.
            sources: where the crops come from.
            beside: what is learned beside the network and is no part of it, without weight decay.
            parts: configurations of single tasks, which decide the weights too.
            starts_from: whose weights the network has at first, where not random ones.
        """
        optimizer, seed = config.optimizer, config.seed
        self.name, self.options, self.run, self.sources = config.id, optimizer, run, tuple(sources)
        self.digest = digest_of(config, *parts)
        self.before = stages_of(starts_from)
        self.device = torch.device(run.device)
        self.generator = torch.Generator().manual_seed(run.group.seed(seed))
        self.rng = np.random.default_rng(run.group.seed(seed))
        self.model = channels_last(model).to(self.device)
        self.average = AveragedModel(
            self.model,
            multi_avg_fn=get_ema_multi_avg_fn(  # type: ignore[no-untyped-call]  # torch's own
                optimizer.ema_decay
            ),
            use_buffers=True,  # batch statistics, where a network has any, belong to its weights
        )
        self.optimizer = build_optimizer(self.model, optimizer)
        self.beside = (nn.Module() if beside is None else beside).to(self.device)
        learned = [each for each in self.beside.parameters() if each.requires_grad]
        if learned:
            group = {"params": learned, "weight_decay": 0.0, "orthogonal": False}
            self.optimizer.add_param_group(group | {"rate_factor": BESIDE_RATE})
        self.learner = run.group.together(
            Learner(lambda strength: self.loss(strength), self.model, self.beside)
        )
        self.step, self.seconds = 0, 0.0
        self.told: dict[str, float] = {}  # more columns of the learning curve

    @property
    def samples(self) -> int:
        """How many crops were seen so far, those of all processes together."""
        return self.step * self.options.batch_size * self.run.group.size

    @abstractmethod
    def loss(self, strength: float) -> Tensor:
        """Draw a batch and give its loss.

        Args:
            strength: share (0..1) of the full noise and augmentation at this step.

        Returns:
            Scalar that gradients flow from.
        """

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Run the network on the run's device, in mixed precision on a GPU; gives float32."""
        x_t = x_t.to(self.device, memory_format=torch.channels_last)
        is_gpu = self.device.type == "cuda"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=is_gpu):
            found = self.model(x_t, t.to(self.device))
        return torch.as_tensor(found).float()

    def train(
        self,
        validate: Validator[Network] | None = None,
        every: int = 0,
        progress: Progress | None = None,
    ) -> TrainResult[Network]:
        """Run until the last step or until time is up.

        Args:
            validate: scores the averaged network.
            every: how many steps lie between two validations; 0 for none.
            progress: called with (step, steps, note); may raise to stop.

        Returns:
            The averaged network.

        Raises:
            ConfigError: the saved state is of another run.
        """
        group = self.run.group
        if self.run.goes_on(self.name, self.digest, self.before):
            self.load_state()
        elif group.is_first:
            (self.run.folder / STATE).unlink(missing_ok=True)
        curves = self._curves() if group.is_first else None
        started = saved = time.monotonic()
        before = self.seconds
        self.model.train()
        is_over = self.step >= self.options.last_step
        if is_over:
            _log.info("%s is at its last step already: nothing is left to train", self.name)
        while not is_over:
            loss = self.one_step()
            now = time.monotonic()
            self.seconds = before + now - started
            if curves:
                self._tell(curves, loss, progress)
                if validate and every and self.step % every == 0:
                    row = {"step": self.step, **validate(self.averaged(), self.step)}
                    curves.scores.add(row)
            limit = self.run.max_minutes
            is_late = limit is not None and now - started > 60 * limit
            is_due, is_over = group.agreed(
                now - saved > SAVE_EVERY_S, is_late or self.step >= self.options.last_step
            )
            if is_due and not is_over:
                self.save_state()
                saved = now
        self.save_state()
        finished = self.step >= self.options.last_step
        return TrainResult(self.averaged(), self.step, self.seconds / 60, finished, self.sources)

    def _curves(self) -> _Curves:
        """Open the run's curves; a resumed run goes on in them."""
        names = ("curve.csv", "validation.csv")
        return _Curves(*(Curve(self.run.folder / name, self.step) for name in names))

    def _tell(self, curves: _Curves, loss: float, progress: Progress | None) -> None:
        """Say from time to time how the run stands."""
        if self.step % CURVE_EVERY:
            return
        row = {"step": self.step, "loss": loss, "rate": self._rate(), "s": self.seconds}
        curves.loss.add(row | self.told)
        if progress:
            progress(self.step, self.options.last_step, f"loss {loss:.3f}")

    def _rate(self) -> float:
        """Learning rate of this step: linear warm-up, then a cosine to zero."""
        opt = self.options
        warm = min(1.0, (self.step + 1) / max(opt.warmup_steps, 1))
        return opt.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * self.step / opt.steps))

    def one_step(self) -> float:
        """Learn from one batch; gives its loss."""
        opt = self.options
        loss = self.learner(min(1.0, self.step / opt.ease_in_steps) if opt.ease_in_steps else 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate() * group.get("rate_factor", 1.0)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), opt.clip_norm)
        self.optimizer.step()
        self.average.update_parameters(self.model)
        self.step += 1
        return float(loss.detach())

    def averaged(self) -> Network:
        """Give a copy of the averaged network, rounded to fp16 as it will be stored."""
        model = copy.deepcopy(self.model).to("cpu")
        state = self.average.module.state_dict()
        model.load_state_dict({k: _as_stored(v.cpu()) for k, v in state.items()})
        model.eval().requires_grad_(False)
        return channels_last(model)

    def save_state(self) -> None:
        """Write everything a resumed run needs, whole or not at all."""
        draws = (self.generator.get_state(), self.rng.bit_generator.state)
        generators, rngs = zip(*self.run.group.gathered(draws), strict=True)
        if not self.run.group.is_first:
            return
        buffer = io.BytesIO()
        torch.save(
            {
                "id": self.name,
                "config_sha256": self.digest,
                "before": [asdict(stage) for stage in self.before],
                "step": self.step,
                "seconds": self.seconds,
                "model": self.model.state_dict(),
                "average": self.average.state_dict(),
                "beside": self.beside.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "generators": list(generators),
                "rngs": list(rngs),
            },
            buffer,
        )
        write_bytes(self.run.folder / STATE, buffer.getvalue())

    def load_state(self) -> None:
        """Go on from the saved state.

        Raises:
            ConfigError: it is of another number of processes.
        """
        path = self.run.folder / STATE
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        group = self.run.group
        if len(state["rngs"]) != group.size:
            raise ConfigError(
                f"{path} belongs to a run of {len(state['rngs'])} processes, this one has "
                f"{group.size}; go on with as many, or begin anew with --restart."
            )
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.beside.load_state_dict(state.get("beside", {}))
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generators"][group.rank])
        self.rng.bit_generator.state = state["rngs"][group.rank]
        # Whose weights the run began with, whatever goes by that name today.
        self.before = tuple(TrainingStage.from_dict(each) for each in state["before"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])


def _as_stored(value: Tensor) -> Tensor:
    """Round a tensor as `fp16_weights` does; counters stay whole."""
    return value.half().float() if value.is_floating_point() else value
