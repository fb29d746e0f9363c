"""The network of both tasks beside those of one, on the same sets.

    python -m benchmarks.multitask [CHECKPOINT [ONE_TASK_CHECKPOINT ...]]

Without words: n2m-multitask beside n2m-buildings and n2m-change. Checkpoints are those of the
registry ($N2M_CHECKPOINTS), real imagery is read below $N2M_DATA. Writes
`benchmarks/multitask.json`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.__main__ import machine, write
from benchmarks.jobs import CONFIGS, stages
from benchmarks.peers import SETS, scored
from n2m_core import checkpoints, places
from n2m_core.checkpoints import CheckpointCard
from n2m_core.errors import CheckpointError
from n2m_core.training.config import load_config
from n2m_core.training.curves import read_curve
from n2m_core.training.multitask import is_multitask, load_multitask

RESULTS = Path(__file__).resolve().parent / "multitask.json"
BOTH, SINGLE = "n2m-multitask", ("n2m-buildings", "n2m-change")
TRAINED_BY = "python -m benchmarks.models multitask --train"
MOST_POINTS_LOST = 2.0
"""Of target F1, in per cent: sharing that costs more is told as a loss."""

Json = dict[str, Any]


def compared(
    both: Sequence[CheckpointCard], single: Sequence[CheckpointCard], root: Path
) -> list[Json]:
    """Scores of each task: the shared network beside the one of that task alone."""
    tasks = []
    for card in both:
        rivals = [each for each in single if each.task == card.task]
        sets = [each for each in SETS if each.task == card.task]
        networks = [
            {
                "checkpoint": each.id,
                "sha256": each.sha256,
                "steps": each.training.steps,
                "steps_in_all": each.training.steps_in_all,
                "parameters": each.parameters,
                "sets": scored([each], sets, root),
            }
            for each in (card, *rivals)
        ]
        tasks.append({"task": card.task, "networks": networks, "points_lost": lost(networks)})
    return tasks


def steps(config: Path) -> int:
    """Steps of one run, of a task or of both."""
    loaded = load_multitask(config) if is_multitask(config) else load_config(config)
    return loaded.optimizer.last_step


def lost(networks: Sequence[Json]) -> list[Json]:
    """Points of target F1 that the first network is short of the best of the others, by set."""
    shared, *others = networks
    rows = []
    for number, entry in enumerate(shared["sets"]):
        best = max((_f1(each["sets"][number]) for each in others), default=None)
        points = None if best is None else 100 * (best - _f1(entry))
        rows.append({"set": entry["name"], "points": points})
    return rows


def _f1(entry: Json) -> float:
    (value,) = entry["scores"]["target_f1"]
    return float(value)


def learned_weights(checkpoint: str, root: Path) -> list[list[float]]:
    """Step and the weights of both losses, along all stages of the training that left a curve."""
    config = CONFIGS / f"{checkpoint}.yaml"
    way = [path for path in stages(config) if is_multitask(path)] if config.is_file() else []
    rows, before = [], 0
    for name, count in [(p.stem, steps(p)) for p in way] or [(checkpoint, 0)]:
        curve = root / name / "curve.csv"
        for row in read_curve(curve) if curve.is_file() else ():
            if "weight_change" in row:
                weights = (float(row[f"weight_{task}"]) for task in ("segment", "change"))
                rows.append([before + float(row["step"]), *weights])
        before += count
    return rows


def main(words: Sequence[str]) -> int:
    """Measure and write; 1 when a checkpoint is missing."""
    name, *others = words or (BOTH, *SINGLE)
    root = places.checkpoints_root()
    try:
        both = checkpoints.read_cards(name, root=root)
        single = [card for other in others for card in checkpoints.read_cards(other, root=root)]
    except CheckpointError as error:
        print(f"{error} Train it first, with its starts: {TRAINED_BY}")
        return 1
    results = {
        "machine": machine(),
        "checkpoint": name,
        "most_points_lost": MOST_POINTS_LOST,
        "tasks": compared(both, single, root),
        "weights": learned_weights(name, root),
    }
    write(RESULTS, json.dumps(results, indent=2) + "\n")
    print(f"Written: {RESULTS.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
