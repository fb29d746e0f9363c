"""`n2m refine` of scenes of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from n2m_core.cli.output import Output
from n2m_core.cli.streaming import (
    Asked,
    scene_file,
    told_how_to_resume,
    worked_facts,
    worked_line,
)

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard
    from n2m_core.cli.refining import RefineFiles
    from n2m_core.raster_io import SceneFile
    from n2m_core.streaming.run import StreamedMap
    from n2m_core.tasks.refine import RefineParams


def stream_refinement(
    files: RefineFiles,
    scene: SceneFile,
    checkpoint: str,
    params: RefineParams,
    device: str,
    asked: Asked,
    output: Output,
) -> None:
    """Refine a scene block by block, and say what the map holds."""
    from n2m_core import checkpoints
    from n2m_core.cli.refining import refined_lines
    from n2m_core.streaming import refine
    from n2m_core.streaming.run import MapOutputs, run_map

    options = asked.options()
    wanted = MapOutputs(files.out, files.probabilities, files.vector, files.uncertainty)
    rough = scene_file(files.rough, None, None)
    model = checkpoints.load(checkpoint, device=device)
    prepared = refine.prepare(
        scene,
        rough,
        model,
        params,
        device=device,
        extras=wanted.extras,
        side_px=asked.side_px,
        progress=output.progress,
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
    payload = {
        **_facts(result, params, model.card),
        **files.facts(),
        "repair": None,
        **worked_facts(options, result.worked),
    }
    output.finish(payload, [*refined_lines(payload), worked_line(payload)], result.notes)


def _facts(result: StreamedMap, params: RefineParams, card: CheckpointCard) -> dict[str, Any]:
    """What the result is, for JSON."""
    from n2m_core.tasks.refine import chosen_walk

    walk = chosen_walk(params, card)
    return {
        "task": card.task,
        "checkpoint": card.id,
        "license": card.license,
        "steps": walk.steps,
        "guidance": walk.guidance,
        "seed": params.seed,
        "samples": walk.samples,
        "height": result.header.height,
        "width": result.header.width,
        "crs": result.header.crs,
        "changed": result.counts["changed"] / max(1, result.counts["valid"]),
        "classes": result.classes,
        "polygons": result.polygons,
        "notes": list(result.notes),
        "seconds": round(result.seconds, 3),
    }
