"""A review project: a folder with one database file and copies of the pictures to look at.

```
FOLDER/review.gpkg        everything that was found and said; a GeoPackage, see `schema`
FOLDER/pictures/ID/       image.tif, before.tif, map.tif of a map that was sent to review
FOLDER/backups/           what `n2m review backup` and a change of format left
```

Any number of people and processes may have the same project open.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from affine import Affine
from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.sqlite import insert

from n2m_core.errors import N2MError, ParameterError, ReviewError
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import read_image, read_labels
from n2m_core.review import schema
from n2m_core.review.records import ReviewClass, Reviewer, Source
from n2m_core.review.store import FILE, Store

PICTURES = "pictures"
MAX_NAME = 80
Role = Literal["image", "before", "map"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Project:
    """An open review project; safe to share between threads.

    Attributes:
        folder: where it lies.
        store: its database.
        title: what the person called it.
        created_at: when it was made.
    """

    folder: Path
    store: Store
    title: str
    created_at: str

    def close(self) -> None:
        """Let go of the database file."""
        self.store.close()


def now() -> str:
    """The time in UTC, ISO 8601 to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def is_project(folder: Path) -> bool:
    """Whether a folder holds a review project."""
    return (folder / FILE).is_file()


def create_project(folder: Path, title: str = "") -> Project:
    """Make a review project in a folder, which is made when missing.

    Args:
        folder: where; other files in it stay as they are.
        title: what to call it; the folder's name when empty.

    Raises:
        ReviewError: there is a project already, or the folder can't be written to.
    """
    folder = Path(folder)
    final = folder / FILE
    if final.exists():
        raise ReviewError(f"{folder} holds a review project already; open it.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{FILE}.", dir=folder)
        os.close(handle)
    except OSError as e:
        raise ReviewError(
            f"{folder} can't be written to ({e.strerror}); choose another folder."
        ) from e
    part = Path(name)
    try:
        store = Store(part)
        store.create(title.strip() or folder.resolve().name, now())
        store.close()
        part.chmod(0o644)
        _place(part, final)
    except OSError as e:
        raise ReviewError(f"{final} can't be written ({e.strerror}).") from e
    finally:
        part.unlink(missing_ok=True)
    return open_project(folder)


def _place(part: Path, final: Path) -> None:
    """Give a new file its name, never over another one."""
    try:
        final.hardlink_to(part)
    except FileExistsError as e:
        raise ReviewError(f"{final.parent} holds a review project already; open it.") from e
    except OSError:
        # Not every file system has hard links.
        part.rename(final)


def open_project(folder: Path) -> Project:
    """Open a review project, check its file, and bring an older one up to date.

    Raises:
        ReviewError: the folder holds none, or it is damaged, newer, or can't be written to.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ReviewError(f"There is no folder {folder}; make a review project first.")
    if not is_project(folder):
        raise ReviewError(
            f"{folder} is no review project: it has no {FILE}. Make one there, or choose another "
            "folder."
        )
    store = Store(folder / FILE)
    try:
        store.check()
        with store.reading() as connection:
            row = connection.execute(select(schema.project)).one()
    except ReviewError:
        store.close()
        raise
    return Project(folder, store, row.title, row.created_at)


def open_or_create(folder: Path, title: str = "") -> Project:
    """Open the project of a folder, or make it on first use."""
    return open_project(folder) if is_project(Path(folder)) else create_project(folder, title)


def join(project: Project, name: str) -> Reviewer:
    """Sit down at the desk under a name; a new name joins, upper and lower case are alike.

    Raises:
        ParameterError: an empty name, or one that is too long.
        ReviewError: the project can't be written.
    """
    name = " ".join(name.split())
    if not 1 <= len(name) <= MAX_NAME:
        raise ParameterError(f"A reviewer's name has 1 to {MAX_NAME} letters; {len(name)} given.")
    table = schema.reviewers
    named = select(table).where(func.lower(table.c.name) == func.lower(name))
    with project.store.reading() as connection:
        row = connection.execute(named).first()
    if row is None:
        with project.store.writing() as connection:
            new = insert(table).values(name=name, joined_at=now())
            connection.execute(new.on_conflict_do_nothing())
            row = connection.execute(named).one()
    return Reviewer(row.id, row.name)


def reviewers(project: Project) -> tuple[Reviewer, ...]:
    """Everybody who has sat at the desk, in the order of joining."""
    with project.store.reading() as connection:
        rows = connection.execute(select(schema.reviewers).order_by(schema.reviewers.c.id)).all()
    return tuple(Reviewer(row.id, row.name) for row in rows)


def sources(project: Project) -> tuple[Source, ...]:
    """All maps of the project, in the order in which they came."""
    with project.store.reading() as connection:
        return read_sources(project, connection)


def read_sources(project: Project, connection: Connection) -> tuple[Source, ...]:
    """All maps, within a transaction."""
    kinds: dict[int, list[ReviewClass]] = {}
    order = (schema.classes.c.source_id, schema.classes.c.class_id)
    for row in connection.execute(select(schema.classes).order_by(*order)):
        entry = ReviewClass(row.class_id, row.name, row.color, bool(row.is_background))
        kinds.setdefault(row.source_id, []).append(entry)
    rows = connection.execute(select(schema.sources).order_by(schema.sources.c.id)).all()
    return tuple(_source(project, row._mapping, tuple(kinds.get(row.id, ()))) for row in rows)


def get_source(project: Project, source_id: int) -> Source:
    """One map.

    Raises:
        ParameterError: the project has none of that number.
    """
    found = [source for source in sources(project) if source.id == source_id]
    if not found:
        raise ParameterError(f"The project has no map {source_id}; see `n2m review status`.")
    return found[0]


def _source(project: Project, row: Mapping[Any, Any], kinds: tuple[ReviewClass, ...]) -> Source:
    def placed(name: str) -> Path | None:
        # A relative name lies in the project; joining leaves an absolute one as it is.
        return None if row[name] is None else project.folder / row[name]

    transform = None if row["transform"] is None else Affine(*json.loads(row["transform"]))
    return Source(
        row["id"],
        row["name"],
        row["kind"],
        row["crs"],
        transform,
        row["width"],
        row["height"],
        row["resolution_m"],
        kinds,
        placed("image"),
        placed("before"),
        placed("map"),
        json.loads(row["settings"]),
        tuple(json.loads(row["notes"])),
        row["added_at"],
    )


def picture(source: Source, role: Role = "image") -> GeoImage:
    """Read a picture of a map: what was mapped, its earlier date, or the class map itself.

    Raises:
        ReviewError: the map came without that picture, or its file is missing or damaged.
    """
    path: Path | None = getattr(source, role)
    if path is None:
        raise ReviewError(f"{source.name} was sent to review without its {role}.")
    if not path.is_file():
        raise ReviewError(
            f"The {role} of {source.name} is not at {path} any more; put the file back. What was "
            "decided is kept."
        )
    try:
        image = read_labels(path) if role == "map" else read_image(path)
    except N2MError as e:
        _log.debug("picture", exc_info=e)
        raise ReviewError(f"The {role} of {source.name} can't be shown: {e}") from e
    return image
