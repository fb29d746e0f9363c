"""Noise2Map against DDPM-CD, both at their published sizes: time, size and arithmetic.

    python -m benchmarks.full_size [REPEATS] [DEVICE]

One pair of 256 px tiles, forward only, random weights (time does not depend on them). Published are
13.49 times faster and 3.85 times smaller. Writes `benchmarks/full_size.json` and prints it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.__main__ import machine, write
from benchmarks.figures import time_in_turn, use_threads
from n2m_core.checkpoints import choose_device
from n2m_core.models.noise2map import NetworkConfig, Noise2Map
from n2m_core.models.peers.ddpm_cd import FullSizeDetector
from n2m_core.training.runner import TILE_PX

RESULTS = Path(__file__).resolve().parent / "full_size.json"
BANDS, CLASSES, REPEATS = 6, 2, 2
CLAIMS = {"faster": 13.49, "smaller": 3.85}


class OnePass(nn.Module):
    """Noise2Map on a pair at the paper's last timestep."""

    def __init__(self) -> None:
        """Build the network with random weights."""
        super().__init__()
        self.network = Noise2Map(NetworkConfig("paper", BANDS, CLASSES))

    def forward(self, pair: torch.Tensor) -> torch.Tensor:
        """Give logits."""
        t = torch.full((len(pair),), 999, dtype=torch.int64, device=pair.device)
        return torch.as_tensor(self.network(pair, t))


DESIGNS: dict[str, Callable[[], nn.Module]] = {
    "Noise2Map": OnePass,
    "DDPM-CD": lambda: FullSizeDetector(CLASSES),
}


def size(design: Callable[[], nn.Module]) -> dict[str, Any]:
    """Parameters and arithmetic of a network, counted without its weights."""
    with torch.device("meta"):
        network = design().eval()
        pair = torch.zeros(1, BANDS, TILE_PX, TILE_PX)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(pair)
    return {
        "parameters": sum(each.numel() for each in network.parameters()),
        "gflop_per_tile": counter.get_total_flops() / 1e9,
    }


def one_pass(network: nn.Module, device: torch.device) -> Callable[[], None]:
    """Give a call that maps one pair and waits until that is done."""
    x = torch.randn(1, BANDS, TILE_PX, TILE_PX, generator=torch.Generator().manual_seed(0))
    x = x.to(device)

    def call() -> None:
        with torch.inference_mode():
            network(x)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return call


def compared(designs: dict[str, dict[str, Any]]) -> dict[str, float]:
    """How many times faster, smaller and cheaper Noise2Map is."""
    ours, other = designs["Noise2Map"], designs["DDPM-CD"]
    return {
        "faster": other["median_s"] / ours["median_s"],
        "smaller": other["parameters"] / ours["parameters"],
        "less_arithmetic": other["gflop_per_tile"] / ours["gflop_per_tile"],
    }


def main(words: list[str]) -> None:
    """Measure both in one run."""
    repeats = int(words[0]) if words else REPEATS
    device = choose_device(words[1] if len(words) > 1 else "auto")
    threads = use_threads()
    calls = {name: one_pass(design().eval().to(device), device) for name, design in DESIGNS.items()}
    taken = time_in_turn(calls, repeats)
    designs = {name: {**size(make), **asdict(taken[name])} for name, make in DESIGNS.items()}
    is_gpu = device.type == "cuda"
    results = {
        "machine": machine(),
        "device": torch.cuda.get_device_name(device) if is_gpu else f"CPU, {threads} thread(s)",
        "tile_px": TILE_PX,
        "designs": designs,
        "noise2map_is": compared(designs),
        "published": CLAIMS,
    }
    text = json.dumps(results, indent=2) + "\n"
    write(RESULTS, text)
    print(text, end="")


if __name__ == "__main__":
    main(sys.argv[1:])
