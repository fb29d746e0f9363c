"""Arguments and options that several commands share, and how their texts are read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

MAX_LISTED = 1000

Checkpoint = Annotated[
    str, typer.Option("--checkpoint", metavar="ID", help="Which weights; see `n2m checkpoints`.")
]
MapFile = Annotated[
    Path, typer.Option("--out", metavar="MAP.tif", help="Where the map is written, a GeoTIFF.")
]
ProbabilityFile = Annotated[
    Path | None,
    typer.Option(
        "--probabilities",
        metavar="P.tif",
        help="Also write the probability of each class, a band each.",
    ),
]
VectorFile = Annotated[
    Path | None,
    typer.Option(
        "--vector", metavar="V.geojson", help="Also write polygons, .geojson or .gpkg by suffix."
    ),
]
Timestep = Annotated[
    int | None,
    typer.Option(
        "--timestep",
        metavar="T",
        help="Mix x_t at this step, 0..999, in place of the checkpoint's own way.",
    ),
]
Device = Annotated[
    str, typer.Option("--device", help="auto (a GPU when there is one), cpu, cuda, cuda:1, mps.")
]
Seed = Annotated[int, typer.Option("--seed", help="Names the noise draw.")]
Process = Annotated[
    Literal["gaussian", "swap", "self", "none"] | None,
    typer.Option("--process", help="Mix with this noise in place of the checkpoint's own."),
]
Schedule = Annotated[
    Literal["ddpm", "ddim", "pndm", "heun", "cosine"] | None,
    typer.Option("--schedule", help="Mix by this schedule in place of the checkpoint's own."),
]
Resolution = Annotated[
    float | None,
    typer.Option(
        "--resolution", metavar="METRES", help="Ground size of a pixel, where the file has none."
    ),
]
Bands = Annotated[
    str | None,
    typer.Option(
        "--bands", metavar="3,2,1", help="Bands to give the network, in order, counted from 1."
    ),
]
Nodata = Annotated[
    float | None, typer.Option("--nodata", metavar="V", help="Value that means no data.")
]
Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold", metavar="P", help="Least probability of the target; the likeliest if unset."
    ),
]
MinArea = Annotated[
    float,
    typer.Option(
        "--min-area", metavar="M2", help="Remove areas smaller than this from map and polygons."
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else there.")
]


def whole_numbers(text: str | None, option: str) -> tuple[int, ...] | None:
    """Read a list such as 0,100,...,900,999; three dots go on in the steps before them.

    Args:
        text: as typed; None for an option that was not given.
        option: its name, for the message.

    Returns:
        The numbers, or None.

    Raises:
        typer.BadParameter: the text is no such list.
    """
    if text is None:
        return None
    parts = [part for part in re.split(r"[,\s]+", text.strip()) if part]
    numbers: list[int] = []
    try:
        for index, part in enumerate(parts):
            if part in ("...", "…"):
                numbers.extend(_between(numbers, int(parts[index + 1])))
            else:
                numbers.append(int(part))
    except (ValueError, IndexError) as error:
        raise typer.BadParameter(
            f"{text!r} is not a list of whole numbers such as 3,2,1 or 0,100,...,900,999.",
            param_hint=option,
        ) from error
    if not numbers:
        raise typer.BadParameter("no number was given.", param_hint=option)
    return tuple(numbers)


def _between(before: list[int], end: int) -> range:
    """The numbers that three dots stand for, without the end itself.

    Raises:
        ValueError: the steps do not lead to the end.
        IndexError: fewer than two numbers stand before the dots.
    """
    step = before[-1] - before[-2]
    if step == 0 or (end - before[-1]) % step or not 0 < (end - before[-1]) // step <= MAX_LISTED:
        raise ValueError(f"steps of {step} from {before[-1]} never reach {end}")
    return range(before[-1] + step, end, step)
