"""Run the studies of the models again where something changed; `make bench-models` does this.

    python -m benchmarks.models [STUDY ...] [--plan] [--all] [--train]

A study whose script, weights and settings are what they were when its file was written is passed
over (`--all` measures it none the less). `--plan` only says what would be done and how long it took
last time. A study whose weights do not ship and are not here is left as it is, so that nothing of
it is lost; `--train` first trains what is missing, which takes hours, and goes on where it was
broken off. Writes the JSON files of `benchmarks/` and, from them, `docs/studies.md`; the study of
speed writes `docs/benchmarks.md`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.__main__ import write
from benchmarks.jobs import CARD, JOBS, PEERS, Command
from n2m_core.errors import DatasetError
from n2m_core.tasks import studies
from n2m_core.tasks.study_tables import Table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PAGE = ROOT / "docs" / "studies.md"
INTRODUCTION = """# Studies of the models

`make bench-models` measures these, each by a script in `benchmarks/` that writes a JSON file, and
writes this page from the files. What is not here was not run yet. Scores are on the sets named;
with several seeds a cell is the mean with the lowest and the highest in brackets.
"""
OWN_PAGE = "results"
"""The study of speed has a page of its own."""

Json = dict[str, Any]


def script(name: str) -> Path:
    """The script that measures a study."""
    return HERE / ("__main__.py" if JOBS[name].module else f"{name}.py")


def fingerprint(name: str) -> str:
    """What decides a study's result: its script and what it reads, cards without their scores."""
    digest = hashlib.sha256(script(name).read_bytes())
    for path in JOBS[name].reads():
        digest.update(path.name.encode() + _content(path))
    return digest.hexdigest()


def _content(path: Path) -> bytes:
    """A file's bytes; of a card what was trained, for scores are written into it afterwards."""
    if path.name != CARD:
        return path.read_bytes()
    card = json.loads(path.read_text(encoding="utf-8"))
    cards = card.get("cards", [card])
    return repr([(each["id"], each["task"], each["sha256"]) for each in cards]).encode()


def former(name: str) -> Json:
    """What was noted when the study's file was written; empty when there is none."""
    path = HERE / f"{name}.json"
    if not path.is_file():
        return {}
    noted: Json = json.loads(path.read_text(encoding="utf-8")).get("run", {})
    return noted


def plan(name: str, *, is_forced: bool) -> str | None:
    """Why a study is to be run, with how long it took; None when it is up to date."""
    noted = former(name)
    took = f"took {noted['seconds'] / 60:.1f} minutes" if noted else "no time is known"
    if not (HERE / f"{name}.json").is_file():
        return f"was never run here; {took}"
    if is_forced:
        return f"asked for; last time it {took}" if noted else f"asked for; {took}"
    if noted.get("fingerprint") == fingerprint(name):
        return None
    return f"what decides it changed; last time it {took}" if noted else "no time known"


def call(command: Command, folder: Path | None = None) -> bool:
    """Run a module of this project; False when it failed (what it said is on the screen)."""
    env = dict(os.environ) if folder is None else {**os.environ, "N2M_CHECKPOINTS": str(folder)}
    return subprocess.run([sys.executable, "-m", *command], cwd=ROOT, env=env).returncode == 0


def measure(name: str) -> bool:
    """Run a study's script, and note in its file what it was of and how long it took."""
    started = time.monotonic()
    job = JOBS[name]
    if not call((job.module or f"benchmarks.{name}", *job.words)):
        return False
    path = HERE / f"{name}.json"
    results = json.loads(path.read_text(encoding="utf-8"))
    results["run"] = {"fingerprint": fingerprint(name), "seconds": time.monotonic() - started}
    write(path, json.dumps(results, indent=2) + "\n")
    return True


def markdown(table: Table) -> list[str]:
    """A table as the lines of a section."""
    rule = "|".join(["---"] * len(table.header))
    rows = [f"| {' | '.join(row)} |" for row in table.rows]
    return [f"### {table.title}", "", f"| {' | '.join(table.header)} |", f"|{rule}|", *rows, ""]


def page() -> str:
    """The page of all studies that were run."""
    lines = [INTRODUCTION]
    for study in studies.STUDIES:
        if study.id == OWN_PAGE:
            continue
        try:
            shown = studies.shown(study, where=HERE)
        except DatasetError as error:
            lines += [f"## {study.title}", "", str(error), ""]
            continue
        if shown is None:
            continue
        lines += [f"## {study.title}", "", f"{study.question} (`{study.command}`)", ""]
        lines += [line for note in shown.notes for line in (note, "")]
        picture = studies.picture_of(study, HERE)
        if picture:
            lines += [f"![{study.picture}](../{HERE.name}/{picture.name})", ""]
        for table in shown.tables:
            lines += markdown(table)
    return "\n".join(lines)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.models")
    parser.add_argument("studies", nargs="*", metavar="STUDY", help=", ".join(JOBS))
    parser.add_argument("--plan", action="store_true", help="say what would be done, do nothing")
    parser.add_argument("--all", action="store_true", help="measure what is up to date as well")
    parser.add_argument("--train", action="store_true", help="train first what is missing: hours")
    asked = parser.parse_args(words)
    unknown = [name for name in asked.studies if name not in JOBS]
    if unknown:
        parser.error(f"no study is called {unknown[0]}; there are {', '.join(JOBS)}")
    return asked


def main(words: Sequence[str]) -> int:
    """Bring the chosen studies up to date; 1 when one failed."""
    asked = parse(words)
    failed = []
    for name in asked.studies or JOBS:
        if asked.train and not asked.plan:
            folder = PEERS if name == "peers" else None
            if not all(call(command, folder) for command in JOBS[name].training()):
                failed.append(name)
                continue
        reason = plan(name, is_forced=asked.all)
        missing = JOBS[name].missing() if reason else []
        left = f"; left as it is, for want of {', '.join(missing)}" if missing else ""
        print(f"{name}: {reason or 'up to date'}{left}", flush=True)
        if reason and not missing and not asked.plan and not measure(name):
            failed.append(name)
    if not asked.plan:
        write(PAGE, page())
        print(f"Failed: {', '.join(failed)}" if failed else f"Written: {PAGE.name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
