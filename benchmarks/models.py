"""Run the studies of the models again where something changed; `make bench-models` does this.

    python -m benchmarks.models [STUDY ...] [--plan] [--all] [--train]

A study whose script, weights and settings are what they were when its file was written is passed
over (`--all` measures it none the less). `--plan` only says what would be done and how long it took
last time. What a study still has to train takes hours; `--train` does that first, and goes on where
it was broken off. Writes the JSON files of `benchmarks/` and, from them, `docs/studies.md`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.__main__ import write
from n2m_core.fusion.installed import installed_weights
from n2m_core.tasks import studies
from n2m_core.tasks.study_tables import Table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PAGE = ROOT / "docs" / "studies.md"
CONFIGS = ROOT / "configs"
PEERS = Path("build") / "peers"
PRETRAINING = Path("build") / "pretraining"
WILDFIRE = Path("build") / "wildfire"
SEEDS = (1, 2)
REFINERS = {
    "idgbr-buildings": "idgbr-buildings.yaml",
    "one-pass-buildings": "refine/one-pass-buildings.yaml",
}
"""Configurations of the refiners that are compared, by the checkpoints that they make."""
INTRODUCTION = """# Studies of the models

`make bench-models` measures these, each by a script in `benchmarks/` that writes a JSON file, and
writes this page from the files. What is not here was not run yet. Scores are on the sets named;
with several seeds a cell is the mean with the lowest and the highest in brackets.
"""
OWN_PAGE = "results"
"""The study of speed has a page of its own."""

Json = dict[str, Any]
Command = tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """How a study is brought up to date.

    Attributes:
        words: of its script.
        reads: files that decide what it measures, beside its own script.
        training: commands that train what it measures, each passed over when there is nothing left
            to train.
    """

    words: Command
    reads: Callable[[], Iterable[Path]]
    training: Callable[[], Iterable[Command]] = tuple


def cards(folder: Path) -> list[Path]:
    """The cards of a folder of checkpoints; a card holds the checksum of its weights."""
    return sorted(folder.glob("*/card.json"))


def registry() -> Path:
    """Folder of the checkpoints that ship."""
    return Path(os.environ.get("N2M_CHECKPOINTS") or ROOT / "checkpoints")


def train_peers() -> Iterable[Command]:
    """The trainings of the short study, but for what its file has already."""
    # Loads PyTorch, which a plan does without.
    from benchmarks.peers import configurations, measured_seeds

    known = measured_seeds()
    yield ("n2m_core", "pretrain", str(CONFIGS / "pretrain" / "ddpm-cd-denoise.yaml"), "--resume")
    for seed in SEEDS:
        for name, config in configurations().items():
            is_here = (PEERS / f"{name}-seed{seed}" / "card.json").is_file()
            if not is_here and seed not in known.get(name, ()):
                yield ("n2m_core", "train", str(config), "--seed", str(seed), "--resume")


def train_pretraining() -> Iterable[Command]:
    """The pretraining and the runs that start from it or not."""
    yield ("n2m_core", "pretrain", str(CONFIGS / "pretrain" / "n2m-denoise.yaml"), "--resume")
    yield ("benchmarks.pretraining",)


def train_multitask() -> Iterable[Command]:
    """The network of both tasks."""
    if not (registry() / "n2m-multitask" / "card.json").is_file():
        yield ("n2m_core", "train", str(CONFIGS / "n2m-multitask.yaml"), "--resume")


def train_wildfire() -> Iterable[Command]:
    """The rows of the paper for one fire; the script trains what is missing."""
    yield ("benchmarks.wildfire", "--train")


def train_refinement() -> Iterable[Command]:
    """The refiner and its peer of one pass."""
    for name, config in REFINERS.items():
        if not (registry() / name / "card.json").is_file():
            yield ("n2m_core", "train", str(CONFIGS / config), "--resume")


def train_fusion() -> Iterable[Command]:
    """The network that ships, those of the ablation, and the learned peer."""
    for config in (CONFIGS / "sastf-farmland.yaml", *sorted((CONFIGS / "sastf").glob("*.yaml"))):
        if not (registry() / config.stem / "card.json").is_file():
            yield ("n2m_core", "train", str(config), "--resume")


def read_fusion() -> Iterable[Path]:
    """The methods and the weights of the learned ones."""
    yield from sorted((ROOT / "n2m_core" / "fusion").glob("*.py"))
    for weights in installed_weights(registry()):
        yield registry() / weights.id / "card.json"


JOBS: dict[str, Job] = {
    "peers": Job((str(PEERS),), lambda: cards(PEERS), train_peers),
    "pretraining": Job(("--report",), lambda: cards(PRETRAINING), train_pretraining),
    "multitask": Job((), lambda: cards(registry()), train_multitask),
    "landsat": Job((), lambda: cards(registry())),
    "wildfire": Job((), lambda: cards(WILDFIRE), train_wildfire),
    "refinement": Job((), lambda: cards(registry()), train_refinement),
    "fusion": Job((), read_fusion, train_fusion),
    "full_size": Job((), lambda: sorted((ROOT / "n2m_core" / "models").rglob("*.py"))),
}


def fingerprint(name: str) -> str:
    """What decides a study's result: its script and what it reads, cards without their scores."""
    digest = hashlib.sha256((HERE / f"{name}.py").read_bytes())
    for path in JOBS[name].reads():
        digest.update(path.name.encode() + _content(path))
    return digest.hexdigest()


def _content(path: Path) -> bytes:
    """A file's bytes; of a card what was trained, for scores are written into it afterwards."""
    if path.name != "card.json":
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
    return f"script or weights changed; last time it {took}" if noted else "changed; no time known"


def call(command: Command, folder: Path | None = None) -> bool:
    """Run a module of this project; False when it failed (what it said is on the screen)."""
    env = dict(os.environ) if folder is None else {**os.environ, "N2M_CHECKPOINTS": str(folder)}
    return subprocess.run([sys.executable, "-m", *command], cwd=ROOT, env=env).returncode == 0


def measure(name: str) -> bool:
    """Run a study's script, and note in its file what it was of and how long it took."""
    started = time.monotonic()
    if not call((f"benchmarks.{name}", *JOBS[name].words)):
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
        shown = None if study.id == OWN_PAGE else studies.shown(study, where=HERE)
        if shown is None:
            continue
        lines += [f"## {study.title}", "", f"{study.question} (`{study.command}`)", ""]
        lines += [line for note in shown.notes for line in (note, "")]
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
        print(f"{name}: {reason or 'up to date'}", flush=True)
        if reason and not asked.plan and not measure(name):
            failed.append(name)
    if not asked.plan:
        write(PAGE, page())
        print(f"Failed: {', '.join(failed)}" if failed else f"Written: {PAGE.name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
