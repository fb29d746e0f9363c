"""Many browser sessions at once on one server: how long a rerun takes, memory over time, errors.

Each session is a browser context of its own on the Segment page, with a scene of its own as far as
there are samples. All click at once, again and again; the browser itself takes the time from the
click until the script has run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Error

from benchmarks.figures import Figure, report
from benchmarks.served import ROOT, App, browser, memory_of, served, watched

VIEWS = ("Swipe", "Overlay", "Side by side")
RERUN_MS, WARM_SHARE, GROWTH_MB = 120_000, 0.25, 60.0
_WATCH = """() => {
  const app = document.querySelector("[data-testid=stApp]");
  window.n2mTimes = [];
  window.n2mClicked = 0;
  new MutationObserver(() => {
    if (app.dataset.testScriptState !== "notRunning" || !window.n2mClicked) return;
    window.n2mTimes.push(performance.now() - window.n2mClicked);
    window.n2mClicked = 0;
  }).observe(app, { attributes: true, attributeFilter: ["data-test-script-state"] });
}"""
_CLICK = """(label) => {
  const found = [...document.querySelectorAll("[data-testid=stMainBlockContainer] button")]
    .find((each) => each.innerText.trim() === label);
  if (!found) throw new Error(`there is no button ${label}`);
  window.n2mClicked = performance.now();
  found.click();
}"""


@dataclass
class Seen:
    """What happened.

    Attributes:
        rerun_s: time of every rerun, seconds.
        first_s: time from the call of the page until each session had its first map, seconds.
        memory: (seconds since the start, resident MB).
        errors: what went wrong, a line each.
    """

    rerun_s: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def percentile(values: list[float], share: float) -> float:
    """The value below which a share of the values lies, taken from the values themselves."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def growth_mb(memory: list[tuple[float, float]], warm_s: float) -> float:
    """How much higher memory is in the last quarter than right after the warm-up, MB.

    Medians, because single readings hold what a map in the making needs.

    Args:
        memory: (seconds, MB) in order of time.
        warm_s: what came before does not count.
    """
    after = [value for at, value in memory if at >= warm_s]
    part = max(1, len(after) // 4)
    return statistics.median(after[-part:]) - statistics.median(after[:part])


def arrive(visitors: list[App], samples: list[str], seen: Seen) -> None:
    """Open the page in every session, one after the other, and wait for their first maps.

    Ten browsers that start at once on the server's own two cores would measure themselves.
    """
    for number, visitor in enumerate(visitors):
        started = time.perf_counter()
        visitor.open(f"Segment?sample={samples[number % len(samples)]}")
        visitor.map("Map of")
        visitor.settle()
        seen.first_s.append(time.perf_counter() - started)
        visitor.page.evaluate(_WATCH)


def turn(visitors: list[App], view: str, seen: Seen) -> None:
    """Let every session choose a view at once, and wait for all of them."""
    for visitor in visitors:
        visitor.page.evaluate(_CLICK, view)
    for visitor in visitors:
        visitor.page.wait_for_function("() => window.n2mTimes.length > 0", timeout=RERUN_MS)
        seen.rerun_s += [ms / 1000 for ms in visitor.page.evaluate("n2mTimes.splice(0)")]
        for alert in visitor.page.get_by_test_id("stAlertContentError").all_inner_texts():
            seen.errors.append(alert)


def run(sessions: int, minutes: float) -> Seen:
    """Drive the sessions for some minutes."""
    listed = json.loads((ROOT / "sample_data" / "samples.json").read_text(encoding="utf-8"))
    names = [each["id"] for each in listed["samples"] if each["task"] == "segment"]
    seen = Seen()
    with (
        tempfile.TemporaryDirectory(prefix="n2m-") as folder,
        served({}, Path(folder) / "log.txt") as server,
        browser() as opened,
    ):
        visitors = [watched(opened, server.address) for _ in range(sessions)]
        try:
            arrive(visitors, names, seen)
            started, turns = time.perf_counter(), 0
            while (now := time.perf_counter() - started) < 60 * minutes:
                turn(visitors, VIEWS[turns % len(VIEWS)], seen)
                seen.memory.append((now, memory_of(server.pid).resident))
                turns += 1
        except Error as error:
            seen.errors.append(str(error))
        seen.errors += [text for visitor in visitors for text in visitor.errors]
    return seen


def main() -> None:
    """Measure and report."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sessions", type=int, default=10)
    options.add_argument("--minutes", type=float, default=10)
    asked = options.parse_args()
    seen = run(asked.sessions, asked.minutes)
    if not seen.rerun_s or not seen.memory:
        raise SystemExit("No rerun was measured: " + "; ".join(seen.errors))
    warm_s = WARM_SHARE * 60 * asked.minutes
    report(
        f"{asked.sessions} browser sessions at once",
        f"{asked.sessions} sessions on Segment for {asked.minutes:g} minutes, all in one Chromium "
        "on the same machine; all change the view at the same moment, over and over. Times are "
        f"taken in the browser. Errors: {'; '.join(seen.errors[:3]) or 'none'}.",
        [
            Figure("Rerun, median", statistics.median(seen.rerun_s), "s", at_most=1),
            Figure("Rerun, 95th percentile", percentile(seen.rerun_s, 0.95), "s"),
            Figure("Reruns", len(seen.rerun_s), "reruns"),
            Figure("First map of a session, median", statistics.median(seen.first_s), "s"),
            Figure("Memory at the end", seen.memory[-1][1], "MB"),
            Figure(
                "Growth of memory after the first quarter",
                growth_mb(seen.memory, warm_s),
                "MB",
                at_most=GROWTH_MB,
            ),
            Figure("Errors", len(seen.errors), "errors", at_most=0),
        ],
    )


if __name__ == "__main__":
    main()
