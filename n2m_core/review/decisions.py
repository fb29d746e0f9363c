"""What reviewers say: an append-only log, and what it says together.

An entry is never changed. Taking one back is an entry of its own, so the log tells who said what,
when, and what was thought better of. The last entry that stands has the word, thing by thing:
verdict, class, comment and outline each. A reviewer's own opinion counts that reviewer's entries
alone; the current state those of all.

Nothing said is lost when two people work at once. Who wants to be told before speaking over someone
hands back the `version` of the object as it was shown: if anybody else has said something about it
since, the decision is refused and the person looks again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from shapely.geometry.base import BaseGeometry
from sqlalchemy import ColumnElement, Connection, Row, func, select

from n2m_core.errors import ParameterError, ReviewConflictError
from n2m_core.review import schema
from n2m_core.review.geometry import check_outline, from_blob, measure, to_blob
from n2m_core.review.project import Project, now, read_sources
from n2m_core.review.records import (
    Entry,
    Opinion,
    ReviewClass,
    Reviewer,
    ReviewObject,
    Source,
    Verdict,
)

MAX_COMMENT = 4000
_BATCH = 500
"""Objects asked for at once; SQLite takes a limited number of values in a statement."""


def decide(
    project: Project,
    object_id: int,
    reviewer: Reviewer,
    *,
    verdict: Verdict | None = None,
    class_id: int | None = None,
    comment: str | None = None,
    outline: BaseGeometry | None = None,
    seconds: float | None = None,
    seen: int | None = None,
) -> Entry:
    """Say something about an object; what is left out stays as it was.

    Args:
        project: where.
        object_id: which object.
        reviewer: who, from `join`.
        verdict: right, wrong or unsure, of the map's object.
        class_id: the class that it should have.
        comment: free text; "" takes an earlier one back.
        outline: the outline that it should have, in the map's coordinates; mended where its lines
            cross.
        seconds: how long the person looked.
        seen: `version` of the object as the person saw it; None to say it whatever others said.

    Returns:
        The entry, which is on the disk.

    Raises:
        ReviewConflictError: somebody has said something about the object since `seen`.
        ParameterError: nothing was said, or there is no such object or class.
        LabelError: the outline encloses no area.
        ReviewError: the project can't be written.
    """
    _check_words(verdict, comment, seconds)
    if (verdict, class_id, comment, outline) == (None, None, None, None):
        raise ParameterError("Nothing was decided; give a verdict, class, comment or outline.")
    with project.store.writing() as connection:
        source = _source_of(project, connection, object_id)
        check_seen(connection, schema.entries.c.object_id == object_id, seen)
        if class_id is not None:
            check_class(source, class_id)
        values: dict[str, Any] = {
            "object_id": object_id,
            "kind": "decide",
            "verdict": verdict,
            "class_id": class_id,
            "comment": comment,
            "seconds": seconds,
            **_drawn(source, connection, outline),
        }
        return append(connection, reviewer, values)


def add_object(
    project: Project,
    source_id: int,
    reviewer: Reviewer,
    outline: BaseGeometry,
    class_id: int,
    comment: str = "",
) -> ReviewObject:
    """Add an object that the map missed.

    Args:
        project: where.
        source_id: the map that missed it.
        reviewer: who drew it.
        outline: in the map's coordinates; mended where its lines cross.
        class_id: its class.
        comment: free text.

    Raises:
        ParameterError: no such map or class.
        LabelError: the outline encloses no area.
        ReviewError: the project can't be written.
    """
    _check_words(None, comment, None)
    shape = check_outline(outline)
    with project.store.writing() as connection:
        source = _find(read_sources(project, connection), source_id)
        check_class(source, class_id)
        area_m2, area_px = measure(shape, source.crs, source.transform, source.resolution_m)
        west, south, east, north = shape.bounds
        last = select(func.coalesce(func.max(schema.objects.c.place), 0)).scalar_subquery()
        object_id = connection.execute(
            schema.objects.insert()
            .values(
                source_id=source_id,
                origin="drawn",
                class_id=class_id,
                area_m2=area_m2,
                area_px=area_px,
                geom=to_blob(shape, _srs_of(connection, source_id)),
                min_x=west,
                min_y=south,
                max_x=east,
                max_y=north,
                place=last,
                shuffle=2.0,
            )
            .returning(schema.objects.c.id)
        ).scalar_one()
        append(
            connection,
            reviewer,
            {"object_id": object_id, "kind": "add", "verdict": "right", "comment": comment or None},
        )
        return read_objects(connection, [object_id], reviewer)[0]


def undo(project: Project, reviewer: Reviewer) -> Entry | None:
    """Take back the last thing that a reviewer said and that still stands.

    Returns:
        The entry that was taken back; None when nothing is left. Its `object_id` (or `unit_id`)
        says where to return to; an object that the reviewer had drawn is gone.

    Raises:
        ReviewError: the project can't be written.
    """
    with project.store.writing() as connection:
        last = connection.execute(
            select(schema.live_entries)
            .where(schema.live_entries.c.reviewer_id == reviewer.id)
            .order_by(schema.live_entries.c.id.desc())
            .limit(1)
        ).first()
        if last is None:
            return None
        about = {"object_id": last.object_id, "unit_id": last.unit_id}
        values = {**about, "kind": "undo", "undoes": last.id}
        append(connection, reviewer, values)
        return _entry(last, {reviewer.id: reviewer.name}, frozenset({last.id}))


def append(connection: Connection, reviewer: Reviewer, values: Mapping[str, Any]) -> Entry:
    """Write one line to the log, within a transaction."""
    statement = schema.entries.insert().values(reviewer_id=reviewer.id, at=now(), **values)
    row = connection.execute(statement.returning(*schema.entries.c)).one()
    return _entry(row, {reviewer.id: reviewer.name}, frozenset())


def history(project: Project, object_id: int | None = None) -> tuple[Entry, ...]:
    """Read the log, oldest first: of one object, or the whole one."""
    table = schema.entries
    with project.store.reading() as connection:
        statement = select(table).order_by(table.c.id)
        if object_id is not None:
            statement = statement.where(table.c.object_id == object_id)
        rows = connection.execute(statement).all()
        names = names_of(connection)
    undone = frozenset(row.undoes for row in rows if row.undoes is not None)
    return tuple(_entry(row, names, undone) for row in rows)


def read_objects(
    connection: Connection, ids: Sequence[int], reviewer: Reviewer | None
) -> list[ReviewObject]:
    """Read objects with everything that was said of them, in the order of their numbers given."""
    names = names_of(connection)
    found: dict[int, ReviewObject] = {}
    for first in range(0, len(ids), _BATCH):
        some = list(ids[first : first + _BATCH])
        table, log = schema.objects, schema.entries
        said: dict[int, list[Row[Any]]] = {}
        entries = select(log).where(log.c.object_id.in_(some)).order_by(log.c.id)
        for row in connection.execute(entries):
            said.setdefault(row.object_id, []).append(row)
        for row in connection.execute(select(table).where(table.c.id.in_(some))):
            found[row.id] = _object(row, said.get(row.id, []), names, reviewer)
    return [found[each] for each in ids if each in found]


def opinion(rows: Iterable[Any], names: Mapping[int, str]) -> Opinion:
    """Fold log lines that stand, oldest first, into the last word on each thing."""
    known: dict[str, Any] = {}
    for row in rows:
        known["reviewer"], known["at"] = names[row.reviewer_id], row.at
        for key in ("verdict", "class_id", "comment"):
            if getattr(row, key) is not None:
                known[key] = getattr(row, key)
        corrects = row.geom is not None or row.class_id is not None
        if corrects or row.verdict is not None:
            known["is_corrected"] = corrects
        if row.geom is not None:
            known["outline"] = from_blob(row.geom)
            known["area_m2"], known["area_px"] = row.area_m2, row.area_px
    return Opinion(**known)


def check_class(source: Source, class_id: int) -> ReviewClass:
    """Find a class of a map.

    Raises:
        ParameterError: the map has none of that index.
    """
    for entry in source.classes:
        if entry.id == class_id:
            return entry
    known = ", ".join(f"{entry.id} {entry.name}" for entry in source.classes)
    raise ParameterError(f"{source.name} has no class {class_id}; choose one of {known}.")


def standing(rows: Sequence[Any]) -> list[Any]:
    """Log lines of one thing that nobody has taken back, oldest first."""
    undone = {row.undoes for row in rows}
    return [row for row in rows if row.kind != "undo" and row.id not in undone]


def opinions_by(rows: Sequence[Any], names: Mapping[int, str]) -> dict[str, Opinion]:
    """What each reviewer says, from log lines that stand; people with nothing left are absent."""
    return {
        names[person]: opinion([row for row in rows if row.reviewer_id == person], names)
        for person in dict.fromkeys(row.reviewer_id for row in rows)
    }


def _object(
    row: Row[Any], said: Sequence[Row[Any]], names: Mapping[int, str], reviewer: Reviewer | None
) -> ReviewObject:
    kept = standing(said)
    opinions = opinions_by(kept, names)
    return ReviewObject(
        row.id,
        row.source_id,
        row.origin,
        row.class_id,
        row.area_m2,
        row.area_px,
        row.confidence,
        row.decision_time,
        from_blob(row.geom),
        said[-1].id if said else 0,
        Opinion() if reviewer is None else opinions.get(reviewer.name, Opinion()),
        opinions,
        opinion(kept, names),
    )


def _entry(row: Any, names: Mapping[int, str], undone: frozenset[int]) -> Entry:  # noqa: ANN401
    return Entry(
        row.id,
        row.object_id,
        names[row.reviewer_id],
        row.at,
        row.kind,
        row.verdict,
        row.class_id,
        row.comment,
        None if row.geom is None else from_blob(row.geom),
        row.area_m2,
        row.area_px,
        row.seconds,
        row.undoes,
        row.id in undone,
        row.unit_id,
    )


def names_of(connection: Connection) -> dict[int, str]:
    """Names of the reviewers, by number."""
    table = schema.reviewers
    return {row.id: row.name for row in connection.execute(select(table.c.id, table.c.name))}


def _source_of(project: Project, connection: Connection, object_id: int) -> Source:
    table = schema.live_objects
    found = connection.execute(
        select(table.c.source_id).where(table.c.id == object_id)
    ).scalar_one_or_none()
    if found is None:
        raise ParameterError(f"The project has no object {object_id}; it may have been undone.")
    return _find(read_sources(project, connection), found)


def _find(known: Sequence[Source], source_id: int) -> Source:
    for source in known:
        if source.id == source_id:
            return source
    raise ParameterError(f"The project has no map {source_id}; see `n2m review status`.")


def _srs_of(connection: Connection, source_id: int) -> int:
    table = schema.sources
    statement = select(table.c.srs_id).where(table.c.id == source_id)
    return int(connection.execute(statement).scalar_one())


def _drawn(source: Source, connection: Connection, outline: BaseGeometry | None) -> dict[str, Any]:
    """Columns of a new outline; none without one."""
    if outline is None:
        return {}
    shape = check_outline(outline)
    area_m2, area_px = measure(shape, source.crs, source.transform, source.resolution_m)
    return {
        "geom": to_blob(shape, _srs_of(connection, source.id)),
        "area_m2": area_m2,
        "area_px": area_px,
    }


def check_seen(connection: Connection, about: ColumnElement[bool], seen: int | None) -> None:
    """Refuse to speak over somebody.

    Raises:
        ReviewConflictError: there is an entry newer than `seen`.
    """
    if seen is None:
        return
    log, people = schema.entries, schema.reviewers
    newer = connection.execute(
        select(people.c.name)
        .join_from(log, people, log.c.reviewer_id == people.c.id)
        .where(about, log.c.id > seen)
        .order_by(log.c.id.desc())
    ).first()
    if newer is not None:
        raise ReviewConflictError(
            f"{newer.name} has said something here since you opened it; look at it again, then "
            "decide."
        )


def _check_words(verdict: str | None, comment: str | None, seconds: float | None) -> None:
    if verdict is not None and verdict not in get_args(Verdict):
        raise ParameterError(f"Verdict {verdict!r} is unknown; choose right, wrong or unsure.")
    if comment is not None and len(comment) > MAX_COMMENT:
        raise ParameterError(
            f"The comment has {len(comment)} letters and {MAX_COMMENT} fit; shorten it."
        )
    if seconds is not None and not 0 <= seconds < float("inf"):
        raise ParameterError(f"{seconds} seconds of looking; give a number from 0 on.")
