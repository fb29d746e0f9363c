"""What the paper says of noise and schedulers, beside what is measured here.

    python -m benchmarks.claims

The twins are compared by the scores on their cards: the same steps, with noise and timestep and
without. How F1 goes along the timesteps is read from the cards too, for segmentation and for
change. The schedules are compared on Banepa, one noise draw at each of a few timesteps. Real
imagery is read below $N2M_DATA. Writes `benchmarks/claims.json`.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.__main__ import machine, write
from benchmarks.scores import BUILDINGS, CURVE, run
from n2m_core import checkpoints
from n2m_core.checkpoints import CheckpointCard
from n2m_core.diffusion.noise import SCHEDULES

RESULTS = Path(__file__).resolve().parent / "claims.json"
NOISY = "n2m-buildings"
SHOWN = (NOISY, "n2m-change", "n2m-multitask")
"""Whose scores are told along the timesteps, of those that are installed."""
TIMESTEPS = (999, 700, 400, 100)
POINTS_OF_NOISE = (3.0, 4.0)
"""What the paper loses without noise and timestep, points of F1."""

Json = dict[str, Any]


def twins(noisy: CheckpointCard, plain: CheckpointCard) -> list[Json]:
    """F1 of both on every set that both cards have: of the target, and the mean of the classes."""
    other = {entry["name"]: entry for entry in plain.metrics}
    return [
        {
            "set": entry["name"],
            "noisy": f1_of(entry["report"]),
            "plain": f1_of(other[entry["name"]]["report"]),
        }
        for entry in noisy.metrics
        if entry["name"] in other
    ]


def f1_of(report: Json) -> dict[str, float]:
    """Mean F1 of the classes, which the paper's tables have, and the target's."""
    return {kind: report[kind]["f1"] for kind in ("mean", "target")}


def along_time(cards: Sequence[CheckpointCard]) -> list[Json]:
    """Mean F1 at each timestep of the sets that a card has several of, the noisiest first."""
    found = []
    for card in cards:
        for entry in card.metrics:
            steps = sorted(entry["report"].get("by_timestep", ()), key=lambda each: -each["t"])
            if len(steps) > 1:
                found.append(
                    {
                        "checkpoint": card.id,
                        "task": card.task,
                        "set": entry["name"],
                        "timesteps": [each["t"] for each in steps],
                        "f1": [mean_f1(each) for each in steps],
                    }
                )
    return found


def mean_f1(entry: Json) -> float:
    """F1 averaged over the classes of one timestep.

    Not the target's, for a map of nothing but buildings has a target F1 of 0.67 on Banepa.
    """
    return statistics.mean(each["f1"] for each in entry["classes"])


def by_schedule(schedule: str) -> Json:
    """Mean F1 at each timestep, x_t mixed by a schedule."""
    place = BUILDINGS[0]
    steps = ",".join(map(str, TIMESTEPS))
    options = f"--timesteps {steps} --seeds 1 --process gaussian --schedule {schedule}"
    command = place.command(NOISY).replace(CURVE, options)
    report = json.loads(run(command))
    f1 = {entry["t"]: mean_f1(entry) for entry in report["by_timestep"]}
    return {"schedule": schedule, "command": command, "f1": [f1[t] for t in TIMESTEPS]}


def main() -> int:
    """Measure and write; 1 when the twins are not there."""
    every = checkpoints.list_cards()
    cards = {card.id: card for card in every}
    noisy = cards.get(NOISY)
    plain = cards.get(noisy.twin or "") if noisy else None
    if noisy is None or plain is None:
        print(f"{NOISY} and its twin are not installed.")
        return 1
    results = {
        "machine": machine(),
        "twins": {
            "noisy": noisy.id,
            "plain": plain.id,
            "sets": twins(noisy, plain),
            "published_points": POINTS_OF_NOISE,
        },
        "along_time": along_time([card for card in every if card.id in SHOWN]),
        "schedules": {
            "place": BUILDINGS[0].name,
            "timesteps": TIMESTEPS,
            "found": [by_schedule(name) for name in SCHEDULES],
        },
    }
    write(RESULTS, json.dumps(results, indent=2) + "\n")
    print(f"Written: {RESULTS.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
