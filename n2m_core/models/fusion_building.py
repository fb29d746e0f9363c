"""From a configuration to its fusion network, and what the network costs."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from n2m_core.models.fusion_network import (
    AbstractFusionNetwork,
    FusionImages,
    FusionNetworkConfig,
)
from n2m_core.models.sastf import SASTF
from n2m_core.models.stfdiff import STFDiff

TILE_PX = 256


def build_fusion(config: FusionNetworkConfig, *, seed: int | None = None) -> AbstractFusionNetwork:
    """Build a fusion network with random weights.

    Args:
        config: names it and gives its sizes.
        seed: decides the first weights; None leaves them to torch's own generator.

    Returns:
        The network in training mode.
    """
    design = SASTF if config.design == "sa-stf" else STFDiff
    if seed is None:
        return design(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # initial weights only: the fork gives the state back
        return design(config)


def fusion_gflop(config: FusionNetworkConfig) -> tuple[float, float]:
    """Count 10^9 floating point operations (two a multiply-add) of a 256 px tile.

    Args:
        config: of the network; nothing is computed, shapes alone run through it.

    Returns:
        (what is done once an image, what is done at every step; for a network without diffusion
        its one pass after the condition).
    """
    with torch.device("meta"):
        model = build_fusion(config)
        image = torch.zeros(1, config.slots, TILE_PX, TILE_PX)
        images = FusionImages(image, image, image, image, image, torch.ones(1, config.slots))
        with FlopCounterMode(display=False) as once, torch.no_grad():
            condition = model.condition(images)
        with FlopCounterMode(display=False) as each, torch.no_grad():
            if config.has_diffusion:
                model.denoise(image, torch.zeros(1, 2), condition)
            else:
                model.one_pass(condition)
    return once.get_total_flops() / 1e9, each.get_total_flops() / 1e9
