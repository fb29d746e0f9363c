"""Damaged, newer, full, read-only, killed, shared: a clear sentence, and nothing lost."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import geopandas as gpd
import pytest
from review_cases import map_result, reviewed, square
from sqlalchemy import event

from n2m_core.errors import ReviewError
from n2m_core.review import (
    add_map,
    all_objects,
    backup,
    create_project,
    decide,
    get_object,
    history,
    join,
    open_or_create,
    open_project,
    progress,
    restore,
    schema,
    sources,
)
from n2m_core.review.store import FILE

WRITER = """
import sys
from pathlib import Path
from n2m_core.review import decide, join, open_project

project = open_project(Path(sys.argv[1]))
reviewer = join(project, sys.argv[2])
for number in range(int(sys.argv[3])):
    entry = decide(project, 1 + number % 4, reviewer, verdict="wrong", comment=str(number))
    sys.stdout.write(f"{entry.id}\\n")
    sys.stdout.flush()
sys.stdin.read()
"""


def writer(folder: Path, name: str, count: int) -> subprocess.Popen[str]:
    """A process that decides, says what was acknowledged, and waits."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), name, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_acknowledged_decision_survives_a_kill(tmp_path: Path) -> None:
    project, _ = reviewed(tmp_path)
    project.close()
    with writer(tmp_path, "Ann", 5) as process:
        assert process.stdout is not None
        ids = [int(process.stdout.readline()) for _ in range(5)]
        process.send_signal(signal.SIGKILL)
        process.wait()
    log = history(open_project(tmp_path))
    assert [entry.id for entry in log] == ids
    assert [entry.comment for entry in log] == list("01234")


def test_two_processes_decide_at_once_and_lose_nothing(tmp_path: Path) -> None:
    project, _ = reviewed(tmp_path)
    count = 20
    with writer(tmp_path, "Ann", count) as ann, writer(tmp_path, "Ben", count) as ben:
        said = [process.communicate()[0].split() for process in (ann, ben)]
    log = history(project)
    assert sorted(int(each) for name in said for each in name) == [entry.id for entry in log]
    for name in ("Ann", "Ben"):
        own = [entry.comment for entry in log if entry.reviewer == name]
        assert own == [str(number) for number in range(count)]
    assert [each.judged for each in progress(project).reviewers] == [4, 4]


def test_threads_share_one_open_project(tmp_path: Path) -> None:
    project, _ = reviewed(tmp_path)

    def work(name: str) -> list[int]:
        person = join(project, name)
        return [decide(project, 1 + n % 4, person, verdict="right").id for n in range(8)]

    with ThreadPoolExecutor(6) as pool:
        said = list(pool.map(work, [f"person {number}" for number in range(6)]))
    assert sorted(each for own in said for each in own) == list(range(1, 49))
    assert [entry.id for entry in history(project)] == list(range(1, 49))


def test_damaged_file_is_told_and_left_alone(tmp_path: Path) -> None:
    project, _ = reviewed(tmp_path, 200)
    backup(project, tmp_path / "good.gpkg")
    project.close()
    path = tmp_path / FILE
    content = bytearray(path.read_bytes())
    for start in range(8192, len(content) - 2048, 4096):
        content[start : start + 2048] = b"\xa5" * 2048
    path.write_bytes(content)
    with pytest.raises(ReviewError, match="is damaged; go back to a backup"):
        open_project(tmp_path)
    assert path.read_bytes() == content
    assert len(all_objects(restore(tmp_path, tmp_path / "good.gpkg"))) == 200


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 300, b"SQLite format 3\x00"])
def test_file_that_is_no_project(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ReviewError, match=r"no review project|is damaged"):
        open_project(tmp_path)
    assert (tmp_path / FILE).read_bytes() == content


def test_folders_that_hold_no_project(tmp_path: Path) -> None:
    with pytest.raises(ReviewError, match="There is no folder"):
        open_project(tmp_path / "none")
    with pytest.raises(ReviewError, match=r"is no review project: it has no review\.gpkg"):
        open_project(tmp_path)
    create_project(tmp_path)
    with pytest.raises(ReviewError, match="holds a review project already"):
        create_project(tmp_path)
    assert open_or_create(tmp_path).title == tmp_path.name


def test_other_geopackage_is_no_project(tmp_path: Path) -> None:
    gpd.GeoDataFrame({"a": [1]}, geometry=[square(0, 0)], crs="EPSG:32633").to_file(tmp_path / FILE)
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(ReviewError, match="is no review project; choose another folder"):
        open_project(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before


def test_newer_project_is_refused_as_it_is(tmp_path: Path) -> None:
    project, _ = reviewed(tmp_path)
    with project.store.writing() as connection:
        connection.exec_driver_sql("UPDATE project SET schema_version = 99")
    project.close()
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(ReviewError, match=r"newer version of this program \(format 99"):
        open_project(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before


def old_project(folder: Path) -> None:
    """A file of the first format, as its program wrote it, with one decision."""
    with closing(sqlite3.connect(folder / FILE)) as raw:
        for statement in schema.MIGRATIONS[0]:
            raw.execute(statement)
        raw.execute("INSERT INTO project VALUES (1, 1, 'Old', '2026-01-01T00:00:00.000+00:00')")
        raw.execute("INSERT INTO reviewers VALUES (1, 'Ann', '2026-01-01T00:00:00.000+00:00')")
        raw.execute(
            "INSERT INTO sources VALUES (1, 'tile', 'polygons', NULL, -1, NULL, NULL, NULL, NULL, "
            "NULL, NULL, NULL, '{}', '[]', '2026-01-01T00:00:00.000+00:00')"
        )
        raw.execute("INSERT INTO classes VALUES (1, 1, 'building', '#ff0000', 0)")
        blob = b"GP\x00\x01" + (-1).to_bytes(4, "little", signed=True) + square(0, 0).wkb
        raw.execute(
            "INSERT INTO objects VALUES (1, 1, 'map', 1, NULL, 9, 0.5, NULL, ?, 0, 0, 1, 1, 0, 0)",
            (blob,),
        )
        raw.execute(
            "INSERT INTO entries VALUES (1, 1, 1, '2026-01-01T00:00:00.000+00:00', 'decide', "
            "'right', NULL, 'fine', NULL, NULL, NULL, NULL, NULL)"
        )
        raw.commit()


def test_older_project_is_brought_up_to_date_after_a_backup(tmp_path: Path) -> None:
    old_project(tmp_path)
    project = open_project(tmp_path)
    assert project.title == "Old"
    found = get_object(project, 1)
    assert (found.current.verdict, found.current.comment) == ("right", "fine")
    assert found.outline == square(0, 0)
    decide(project, 1, join(project, "ann"), verdict="wrong")
    assert progress(project).reviewers[0].wrong == 1
    with closing(sqlite3.connect(tmp_path / "backups" / "before-format-2.gpkg")) as kept:
        assert kept.execute("SELECT schema_version FROM project").fetchone() == (1,)
        assert kept.execute("SELECT count(*) FROM entries").fetchone() == (1,)


def test_tables_are_those_of_the_last_migration(tmp_path: Path) -> None:
    project = create_project(tmp_path)
    with project.store.reading() as connection:
        for table in (*schema.TABLES, schema.live_entries, schema.live_objects):
            info = connection.exec_driver_sql(f"PRAGMA table_info({table.name})").all()
            assert [row[1] for row in info] == [column.name for column in table.columns]


def test_full_disk_is_told_and_what_was_saved_stays(tmp_path: Path) -> None:
    project, _ = reviewed(tmp_path)
    ann = join(project, "Ann")
    decide(project, 1, ann, verdict="right")
    project.close()

    def fill(connection: sqlite3.Connection, _: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    full = open_project(tmp_path)
    full.close()
    event.listen(full.store.engine, "connect", fill)
    said: list[int] = []
    with pytest.raises(ReviewError, match="the disk is full; free some space"):
        while len(said) < 2000:
            said.append(decide(full, 2, ann, verdict="wrong", comment="x" * 2000).id)
    assert [entry.id for entry in history(full)] == [1, *said]
    full.close()
    again = open_project(tmp_path)
    assert get_object(again, 1).current.verdict == "right"
    decide(again, 3, ann, verdict="right")


@contextmanager
def as_somebody() -> Iterator[Path]:
    """A folder of root's where this process may read but not write, whoever runs the test."""
    folder = Path(tempfile.mkdtemp(prefix="n2m-review-"))
    try:
        yield folder
    finally:
        if hasattr(os, "seteuid") and os.getuid() == 0:
            os.seteuid(0)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)
        shutil.rmtree(folder)


def lock(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)
    if os.getuid() == 0:
        # Permissions do not bind root.
        os.seteuid(65_534)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="permissions are POSIX's")
def test_read_only_folder_is_told(tmp_path: Path) -> None:
    with as_somebody() as folder:
        project, _ = reviewed(folder / "p")
        decide(project, 1, join(project, "Ann"), verdict="right")
        project.close()
        before = (folder / "p" / FILE).read_bytes()
        lock(folder)
        with pytest.raises(ReviewError, match="can't be written to; give"):
            open_project(folder / "p")
        with pytest.raises(ReviewError, match=r"can't be written to \(Permission denied\)"):
            create_project(folder / "q")
        assert (folder / "p" / FILE).read_bytes() == before


def test_project_opened_twice_shows_each_the_others_work(tmp_path: Path) -> None:
    first, _ = reviewed(tmp_path)
    second = open_project(tmp_path)
    decide(first, 1, join(first, "Ann"), verdict="right")
    assert get_object(second, 1).current.verdict == "right"
    decide(second, 1, join(second, "Ben"), verdict="wrong")
    assert [each.judged for each in progress(first).reviewers] == [1, 1]


def test_locked_project_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("n2m_core.review.store.BUSY_S", 0.1)
    project, _ = reviewed(tmp_path)
    ann = join(project, "Ann")
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ReviewError, match="somebody else has kept it locked"):
            decide(project, 1, ann, verdict="right")
        assert get_object(project, 1).current.verdict is None
        other.execute("ROLLBACK")
    decide(project, 1, ann, verdict="right")


def test_backup_is_one_whole_file_and_never_half(tmp_path: Path) -> None:
    project, _ = reviewed(tmp_path / "p")
    decide(project, 1, join(project, "Ann"), verdict="right")
    target = backup(project)
    assert target.parent == tmp_path / "p" / "backups"
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    restored = tmp_path / "restored"
    restored.mkdir()
    shutil.copy(target, restored / FILE)
    assert get_object(open_project(restored), 1).current.verdict == "right"
    with pytest.raises(ReviewError, match="is the project itself"):
        backup(project, tmp_path / "p" / FILE)
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(ReviewError, match="choose another place"):
        backup(project, tmp_path / "taken" / "b.gpkg")


def test_import_that_fails_leaves_no_picture_behind(tmp_path: Path) -> None:
    project, _ = reviewed(tmp_path)
    with project.store.writing() as connection:
        connection.exec_driver_sql("DROP TABLE gpkg_geometry_columns")
    with pytest.raises(ReviewError, match="no such table"):
        add_map(project, map_result([[0, 1], [0, 0]]), name="late")
    assert len(sources(project)) == 1
    assert not list(tmp_path.rglob("*.tif"))


def test_going_back_to_a_backup_while_somebody_works(tmp_path: Path) -> None:
    project, _ = reviewed(tmp_path)
    ann = join(project, "Ann")
    kept = backup(project)
    content = kept.read_bytes()
    decide(project, 1, ann, verdict="wrong")
    again = restore(tmp_path, kept)
    assert history(again) == history(project) == ()
    decide(project, 3, ann, verdict="right")
    project.close()
    again.close()
    assert [entry.object_id for entry in history(open_project(tmp_path))] == [3]
    assert kept.read_bytes() == content
    (aside,) = (tmp_path / "backups").glob("replaced-*.gpkg")
    with closing(sqlite3.connect(aside)) as raw:
        assert raw.execute("SELECT object_id FROM entries").fetchall() == [(1,)]
    for wrong in (tmp_path / "none.gpkg", tmp_path / FILE):
        with pytest.raises(ReviewError, match="is no backup"):
            restore(tmp_path, wrong)
    (tmp_path / "other.gpkg").write_bytes(b"no database" * 100)
    with pytest.raises(ReviewError, match="is damaged"):
        restore(tmp_path, tmp_path / "other.gpkg")
    assert len(history(open_project(tmp_path))) == 1


def test_file_that_is_gone_takes_no_decisions(tmp_path: Path) -> None:
    project, _ = reviewed(tmp_path)
    ann = join(project, "Ann")
    project.store.path.rename(tmp_path / "elsewhere.gpkg")
    with pytest.raises(ReviewError, match="is not there any more"):
        decide(project, 2, ann, verdict="wrong")
