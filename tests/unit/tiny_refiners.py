"""Refiners with a few channels, real in every layer."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tiny_models import BUILDINGS, COVER, tiny_card

from n2m_core.checkpoints import ClassInfo, LoadedModel, save_checkpoint
from n2m_core.models.building import build
from n2m_core.models.idgbr import Refiner
from n2m_core.models.network import NetworkConfig
from n2m_core.models.storing import fp16_weights

UNET: dict[str, Any] = {
    "layers_per_block": 1,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
    "block_out_channels": [16, 16],
    "attention_head_dim": 8,
    "norm_num_groups": 4,
}
TINY: dict[str, Any] = {
    "latent_channels": 4,
    "codec_width": 16,
    "denoiser": UNET,
    "image_encoder": {
        **UNET,
        "in_channels": 8,
        "out_channels": 8,
        "block_out_channels": [8, 8, 16],
        "down_block_types": ["DownBlock2D", "DownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "UpBlock2D", "UpBlock2D"],
    },
}
"""A network that takes multiples of 8 px."""


def tiny_network(classes: int = 2, *, seed: int = 5) -> Refiner:
    """Build an untrained refiner whose guidance has a say."""
    torch.manual_seed(seed)
    network = build(NetworkConfig("idgbr", 3, classes, overrides=TINY))
    assert isinstance(network, Refiner)
    for fusion in network.fusions:
        torch.nn.init.normal_(fusion.last.weight, std=0.2)
    return network.eval().requires_grad_(False)


def tiny_refiner(
    classes: tuple[ClassInfo, ...] = BUILDINGS, *, name: str = "tiny-refiner", window_px: int = 32
) -> LoadedModel:
    """Give an untrained refiner with its card."""
    card = dataclasses.replace(
        tiny_card(name, "segment", classes, "gaussian"),
        task="refine",
        schedule="scaled_linear",
        sampling_steps=3,
        guidance=2.0,
        window_px=window_px,
    )
    return LoadedModel(card, tiny_network(len(classes)), torch.device("cpu"))


def cover_refiner() -> LoadedModel:
    """Give an untrained refiner of three classes."""
    return tiny_refiner(COVER, name="tiny-cover-refiner")


def save_refiner(root: Path, model: LoadedModel) -> Path:
    """Write a refiner as a checkpoint that the loader takes."""
    weights = fp16_weights(model.model)
    card = dataclasses.replace(model.card, sha256=hashlib.sha256(weights).hexdigest())
    return save_checkpoint(root, model.model, card, weights)


def square(height: int = 64, width: int = 64) -> NDArray[np.uint8]:
    """A rough map with one square in the middle."""
    rough = np.zeros((height, width), np.uint8)
    rough[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = 1
    return rough
