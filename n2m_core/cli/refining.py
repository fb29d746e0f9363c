"""`n2m refine` and `n2m evaluate refine`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from n2m_core.cli import options, scores, streaming
from n2m_core.cli.files import RASTER_SUFFIXES, VECTOR_SUFFIXES, check_outputs
from n2m_core.cli.output import Output, score, table
from n2m_core.cli.report import class_table, path_text

if TYPE_CHECKING:
    from n2m_core.tasks.refine import RefineResult, Walk

EXAMPLE = (
    "Example: n2m refine tile.tif rough.tif --checkpoint idgbr-buildings --out refined.tif "
    "--samples 4 --uncertainty spread.tif"
)
EVALUATE_EXAMPLE = (
    "Example: n2m evaluate refine --checkpoint idgbr-buildings --rough n2m-buildings --dataset "
    "folder --root tiles --json"
)
COUNTS = ("kept", "repaired", "missed", "broken", "invented")

Steps = Annotated[
    int | None,
    typer.Option("--steps", metavar="N", help="DDIM steps, 1..1000, in place of the card's."),
]
Guidance = Annotated[
    float | None,
    typer.Option("--guidance", metavar="W", help="Weight of image and rough map; 1 is plain."),
]
Samples = Annotated[
    int | None,
    typer.Option(
        "--samples",
        metavar="N",
        help="Noise draws that the map is the mean of; else the card's.",
    ),
]
RepairK = Annotated[
    float, typer.Option("--k", metavar="K", help="Weight of broken pixels in the repair score.")
]
Uncertainty = Annotated[
    Path | None,
    typer.Option(
        "--uncertainty",
        metavar="U.tif",
        help="Also write how many samples differ from the map; of several samples.",
    ),
]
Truth = Annotated[
    Path | None,
    typer.Option("--truth", metavar="LABEL", help="What is really there, to count repairs."),
]


@dataclass(frozen=True)
class RefineFiles:
    """What a refinement reads and writes."""

    image: Path
    rough: Path
    truth: Path | None
    out: Path
    probabilities: Path | None
    vector: Path | None
    uncertainty: Path | None

    def check(self) -> None:
        """Refuse, before any work, what could not be written or would destroy an input."""
        outputs = {
            "--out": (self.out, RASTER_SUFFIXES),
            "--probabilities": (self.probabilities, RASTER_SUFFIXES),
            "--vector": (self.vector, VECTOR_SUFFIXES),
            "--uncertainty": (self.uncertainty, RASTER_SUFFIXES),
        }
        inputs = [self.image, self.rough, *([] if self.truth is None else [self.truth])]
        check_outputs(outputs, inputs)

    def check_walk(self, walk: Walk) -> None:
        """Refuse an uncertainty of one draw."""
        if self.uncertainty is not None and walk.samples < 2:
            raise typer.BadParameter("needs at least --samples 2.", param_hint="--uncertainty")

    def streams(self, asked: streaming.Asked) -> bool:
        """Decide whether the refinement is streamed; polygons and a truth need whole images."""
        can_be_cut = self.truth is None and self.rough.suffix.lower() in RASTER_SUFFIXES
        if asked.engine == "auto" and not can_be_cut:
            return False
        is_streamed = asked.streams(self.image)
        if is_streamed and not can_be_cut:
            raise typer.BadParameter(
                "a truth, and a rough map of polygons, are for --engine memory.",
                param_hint="--engine",
            )
        return is_streamed

    def facts(self) -> dict[str, str | None]:
        """The files for JSON."""
        names = ("image", "rough", "out", "probabilities", "vector", "uncertainty")
        return {name: path_text(getattr(self, name)) for name in names}


def refine(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The image, of any size.")],
    rough: Annotated[
        Path,
        typer.Argument(metavar="ROUGH", help="Its rough map: a raster, or polygons as .geojson."),
    ],
    checkpoint: options.Checkpoint,
    out: options.MapFile,
    probabilities: options.ProbabilityFile = None,
    vector: options.VectorFile = None,
    uncertainty: Uncertainty = None,
    steps: Steps = None,
    guidance: Guidance = None,
    samples: Samples = None,
    truth: Truth = None,
    k: RepairK = 1.0,
    device: options.Device = "auto",
    seed: options.Seed = 0,
    resolution: options.Resolution = None,
    bands: options.Bands = None,
    nodata: options.Nodata = None,
    engine: streaming.Engine = "auto",
    scheduler: streaming.Scheduler = None,
    is_resumed: streaming.Resume = False,
    block: streaming.BlockSide = None,
    is_json: options.Json = False,
) -> None:
    """Regenerate the boundaries of a rough map; the result lies on the image's grid."""
    chosen = options.whole_numbers(bands, "--bands")
    output = Output(is_json=is_json)
    files = RefineFiles(image, rough, truth, out, probabilities, vector, uncertainty)
    files.check()

    from n2m_core import checkpoints
    from n2m_core.datasets.rough import read_rough
    from n2m_core.raster_io import read_image
    from n2m_core.tasks.mapping import check_task
    from n2m_core.tasks.refine import RefineParams, chosen_walk, run

    params = RefineParams(steps, guidance, seed, samples, resolution)
    card = checkpoints.read_card(checkpoint)
    check_task(card, "refine")
    files.check_walk(chosen_walk(params, card))
    asked = streaming.Asked(engine, scheduler, is_resumed, block)
    if files.streams(asked):
        from n2m_core.cli.streamed_refining import stream_refinement

        scene = streaming.scene_file(image, chosen, nodata)
        stream_refinement(files, scene, checkpoint, params, device, asked, output)
        return
    asked.refuse_in_memory()
    picture = read_image(image, bands=chosen, nodata=nodata)
    read = read_rough(rough, picture, card.classes)
    model = checkpoints.load(checkpoint, device=device)
    result = run(picture, read.labels, model, params, output.progress)
    result = replace(result, notes=(*read.notes, *result.notes))
    repair = None if truth is None else _repair(truth, result, k)
    payload = {**_facts(result), **files.facts(), "repair": repair}
    payload["polygons"] = _write(result, out, probabilities, vector, uncertainty)
    output.finish(payload, refined_lines(payload), payload["notes"])


def _facts(result: RefineResult) -> dict[str, Any]:
    """What the result is, for JSON."""
    from n2m_core.tasks.export import class_figures

    return {
        "task": result.card.task,
        "checkpoint": result.card.id,
        "license": result.card.license,
        "steps": result.steps,
        "guidance": result.guidance,
        "seed": result.seed,
        "samples": result.samples,
        "height": result.image.height,
        "width": result.image.width,
        "crs": result.image.crs,
        "changed": result.changed,
        "classes": class_figures(result),
        "notes": list(result.notes),
        "seconds": round(result.seconds, 3),
    }


def _repair(truth: Path, result: RefineResult, k: float) -> dict[str, Any]:
    """Count what was repaired against a truth."""
    from n2m_core.tasks.repairing import repair_report
    from n2m_core.tasks.truth import read_truth

    read = read_truth(truth, result.image, result.card)
    return repair_report(result, read.labels, k)


def _write(
    result: RefineResult,
    out: Path,
    probabilities: Path | None,
    vector: Path | None,
    uncertainty: Path | None,
) -> int | None:
    """Write the files; gives the number of polygons where they are asked for."""
    from n2m_core.raster_io import write_geotiff
    from n2m_core.tasks.export import polygons_of
    from n2m_core.tasks.result import INVALID
    from n2m_core.vectorize import write_vector

    polygons = None if vector is None else polygons_of(result)
    write_geotiff(out, result.map_image, nodata=INVALID, colormap=result.colors, tags=result.tags)
    if probabilities is not None:
        image = result.probability_image
        write_geotiff(probabilities, image, nodata=float("nan"), tags=result.tags)
    if uncertainty is not None and result.uncertainty_image is not None:
        spread = result.uncertainty_image
        write_geotiff(uncertainty, spread, nodata=float("nan"), tags=result.tags)
    if vector is not None and polygons is not None:
        write_vector(vector, polygons)
    return None if polygons is None else len(polygons)


def refined_lines(payload: dict[str, Any]) -> list[str]:
    """The result for a person."""
    written = ("out", "probabilities", "vector", "uncertainty")
    repair = payload["repair"]
    return [
        f"{payload['width']} x {payload['height']} px by {payload['checkpoint']} "
        f"({payload['steps']} steps, guidance {payload['guidance']:g}, "
        f"{payload['samples']} sample(s), {payload['license']}) in "
        f"{payload['seconds']:.1f} s; {payload['changed']:.1%} of the pixels changed class",
        *class_table(payload["classes"]),
        *([] if repair is None else [_repair_line(repair)]),
        f"Wrote {', '.join(payload[name] for name in written if payload[name])}",
    ]


def _repair_line(repair: dict[str, Any]) -> str:
    """Counts and score of a repair."""
    counts = ", ".join(f"{repair[name]} {name}" for name in COUNTS)
    return f"repair: {counts} px; score {score(repair['iou_imp'])} at k = {repair['k']:g}"


@scores.app.command("refine", epilog=EVALUATE_EXAMPLE)
def evaluate_refine(
    checkpoint: options.Checkpoint,
    root: scores.Root,
    rough: Annotated[
        str | None,
        typer.Option(
            "--rough",
            metavar="CHECKPOINT[@T]|DIR",
            help="Whose maps are refined: a segmentation checkpoint (at timestep T) or its folder, "
            "or a folder of rough maps named as the images. Without it those that the dataset "
            "brings.",
        ),
    ] = None,
    dataset: scores.Dataset = "folder",
    split: scores.Split = None,
    steps: Steps = None,
    guidance: Guidance = None,
    samples: Samples = None,
    k: RepairK = 1.0,
    seed: options.Seed = 0,
    ignore: scores.Ignore = None,
    resolution: options.Resolution = None,
    bands: options.Bands = None,
    nodata: options.Nodata = None,
    device: options.Device = "auto",
    is_json: options.Json = False,
) -> None:
    """Score a refiner: rough and refined maps side by side, and what was repaired."""
    chosen = options.whole_numbers(bands, "--bands")
    output = Output(is_json=is_json)

    from n2m_core import checkpoints
    from n2m_core.datasets.opening import open_dataset
    from n2m_core.tasks import evaluate_refine as scoring
    from n2m_core.tasks.mapping import check_task
    from n2m_core.tasks.refine import RefineParams

    refined = RefineParams(steps, guidance, seed, samples, resolution)
    params = scoring.EvaluateRefineParams(refined, k)
    card = checkpoints.read_card(checkpoint)
    check_task(card, "refine")
    samples_of = open_dataset(
        dataset,
        root,
        split,
        task="segment",
        classes=card.classes,
        ignore=ignore,
        bands=chosen,
        nodata=nodata,
        resolution_m=resolution,
    )
    model = checkpoints.load(checkpoint, device=device)
    maker = scoring.open_rough(rough, model, device=device)
    report = scoring.evaluate_refine(samples_of, model, maker, params, output.progress)
    output.finish(report, _report_lines(report), report["notes"])


def _report_lines(report: dict[str, Any]) -> list[str]:
    """The report for a person."""
    rows = []
    for name in ("rough", "refined"):
        block = report[name]
        main = block["target"] if block["target"]["f1"] is not None else block["mean"]
        edges = block["boundary"]
        values = (main["f1"], main["iou"], edges["wfm"], edges["boundary_iou"], edges["f1_3px"])
        rows.append((name, *(score(value) for value in values)))
    return [
        f"{report['checkpoint']} on {report['tiles']} tiles, {report['steps']} steps, "
        f"{report['seconds']:.1f} s",
        *table(("map", "f1", "iou", "wfm", "boundary iou", "f1 3 px"), rows),
        _repair_line(report["repair"]),
    ]
