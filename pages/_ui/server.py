"""What the server offers beside the pages: one route, for the full resolution of large scenes."""

from __future__ import annotations

import gc
import importlib
import threading

import streamlit as st
from starlette.routing import Route
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages._ui import detail


def is_starting() -> bool:
    """Whether `app.py` is imported by the server, and not run for a visitor."""
    return get_script_run_ctx(suppress_warning=True) is None


def warm_up() -> None:
    """Import the slow packages while the server starts, so that the first visitor need not wait."""
    threading.Thread(target=_import_slow_packages, name="n2m-warm-up", daemon=True).start()


def _import_slow_packages() -> None:
    """Import what the first map needs, and spare the garbage collector from looking through it.

    The packages are hundreds of thousands of objects that stay; a full collection that visits them
    takes half a second, in which nobody else is served.
    """
    importlib.import_module("n2m_core.tasks.change")
    gc.collect()
    gc.freeze()


def routes() -> list[Route]:
    """The routes, below the same prefix as the pages: the maps ask by a relative address."""
    base = st.get_option("server.baseUrlPath").strip("/")
    prefix = f"/{base}" if base else ""
    return [Route(f"{prefix}/detail/{{token}}", detail.answer)]
