"""Score, measure and rank Noise2Map and its peers after the short study.

    python -m benchmarks.peers FOLDER

FOLDER holds the checkpoints that `n2m train configs/peers/<name>.yaml --seed N` wrote there
(N2M_CHECKPOINTS=FOLDER), two seeds or more of each; what `configs/peers/tried/` holds changes a
thing or two of a network of the study. They may be trained in parts: what an earlier run measured
of the same configuration, and FOLDER does not hold, stays in the file. Real imagery is read below
$N2M_DATA, held-out scenes are made in build/held_out. Writes `benchmarks/peers.json`.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.__main__ import machine, write
from benchmarks.figures import time_in_turn, use_threads
from benchmarks.jobs import denoisers
from benchmarks.scores import Measurement, held_out, run
from n2m_core import checkpoints
from n2m_core.checkpoints import CheckpointCard, LoadedModel
from n2m_core.datasets.base import Sample
from n2m_core.datasets.opening import open_dataset
from n2m_core.tasks.evaluate import EvaluateParams, evaluate
from n2m_core.training.config import load_config
from n2m_core.training.pretrain import PretrainConfig
from n2m_core.training.runner import TILE_PX
from n2m_core.training.strict_yaml import digest_of, read_strict

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "peers.json"
STUDY = HERE.parent / "configs" / "peers"
"""Configurations of the study; those below `tried/` name the one that they change, and how."""
TRIED = "tried"
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
BY_SEED = ("seeds", "steps", "training_minutes")
SCORES = ("mean_f1", "mean_iou", "target_f1", "target_iou", "boundary_iou")
Json = dict[str, Any]


def configurations() -> dict[str, Path]:
    """The configurations of the study by name, those of equal conditions first."""
    equal, tried = sorted(STUDY.glob("*.yaml")), sorted((STUDY / TRIED).glob("*.yaml"))
    return {path.stem: path for path in (*equal, *tried)}


def studied(root: Path) -> dict[str, list[CheckpointCard]]:
    """Cards of the study's checkpoints by the name of their configuration, in order of seeds.

    One that another text of its configuration made is left out, and that is said.
    """
    configs = configurations()
    found: dict[str, list[CheckpointCard]] = {}
    for card in checkpoints.list_cards(root):
        name = Path(card.training.config).stem
        if name not in configs:
            continue
        if is_of_today(card, configs[name]):
            found.setdefault(name, []).append(card)
        else:
            print(f"{card.id} was trained before {name}.yaml changed; train it again")
    return {
        name: sorted(cards, key=lambda card: card.training.seed) for name, cards in found.items()
    }


def is_of_today(card: CheckpointCard, config: Path) -> bool:
    """Whether a configuration as it stands, and that of its pretraining, made a checkpoint."""
    record = card.training
    wanted = [digest_of(read_strict(path, PretrainConfig)) for path in denoisers(config)]
    learned = [stage.config_sha256 for stage in record.before]
    is_own = record.may_be_of(digest_of(load_config(config, seed=record.seed)))
    return is_own and (not wanted or learned == wanted)


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
                "title": first.title,
                "tried": changed(name),
                "task": first.task,
                "network": first.backbone,
                "config_sha256": config_digest(name),
                "timed": f"{machine()['date']} on {machine()['processor']}",
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


def changed(name: str) -> str:
    """The network of equal conditions that a tried one changes; nothing for that one itself."""
    configs = {stem: load_config(path) for stem, path in configurations().items()}
    own = configs[name]
    equal = next(
        stem
        for stem, each in configs.items()
        if (each.task, each.network.variant) == (own.task, own.network.variant)
    )
    return "" if equal == name else equal


def config_digest(name: str) -> str:
    """Checksum of a configuration of the study; what was trained by another is another network.

    Where it starts from a pretraining, that one's configuration counts as well.
    """
    path = configurations().get(name)
    if path is None:
        return ""
    texts = (each.read_bytes() for each in (path, *denoisers(path)))
    return hashlib.sha256(b"".join(texts)).hexdigest()


def digest(config: Path) -> str:
    """Checksum of a configuration."""
    return hashlib.sha256(config.read_bytes()).hexdigest()


def joined(networks: list[Json], former: list[Json]) -> list[Json]:
    """Add what was measured before and is not here: other seeds, and networks not trained anew.

    Seeds of a network that is here are added where the configuration and the sets are the same;
    its costs are those of this run.
    """
    here = {each["name"]: each for each in networks}
    kept = [each for each in former if each["name"] not in here and _is_current(each)]
    both = [
        _with_seeds(here[each["name"]], each) if _is_current(each) else here[each["name"]]
        for each in former
        if each["name"] in here
    ]
    new = [each for name, each in here.items() if name not in {old["name"] for old in former}]
    return sorted([*kept, *both, *new], key=lambda each: str(each["name"]))


def measured_seeds() -> dict[str, list[int]]:
    """Seeds that the study's file has of every configuration that is still what it was."""
    return {each["name"]: each["seeds"] for each in former_networks() if _is_current(each)}


def former_networks() -> list[Json]:
    """What the study's file has; empty without one."""
    if not RESULTS.is_file():
        return []
    networks: list[Json] = json.loads(RESULTS.read_text(encoding="utf-8"))["networks"]
    return networks


def _is_current(network: Json) -> bool:
    """Whether the configuration is still what it was."""
    return bool(network["config_sha256"] == config_digest(network["name"]))


def _with_seeds(network: Json, former: Json) -> Json:
    """Join the seeds of two measurements of a network, in order of seeds."""
    if [each["name"] for each in network["sets"]] != [each["name"] for each in former["sets"]]:
        return network
    added = [i for i, seed in enumerate(former["seeds"]) if seed not in network["seeds"]]
    seeds = [*network["seeds"], *(former["seeds"][i] for i in added)]
    order = sorted(range(len(seeds)), key=seeds.__getitem__)

    def one(new: list[Any], old: list[Any]) -> list[Any]:
        """Join two lists of one value a seed."""
        values = [*new, *(old[i] for i in added)]
        return [values[i] for i in order]

    whole = {**network, **{key: one(network[key], former[key]) for key in BY_SEED}}
    whole["sets"] = [
        {
            "name": new["name"],
            "commands": one(new["commands"], old["commands"]),
            "scores": {key: one(new["scores"][key], old["scores"][key]) for key in SCORES},
        }
        for new, old in zip(network["sets"], former["sets"], strict=True)
    ]
    return whole


def main(words: list[str]) -> int:
    """Measure the study; 1 when there is none."""
    if len(words) != 1:
        print("Give the folder of the trained checkpoints: python -m benchmarks.peers FOLDER")
        return 1
    if not studied(Path(words[0])):
        print(f"{words[0]} holds no checkpoint that a configuration of configs/{STUDY.name}/ made.")
        return 1
    results = measured(Path(words[0]))
    results["networks"] = joined(results["networks"], former_networks())
    alone = [each["name"] for each in results["networks"] if len(each["seeds"]) < 2]
    if alone:
        print(f"Without a spread, for one seed alone is known: {', '.join(sorted(alone))}")
    write(RESULTS, json.dumps(results, indent=2) + "\n")
    print(f"Written: {RESULTS.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
