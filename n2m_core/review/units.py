"""Stepping through a sample, and saying what is really there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from affine import Affine
from shapely.geometry import Polygon
from sqlalchemy import Connection, select

from n2m_core.errors import ParameterError
from n2m_core.review import schema
from n2m_core.review.decisions import (
    append,
    check_class,
    check_seen,
    names_of,
    opinion,
    opinions_by,
    standing,
)
from n2m_core.review.geometry import Outline, from_blob
from n2m_core.review.project import Project, get_source, read_sources
from n2m_core.review.records import Entry, Opinion, Reviewer, Scope, Source, Unit
from n2m_core.review.sampling import get_sample, has_answer

_BATCH = 500
_u = schema.units


def next_unit(
    project: Project,
    reviewer: Reviewer,
    sample_id: int,
    after: int | None = None,
    *,
    scope: Scope = "open",
) -> Unit | None:
    """Find the unit that comes next in the sample's random order.

    Args:
        project: where.
        reviewer: who looks.
        sample_id: of which sample.
        after: the unit just seen; None for the first.
        scope: "open" leaves out what anybody has answered, "mine" what this reviewer has.

    Raises:
        ParameterError: no such sample or unit, or an unknown scope.
    """
    return _step(project, reviewer, sample_id, after, scope, forward=True)


def previous_unit(
    project: Project,
    reviewer: Reviewer,
    sample_id: int,
    before: int,
    *,
    scope: Scope = "all",
) -> Unit | None:
    """Find the unit before one; answered ones too unless told otherwise."""
    return _step(project, reviewer, sample_id, before, scope, forward=False)


def get_unit(project: Project, unit_id: int, reviewer: Reviewer | None = None) -> Unit:
    """One unit as it stands now.

    Raises:
        ParameterError: the project has none of that number.
    """
    with project.store.reading() as connection:
        found = _read(project, connection, [unit_id], reviewer)
    if not found:
        raise ParameterError(f"The project has no unit {unit_id}.")
    return found[0]


def all_units(project: Project, sample_id: int) -> list[Unit]:
    """Every unit of a sample as it stands now, in its random order."""
    with project.store.reading() as connection:
        statement = select(_u.c.id).where(_u.c.sample_id == sample_id).order_by(_u.c.rank)
        return _read(project, connection, connection.execute(statement).scalars().all(), None)


def answer(
    project: Project,
    unit_id: int,
    reviewer: Reviewer,
    class_id: int | None,
    *,
    comment: str | None = None,
    seconds: float | None = None,
    seen: int | None = None,
) -> Entry:
    """Say what a pixel or block really is.

    Args:
        project: where.
        unit_id: which unit.
        reviewer: who says so.
        class_id: what is there; None when it can't be told.
        comment: free text.
        seconds: how long the person looked.
        seen: `version` of the unit as the person saw it; see `decisions.decide`.

    Returns:
        The entry, which is on the disk.

    Raises:
        ReviewConflictError: somebody has answered since `seen`.
        ParameterError: no such unit or class, or a unit that is an object.
        ReviewError: the project can't be written.
    """
    unit = get_unit(project, unit_id)
    if unit.object_id is not None:
        raise ParameterError(f"Unit {unit_id} is object {unit.object_id}; judge that object.")
    if class_id is not None:
        check_class(get_source(project, unit.source_id), class_id)
    verdict = "unsure" if class_id is None else "right" if class_id == unit.class_id else "wrong"
    with project.store.writing() as connection:
        check_seen(connection, schema.entries.c.unit_id == unit_id, seen)
        values = {
            "unit_id": unit_id,
            "kind": "decide",
            "verdict": verdict,
            "class_id": class_id,
            "comment": comment,
            "seconds": seconds,
        }
        return append(connection, reviewer, values)


def _step(
    project: Project,
    reviewer: Reviewer,
    sample_id: int,
    at: int | None,
    scope: str,
    *,
    forward: bool,
) -> Unit | None:
    if scope not in get_args(Scope):
        raise ParameterError(f"Scope {scope!r} is unknown; choose {', '.join(get_args(Scope))}.")
    get_sample(project, sample_id)
    statement = select(_u.c.id).where(_u.c.sample_id == sample_id)
    if scope != "all":
        statement = statement.where(~has_answer(reviewer.id if scope == "mine" else None))
    if at is not None:
        here = select(_u.c.rank).where(_u.c.id == at).scalar_subquery()
        statement = statement.where(_u.c.rank > here if forward else _u.c.rank < here)
    statement = statement.order_by(_u.c.rank if forward else _u.c.rank.desc()).limit(1)
    with project.store.reading() as connection:
        ids = connection.execute(statement).scalars().all()
        found = _read(project, connection, ids, reviewer)
    return found[0] if found else None


def _read(
    project: Project, connection: Connection, ids: Sequence[int], reviewer: Reviewer | None
) -> list[Unit]:
    names = names_of(connection)
    known = {source.id: source for source in read_sources(project, connection)}
    found: dict[int, Unit] = {}
    for first in range(0, len(ids), _BATCH):
        some = list(ids[first : first + _BATCH])
        rows = connection.execute(_statement().where(_u.c.id.in_(some))).all()
        said = _said(connection, rows)
        for row in rows:
            found[row.id] = _unit(row, known[row.source_id], said.get(row.id, []), names, reviewer)
    return [found[each] for each in ids if each in found]


def _statement() -> Any:  # noqa: ANN401 - a select of many columns
    draw, part, thing = schema.samples, schema.strata, schema.objects
    return (
        select(_u, draw.c.source_id, draw.c.block_px, part.c.class_id, thing.c.geom)
        .join(draw, draw.c.id == _u.c.sample_id)
        .join(part, (part.c.sample_id == _u.c.sample_id) & (part.c.stratum == _u.c.stratum))
        .outerjoin(thing, thing.c.id == _u.c.object_id)
    )


def _said(connection: Connection, rows: Sequence[Any]) -> dict[int, list[Any]]:
    """Log lines about units, or about the objects that they are, by unit."""
    log = schema.entries
    by_object = {row.object_id: row.id for row in rows if row.object_id is not None}
    points = [row.id for row in rows if row.object_id is None]
    about = log.c.object_id.in_(by_object) | log.c.unit_id.in_(points)
    said: dict[int, list[Any]] = {}
    for line in connection.execute(select(log).where(about).order_by(log.c.id)):
        unit_id = by_object[line.object_id] if line.unit_id is None else line.unit_id
        said.setdefault(unit_id, []).append(line)
    return said


def _unit(
    row: Any,  # noqa: ANN401 - a row
    source: Source,
    said: Sequence[Any],
    names: dict[int, str],
    reviewer: Reviewer | None,
) -> Unit:
    kept = standing(said)
    opinions = opinions_by(kept, names)
    outline = from_blob(row.geom) if row.geom is not None else _cell(source, row)
    return Unit(
        row.id,
        row.sample_id,
        row.source_id,
        row.rank,
        row.stratum,
        row.class_id,
        row.object_id,
        outline,
        said[-1].id if said else 0,
        Opinion() if reviewer is None else opinions.get(reviewer.name, Opinion()),
        opinions,
        opinion(kept, names),
    )


def _cell(source: Source, row: Any) -> Outline:  # noqa: ANN401 - a row
    """Outline of a pixel or block, cut at the map's edge."""
    transform = source.transform or Affine.identity()
    bottom = min(row.row + row.block_px, source.height or row.row + row.block_px)
    right = min(row.col + row.block_px, source.width or row.col + row.block_px)
    corners = [(row.col, row.row), (right, row.row), (right, bottom), (row.col, bottom)]
    return Polygon([transform @ corner for corner in corners])
