"""What a network costs: learned numbers, and arithmetic per tile."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

TILE_PX = 256


def count_parameters(model: nn.Module) -> int:
    """Count the learned numbers of a network."""
    return sum(each.numel() for each in model.parameters())


def gflop_per_tile(model: nn.Module, bands: int) -> float:
    """Count the arithmetic of one pass over one 256 px tile; nothing is computed.

    Args:
        model: takes x_t float32 [B, C, H, W] and t int64 [B].
        bands: channels C of its input.

    Returns:
        10^9 floating point operations in convolutions, matrix products and attention, a
        multiplication and an addition counted as two.
    """
    # On the meta device a pass over 256 px takes no time and no memory.
    shadow = copy.deepcopy(model).to("meta").eval()
    x_t = torch.empty(1, bands, TILE_PX, TILE_PX, device="meta")
    t = torch.zeros(1, dtype=torch.int64, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shadow(x_t, t)
    return float(counter.get_total_flops()) / 1e9
