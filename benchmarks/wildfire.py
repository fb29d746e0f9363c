"""The paper's xView2 wildfire rows as far as the data go: tiles of 256 px, both tasks.

    python -m benchmarks.wildfire [--train]

The pairs below $N2M_DATA/change/wildfire are written to build/xview2 in the published layout, those
for training as `train`, those kept out as `test`. `--train` trains what is missing of
`configs/wildfire/` into build/wildfire (an hour on a core). Beside these rows stand the published
figures and n2m-wildfire, which maps the same pairs at their full resolution. Writes
`benchmarks/wildfire.json`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from PIL import Image

from benchmarks.__main__ import machine, write
from benchmarks.jobs import untrained
from benchmarks.scores import run
from n2m_core import checkpoints
from n2m_core.checkpoints import CheckpointCard
from n2m_core.datasets.xview2 import AFTER, BEFORE, FOLDER, TILES
from n2m_core.training.config import load_config

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "wildfire.json"
CONFIGS = HERE.parent / "configs" / "wildfire"
PAIRS = Path("change") / "wildfire"
LAYOUT = Path("build") / "xview2"
TRAINED = Path("build") / "wildfire"
SPLITS = {"train": "train", "val": "test"}
FULL_RESOLUTION = "n2m-wildfire"
ROWS = {
    "xview2-cd-compact": {"row": "xView2 wildfire, CD", "mean_f1": 0.8691, "mean_iou": 0.7859},
    "xview2-ss-compact": {"row": "xView2 wildfire, SS", "mean_f1": 0.8690, "mean_iou": 0.7855},
}
"""Published figures of each row, the mean of the two classes."""
KEPT = ("mean", "target", "all_positive", "tiles", "timestep", "notes")
PIXEL_VALUES = 256

Json = dict[str, Any]


def lay_out(pairs: Path, layout: Path) -> dict[str, int]:
    """Write the pairs in the published layout; gives the number of each split.

    Args:
        pairs: holds train and val, each with A (before), B (after) and label.
        layout: receives train and test.
    """
    counts = {}
    for split, published in SPLITS.items():
        folder = layout / published / FOLDER
        for name in ("images", "masks"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        labels = sorted((pairs / split / "label").iterdir())
        for label in labels:
            tile = f"santa-rosa-wildfire_{label.stem}"
            for date, suffix in (("A", BEFORE), ("B", AFTER)):
                image = pairs / split / date / f"{label.stem}.tif"
                _copy(image, folder / "images" / f"{tile}{suffix}.png")
            _copy(label, folder / "masks" / f"{tile}{BEFORE}.png")
        counts[published] = len(labels)
    return counts


def _copy(source: Path, target: Path) -> None:
    """Write a raster as PNG; its place on the ground is lost, as in the published tiles."""
    if source.suffix == target.suffix:
        shutil.copyfile(source, target)
        return
    with rasterio.open(source) as raster:
        pixels = raster.read()
    assert pixels.max() < PIXEL_VALUES
    picture = pixels.astype(np.uint8)
    Image.fromarray(picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)).save(target)


def train_missing() -> None:
    """Train what is not there; sources and weights are named from the repository's root."""
    env = {**os.environ, "N2M_DATA": ".", "N2M_CHECKPOINTS": str(TRAINED)}
    for name in untrained(rows(), TRAINED):
        words = ("n2m_core", "train", str(CONFIGS / f"{name}.yaml"), "--renew")
        subprocess.run([sys.executable, "-m", *words], check=True, env=env)


def rows() -> list[Path]:
    """Configurations of the rows."""
    return [CONFIGS / f"{name}.yaml" for name in ROWS]


def scored(name: str) -> Json:
    """One row: what it was trained for, its scores, and the published ones."""
    (card,) = checkpoints.read_cards(name, root=TRAINED)
    command = (
        f"n2m evaluate {card.task} --checkpoint {name} --dataset xview2 --root {LAYOUT} "
        "--split test --json"
    )
    report = json.loads(run(command, {"N2M_CHECKPOINTS": str(TRAINED)}))
    scores = {key: report[key] for key in KEPT}
    return {**described(card), **conditions(name), "command": command, **scores}


def conditions(name: str) -> Json:
    """How a row's configuration trains, as far as the paper does otherwise."""
    config = load_config(CONFIGS / f"{name}.yaml")
    chances = dataclasses.asdict(config.augment)
    del chances["independent_dates"]  # says how, not whether
    return {
        "optimizer": {
            "kind": config.optimizer.kind,
            "learning_rate": config.optimizer.learning_rate,
            "warmup_steps": config.optimizer.warmup_steps,
            "ema_decay": config.optimizer.ema_decay,
        },
        "augmented": [kind for kind, chance in chances.items() if chance],
    }


def described(card: CheckpointCard) -> Json:
    """What a network is and was trained for."""
    return {
        "checkpoint": card.id,
        "task": card.task,
        "sha256": card.sha256,
        "network": card.backbone,
        "parameters": card.parameters,
        "start": card.training.init_from,
        "steps": card.training.steps,
        "samples": card.training.samples,
        "minutes": card.training.minutes,
    }


def at_full_resolution() -> Json | None:
    """What n2m-wildfire's card says of the same pairs; None where it is not installed."""
    for card in checkpoints.list_cards():
        if card.id == FULL_RESOLUTION:
            for entry in card.metrics:
                if PAIRS.as_posix() in entry["command"]:
                    scores = {key: entry["report"][key] for key in KEPT}
                    return {**described(card), "command": entry["command"], **scores}
    return None


def main(words: Sequence[str]) -> int:
    """Measure and write; 1 when data or weights are missing."""
    pairs = Path(os.environ.get("N2M_DATA", ".")) / PAIRS
    if not (pairs / "train" / "label").is_dir():
        print(f"{pairs} is not there; name the folder of labelled imagery by N2M_DATA.")
        return 1
    counts = lay_out(pairs, LAYOUT)
    if "--train" in words:
        train_missing()
    missing = untrained(rows(), TRAINED)
    if missing:
        print(
            f"Not trained yet, or by another configuration: {', '.join(missing)}. "
            "python -m benchmarks.wildfire --train"
        )
        return 1
    results = {
        "machine": machine(),
        "tile_px": TILES.size_px,
        "tiles": counts,
        "rows": [{**published, **scored(name)} for name, published in ROWS.items()],
        "full_resolution": at_full_resolution(),
    }
    write(RESULTS, json.dumps(results, indent=2) + "\n")
    print(f"Written: {RESULTS.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
