"""The database file of a review project: opened, checked, brought up to date, and kept whole.

Write-ahead logging lets people read while one writes; a writer takes the lock at the start of its
transaction and waits for others up to `BUSY_S`, so two writers never meet half way. With
synchronous=FULL a transaction is on the disk when it returns: what was shown as saved is there
after a crash or a power cut.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import QueuePool

from n2m_core.errors import ReviewError
from n2m_core.review import schema

FILE = "review.gpkg"
BACKUPS = "backups"
SIDECARS = ("-wal", "-shm", "-journal")
"""Files that SQLite keeps beside a database."""
BUSY_S = 30.0
_BEGIN = "n2m_begin"
_REASONS = {
    "SQLITE_FULL": "the disk is full; free some space and try again",
    "SQLITE_IOERR": "the disk is full or failing; free some space and try again",
    "SQLITE_READONLY": "it can't be written to; give it write permission or copy it elsewhere",
    "SQLITE_CANTOPEN": "the folder can't be written to; give write permission or copy it elsewhere",
    "SQLITE_PERM": "it can't be written to; give it write permission or copy it elsewhere",
    "SQLITE_BUSY": f"somebody else has kept it locked for {BUSY_S:.0f} s; try again",
    "SQLITE_LOCKED": f"somebody else has kept it locked for {BUSY_S:.0f} s; try again",
    "SQLITE_CORRUPT": "it is damaged; go back to a backup with `n2m review restore`",
    "SQLITE_NOTADB": "it is damaged; go back to a backup with `n2m review restore`",
}


class Store:
    """One database file and its pool of connections; safe to share between threads."""

    def __init__(self, path: Path) -> None:
        """Prepare; nothing is opened before it is used."""
        self.path = path
        self._engine = _make_engine(path)
        self._file: tuple[int, int] | None = None

    @property
    def engine(self) -> Engine:
        """The connections, for what no method here does."""
        return self._engine

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Read one consistent state.

        Raises:
            ReviewError: the file can't be read.
        """
        self._follow()
        with _told(self.path), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Write all or nothing; what was written is on the disk when the block ends.

        Raises:
            ReviewError: the file can't be written; it is as it was.
        """
        self._follow()
        with _told(self.path), self._engine.connect() as plain:
            connection = plain.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
            with connection.begin():
                yield connection

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()

    def _follow(self) -> None:
        """Go over to the file that lies there now, so that nothing is written to one that has gone.

        Somebody may have gone back to a backup while it was open.

        Raises:
            ReviewError: there is no file any more, or the other one is no good.
        """
        try:
            found = self.path.stat()
        except OSError as e:
            raise ReviewError(
                f"{self.path} is not there any more ({e.strerror}); put it back."
            ) from e
        now = (found.st_dev, found.st_ino)
        former, self._file = self._file, now
        if former not in (None, now):
            self._engine.dispose()
            self.check()

    def create(self, title: str, created_at: str) -> None:
        """Make the tables in a new file; whole or not at all."""
        self._log_ahead()
        with self.writing() as connection:
            connection.exec_driver_sql(f"PRAGMA application_id = {schema.APPLICATION_ID}")
            connection.exec_driver_sql(f"PRAGMA user_version = {schema.USER_VERSION}")
            _apply(connection, 0)
            connection.execute(
                schema.project.insert().values(
                    id=1,
                    schema_version=schema.SCHEMA_VERSION,
                    title=title,
                    created_at=created_at,
                )
            )

    def check(self) -> None:
        """Check the file and bring an older one up to date, after a backup of it.

        Raises:
            ReviewError: damaged, of a newer version, not writable, or no review project.
        """
        with self.reading() as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
            if found != "ok":
                raise ReviewError(f"{self.path}: {_REASONS['SQLITE_CORRUPT']}.")
            tables = connection.exec_driver_sql("SELECT name FROM sqlite_master").scalars().all()
            if "project" not in tables:
                raise ReviewError(f"{self.path} is no review project; choose another folder.")
            version = _version(connection)
        if version > schema.SCHEMA_VERSION:
            raise ReviewError(
                f"{self.path} was written by a newer version of this program (format {version}, "
                f"this one knows {schema.SCHEMA_VERSION}); update the program."
            )
        self._log_ahead()
        if version < schema.SCHEMA_VERSION:
            self._migrate(version)

    def _log_ahead(self) -> None:
        """Switch to write-ahead logging, which the file remembers; a backup comes without."""
        with _told(self.path), closing(self._engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA journal_mode = WAL")

    def _migrate(self, version: int) -> None:
        """Take the steps from a version to ours, in one transaction."""
        self.backup(self.path.parent / BACKUPS / f"before-format-{schema.SCHEMA_VERSION}.gpkg")
        with self.writing() as connection:
            # Another process may have done it while this one waited for the lock.
            _apply(connection, _version(connection))
            connection.execute(schema.project.update().values(schema_version=schema.SCHEMA_VERSION))

    def backup(self, target: Path) -> int:
        """Copy the whole database, while others go on working, to one file in one step.

        Args:
            target: the file; an older one is replaced at the end.

        Returns:
            Bytes written.

        Raises:
            ReviewError: the target can't be written; what was there before stays.
        """
        part: Path | None = None
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
            os.close(handle)
            part = Path(name)
            self._copy_to(part)
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.chmod(0o644)
            part.replace(target)
        except OSError as e:
            raise ReviewError(
                f"{target} can't be written ({e.strerror}); choose another place."
            ) from e
        finally:
            if part is not None:
                for left in (part, *(Path(f"{part}{end}") for end in SIDECARS)):
                    left.unlink(missing_ok=True)
        return target.stat().st_size

    def _copy_to(self, part: Path) -> None:
        try:
            with (
                closing(_connect(self.path)) as own,
                closing(sqlite3.connect(part)) as copy,
            ):
                own.backup(copy)
                # The copy is one file: no write-ahead log beside it that could be forgotten.
                copy.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.Error as e:
            raise ReviewError(_sentence(part, e)) from e


def _make_engine(path: Path) -> Engine:
    engine = create_engine(
        "sqlite+pysqlite://",
        creator=lambda: _connect(path),
        poolclass=QueuePool,
        pool_size=4,
        max_overflow=28,
    )
    event.listen(engine, "begin", _begin)
    return engine


def _connect(path: Path) -> sqlite3.Connection:
    """Open an existing file; `mode=rw` makes none in the place of one that has gone."""
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _begin(connection: Connection) -> None:
    """Begin as the transaction was asked for; pysqlite itself begins too late."""
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))


def _apply(connection: Connection, version: int) -> None:
    for step in schema.MIGRATIONS[version:]:
        for statement in step:
            connection.exec_driver_sql(statement)


def _version(connection: Connection) -> int:
    return int(connection.execute(text("SELECT schema_version FROM project")).scalar_one())


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say in one sentence what the database complains of."""
    try:
        yield
    except DBAPIError as e:
        raise ReviewError(_sentence(path, e.orig)) from e
    except PoolTimeoutError as e:
        raise ReviewError(f"{path}: too many people ask at once; try again.") from e
    except sqlite3.Error as e:
        raise ReviewError(_sentence(path, e)) from e


def _sentence(path: Path, error: Any) -> str:  # noqa: ANN401 - what a driver raises
    """Put an error of SQLite into words."""
    name = str(getattr(error, "sqlite_errorname", ""))
    for code, reason in _REASONS.items():
        if name.startswith(code):
            return f"{path}: {reason}. Nothing that was saved is lost."
    return f"{path} can't be used ({error}). Nothing that was saved is lost."
