"""The report of a review: one HTML file that holds its pictures, or a PDF.

All numbers come from `assessment.numbers_of`, which the command line prints too; both forms show
the same `Section`s of tables and sentences.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

from n2m_core import __version__
from n2m_core.atomic import write_bytes
from n2m_core.errors import ParameterError, ReviewError
from n2m_core.render import encode_png
from n2m_core.review.assessment import numbers_of
from n2m_core.review.overview import MARKS, overview
from n2m_core.review.project import Project, sources
from n2m_core.review.records import Source

SUFFIXES = (".html", ".pdf")
METHOD = (
    "Accuracies and areas are estimated from a stratified random sample after Olofsson et al. "
    "(2014), Remote Sensing of Environment 148, 42-57; intervals are of 95 %. Areas of classes are "
    "corrected for the map's errors. Omission is claimed only where every class of the map was "
    "sampled, background included. Agreement is Cohen's and Fleiss' kappa."
)
NO_SAMPLE = (
    "No random sample was drawn, so nothing is claimed of the map's accuracy: objects were judged "
    "in an order of choice, and the ground between them was not looked at."
)
_HIDDEN = ("classes", "mask_values")


@dataclass(frozen=True)
class Table:
    """Rows under a header; the first column is text."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """A part of the report.

    Attributes:
        title: of the part.
        tables: what it shows.
        notes: sentences below.
        picture: PNG, if it has one.
        caption: of the picture.
    """

    title: str
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    picture: bytes | None = None
    caption: str = ""

    @property
    def picture_base64(self) -> str:
        """The picture for a data URI; "" without one."""
        return "" if self.picture is None else base64.b64encode(self.picture).decode()


@dataclass(frozen=True)
class Report:
    """Everything the report shows, in order."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    method: str = METHOD


def write_report(project: Project, path: Path) -> Report:
    """Write the report, HTML or PDF by the suffix, whole or not at all.

    Args:
        project: of which.
        path: ends in .html or .pdf.

    Returns:
        What was written.

    Raises:
        ParameterError: another suffix.
        OutputError: the folder is full or not writable.
        ReviewError: the project can't be read.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ParameterError(
            f"{path.name} ends in {suffix or 'nothing'}; a report is written as "
            f"{' or '.join(SUFFIXES)}."
        )
    report = make_report(project)
    if suffix == ".html":
        write_bytes(path, html_of(report).encode())
    else:
        from n2m_core.review.report_pdf import pdf_of

        write_bytes(path, pdf_of(report))
    return report


def make_report(project: Project) -> Report:
    """Gather the report from the decisions as they stand."""
    numbers = numbers_of(project)
    made = datetime.now(UTC).isoformat(timespec="minutes")
    people = ", ".join(each["name"] for each in numbers["progress"]["reviewers"]) or "nobody yet"
    maps = [
        _map_section(project, source, row)
        for source, row in zip(sources(project), numbers["maps"], strict=True)
    ]
    return Report(
        numbers["project"],
        f"Reviewed by {people}. Made {made} by Noise2Map Explorer {__version__}.",
        (
            _progress_section(numbers),
            *maps,
            *([] if numbers["accuracy"] else [Section("Accuracy", notes=(NO_SAMPLE,))]),
            *(_accuracy_section(each) for each in numbers["accuracy"]),
            *_agreement_sections(numbers["agreement"]),
        ),
    )


def html_of(report: Report) -> str:
    """The report as one HTML file without links to any other."""
    environment = Environment(
        loader=PackageLoader("n2m_core.review", "."),
        autoescape=select_autoescape(default=True, default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(report=report)


def percent(found: dict[str, Any] | None) -> str:
    """An estimated share with its interval, such as "87.5 % (81.2 to 93.8)"."""
    if found is None:
        return "-"
    value = f"{100 * found['value']:.1f} %"
    if found["half"] is None:
        return value
    return f"{value} ({100 * found['low']:.1f} to {100 * found['high']:.1f})"


def area(found: dict[str, Any] | None) -> str:
    """An estimated area with half its interval, in m² or hectares."""
    if found is None:
        return "-"
    unit, size = ("ha", 1e4) if found["value"] >= 1e5 else ("m²", 1.0)
    value = f"{found['value'] / size:,.1f}"
    return f"{value} {unit}" if found["half"] is None else (
        f"{value} ± {found['half'] / size:,.1f} {unit}"
    )  # fmt: skip


def accuracy_tables(numbers: dict[str, Any]) -> tuple[Table, ...]:
    """One sample's tables: accuracy of each class, and the error matrix where there is one."""
    rows = tuple(
        (
            str(each["name"]),
            f"{each['mapped_share']:.1%}",
            f"{each['right']} of {each['counted']}",
            percent(each["users"]),
            percent(each["producers"]),
            _mapped(each["mapped_area_m2"]),
            area(each["area_m2"]),
        )
        for each in numbers["classes"]
    )
    header = ("class", "of the map", "right", "user's", "producer's", "mapped", "true area")
    tables = [Table(header, rows)]
    if numbers["matrix"] is not None:
        names = [str(each["name"]) for each in numbers["classes"]]
        matrix = tuple(
            (name, *(str(count) for count in row), str(sum(row)))
            for name, row in zip(names, numbers["matrix"], strict=True)
        )
        tables.append(Table(("mapped as \\ truly", *names, "sum"), matrix))
    return tuple(tables)


def _mapped(value: float | None) -> str:
    return "-" if value is None else area({"value": value, "half": None})


def accuracy_title(numbers: dict[str, Any]) -> str:
    """What a sample is, in one line."""
    return (
        f"Sample {numbers['sample']} of {numbers['map']}: {numbers['units']} {numbers['kind']}, "
        f"{numbers['answered']} answered"
    )


def _accuracy_section(numbers: dict[str, Any]) -> Section:
    overall = [] if numbers["overall"] is None else [
        f"Overall accuracy: {percent(numbers['overall'])}."
    ]  # fmt: skip
    drawn = f"Drawn {numbers['drawn_at']}, seed {numbers['seed']}."
    return Section(
        accuracy_title(numbers),
        accuracy_tables(numbers),
        (*overall, *numbers["notes"], drawn),
    )


def _progress_section(numbers: dict[str, Any]) -> Section:
    done = numbers["progress"]
    header = ("reviewer", "judged", "right", "wrong", "unsure", "redrawn", "added", "last")
    rows = tuple(
        (each["name"], *(str(each[key]) for key in header[1:-1]), each["last_at"][:16])
        for each in done["reviewers"]
    )
    return Section(
        "Progress",
        (Table(header, rows),) if rows else (),
        (
            f"{done['judged']} of {done['objects']} objects were judged; on {done['disputed']} the "
            "reviewers differ, and the last word counts.",
        ),
    )


def _map_section(project: Project, source: Source, row: dict[str, Any]) -> Section:
    keys = ("objects", "judged", "right", "wrong", "unsure", "redrawn", "added")
    table = Table(keys, (tuple(str(row[key]) for key in keys),))
    facts = tuple(
        (name.replace("_", " "), str(value))
        for name, value in source.settings.items()
        if name not in _HIDDEN and value not in (None, "", {}, 0.0)
    )
    own = (("CRS", source.crs or "none: pixels"), ("sent to review", source.added_at[:16]))
    settings = Table(("setting", "value"), (*facts, *own))
    try:
        png = encode_png(overview(project, source))
        notes: tuple[str, ...] = ()
    except ReviewError as e:
        png, notes = None, (str(e),)
    caption = ", ".join(f"{name} {meaning}" for meaning, (name, _) in MARKS.items())
    return Section(
        f"Map {source.id}: {source.name}",
        (table, settings),
        (*source.notes, *notes),
        png,
        f"Outlines after the review: {caption}.",
    )


def agreement_table(numbers: dict[str, Any]) -> Table | None:
    """How far reviewers agree; None where no two of them judged the same thing."""
    rows = []
    for name in ("objects", "units"):
        for pair in numbers[name]["pairs"]:
            who = f"{pair['first']} and {pair['second']}"
            rows.append((who, f"{pair['items']} {name}", "Cohen's kappa", _number(pair["kappa"])))
        many = numbers[name]["fleiss"]
        if many is not None and len(many["reviewers"]) > 2:
            who = ", ".join(many["reviewers"])
            kappa = _number(many["kappa"])
            rows.append((who, f"{many['items']} {name}", "Fleiss' kappa", kappa))
    for pair in numbers["outlines"]:
        who, mean = f"{pair['first']} and {pair['second']}", _number(pair["mean_iou"])
        rows.append((who, f"{pair['items']} outlines", "mean IoU", mean))
    return Table(("reviewers", "of", "measure", "value"), tuple(rows)) if rows else None


def _agreement_sections(numbers: dict[str, Any]) -> Sequence[Section]:
    found = agreement_table(numbers)
    if found is None:
        return ()
    is_missing = any(row[-1] == "-" for row in found.rows)
    note = "Kappa does not exist where all always said one and the same."
    return (Section("Agreement", (found,), (note,) if is_missing else ()),)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
