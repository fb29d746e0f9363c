"""The app as a server of its own for a benchmark: its start, its memory, a browser on it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "browser"))

from app_in_browser import App, launch, watched  # noqa: E402 - the tests' own way to a browser

__all__ = [
    "ROOT",
    "App",
    "Memory",
    "Server",
    "browser",
    "memory_of",
    "served",
    "settled",
    "watched",
]

START_S = 180
CALM_MB, CALM_S, PATIENCE_S = 2.0, 4, 120


@dataclass(frozen=True)
class Server:
    """A running app.

    Attributes:
        address: without a slash at the end.
        pid: of its one process.
    """

    address: str
    pid: int


@dataclass(frozen=True)
class Memory:
    """Memory of a process, MB of 10^6 bytes.

    Attributes:
        resident: what a limit on memory counts, pages of shared libraries included.
        proportional: shared pages divided among the processes that share them.
    """

    resident: float
    proportional: float


def memory_of(pid: int) -> Memory:
    """Read the memory of a process; Linux alone tells it."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError as error:
        raise SystemExit(f"The memory of the server cannot be read here: {error}.") from error
    found = dict(re.findall(r"^(Rss|Pss):\s+(\d+) kB", text, re.M))
    return Memory(int(found["Rss"]) * 1.024e-3, int(found["Pss"]) * 1.024e-3)


def settled(pid: int) -> Memory:
    """Wait until the memory stays where it is, and give it."""
    until = time.monotonic() + PATIENCE_S
    before = memory_of(pid)
    while time.monotonic() < until:
        time.sleep(CALM_S)
        now = memory_of(pid)
        if abs(now.resident - before.resident) < CALM_MB:
            return now
        before = now
    return before


@contextmanager
def served(extra: Mapping[str, str], log: Path, folder: Path = ROOT) -> Iterator[Server]:
    """Run the app on a free port.

    Args:
        extra: environment variables.
        log: file for what the server says.
        folder: where the app lies.

    Yields:
        The server, once it answers.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    command += ["--server.address", "127.0.0.1"]
    with log.open("w") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder), **extra},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_for(f"http://127.0.0.1:{port}/_stcore/health", process)
            yield Server(f"http://127.0.0.1:{port}", process.pid)
        finally:
            process.terminate()
            process.wait(60)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers."""
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise SystemExit(f"The server ended at once with status {process.returncode}.")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"The server did not answer within {START_S} s.")


@contextmanager
def browser() -> Iterator[Browser]:
    """A Chromium, the one of the browser tests."""
    with sync_playwright() as playwright:
        opened = launch(playwright.chromium)
        yield opened
        opened.close()
