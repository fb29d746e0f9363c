"""Callbacks that another run of the page breaks off come to their end all the same."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from streamlit.runtime.scriptrunner import RerunException
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData
from streamlit.testing.v1 import AppTest

from pages._ui.callbacks import MOST_TRIES, whole

ROOT = Path(__file__).resolve().parents[2]


def test_a_callback_that_is_broken_off_is_called_again_and_the_run_is_kept() -> None:
    done: list[str] = []

    @whole
    def callback(word: str) -> None:
        done.append("begun")
        if done.count("begun") < 3:
            raise RerunException(RerunData(query_string=str(len(done))))
        done.append(word)

    with pytest.raises(RerunException) as asked:
        callback("ended")
    assert done == ["begun", "begun", "begun", "ended"]
    assert asked.value.rerun_data.query_string == "2"


def test_a_run_of_the_page_counts_more_than_one_of_a_part() -> None:
    wanted = [RerunData(query_string="page"), RerunData(fragment_id_queue=["part"])]

    @whole
    def callback() -> None:
        if wanted:
            raise RerunException(wanted.pop(0))

    with pytest.raises(RerunException) as asked:
        callback()
    assert asked.value.rerun_data.query_string == "page"


def test_a_callback_that_always_asks_for_a_run_ends() -> None:
    calls: list[None] = []

    @whole
    def callback() -> None:
        calls.append(None)
        raise RerunException(RerunData())

    with pytest.raises(RerunException):
        callback()
    assert len(calls) == MOST_TRIES


def test_an_undisturbed_callback_is_called_once() -> None:
    calls: list[None] = []
    whole(lambda: calls.append(None))()
    assert len(calls) == 1


def test_a_run_that_is_asked_for_does_not_stop_the_one_before() -> None:
    """Where it did, a callback could not come to its end however often it is called."""
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert config["runner"]["fastReruns"] is False


def _page() -> None:
    import streamlit as st

    from pages._ui import presses

    st.session_state.runs = st.session_state.get("runs", 0) + 1
    if st.session_state.runs == 2:
        st.rerun()  # another run begins before this one has come to the button

    def act() -> None:
        if st.session_state.runs == 3:
            st.rerun()  # and one more before what was asked for is done
        st.session_state.presses = st.session_state.get("presses", 0) + 1

    presses.button("Go", "go", act)


def test_a_press_outlives_runs_that_do_not_come_to_its_end() -> None:
    app = AppTest.from_function(_page).run()
    app.button(key="go").click().run()
    assert app.session_state.runs == 4
    assert app.session_state.presses == 1
    app.run()
    assert app.session_state.presses == 1


def _refusing_page() -> None:
    from pages._ui import presses

    def refuse() -> None:
        raise ValueError("not this one")

    presses.button("Go", "go", refuse)


def test_a_refusal_is_told_once() -> None:
    app = AppTest.from_function(_refusing_page).run()
    app.button(key="go").click().run()
    assert len(app.exception) == 1
    assert not app.run().exception
