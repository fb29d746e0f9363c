"""`n2m review`: a review project from the command line."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from n2m_core.cli import options
from n2m_core.cli.output import Output, table

if TYPE_CHECKING:
    from n2m_core.review import Project

IMPORT_EXAMPLE = (
    "Example: n2m review import desk buildings.gpkg --image town.tif --map map.tif "
    "--checkpoint n2m-buildings"
)
SAMPLE_EXAMPLE = "Example: n2m review next-sample desk --map 1 --size 400 --seed 7"
ACCURACY_EXAMPLE = "Example: n2m review accuracy desk --sample 1 --json"
SIZE_EXAMPLE = (
    "Example: n2m review sample-size --share 0.02,0.015,0.32,0.645 --guess 0.7,0.6,0.9,0.95 "
    "--standard-error 0.01"
)

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of the review project.")]
MapId = Annotated[
    int, typer.Option("--map", metavar="N", help="Number of the map; see `n2m review status`.")
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Names the random draw.")]

app = typer.Typer(
    help="Judge what a map found, and count how good it is.",
    epilog=IMPORT_EXAMPLE,
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("create", epilog="Example: n2m review create desk --title Buildings")
def create(
    folder: Folder,
    title: Annotated[str, typer.Option("--title", help="What to call it; the folder's name.")] = "",
    is_json: options.Json = False,
) -> None:
    """Make a review project; import does so too on first use."""
    from n2m_core.review import create_project

    project = create_project(folder, title)
    payload = {"project": project.title, "folder": str(folder), "created_at": project.created_at}
    Output(is_json=is_json).finish(payload, [f"Made {project.title} in {folder}"], ())


@app.command("import", epilog=IMPORT_EXAMPLE)
def import_polygons(
    folder: Folder,
    polygons: Annotated[
        Path, typer.Argument(metavar="POLYGONS", help="GeoPackage or GeoJSON of a whole scene.")
    ],
    image: Annotated[
        Path | None, typer.Option("--image", help="What to look at; a change's later date.")
    ] = None,
    before: Annotated[
        Path | None, typer.Option("--before", help="The earlier date of a change.")
    ] = None,
    raster: Annotated[
        Path | None,
        typer.Option(
            "--map", metavar="MAP.tif", help="The class map; made of the polygons if none."
        ),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="What to call it; the file's name.")] = "",
    layer: Annotated[str | None, typer.Option("--layer", help="Of a file with several.")] = None,
    checkpoint: Annotated[
        str | None, typer.Option("--checkpoint", metavar="ID", help="Which weights made the map.")
    ] = None,
    is_copied: Annotated[
        bool, typer.Option("--copy", help="Copy the pictures into the project.")
    ] = False,
    seed: Seed = 0,
    is_json: options.Json = False,
) -> None:
    """Send polygons to review; the project is made when the folder has none."""
    output = Output(is_json=is_json)

    from n2m_core.review import PolygonFile, add_file, all_objects, open_or_create

    settings = {} if checkpoint is None else _facts_of(checkpoint)
    project = open_or_create(folder)
    given = PolygonFile(polygons, image, before, raster, name, layer, is_copied, settings, seed)
    source = add_file(project, given)
    count = len(all_objects(project, source_id=source.id))
    payload = {
        "map": source.id,
        "name": source.name,
        "objects": count,
        "crs": source.crs,
        "classes": [asdict(entry) for entry in source.classes],
    }
    output.finish(payload, [f"Map {source.id}: {source.name}, {count} objects"], source.notes)


def _facts_of(checkpoint: str) -> dict[str, Any]:
    """What the card says of the weights that made a map."""
    from n2m_core import checkpoints

    card = checkpoints.read_card(checkpoint)
    return {
        "checkpoint": card.id,
        "checkpoint_sha256": card.sha256,
        "license": card.license,
        "mask_values": {
            index: entry.mask_colour
            for index, entry in enumerate(card.classes)
            if isinstance(entry.mask_colour, int)
        },
    }


@app.command("status", epilog="Example: n2m review status desk")
def show_status(folder: Folder, is_json: options.Json = False) -> None:
    """Say what is in a project and how far everybody is."""
    from n2m_core.review import open_project, status

    found = status(open_project(folder))
    keys = ("objects", "judged", "right", "wrong", "unsure", "redrawn", "added")
    maps = [(f"{m['id']} {m['name']}", *(str(m[key]) for key in keys)) for m in found["maps"]]
    people = [
        (each["name"], *(str(each[key]) for key in ("judged", "right", "wrong", "unsure")))
        for each in found["progress"]["reviewers"]
    ]
    drawn = [
        (f"{each['id']} of {each['map']}", each["kind"], str(each["units"]), str(each["answered"]))
        for each in found["samples"]
    ]
    lines = [f"{found['project']}, made {found['created_at'][:10]}", *table(("map", *keys), maps)]
    if people:
        lines += ["", *table(("reviewer", "judged", "right", "wrong", "unsure"), people)]
    if drawn:
        lines += ["", *table(("sample", "kind", "units", "answered"), drawn)]
    Output(is_json=is_json).finish(found, lines, ())


@app.command("next-sample", epilog=SAMPLE_EXAMPLE)
def next_sample(
    folder: Folder,
    map_id: MapId,
    units: Annotated[
        Literal["points", "blocks", "objects"],
        typer.Option("--units", help="Pixels, blocks of pixels, or the map's objects."),
    ] = "points",
    size: Annotated[int, typer.Option("--size", metavar="N", help="Units to draw.")] = 300,
    least: Annotated[
        int | None, typer.Option("--least", metavar="N", help="Units for a rare class; 50.")
    ] = None,
    block: Annotated[int, typer.Option("--block", metavar="PX", help="Side of a block.")] = 16,
    seed: Seed = 0,
    is_json: options.Json = False,
) -> None:
    """Draw a stratified random sample, to be answered at the desk."""
    from n2m_core.review import SampleParams, draw_objects, draw_pixels, open_project

    draw = draw_objects if units == "objects" else draw_pixels
    params = SampleParams(size, least, block if units == "blocks" else 1, seed)
    sample = draw(open_project(folder), map_id, params)
    rows = [(each.name, str(each.population), str(each.drawn)) for each in sample.strata]
    Output(is_json=is_json).finish(
        asdict(sample),
        [f"Sample {sample.id}: {sample.units} {sample.kind}",
         *table(("stratum", "on the map", "drawn"), rows)],
        (),
    )  # fmt: skip


@app.command("decide", epilog="Example: n2m review decide desk 17 wrong --reviewer Ann --class 2")
def decide_object(
    folder: Folder,
    number: Annotated[int, typer.Argument(metavar="OBJECT", help="Number of the object.")],
    verdict: Annotated[Literal["right", "wrong", "unsure"], typer.Argument(help="What it is.")],
    reviewer: Annotated[str, typer.Option("--reviewer", help="Who says so.")],
    class_id: Annotated[
        int | None, typer.Option("--class", metavar="N", help="The class that it should have.")
    ] = None,
    comment: Annotated[str | None, typer.Option("--comment", help="Free text.")] = None,
    is_json: options.Json = False,
) -> None:
    """Judge one object, for scripts; the desk is the place for people."""
    from n2m_core.review import decide, join, open_project

    project = open_project(folder)
    entry = decide(
        project,
        number,
        join(project, reviewer),
        verdict=verdict,
        class_id=class_id,
        comment=comment,
    )
    payload = {"entry": entry.id, "object": number, "verdict": verdict, "at": entry.at}
    Output(is_json=is_json).finish(payload, [f"Object {number}: {verdict}"], ())


@app.command("accuracy", epilog=ACCURACY_EXAMPLE)
def accuracy(
    folder: Folder,
    sample: Annotated[
        int | None, typer.Option("--sample", metavar="N", help="Which sample; all if not given.")
    ] = None,
    reviewer: Annotated[
        str | None, typer.Option("--reviewer", help="Whose answers; the last word of all if not.")
    ] = None,
    is_json: options.Json = False,
) -> None:
    """Estimate accuracy and area from the answers to a sample, with 95 % intervals."""
    from n2m_core.review import agreement, assess, open_project, samples
    from n2m_core.review.report import accuracy_tables, accuracy_title, agreement_table, percent

    project = open_project(folder)
    who = None if reviewer is None else _known_reviewer(project, reviewer)
    chosen = [each.id for each in samples(project)] if sample is None else [sample]
    found = [assess(project, each, reviewer=who) for each in chosen]
    alike = agreement(project)
    lines = [] if found else ["No sample has been drawn; see `n2m review next-sample`."]
    for each in found:
        lines += [accuracy_title(each), f"overall accuracy: {percent(each['overall'])}"]
        for part in accuracy_tables(each):
            lines += table(part.header, part.rows)
    compared = agreement_table(alike)
    if compared is not None:
        lines += table(compared.header, compared.rows)
    notes = [note for each in found for note in each["notes"]]
    payload = {"accuracy": found, "agreement": alike}
    Output(is_json=is_json).finish(payload, lines, notes)


def _known_reviewer(project: Project, name: str) -> Any:  # noqa: ANN401 - imported late
    """Find a reviewer without letting a slip of the keys join the project."""
    from n2m_core.errors import ParameterError
    from n2m_core.review import reviewers

    known = reviewers(project)
    for each in known:
        if each.name.lower() == name.strip().lower():
            return each
    names = ", ".join(each.name for each in known) or "nobody"
    raise ParameterError(f"There is no reviewer {name}; {names} sat at the desk.")
