"""Tables of the paper's claims on noise and schedulers, from the values that a script wrote."""

from __future__ import annotations

import itertools

from n2m_core.tasks.study_tables import Json, Line, Plot, Shown, Table, holds, measured_on

LIKE = 0.01
"""F1 that differs by no more is called alike."""
CLAIMED_ALIKE = ("ddpm", "ddim", "pndm")


def claims(raw: Json, score: str) -> Shown:
    """Each claim with what is found here, and whether it holds."""
    del score  # the cards have one score a set
    twins, schedules = raw["twins"], raw["schedules"]
    found = {each["schedule"]: each["f1"] for each in schedules["found"]}
    rows = tuple(
        (
            each["set"],
            f"{each['noisy']:.3f}",
            f"{each['plain']:.3f}",
            f"{100 * (each['noisy'] - each['plain']):+.1f}",
        )
        for each in twins["sets"]
    )
    header = ("set", twins["noisy"], twins["plain"], "points by noise and timestep")
    times = tuple(f"t = {t}" for t in schedules["timesteps"])
    mixed = tuple((name, *(f"{f1:.3f}" for f1 in values)) for name, values in found.items())
    lines = tuple(
        Line(name, tuple(schedules["timesteps"]), tuple(values)) for name, values in found.items()
    )
    notes = (_of_noise(twins), _of_schedules(found), _of_time(found["ddpm"]), measured_on(raw))
    tables = (
        Table("Target F1 with noise and timestep, and without", header, rows, "segment"),
        Table(
            f"Mean F1 of both classes by schedule: {schedules['place']}",
            ("", *times),
            mixed,
            "segment",
        ),
    )
    plot = Plot(f"By schedule: {schedules['place']}", "timestep t", "mean F1", lines, "segment")
    return Shown(notes, tables, (plot,))


def _of_noise(twins: Json) -> str:
    """Whether noise and timestep bring what the paper says."""
    points = [100 * (each["noisy"] - each["plain"]) for each in twins["sets"]]
    low, high = twins["published_points"]
    return (
        f"That a network without noise and timestep loses {low:g} to {high:g} points of F1 "
        f"{holds(min(points) >= low)} here: with them {twins['noisy']} has {min(points):+.1f} to "
        f"{max(points):+.1f} points beside {twins['plain']}, which learned the same steps on clean "
        "images."
    )


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


def _of_time(f1: list[float]) -> str:
    """Whether F1 rises from noise to image."""
    rises = all(later >= earlier - LIKE for earlier, later in itertools.pairwise(f1))
    return (
        f"That F1 rises from noise to image {holds(rises)} here: "
        f"{f1[0]:.3f} at the noisiest timestep, {f1[-1]:.3f} at the last that was measured."
    )
