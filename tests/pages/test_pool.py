"""The workers: who is next, what is shared, what is stopped, and what becomes of failures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from n2m_core.errors import BusyError, CancelledError, ImageReadError
from n2m_core.geo_image import Progress
from pages._ui import pool as pool_module
from pages._ui.kept import Kept
from pages._ui.pool import BEGUN_PER_WORKER, Job, Pool, Ticket

WAIT_S = 10
Work = Callable[[Progress], str]


class Desk:
    """A pool whose work takes steps when the test says so, and a diary of what was done."""

    def __init__(self, workers: int, most_waiting: int = 8, turn_s: float = 1e9) -> None:
        self.results = Kept(1_000_000)
        self.pool = Pool(self.results, workers, most_waiting, turn_s=turn_s)
        self.diary: list[str] = []
        self.gates: dict[str, threading.Semaphore] = {}
        self.begun: dict[str, threading.Event] = {}

    def work(self, name: str, steps: int) -> Work:
        gate = self.gates.setdefault(name, threading.Semaphore(0))
        begun = self.begun.setdefault(name, threading.Event())

        def run(progress: Progress) -> str:
            begun.set()
            for step in range(steps):
                assert gate.acquire(timeout=WAIT_S), f"{name} was never let on"
                self.diary.append(name)
                progress(step + 1, steps, f"step {step + 1}")
            return f"map of {name}"

        return run

    def ask(self, visitor: str, name: str, steps: int = 1) -> Ticket[str]:
        return self.pool.ask(visitor, name, f"Mapping {name}", self.work(name, steps))

    def let(self, name: str, steps: int = 1) -> None:
        self.gates[name].release(steps)

    def let_all_end(self) -> None:
        for gate in self.gates.values():
            gate.release(1000)


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk(workers=1)
    yield made
    made.let_all_end()


def until(told: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not told():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.002)


def ended(*tickets: Ticket[str]) -> list[str]:
    for ticket in tickets:
        assert ticket.wait(WAIT_S)
    return [ticket.state for ticket in tickets]


def test_finished_job_keeps_its_result_and_tells_its_progress(desk: Desk) -> None:
    ticket = desk.ask("ann", "map", steps=4)
    desk.let("map")
    until(lambda: ticket.note == "step 1")
    assert (ticket.state, ticket.share, ticket.is_over) == ("running", 0.25, False)
    desk.let("map", 3)
    assert ended(ticket) == ["done"]
    assert desk.results.get("map") == "map of map"


def test_visitor_with_ten_jobs_does_not_stand_before_another(desk: Desk) -> None:
    tickets = [desk.ask("ann", f"a{number}") for number in range(7)]
    other = desk.ask("bob", "b")
    late = desk.ask("cleo", "c")
    desk.let_all_end()
    ended(*tickets, other, late)
    # Ann's first ran already; then those who were never served, in the order of asking or not.
    assert desk.diary[0] == "a0"
    assert set(desk.diary[1:3]) == {"b", "c"}
    # Of her own the newest goes first: it is the page in view.
    assert desk.diary[3:] == ["a6", "a5", "a4", "a3", "a2", "a1"]


def test_turns_go_round_between_visitors(desk: Desk) -> None:
    first = desk.ask("ann", "a0")
    tickets = [desk.ask(who, f"{who}{number}") for number in range(3) for who in ("ann", "bob")]
    desk.let_all_end()
    ended(first, *tickets)
    assert [name[:3] for name in desk.diary[1:]] == ["bob", "ann", "bob", "ann", "bob", "ann"]


def test_a_visitor_never_has_all_workers() -> None:
    desk = Desk(workers=2)
    first, second = desk.ask("ann", "a1"), desk.ask("ann", "a2")
    assert (first.state, second.state) == ("running", "waiting")
    other = desk.ask("bob", "b")
    assert other.state == "running"
    assert desk.begun["b"].wait(WAIT_S)
    desk.let_all_end()
    assert ended(first, second, other) == ["done"] * 3


def test_long_work_makes_room_and_goes_on_where_it_was() -> None:
    desk = Desk(workers=1, turn_s=0.0)
    long = desk.ask("ann", "long", steps=3)
    assert desk.begun["long"].wait(WAIT_S)
    quick = desk.ask("bob", "quick")
    assert quick.state == "waiting"
    desk.let("quick")
    desk.let("long")
    assert ended(quick) == ["done"]
    assert desk.diary == ["long", "quick"]
    assert (long.state, long.share) in [("running", 1 / 3), ("waiting", 1 / 3)]
    desk.let_all_end()
    assert ended(long) == ["done"]
    assert desk.diary == ["long", "quick", "long", "long"]


def test_page_in_view_goes_before_the_visitors_own_older_work() -> None:
    desk = Desk(workers=1, turn_s=0.0)
    old = desk.ask("ann", "old", steps=2)
    assert desk.begun["old"].wait(WAIT_S)
    new = desk.ask("ann", "new", steps=2)
    desk.let_all_end()
    assert ended(old, new) == ["done", "done"]
    assert desk.diary == ["old", "new", "new", "old"]


def test_few_jobs_are_begun_at_a_time() -> None:
    desk = Desk(workers=1, turn_s=0.0)
    tickets = [desk.ask(f"visitor {number}", f"v{number}", steps=2) for number in range(5)]
    most = 0

    def count() -> bool:
        nonlocal most
        open_now = [
            name for name, event in desk.begun.items()
            if event.is_set() and desk.results.get(name) is None
        ]  # fmt: skip
        most = max(most, len(open_now))
        return all(ticket.is_over for ticket in tickets)

    for number in range(5):
        desk.let(f"v{number}", 1)
    until(lambda: count() or len(desk.diary) >= BEGUN_PER_WORKER)
    time.sleep(0.05)
    count()
    desk.let_all_end()
    until(count)
    assert most <= BEGUN_PER_WORKER
    assert ended(*tickets) == ["done"] * 5


def test_equal_requests_wait_for_one_job(desk: Desk) -> None:
    mine, theirs = desk.ask("ann", "map"), desk.ask("bob", "map")
    assert desk.begun["map"].wait(WAIT_S)
    desk.let_all_end()
    assert ended(mine, theirs) == ["done", "done"]
    assert desk.diary == ["map"]


def test_shared_job_takes_the_first_turn_of_those_who_wait(desk: Desk) -> None:
    blocker = desk.ask("ann", "a0")
    tickets = [desk.ask("ann", name) for name in ("map", "a1", "a2")]
    theirs = desk.ask("bob", "map")
    desk.let_all_end()
    ended(blocker, *tickets, theirs)
    assert desk.diary[:2] == ["a0", "map"]


def test_result_that_is_there_is_not_worked_again(desk: Desk) -> None:
    desk.results.put("map", "from before")
    assert ended(desk.ask("ann", "map")) == ["done"]
    assert (desk.diary, desk.results.get("map")) == ([], "from before")


def test_cancel_of_one_leaves_the_others_wait(desk: Desk) -> None:
    mine, theirs = desk.ask("ann", "map", steps=2), desk.ask("bob", "map", steps=2)
    mine.cancel()
    assert (mine.state, mine.is_over, theirs.state) == ("cancelled", True, "running")
    desk.let_all_end()
    assert ended(theirs) == ["done"]
    assert mine.state == "cancelled"


def test_last_cancel_stops_the_work_at_its_next_step(desk: Desk) -> None:
    ticket = desk.ask("ann", "map", steps=3)
    assert desk.begun["map"].wait(WAIT_S)
    ticket.cancel()
    again = desk.ask("ann", "map", steps=3)
    desk.let("map", 1)
    until(lambda: again.state == "running")
    assert desk.results.get("map") is None
    desk.let_all_end()
    assert ended(again) == ["done"]
    assert desk.diary == ["map"] * 4


def test_job_cancelled_before_its_turn_does_nothing(desk: Desk) -> None:
    blocker, ticket = desk.ask("ann", "a"), desk.ask("bob", "b")
    ticket.cancel()
    desk.let_all_end()
    assert ended(blocker, ticket) == ["done", "cancelled"]
    assert desk.diary == ["a"]


def test_paused_work_that_nobody_wants_ends_without_a_turn() -> None:
    desk = Desk(workers=1, turn_s=0.0)
    long = desk.ask("ann", "long", steps=2)
    quick = desk.ask("bob", "quick")
    desk.let("long")
    assert desk.begun["quick"].wait(WAIT_S)
    job = long._job
    long.cancel()
    assert job.finished.wait(WAIT_S)
    assert (job.state, quick.state) == ("cancelled", "running")
    desk.let_all_end()
    assert ended(quick) == ["done"]


def test_queue_of_a_visitor_is_bounded_and_says_so() -> None:
    desk = Desk(workers=1, most_waiting=2)
    tickets = [desk.ask("ann", name) for name in ("a0", "a1", "a2")]
    with pytest.raises(BusyError, match=r"2 pieces .* 2 is the most \(Mapping a1, Mapping a2\)"):
        desk.ask("ann", "a3")
    other = desk.ask("bob", "b")
    tickets[2].cancel()
    last = desk.ask("ann", "a3")
    desk.let_all_end()
    assert ended(tickets[0], tickets[1], other, last) == ["done"] * 4


def test_refused_request_leaves_nothing_behind() -> None:
    desk = Desk(workers=1, most_waiting=1)
    first, second = desk.ask("ann", "a0"), desk.ask("ann", "a1")
    with pytest.raises(BusyError):
        desk.ask("ann", "a2")
    theirs = desk.ask("bob", "a2")
    desk.let_all_end()
    assert ended(first, second, theirs) == ["done"] * 3


@pytest.mark.parametrize("error", [ImageReadError("broken"), ValueError("a defect")])
def test_failure_is_carried_to_everyone_who_waits(desk: Desk, error: Exception) -> None:
    blocker = desk.ask("ann", "a")

    def work(progress: Progress) -> str:
        raise error

    tickets = [desk.pool.ask(who, "ill", "Mapping", work) for who in ("bob", "cleo")]
    desk.let_all_end()
    assert ended(blocker, *tickets) == ["done", "failed", "failed"]
    assert [ticket.error for ticket in tickets] == [error, error]
    again = desk.ask("bob", "ill")
    desk.let_all_end()
    assert ended(again) == ["done"]


def test_work_that_cancels_itself_is_cancelled(desk: Desk) -> None:
    def work(progress: Progress) -> str:
        raise CancelledError("enough")

    ticket = desk.pool.ask("ann", "map", "Mapping", work)
    assert ended(ticket) == ["cancelled"]
    assert ticket.error is None


def test_visitor_who_is_gone_is_dropped(desk: Desk) -> None:
    mine, theirs = desk.ask("ann", "a"), desk.ask("bob", "b")
    shared = desk.ask("ann", "b")
    desk.pool.drop("ann")
    assert (mine.state, shared.state) == ("cancelled", "cancelled")
    desk.let_all_end()
    assert ended(theirs) == ["done"]
    assert desk.results.get("a") is None


def test_broken_connection_has_time_to_come_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "GRACE_S", 0.2)
    ticket = desk.ask("ann", "a", steps=2)
    desk.pool.leave("ann")
    desk.pool.stay("ann")
    time.sleep(0.3)
    assert ticket.state == "running"
    desk.pool.leave("ann")
    until(lambda: ticket.is_over)
    assert ticket.state == "cancelled"


def test_finished_work_is_not_held_by_its_ticket(desk: Desk) -> None:
    ticket = desk.ask("ann", "a")
    desk.let_all_end()
    ended(ticket)
    job: Job = ticket._job
    assert job.work is None


def test_threads_are_told_how_many_work() -> None:
    told: list[int] = []
    pool = Pool(Kept(1000), 2, 8, on_step=told.append)
    go_on = threading.Event()

    def work(progress: Progress) -> str:
        assert go_on.wait(WAIT_S)
        progress(1, 1, "")
        return "done"

    tickets = [pool.ask(who, who, "Mapping", work) for who in ("ann", "bob")]
    until(lambda: len(told) == 2)
    go_on.set()
    assert ended(*tickets) == ["done", "done"]
    assert told[0] in (1, 2)
    assert max(told) == 2
