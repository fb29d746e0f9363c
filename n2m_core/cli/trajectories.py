"""`n2m trajectory`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from n2m_core.cli import options
from n2m_core.cli.output import Output, score, table

if TYPE_CHECKING:
    from n2m_core.checkpoints import Task
    from n2m_core.tasks.trajectory import TrajectoryResult

EXAMPLE = (
    "Example: n2m trajectory tile.tif --checkpoint n2m-buildings --truth mask.png --steps 21 "
    "--out trajectory"
)


def trajectory(
    image: Annotated[Path, typer.Argument(help="The image, or the earlier one.")],
    checkpoint: options.Checkpoint,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", help="A new folder, or one of an earlier trajectory."),
    ],
    after: Annotated[Path | None, typer.Argument(help="The later image of a pair.")] = None,
    truth: Annotated[
        Path | None, typer.Option("--truth", metavar="LABEL", help="Score each frame against it.")
    ] = None,
    steps: Annotated[
        int, typer.Option("--steps", help="How many timesteps, evenly from 999 to 0.")
    ] = 11,
    timesteps: Annotated[
        str | None,
        typer.Option("--timesteps", metavar="0,100,...", help="These steps in place of --steps."),
    ] = None,
    device: options.Device = "auto",
    seed: options.Seed = 0,
    process: options.Process = None,
    schedule: options.Schedule = None,
    resolution: options.Resolution = None,
    bands: options.Bands = None,
    nodata: options.Nodata = None,
    threshold: options.Threshold = None,
    is_json: options.Json = False,
) -> None:
    """Show the map forming out of noise: one noise draw, many timesteps, an animation of them."""
    chosen = options.whole_numbers(bands, "--bands")
    grid = options.whole_numbers(timesteps, "--timesteps")
    output = Output(is_json=is_json)

    from n2m_core import checkpoints
    from n2m_core.raster_io import read_image
    from n2m_core.tasks.mapping import check_task
    from n2m_core.tasks.trajectory import TrajectoryParams, run, write_trajectory
    from n2m_core.tasks.trajectory_files import check_out_dir
    from n2m_core.tasks.truth import read_truth

    params = TrajectoryParams(grid, steps, seed, resolution, threshold, process, schedule)
    check_out_dir(out)
    task: Task = "segment" if after is None else "change"
    card = checkpoints.read_card(checkpoint, task)
    check_task(card, task)
    first = read_image(image, bands=chosen, nodata=nodata)
    second = None if after is None else read_image(after, bands=chosen, nodata=nodata)
    known = None if truth is None else read_truth(truth, first, card)
    model = checkpoints.load(checkpoint, task, device=device)
    result = run(
        first,
        second,
        model,
        params,
        None if known is None else known.labels,
        output.progress,
        truth_kind="classes" if known is None else known.kind,
    )
    files = write_trajectory(result, out)
    notes = (*(() if known is None else known.notes), *result.notes)
    output.finish(_payload(result, out, files, notes), _lines(result, out), notes)


def _payload(
    result: TrajectoryResult, out: Path, files: tuple[Path, ...], notes: tuple[str, ...]
) -> dict[str, Any]:
    """The JSON object."""
    return {
        "task": result.card.task,
        "checkpoint": result.card.id,
        "license": result.card.license,
        "out": str(out),
        "files": [path.relative_to(out).as_posix() for path in files],
        "frames": [{"t": frame.timestep, "scores": frame.scores} for frame in result.frames],
        "notes": list(notes),
        "seconds": round(result.seconds, 3),
    }


def _lines(result: TrajectoryResult, out: Path) -> list[str]:
    """The result for a person."""
    keys = ("f1", "iou", "mean_iou", "boundary_iou")
    rows = [
        (
            f"t {frame.timestep}",
            f"{frame.disagreement.mean():.1%}",
            *(score((frame.scores or {}).get(key)) for key in keys),
        )
        for frame in result.frames
    ]
    return [
        f"{len(result.frames)} frames by {result.card.id} ({result.card.license}) in "
        f"{result.seconds:.1f} s",
        *table(("step", "differs from last", *keys), rows),
        f"Wrote {out}",
    ]
