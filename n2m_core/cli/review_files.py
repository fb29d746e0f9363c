"""What `n2m review` writes: polygons, masks, reports, backups; and how large a sample should be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from n2m_core.cli import options
from n2m_core.cli.files import VECTOR_SUFFIXES, check_outputs
from n2m_core.cli.output import Output, table
from n2m_core.cli.reviewing import SIZE_EXAMPLE, Folder, MapId, app

__all__ = ["app"]

REPORT_SUFFIXES = (".html", ".pdf")
OF_A_MAP = 1_000_000
"""Shares are taken of so many pixels where no project says how many there are."""


@app.command("export", epilog="Example: n2m review export desk --map 1 --out corrected.gpkg")
def export(
    folder: Folder,
    map_id: MapId,
    out: Annotated[
        Path, typer.Option("--out", metavar="F.gpkg", help=".gpkg or .geojson by suffix.")
    ],
    with_removed: Annotated[
        bool, typer.Option("--with-removed", help="Also those judged wrong, marked.")
    ] = False,
    is_json: options.Json = False,
) -> None:
    """Write the corrected polygons of a map, with who said what and when."""
    check_outputs({"--out": (out, VECTOR_SUFFIXES)}, [folder / "review.gpkg"])

    from n2m_core.review import export_polygons, open_project

    count = export_polygons(open_project(folder), map_id, out, with_removed=with_removed)
    payload = {"map": map_id, "out": str(out), "polygons": count}
    Output(is_json=is_json).finish(payload, [f"Wrote {count} polygons to {out}"], ())


@app.command("masks", epilog="Example: n2m review masks desk --out corrected")
def masks(
    folder: Folder,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="An empty or a new folder.")],
    keep_unjudged: Annotated[
        bool,
        typer.Option("--keep-unjudged", help="Trust the map where nobody has judged an object."),
    ] = False,
    is_json: options.Json = False,
) -> None:
    """Write images and corrected masks as `n2m train` reads them, for all maps with both."""
    from n2m_core.review import open_project, write_masks

    written = write_masks(open_project(folder), out, keep_unjudged=keep_unjudged)
    payload = {"out": str(out), "files": [str(path) for path in written]}
    Output(is_json=is_json).finish(payload, [f"Wrote {len(written)} files to {out}"], ())


@app.command("report", epilog="Example: n2m review report desk --out report.html")
def report(
    folder: Folder,
    out: Annotated[Path, typer.Option("--out", metavar="R.html", help=".html or .pdf by suffix.")],
    is_json: options.Json = False,
) -> None:
    """Write the report: maps, progress, accuracy, areas, agreement, settings."""
    check_outputs({"--out": (out, REPORT_SUFFIXES)}, [])

    from n2m_core.review import numbers_of, open_project, write_report

    project = open_project(folder)
    write_report(project, out)
    payload = {"out": str(out), **numbers_of(project)}
    Output(is_json=is_json).finish(payload, [f"Wrote {out}"], ())


@app.command("backup", epilog="Example: n2m review backup desk --out desk-monday.gpkg")
def back_up(
    folder: Folder,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="F.gpkg", help="The file; one in backups/ if not given."),
    ] = None,
    is_json: options.Json = False,
) -> None:
    """Copy the project's database to one file while people go on working."""
    from n2m_core.review import backup, open_project

    target = backup(open_project(folder), out)
    size = target.stat().st_size
    payload = {"out": str(target), "bytes": size}
    Output(is_json=is_json).finish(payload, [f"Wrote {target} ({size / 1e6:.1f} MB)"], ())


@app.command("restore", epilog="Example: n2m review restore desk desk-monday.gpkg")
def go_back(
    folder: Folder,
    path: Annotated[Path, typer.Argument(metavar="BACKUP", help="A file that backup wrote.")],
    is_json: options.Json = False,
) -> None:
    """Go back to a backup; what was there is moved to backups/."""
    from n2m_core.review import restore, status

    found = status(restore(folder, path))
    lines = [f"{folder} is as {path} has it: {found['progress']['judged']} objects judged"]
    Output(is_json=is_json).finish(found, lines, ())


@app.command("sample-size", epilog=SIZE_EXAMPLE)
def sample_size(
    guess: Annotated[
        str, typer.Option("--guess", metavar="0.7,0.9", help="User's accuracy of each class.")
    ],
    standard_error: Annotated[
        float, typer.Option("--standard-error", metavar="S", help="Wished, of overall accuracy.")
    ] = 0.01,
    share: Annotated[
        str | None,
        typer.Option("--share", metavar="0.2,0.8", help="Share of each class on the map."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--project", metavar="FOLDER", help="Whose map has the shares.")
    ] = None,
    map_id: Annotated[
        int | None, typer.Option("--map", metavar="N", help="Number of that map.")
    ] = None,
    least: Annotated[
        int, typer.Option("--least", metavar="N", help="Units for a rare class.")
    ] = 50,
    is_json: options.Json = False,
) -> None:
    """Say how many units a wished precision needs, and how many of them in each class."""
    guesses = _numbers(guess, "--guess")

    from n2m_core.review.accuracy import allocate, required_size

    if share is not None and folder is None:
        shares = _numbers(share, "--share")
        populations = [round(each / sum(shares) * OF_A_MAP) for each in shares]
        names = [f"class {index}" for index in range(len(shares))]
    elif folder is not None and map_id is not None and share is None:
        names, populations = _pixels_of(folder, map_id)
    else:
        raise typer.BadParameter("Give --share, or --project with --map.", param_hint="--share")
    size = required_size([float(each) for each in populations], guesses, standard_error)
    drawn = allocate(size, populations, least)
    rows = [
        (name, f"{population / sum(populations):.2%}", f"{value:g}", str(number))
        for name, population, value, number in zip(names, populations, guesses, drawn, strict=True)
    ]
    payload = {
        "units": size,
        "standard_error": standard_error,
        "classes": [
            {"name": name, "share": population / sum(populations), "guess": value, "units": number}
            for name, population, value, number in zip(
                names, populations, guesses, drawn, strict=True
            )
        ],
    }
    lines = [
        f"{size} units for a standard error of {standard_error:g}",
        *table(("class", "share", "guess", "units"), rows),
    ]
    Output(is_json=is_json).finish(payload, lines, ())


def _pixels_of(folder: Path, map_id: int) -> tuple[list[str], list[int]]:
    """Classes that a map of a project shows, and their pixels."""
    from n2m_core.review import class_pixels, get_source, open_project

    project = open_project(folder)
    counted = class_pixels(get_source(project, map_id))
    return [name for name, _ in counted], [count for _, count in counted]


def _numbers(text: str, option: str) -> list[float]:
    try:
        return [float(part) for part in text.replace(",", " ").split()]
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is not a list of numbers such as 0.7,0.9.", param_hint=option
        ) from error
