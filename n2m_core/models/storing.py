"""Networks on disk: how they are built, and their weights in half precision.

A folder holds `config.json`, which builds the network, and `model.safetensors`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors_torch
from torch import nn

from n2m_core.atomic import write_bytes
from n2m_core.errors import CheckpointError, ParameterError
from n2m_core.models.building import build
from n2m_core.models.network import AbstractNetwork, NetworkConfig

WEIGHTS = "model.safetensors"
CONFIG = "config.json"


def save_network(folder: Path, model: AbstractNetwork, weights: bytes) -> None:
    """Write a network without a card: its configuration, and its weights from `fp16_weights`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / WEIGHTS, weights)
    config = json.dumps(model.config.to_dict(), indent=2) + "\n"
    write_bytes(folder / CONFIG, config.encode())


def load_network(folder: Path) -> AbstractNetwork:
    """Load what `save_network` wrote.

    Args:
        folder: holds config.json and model.safetensors.

    Returns:
        The network on the CPU, float32.

    Raises:
        CheckpointError: a file is missing or damaged, or they don't fit each other.
    """
    return read_network(folder, None)


def read_network(folder: Path, sha256: str | None) -> AbstractNetwork:
    """Load what `save_network` wrote, with a checksum that its weights must have.

    Raises:
        CheckpointError: a file is missing or damaged, or they don't fit each other.
    """
    model = _built(folder)
    model.load_state_dict(read_weights(folder, sha256, model))
    return model


def _built(folder: Path) -> AbstractNetwork:
    """Build the network that a folder's configuration describes, with random weights."""
    try:
        return build(NetworkConfig(**json.loads((folder / CONFIG).read_text(encoding="utf-8"))))
    except (OSError, TypeError, ValueError, ParameterError) as e:
        raise CheckpointError(f"{folder.name}/{CONFIG} can't be read ({e}).") from e


def read_weights(folder: Path, sha256: str | None, model: nn.Module) -> dict[str, torch.Tensor]:
    """Read, check against the card's checksum and widen the stored fp16 weights to float32.

    Raises:
        CheckpointError: missing or damaged weights, or those of another network than `model`.
    """
    try:
        data = (folder / WEIGHTS).read_bytes()
    except OSError as e:
        raise CheckpointError(
            f"{folder.name}/{WEIGHTS} is missing; fetch the repository again."
        ) from e
    found = hashlib.sha256(data).hexdigest()
    if sha256 is not None and found != sha256:
        raise CheckpointError(
            f"{folder.name}/{WEIGHTS} has checksum {found[:12]}…, its card says {sha256[:12]}…; "
            "fetch the file again."
        )
    try:
        stored = safetensors_torch.load(data)
    except SafetensorError as e:
        raise CheckpointError(f"{folder.name}/{WEIGHTS} is not a safetensors file ({e}).") from e
    if stored.keys() != model.state_dict().keys():
        raise CheckpointError(f"{folder.name}: weights and {CONFIG} describe different networks.")
    return {k: v.float() if v.is_floating_point() else v for k, v in stored.items()}


def fp16_weights(model: nn.Module) -> bytes:
    """Give the network's weights as safetensors bytes, floats stored as fp16."""
    state = {
        k: (v.half() if v.is_floating_point() else v).contiguous()
        for k, v in model.state_dict().items()
    }
    return safetensors_torch.save(state)
