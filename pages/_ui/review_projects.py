"""Which review project a person works on, and under which name: folders below the reviews folder.

Everybody who can open the app's pages can open its projects; reviewers share them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from n2m_core.errors import ParameterError
from pages._ui import presses, state

if TYPE_CHECKING:
    from n2m_core.review import Project, Reviewer

PROJECT, REVIEWER = "rev.project", "rev.reviewer"
"""Keys of the fields on the page Review; other pages leave their choice there."""
FILE = "review.gpkg"
"""The database of a project, as `n2m_core.review` names it; asking that would load much."""
_NAME = re.compile(r"\w[\w .-]{0,59}")


def reviews_folder() -> Path:
    """The folder of all projects: $N2M_REVIEWS, else `reviews/` beside the app."""
    named = os.environ.get("N2M_REVIEWS")
    return Path(named) if named else Path(__file__).resolve().parents[2] / "reviews"


def folder_of(name: str) -> Path:
    """The folder of a project.

    Raises:
        ParameterError: the name could lead out of the reviews folder, or is none.
    """
    name = name.strip()
    if not _NAME.fullmatch(name) or ".." in name or name.endswith("."):
        raise ParameterError(
            f"A project can't be called {name[:60]!r}; take up to 60 letters, digits, spaces, "
            "hyphens and dots, beginning with a letter or a digit."
        )
    return reviews_folder() / name


def names() -> list[str]:
    """The projects that are there, by name."""
    return sorted(path.parent.name for path in reviews_folder().glob(f"*/{FILE}"))


def open_named(name: str, *, make: bool = False) -> Project:
    """Open a project, which all sessions of the server share.

    Args:
        name: of its folder.
        make: whether to make it when it is not there.

    Raises:
        ParameterError: the name is none for a project.
        ReviewError: the project is missing, damaged, newer or can't be written to.
    """
    from n2m_core.review import is_project, open_or_create

    folder = folder_of(name)
    if make and not is_project(folder):
        _make_reviews_folder()
        open_or_create(folder, name.strip()).close()
    return _opened(folder)


def _make_reviews_folder() -> None:
    """Make the folder of all projects, for this account alone.

    Raises:
        ReviewError: it can't be made.
    """
    from n2m_core.errors import ReviewError

    try:
        reviews_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as e:
        raise ReviewError(
            f"{reviews_folder()} can't be made ({e.strerror}); name another folder in N2M_REVIEWS."
        ) from e


@st.cache_resource(max_entries=16, show_spinner=False, on_release=lambda held: held.close())
def _opened(folder: Path) -> Project:
    """Open and check a project once for the whole server."""
    from n2m_core.review import open_project

    return open_project(folder)


def ask(prefix: str) -> tuple[str, str]:
    """Show the fields for project and reviewer; gives what stands in them.

    Args:
        prefix: of the fields' keys, "rev" on the page Review.
    """
    known = names()
    project_key, reviewer_key = f"{prefix}.project", f"{prefix}.reviewer"
    kept = st.session_state.get(f"{PROJECT}.kept", next(iter(known), None))
    first, second = st.columns(2)
    with first:
        key = state.prepare(project_key, kept)
        options = sorted({*known, *filter(None, [st.session_state[key]])})
        project = st.selectbox(
            "Project",
            options,
            key=key,
            accept_new_options=True,
            placeholder="Choose one, or type a new name",
            help="A folder on the server. Type a name that isn't there to make a new one.",
        )
    with second:
        reviewer = st.text_input(
            "Your name",
            key=state.prepare(reviewer_key, st.session_state.get(f"{REVIEWER}.kept", "")),
            max_chars=80,
            placeholder="Decisions are kept under it",
        )
    for key, value in ((project_key, project), (reviewer_key, reviewer)):
        state.keep(key, value)
    return (project or "").strip(), " ".join(reviewer.split())


def remember(project: str, reviewer: str) -> None:
    """Let the page Review open with a project and a name."""
    for key, value in ((PROJECT, project), (REVIEWER, reviewer)):
        st.session_state[f"{key}.kept"] = value
        st.session_state.pop(key, None)


def opened() -> tuple[Project, Reviewer] | None:
    """The project that the person opened on the page Review; None while none is open.

    Raises:
        N2MError: it can't be opened, or the name is none for a reviewer.
    """
    asked = state.from_link("rev")
    if {"project", "reviewer"} <= asked.keys():
        remember(asked["project"], asked["reviewer"])
        st.session_state["rev.open"] = (asked["project"], asked["reviewer"])
    left, right = st.columns([5, 1], vertical_alignment="bottom")
    with left:
        chosen = ask("rev")
    label = "Make it" if chosen[0] and chosen[0] not in names() else "Open"

    def open_chosen() -> None:
        """Take the press: make the project where it isn't there."""
        if all(chosen):
            open_named(chosen[0], make=True)
        st.session_state["rev.open"] = chosen

    with right:
        presses.button(label, "rev.open.button", open_chosen, type="primary", width="stretch")
    if not all(chosen) or st.session_state.get("rev.open") != chosen:
        return None
    project = open_named(chosen[0])
    state.write_link("rev", {"project": chosen[0], "reviewer": chosen[1]})
    return project, _joined(project, chosen[1])


def _joined(project: Project, name: str) -> Reviewer:
    """Sit down under a name, once for a session."""
    from n2m_core.review import join

    held = st.session_state.get("rev.joined")
    if held is None or held[:2] != (project, name):
        held = project, name, join(project, name)
        st.session_state["rev.joined"] = held
    reviewer: Reviewer = held[2]
    return reviewer
