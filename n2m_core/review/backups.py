"""Copies of a project's database, and the way back to one.

A copied database must not simply be put in the place of another: SQLite would add what the log
beside the old one (`review.gpkg-wal`) still holds. `restore` moves both away first.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from n2m_core.errors import ReviewError
from n2m_core.review.project import Project, now, open_project
from n2m_core.review.store import BACKUPS, FILE, SIDECARS, Store


def backup(project: Project, path: Path | None = None) -> Path:
    """Copy the database to one file while people go on working; pictures are not in it.

    Args:
        project: of which.
        path: the file; one named by the time in the project's backups/ when None.

    Returns:
        The file.

    Raises:
        ReviewError: it can't be written, or is the project's own file.
    """
    target = project.folder / BACKUPS / f"{_stamp()}.gpkg" if path is None else Path(path)
    if target.resolve() == project.store.path.resolve():
        raise ReviewError(f"{target} is the project itself; give another name.")
    project.store.backup(target)
    return target


def restore(folder: Path, path: Path) -> Project:
    """Go back to a backup; what was there is moved to backups/, damaged or not.

    Whoever has the project open goes on with the backup.

    Args:
        folder: of the project.
        path: the backup; it stays as it is.

    Raises:
        ReviewError: the backup is no review project, damaged or newer, or the folder can't be
            written to. The project is as it was.
    """
    folder, path = Path(folder), Path(path)
    final = folder / FILE
    part = folder / f".{FILE}.restored"
    if not path.is_file() or (final.exists() and path.samefile(final)):
        raise ReviewError(f"{path} is no backup; give a file that `n2m review backup` wrote.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, part)
        store = Store(part)
        try:
            store.check()
        finally:
            store.close()
        _move_away(final)
        part.replace(final)
    except OSError as e:
        raise ReviewError(f"{folder} can't be written to ({e.strerror}).") from e
    finally:
        for left in (part, *(Path(f"{part}{end}") for end in SIDECARS)):
            left.unlink(missing_ok=True)
    return open_project(folder)


def _move_away(final: Path) -> None:
    """Put a database and the log beside it out of the way, together."""
    aside = final.parent / BACKUPS / f"replaced-{_stamp()}.gpkg"
    aside.parent.mkdir(exist_ok=True)
    for end in (*SIDECARS, ""):
        file = Path(f"{final}{end}")
        if file.exists():
            file.replace(f"{aside}{end}")


def _stamp() -> str:
    """The time as a part of a file name."""
    return now()[:-6].replace(":", "").replace("-", "").replace(".", "") + "Z"
