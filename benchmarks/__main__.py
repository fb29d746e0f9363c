"""Run every benchmark script and gather what they print.

Writes `benchmarks/results.json` and, from it, `docs/benchmarks.md`. Words on the command line
choose scripts by name (`make bench ARGS=networks`); the others keep their former results.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.figures import CORES

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
PAGE = HERE.parent / "docs" / "benchmarks.md"
INTRODUCTION = """# Benchmarks

`make bench` measures these figures, each by a script in `benchmarks/`, and writes this page. They
are of the machine and the moment named under each title; ratios are measured within one run. A
limit is what the project promises for two processor cores; where other work kept one of them busy,
one thread was used. How good the models are is in [studies.md](studies.md).
"""


def machine() -> dict[str, Any]:
    """Say on what, and when, a script ran, and how busy the machine was with other work."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = lines[0].partition(":")[2].strip() if lines else cpu
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": cpu,
        "cores": os.cpu_count() or 1,
        "load_before": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "torch": version("torch"),
    }


def free_threads(cores: int, load: float | None) -> int:
    """Threads for the scripts, one or two: as many as there are cores without other work.

    Args:
        cores: the machine's.
        load: processes that already run, on average; None when unknown.
    """
    return max(1, min(CORES, cores - round(load or 0)))


def measure(name: str, at: dict[str, Any]) -> dict[str, Any] | None:
    """Run one script and read its JSON; None when it failed (what it said is on the screen)."""
    threads = free_threads(at["cores"], at["load_before"])
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}"],
        cwd=HERE.parent,
        env={"OMP_NUM_THREADS": str(threads), **os.environ},
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        return None
    result: dict[str, Any] = json.loads(done.stdout)
    return {**result, "machine": at}


def limit_text(figure: dict[str, Any]) -> str:
    """The limit of a figure in words."""
    if figure["at_most"] is not None:
        return f"at most {figure['at_most']:g}"
    return f"at least {figure['at_least']:g}" if figure["at_least"] is not None else ""


def section(name: str, result: dict[str, Any]) -> str:
    """The part of the page for one script."""
    at = result["machine"]
    verdicts = {True: "met", False: "**missed**", None: ""}
    cells = [
        (f["name"], f"{f['value']:.3g} {f['unit']}", limit_text(f), verdicts[f["is_met"]])
        for f in result["figures"]
    ]
    busy = "" if at["load_before"] is None else f", load {at['load_before']} from other work"
    return "\n".join(
        [
            f"## {result['title']}",
            "",
            result["setting"],
            "",
            "| figure | measured | limit | |",
            "|---|---|---|---|",
            *("| " + " | ".join(row) + " |" for row in cells),
            "",
            f"`benchmarks/{name}.py`, {at['date']}: {at['processor']}, {at['cores']} cores{busy}; "
            f"Python {at['python']}, PyTorch {at['torch']}.",
            "",
        ]
    )


def page(results: dict[str, Any]) -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *(section(name, results[name]) for name in sorted(results))])


def write(path: Path, text: str) -> None:
    """Replace a file at once."""
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(path.suffix + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def main(words: list[str]) -> int:
    """Run the chosen scripts; 1 when one of them failed."""
    scripts = sorted(path.stem for path in HERE.glob("bench_*.py"))
    chosen = [name for name in scripts if not words or name.removeprefix("bench_") in words]
    if not chosen:
        known = ", ".join(name.removeprefix("bench_") for name in scripts)
        print(f"No script is called {' or '.join(words)}; there are {known}.")
        return 1
    former = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    results = {name: former[name] for name in scripts if name in former}
    # Once, before the scripts make the machine busy themselves.
    at = machine()
    failed = []
    for name in chosen:
        print(f"{name} ...", flush=True)
        result = measure(name, at)
        if result is None:
            failed.append(name)
            continue
        results[name] = result
        print(section(name, result), flush=True)
        write(RESULTS, json.dumps(results, indent=2, sort_keys=True) + "\n")
        write(PAGE, page(results))
    print(f"Failed: {', '.join(failed)}" if failed else f"Written: {PAGE.name}, {RESULTS.name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
