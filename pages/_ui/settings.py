"""What the person who runs the server can set: numbers from the environment, checked when read.

| variable | what it limits |
|---|---|
| `N2M_WORKERS` | pieces of work that run at a time; two, or one on a single core |
| `N2M_QUEUE` | pieces of work of one visitor that may wait |
| `N2M_KEEP_MB` | memory for finished results, MB; images, their detail and maps get half each |
| `N2M_AREA_MP` | largest area that a page works on, megapixels; larger scenes are cut |
| `N2M_OPEN_PATHS` | folder on the server whose images visitors may open by their path |
"""

from __future__ import annotations

import os

from n2m_core.errors import ParameterError


def workers() -> int:
    """Pieces of work that run at a time."""
    return _whole("N2M_WORKERS", min(2, os.cpu_count() or 1), least=1)


def queue() -> int:
    """Pieces of work of one visitor that may wait."""
    return _whole("N2M_QUEUE", 8, least=1)


def keep_bytes() -> int:
    """Memory for finished results, bytes."""
    return _whole("N2M_KEEP_MB", 1000, least=1) * 1_000_000


def area_px() -> int:
    """Largest area that a page works on, pixels."""
    return _whole("N2M_AREA_MP", 16, least=1) * 1_000_000


def _whole(name: str, default: int, *, least: int) -> int:
    """Read a whole number; the default where the variable is empty or not there.

    Raises:
        ParameterError: it is something else, or too small.
    """
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise ParameterError(f"{name} is {text!r}; give a whole number of at least {least}.")
    return int(text)
