"""Tables and curves of the study of refinement, from the values that its script wrote."""

from __future__ import annotations

import statistics

from n2m_core.metrics.spectrum import RINGS_PER_CYCLE
from n2m_core.tasks.study_tables import Json, Line, Plot, Shown, Table, measured_on

SCORES = {
    "mean_iou": "mean IoU",
    "mean_f1": "mean F1",
    "wfm": "WFm",
    "f1_3px": "boundary F1, 3 px",
}
BOUNDARY = ("wfm", "f1_3px")


def refinement(raw: Json, score: str) -> Shown:
    """Every refiner on the maps of every rough model, and where in frequency it helps."""
    del score  # boundaries are what refiners are for
    tables: list[Table] = []
    plots: list[Plot] = []
    told = []
    for entry in raw["sets"]:
        told += [_verdict(raw, entry), *_rivals(raw, entry), _claim(raw, entry)]
        for rough in entry["rough"]:
            title = f"{_title(entry)} ({entry['tiles']} tiles): maps of {rough['name']}"
            tables.append(Table(title, _HEADER, _rows(rough["maps"]), "segment"))
        plots += [_spectra(raw, entry), _steps(entry)]
    seconds = raw["seconds"]
    rows = tuple((name, f"{value:.2f}") for name, value in seconds.items())
    title = f"Seconds for a tile of {raw['tile_px']} px"
    tables += [Table(title, ("refiner", "seconds"), rows, "segment"), _networks(raw)]
    notes = (
        "Beside a score stands what was gained over the rough maps, in points, with the 95 % "
        "interval over tiles. The repair score counts what was mended less what was broken.",
        *told,
        _speed(raw),
        *raw["left_out"],
        f"{measured_on(raw)[:-1]}, {raw['threads']} thread(s), {raw['device']}.",
    )
    return Shown(notes, tuple(tables), tuple(plots))


_HEADER = ("map by", *SCORES.values(), "repair score")


def _title(entry: Json) -> str:
    """A set's name at the head of a line."""
    name = str(entry["name"])
    return name[:1].upper() + name[1:]


def _rows(maps: list[Json]) -> tuple[tuple[str, ...], ...]:
    """One row a refiner; the rough maps have nothing gained."""
    rows = []
    for each in maps:
        gains, repair = each.get("gains"), each.get("repair")
        cells = [_cell(each["scores"][key], gains[key] if gains else None) for key in SCORES]
        mended = "-" if repair is None else _repair(repair)
        rows.append((each["name"], *cells, mended))
    return tuple(rows)


def _cell(value: float | None, gain: Json | None) -> str:
    """A score with what was gained."""
    if value is None:
        return "-"
    if gain is None or gain["value"] is None:
        return f"{value:.3f}"
    points = {key: None if each is None else f"{100 * each:+.1f}" for key, each in gain.items()}
    ends = "" if points["low"] is None else f" ({points['low']} to {points['high']})"
    return f"{value:.3f}, {points['value']}{ends}"


def _repair(repair: Json) -> str:
    """The repair score with its interval."""
    if repair["iou_imp"] is None:
        return "-"
    ends = "" if repair["low"] is None else f" ({repair['low']:.3f} to {repair['high']:.3f})"
    return f"{repair['iou_imp']:.3f}{ends}"


def _networks(raw: Json) -> Table:
    """What the trained refiners are and cost."""
    header = ("network", "million weights", "GFLOP a tile", "steps of training", "crops", "minutes")
    rows = tuple(
        (
            each["name"],
            f"{each['parameters'] / 1e6:.2f}",
            f"{each['gflop_per_tile']:.1f}",
            str(each["steps"]),
            str(each["samples"]),
            f"{each['minutes']:.0f}",
        )
        for each in raw["networks"]
    )
    return Table("The trained refiners", header, rows, "segment")


def _of(rough: Json, name: str) -> Json:
    """The row of a map."""
    row: Json = next(each for each in rough["maps"] if each["name"] == name)
    return row


def _verdict(raw: Json, entry: Json) -> str:
    """What the diffusion gains on a set, beside what is wanted of it."""
    mains = [_of(rough, raw["main"])["gains"] for rough in entry["rough"]]
    means = {key: _mean([gains[key]["value"] for gains in mains]) for key in BOUNDARY}
    lost = [gains["mean_iou"]["value"] for gains in mains if gains["mean_iou"]["value"] is not None]
    wanted = 0.0 if entry["is_real"] else raw["limits"]["points_on_scenes"]
    allowed = raw["limits"]["iou_points_lost"]
    if not lost or any(mean is None for mean in means.values()):
        return f"{_title(entry)}: there is no boundary to score."
    points = {key: 100 * mean for key, mean in means.items() if mean is not None}
    worst = 100 * min(lost)
    is_won = all(value > 0 and value >= wanted for value in points.values())
    is_kept = worst >= -allowed
    least = f"at least {wanted:g} points" if wanted else "a rise"
    return (
        f"{_title(entry)}: {raw['main']} changes WFm by {points['wfm']:+.1f} and boundary F1 at 3 "
        f"px by {points['f1_3px']:+.1f} points, the mean over the rough models ({least} wanted: "
        f"{_met(is_won)}), and mean IoU by {worst:+.1f} points where it does worst (at most "
        f"{allowed:g} may be lost: {_met(is_kept)})."
    )


def _rivals(raw: Json, entry: Json) -> list[str]:
    """How the refiners of other kinds do beside the diffusion, means over the rough models."""
    diffusion = raw["networks"][0]["name"]
    names = [row["name"] for row in entry["rough"][0]["maps"] if "gains" in row]
    told = []
    for name in names:
        gains = [_of(rough, name)["gains"] for rough in entry["rough"]]
        means = [_mean([each[key]["value"] for each in gains]) for key in ("f1_3px", "mean_iou")]
        if name.startswith(f"{diffusion},") or None in means:
            continue
        edge, area = (100 * mean for mean in means if mean is not None)
        told.append(f"{name} changes boundary F1 by {edge:+.1f} and mean IoU by {area:+.1f} points")
    return [f"{_title(entry)}, beside it: {'; '.join(told)}."] if told else []


def _met(is_met: bool) -> str:
    return "met" if is_met else "missed"


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.mean(known) if known else None


def _claim(raw: Json, entry: Json) -> str:
    """What is left of the error, coarse and fine, over all rough models."""
    left = {}
    for key in ("fine", "coarse"):
        before = sum(rough["maps"][0]["error"][key] for rough in entry["rough"])
        after = sum(_of(rough, raw["main"])["error"][key] for rough in entry["rough"])
        left[key] = f"{100 * after / before:.0f} %" if before else "none"
    waves = f"{1 / raw['cutoff']:g} px"
    return (
        f"{_title(entry)}, error of the maps after {raw['main']} as a share of the rough maps': in "
        f"waves shorter than {waves} {left['fine']}, in longer ones {left['coarse']}."
    )


def _speed(raw: Json) -> str:
    """The time of a tile beside its limit."""
    taken, limit = raw["seconds"][raw["timed"]], raw["limits"]["tile_seconds"]
    return (
        f"{raw['timed']} takes {taken:.1f} s for a tile of {raw['tile_px']} px (at most {limit:g} "
        f"wanted: {_met(taken <= limit)})."
    )


def _spectra(raw: Json, entry: Json) -> Plot:
    """Mean power of the error by frequency, rough and refined."""
    lines = []
    for rough in entry["rough"]:
        for each, suffix in ((rough["maps"][0], ""), (_of(rough, raw["main"]), ", refined")):
            power = [
                ((ring + 0.5) / RINGS_PER_CYCLE, value)
                for ring, value in enumerate(each["error"]["mean_power"])
                if value > 0
            ]
            x, y = zip(*power, strict=True) if power else ((), ())
            lines.append(Line(f"{rough['name']}{suffix}", tuple(x), tuple(y)))
    title = f"{_title(entry)}: spectrum of the error"
    return Plot(title, "cycles per pixel", "mean power", tuple(lines), "segment", is_log=True)


def _steps(entry: Json) -> Plot:
    """Boundary score along the walk; step 0 is the rough map."""
    lines = []
    for rough in entry["rough"]:
        known = [each for each in rough["by_step"] if each["f1_3px"] is not None]
        x, y = ([each[key] for each in known] for key in ("step", "f1_3px"))
        lines.append(Line(rough["name"], tuple(x), tuple(y)))
    title = f"{_title(entry)}: boundary along the walk"
    return Plot(
        title, "denoising steps done, 0 the rough map", SCORES["f1_3px"], tuple(lines), "segment"
    )
