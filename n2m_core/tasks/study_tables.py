"""Tables and curves of the studies, from the values that their scripts wrote.

Each function takes a study's values and the name of the score that its plots show. Whatever is said
in words follows from the values too.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

SCORES = {
    "mean_f1": "mean F1",
    "mean_iou": "mean IoU",
    "target_f1": "target F1",
    "target_iou": "target IoU",
    "boundary_iou": "boundary IoU",
}
TASKS = {"segment": "segmentation", "change": "change"}
EVEN = 0.05
"""Points of F1 that round to nothing in a sentence."""


@dataclass(frozen=True)
class Table:
    """A table of a study; `task` is None where it belongs to both."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    task: str | None = None


@dataclass(frozen=True)
class Line:
    """A curve, or a row of points with names; `low` and `high` are the spread over seeds."""

    name: str
    x: tuple[float | str, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Plot:
    """Lines over one axis, or over names where x are names; y in powers of ten with `is_log`."""

    title: str
    x_title: str
    y_title: str
    lines: tuple[Line, ...]
    task: str | None = None
    is_log: bool = False


@dataclass(frozen=True)
class Shown:
    """What there is to show of a study: sentences, tables, plots."""

    notes: tuple[str, ...]
    tables: tuple[Table, ...]
    plots: tuple[Plot, ...] = ()


def spread(values: Sequence[float]) -> str:
    """Mean with the lowest and the highest, the value alone where there is one."""
    mean = f"{statistics.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.3f} to {max(values):.3f})"


def holds(is_so: bool) -> str:
    """Say whether a claim stands up."""
    return "holds" if is_so else "does not hold"


def measured_on(raw: Json) -> str:
    """Say when and on what a study was measured."""
    at = raw["machine"]
    return f"Measured {at['date']} on {at['processor']}, PyTorch {at['torch']}."


def points(name: str, names: tuple[str, ...], values: list[list[float]]) -> Line:
    """A row of named points: the mean over seeds with the lowest and the highest."""
    return Line(
        name,
        names,
        tuple(statistics.mean(each) for each in values),
        tuple(min(each) for each in values),
        tuple(max(each) for each in values),
    )


def pretraining(raw: Json, score: str) -> Shown:
    """Scores by start and share of the labels, and the learning curves."""
    runs = raw["runs"]
    shares = sorted({run["share"] for run in runs})
    starts = sorted({run["start"] for run in runs})
    names = tuple(f"{100 * share:g} %" for share in shares)
    tables, plots = [], []
    for number, entry in enumerate(runs[0]["sets"]):
        rows, lines = [], []
        for start in starts:
            values = [_of(runs, start, share, number, score) for share in shares]
            known = [(n, v) for n, v in zip(names, values, strict=True) if v]
            lines.append(points(start, tuple(n for n, _ in known), [v for _, v in known]))
            rows.append((start, *(spread(v) if v else "-" for v in values)))
        title = f"{entry['name']}: {SCORES[score]} by share of the labels"
        tables.append(Table(title, ("start", *names), tuple(rows), "segment"))
        plots.append(Plot(title, "share of the labels", SCORES[score], tuple(lines), "segment"))
    plots += [_learning(runs, raw["validated_on"]), _directions(raw["ranks"])]
    first = raw["pretraining"]
    notes = (
        *_gains(runs, shares),
        *_narrowed(raw["ranks"]),
        f"Short: {raw['steps']} steps a run, after {first['steps']} steps of pretraining; seeds "
        f"{', '.join(map(str, sorted({run['seed'] for run in runs})))}. {len(runs)} of "
        f"{raw['planned']} runs are finished.",
        measured_on(raw),
    )
    return Shown(notes, tuple(tables), tuple(plots))


def _gains(runs: list[Json], shares: list[float]) -> list[str]:
    """Whether pretraining is worth it at each share of the labels, averaged over the sets."""
    sets = range(len(runs[0]["sets"]))
    told = []
    for share in shares:
        means = [
            [value for n in sets for value in _of(runs, start, share, n, "target_f1")]
            for start in ("pretrained", "random")
        ]
        if all(means):
            points = 100 * (statistics.mean(means[0]) - statistics.mean(means[1]))
            told.append(
                f"That pretraining beats random weights {holds(points > 0)} here with "
                f"{100 * share:g} % of the labels: {points:+.1f} points of target F1, averaged "
                "over the sets."
            )
    return told


def _narrowed(networks: list[Json]) -> list[str]:
    """Where pretraining leaves the features the fewest directions beside random weights."""
    by_start = {each["network"]: dict(each["depths"]) for each in networks}
    pretrained, random = by_start["pretrained"], by_start["random"]
    least = min(pretrained, key=lambda name: pretrained[name] / random[name])
    return [
        f"Before the training the features of the pretrained network take "
        f"{pretrained[least] / random[least]:.2f} times as many directions as those of random "
        f"weights where they differ most ({least}: effective rank {pretrained[least]:.1f} and "
        f"{random[least]:.1f})."
    ]


def _directions(networks: list[Json]) -> Plot:
    """How many directions the features take before the training, depth by depth."""
    lines = tuple(
        Line(
            each["network"],
            tuple(name for name, _ in each["depths"]),
            tuple(rank for _, rank in each["depths"]),
        )
        for each in networks
    )
    title = "Effective rank of the features before the training"
    return Plot(title, "depth", "effective rank", lines, "segment")


def _of(runs: list[Json], start: str, share: float, number: int, score: str) -> list[float]:
    """One score on one set, of every seed."""
    return [
        run["sets"][number]["scores"][score][0]
        for run in runs
        if (run["start"], run["share"]) == (start, share)
    ]


def _learning(runs: list[Json], place: str) -> Plot:
    """Scores along the training, mean over the seeds."""
    groups: dict[tuple[float, str], list[Json]] = {}
    for run in runs:
        groups.setdefault((run["share"], run["start"]), []).append(run)
    lines = []
    for (share, start), group in sorted(groups.items()):
        columns = list(zip(*(run["validation"] for run in group), strict=False))
        steps = tuple(points[0][0] for points in columns)
        values = [[point[1] for point in points] for points in columns]
        lines.append(
            Line(
                f"{100 * share:g} %, {start}",
                steps,
                tuple(map(statistics.mean, values)),
                tuple(map(min, values)),
                tuple(map(max, values)),
            )
        )
    return Plot(f"Learning curves on {place}", "step", "target F1", tuple(lines), "segment")


def multitask(raw: Json, score: str) -> Shown:
    """The shared network beside those of one task, and how its losses were weighed."""
    tables, told = [], []
    for task in raw["tasks"]:
        networks = task["networks"]
        sets = [entry["name"] for entry in networks[0]["sets"]]
        rows = tuple(
            (
                each["checkpoint"],
                f"{each['steps']:,}",
                f"{each['steps_in_all']:,}",
                *(spread(entry["scores"][score]) for entry in each["sets"]),
            )
            for each in networks
        )
        name = TASKS[task["task"]]
        title = f"{name.capitalize()}: {SCORES[score]}"
        header = ("checkpoint", "steps", "with its starts", *sets)
        tables.append(Table(title, header, rows, task["task"]))
        told += [
            f"{name.capitalize()}, {each['set']}: {raw['checkpoint']} is "
            f"{_beside(each['points'], raw['most_points_lost'])}."
            for each in task["points_lost"]
            if each["points"] is not None
        ]
    points = [each["points"] for task in raw["tasks"] for each in task["points_lost"]]
    known = [each for each in points if each is not None]
    if known:
        told.insert(0, f"That one network for both tasks helps both {holds(max(known) < 0)} here.")
    lines = tuple(
        Line(name, tuple(row[0] for row in raw["weights"]), tuple(row[i] for row in raw["weights"]))
        for i, name in ((1, "segmentation"), (2, "change"))
    )
    plots = (Plot("Weights of the losses", "step", "weight", lines),) if raw["weights"] else ()
    return Shown((*told, measured_on(raw)), tuple(tables), plots)


def _beside(points: float, limit: float) -> str:
    """How a shared network stands beside that of one task, by the points of F1 that it loses."""
    alone = "the network of that task alone"
    if abs(points) < EVEN:
        return f"level with {alone}"
    word = "behind" if points > 0 else "ahead of"
    verdict = "" if points <= limit else ", more than the limit"
    return f"{abs(points):.1f} points of target F1 {word} {alone}{verdict}"


def full_size(raw: Json, score: str) -> Shown:
    """Both networks at the papers' sizes, and the ratios beside the published ones."""
    rows = tuple(
        (
            name,
            f"{each['parameters'] / 1e6:.1f}",
            f"{each['gflop_per_tile']:.0f}",
            f"{each['median_s']:.3g}",
        )
        for name, each in raw["designs"].items()
    )
    found, claimed = raw["noise2map_is"], raw["published"]
    ratios = tuple(
        (name, f"{found[key]:.2f}", f"{claimed[key]:.2f}" if key in claimed else "-")
        for name, key in (
            ("times faster", "faster"),
            ("times smaller", "smaller"),
            ("times less arithmetic", "less_arithmetic"),
        )
    )
    header = ("network", "million weights", "GFLOP", "seconds")
    return Shown(
        (f"One pair of {raw['tile_px']} px on {raw['device']}.", measured_on(raw)),
        (
            Table("Both networks in one run", header, rows, "change"),
            Table("Noise2Map is", ("", "measured", "published"), ratios, "change"),
        ),
    )


def speed(raw: Json, score: str) -> Shown:
    """Every figure of `make bench` beside its limit."""
    tables = tuple(
        Table(
            part["title"],
            ("figure", "measured", "limit"),
            tuple(
                (each["name"], f"{each['value']:.3g} {each['unit']}", _limit(each))
                for each in part["figures"]
            ),
        )
        for part in (raw[name] for name in sorted(raw))
    )
    return Shown(tuple({measured_on(part) for part in raw.values()}), tables)


def _limit(figure: Json) -> str:
    """The limit of a figure and whether it is kept, in words."""
    if figure["is_met"] is None:
        return ""
    least, most = figure["at_least"], figure["at_most"]
    limit = f"at least {least:g}" if most is None else f"at most {most:g}"
    return f"{limit}: {'met' if figure['is_met'] else 'missed'}"
