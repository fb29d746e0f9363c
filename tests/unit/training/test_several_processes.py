"""Several processes learn one network: real ones, started by torchrun, on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from test_supervised import write_config

from n2m_core import checkpoints
from n2m_core.errors import ConfigError
from n2m_core.training.config import load_config
from n2m_core.training.loop import RunParams
from n2m_core.training.processes import Group
from n2m_core.training.supervised import Trainer


def train_with_two(config: Path, folder: Path, *words: str) -> str:
    """Train in a folder with two processes; what they printed."""
    folder.mkdir(exist_ok=True)
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    command = [*torchrun, "n2m_core", "train", str(config), "--device", "cpu", "--json", *words]
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={**os.environ, "N2M_CHECKPOINTS": str(folder / "out"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def weights(folder: Path) -> dict[str, Any]:
    return dict(checkpoints.load("tiny", device="cpu", root=folder / "out").model.state_dict())


def steps_of_both(config: Path, folder: Path, steps: int) -> dict[str, Any]:
    """Steps with the mean of the gradients that two processes would have, in this one."""
    first, second = (
        Trainer(load_config(config), RunParams(folder / str(rank), group=Group(rank)))
        for rank in (0, 1)
    )
    for first.step in range(steps):
        first.optimizer.zero_grad()
        second.optimizer.zero_grad()
        for trainer in (first, second):
            trainer.loss(1.0).backward()  # type: ignore[no-untyped-call]  # torch's own
        for own, other in zip(first.model.parameters(), second.model.parameters(), strict=True):
            if own.grad is not None and other.grad is not None:
                own.grad = (own.grad + other.grad) / 2
        torch.nn.utils.clip_grad_norm_(first.model.parameters(), first.options.clip_norm)
        for group in first.optimizer.param_groups:
            group["lr"] = first._rate()
        first.optimizer.step()
        first.average.update_parameters(first.model)
        second.model.load_state_dict(first.model.state_dict())
    return dict(first.averaged().state_dict())


def test_two_processes_learn_from_the_mean_of_their_gradients(tmp_path: Path) -> None:
    steps = {"steps": 2, "batch_size": 2, "warmup_steps": 1}
    config = write_config(tmp_path, {"optimizer": steps, "validation": []})
    told = train_with_two(config, tmp_path / "two", "--max-minutes", "0")
    assert json.loads(told)["steps"] == 1  # one line: the other process keeps quiet
    assert json.loads(train_with_two(config, tmp_path / "two", "--resume"))["finished"]
    expected = steps_of_both(config, tmp_path / "here", 2)
    for name, value in weights(tmp_path / "two").items():
        torch.testing.assert_close(value, expected[name], atol=1e-3, rtol=1e-2, msg=name)
    card = checkpoints.read_card("tiny", root=tmp_path / "two" / "out")
    assert (card.training.steps, card.training.samples) == (2, 2 * 2 * 2)

    alone = Trainer(load_config(config), RunParams(tmp_path / "two" / "runs" / "tiny", resume=True))
    with pytest.raises(ConfigError, match="of 2 processes, this one has 1"):
        alone.train()
