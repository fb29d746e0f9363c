"""Stepping through objects, and how far everybody is.

| order | first comes |
|---|---|
| doubt | the object of least confidence; those without one last |
| size | the largest |
| place | the next along a Hilbert curve, so that neighbours follow each other |
| random | a stratified draw: any beginning has classes, sizes and confidences in their shares |
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from datetime import datetime
from typing import Any, get_args

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select

from n2m_core.errors import ParameterError
from n2m_core.review import schema
from n2m_core.review.decisions import read_objects
from n2m_core.review.project import Project
from n2m_core.review.records import (
    Order,
    Progress,
    Reviewer,
    ReviewerProgress,
    ReviewObject,
    Scope,
)

PACE_OF = 20
PAUSE_S = 300.0
"""A gap between two judgements longer than this is a break, not slow work."""
_o, _e = schema.live_objects, schema.live_entries
_KEYS: dict[str, ColumnElement[Any]] = {
    "doubt": func.coalesce(_o.c.confidence, 2.0),
    "size": -func.coalesce(_o.c.area_m2, _o.c.area_px, 0.0),
    "place": _o.c.source_id * (1 << 34) + _o.c.place,
    "random": _o.c.shuffle,
}


def next_object(
    project: Project,
    reviewer: Reviewer,
    after: int | None = None,
    *,
    order: Order = "doubt",
    scope: Scope = "open",
    source_id: int | None = None,
) -> ReviewObject | None:
    """Find the object that comes next.

    Args:
        project: where.
        reviewer: who looks.
        after: the object just seen; None for the first of the order. It may itself be out of scope,
            as it is once judged.
        order: see the table above.
        scope: "open" leaves out what anybody has judged, "mine" what this reviewer has.
        source_id: of one map alone.

    Returns:
        The object; None at the end of the order.

    Raises:
        ParameterError: an unknown order or scope.
    """
    return _step(project, reviewer, after, order, scope, source_id, forward=True)


def previous_object(
    project: Project,
    reviewer: Reviewer,
    before: int,
    *,
    order: Order = "doubt",
    scope: Scope = "all",
    source_id: int | None = None,
) -> ReviewObject | None:
    """Find the object that comes before one in an order; judged ones too unless told otherwise."""
    return _step(project, reviewer, before, order, scope, source_id, forward=False)


def get_object(project: Project, object_id: int, reviewer: Reviewer | None = None) -> ReviewObject:
    """One object, as it stands now.

    Raises:
        ParameterError: the project has none of that number, or it was undone.
    """
    with project.store.reading() as connection:
        is_there = connection.execute(select(_o.c.id).where(_o.c.id == object_id)).first()
        if is_there is None:
            raise ParameterError(f"The project has no object {object_id}; it may have been undone.")
        return read_objects(connection, [object_id], reviewer)[0]


def all_objects(
    project: Project, reviewer: Reviewer | None = None, *, source_id: int | None = None
) -> list[ReviewObject]:
    """Every object as it stands now, by number."""
    statement = select(_o.c.id).where(*_of_source(source_id)).order_by(_o.c.id)
    with project.store.reading() as connection:
        return read_objects(connection, connection.execute(statement).scalars().all(), reviewer)


def objects_in(
    project: Project,
    source_id: int,
    bounds: tuple[float, float, float, float],
    reviewer: Reviewer | None = None,
    *,
    limit: int = 500,
) -> list[ReviewObject]:
    """Objects of a map whose box meets a rectangle, to draw around the one in the middle.

    Args:
        project: where.
        source_id: the map.
        bounds: least x, least y, greatest x, greatest y in the map's coordinates.
        reviewer: who looks.
        limit: at most so many, the largest first.
    """
    west, south, east, north = bounds
    statement = (
        select(_o.c.id)
        .where(_o.c.source_id == source_id, _o.c.min_x <= east, _o.c.max_x >= west)
        .where(_o.c.min_y <= north, _o.c.max_y >= south)
        .order_by(_KEYS["size"], _o.c.id)
        .limit(limit)
    )
    with project.store.reading() as connection:
        return read_objects(connection, connection.execute(statement).scalars().all(), reviewer)


def progress(project: Project) -> Progress:
    """Count how far the project and each reviewer is."""
    with project.store.reading() as connection:
        total = connection.execute(select(func.count()).select_from(_o)).scalar_one()
        judged = _judgements(connection)
        people = connection.execute(select(schema.reviewers).order_by(schema.reviewers.c.id)).all()
        done = tuple(_of_reviewer(connection, person, judged) for person in people)
    verdicts: dict[int, set[str]] = {}
    for (object_id, _), verdict in judged.items():
        verdicts.setdefault(object_id, set()).add(verdict)
    disputed = sum(len(each) > 1 for each in verdicts.values())
    return Progress(total, len(verdicts), disputed, done)


def _judgements(connection: Connection) -> dict[tuple[int, int], str]:
    """The verdict that stands, by object and reviewer; later ones replace earlier ones."""
    rows = connection.execute(
        select(_e.c.object_id, _e.c.reviewer_id, _e.c.verdict)
        .join_from(_e, _o, _e.c.object_id == _o.c.id)
        .where(_e.c.verdict.is_not(None))
        .order_by(_e.c.id)
    )
    return {(row.object_id, row.reviewer_id): row.verdict for row in rows}


def _of_reviewer(
    connection: Connection,
    person: Any,  # noqa: ANN401 - a row
    judged: dict[tuple[int, int], str],
) -> ReviewerProgress:
    own = [verdict for (_, by), verdict in judged.items() if by == person.id]
    mine = _e.c.reviewer_id == person.id
    drawn, added = (
        connection.execute(select(func.count(_e.c.object_id.distinct())).where(mine, what)).scalar()
        for what in (_e.c.geom.is_not(None), _e.c.kind == "add")
    )
    recent = select(_e.c.at).where(mine, _e.c.verdict.is_not(None)).order_by(_e.c.id.desc())
    times = list(connection.execute(recent.limit(PACE_OF)).scalars())
    log = schema.entries
    last = connection.execute(
        select(func.max(log.c.at)).where(log.c.reviewer_id == person.id)
    ).scalar()
    return ReviewerProgress(
        person.name,
        len(own),
        own.count("right"),
        own.count("wrong"),
        own.count("unsure"),
        drawn or 0,
        added or 0,
        _pace(times),
        last or "",
    )


def _pace(times: Sequence[str]) -> float | None:
    """Judgements a minute from ISO times, newest first."""
    moments = [datetime.fromisoformat(each) for each in times]
    gaps = [(late - early).total_seconds() for late, early in itertools.pairwise(moments)]
    worked = [gap for gap in gaps if 0 <= gap <= PAUSE_S]
    if not worked:
        return None
    return 60 / max(statistics.fmean(worked), 0.001)


def _step(
    project: Project,
    reviewer: Reviewer,
    at: int | None,
    order: str,
    scope: str,
    source_id: int | None,
    *,
    forward: bool,
) -> ReviewObject | None:
    if order not in _KEYS:
        raise ParameterError(f"Order {order!r} is unknown; choose {', '.join(_KEYS)}.")
    if scope not in get_args(Scope):
        raise ParameterError(f"Scope {scope!r} is unknown; choose {', '.join(get_args(Scope))}.")
    key = _KEYS[order]
    wanted = [*_in_scope(scope, reviewer), *_of_source(source_id)]
    direction = (key, _o.c.id) if forward else (key.desc(), _o.c.id.desc())
    with project.store.reading() as connection:
        if at is not None:
            wanted.append(_beyond(connection, key, at, forward=forward))
        statement = select(_o.c.id).where(*wanted).order_by(*direction).limit(1)
        found = connection.execute(statement).scalar_one_or_none()
        return None if found is None else read_objects(connection, [found], reviewer)[0]


def _beyond(
    connection: Connection, key: ColumnElement[Any], at: int, *, forward: bool
) -> ColumnElement[bool]:
    """What comes after (or before) an object in an order; ties go by number."""
    known = select(key).select_from(_o).where(_o.c.id == at)
    here = connection.execute(known).scalar_one_or_none()
    if here is None:
        # The object was drawn and undone: begin again.
        return _o.c.id > 0
    if forward:
        return or_(key > here, and_(key == here, _o.c.id > at))
    return or_(key < here, and_(key == here, _o.c.id < at))


def _in_scope(scope: str, reviewer: Reviewer) -> list[ColumnElement[bool]]:
    if scope == "all":
        return []
    judged = exists().where(_e.c.object_id == _o.c.id, _e.c.verdict.is_not(None))
    return [~(judged.where(_e.c.reviewer_id == reviewer.id) if scope == "mine" else judged)]


def _of_source(source_id: int | None) -> list[ColumnElement[bool]]:
    return [] if source_id is None else [_o.c.source_id == source_id]
