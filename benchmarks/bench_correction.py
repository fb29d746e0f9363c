"""Twenty objects of a tile corrected at the review desk, minutes of training, and the score again.

The truth of a sample stands in for the expert, who takes objects at random: one that lies on
buildings gets their outlines, one that does not is judged wrong. What nobody looked at
is unknown to the training, which sees this one tile alone.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import geopandas as gpd
import shapely
import yaml

from benchmarks.figures import Figure, report, use_threads
from n2m_core import checkpoints
from n2m_core.checkpoints import CheckpointCard, LoadedModel
from n2m_core.datasets.base import Sample
from n2m_core.raster_io import read_image
from n2m_core.review import add_map, create_project, decide, join, next_object, write_masks
from n2m_core.tasks import segment
from n2m_core.tasks.evaluate import EvaluateParams, evaluate
from n2m_core.tasks.truth import read_truth
from n2m_core.training.loop import RunParams
from n2m_core.training.runner import train
from n2m_core.vectorize import to_polygons

START = "n2m-buildings"
SAMPLES = Path(__file__).resolve().parents[1] / "sample_data"
TILE, OTHERS = "desert_city", ("suburb", "town", "old_town", "farm_village")
CORRECTED = 20
TOUCHED = 0.3
"""A building of which this share lies below an object belongs to it."""
STEPS = 60


def sample_of(name: str, card: CheckpointCard) -> Sample:
    """A sample of the app with its truth."""
    image = read_image(SAMPLES / f"{name}_image.tif")
    truth = read_truth(SAMPLES / f"{name}_buildings.tif", image, card)
    return Sample(name, image, truth.labels, label_kind=truth.kind)


def buildings_of(sample: Sample) -> gpd.GeoDataFrame:
    """The true outlines."""
    return to_polygons(sample.label, sample.image, {1: "building"})


def correct(folder: Path, model: LoadedModel, sample: Sample) -> dict[str, int]:
    """Send the tile's map to review, correct objects at random, write the masks."""
    project = create_project(folder / "desk")
    add_map(project, segment.run(sample.image, model), name=sample.name, min_area_m2=4.0)
    expert = join(project, "Expert")
    truth = buildings_of(sample).geometry
    said = {"redrawn": 0, "wrong": 0}
    for _ in range(CORRECTED):
        found = next_object(project, expert, order="random")
        assert found is not None, f"{sample.name} has fewer than {CORRECTED} objects"
        below = truth[truth.intersection(found.outline).area >= TOUCHED * truth.area]
        if below.empty:
            decide(project, found.id, expert, verdict="wrong", seen=found.version)
        else:
            outline = shapely.union_all(below.values)
            decide(project, found.id, expert, verdict="right", outline=outline, seen=found.version)
        said["wrong" if below.empty else "redrawn"] += 1
    write_masks(project, folder / "corrected")
    project.close()
    return said


def fine_tune(folder: Path) -> LoadedModel:
    """Train on the corrected masks alone, from the weights that made the map."""
    config = {
        "id": "corrected", "title": "Corrected", "task": "segment", "license": "Apache-2.0",
        "limits": "One tile.", "resolution_m": 0.3, "init_from": START,
        "classes": [{"name": "background", "color": "#e6e1d6"},
                    {"name": "building", "color": "#d55e00"}],
        "network": {"variant": "compact"},
        "noise": {"process": "gaussian", "timestep_power": 5.0},
        "inference": {"timestep": 0, "mix": False, "window_px": 256},
        "data": {"crop_px": 128, "resolution_range_m": [0.25, 0.4], "sources": [
            {"kind": "folder", "name": "corrected", "root": str(folder / "corrected"),
             "weight": 1.0, "licence": "Apache-2.0", "attribution": "this project"}]},
        "optimizer": {"kind": "muon", "steps": STEPS, "batch_size": 8, "learning_rate": 1e-4,
                      "warmup_steps": 10, "ema_decay": 0.95},
        "loss": {"class_weights": [1.0, 1.0], "dice": 0.5},
        "seed": 1,
    }  # fmt: skip
    path = folder / "corrected.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    made = train(path, RunParams(folder / "run"), checkpoints=folder / "checkpoints")
    return checkpoints.load("corrected", root=made.checkpoint.parent)


def f1_of(model: LoadedModel, samples: list[Sample]) -> float:
    """Target F1, as `n2m evaluate segment` prints it."""
    return float(evaluate(samples, model, EvaluateParams())["target"]["f1"])


def main() -> None:
    """Correct, train, score."""
    threads = use_threads()
    model = checkpoints.load(START)
    tile, others = sample_of(TILE, model.card), [sample_of(name, model.card) for name in OTHERS]
    before = f1_of(model, [tile]), f1_of(model, others)
    with tempfile.TemporaryDirectory(prefix="n2m-bench-") as name:
        folder = Path(name)
        said = correct(folder, model, tile)
        started = time.perf_counter()
        tuned = fine_tune(folder)
        minutes = (time.perf_counter() - started) / 60
        after = f1_of(tuned, [tile]), f1_of(tuned, others)
    report(
        f"Fine-tuning on {CORRECTED} corrected objects",
        f"{START} on the sample {TILE}: {said['redrawn']} objects redrawn after the truth and "
        f"{said['wrong']} judged wrong, drawn at random; {STEPS} steps on this tile alone, "
        f"{threads} thread(s). The others are {', '.join(OTHERS)}.",
        [
            Figure("Training", minutes, "minutes"),
            Figure("F1 of the tile before", before[0], ""),
            Figure("F1 of the tile after", after[0], ""),
            Figure("F1 of the other samples before", before[1], ""),
            Figure("F1 of the other samples after", after[1], ""),
        ],
    )


if __name__ == "__main__":
    main()
