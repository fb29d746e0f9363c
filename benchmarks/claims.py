"""What the paper says of noise and schedulers, beside what is measured here.

    python -m benchmarks.claims

The twins are compared by the scores on their cards: the same steps, with noise and timestep and
without. The schedules are compared on Banepa, one noise draw at each of a few timesteps. Real
imagery is read below $N2M_DATA. Writes `benchmarks/claims.json`.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks.__main__ import machine, write
from benchmarks.scores import BUILDINGS, CURVE, run
from n2m_core import checkpoints
from n2m_core.checkpoints import CheckpointCard
from n2m_core.diffusion.noise import SCHEDULES

RESULTS = Path(__file__).resolve().parent / "claims.json"
NOISY = "n2m-buildings"
TIMESTEPS = (999, 700, 400, 100)
POINTS_OF_NOISE = (3.0, 4.0)
"""What the paper loses without noise and timestep, points of F1."""

Json = dict[str, Any]


def twins(noisy: CheckpointCard, plain: CheckpointCard) -> list[Json]:
    """Target F1 of both on every set that both cards have."""
    other = {entry["name"]: entry for entry in plain.metrics}
    return [
        {
            "set": entry["name"],
            "noisy": entry["report"]["target"]["f1"],
            "plain": other[entry["name"]]["report"]["target"]["f1"],
        }
        for entry in noisy.metrics
        if entry["name"] in other
    ]


def by_schedule(schedule: str) -> Json:
    """Mean F1 at each timestep, x_t mixed by a schedule.

    The mean of both classes, for a map of nothing but buildings has a target F1 of 0.67 here.
    """
    place = BUILDINGS[0]
    steps = ",".join(map(str, TIMESTEPS))
    options = f"--timesteps {steps} --seeds 1 --process gaussian --schedule {schedule}"
    command = place.command(NOISY).replace(CURVE, options)
    report = json.loads(run(command))
    f1 = {
        entry["t"]: statistics.mean(each["f1"] for each in entry["classes"])
        for entry in report["by_timestep"]
    }
    return {"schedule": schedule, "command": command, "f1": [f1[t] for t in TIMESTEPS]}


def main() -> int:
    """Measure and write; 1 when the twins are not there."""
    cards = {card.id: card for card in checkpoints.list_cards()}
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
