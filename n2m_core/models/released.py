"""Fine-tuned weights in the layout of the Noise2Map authors' `.pth` files.

Their network names its parts `input_conv`, `unet` and `output_conv`; ours are `stem`,
`backbone.unet` and `head`. Files are read with PyTorch's restricted unpickler: tensors and plain
containers pass, anything that could run code is refused.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from n2m_core.errors import CheckpointError
from n2m_core.models.noise2map import Noise2Map

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Entries under which training loops store the weights beside other things."""
PREFIX = re.compile(r"^((module|model|_orig_mod)\.)+")
PARTS = {"input_conv": "stem", "unet": "backbone.unet", "output_conv": "head"}
ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Names of attention's layers in older diffusers, and today's."""
_NAMES_SHOWN = 4


def load_released(model: Noise2Map, path: Path) -> None:
    """Load the authors' fine-tuned weights into a network of the paper's variant.

    Args:
        model: changed in place; its bands and classes must be the file's.
        path: a `.pth` file.

    Raises:
        CheckpointError: the file can't be read safely, the network is of another variant, or names
            or shapes differ.
    """
    if not isinstance(model.stem, nn.Conv2d):
        raise CheckpointError(
            f"{path.name} belongs to the paper's network, this one is {model.config.variant}; set "
            "network.variant to paper."
        )
    found = {our_name(name): value.float() for name, value in read_released(path).items()}
    wanted = model.state_dict()
    faults = [
        _listed("lacks", sorted(wanted.keys() - found.keys())),
        _listed("has unknown", sorted(found.keys() - wanted.keys())),
        _listed("has other shapes for", _misshapen(found, wanted)),
    ]
    told = [fault for fault in faults if fault]
    if told:
        raise CheckpointError(
            f"{path.name} does not fit this network: it {'; it '.join(told)}. Check variant, "
            "task and classes of the configuration."
        )
    model.load_state_dict(found)


def read_released(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a `.pth` file without running code from it.

    Args:
        path: a state dict, bare or under one of `WRAPPERS`.

    Returns:
        Tensors by their names in the file, on the CPU.

    Raises:
        CheckpointError: the file is missing, damaged, holds more than weights, or no tensors.
    """
    try:
        raw: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as e:
        raise CheckpointError(
            f"{path.name} holds more than weights, or is damaged, and was not opened; ask for a "
            "file that holds a state dict alone."
        ) from e
    except (OSError, RuntimeError, EOFError, ValueError) as e:
        raise CheckpointError(f"{path.name} can't be read as a .pth file: {e}") from e
    for key in WRAPPERS:
        if isinstance(raw, dict) and isinstance(raw.get(key), dict):
            raw = raw[key]
    if not isinstance(raw, dict) or not raw or not all(map(torch.is_tensor, raw.values())):
        raise CheckpointError(
            f"{path.name} holds no state dict; a mapping from names to tensors is wanted."
        )
    return {str(name): value for name, value in raw.items()}


def our_name(name: str) -> str:
    """Translate a name of the authors' network; an unknown one stays as it is."""
    part, _, rest = PREFIX.sub("", name).partition(".")
    if part == "unet":
        rest = ".".join(ATTENTION.get(word, word) for word in rest.split("."))
    return f"{PARTS.get(part, part)}.{rest}" if rest else PARTS.get(part, part)


def _misshapen(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> list[str]:
    """Names whose shapes differ, each with both shapes."""
    return [
        f"{name} ({list(found[name].shape)}, wanted {list(wanted[name].shape)})"
        for name in sorted(found.keys() & wanted.keys())
        if found[name].shape != wanted[name].shape
    ]


def _listed(what: str, names: list[str]) -> str:
    """A fault with a few names, empty when there are none."""
    if not names:
        return ""
    shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
    return f"{what} {len(names)} tensors ({shown})"
