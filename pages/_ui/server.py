"""What the server offers beside the pages: one route, for the full resolution of large scenes."""

from __future__ import annotations

import streamlit as st
from starlette.routing import Route
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages._ui import detail


def is_starting() -> bool:
    """Whether `app.py` is imported by the server, and not run for a visitor."""
    return get_script_run_ctx(suppress_warning=True) is None


def routes() -> list[Route]:
    """The routes, below the same prefix as the pages: the maps ask by a relative address."""
    base = st.get_option("server.baseUrlPath").strip("/")
    prefix = f"/{base}" if base else ""
    return [Route(f"{prefix}/detail/{{token}}", detail.answer)]
