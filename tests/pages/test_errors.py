"""The one table from errors to sentences."""

from __future__ import annotations

import logging

import pytest
from streamlit.testing.v1 import AppTest

from pages._ui.errors import plain


def raising() -> None:
    import streamlit as st

    from n2m_core import errors as core
    from pages._ui import errors

    kinds = {
        "read": core.ImageReadError("The file a_b.tif is *no* image; give a GeoTIFF."),
        "bands": core.BandError("Two bands."),
        "other": core.N2MError("Something else."),
        "stopped": core.CancelledError("Stopped."),
        "ours": ZeroDivisionError("secret detail"),
    }
    with errors.guard():
        raise kinds[st.session_state["kind"]]
    st.text("and on it goes")


def shown(kind: str) -> AppTest:
    app = AppTest.from_function(raising)
    app.session_state["kind"] = kind
    app.run()
    assert not app.exception
    assert [each.value for each in app.text] == ["and on it goes"]
    return app


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        ("read", "This file could not be read."),
        ("bands", "The bands do not fit."),
        ("other", "This did not work."),
    ],
)
def test_mistakes_have_a_title_and_their_own_sentence(kind: str, title: str) -> None:
    (error,) = shown(kind).error
    assert error.value.startswith(f"**{title}** ")


def test_sentences_keep_their_letters() -> None:
    (error,) = shown("read").error
    assert r"a\_b.tif is \*no\* image" in error.value


def test_stopping_is_no_error() -> None:
    app = shown("stopped")
    assert not app.error
    assert len(app.info) == 1


def test_defects_are_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="pages._ui.errors"):
        (error,) = shown("ours").error
    assert "secret detail" not in error.value
    record = caplog.records[-1]
    assert record.exc_info is not None
    assert record.getMessage().split()[-1] in error.value


def test_plain_escapes_markdown() -> None:
    assert plain("a*b [c](d) $e$") == r"a\*b \[c\](d) \$e\$"
