"""Many browser sessions at once on one server: how long a rerun takes, memory over time, errors.

Each session is a browser context of its own on the Segment page, with a scene of its own as far as
there are samples. It changes the view, looks at it for some seconds and changes it again, like a
person; once a minute all do so at the same moment. The browser itself takes the time from the click
until the script has run.
"""

from __future__ import annotations

import argparse
import json
import random
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
LOOK_S = (2.0, 8.0)
"""How long a person looks at a map before the next click."""
TOGETHER_S, POLL_S = 60.0, 0.1
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
        rerun_s: time of every rerun at a session's own moment, seconds.
        together_s: of those where all sessions clicked at once, seconds.
        first_s: time from the call of the page until each session had its first map, seconds.
        memory: (seconds since the start, resident MB).
        errors: what went wrong, a line each.
    """

    rerun_s: list[float] = field(default_factory=list)
    together_s: list[float] = field(default_factory=list)
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


@dataclass
class Person:
    """Somebody who changes the view now and then.

    Attributes:
        app: the session.
        due: when the next click is, in seconds of the run; None while a rerun is under way.
        clicks: how many there were.
    """

    app: App
    due: float | None
    clicks: int = 0

    def click(self) -> None:
        """Choose the next view."""
        self.app.page.evaluate(_CLICK, VIEWS[self.clicks % len(VIEWS)])
        self.clicks += 1
        self.due = None

    def times(self) -> list[float]:
        """How long the rerun took, seconds; empty while it is under way."""
        return [ms / 1000 for ms in self.app.page.evaluate("n2mTimes.splice(0)")]


def each_for_themselves(people: list[Person], start: float, until: float, seen: Seen) -> None:
    """Let everybody look and click until a moment, and wait for the last reruns."""
    drawn = random.Random(round(until))
    for person in people:
        person.due = time.perf_counter() - start + drawn.uniform(*LOOK_S)
    while any(person.due is None for person in people) or time.perf_counter() - start < until:
        now = time.perf_counter() - start
        for person in people:
            if person.due is None:
                times = person.times()
                if times:
                    seen.rerun_s += times
                    person.due = now + drawn.uniform(*LOOK_S)
            elif person.due <= now < until:
                person.click()
        if now > until + RERUN_MS / 1000:
            raise Error(f"a rerun took more than {RERUN_MS / 1000:g} s")
        time.sleep(POLL_S)


def together(people: list[Person], seen: Seen) -> None:
    """Let all sessions choose a view at once, and wait for all of them."""
    for person in people:
        person.click()
    for person in people:
        person.app.page.wait_for_function("() => window.n2mTimes.length > 0", timeout=RERUN_MS)
        seen.together_s += person.times()
        alerts = person.app.page.get_by_test_id("stAlertContentError").all_inner_texts()
        seen.errors += alerts


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
            people = [Person(visitor, None) for visitor in visitors]
            start = time.perf_counter()
            while (now := time.perf_counter() - start) < 60 * minutes:
                each_for_themselves(people, start, now + TOGETHER_S, seen)
                together(people, seen)
                seen.memory.append((now, memory_of(server.pid).resident))
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
    if not seen.rerun_s or not seen.together_s:
        raise SystemExit("No rerun was measured: " + "; ".join(seen.errors))
    warm_s = WARM_SHARE * 60 * asked.minutes
    report(
        f"{asked.sessions} browser sessions at once",
        f"{asked.sessions} sessions on Segment for {asked.minutes:g} minutes, all in one Chromium "
        f"on the same machine; each changes the view after {LOOK_S[0]:g} to {LOOK_S[1]:g} s of "
        "looking, once a minute all at the same moment. Times are taken in the browser. Errors: "
        f"{'; '.join(seen.errors[:3]) or 'none'}.",
        [
            Figure("Rerun, median", statistics.median(seen.rerun_s), "s", at_most=1),
            Figure("Rerun, 95th percentile", percentile(seen.rerun_s, 0.95), "s"),
            Figure("All at the same moment, median", statistics.median(seen.together_s), "s"),
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
