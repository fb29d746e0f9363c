"""The peers with a few channels, real in every layer."""

from __future__ import annotations

from typing import Any

import torch

from n2m_core.models.building import build
from n2m_core.models.network import PEERS, AbstractNetwork, NetworkConfig, PeerName

TINY_DENOISER = {
    "block_out_channels": [8, 16],
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
    "in_channels": 8,
    "out_channels": 8,
    "layers_per_block": 1,
    "attention_head_dim": 8,
    "norm_num_groups": 4,
}
SMALL = {"depths": [1, 1, 1, 1], "heads": [1, 1, 2, 2], "widths": [8, 16, 16, 16]}
TINY_SETTINGS: dict[PeerName, dict[str, Any]] = {
    "unet": {"features": [8, 8, 8, 8, 16, 8]},
    "deeplabv3plus": {
        "stem": 8,
        "widths": [8, 16, 16],
        "depths": [1, 1, 1],
        "pyramid": 8,
        "decoder": 8,
    },
    "segformer": {**SMALL, "decoder": 16},
    "upernet": {"stem": 8, "widths": [8, 8, 16, 16], "depths": [1, 1, 1, 1], "decoder": 8},
    "siamese-unet": {"features": [8, 8, 8, 8, 16, 8]},
    "changeformer": {**SMALL, "embedding": 8, "half": 8, "full": 8},
    "ddpm-cd": {"denoiser": NetworkConfig("compact", 3, 3, overrides=TINY_DENOISER).to_dict()},
}
CHANGE_PEERS: tuple[PeerName, ...] = ("siamese-unet", "changeformer", "ddpm-cd")
CASES = [(name, 6 if name in CHANGE_PEERS else 3) for name in PEERS] + [("unet", 6)]
"""Every peer with the bands of its task; the UNet with those of both."""


def tiny_peer(name: PeerName, bands: int) -> AbstractNetwork:
    """Build a small peer of three classes, in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = build(NetworkConfig(name, bands, 3, overrides=TINY_SETTINGS[name]))
    return network.eval()


def drawn(seed: int, *shape: int) -> torch.Tensor:
    """Draw an input."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
