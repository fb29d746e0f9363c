"""Long work outside the script run: one worker, progress, cancel, results that outlive a rerun.

Streamlit ends a running script at any click, and its result with it. So the models run in a single
worker thread of the server (which also keeps two sessions from using one model at once), a page
shows how far its job is, and a finished result is kept for every session that asks the same.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass
from typing import Any, Generic, Literal, TypeVar, cast

import numpy as np
import streamlit as st

from n2m_core.errors import CancelledError
from n2m_core.geo_image import Progress

T = TypeVar("T")
State = Literal["waiting", "running", "done", "failed", "cancelled"]

_LOG = logging.getLogger(__name__)
_PATIENCE_S = 1.5
_POLL_S = 0.3
_KEEP_BYTES = 1_000_000_000


class Job(Generic[T]):
    """One piece of work with its progress; written by the worker, read by the pages."""

    def __init__(self, key: str, title: str, work: Callable[[Progress], T]) -> None:
        """Keep what to do; nothing runs yet."""
        self.key = key
        self.title = title
        self.state: State = "waiting"
        self.share = 0.0
        self.note = ""
        self.error: Exception | None = None
        self.finished = threading.Event()
        self._work = work
        self._stop = threading.Event()

    def cancel(self) -> None:
        """Ask the work to stop at its next step."""
        self._stop.set()

    def run(self, results: Results) -> None:
        """Do the work in this thread and keep its result under the job's key."""
        self.state = "running"
        try:
            if self._stop.is_set():
                raise CancelledError("Stopped before it began.")
            if results.get(self.key) is None:
                results.put(self.key, self._work(self._progress))
            self.state = "done"
        except CancelledError:
            self.state = "cancelled"
        except Exception as error:  # carried to the page that waits, which shows and logs it
            self.error = error
            self.state = "failed"
        finally:
            self.finished.set()

    def _progress(self, done: int, total: int, note: str) -> None:
        """Take a step's report; the way in which a cancel reaches the work."""
        if self._stop.is_set():
            raise CancelledError("Stopped on request.")
        self.share = min(1.0, done / max(1, total))
        self.note = note


class Results:
    """Finished results, the least recently asked for dropped when they grow too large."""

    def __init__(self, keep_bytes: int = _KEEP_BYTES) -> None:
        """Start empty."""
        self._kept: OrderedDict[str, object] = OrderedDict()
        self._keep_bytes = keep_bytes
        self._lock = threading.Lock()

    def get(self, key: str) -> object | None:
        """The result under a key, or None."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: str, value: object) -> None:
        """Keep a result; the newest one always stays."""
        with self._lock:
            self._kept[key] = value
            while len(self._kept) > 1 and self._bytes() > self._keep_bytes:
                self._kept.popitem(last=False)

    def _bytes(self) -> int:
        """Memory of all results' arrays; what results share counts once."""
        seen = set[int]()
        return sum(memory_bytes(value, seen) for value in self._kept.values())


def memory_bytes(value: object, seen: set[int] | None = None) -> int:
    """Memory of the arrays inside a result: dataclasses, tuples and dictionaries of arrays.

    Args:
        value: the result.
        seen: ids of arrays that were counted already; what is counted here is added.
    """
    known = set[int]() if seen is None else seen
    if isinstance(value, np.ndarray):
        if id(value) in known:
            return 0
        known.add(id(value))
        return value.nbytes
    if isinstance(value, (tuple, list)):
        return sum(memory_bytes(each, known) for each in value)
    if isinstance(value, dict):
        return sum(memory_bytes(each, known) for each in value.values())
    if is_dataclass(value) and not isinstance(value, type):
        return sum(memory_bytes(getattr(value, field.name), known) for field in fields(value))
    return 0


@st.cache_resource(show_spinner=False)
def _worker() -> ThreadPoolExecutor:
    """The server's one worker thread."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="n2m-worker")


@st.cache_resource(show_spinner=False)
def results() -> Results:
    """The server's finished results; to be asked for by the page, which hands them to its work."""
    return Results()


def result_of(slot: str, key: str, title: str, work: Callable[[Progress], T]) -> T | None:
    """Give the result of some work, or show its progress here and give None.

    Args:
        slot: the page's place for the job; another job in the same slot replaces it.
        key: names the inputs; equal keys share one result.
        title: what is being done, shown to the person.
        work: called in the worker thread; must not touch Streamlit.

    Raises:
        N2MError: the work refused its input. Other exceptions are passed on as they are.
    """
    kept = results().get(key)
    if kept is not None:
        st.session_state.pop(f"{slot}.job", None)
        return cast(T, kept)
    job = _job_in(slot, key, title, work)
    if job.state == "failed" and job.error is not None:
        raise job.error
    if job.state == "cancelled":
        _offer_again(slot)
        return None
    if job.state == "done":
        return cast("T | None", results().get(key))
    _watch(slot, job)
    return None


def stop(slot: str) -> None:
    """End the job of a slot, so that the one worker is free for what matters more."""
    held = st.session_state.pop(f"{slot}.job", None)
    if held is not None:
        held.cancel()


def _job_in(slot: str, key: str, title: str, work: Callable[[Progress], T]) -> Job[T]:
    """The slot's job for this key; started, and waited for a moment, when it is not there yet."""
    held = st.session_state.get(f"{slot}.job")
    if held is not None and held.key == key:
        return cast("Job[T]", held)
    if held is not None:
        held.cancel()
    job = Job(key, title, work)
    st.session_state[f"{slot}.job"] = job
    _worker().submit(job.run, results())
    job.finished.wait(_PATIENCE_S)
    return job


def _offer_again(slot: str) -> None:
    """Say that the job was stopped, with the way to start it again."""
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown("Stopped before it was finished.")
        if st.button("Run again", icon=":material/replay:", key=f"{slot}.again"):
            st.session_state.pop(f"{slot}.job", None)
            st.rerun()


@st.fragment(run_every=_POLL_S)
def _watch(slot: str, job: Job[Any]) -> None:
    """Show the progress until the job is finished, then run the page again."""
    if job.finished.is_set():
        st.rerun()
    with st.container(border=True, key=f"{slot.replace('.', '-')}-progress"):
        text = "Waiting for the model" if job.state == "waiting" else job.title
        st.progress(job.share, text=f"{text}  ·  {job.note}" if job.note else text)
        if st.button("Cancel", icon=":material/close:", key=f"{slot}.cancel"):
            job.cancel()
