"""The one place where an exception becomes a sentence on the page.

An `N2MError` is a person's mistake: its text says what was wrong and what to do. Anything else is
a defect of ours: the log gets the traceback, the page a short message with the reference to it.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from n2m_core import errors as core

_LOG = logging.getLogger(__name__)

_TITLES: dict[type[core.N2MError], str] = {
    core.ImageReadError: "This file could not be read",
    core.ImageTooLargeError: "This image is too large",
    core.BandError: "The bands do not fit",
    core.NoOverlapError: "The two images do not overlap",
    core.GridError: "The image grid cannot be used",
    core.LabelError: "The truth labels cannot be used",
    core.ParameterError: "An option is out of range",
    core.CheckpointError: "The checkpoint cannot be used",
    core.DatasetError: "The samples are incomplete",
    core.OutputError: "The result could not be written",
    core.BusyError: "Too much is waiting",
    core.ReviewConflictError: "Look again",
    core.ReviewError: "The review project cannot be used",
}


def show(error: Exception) -> None:
    """Show an error: the person's with its own sentence, ours with a reference to the log."""
    if isinstance(error, core.CancelledError):
        st.info("Stopped. Change a choice or run it again.", icon=":material/stop_circle:")
    elif isinstance(error, core.N2MError):
        st.error(f"**{_title(error)}.** {plain(str(error))}", icon=":material/error:")
    else:
        reference = uuid.uuid4().hex[:8]
        _LOG.error("Unexpected error %s", reference, exc_info=error)
        st.error(
            "**Something went wrong on our side.** Your files and choices are untouched. "
            f"The server's log has the details under {reference}.",
            icon=":material/error:",
        )


def caught(error: Exception) -> bool:
    """Show what a page raised outside its guarded parts; tells Streamlit that it was shown."""
    show(error)
    return True


def plain(text: str) -> str:
    """Take the Markdown out of a text, because file names may hold any character."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>$#|~:" else letter for letter in text)


def _title(error: core.N2MError) -> str:
    """The headline of the nearest named kind of error."""
    kinds = (_TITLES[kind] for kind in type(error).__mro__ if kind in _TITLES)
    return next(kinds, "This did not work")


@contextmanager
def guard() -> Iterator[None]:
    """Run a part of a page; whatever it raises is shown in its place and the rest goes on."""
    try:
        yield
    except Exception as error:  # the page's one broad handler: everything is shown or logged
        show(error)
