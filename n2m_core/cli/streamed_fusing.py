"""`n2m fuse` of scenes of any size."""

from __future__ import annotations

import contextlib
from pathlib import Path
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
    from n2m_core.tasks.fuse import FuseParams


def stream_fusion(
    images: dict[str, Path],
    bands: tuple[int, ...] | None,
    nodata: float | None,
    params: FuseParams,
    out: Path,
    asked: Asked,
    output: Output,
) -> None:
    """Fuse five scenes block by block, and say what came of it."""
    from n2m_core.cli.fusing import fuse_lines
    from n2m_core.streaming import fuse
    from n2m_core.streaming.run import work_through

    options = asked.options()
    files = {role: scene_file(path, bands, nodata) for role, path in images.items()}
    prepared = fuse.prepare(files, params, side_px=asked.side_px, progress=output.progress)
    with told_how_to_resume(out, output):
        journal, worked = work_through(prepared.job, prepared.work, out, options, output.progress)
        with contextlib.closing(journal):
            share = fuse.finish(journal, prepared.work, out)
    settled, header = prepared.job.params, prepared.work.header
    days = settled.dates
    payload: dict[str, Any] = {
        "task": "fusion",
        "method": settled.method,
        "checkpoint": settled.checkpoint,
        **{role: str(path) for role, path in images.items()},
        "out": str(out),
        "dates": None if days is None else [day.isoformat() for day in days],
        "scale": settled.scale,
        "dn_scale": settled.dn_scale,
        "height": header.height,
        "width": header.width,
        "bands": list(header.band_names),
        "crs": header.crs,
        "valid_share": share,
        "scores": None,
        "notes": list(prepared.notes),
        "seconds": round(worked.seconds, 3),
        **worked_facts(options, worked),
    }
    output.finish(payload, [*fuse_lines(payload), worked_line(payload)], prepared.notes)
