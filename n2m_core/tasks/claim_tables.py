"""Tables of the paper's claims on noise and schedulers, from the values that a script wrote."""

from __future__ import annotations

import itertools

from n2m_core.tasks.study_tables import (
    TASKS,
    Json,
    Line,
    Plot,
    Shown,
    Table,
    holds,
    measured_on,
)

LIKE = 0.01
"""F1 that differs by no more is called alike."""
KINDS = ("mean", "target")
"""Which F1 the twins are compared by; the paper's is the first."""
CLAIMED_ALIKE = ("ddpm", "ddim", "pndm")


def claims(raw: Json, score: str) -> Shown:
    """Each claim with what is found here, and whether it holds."""
    del score  # the cards have one score a set
    twins, schedules = raw["twins"], raw["schedules"]
    found = {each["schedule"]: each["f1"] for each in schedules["found"]}
    rows = tuple(
        (
            each["set"],
            kind,
            f"{each['noisy'][kind]:.3f}",
            f"{each['plain'][kind]:.3f}",
            f"{points:+.1f}",
        )
        for kind in KINDS
        for each, points in zip(twins["sets"], _points(twins, kind), strict=True)
    )
    header = ("set", "F1", twins["noisy"], twins["plain"], "points by noise and timestep")
    times = tuple(f"t = {t}" for t in schedules["timesteps"])
    mixed = tuple((name, *(f"{f1:.3f}" for f1 in values)) for name, values in found.items())
    lines = tuple(
        Line(name, tuple(schedules["timesteps"]), tuple(values)) for name, values in found.items()
    )
    along = raw["along_time"]
    notes = (
        _of_noise(twins),
        _of_schedules(found),
        *map(_of_time, along),
        measured_on(raw),
    )
    tables = (
        Table("F1 with noise and timestep, and without", header, rows, "segment"),
        Table(
            f"Mean F1 of both classes by schedule: {schedules['place']}",
            ("", *times),
            mixed,
            "segment",
        ),
    )
    title, axes = f"By schedule: {schedules['place']}", ("timestep t", "mean F1")
    plots = (
        Plot(title, *axes, lines, "segment"),
        Plot("From noise to image", *axes, _along_time(along)),
    )
    return Shown(notes, tables, plots)


def _along_time(along: list[Json]) -> tuple[Line, ...]:
    """A curve for every network, task and set."""
    return tuple(
        Line(
            f"{each['checkpoint']}, {TASKS[each['task']]}",
            tuple(each["timesteps"]),
            tuple(each["f1"]),
        )
        for each in along
    )


def _of_noise(twins: Json) -> str:
    """Whether noise and timestep bring what the paper says."""
    points, target = _points(twins, "mean"), _points(twins, "target")
    low, high = twins["published_points"]
    return (
        f"That a network without noise and timestep loses {low:g} to {high:g} points of F1 "
        f"{holds(min(points) >= low)} here: with them {twins['noisy']} has {min(points):+.1f} to "
        f"{max(points):+.1f} points of mean F1 beside {twins['plain']}, which learned the same "
        f"steps on clean images ({min(target):+.1f} to {max(target):+.1f} of the target's)."
    )


def _points(twins: Json, kind: str) -> list[float]:
    """Points of F1 by which noise and timestep are ahead, set by set."""
    return [100 * (each["noisy"][kind] - each["plain"][kind]) for each in twins["sets"]]


def _of_schedules(found: dict[str, list[float]]) -> str:
    """Whether three schedules are alike, and Heun's less."""
    alike = [found[name] for name in CLAIMED_ALIKE]
    apart = max(max(values) - min(values) for values in zip(*alike, strict=True))
    gains = [own - other for own, other in zip(found["ddpm"], found["heun"], strict=True)]
    is_alike, is_less = apart <= LIKE, min(gains) >= -LIKE and max(gains) > LIKE
    return (
        f"That DDIM, DDPM and PNDM give about the same F1 {holds(is_alike)} here (at most "
        f"{apart:.4f} apart), and that Heun gives less {holds(is_less)} where x_t is mixed (DDPM "
        f"is {min(gains):+.3f} to {max(gains):+.3f} beside it). "
        "The first three mix alike; Heun adds unscaled noise, so that its inputs are far larger."
    )


def _of_time(curve: Json) -> str:
    """Whether F1 rises from noise to image, and where it falls most if it falls on the way."""
    times, f1 = curve["timesteps"], curve["f1"]
    steps = list(itertools.pairwise(zip(times, f1, strict=True)))
    (before, high), (after, low) = min(steps, key=lambda pair: pair[1][1] - pair[0][1])
    falls = high - low > LIKE
    rises = not falls and f1[-1] - f1[0] > LIKE
    where = f"{TASKS[curve['task']].capitalize()}, {curve['checkpoint']}, {curve['set']}"
    dip = f", but falls from {high:.3f} at t = {before} to {low:.3f} at t = {after}"
    return (
        f"{where}: that F1 rises from noise to image {holds(rises)} here. The mean of all classes "
        f"goes from {f1[0]:.3f} at t = {times[0]} to {f1[-1]:.3f} at t = {times[-1]}"
        f"{dip if falls else ''}."
    )
