"""Memory of the hosted demo: the app with the settings of the Containerfile, visited by a browser.

A container's limit counts the resident memory of the server's one process, which is what is
measured; no container is needed. The server runs on a copy of what the image holds, into which it
must write nothing: only its temporary folder is its own.
"""

from __future__ import annotations

import compileall
import re
import shutil
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Figure, report
from benchmarks.served import ROOT, browser, memory_of, served, settled, watched

CONTAINERFILE = ROOT / "Containerfile"
LIMIT_MB = 1000


def demo_environment(text: str) -> dict[str, str]:
    """Read the variables that a Containerfile sets.

    Args:
        text: of the file; each variable stands as `NAME=value` in an `ENV` instruction.
    """
    joined = re.sub(r"\\\n\s*", " ", text)
    instructions = re.findall(r"^ENV (.*)$", joined, re.M)
    return dict(re.findall(r"([A-Z][A-Z0-9_]*)=(\S+)", " ".join(instructions)))


def copied_names(text: str) -> list[str]:
    """Name the files and folders that a Containerfile copies, all under their own names."""
    lines = re.findall(r"^COPY (.*)$", text, re.M)
    return [name for line in lines for name in line.split()[:-1]]


def copy_app(names: list[str], target: Path) -> Path:
    """Copy what the image holds, compiled as it is there."""
    target.mkdir()
    for name in names:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name)
        else:
            shutil.copy2(source, target / name)
    compileall.compile_dir(target, quiet=1)
    return target


def files_since(folder: Path, started: float) -> list[str]:
    """Name the files of a folder that were written after a moment."""
    return sorted(
        str(path) for path in folder.rglob("*") if path.is_file() and path.stat().st_mtime > started
    )


def main() -> None:
    """Measure at rest, after a visit of Home and Segment, and when the visitor has gone."""
    text = CONTAINERFILE.read_text(encoding="utf-8")
    settings = demo_environment(text)
    with tempfile.TemporaryDirectory(prefix="n2m-") as folder:
        app, own = copy_app(copied_names(text), Path(folder) / "app"), Path(folder) / "tmp"
        own.mkdir()
        places = dict.fromkeys(("HOME", "TMPDIR"), str(own))
        started = time.time()
        with served({**settings, **places}, Path(folder) / "log.txt", app) as server:
            at_start = settled(server.pid)
            with browser() as opened:
                visitor = watched(opened, server.address)
                visitor.open()
                home = memory_of(server.pid)
                visitor.open("Segment")
                visitor.map("Map of")
                segment = memory_of(server.pid)
                visitor.page.context.close()
            at_rest = settled(server.pid)
        written = files_since(app, started)
    limits = ", ".join(f"{name}={value}" for name, value in settings.items() if "N2M_" in name)
    report(
        "Memory of the hosted demo",
        f"The server with the settings of the Containerfile ({limits}), without a container; "
        "resident memory of its one process, shared libraries included.",
        [
            Figure("At rest, one checkpoint loaded", at_rest.resident, "MB", at_most=LIMIT_MB),
            Figure("The same, shared pages divided", at_rest.proportional, "MB"),
            Figure("At rest, before the first visitor", at_start.resident, "MB"),
            Figure("On Home", home.resident, "MB"),
            Figure("On Segment, with its first map", segment.resident, "MB", at_most=LIMIT_MB),
            Figure("Files written into the app's folder", len(written), "files", at_most=0),
            Figure("Script errors", len(visitor.errors), "errors", at_most=0),
        ],
    )


if __name__ == "__main__":
    main()
