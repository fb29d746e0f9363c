"""Memory of the hosted demo: the app with the settings of the Containerfile, visited by a browser.

A container's limit counts the resident memory of the server's one process, which is what is
measured; no container is needed. What the server writes must lie below its temporary folder.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Figure, report
from benchmarks.served import ROOT, browser, memory_of, served, settled, watched

CONTAINERFILE = ROOT / "Containerfile"
LIMIT_MB = 1000
_UNWATCHED = {".git", ".venv", "__pycache__"}


def demo_environment(text: str) -> dict[str, str]:
    """Read the variables that a Containerfile sets.

    Args:
        text: of the file; each variable stands as `NAME=value` in an `ENV` instruction.
    """
    joined = re.sub(r"\\\n\s*", " ", text)
    instructions = re.findall(r"^ENV (.*)$", joined, re.M)
    return dict(re.findall(r"([A-Z][A-Z0-9_]*)=(\S+)", " ".join(instructions)))


def files_since(folder: Path, started: float) -> list[str]:
    """Name the files of a folder that were written after a moment."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in _UNWATCHED]
        paths = (Path(place) / name for name in names)
        found += [str(path) for path in paths if path.exists() and path.stat().st_mtime > started]
    return found


def main() -> None:
    """Measure at rest, after a visit of Home and Segment, and when the visitor has gone."""
    settings = demo_environment(CONTAINERFILE.read_text(encoding="utf-8"))
    started = time.time()
    with tempfile.TemporaryDirectory(prefix="n2m-") as folder:
        places = dict.fromkeys(("HOME", "TMPDIR"), folder)
        with served({**settings, **places}, Path(folder) / "log.txt") as server:
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
        written = files_since(ROOT, started)
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
            Figure("Files written beside the temporary folder", len(written), "files", at_most=0),
            Figure("Script errors", len(visitor.errors), "errors", at_most=0),
        ],
    )


if __name__ == "__main__":
    main()
