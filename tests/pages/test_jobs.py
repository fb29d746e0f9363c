"""The worker's jobs: progress, cancel, failures, and what is kept."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import pytest

from n2m_core.errors import CancelledError, ImageReadError
from n2m_core.geo_image import Progress
from pages._ui.jobs import Job, Results, memory_bytes


def test_finished_job_keeps_its_result() -> None:
    results = Results()

    def work(progress: Progress) -> str:
        progress(1, 4, "a quarter")
        return "map"

    job = Job("key", "Mapping", work)
    job.run(results)
    assert (job.state, job.share, job.note) == ("done", 0.25, "a quarter")
    assert results.get("key") == "map"


def test_equal_key_is_not_worked_twice() -> None:
    results = Results()
    calls: list[int] = []
    for _ in range(2):
        Job("key", "Mapping", lambda progress: calls.append(1) or "map").run(results)
    assert len(calls) == 1


def test_cancel_reaches_the_work_at_its_next_step() -> None:
    results = Results()
    started, go_on = threading.Event(), threading.Event()

    def work(progress: Progress) -> str:
        progress(0, 2, "begun")
        started.set()
        go_on.wait(10)
        progress(1, 2, "never seen")
        return "map"

    job = Job("key", "Mapping", work)
    thread = threading.Thread(target=job.run, args=(results,))
    thread.start()
    assert started.wait(10)
    job.cancel()
    go_on.set()
    thread.join(10)
    assert (job.state, job.note) == ("cancelled", "begun")
    assert job.finished.is_set()
    assert results.get("key") is None


def test_job_cancelled_before_its_turn_does_nothing() -> None:
    called: list[int] = []
    job = Job("key", "Mapping", lambda progress: called.append(1))
    job.cancel()
    job.run(Results())
    assert (job.state, called) == ("cancelled", [])


@pytest.mark.parametrize("error", [ImageReadError("broken"), ValueError("a defect")])
def test_failure_is_carried_to_the_page(error: Exception) -> None:
    def work(progress: Progress) -> str:
        raise error

    job = Job("key", "Mapping", work)
    job.run(Results())
    assert job.state == "failed"
    assert job.error is error
    assert job.finished.is_set()


def test_work_that_cancels_itself_is_cancelled() -> None:
    def work(progress: Progress) -> str:
        raise CancelledError("enough")

    job = Job("key", "Mapping", work)
    job.run(Results())
    assert (job.state, job.error) == ("cancelled", None)


@dataclass
class Held:
    array: np.ndarray
    others: tuple[np.ndarray, ...]


def test_memory_counts_the_arrays_inside() -> None:
    held = Held(np.zeros(10, np.float32), (np.zeros(3, np.uint8), np.zeros(2, np.int64)))
    assert memory_bytes(held) == 40 + 3 + 16
    assert memory_bytes({"a": [held, "text"]}) == 59


def test_least_recently_asked_result_goes_first() -> None:
    results = Results(keep_bytes=250)
    for name in "ab":
        results.put(name, np.zeros(100, np.uint8))
    assert results.get("a") is not None
    results.put("c", np.zeros(100, np.uint8))
    assert results.get("b") is None
    assert results.get("a") is not None
    assert results.get("c") is not None


def test_newest_result_stays_however_large() -> None:
    results = Results(keep_bytes=10)
    results.put("large", np.zeros(100, np.uint8))
    assert results.get("large") is not None


def test_what_results_share_is_counted_once() -> None:
    shared, own = np.zeros(1000, np.uint8), np.zeros(10, np.uint8)
    seen: set[int] = set()
    assert memory_bytes((shared, {"again": shared, "own": own}), seen) == 1010
    assert memory_bytes([shared, own.copy()], seen) == 10
    results = Results(keep_bytes=1500)
    for name in "abc":
        results.put(name, (shared, own.copy()))
    assert results.get("a") is not None
