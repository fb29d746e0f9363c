"""A small network of both tasks, as a checkpoint with two cards."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import torch
from tiny_models import BUILDINGS, CHANGES, tiny_card, untrained_network

from n2m_core.checkpoints import save_checkpoint
from n2m_core.models.multitask import MultiTask
from n2m_core.models.storing import fp16_weights

NAME = "tiny-both"


def both_network(seed: int = 3) -> MultiTask:
    """Build a network of two levels with heads for buildings and for changes."""
    single = untrained_network("segment", len(BUILDINGS)).config
    torch.manual_seed(seed)
    network = MultiTask(dataclasses.replace(single, pair_classes=len(CHANGES)))
    for meeting in network.meetings:  # as after some steps: it starts at zero
        torch.nn.init.normal_(meeting.get_parameter("other.weight"), std=0.1)
    return network.eval().requires_grad_(False)


def save_both(root: Path) -> Path:
    """Write the network with a card for each task."""
    network = both_network()
    weights = fp16_weights(network)
    sha256 = hashlib.sha256(weights).hexdigest()
    first = tiny_card(NAME, "segment", BUILDINGS, "gaussian", sha256=sha256)
    second = tiny_card(NAME, "change", CHANGES, "swap", timestep=999, is_mixed=True, sha256=sha256)
    return save_checkpoint(root, network, first, weights, [second])
