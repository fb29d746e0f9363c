"""Scenes of any size on the command line: when they are streamed, and how that is told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from n2m_core.cli.output import Output
from n2m_core.cli.report import map_lines, path_text
from n2m_core.errors import CancelledError, N2MError

if TYPE_CHECKING:
    from n2m_core.raster_io import SceneFile
    from n2m_core.streaming.run import StreamOptions, Worked
    from n2m_core.tasks.params import MapParams

AUTO_PIXELS = 16_000_000
"""Larger images are streamed unless told otherwise: 4000 x 4000."""
REMOTE = "/vsi"
EngineName = Literal["auto", "memory", "stream", "dask"]

Engine = Annotated[
    EngineName,
    typer.Option(
        "--engine",
        help="memory holds the whole image; stream works block by block, for any size; dask does "
        "so on many processes or machines; auto streams images above 16 megapixels.",
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler", metavar="ADDRESS", help="Of dask, tcp://host:8786; else workers start here."
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on where a streamed run was stopped or killed.")
]
BlockSide = Annotated[
    int | None,
    typer.Option("--block", metavar="PX", help="Side of a streamed block; smaller takes less."),
]


@dataclass(frozen=True)
class Asked:
    """What a person asked for about the engine."""

    engine: EngineName
    scheduler: str | None
    is_resumed: bool
    side_px: int | None

    def streams(self, *images: Path) -> bool:
        """Decide whether images are streamed; auto looks at their size, and at what they are."""
        if self.engine != "auto":
            return self.engine != "memory"
        if self.is_resumed or self.side_px is not None or self.scheduler is not None:
            return True
        if any(str(image).startswith(REMOTE) for image in images):
            return True
        return any(_is_large(image) for image in images) and all(map(_has_windows, images))

    def options(self) -> StreamOptions:
        """Give what the library takes."""
        from n2m_core.streaming.run import StreamOptions

        is_dask = self.engine == "dask" or (self.engine == "auto" and self.scheduler is not None)
        engine: Literal["stream", "dask"] = "dask" if is_dask else "stream"
        return StreamOptions(engine, self.scheduler, self.is_resumed, self.side_px)

    def refuse_in_memory(self) -> None:
        """Refuse options of streaming where the image is held in memory."""
        if self.is_resumed or self.side_px is not None or self.scheduler is not None:
            raise typer.BadParameter(
                "--resume, --block and --scheduler are for --engine stream or dask.",
                param_hint="--engine",
            )


def _pixels(image: Path) -> int:
    """Size of an image that can be read in windows; 0 for any other."""
    from n2m_core.raster_io import SceneFile

    try:
        return SceneFile(str(image)).opened().header.valid.size
    except N2MError:
        return 0


def _is_large(image: Path) -> bool:
    return _pixels(image) > AUTO_PIXELS


def _has_windows(image: Path) -> bool:
    return _pixels(image) > 0


def scene_file(path: Path, bands: tuple[int, ...] | None, nodata: float | None) -> SceneFile:
    """Name a scene so that any process finds it."""
    from n2m_core.raster_io import SceneFile

    text = str(path)
    if text.startswith(REMOTE):
        # A path has no double slash, which an address needs.
        return SceneFile(re.sub(r"\b(https?|ftp):/(?!/)", r"\1://", text), bands, nodata)
    return SceneFile(str(path.resolve()), bands, nodata)


@contextmanager
def told_how_to_resume(out: Path, output: Output) -> Iterator[None]:
    """Say what is left when a run is stopped."""
    try:
        yield
    except (KeyboardInterrupt, CancelledError, SystemExit):
        from n2m_core.streaming.journal import JOURNAL, folder_of

        output.clear()
        folder = folder_of(out)
        if (folder / JOURNAL).is_file():
            typer.echo(
                f"\nWhat is done lies in {folder}; the same command with --resume goes on.",
                err=True,
            )
        raise


def stream_map(
    images: dict[str, Path],
    files: tuple[SceneFile, ...],
    checkpoint: str,
    params: MapParams,
    device: str,
    outputs: tuple[Path, Path | None, Path | None],
    asked: Asked,
    output: Output,
) -> None:
    """Map a scene, or a pair, block by block, and say what the map holds."""
    from n2m_core import checkpoints
    from n2m_core.streaming import maps
    from n2m_core.streaming.run import MapOutputs, run_map
    from n2m_core.tasks.inference import process_for, step_for

    task: Literal["segment", "change"] = "segment" if len(files) == 1 else "change"
    options, wanted = asked.options(), MapOutputs(*outputs)
    model = checkpoints.load(checkpoint, task, device=device)
    prepared = maps.prepare(
        files,
        model,
        params,
        device=device,
        extras=wanted.extras,
        side_px=asked.side_px,
        progress=output.progress,
    )
    card = model.card
    with told_how_to_resume(wanted.out, output):
        result = run_map(
            prepared.job,
            prepared.work,
            card,
            wanted,
            options,
            min_area_m2=params.min_area_m2,
            notes=prepared.notes,
            progress=output.progress,
        )
    step = step_for(card, params.timestep, params.told)
    payload: dict[str, Any] = {
        "task": card.task,
        "checkpoint": card.id,
        "license": card.license,
        "timestep": step.timestep,
        "mixed": step.is_mixed and process_for(card, params).kind != "none",
        **{name: str(path) for name, path in images.items()},
        "out": str(wanted.out),
        "probabilities": path_text(wanted.probabilities),
        "vector": path_text(wanted.vector),
        "polygons": result.polygons,
        "height": result.header.height,
        "width": result.header.width,
        "crs": result.header.crs,
        "classes": result.classes,
        "notes": list(result.notes),
        "seconds": round(result.seconds, 3),
        **worked_facts(options, result.worked),
    }
    output.finish(payload, [*map_lines(payload), worked_line(payload)], result.notes)


def worked_facts(options: StreamOptions, worked: Worked) -> dict[str, Any]:
    """How the blocks went, for JSON."""
    rate = worked.megapixels / worked.seconds if worked.seconds > 0 else 0.0
    return {
        "engine": options.engine,
        "blocks": worked.blocks,
        "resumed_blocks": worked.resumed,
        "megapixels_per_s": round(rate, 4),
    }


def worked_line(payload: dict[str, Any]) -> str:
    """How the blocks went, for a person."""
    earlier = payload["resumed_blocks"]
    told = f", {earlier} of them by an earlier run" if earlier else ""
    rate = f"{payload['megapixels_per_s']:.2f} megapixels/s"
    return f"{payload['blocks']} blocks by engine {payload['engine']}{told}; {rate}"
