"""What a run has done, kept on the disk so that a killed one goes on where it was.

A folder beside the result, `MAP.tif.part`, holds the part rasters and `journal.jsonl`: a line that
says what the run is made of, and one for every block that is on the disk. A line that was cut short
counts as not written.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import shutil
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from n2m_core import __version__
from n2m_core.errors import OutputError
from n2m_core.raster_io import PartSpec, SceneFile, create_part
from n2m_core.streaming.jobs import BlockResult, Job

JOURNAL = "journal.jsonl"
SUFFIX = ".part"
FORMAT = 1


def folder_of(out: Path) -> Path:
    """Give the folder that a run keeps its work in."""
    return out.with_name(out.name + SUFFIX)


def fingerprint(job: Job) -> dict[str, Any]:
    """Say what a result depends on, as JSON values."""
    choices = dataclasses.asdict(job)  # type: ignore[call-overload]  # every job is a dataclass
    made = {
        "format": FORMAT,
        "task": type(job).__name__,
        "inputs": [_file_facts(file) for file in job.files],
        "n2m": __version__,
        "torch": version("torch"),
        **{name: value for name, value in choices.items() if name != "files"},
    }
    told: dict[str, Any] = json.loads(json.dumps(made, default=str))
    return told


def _file_facts(file: SceneFile) -> dict[str, Any]:
    """What tells a file from a changed one; a remote one is known by its name."""
    facts = dataclasses.asdict(file)
    path = Path(file.path)
    if path.is_file():
        stat = path.stat()
        facts |= {"bytes": stat.st_size, "changed_ns": stat.st_mtime_ns}
    return facts


class Journal:
    """The folder of one run.

    Attributes:
        folder: where the work lies.
        done: what was counted in every block that is on the disk.
    """

    def __init__(self, folder: Path, done: dict[int, dict[str, int]]) -> None:
        """Go on from what is there."""
        self.folder, self.done = folder, done
        self._lock = _locked(folder)

    @classmethod
    def begin(
        cls, out: Path, job: Job, rasters: Mapping[str, PartSpec], *, is_resumed: bool
    ) -> Journal:
        """Open the folder of a run, or make it.

        Args:
            out: the result's final name.
            job: what is done.
            rasters: what is written, by name.
            is_resumed: whether to go on with what an earlier run left.

        Raises:
            OutputError: an earlier run left something and this one is not to go on with it, or it
                was another run, or the folder can't be written to.
        """
        folder, made_of = folder_of(out), fingerprint(job)
        if folder.is_dir():
            earlier = cls(folder, {})
            try:
                if earlier._goes_on(made_of, rasters, is_resumed=is_resumed):
                    return earlier
            except OutputError:
                earlier.close()
                raise
            earlier.close()
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        except OSError as error:
            raise OutputError(
                f"{folder} can't be made ({error.strerror}); choose another place."
            ) from error
        journal = cls(folder, {})
        for name, spec in rasters.items():
            create_part(journal.raster(name), spec)
        # Last, so that a journal means that all rasters are there.
        journal._append({"run": made_of})
        return journal

    def _goes_on(
        self, made_of: dict[str, Any], rasters: Mapping[str, PartSpec], *, is_resumed: bool
    ) -> bool:
        """Take up what an earlier run has done; False where it had not begun.

        Raises:
            OutputError: this run is not to go on with it, or it was another run.
        """
        if not (self.folder / JOURNAL).is_file():
            return False
        if not is_resumed:
            raise OutputError(
                f"{self.folder.name} holds what an earlier run has done. Add --resume to go on "
                "with it, or remove that folder to begin anew."
            )
        self.done = _read(self.folder, made_of, rasters)
        return True

    def raster(self, name: str) -> Path:
        """Give the path of a part raster."""
        return self.folder / f"{name}.tif"

    def add(self, result: BlockResult) -> None:
        """Note a block whose pixels are on the disk."""
        self.done[result.number] = dict(result.counts)
        self._append({"block": result.number, "counts": self.done[result.number]})

    def totals(self) -> dict[str, int]:
        """Add up what was counted in the blocks."""
        names = {name for counts in self.done.values() for name in counts}
        return {name: sum(each.get(name, 0) for each in self.done.values()) for name in names}

    def close(self) -> None:
        """Let another run go on with the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def remove(self) -> None:
        """Take the folder away, the journal first: without it nothing is left to go on with."""
        self.close()
        (self.folder / JOURNAL).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _append(self, line: dict[str, Any]) -> None:
        """Write a line through to the disk."""
        try:
            with (self.folder / JOURNAL).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(
                f"{self.folder / JOURNAL} can't be written ({error.strerror}); free some space "
                "and go on with --resume."
            ) from error


def _locked(folder: Path) -> int | None:
    """Keep other runs out of the folder until this process ends, however it ends.

    Raises:
        OutputError: another run works in it.
    """
    if sys.platform == "win32":
        return None
    handle = os.open(folder, os.O_RDONLY)
    fcntl = importlib.import_module("fcntl")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise OutputError(
            f"Another run works in {folder.name}; wait for it, or give another --out."
        ) from error
    return handle


def _read(
    folder: Path, made_of: dict[str, Any], rasters: Mapping[str, PartSpec]
) -> dict[int, dict[str, int]]:
    """Read a journal of the same run.

    Raises:
        OutputError: it is of another run, or damaged.
    """
    path = folder / JOURNAL
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    lines = [json.loads(line) for line in whole.splitlines()]
    missing = [name for name in rasters if not (folder / f"{name}.tif").is_file()]
    if not lines or missing:
        raise OutputError(
            f"{folder.name} is damaged ({', '.join(missing) or 'its journal is empty'}); remove it "
            "and begin anew."
        )
    earlier = lines[0]["run"]
    other = [name for name in {**earlier, **made_of} if earlier.get(name) != made_of.get(name)]
    if other:
        raise OutputError(
            f"{folder.name} is of another run: {', '.join(_described(n) for n in other)} differ. "
            "Give the inputs and options of that run, or remove the folder to begin anew."
        )
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    return {int(line["block"]): line["counts"] for line in lines[1:]}


def _described(name: str) -> str:
    """What a person calls a part of the fingerprint."""
    return {"inputs": "the input files", "side_px": "--block", "sha256": "the weights"}.get(
        name, name
    )
