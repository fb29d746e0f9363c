"""Work for several visitors at once: a few workers, fair turns, one job for equal requests.

A request gives a ticket. Equal keys share one job: it is done once, and it stops only when nobody
holds a ticket for it any more. Who was served longest ago is next, so that ten jobs of one visitor
do not stand before another's one; of a visitor's own jobs the newest goes first, because that is
the page in view. A visitor never has all workers, where there are several.

Long work makes room: at each step that it reports, after a while, it hands its worker over to
whoever is next and goes on when its turn comes again. So one worker serves several visitors too.
Nothing here knows Streamlit or torch.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, Generic, Literal, TypeVar

from n2m_core.errors import BusyError, CancelledError
from n2m_core.geo_image import Progress
from pages._ui.kept import Kept

T = TypeVar("T")
State = Literal["waiting", "running", "done", "failed", "cancelled"]

TURN_S = 2.0
"""A job keeps its worker at least so long, seconds, before it makes room."""
BEGUN_PER_WORKER = 3
"""Jobs that were begun and are not finished, for each worker: each of them holds memory."""
GRACE_S = 60.0
"""A visitor whose connection broke finds the jobs again within this time, seconds."""
_LOOK_S = 1.0


class Job:
    """One piece of work; the pool's lock guards all but the progress, which is only shown."""

    def __init__(self, key: str, title: str, work: Callable[[Progress], object]) -> None:
        """Keep what to do; nothing runs yet."""
        self.key = key
        self.title = title
        self.state: State = "waiting"
        self.share = 0.0
        self.note = ""
        self.error: Exception | None = None
        self.finished = threading.Event()
        self.work: Callable[[Progress], object] | None = work
        self.tickets: list[Ticket[Any]] = []
        self.number = 0
        self.owner = ""
        self.since = 0.0
        self.is_begun = False
        self.stop = threading.Event()
        self.turn = threading.Event()

    @property
    def visitors(self) -> set[str]:
        """Who waits for it."""
        return {ticket.visitor for ticket in self.tickets}


class Ticket(Generic[T]):
    """One visitor's claim on a job's result."""

    def __init__(self, pool: Pool, job: Job, visitor: str) -> None:
        """Made by the pool alone."""
        self._pool, self._job = pool, job
        self.visitor = visitor
        self.is_cancelled = False

    @property
    def key(self) -> str:
        """Names the inputs."""
        return self._job.key

    @property
    def title(self) -> str:
        """What is being done, for the person."""
        return self._job.title

    @property
    def state(self) -> State:
        """How far it is for this visitor."""
        return "cancelled" if self.is_cancelled else self._job.state

    @property
    def share(self) -> float:
        """How much is done, 0..1."""
        return self._job.share

    @property
    def note(self) -> str:
        """What the work said last."""
        return self._job.note

    @property
    def error(self) -> Exception | None:
        """What the work raised, once it has failed."""
        return self._job.error

    @property
    def is_over(self) -> bool:
        """Whether there is nothing to wait for any more."""
        return self.is_cancelled or self._job.finished.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for the end, at most so long; whether it came."""
        return self._job.finished.wait(seconds)

    def cancel(self) -> None:
        """Give the claim up; the work stops at its next step when nobody else has one."""
        self._pool.give_up(self, self._job)


class Pool:
    """A bounded number of workers for jobs of several visitors."""

    def __init__(
        self,
        results: Kept,
        workers: int,
        most_waiting: int,
        *,
        turn_s: float = TURN_S,
        on_step: Callable[[int], None] | None = None,
    ) -> None:
        """Start with nothing to do.

        Args:
            results: where finished results go, under their job's key.
            workers: jobs that run at a time.
            most_waiting: jobs of one visitor that may wait.
            turn_s: a job keeps its worker at least so long, seconds.
            on_step: told in the worker's thread, before the work and at each of its steps, how many
                jobs run.
        """
        self.results = results
        self._workers, self._most_waiting = workers, most_waiting
        self._turn_s, self._on_step = turn_s, on_step
        self._lock = threading.RLock()
        self._numbers = count(1)
        self._jobs: dict[str, Job] = {}
        self._waiting: list[Job] = []
        self._running: list[Job] = []
        self._served: dict[str, int] = {}
        self._leaving: dict[str, threading.Timer] = {}

    def ask(self, visitor: str, key: str, title: str, work: Callable[[Progress], T]) -> Ticket[T]:
        """Ask for the result of some work; the same work is shared with whoever asks for it too.

        Args:
            visitor: who asks.
            key: names the inputs; equal keys share one job.
            title: what is being done, for the person.
            work: called in a thread of its own; its progress calls are where it makes room.

        Raises:
            BusyError: too much of this visitor's work is waiting already.
        """
        with self._lock:
            job = self._jobs.get(key)
            if job is None:
                self._check_room(visitor)
                job = self._jobs[key] = Job(key, title, work)
                self._waiting.append(job)
            ticket = Ticket[T](self, job, visitor)
            job.tickets.append(ticket)
            job.number = next(self._numbers)
            self._hand_out()
        return ticket

    def give_up(self, ticket: Ticket[Any], job: Job) -> None:
        """Take a ticket back; its job ends when it was the last one."""
        with self._lock:
            ticket.is_cancelled = not job.finished.is_set()
            if ticket in job.tickets:
                job.tickets.remove(ticket)
            if job.tickets or job.finished.is_set():
                return
            # From here on the same request is a new job: this one may be anywhere in its work.
            self._forget(job)
            job.stop.set()
            job.turn.set()
            if not job.is_begun:
                self._end(job, "cancelled")

    def leave(self, visitor: str) -> None:
        """Take note that a visitor is gone; what nobody else waits for ends after a while."""
        timer = threading.Timer(GRACE_S, self.drop, [visitor])
        timer.daemon = True
        with self._lock:
            self.stay(visitor)
            self._leaving[visitor] = timer
            timer.start()

    def stay(self, visitor: str) -> None:
        """Take note that a visitor is here, perhaps again."""
        with self._lock:
            timer = self._leaving.pop(visitor, None)
        if timer is not None:
            timer.cancel()

    def drop(self, visitor: str) -> None:
        """Give up everything that a visitor waits for."""
        with self._lock:
            self._leaving.pop(visitor, None)
            self._served.pop(visitor, None)
            held = [
                ticket
                for job in [*self._waiting, *self._running]
                for ticket in job.tickets
                if ticket.visitor == visitor
            ]
        for ticket in held:
            ticket.cancel()

    def _check_room(self, visitor: str) -> None:
        """Refuse more work than may wait."""
        waiting = [job.title for job in self._waiting if visitor in job.visitors]
        if len(waiting) >= self._most_waiting:
            raise BusyError(
                f"{len(waiting)} pieces of your work are waiting already and {self._most_waiting} "
                f"is the most ({', '.join(dict.fromkeys(waiting))}). Cancel one of them on its "
                "page, or wait until one is done."
            )

    def _hand_out(self) -> None:
        """Give every free worker a job."""
        while len(self._running) < self._workers and threading.main_thread().is_alive():
            found = self._next()
            if found is None:
                return
            job, job.owner = found
            self._served[job.owner] = next(self._numbers)
            self._waiting.remove(job)
            self._running.append(job)
            job.since, job.state = time.monotonic(), "running"
            if job.is_begun:
                job.turn.set()
            else:
                job.is_begun = True
                name = f"n2m-work-{job.number}"
                threading.Thread(target=self._run, args=(job,), name=name).start()

    def _next(self) -> tuple[Job, str] | None:
        """The job that is next, and for whom: who was served longest ago, and newest of theirs."""
        each_at_most = max(1, self._workers - 1)
        owners = [job.owner for job in self._running]
        begun = len(self._running) + sum(job.is_begun for job in self._waiting)
        is_full = begun >= BEGUN_PER_WORKER * self._workers
        found = [
            (self._served.get(visitor, 0), -job.number, visitor, job)
            for job in self._waiting
            for visitor in sorted(job.visitors)
            if owners.count(visitor) < each_at_most and (job.is_begun or not is_full)
        ]
        if not found:
            return None
        *_, visitor, job = min(found, key=lambda each: each[:3])
        return job, visitor

    def _run(self, job: Job) -> None:
        """Do the work in this thread and keep its result under the job's key."""
        state: State = "done"
        try:
            if self.results.get(job.key) is None:
                assert job.work is not None
                self._look_up(job)
                self.results.put(job.key, job.work(partial(self._step, job)))
        except CancelledError:
            state = "cancelled"
        except Exception as error:  # carried to the pages that wait, which show and log it
            job.error = error
            state = "failed"
        with self._lock:
            self._end(job, state)
            self._hand_out()

    def _end(self, job: Job, state: State) -> None:
        """Take a job off all lists; whoever waits for it is told."""
        for held in (self._waiting, self._running):
            if job in held:
                held.remove(job)
        self._forget(job)
        # A page may hold the ticket for long; what the work worked on must not stay with it.
        job.work = None
        job.state = state
        job.finished.set()

    def _forget(self, job: Job) -> None:
        """Let the next request of this kind be a new job."""
        if self._jobs.get(job.key) is job:
            del self._jobs[job.key]

    def _step(self, job: Job, done: int, total: int, note: str) -> None:
        """Take a step's report; the place where a job is stopped, or makes room for others."""
        job.share = min(1.0, done / max(1, total))
        job.note = note
        is_due = time.monotonic() - job.since >= self._turn_s
        with self._lock:
            if is_due and done < total and job in self._running:
                self._make_room(job)
        self._look_up(job)

    def _make_room(self, job: Job) -> None:
        """Hand the worker over to whoever is next; perhaps that is this job again."""
        job.turn.clear()
        self._running.remove(job)
        self._waiting.append(job)
        if job.tickets:
            self._hand_out()
        job.state = "running" if job in self._running else "waiting"

    def _look_up(self, job: Job) -> None:
        """Wait for this job's turn, and end it when nobody waits for it any more.

        Raises:
            CancelledError: nobody does, or the server ends.
        """
        while True:
            if job.stop.is_set() or not threading.main_thread().is_alive():
                raise CancelledError("Stopped on request.")
            with self._lock:
                running = len(self._running)
                is_on = job in self._running
            if is_on:
                break
            job.turn.wait(_LOOK_S)
        if self._on_step is not None:
            self._on_step(running)
