"""`n2m fuse` and `n2m evaluate fusion`."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from n2m_core.cli import options, streaming
from n2m_core.cli.files import RASTER_SUFFIXES, check_outputs
from n2m_core.cli.output import Output, score, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from n2m_core.datasets.folder import ReadOptions
    from n2m_core.datasets.triplets import Triplet
    from n2m_core.tasks.fuse import FuseResult

EXAMPLE = (
    "Example: n2m fuse --fine0 june.tif --coarse0 june_modis.tif --fine2 august.tif "
    "--coarse2 august_modis.tif --coarse1 july_modis.tif --method estarfm --out july.tif"
)
EVALUATE_EXAMPLE = "Example: n2m evaluate fusion --method starfm --root triplets --json"

ROLES = ("fine0", "coarse0", "fine2", "coarse2", "coarse1")

Fine0 = Annotated[Path, typer.Option("--fine0", metavar="F0", help="Fine image, first date.")]
Coarse0 = Annotated[Path, typer.Option("--coarse0", metavar="C0", help="Coarse image, first date.")]
Fine2 = Annotated[Path, typer.Option("--fine2", metavar="F2", help="Fine image, last date.")]
Coarse2 = Annotated[Path, typer.Option("--coarse2", metavar="C2", help="Coarse image, last date.")]
Coarse1 = Annotated[Path, typer.Option("--coarse1", metavar="C1", help="Coarse image to refine.")]
Method = Annotated[
    str,
    typer.Option(
        "--method",
        metavar="M",
        help="sa-stf, sa-stf-one-pass or stfdiff (learned); estarfm, starfm, fsdaf; mean-change, "
        "coarse-change or copy to compare.",
    ),
]
Window = Annotated[
    int | None,
    typer.Option("--window", metavar="PX", help="Side of the method's window, odd."),
]
Scale = Annotated[
    int | None,
    typer.Option("--scale", metavar="S", help="Sides of a coarse pixel in fine ones; 16 is usual."),
]
DnScale = Annotated[
    float | None,
    typer.Option(
        "--dn-scale", metavar="V", help="Pixel value that means reflectance 1; 1, 255 or 10000 "
        "are told apart by themselves."
    ),
]  # fmt: skip
Weights = Annotated[
    str | None, typer.Option("--checkpoint", metavar="ID", help="Weights of a learned method.")
]
Steps = Annotated[
    int | None,
    typer.Option("--steps", metavar="N", help="Sampling steps of a learned method."),
]
Eta = Annotated[
    float, typer.Option("--eta", help="Fresh noise in each step of a learned method, 0..1.")
]


def fuse(
    fine0: Fine0,
    coarse0: Coarse0,
    fine2: Fine2,
    coarse2: Coarse2,
    coarse1: Coarse1,
    out: Annotated[
        Path, typer.Option("--out", metavar="F1.tif", help="Where the fine image is written.")
    ],
    method: Method = "estarfm",
    window: Window = None,
    scale: Scale = None,
    dn_scale: DnScale = None,
    dates: Annotated[
        str | None,
        typer.Option(
            "--dates", metavar="D0,D1,D2", help="Dates of the first, target and last image."
        ),
    ] = None,
    checkpoint: Weights = None,
    steps: Steps = None,
    eta: Eta = 0.0,
    seed: options.Seed = 0,
    truth: Annotated[
        Path | None,
        typer.Option("--truth", metavar="F1", help="The true fine image, to score against."),
    ] = None,
    bands: options.Bands = None,
    nodata: options.Nodata = None,
    engine: streaming.Engine = "auto",
    scheduler: streaming.Scheduler = None,
    is_resumed: streaming.Resume = False,
    block: streaming.BlockSide = None,
    is_json: options.Json = False,
) -> None:
    """Make the missing fine image of a date from its coarse one and two dates around it."""
    chosen, output = options.whole_numbers(bands, "--bands"), Output(is_json=is_json)
    inputs = dict(zip(ROLES, (fine0, coarse0, fine2, coarse2, coarse1), strict=True))
    known = [*inputs.values(), *([] if truth is None else [truth])]
    check_outputs({"--out": (out, RASTER_SUFFIXES)}, known)
    days = _dates(dates)

    from n2m_core.raster_io import read_image, write_geotiff
    from n2m_core.tasks.fuse import FuseImages, FuseParams, run, score_result

    params = FuseParams(method, window, scale, dn_scale, days, checkpoint, steps, eta, seed)
    asked = streaming.Asked(engine, scheduler, is_resumed, block)
    if _streams(asked, inputs, method, truth):
        from n2m_core.cli.streamed_fusing import stream_fusion

        stream_fusion(inputs, chosen, nodata, params, out, asked, output)
        return
    asked.refuse_in_memory()
    images = {name: read_image(path, bands=chosen, nodata=nodata) for name, path in inputs.items()}
    true_image = None if truth is None else read_image(truth, bands=chosen, nodata=nodata)
    result = run(FuseImages(**images), params, output.progress)
    report = None if true_image is None else score_result(result, true_image)
    write_geotiff(out, result.image, tags=result.tags)
    payload = _payload(result, {name: str(path) for name, path in inputs.items()}, out, report)
    output.finish(payload, fuse_lines(payload), result.notes)


def _streams(
    asked: streaming.Asked, inputs: dict[str, Path], method: str, truth: Path | None
) -> bool:
    """Decide whether a fusion is streamed; FSDAF and a truth need the whole images."""
    if asked.engine == "auto" and (method == "fsdaf" or truth is not None):
        return False
    is_streamed = asked.streams(*inputs.values())
    if is_streamed and truth is not None:
        raise typer.BadParameter("a truth is for --engine memory.", param_hint="--engine")
    return is_streamed


def _dates(text: str | None) -> tuple[date, date, date] | None:
    """Read three dates such as 2023-06-06,2023-07-14,2023-07-30."""
    if text is None:
        return None
    try:
        first, second, third = (date.fromisoformat(part.strip()) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is not three dates such as 2023-06-06,2023-07-14,2023-07-30.",
            param_hint="--dates",
        ) from error
    return first, second, third


def _payload(
    result: FuseResult, inputs: dict[str, str], out: Path, report: dict[str, Any] | None
) -> dict[str, Any]:
    """What happened, for JSON."""
    days = result.params.dates
    return {
        "task": "fusion",
        "method": result.params.method,
        "checkpoint": result.params.checkpoint,
        **inputs,
        "out": str(out),
        "dates": None if days is None else [day.isoformat() for day in days],
        "scale": result.prepared.inputs.scale,
        "dn_scale": result.prepared.dn_scale,
        "height": result.image.height,
        "width": result.image.width,
        "bands": list(result.image.band_names),
        "crs": result.image.crs,
        "valid_share": float(result.image.valid.mean()),
        "scores": report,
        "notes": list(result.notes),
        "seconds": round(result.seconds, 3),
    }


def fuse_lines(payload: dict[str, Any]) -> list[str]:
    """The result for a person."""
    head = (
        f"{payload['width']} x {payload['height']} px, {len(payload['bands'])} bands by "
        f"{payload['method']} at scale {payload['scale']} in {payload['seconds']:.1f} s"
    )
    scores = [] if payload["scores"] is None else _score_lines(payload["scores"])
    return [head, *scores, f"Wrote {payload['out']}"]


def _score_lines(report: dict[str, Any]) -> list[str]:
    """The figures of an image or of many."""
    ratio = report["ergas_ratio"]
    told = "" if ratio is None else f" (factor 100 / {ratio:g})"
    rows = [
        (band["name"], _small(band["rmse"]), _small(band["bias"]), score(band["cc"]),
         score(band["ssim"])) for band in report["per_band"]
    ]  # fmt: skip
    return [
        f"RMSE {_small(report['rmse'])}, mean of the bands {_small(report['rmse_band_mean'])}; "
        f"CC {score(report['cc'])}; SSIM {score(report['ssim'])} (data range 1); "
        f"ERGAS {score(report['ergas'])}{told}; SAM {score(report['sam_deg'])} degrees",
        *table(("band", "rmse", "bias", "cc", "ssim"), rows),
    ]


def _small(value: float | None) -> str:
    """An error of reflectance with four digits."""
    return "-" if value is None else f"{value:.4f}"


def evaluate_fusion(
    root: Annotated[Path, typer.Option("--root", metavar="DIR", help="Folder of the dataset.")],
    method: Method = "estarfm",
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset",
            help="folder (a folder a triplet: fine0 coarse0 fine1 coarse1 fine2 coarse2 .tif), "
            "cia, lgc, ahb, or landsat8 (the .npz file).",
        ),
    ] = "folder",
    split: Annotated[
        str, typer.Option("--split", help="Of cia, lgc, ahb: syy, swin, survey-test, ... or all.")
    ] = "all",
    coarse_bands: Annotated[
        str | None,
        typer.Option(
            "--coarse-bands", metavar="3,4,1", help="Bands of the coarse files of cia, lgc and "
            "ahb in the order of the fine ones."
        ),
    ] = None,
    window: Window = None,
    scale: Scale = None,
    dn_scale: DnScale = None,
    checkpoint: Weights = None,
    steps: Steps = None,
    eta: Eta = 0.0,
    seed: options.Seed = 0,
    bands: options.Bands = None,
    nodata: options.Nodata = None,
    is_json: options.Json = False,
) -> None:  # fmt: skip
    """Score a fusion method on dates whose fine image is known."""
    output = Output(is_json=is_json)
    chosen = options.whole_numbers(bands, "--bands")
    order = options.whole_numbers(coarse_bands, "--coarse-bands")

    from n2m_core.datasets.folder import ReadOptions
    from n2m_core.tasks.evaluate_fusion import evaluate
    from n2m_core.tasks.fuse import FuseParams

    params = FuseParams(method, window, scale, dn_scale, None, checkpoint, steps, eta, seed)
    read = ReadOptions(chosen, nodata)
    triplets = _triplets(dataset, root, split, order, read)
    report = evaluate(triplets, params, output.progress)
    head = f"{params.method} on {report['triplets']} triplets, {report['seconds']:.1f} s"
    output.finish(report, [head, *_score_lines(report)], ())


def _triplets(
    dataset: str, root: Path, split: str, coarse_bands: tuple[int, ...] | None, read: ReadOptions
) -> Sequence[Triplet]:
    """Open the dataset that was named."""
    from n2m_core.datasets.fusion_sets import SETS, landsat8_triplet, published_triplets
    from n2m_core.datasets.triplets import folder_triplets

    if dataset in SETS:
        return published_triplets(
            SETS[dataset], root, split, coarse_bands=coarse_bands, options=read
        )
    if dataset == "landsat8":
        return [landsat8_triplet(root)]
    if dataset == "folder":
        return folder_triplets(root, options=read)
    raise typer.BadParameter(
        f"{dataset!r} is unknown; choose of folder, {', '.join(SETS)}, landsat8.",
        param_hint="--dataset",
    )
