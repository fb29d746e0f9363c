"""What a benchmark script prints: one JSON object with figures, each beside its limit."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

CORES = 2
"""The limits are meant for two processor cores."""


@dataclass(frozen=True)
class Figure:
    """One measured value.

    Attributes:
        name: what was measured.
        value: the measurement, in `unit`.
        at_most: the limit from above, if there is one.
        at_least: the limit from below, if there is one.
    """

    name: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether the limit holds; None when there is none."""
        if self.at_most is None and self.at_least is None:
            return None
        above = self.at_least is None or self.value >= self.at_least
        return above and (self.at_most is None or self.value <= self.at_most)


@dataclass(frozen=True)
class Timing:
    """Seconds of repeated calls."""

    median_s: float
    fastest_s: float
    repeats: int


def time_in_turn(calls: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, Timing]:
    """Time several calls in turn, so that a busy moment of the machine hits all of them.

    Each is called once before, unmeasured.
    """
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - started)
    return {
        name: Timing(statistics.median(taken), min(taken), repeats)
        for name, taken in seconds.items()
    }


def use_threads() -> int:
    """Hold torch to the cores that the limits are meant for; how many threads it uses then.

    OMP_NUM_THREADS=1 asks for fewer: threads that wait for each other on a busy machine are far
    slower than one.
    """
    # Here, so that the runner, which only gathers figures, starts at once.
    import torch

    torch.set_num_threads(min(CORES, torch.get_num_threads()))
    return torch.get_num_threads()


def report(title: str, setting: str, figures: list[Figure]) -> None:
    """Print the one JSON object of a script.

    Args:
        title: the subject.
        setting: what was run and how often, one or two sentences.
        figures: what came out.
    """
    rows = [{**asdict(figure), "is_met": figure.is_met} for figure in figures]
    print(json.dumps({"title": title, "setting": setting, "figures": rows}, indent=2))
