"""Networks of random weights whose maps hold every class; they cost no training."""

from __future__ import annotations

from typing import Literal

import torch
from tiny_models import BUILDINGS, CHANGES, tiny_card, untrained_network

from n2m_core.checkpoints import LoadedModel

SEEDS = {"segment": 5, "change": 5}


def untrained(task: Literal["segment", "change"], *, seed: int | None = None) -> LoadedModel:
    """Give a network of two classes of images, or three of pairs, that mixes its input."""
    classes = BUILDINGS if task == "segment" else CHANGES
    torch.manual_seed(SEEDS[task] if seed is None else seed)
    network = untrained_network(task, len(classes)).eval().requires_grad_(False)
    process: Literal["gaussian", "swap"] = "gaussian" if task == "segment" else "swap"
    card = tiny_card(f"plain-{task}", task, classes, process, timestep=100, is_mixed=True)
    return LoadedModel(card, network, torch.device("cpu"))
