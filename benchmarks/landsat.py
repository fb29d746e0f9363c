"""Score the change checkpoints at 30 m, far from what they learned: a stress test.

    python -m benchmarks.landsat [CHECKPOINT ...]

Two Landsat pairs below $N2M_DATA/change/landsat with sparse labels; what is not labelled counts
nowhere. A pixel of 30 m is taken for one of the size that the checkpoint knows (`--resolution`):
resampled to that size a pair would be one smooth blur. Each checkpoint sees three choices of bands.
Beside them stands a formula that has learned nothing. Writes `benchmarks/landsat.json`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.__main__ import machine, write
from benchmarks.scores import run
from n2m_core import checkpoints
from n2m_core.checkpoints import ClassInfo
from n2m_core.datasets.base import Sample
from n2m_core.datasets.opening import open_dataset

RESULTS = Path(__file__).resolve().parent / "landsat.json"
ROOT = "$N2M_DATA/change/landsat"
BANDS = {
    "red, green, blue": "3,2,1",
    "near infrared, red, green": "4,3,2",
    "short-wave infrareds, near infrared": "6,5,4",
}
ALL_BANDS = (1, 2, 3, 4, 5, 6)
CLASSES = (ClassInfo("unchanged", "#e6e1d6"), ClassInfo("changed", "#d55e00"))
HISTOGRAM_BINS = 256

KEPT = ("target", "mean", "all_positive", "per_tile", "notes")
"""Of a report; the notes say how unlike the weights' own images these are."""

Json = dict[str, Any]


def change_vector(sample: Sample) -> NDArray[np.bool_]:
    """Map change without learning: length of the change vector, cut by Otsu's threshold.

    Every band of a date is brought to mean 0 and deviation 1, so that light and haze of the whole
    scene drop out (Malila 1980; Otsu 1979).

    Returns:
        bool [H, W].
    """
    assert sample.after is not None
    dates = [image.pixels.astype(np.float64) for image in (sample.image, sample.after)]
    valid = sample.image.valid & sample.after.valid
    before, after = (
        (bands - bands[:, valid].mean(1)[:, None, None]) / bands[:, valid].std(1)[:, None, None]
        for bands in dates
    )
    length = np.sqrt(((after - before) ** 2).sum(0))
    return np.asarray(length > otsu(length[valid]))


def otsu(values: NDArray[np.float64]) -> float:
    """Give the threshold that separates two groups best: the largest variance between them."""
    counts, edges = np.histogram(values, HISTOGRAM_BINS)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = sums[:-1] / below - (sums[-1] - sums[:-1]) / above
        between = np.where((below > 0) & (above > 0), below * above * apart**2, 0.0)
    return float(edges[1:-1][int(between.argmax())])


def scores(maps: Sequence[NDArray[np.bool_]], samples: Sequence[Sample]) -> dict[str, float]:
    """F1 and IoU of the changed class over all labelled pixels."""
    hit = missed = invented = 0
    for found, sample in zip(maps, samples, strict=True):
        hit += int((found & (sample.label == 1)).sum())
        missed += int((~found & (sample.label == 1)).sum())
        invented += int((found & (sample.label == 0)).sum())
    return {
        "f1": 2 * hit / (2 * hit + missed + invented),
        "iou": hit / (hit + missed + invented),
    }


def without_learning(root: Path) -> Json:
    """Scores of the change vector on every place and on all."""
    opened = open_dataset("landsat-change", root, task="change", classes=CLASSES, bands=ALL_BANDS)
    samples = list(opened)
    maps = [change_vector(sample) for sample in samples]
    each = [
        {"name": sample.name, **scores([found], [sample])}
        for found, sample in zip(maps, samples, strict=True)
    ]
    return {"name": "change vector, all bands", "target": scores(maps, samples), "per_tile": each}


def command(checkpoint: str, resolution_m: float, bands: str) -> str:
    """The line that a person types."""
    return (
        f"n2m evaluate change --checkpoint {checkpoint} --dataset landsat-change --root {ROOT} "
        f"--resolution {resolution_m:g} --bands {bands} --json"
    )


def measured(wanted: Sequence[str]) -> Json:
    """Score the change checkpoints named, or all."""
    entries = []
    for card in checkpoints.list_cards():
        if card.task != "change" or (wanted and card.id not in wanted):
            continue
        for name, bands in BANDS.items():
            line = command(card.id, card.resolution_m, bands)
            report = json.loads(run(line))
            entries.append(
                {
                    "checkpoint": card.id,
                    "sha256": card.sha256,
                    "bands": name,
                    "command": line,
                    **{key: report[key] for key in KEPT},
                }
            )
    return {
        "machine": machine(),
        "resolution_m": 30,
        "without_learning": without_learning(Path(os.path.expandvars(ROOT))),
        "checkpoints": entries,
    }


def main(words: Sequence[str]) -> int:
    """Measure and write; 1 when there is nothing to score."""
    results = measured(words)
    if not results["checkpoints"]:
        print("No checkpoint for change is installed; train configs/n2m-change.yaml first.")
        return 1
    write(RESULTS, json.dumps(results, indent=2) + "\n")
    print(f"Written: {RESULTS.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
