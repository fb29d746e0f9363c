"""Score, measure and rank Noise2Map and its peers after the short study.

    python -m benchmarks.peers FOLDER

FOLDER holds the checkpoints that `n2m train configs/peers/<name>.yaml --seed N` wrote there
(N2M_CHECKPOINTS=FOLDER), two seeds or more of each. Real imagery is read below $N2M_DATA, held-out
scenes are made in build/held_out. Writes `benchmarks/peers.json` and, from it, `docs/peers.md`.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.__main__ import machine, write
from benchmarks.figures import time_in_turn, use_threads
from benchmarks.scores import Measurement, held_out, run
from n2m_core import checkpoints
from n2m_core.checkpoints import CheckpointCard, LoadedModel
from n2m_core.datasets.base import Sample
from n2m_core.datasets.opening import open_dataset
from n2m_core.tasks.evaluate import EvaluateParams, evaluate
from n2m_core.tasks.study_tables import ranked, spread
from n2m_core.training.runner import TILE_PX

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "peers.json"
PAGE = HERE.parent / "docs" / "peers.md"
STUDY = "peers"
"""Folder of the study's configurations; a card names it."""
REPEATS = 5
SETS = (
    Measurement(
        "Banepa, a town never seen",
        "segment",
        "$N2M_DATA/buildings/banepa_demo",
        "--dataset folder",
    ),
    Measurement("Catanduanes", "segment", "$N2M_DATA/buildings/catanduanes", "--dataset xyz"),
    held_out("segment", "segment", "--dataset folder"),
    Measurement(
        "four real pairs",
        "change",
        "$N2M_DATA/change/building_pairs_eval_only",
        "--dataset folder",
    ),
    held_out("change", "change", "--dataset folder"),
)
TASKS = {"segment": "Segmentation: buildings", "change": "Change: built and demolished"}
SCORES = ("mean_f1", "mean_iou", "target_f1", "target_iou", "boundary_iou")
INTRODUCTION = """# Noise2Map beside other networks

Every network was trained by the same code on the same data, crops and augmentation for the same
steps, from random weights, with the seeds named in the table: `configs/peers/`. The study is short;
it ranks what these designs learn quickly from little, not what each can reach. `python -m
benchmarks.peers` measures it and writes this page.

Rank is by mean F1 (over the classes, as in the Noise2Map paper), mean IoU breaks ties. Scores are
means over the seeds with the lowest and the highest in brackets; *target* is the class that is
looked for, in change built and demolished together. Seconds are the median of {repeats} passes of
one {tile} px tile (a pair in change) in turn, memory is the most that a pass needs beside the
weights, GFLOP counts two operations a multiply-add.
"""

Json = dict[str, Any]


def studied(root: Path) -> dict[str, list[CheckpointCard]]:
    """Cards of the study's checkpoints by the name of their configuration, in order of seeds."""
    found: dict[str, list[CheckpointCard]] = {}
    for card in checkpoints.list_cards(root):
        config = Path(card.training.config)
        if config.parent.name == STUDY:
            found.setdefault(config.stem, []).append(card)
    return {
        name: sorted(cards, key=lambda card: card.training.seed) for name, cards in found.items()
    }


def scored(cards: Iterable[CheckpointCard], sets: Iterable[Measurement], root: Path) -> list[Json]:
    """Evaluate checkpoints of one task on every set: one entry a set with the scores of each seed.

    The entry keeps the command that prints the same again.
    """
    models = [checkpoints.load(card.id, card.task, device="cpu", root=root) for card in cards]
    entries = []
    for wanted in sets:
        samples = opened(wanted, models[0].card)
        reports = [evaluate(samples, model, EvaluateParams()) for model in models]
        entries.append(
            {
                "name": wanted.name,
                "commands": [wanted.command(model.card.id) for model in models],
                "scores": {key: [_score(report, key) for report in reports] for key in SCORES},
            }
        )
    return entries


def opened(wanted: Measurement, card: CheckpointCard) -> Sequence[Sample]:
    """Open a set in the classes of a checkpoint; held-out scenes are made where they are not."""
    if wanted.preparation and not Path(wanted.root).is_dir():
        run(wanted.preparation)
    return open_dataset(
        wanted.options.split()[1],
        Path(os.path.expandvars(wanted.root)),
        None,
        task="change" if wanted.task == "change" else "segment",
        classes=card.classes,
    )


def _score(report: Json, key: str) -> float:
    """One score of a report of `n2m evaluate`."""
    block, _, name = key.partition("_")
    return float(report["boundary"][key] if block == "boundary" else report[block][name])


def one_pass(model: LoadedModel) -> Callable[[], object]:
    """Give a call that maps one tile, or one pair."""
    channels = model.model.config.in_channels
    x = torch.randn(1, channels, TILE_PX, TILE_PX, generator=torch.Generator().manual_seed(0))
    x = x.to(memory_format=torch.channels_last)
    t = torch.full((1,), model.card.inference_timestep, dtype=torch.int64)

    def call() -> object:
        with torch.inference_mode():
            return model.model(x, t)

    return call


def peak_bytes(call: Callable[[], object]) -> int:
    """The most memory that tensors made during a call hold at once, bytes.

    Counted by the allocator's own events, so it does not depend on what the process did before.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        call()
    assert seen.profiler is not None and seen.profiler.kineto_results is not None
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def costs(cards: Mapping[str, CheckpointCard], root: Path) -> dict[str, Json]:
    """Time and memory of one pass of each network, all in one run."""
    calls = {
        name: one_pass(checkpoints.load(card.id, card.task, device="cpu", root=root))
        for name, card in cards.items()
    }
    taken = time_in_turn(calls, REPEATS)
    return {
        name: {
            "seconds_per_tile": taken[name].median_s,
            "fastest_s": taken[name].fastest_s,
            "peak_mb": peak_bytes(call) / 1e6,
        }
        for name, call in calls.items()
    }


def measured(root: Path) -> Json:
    """Everything about the study below a folder."""
    threads = use_threads()
    groups = studied(root)
    cost = costs({name: cards[0] for name, cards in groups.items()}, root)
    networks = []
    for name, cards in sorted(groups.items()):
        first = cards[0]
        sets = [each for each in SETS if each.task == first.task]
        networks.append(
            {
                "name": name,
                "task": first.task,
                "network": first.backbone,
                "seeds": [card.training.seed for card in cards],
                "steps": [card.training.steps for card in cards],
                "training_minutes": [card.training.minutes for card in cards],
                "parameters": first.parameters,
                "gflop_per_tile": first.gflop_per_tile,
                **cost[name],
                "sets": scored(cards, sets, root),
            }
        )
    return {"machine": machine(), "threads": threads, "networks": networks}


def set_table(number: int, networks: list[Json]) -> list[str]:
    """The ranked table of one validation set, the lines of a section."""
    means = {
        each["name"]: tuple(
            statistics.mean(each["sets"][number]["scores"][key]) for key in SCORES[:2]
        )
        for each in networks
    }
    ranks = ranked({name: (f1, iou) for name, (f1, iou) in means.items()})
    rows = [
        f"### {networks[0]['sets'][number]['name']}",
        "",
        "| rank | network | mean F1 | mean IoU | target F1 | target IoU | boundary IoU |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in sorted(networks, key=lambda each: (ranks[each["name"]], each["name"])):
        cells = [spread(each["sets"][number]["scores"][key]) for key in SCORES]
        rows.append(f"| {ranks[each['name']]} | {each['name']} | {' | '.join(cells)} |")
    return [*rows, ""]


def cost_table(networks: list[Json]) -> list[str]:
    """What the networks of a task are and cost, the lines of a table."""
    rows = [
        "| network | design | parameters, million | GFLOP | seconds | memory, MB | seeds | steps |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in networks:
        cells = (
            each["name"],
            each["network"],
            f"{each['parameters'] / 1e6:.2f}",
            f"{each['gflop_per_tile']:.2f}",
            f"{each['seconds_per_tile']:.3f}",
            f"{each['peak_mb']:.0f}",
            ", ".join(map(str, each["seeds"])),
            ", ".join(map(str, sorted(set(each["steps"])))),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return [*rows, ""]


def page(results: Json) -> str:
    """The page of the study."""
    lines = [INTRODUCTION.format(repeats=REPEATS, tile=TILE_PX)]
    for task, title in TASKS.items():
        networks = [each for each in results["networks"] if each["task"] == task]
        if networks:
            lines += [f"## {title}", "", *cost_table(networks)]
            for number in range(len(networks[0]["sets"])):
                lines += set_table(number, networks)
    at = results["machine"]
    lines.append(
        f"Measured {at['date']} on {at['processor']}, {results['threads']} thread(s); Python "
        f"{at['python']}, PyTorch {at['torch']}.\n"
    )
    return "\n".join(lines)


def main(words: list[str]) -> int:
    """Measure the study; 1 when there is none."""
    if len(words) != 1:
        print("Give the folder of the trained checkpoints: python -m benchmarks.peers FOLDER")
        return 1
    groups = studied(Path(words[0]))
    if not groups:
        print(f"{words[0]} holds no checkpoint that a configuration of configs/{STUDY}/ made.")
        return 1
    alone = [name for name, cards in groups.items() if len(cards) < 2]
    if alone:
        print(f"Without a spread, for one seed alone is there: {', '.join(sorted(alone))}")
    results = measured(Path(words[0]))
    write(RESULTS, json.dumps(results, indent=2) + "\n")
    write(PAGE, page(results))
    print(f"Written: {PAGE.name}, {RESULTS.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
