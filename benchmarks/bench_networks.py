"""The compact network against the paper's: time and arithmetic per 256 px tile."""

from __future__ import annotations

from collections.abc import Callable

import torch

from benchmarks.figures import Figure, report, time_in_turn, use_threads
from n2m_core.models.network import channels_last
from n2m_core.models.noise2map import NetworkConfig, Noise2Map
from n2m_core.training.runner import TILE_PX, gflop_per_tile

BANDS, CLASSES, REPEATS = 3, 2, 5


def one_pass(model: Noise2Map) -> Callable[[], object]:
    """Give a call that runs the network on one tile."""
    x_t = torch.randn(1, BANDS, TILE_PX, TILE_PX, generator=torch.Generator().manual_seed(0))
    x_t = x_t.to(memory_format=torch.channels_last)
    t = torch.zeros(1, dtype=torch.int64)

    def call() -> object:
        with torch.inference_mode():
            return model(x_t, t)

    return call


def main() -> None:
    """Measure both networks in one run."""
    threads = use_threads()
    models = {
        variant: channels_last(Noise2Map(NetworkConfig(variant, BANDS, CLASSES)).eval())
        for variant in ("compact", "paper")
    }
    taken = time_in_turn({name: one_pass(model) for name, model in models.items()}, REPEATS)
    figures = [
        Figure(
            "Compact is faster by",
            taken["paper"].fastest_s / taken["compact"].fastest_s,
            "times",
            at_least=25,
        )
    ]
    for name, model in models.items():
        limit = 12 if name == "compact" else None
        parameters = sum(each.numel() for each in model.parameters())
        figures += [
            Figure(f"One tile, {name}", taken[name].fastest_s, "s"),
            Figure(f"Arithmetic, {name}", gflop_per_tile(model), "GFLOP", at_most=limit),
            Figure(f"Parameters, {name}", parameters / 1e6, "million"),
        ]
    report(
        "Compact network against the paper's",
        f"One {TILE_PX} px tile of {BANDS} bands on the processor, float32, {threads} thread(s); "
        f"the fastest of {REPEATS} passes each, in turn. The weights are random: the time does not "
        "depend on them.",
        figures,
    )


if __name__ == "__main__":
    main()
