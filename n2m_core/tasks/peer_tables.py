"""Tables of the study of peers, from the values that its script wrote.

Networks of equal conditions are ranked; what was tried to close a gap, under conditions of its own,
has a table of its own.
"""

from __future__ import annotations

import statistics

from n2m_core.tasks.study_tables import (
    SCORES,
    TASKS,
    Json,
    Plot,
    Shown,
    Table,
    measured_on,
    points,
    spread,
)

HOW = (
    "Every network was trained by the same code on the same data, crops and augmentation for "
    "the same steps, from random weights; ddpm-cd alone reads a denoiser that learned from "
    "unlabelled images before, and is frozen. The study is short: it ranks what these designs "
    "learn quickly from little, not what each can reach. Rank is by mean F1, mean IoU breaks ties; "
    "target is the class that is looked for, in change built and demolished together. Seconds "
    "are the median over passes of one 256 px tile (a pair in change) in turn, memory is the "
    "most that a pass needs beside the weights, GFLOP counts two operations a multiply-add."
)
TIE = 4
"""Decimals that scores are compared at: those of a published table in per cent."""


def ranked(scores: dict[str, tuple[float, float]]) -> dict[str, int]:
    """Rank by mean F1, mean IoU breaks ties; what is equal in both shares its rank.

    Args:
        scores: (mean F1, mean IoU) by name.

    Returns:
        Rank by name, 1 for the best.
    """
    rounded = {name: tuple(round(s, TIE) for s in pair) for name, pair in scores.items()}
    return {name: 1 + sum(o > own for o in rounded.values()) for name, own in rounded.items()}


def peers(raw: Json, score: str) -> Shown:
    """The ranking of every set and of all together, what the networks cost, and what was tried."""
    told: list[str] = []
    tables: list[Table] = []
    plots: list[Plot] = []
    for task, name in TASKS.items():
        every = [each for each in raw["networks"] if each["task"] == task]
        networks = [each for each in every if not each["tried"]]
        if not networks:
            continue
        title = name.capitalize()
        told += _verdicts(every, title)
        tables.append(Table(f"{title}: averaged over the sets", *_averages(networks), task))
        for number, entry in enumerate(networks[0]["sets"]):
            of_set = f"{title}: {entry['name']}"
            tables.append(Table(of_set, *_ranking(networks, number), task))
            values = [each["sets"][number]["scores"][score] for each in networks]
            line = points(SCORES[score], tuple(each["name"] for each in networks), values)
            plots.append(Plot(of_set, "network", SCORES[score], (line,), task))
        tables.append(Table(f"{title}: what the networks cost", *_costs(networks), task))
        if len(every) > len(networks):
            tables.append(Table(f"{title}: what was tried", *_tries(every), task))
    notes = (*told, HOW, measured_on(raw), *_timed(raw["networks"]))
    return Shown(notes, tuple(tables), tuple(plots))


def by_seed(network: Json, score: str) -> list[float]:
    """A score averaged over the sets, one value a seed."""
    columns = [entry["scores"][score] for entry in network["sets"]]
    return [statistics.mean(values) for values in zip(*columns, strict=True)]


def _average(network: Json) -> float:
    """Target F1 averaged over sets and seeds."""
    return statistics.mean(by_seed(network, "target_f1"))


def _averages(networks: list[Json]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Header and rows of all sets together, the best target F1 first."""
    rows = tuple(
        (each["name"], *(spread(by_seed(each, key)) for key in SCORES))
        for each in sorted(networks, key=_average, reverse=True)
    )
    return ("network", *SCORES.values()), rows


def _tries(networks: list[Json]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Header and rows of every condition that was tried, beside the network that it changes."""
    changed = {each["tried"] for each in networks if each["tried"]}
    shown = [each for each in networks if each["tried"] or each["name"] in changed]
    rows = tuple(
        (each["name"], each["title"], spread(by_seed(each, "target_f1")), _listed(each["seeds"]))
        for each in sorted(shown, key=_average, reverse=True)
    )
    return ("network", "what it is", SCORES["target_f1"], "seeds"), rows


def _costs(networks: list[Json]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Header and rows of what one pass takes."""
    header = ("network", "design", "million weights", "GFLOP", "seconds", "memory, MB")
    rows = tuple(
        (
            each["name"],
            each["network"],
            f"{each['parameters'] / 1e6:.2f}",
            f"{each['gflop_per_tile']:.2f}",
            f"{each['seconds_per_tile']:.3f}",
            f"{each['peak_mb']:.0f}",
            _listed(each["seeds"]),
            _listed(sorted(set(each["steps"]))),
        )
        for each in networks
    )
    return (*header, "seeds", "steps"), rows


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def _timed(networks: list[Json]) -> list[str]:
    """Say which costs were not measured together; nothing when all were."""
    runs: dict[str, list[str]] = {}
    for each in networks:
        runs.setdefault(each["timed"], []).append(each["name"])
    if len(runs) == 1:
        return []
    parts = "; ".join(f"{when}: {', '.join(names)}" for when, names in sorted(runs.items()))
    return [f"Seconds compare within one run alone. {parts}."]


def _ranking(
    networks: list[Json], number: int
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Header and rows of one set, the best network first."""
    found = {each["name"]: each["sets"][number]["scores"] for each in networks}
    means = {
        name: (statistics.mean(s["mean_f1"]), statistics.mean(s["mean_iou"]))
        for name, s in found.items()
    }
    ranks = ranked(means)
    rows = tuple(
        (str(ranks[name]), name, *(spread(found[name][key]) for key in SCORES))
        for name in sorted(found, key=lambda name: (ranks[name], name))
    )
    return ("rank", "network", *SCORES.values()), rows


def _verdicts(networks: list[Json], title: str) -> list[str]:
    """Who wins on target F1 averaged over the sets of a task, and by how much."""
    equal = [each for each in networks if not each["tried"]]
    ours = [each for each in equal if _is_ours(each)]
    peers = sorted((e for e in equal if not _is_ours(e)), key=_average, reverse=True)
    if not ours or not peers:
        return []
    own = max(ours, key=_average)
    told = [f"{title}: averaged over the sets, {_beside(own, peers)} points of target F1."]
    tries = [each for each in networks if each["tried"] and _is_ours(each)]
    if tries:
        # The rival is the best of all, those included that were given the same help.
        rival = max((each for each in networks if not _is_ours(each)), key=_average)
        best_first = sorted(tries, key=_average, reverse=True)
        gains = [f"{each['name']} {_gain(each, rival):+.1f}" for each in best_first]
        told.append(
            f"{title}, what was tried to better Noise2Map, points beside {rival['name']}, the best "
            f"of all: {', '.join(gains)}."
        )
    return told


def _beside(own: Json, peers: list[Json]) -> str:
    """Which peers a network is ahead of, and which it is behind, the best peer first."""
    gains = [(each["name"], _gain(own, each)) for each in peers]
    behind = [f"{name} by {-gain:.1f}" for name, gain in gains if gain <= 0]
    ahead = [f"{name} by {gain:.1f}" for name, gain in gains if gain > 0]
    parts = [(behind, "behind"), (ahead, "ahead of")]
    said = [f"{word} {', '.join(names)}" for names, word in parts if names]
    return f"{own['name']} is {', and '.join(said)}"


def _is_ours(network: Json) -> bool:
    return bool(network["name"].startswith("n2m-"))


def _gain(one: Json, other: Json) -> float:
    """How far a network is ahead of another, points of target F1."""
    return 100 * (_average(one) - _average(other))
