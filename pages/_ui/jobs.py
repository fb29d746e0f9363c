"""Long work outside the script run: progress, cancel, results that outlive a rerun.

Streamlit ends a running script at any click, and its result with it. So the models run in worker
threads of the server (see `pool`), a page shows how far its job is, and a finished result is kept
for every visitor who asks the same. What a visitor waits for is given up when the session ends.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import streamlit as st

from n2m_core.geo_image import Progress
from pages._ui import settings
from pages._ui.callbacks import whole
from pages._ui.kept import Kept
from pages._ui.pool import Pool, Ticket

T = TypeVar("T")

_PATIENCE_S = 1.5
_POLL_S = 0.3


@st.cache_resource(show_spinner=False)
def _pool() -> Pool:
    """The server's workers."""
    return Pool(
        Kept(settings.keep_bytes()), settings.workers(), settings.queue(), on_step=share_cores
    )


def results() -> Kept:
    """The server's finished results; to be asked for by the page, which hands them to its work."""
    return _pool().results


def share_cores(running: int) -> None:
    """Give a worker's thread its part of the cores, once torch is there.

    Two jobs with as many threads each as there are cores wait for each other more than they work;
    one job alone gets them all. `OMP_NUM_THREADS` says how many there are for us.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return
    stated = os.environ.get("OMP_NUM_THREADS", "")
    cores = int(stated) if stated.isdigit() else os.cpu_count() or 1
    wanted = max(1, cores // max(1, running))
    if torch.get_num_threads() != wanted:  # of this thread; setting it empties a cache of oneDNN
        torch.set_num_threads(wanted)


@dataclass(frozen=True, eq=False)
class _Presence:
    """A visitor whose browser is connected."""

    pool: Pool
    visitor: str

    def end(self) -> None:
        """Take note that the connection is gone."""
        self.pool.leave(self.visitor)


@st.cache_resource(scope="session", show_spinner=False, on_release=lambda each: each.end())
def _presence(visitor: str) -> _Presence:
    """Note a visitor for as long as the connection lasts."""
    pool = _pool()
    pool.stay(visitor)
    return _Presence(pool, visitor)


def _visitor() -> str:
    """The name of this session, which it keeps when its connection broke and is there again."""
    own: str = st.session_state.setdefault("jobs.visitor", secrets.token_hex(8))
    return _presence(own).visitor


def result_of(slot: str, key: str, title: str, work: Callable[[Progress], T]) -> T | None:
    """Give the result of some work, or show its progress here and give None.

    Args:
        slot: the page's place for the job; another job in the same slot replaces it.
        key: names the inputs; equal keys share one result.
        title: what is being done, shown to the person.
        work: called in a worker thread, beside others that may use the same model; must not touch
            Streamlit, nor change what it shares.

    Raises:
        N2MError: the work refused its input, or too much of this visitor's work is waiting. Other
            exceptions are passed on as they are.
    """
    kept = results().get(key)
    if kept is not None:
        st.session_state.pop(f"{slot}.job", None)
        return cast(T, kept)
    ticket = _ticket_in(slot, key, title, work)
    if ticket.state == "failed" and ticket.error is not None:
        raise ticket.error
    if ticket.state == "cancelled":
        _offer_again(slot)
        return None
    kept = results().get(key)
    if kept is not None:
        return cast(T, kept)
    _watch(slot, ticket)
    return None


def stop(slot: str) -> None:
    """End the job of a slot, so that a worker is free for what matters more."""
    held = st.session_state.pop(f"{slot}.job", None)
    if held is not None:
        held.cancel()


def _ticket_in(slot: str, key: str, title: str, work: Callable[[Progress], T]) -> Ticket[T]:
    """The slot's job for this key; asked for, and waited for a moment, when it is not there yet."""
    held: Ticket[T] | None = st.session_state.get(f"{slot}.job")
    # A result that others' newer ones have pushed out since is made again.
    if held is not None and held.key == key and held.state != "done":
        return held
    if held is not None:
        held.cancel()
    ticket = _pool().ask(_visitor(), key, title, work)
    st.session_state[f"{slot}.job"] = ticket
    ticket.wait(_PATIENCE_S)
    return ticket


def _offer_again(slot: str) -> None:
    """Say that the job was stopped, with the way to start it again."""
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown("Stopped before it was finished.")
        st.button(
            "Run again",
            icon=":material/replay:",
            key=f"{slot}.again",
            on_click=_forget,
            args=(slot,),
        )


@whole
def _forget(slot: str) -> None:
    """Let a slot's job be asked for again."""
    st.session_state.pop(f"{slot}.job", None)


@st.fragment(run_every=_POLL_S)
def _watch(slot: str, ticket: Ticket[Any]) -> None:
    """Show the progress until the job is finished, then run the page again."""
    if ticket.is_over:
        st.rerun()
    with st.container(border=True, key=f"{slot.replace('.', '-')}-progress"):
        text = "Waiting for its turn" if ticket.state == "waiting" else ticket.title
        st.progress(ticket.share, text=f"{text}  ·  {ticket.note}" if ticket.note else text)
        st.button("Cancel", icon=":material/close:", key=f"{slot}.cancel", on_click=ticket.cancel)
