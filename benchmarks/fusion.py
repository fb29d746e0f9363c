"""Every fusion method on held-out farmland and on the real Landsat 8 set; writes `fusion.json`.

    python -m benchmarks.fusion [--count 8] [--size 256] [--methods estarfm,copy] [--scales 4,8]

The farmland series come from ranges that training never draws. With $N2M_DATA the real set is
scored as well: DOY 236 of 2016 from 220 and 243, its coarse side made of the fine images at scale
16, and once with the real MODIS images, which are partly cloudy and not masked. `by_scale` is the
error against the scale factor on the first farmland series, `ablation` what the trained networks of
`configs/sastf/` reach on all of them, `speed` the seconds of one larger fusion beside the limits.
Learned methods take the weights of the registry ($N2M_CHECKPOINTS). Progress is told on stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.__main__ import machine, write
from benchmarks.figures import use_threads
from n2m_core.datasets.fusion_sets import landsat8_triplet
from n2m_core.datasets.triplets import Triplet, farmland_triplet
from n2m_core.fusion.installed import installed_weights
from n2m_core.fusion.windows import threads
from n2m_core.metrics.intervals import CONFIDENCE, bootstrap
from n2m_core.scenes.farmland import HELD_OUT, Farm, FarmlandParams
from n2m_core.tasks.evaluate_fusion import FIGURES, images_of, params_for
from n2m_core.tasks.fuse import FuseParams, fuse, prepare, score_result, truth_on_grid
from n2m_core.tasks.fusion_methods import METHODS, checkpoint_of, ready_methods

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "fusion.json"
ABLATION = HERE.parent / "configs" / "sastf"
REAL_SET = Path("fusion") / "landsat8_modis_2016_444.npz"
SCALES = (4, 8, 16, 32)
SPEED_PX, SPEED_BANDS = 512, 4
LIMITS_S = {"sa-stf": 60.0, "sa-stf-one-pass": 5.0, "fsdaf": 30.0, "starfm": 30.0, "estarfm": 30.0}
"""What the project promises for two cores, at default steps and windows."""
CHANGED = "rmse_changed"
Row = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """A row of a table: a method with its weights, if it has any."""

    name: str
    method: str
    checkpoint: str | None = None

    @property
    def params(self) -> FuseParams:
        """The task's parameters."""
        return FuseParams(self.method, checkpoint=self.checkpoint)


def entries_of(methods: Sequence[str]) -> list[Entry]:
    """The methods with the weights that they take."""
    return [Entry(METHODS[each].title, each, checkpoint_of(each)) for each in methods]


def ablated() -> list[Entry]:
    """The trained networks of the ablation, and the learned peer, of equal data and budget."""
    known = {path.stem for path in ABLATION.glob("*.yaml")}
    return [
        Entry(each.title, each.design, each.id)
        for each in installed_weights()
        if each.id in known and each.design in METHODS
    ]


def measured(triplet: Triplet, entry: Entry, changed: NDArray[np.bool_] | None = None) -> Row:
    """The scores of a method on one triplet, with its error where the scene changed suddenly."""
    params = params_for(triplet, entry.params)
    result = fuse(prepare(images_of(triplet), params), params)
    report = score_result(result, triplet.fine[1])
    row = {key: report[key] for key in (*FIGURES, "ergas_ratio", "seconds")}
    if changed is not None:
        truth, valid = truth_on_grid(triplet.fine[1], result.prepared)
        zone = changed & valid
        squared = ((result.reflectance - truth) ** 2)[:, zone]
        row[CHANGED] = float(np.sqrt(squared.mean())) if zone.any() else None
    return row


def table(entry: Entry, rows: Sequence[Row]) -> Row:
    """The figures of one method: a value for every triplet, None where there is none."""
    keys = [key for key in rows[0] if key != "ergas_ratio"]
    return {
        "name": entry.name,
        "method": entry.method,
        "checkpoint": entry.checkpoint,
        "ergas_ratio": rows[0]["ergas_ratio"],
        "figures": {key: [row[key] for row in rows] for key in keys},
    }


def on_farmland(entries: Sequence[Entry], params: FarmlandParams, count: int) -> Row:
    """Every method on `count` held-out series."""
    rows: dict[Entry, list[Row]] = {entry: [] for entry in entries}
    for seed in range(params.seed, params.seed + count):
        drawn = replace(params, seed=seed)
        triplet, changed = farmland_triplet(drawn), Farm(drawn).change() > 0
        for entry in entries:
            rows[entry].append(measured(triplet, entry, changed))
            tell(f"{triplet.name} {entry.name}")
    return {
        "name": f"Held-out farmland, {count} series of {params.size} px",
        "methods": [table(entry, each) for entry, each in rows.items()],
    }


def leads(methods: Sequence[Row], ours: str = "sa-stf", rival: str = "estarfm") -> list[Row]:
    """How far the error of `ours` lies below the rival's, series by series, with an interval."""
    by_method = {row["method"]: row["figures"] for row in methods}
    if not {ours, rival} <= by_method.keys():
        return []
    found = []
    for key in ("rmse", CHANGED):
        pairs = zip(by_method[rival][key], by_method[ours][key], strict=True)
        gaps = [theirs - own for theirs, own in pairs if theirs is not None and own is not None]
        if not gaps:
            continue
        counts = np.array([[[gap, 1.0] for gap in gaps]])
        low, high = bootstrap(
            counts, lambda pooled: pooled[:, 0] / pooled[:, 1], np.random.default_rng(0)
        )
        span = None if np.isnan(low) else [low, high]
        mean = float(np.mean(gaps))
        found.append({"figure": key, "rival": rival, "mean": mean, "interval": span,
                      "confidence": CONFIDENCE, "series": len(gaps)})  # fmt: skip
    return found


def on_real(entries: Sequence[Entry], folder: Path) -> list[Row]:
    """Every method on the real set, with coarse images made of the fine ones and with MODIS."""
    path = folder / REAL_SET
    kinds = (("made of the fine images", False), ("real MODIS, clouds not masked", True))
    sets = []
    for name, is_real in kinds:
        triplet = landsat8_triplet(path, is_real=is_real)
        found = []
        for entry in entries:
            found.append(table(entry, [measured(triplet, entry)]))
            tell(f"{name} {entry.name}")
        sets.append({"name": f"{path.stem}, coarse side {name}", "methods": found})
    return sets


def by_scale(entries: Sequence[Entry], params: FarmlandParams, scales: Sequence[int]) -> list[Row]:
    """Global error of every method against the scale factor, on one series."""
    found = []
    for scale in scales:
        triplet = farmland_triplet(replace(params, scale=scale))
        errors = {entry.name: measured(triplet, entry)["rmse"] for entry in entries}
        found.append({"scale": scale, "rmse": errors})
        tell(f"scale {scale}")
    return found


def speed(entries: Sequence[Entry], params: FarmlandParams) -> list[Row]:
    """Seconds of one fusion for each method, the weights loaded before, beside the limits."""
    triplet = farmland_triplet(params)
    found = []
    for entry in entries:
        seconds = measured(triplet, entry)["seconds"]
        limit = LIMITS_S.get(entry.method) if params.size == SPEED_PX else None
        found.append({"name": entry.name, "seconds": seconds, "at_most": limit})
        tell(f"{params.size} px {entry.name}: {seconds:.1f} s")
    return found


def tell(text: str) -> None:
    """Say how far it is."""
    print(text, file=sys.stderr, flush=True)


def main(words: Sequence[str]) -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fusion")
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--speed-size", type=int, default=SPEED_PX)
    parser.add_argument("--methods", default=",".join(ready_methods()))
    parser.add_argument("--scales", default=",".join(map(str, SCALES)))
    chosen = parser.parse_args(words)
    entries = entries_of(chosen.methods.split(","))
    scales = [int(scale) for scale in chosen.scales.split(",") if scale]
    params = FarmlandParams(HELD_OUT.seeds.start, size=chosen.size)
    timed = replace(params, size=chosen.speed_size, bands=SPEED_BANDS)
    data, networks = os.environ.get("N2M_DATA"), ablated()
    at = machine()
    if networks or any(entry.checkpoint for entry in entries):
        use_threads()
    farmland = on_farmland(entries, params, chosen.count)
    results = {
        "machine": at,
        "threads": threads(),
        "sets": [farmland, *(on_real(entries, Path(data)) if data else [])],
        "leads": leads(farmland["methods"]),
        "by_scale": by_scale(entries, params, scales),
        "ablation": on_farmland(networks, params, chosen.count) if networks else None,
        "speed": {"size": timed.size, "bands": timed.bands, "methods": speed(entries, timed)},
    }
    write(RESULTS, json.dumps(results, indent=2) + "\n")
    print(f"Written: {RESULTS.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
