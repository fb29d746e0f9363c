"""Refiners beside each other on the maps of several rough models, real and synthetic sets apart.

    python -m benchmarks.refinement [--checkpoint ID] [--rough ID,ID@TIMESTEP,...]
        [--walks 5x3,25,10,5] [--one-pass ID|FOLDER] [--tiles N] [--device D] [--out FILE]

Rough models are checkpoints, or folders of them such as the peers of the short study
(`python -m benchmarks.models peers --train`). A walk is a number of steps, or STEPSxDRAWS for the
mean of several noise draws; the first is the main one. Beside the diffusion stand a network of one
pass (left out where it is not trained: `n2m train configs/refine/one-pass-buildings.yaml`) and the
guided filter. Real imagery is read below $N2M_DATA and left out without it, held-out scenes are
made in build/held_out. Every score is that of `n2m evaluate refine`; what is gained over the rough
maps has an interval over tiles. The spectrum of every map's error and the boundary score along the
longest walk test where diffusion helps. Writes `benchmarks/refinement.json`; progress is told on
stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from benchmarks.__main__ import machine, write
from benchmarks.figures import time_in_turn, use_threads
from benchmarks.peers import SETS, opened
from benchmarks.scores import Measurement
from n2m_core import checkpoints, places
from n2m_core.checkpoints import CARD, CheckpointCard, LoadedModel
from n2m_core.datasets.base import Sample
from n2m_core.errors import N2MError
from n2m_core.geo_image import GeoImage
from n2m_core.metrics.confusion import mean_present
from n2m_core.metrics.report import number
from n2m_core.metrics.spectrum import EDGE_CUTOFF
from n2m_core.tasks.compare_refiners import ComparedMaps
from n2m_core.tasks.evaluate_refine import RoughMaker, open_rough
from n2m_core.tasks.frequency import StepScore, step_scores
from n2m_core.tasks.guided import refine_guided
from n2m_core.tasks.mapping import check_task
from n2m_core.tasks.one_pass import refine_once
from n2m_core.tasks.refine import MAX_FRAMES, RefineParams, Walk, chosen_walk
from n2m_core.tasks.refine import run as refine
from n2m_core.training.runner import TILE_PX

RESULTS = Path(__file__).resolve().parent / "refinement.json"
ROUGH = "n2m-buildings,build/peers/unet-buildings-seed1,build/peers/segformer-buildings-seed1"
REPEATS = 3
LIMITS = {"tile_seconds": 6.0, "points_on_scenes": 3.0, "iou_points_lost": 0.5}
"""What the diffusion is held to: seconds of a tile by the longest walk, points gained on scenes,
points of mIoU lost."""
ROUGH_MAP = "rough map"

Json = dict[str, Any]
Labels = NDArray[np.uint8]
Maker = Callable[[GeoImage, Labels], Labels]


@dataclass(frozen=True)
class Refiners:
    """What is compared: the walks of the diffusion, main one first, and what stands beside it."""

    model: LoadedModel
    walks: tuple[Walk, ...]
    one_pass: LoadedModel | None

    @property
    def longest(self) -> Walk:
        """The walk of one draw with most steps, the main one if none has one draw."""
        single = [walk for walk in self.walks if walk.samples == 1]
        return max(single, key=lambda walk: walk.steps, default=self.walks[0])

    def named(self, walk: Walk) -> str:
        """Name of a walk."""
        mean = f", mean of {walk.samples} draws" if walk.samples > 1 else ""
        return f"{self.model.card.id}, {walk.steps} step{'s' * (walk.steps != 1)}{mean}"

    @property
    def makers(self) -> dict[str, Maker]:
        """Every one by name, the main walk first."""
        classes = len(self.model.card.classes)
        makers = {self.named(walk): self._maker(walk) for walk in self.walks}
        if self.one_pass is not None:
            once = self.one_pass
            makers[once.card.id] = lambda image, rough: refine_once(image, rough, once).labels
        makers["guided filter"] = lambda image, rough: refine_guided(image, rough, classes)
        return makers

    def _maker(self, walk: Walk) -> Maker:
        params = RefineParams(*walk[:2], samples=walk.samples)
        return lambda image, rough: refine(image, rough, self.model, params).labels


def on_maps_of(name: str, rough: RoughMaker, samples: Sequence[Sample], those: Refiners) -> Json:
    """Refine the maps of one rough model on a set by everything, and score all of it."""
    card, longest, makers = those.model.card, those.longest, those.makers
    main = next(iter(makers))
    frames = min(MAX_FRAMES, longest.steps)
    seen = RefineParams(*longest[:2], samples=longest.samples, frames=frames)
    before = ComparedMaps(card)
    after = {each: ComparedMaps(card) for each in makers}
    walks: list[list[StepScore]] = []
    for sample in samples:
        drawn = rough(sample)
        before.add(sample, drawn, drawn)
        walk = refine(sample.image, drawn, those.model, seen)
        walks.append(step_scores(sample.label, walk.rough, walk.frames, len(card.classes)))
        for each, make in makers.items():
            is_made = each == those.named(longest)
            after[each].add(sample, drawn, walk.labels if is_made else make(sample.image, drawn))
        tell(f"{name} {sample.name}")
    error = {**error_of(before), "mean_power": spectrum_of(before)}
    rows: list[Json] = [{"name": ROUGH_MAP, "scores": before.scores(), "error": error}]
    for each, maps in after.items():
        gains = {key: asdict(gain) for key, gain in maps.gains(before).items()}
        row = {"name": each, "scores": maps.scores(), "gains": gains, "repair": maps.repair()}
        rows.append({**row, "error": error_of(maps)})
    rows[1]["error"]["mean_power"] = spectrum_of(after[main])
    return {"name": name, "maps": rows, "by_step": along(walks)}


def error_of(maps: ComparedMaps) -> Json:
    """Error of some maps in wrong pixels' worth: in coarse waves and in fine ones."""
    spectrum = maps.spectrum
    fine = spectrum.power_above(EDGE_CUTOFF)
    return {"coarse": spectrum.total - fine, "fine": fine}


def spectrum_of(maps: ComparedMaps) -> list[float]:
    """Mean power of the error in each ring of frequencies; 0 in one that no map reached."""
    return [round(float(value), 6) for value in np.nan_to_num(maps.spectrum.mean_power)]


def along(walks: Sequence[Sequence[StepScore]]) -> list[Json]:
    """Boundary scores against the step, the mean over the tiles that have one; step 0 is rough."""
    return [
        {
            "step": same[0].step,
            "wfm": number(mean_present(np.array([each.wfm for each in same]))),
            "f1_3px": number(mean_present(np.array([each.f1_3px for each in same]))),
        }
        for same in zip(*walks, strict=True)
    ]


def on_set(
    wanted: Measurement, rough: dict[str, RoughMaker], those: Refiners, tiles: int | None
) -> Json:
    """Everything on one set."""
    samples = opened(wanted, those.model.card)
    chosen = [samples[i] for i in range(min(len(samples), tiles or len(samples)))]
    found = []
    for name, make in rough.items():
        line = replace(wanted, task="refine", options=f"{wanted.options} --rough {name}")
        command = line.command(those.model.card.id)
        shown = name.rpartition("/")[2]
        found.append({**on_maps_of(shown, make, chosen, those), "command": command})
    return {
        "name": wanted.name,
        "is_real": not wanted.scenes,
        "tiles": len(chosen),
        "preparation": wanted.preparation,
        "rough": found,
    }


def tile_seconds(those: Refiners) -> dict[str, float]:
    """Seconds that each takes for one tile, the median of passes in turn."""
    card, rng = those.model.card, np.random.default_rng(0)
    pixels = rng.integers(0, 256, (len(card.bands), TILE_PX, TILE_PX)).astype(np.uint8)
    image = GeoImage(
        pixels,
        np.ones((TILE_PX, TILE_PX), np.bool_),
        None,
        Affine.identity(),
        card.bands,
        card.resolution_m,
    )
    rough = np.zeros((TILE_PX, TILE_PX), np.uint8)
    rough[64:192, 64:192] = 1
    calls = {name: partial(make, image, rough) for name, make in those.makers.items()}
    return {name: taken.median_s for name, taken in time_in_turn(calls, REPEATS).items()}


def described(card: CheckpointCard) -> Json:
    """What a network is and was trained for."""
    return {
        "name": card.id,
        "sha256": card.sha256,
        "parameters": card.parameters,
        "gflop_per_tile": card.gflop_per_tile,
        "steps": card.training.steps,
        "samples": card.training.samples,
        "minutes": card.training.minutes,
    }


def found_one_pass(name: str, device: str) -> LoadedModel | None:
    """The network of one pass, a checkpoint's id or its folder; None where it is not there."""
    folder = Path(name) if (Path(name) / CARD).is_file() else places.checkpoints_root() / name
    if not (folder / CARD).is_file():
        return None
    return checkpoints.load(folder.name, device=device, root=folder.parent)


def measured(asked: argparse.Namespace) -> Json:
    """Everything that was asked for."""
    threads = use_threads()
    model = checkpoints.load(asked.checkpoint, device=asked.device)
    check_task(model.card, "refine")
    names = asked.rough.split(",")
    rough = {name: open_rough(name, model, device=asked.device) for name in names}
    walks = tuple(parsed_walk(text, model.card) for text in asked.walks.split(","))
    those = Refiners(model, walks, found_one_pass(asked.one_pass, asked.device))
    left_out = []
    if those.one_pass is None:
        left_out.append(f"{asked.one_pass} is not trained here and was left out.")
    sets = [each for each in SETS if each.task == "segment"]
    if not os.environ.get("N2M_DATA"):
        left_out.append("The real sets were left out; name their folder by N2M_DATA.")
        sets = [each for each in sets if each.scenes]
    networks = [model, *([] if those.one_pass is None else [those.one_pass])]
    return {
        "machine": machine(),
        "threads": threads,
        "device": str(model.device),
        "tile_px": TILE_PX,
        "main": those.named(walks[0]),
        "timed": those.named(those.longest),
        "limits": LIMITS,
        "left_out": left_out,
        "networks": [described(each.card) for each in networks],
        "seconds": tile_seconds(those),
        "cutoff": EDGE_CUTOFF,
        "sets": [on_set(each, rough, those, asked.tiles) for each in sets],
    }


def parsed_walk(text: str, card: CheckpointCard) -> Walk:
    """Read STEPS or STEPSxDRAWS; the guidance is the card's."""
    steps, _, draws = text.partition("x")
    return chosen_walk(RefineParams(int(steps), samples=int(draws or 1)), card)


def tell(text: str) -> None:
    """Say how far it is."""
    print(text, file=sys.stderr, flush=True)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refinement")
    parser.add_argument("--checkpoint", default="idgbr-buildings", help="that refines")
    parser.add_argument("--rough", default=ROUGH, help="ids or folders, @ names a timestep")
    parser.add_argument("--walks", default="5x3,25,10,5", help="STEPS or STEPSxDRAWS, main first")
    parser.add_argument("--one-pass", default="one-pass-buildings", help="its id or its folder")
    parser.add_argument("--tiles", type=int, help="of every set, the first ones; all without")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    """Measure and write; 1 when weights are missing."""
    asked = parse(words)
    try:
        results = measured(asked)
    except N2MError as error:
        print(error)
        return 1
    write(asked.out, json.dumps(results, indent=2) + "\n")
    print(f"Written: {asked.out.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
