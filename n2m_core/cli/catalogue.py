"""`n2m samples` and `n2m checkpoints`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from n2m_core.cli import options
from n2m_core.cli.output import Output, score, table

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard
    from n2m_core.fusion.cards import FusionCard

SAMPLES_EXAMPLE = "Example: n2m samples --out sample_data"
CHECKPOINTS_EXAMPLE = "Example: n2m checkpoints --json"


def samples(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder that receives the scenes.")
    ] = Path("sample_data"),
    labelled: Annotated[
        str | None,
        typer.Option(
            "--labelled",
            metavar="KIND",
            help="Write a folder for `n2m evaluate` in place of the samples: held-out scenes "
            "labelled for segment (buildings), landcover or change, or triplets of dates for "
            "fusion.",
        ),
    ] = None,
    count: Annotated[
        int, typer.Option("--count", metavar="N", help="How many scenes, with --labelled.")
    ] = 24,
    is_json: options.Json = False,
) -> None:
    """Write the procedural sample scenes, GeoTIFFs with exact truth, the same every time."""
    output = Output(is_json=is_json)

    from n2m_core.datasets.triplets import write_farmland
    from n2m_core.scenes.dataset import write_dataset
    from n2m_core.scenes.farmland import HELD_OUT, FarmlandParams
    from n2m_core.tasks.samples import write_samples

    if labelled is None:
        paths = write_samples(out, output.progress)
    elif labelled == "fusion":
        paths = write_farmland(out, count, FarmlandParams(HELD_OUT.seeds.start), output.progress)
    else:
        paths = write_dataset(out, labelled, count, progress=output.progress)
    written = [str(path) for path in paths]
    output.finish({"out": str(out), "files": written}, [f"Wrote {len(written)} files to {out}"], ())


def checkpoints(is_json: options.Json = False) -> None:
    """List the trained weights: task, ground resolution, licence and measured score."""
    output = Output(is_json=is_json)

    from n2m_core.checkpoints import list_cards
    from n2m_core.fusion.cards import list_fusion_cards

    cards: list[CheckpointCard | FusionCard] = [*list_cards(), *list_fusion_cards()]
    rows = [
        (
            card.id,
            card.task,
            f"{card.resolution_m:g} m",
            f"{card.parameters / 1e6:.1f} M",
            _measured(card),
            card.license,
        )
        for card in cards
    ]
    header = ("checkpoint", "task", "trained for", "parameters", "measured", "licence")
    lines = table(header, rows) if rows else ["No checkpoint is installed."]
    output.finish({"checkpoints": [asdict(card) for card in cards]}, lines, ())


def _measured(card: CheckpointCard | FusionCard) -> str:
    """The first measured score of a card: the target's F1 or the class mean; of fusion the RMSE."""
    if not card.metrics:
        return "-"
    report: dict[str, Any] = card.metrics[0].get("report", {})
    if card.task == "fuse":
        return f"RMSE {report['rmse']:.4f}" if "rmse" in report else "-"
    found = (report.get("target") or {}).get("f1")
    found = (report.get("mean") or {}).get("f1") if found is None else found
    return "-" if found is None else f"F1 {score(found)}"
