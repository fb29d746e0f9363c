"""Measure the shipped checkpoints and write what `n2m evaluate` printed into their cards.

    python -m benchmarks.scores [checkpoint ...]

Real imagery is read below $N2M_DATA, held-out scenes are made in build/held_out. Every entry of a
card keeps the command that prints it again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from n2m_core import checkpoints, places
from n2m_core.atomic import write_bytes
from n2m_core.fusion.cards import list_fusion_cards

SCENES = Path("build") / "held_out"
SCENE_COUNT = 24
CURVE = "--timesteps 0,100,...,900,999"


@dataclass(frozen=True)
class Measurement:
    """One evaluation: what the card calls it, the command, how its scenes are made."""

    name: str
    task: str
    root: str
    options: str = ""
    scenes: str = ""

    def command(self, checkpoint: str) -> str:
        """The line that a person types."""
        words = f"n2m evaluate {self.task} --checkpoint {checkpoint} --root {self.root}"
        return " ".join(f"{words} {self.options} --json".split())

    @property
    def preparation(self) -> str:
        """The line that makes its scenes; empty when they are real."""
        if not self.scenes:
            return ""
        return f"n2m samples --labelled {self.scenes} --count {SCENE_COUNT} --out {self.root}"


def held_out(kind: str, task: str, options: str = "") -> Measurement:
    """Held-out procedural scenes."""
    return Measurement("held-out scenes", task, f"{SCENES.as_posix()}/{kind}", options, kind)


BUILDINGS = (
    Measurement(
        "Banepa, a town never seen",
        "segment",
        "$N2M_DATA/buildings/banepa_demo",
        f"--dataset folder {CURVE}",
    ),
    Measurement(
        "Catanduanes, used to choose among runs",
        "segment",
        "$N2M_DATA/buildings/catanduanes",
        "--dataset xyz",
    ),
    held_out("segment", "segment"),
)
LAND_COVER = (
    Measurement("Dubai, place 4", "segment", "$N2M_DATA/landcover/val", "--dataset folder"),
    held_out("landcover", "segment"),
)
CHANGE = (
    Measurement(
        "four real pairs",
        "change",
        "$N2M_DATA/change/building_pairs_eval_only",
        f"--dataset folder {CURVE}",
    ),
    held_out("change", "change"),
)


def refined(measurements: tuple[Measurement, ...], rough: str) -> tuple[Measurement, ...]:
    """The same imagery for a refiner, which is given a checkpoint's own maps."""
    return tuple(
        replace(each, task="refine", options=f"{each.options.replace(CURVE, '')} --rough {rough}")
        for each in measurements
    )


FARMLAND = held_out("fusion", "fusion")
LANDSAT = Measurement(
    "Landsat 8 of 2016, coarse side made of the fine images",
    "fusion",
    "$N2M_DATA/fusion/landsat8_modis_2016_444.npz",
    "--dataset landsat8",
)


def by_method(method: str, words: str = "") -> tuple[Measurement, ...]:
    """Held-out farmland and the real set by one fusion method; `words` go behind their names."""
    return tuple(
        replace(each, name=f"{each.name}{words}", options=f"{each.options} --method {method}")
        for each in (FARMLAND, LANDSAT)
    )


MEASUREMENTS: dict[str, tuple[Measurement, ...]] = {
    "n2m-buildings": BUILDINGS,
    "n2m-buildings-plain": BUILDINGS,
    "n2m-landcover": LAND_COVER,
    "idgbr-buildings": refined(BUILDINGS, "n2m-buildings"),
    "idgbr-landcover": refined(LAND_COVER, "n2m-landcover"),
    "n2m-forest": (
        Measurement(
            "Amazon, tiles kept out", "segment", "$N2M_DATA/forest/val", "--dataset folder"
        ),
    ),
    "n2m-change": CHANGE,
    "n2m-multitask": (*BUILDINGS, *CHANGE),
    "sastf-farmland": (
        *by_method("sa-stf"),
        *by_method("sa-stf-one-pass", ", without diffusion"),
    ),
    "stfdiff-farmland": by_method("stfdiff"),
    "n2m-wildfire": (
        Measurement(
            "Santa Rosa, kept out by longitude",
            "change",
            "$N2M_DATA/change/wildfire/val",
            "--dataset folder",
        ),
    ),
}


def run(command: str, env: Mapping[str, str] | None = None) -> str:
    """Run one `n2m` line and give what it printed; `env` is set beside what is."""
    words = [os.path.expandvars(word) for word in command.split()]
    done = subprocess.run(
        [sys.executable, "-m", "n2m_core", *words[1:]],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, **(env or {})},
    )
    return done.stdout.decode()


def measure(checkpoint: str, measurement: Measurement) -> dict[str, Any]:
    """Give one entry of a card."""
    if measurement.preparation and not Path(measurement.root).is_dir():
        run(measurement.preparation)
    command = measurement.command(checkpoint)
    entry = {"name": measurement.name, "command": command}
    if measurement.preparation:
        entry["preparation"] = measurement.preparation
    return {**entry, "report": json.loads(run(command))}


def measured(card: checkpoints.CheckpointCard) -> checkpoints.CheckpointCard:
    """Give a card with the reports of its task."""
    wanted = [each for each in MEASUREMENTS[card.id] if each.task == card.task]
    return replace(card, metrics=tuple(measure(card.id, each) for each in wanted))


def measure_fusion(root: Path, wanted: list[str]) -> None:
    """Measure the checkpoints that fuse."""
    for card in list_fusion_cards(root):
        if card.id not in MEASUREMENTS or (wanted and card.id not in wanted):
            continue
        done = replace(card, metrics=tuple(measure(card.id, m) for m in MEASUREMENTS[card.id]))
        write_bytes(root / card.id / checkpoints.CARD, done.to_json().encode())
        for entry in done.metrics:
            print(card.id, entry["name"], json.dumps({"rmse": entry["report"]["rmse"]}))


def main(wanted: list[str]) -> None:
    """Measure the checkpoints named, or all."""
    root = places.checkpoints_root()
    measure_fusion(root, wanted)
    installed = {card.id for card in checkpoints.list_cards(root)}
    for name in sorted(installed & MEASUREMENTS.keys()):
        if wanted and name not in wanted:
            continue
        cards = [measured(card) for card in checkpoints.read_cards(name, root=root)]
        write_bytes(root / name / checkpoints.CARD, checkpoints.cards_text(cards).encode())
        for card in cards:
            for entry in card.metrics:
                scores = {k: entry["report"][k] for k in ("target", "mean")}
                print(name, entry["name"], json.dumps(scores))


if __name__ == "__main__":
    main(sys.argv[1:])
