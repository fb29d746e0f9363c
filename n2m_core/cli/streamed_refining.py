"""`n2m refine` of scenes of any size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from n2m_core.cli.output import Output
from n2m_core.cli.report import path_text
from n2m_core.cli.streaming import Asked, told_how_to_resume, worked_facts, worked_line

if TYPE_CHECKING:
    from n2m_core.raster_io import SceneFile
    from n2m_core.tasks.refine import RefineParams


def stream_refinement(
    images: dict[str, Path],
    files: tuple[SceneFile, SceneFile],
    checkpoint: str,
    params: RefineParams,
    device: str,
    places: tuple[Path, Path | None, Path | None, Path | None],
    asked: Asked,
    output: Output,
) -> None:
    """Refine a scene block by block, and say what the map holds."""
    from n2m_core import checkpoints
    from n2m_core.cli.refining import refined_lines
    from n2m_core.streaming import refine
    from n2m_core.streaming.run import MapOutputs, run_map
    from n2m_core.tasks import mapping
    from n2m_core.tasks.refine import chosen_walk

    options, wanted = asked.options(), MapOutputs(*places)
    mapping.check_task(checkpoints.read_card(checkpoint), "refine")
    model = checkpoints.load(checkpoint, device=device)
    prepared = refine.prepare(
        *files, model, params, device=device, extras=wanted.extras, side_px=asked.side_px
    )
    with told_how_to_resume(wanted.out, output):
        result = run_map(
            prepared.job,
            prepared.work,
            model.card,
            wanted,
            options,
            notes=prepared.notes,
            progress=output.progress,
        )
    steps, guidance = chosen_walk(params, model.card)
    payload: dict[str, Any] = {
        "task": model.card.task,
        "checkpoint": model.card.id,
        "license": model.card.license,
        "steps": steps,
        "guidance": guidance,
        "seed": params.seed,
        "samples": params.samples,
        "height": result.header.height,
        "width": result.header.width,
        "crs": result.header.crs,
        "changed": result.counts["changed"] / max(1, result.counts["valid"]),
        "classes": result.classes,
        "notes": list(result.notes),
        "seconds": round(result.seconds, 3),
        **{name: str(path) for name, path in images.items()},
        "repair": None,
        "out": str(wanted.out),
        "probabilities": path_text(wanted.probabilities),
        "vector": path_text(wanted.vector),
        "uncertainty": path_text(wanted.uncertainty),
        "polygons": result.polygons,
        **worked_facts(options, result.worked),
    }
    output.finish(payload, [*refined_lines(payload), worked_line(payload)], result.notes)
