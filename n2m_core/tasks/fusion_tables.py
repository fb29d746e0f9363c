"""Tables and curves of the fusion study, from the values that `benchmarks/fusion.py` wrote."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from n2m_core.tasks.study_tables import Json, Line, Plot, Shown, Table, measured_on

FIGURES = {
    "rmse": ("RMSE", 4),
    "rmse_changed": ("RMSE, sudden change", 4),
    "cc": ("CC", 3),
    "ssim": ("SSIM", 3),
    "ergas": ("ERGAS", 2),
    "sam_deg": ("SAM, degrees", 2),
    "seconds": ("seconds", 1),
}
"""Title and decimals of every column."""
HIGHER_IS_BETTER = ("cc", "ssim")
JUDGED = ("rmse", "cc", "ssim", "ergas", "sam_deg")


def fusion(raw: Json, score: str) -> Shown:
    """All methods on all sets, error by scale, ablation, and seconds beside their limits."""
    tables = [_table(each["name"], each["methods"]) for each in raw["sets"]]
    plots = []
    if raw["by_scale"]:
        tables.append(_scale_table(raw["by_scale"]))
        plots.append(_scale_plot(raw["by_scale"]))
    if raw["ablation"]:
        tables.append(_table("Ablation at equal data and budget", raw["ablation"]["methods"]))
    tables.append(_speed(raw["speed"]))
    ratio = raw["sets"][0]["methods"][0]["ergas_ratio"]
    notes = (
        *(f"{each['name']}: {_winners(each['methods'])}." for each in raw["sets"]),
        *(_lead(each) for each in raw["leads"]),
        "Errors are in reflectance, over all bands; SSIM has a data range of 1, ERGAS the factor "
        f"100 / {ratio:g}. Over several series a cell is the mean with the lowest and the highest.",
        f"{measured_on(raw)} {raw['threads']} thread(s).",
    )
    return Shown(notes, tuple(tables), tuple(plots))


def _known(row: Json, key: str) -> list[float]:
    """The values of a figure that exist."""
    return [value for value in row["figures"].get(key, ()) if value is not None]


def _cell(values: Sequence[float], digits: int) -> str:
    """Mean with the lowest and the highest."""
    if not values:
        return "-"
    mean = f"{statistics.mean(values):.{digits}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _table(title: str, methods: Sequence[Json]) -> Table:
    """Methods by their error, the smallest first."""
    keys = [key for key in FIGURES if any(_known(row, key) for row in methods)]
    ordered = sorted(methods, key=lambda row: statistics.mean(_known(row, "rmse")))
    rows = tuple(
        (
            row["name"],
            row["checkpoint"] or "",
            *(_cell(_known(row, key), FIGURES[key][1]) for key in keys),
        )
        for row in ordered
    )
    return Table(title, ("method", "weights", *(FIGURES[key][0] for key in keys)), rows)


def _winners(methods: Sequence[Json]) -> str:
    """Which method is first on which of the judged figures, in words."""
    first: dict[str, list[str]] = {}
    for key in JUDGED:
        means = {row["name"]: statistics.mean(v) for row in methods if (v := _known(row, key))}
        if means:
            pick = max if key in HIGHER_IS_BETTER else min
            best = pick(means, key=lambda name: means[name])
            first.setdefault(best, []).append(FIGURES[key][0].partition(",")[0])
    return "; ".join(f"{name} is first on {', '.join(keys)}" for name, keys in first.items())


def _lead(lead: Json) -> str:
    """How far SA-STF's error lies below its rival's, or above it."""
    word = "below" if lead["mean"] > 0 else "above"
    where = " where the scene changed suddenly" if lead["figure"] == "rmse_changed" else ""
    told = (
        f"SA-STF's error{where} is {abs(lead['mean']):.4f} {word} that of "
        f"{lead['rival'].upper()}, mean over {lead['series']} series"
    )
    if lead["interval"] is None:
        return f"{told}."
    low, high = lead["interval"]
    return f"{told} ({lead['confidence']:.0%} interval of the gain: {low:.4f} to {high:.4f})."


def _scale_table(rows: Sequence[Json]) -> Table:
    header = ("method", *(f"scale {row['scale']}" for row in rows))
    names = rows[0]["rmse"]
    body = tuple((name, *(f"{row['rmse'][name]:.4f}" for row in rows)) for name in names)
    return Table("RMSE by scale factor, one series", header, body)


def _scale_plot(rows: Sequence[Json]) -> Plot:
    scales = tuple(float(row["scale"]) for row in rows)
    lines = tuple(
        Line(name, scales, tuple(row["rmse"][name] for row in rows)) for name in rows[0]["rmse"]
    )
    return Plot("RMSE by scale factor", "fine pixels along a coarse one", "RMSE", lines)


def _speed(speed: Json) -> Table:
    title = f"Seconds for {speed['size']} px and {speed['bands']} bands, weights loaded"
    return Table(title, ("method", "seconds", "limit"), tuple(map(_timed, speed["methods"])))


def _timed(row: Json) -> tuple[str, ...]:
    limit = row["at_most"]
    if limit is None:
        return row["name"], f"{row['seconds']:.1f}", ""
    verdict = "met" if row["seconds"] <= limit else "missed"
    return row["name"], f"{row['seconds']:.1f}", f"at most {limit:g}: {verdict}"
