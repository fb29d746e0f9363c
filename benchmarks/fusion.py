"""Every fusion method on held-out farmland and on the real Landsat 8 set, as one JSON object.

    python -m benchmarks.fusion [--count 8] [--size 256] [--methods estarfm,copy] [--scales 4,8]

The farmland series come from ranges that training never draws. With $N2M_DATA the real set is
scored as well: DOY 236 of 2016 from 220 and 243, its coarse side made of the fine images at scale
16, and once with the real MODIS images, which are partly cloudy and not masked. `by_scale` is the
error against the scale factor on the first farmland series. Progress is told on stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.__main__ import machine
from n2m_core.datasets.fusion_sets import landsat8_triplet
from n2m_core.datasets.triplets import Triplet, farmland_triplet
from n2m_core.fusion.windows import threads
from n2m_core.scenes.farmland import HELD_OUT, Farm, FarmlandParams
from n2m_core.tasks.evaluate_fusion import FIGURES, images_of, params_for
from n2m_core.tasks.fuse import FuseParams, fuse, prepare, score_result, truth_on_grid
from n2m_core.tasks.fusion_methods import ready_methods

REAL_SET = Path("fusion") / "landsat8_modis_2016_444.npz"
SCALES = (4, 8, 16, 32)
Row = dict[str, Any]


def measured(triplet: Triplet, method: str, changed: NDArray[np.bool_] | None = None) -> Row:
    """The scores of a method on one triplet, with its error where the scene changed suddenly."""
    params = params_for(triplet, FuseParams(method))
    result = fuse(prepare(images_of(triplet), params), params)
    report = score_result(result, triplet.fine[1])
    row = {key: report[key] for key in (*FIGURES, "ergas_ratio", "seconds")}
    if changed is not None:
        truth, valid = truth_on_grid(triplet.fine[1], result.prepared)
        zone = changed & valid
        squared = ((result.reflectance - truth) ** 2)[:, zone]
        row["rmse_changed"] = float(np.sqrt(squared.mean())) if zone.any() else None
    return row


def mean_of(rows: Sequence[Row]) -> Row:
    """The mean of every figure over the rows that have it."""
    found: Row = {}
    for key in rows[0]:
        known = [row[key] for row in rows if row[key] is not None]
        found[key] = float(np.mean(known)) if known else None
    return found


def on_farmland(methods: Sequence[str], params: FarmlandParams, count: int) -> Row:
    """Every method on `count` held-out series."""
    rows: dict[str, list[Row]] = {method: [] for method in methods}
    for seed in range(params.seed, params.seed + count):
        drawn = replace(params, seed=seed)
        triplet, changed = farmland_triplet(drawn), Farm(drawn).change() > 0
        for method in methods:
            rows[method].append(measured(triplet, method, changed))
            tell(f"{triplet.name} {method}")
    table = [{"method": method, **mean_of(each)} for method, each in rows.items()]
    return {"name": f"held-out farmland, {count} series of {params.size} px", "methods": table}


def on_real(methods: Sequence[str], folder: Path) -> list[Row]:
    """Every method on the real set, with coarse images made of the fine ones and with MODIS."""
    path = folder / REAL_SET
    kinds = (("made of the fine images", False), ("real MODIS, clouds not masked", True))
    sets = []
    for name, is_real in kinds:
        triplet = landsat8_triplet(path, is_real=is_real)
        table = []
        for method in methods:
            table.append({"method": method, **measured(triplet, method)})
            tell(f"{name} {method}")
        sets.append({"name": f"{path.stem}, coarse side {name}", "methods": table})
    return sets


def by_scale(methods: Sequence[str], params: FarmlandParams, scales: Sequence[int]) -> list[Row]:
    """Global error of every method against the scale factor, on one series."""
    found = []
    for scale in scales:
        triplet = farmland_triplet(replace(params, scale=scale))
        errors = {method: measured(triplet, method)["rmse"] for method in methods}
        found.append({"scale": scale, "rmse": errors})
        tell(f"scale {scale}")
    return found


def tell(text: str) -> None:
    """Say how far it is."""
    print(text, file=sys.stderr, flush=True)


def main(words: Sequence[str]) -> int:
    """Measure, and print the one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fusion")
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--methods", default=",".join(ready_methods()))
    parser.add_argument("--scales", default=",".join(map(str, SCALES)))
    chosen = parser.parse_args(words)
    methods = chosen.methods.split(",")
    scales = [int(scale) for scale in chosen.scales.split(",") if scale]
    params = FarmlandParams(HELD_OUT.seeds.start, size=chosen.size)
    data = os.environ.get("N2M_DATA")
    real = on_real(methods, Path(data)) if data else []
    result = {
        "title": "Fusion",
        "setting": "Reflectance 0..1; SSIM with data range 1; ERGAS with the factor 100 / "
        "ergas_ratio; rmse_changed where fields were cut, burnt or felled between the dates.",
        "threads": threads(),
        "sets": [on_farmland(methods, params, chosen.count), *real],
        "by_scale": by_scale(methods, params, scales),
        "machine": machine(),
    }
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
