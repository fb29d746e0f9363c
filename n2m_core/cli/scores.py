"""`n2m evaluate`: score a checkpoint on a labelled dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from n2m_core.cli import options
from n2m_core.cli.output import Output, score, table

if TYPE_CHECKING:
    from n2m_core.datasets.base import Task
    from n2m_core.tasks.evaluate import EvaluateParams

SEGMENT_EXAMPLE = (
    "Example: n2m evaluate segment --checkpoint n2m-buildings --dataset folder --root tiles "
    "--timesteps 0,100,...,900,999 --json"
)
CHANGE_EXAMPLE = (
    "Example: n2m evaluate change --checkpoint n2m-change --dataset folder --root pairs "
    "--split val --json"
)

Dataset = Annotated[
    str,
    typer.Option(
        "--dataset",
        help="Layout of the folder: folder (images/ with masks/, or before/ after/ labels/), "
        "xyz, landsat-change, whu, xview2, spacenet7, levir-cd or idgbr-jsonl.",
    ),
]
Root = Annotated[Path, typer.Option("--root", metavar="DIR", help="Folder of the dataset.")]
Split = Annotated[
    str | None,
    typer.Option(
        "--split",
        metavar="S",
        help="A folder below the root, such as val; in spacenet7 a split of its metadata, in "
        "idgbr-jsonl an index such as test for test.jsonl.",
    ),
]
Timesteps = Annotated[
    str | None,
    typer.Option(
        "--timesteps",
        metavar="0,100,...",
        help="Also score at these steps, x_t mixed; 0,100,...,900,999 counts on.",
    ),
]
Ignore = Annotated[
    int | None, typer.Option("--ignore", metavar="V", help="Mask value that counts nowhere.")
]
Seeds = Annotated[
    int | None,
    typer.Option("--seeds", metavar="N", help="Noise draws a timestep; 5 with --timesteps."),
]


@dataclass(frozen=True)
class Labelled:
    """Which labelled imagery to score on, and how to read it; see `open_dataset`."""

    task: Task
    dataset: str
    root: Path
    split: str | None
    ignore: int | None
    bands: tuple[int, ...] | None
    nodata: float | None
    resolution_m: float | None


app = typer.Typer(
    help="Score a checkpoint on labelled imagery.",
    epilog=SEGMENT_EXAMPLE,
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("segment", epilog=SEGMENT_EXAMPLE)
def evaluate_segment(
    checkpoint: options.Checkpoint,
    root: Root,
    dataset: Dataset = "folder",
    split: Split = None,
    timesteps: Timesteps = None,
    timestep: options.Timestep = None,
    seeds: Seeds = None,
    seed: options.Seed = 0,
    process: options.Process = None,
    schedule: options.Schedule = None,
    ignore: Ignore = None,
    threshold: options.Threshold = None,
    min_area: options.MinArea = 0.0,
    resolution: options.Resolution = None,
    bands: options.Bands = None,
    nodata: options.Nodata = None,
    device: options.Device = "auto",
    is_json: options.Json = False,
) -> None:
    """Score a segmentation checkpoint: F1, IoU, boundaries, and the curve over timesteps."""
    chosen = options.whole_numbers(bands, "--bands")
    steps = options.whole_numbers(timesteps, "--timesteps") or ()

    from n2m_core.tasks.evaluate import EvaluateParams

    params = EvaluateParams(
        timestep, steps, seed, seeds, threshold, resolution, min_area, process, schedule
    )
    labelled = Labelled("segment", dataset, root, split, ignore, chosen, nodata, resolution)
    _evaluate(labelled, checkpoint, device, params, Output(is_json=is_json))


@app.command("change", epilog=CHANGE_EXAMPLE)
def evaluate_change(
    checkpoint: options.Checkpoint,
    root: Root,
    dataset: Dataset = "folder",
    split: Split = None,
    timesteps: Timesteps = None,
    timestep: options.Timestep = None,
    seeds: Seeds = None,
    seed: options.Seed = 0,
    process: options.Process = None,
    schedule: options.Schedule = None,
    ignore: Ignore = None,
    threshold: options.Threshold = None,
    min_area: options.MinArea = 0.0,
    resolution: options.Resolution = None,
    bands: options.Bands = None,
    nodata: options.Nodata = None,
    device: options.Device = "auto",
    is_json: options.Json = False,
) -> None:
    """Score a change checkpoint: built and demolished united, and each where labels tell."""
    chosen = options.whole_numbers(bands, "--bands")
    steps = options.whole_numbers(timesteps, "--timesteps") or ()

    from n2m_core.tasks.evaluate import EvaluateParams

    params = EvaluateParams(
        timestep, steps, seed, seeds, threshold, resolution, min_area, process, schedule
    )
    labelled = Labelled("change", dataset, root, split, ignore, chosen, nodata, resolution)
    _evaluate(labelled, checkpoint, device, params, Output(is_json=is_json))


def _evaluate(
    labelled: Labelled, checkpoint: str, device: str, params: EvaluateParams, output: Output
) -> None:
    """Score, and print the report."""
    from n2m_core import checkpoints
    from n2m_core.datasets.opening import open_dataset
    from n2m_core.tasks.evaluate import evaluate
    from n2m_core.tasks.mapping import check_task

    card = checkpoints.read_card(checkpoint, labelled.task)
    check_task(card, labelled.task)
    samples = open_dataset(
        labelled.dataset,
        labelled.root,
        labelled.split,
        task=labelled.task,
        classes=card.classes,
        ignore=labelled.ignore,
        bands=labelled.bands,
        nodata=labelled.nodata,
        resolution_m=labelled.resolution_m,
    )
    model = checkpoints.load(checkpoint, labelled.task, device=device)
    report = evaluate(samples, model, params, output.progress)
    output.finish(report, _lines(report), report.get("notes", ()))


def _lines(report: dict[str, Any]) -> list[str]:
    """The report for a person."""
    keys = ("f1", "iou", "precision", "recall")
    rows = [
        (row["name"], *(score(row[key]) for key in keys), str(row["support"]))
        for row in report["classes"]
    ]
    for name in ("mean", "target", "all_positive"):
        block = report[name]
        if block.get("f1") is not None:
            rows.append((name, *(score(block.get(key)) for key in keys), ""))
    curve = [
        (f"t {row['t']}", *(score(row[key]) for key in ("f1", "low", "high", "mean_iou")))
        for row in report["by_timestep"]
    ]
    boundary = ", ".join(f"{key} {score(value)}" for key, value in report["boundary"].items())
    overall = ", ".join(f"{key} {score(value)}" for key, value in report["overall"].items())
    return [
        f"{report['checkpoint']} on {report['tiles']} tiles at timestep {report['timestep']}, "
        f"{report['seconds']:.1f} s",
        *table(("class", *keys, "support"), rows),
        f"overall: {overall}",
        f"boundary: {boundary}",
        *table(("step", "f1", "low", "high", "mean iou"), curve),
    ]
