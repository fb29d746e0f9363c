"""Where tracebacks go: a log file, and stderr too with `--debug`."""

from __future__ import annotations

import logging
import os
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TextIO

LOG_BYTES = 1_000_000
OURS = "n2m_core"


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Our own lines on stderr, told from handlers that others have set."""


def log_path() -> Path:
    """Give the log file: $N2M_LOG, else the usual place for a person's program state."""
    named = os.environ.get("N2M_LOG")
    if named:
        return Path(named)
    base = os.environ.get("XDG_STATE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".local" / "state") / "noise2map" / "n2m.log"


def set_up(*, is_debug: bool) -> None:
    """Send our log and everybody's warnings to the file; warnings of ours to stderr as well."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, RotatingFileHandler | _StderrHandler):
            root.removeHandler(handler)
            handler.close()
    logging.captureWarnings(True)
    logging.getLogger(OURS).setLevel(logging.DEBUG)
    to_person = _StderrHandler()
    to_person.setLevel(logging.DEBUG if is_debug else logging.WARNING)
    to_person.addFilter(_is_ours)
    to_person.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root.addHandler(to_person)
    try:
        path = log_path()
        path.parent.mkdir(parents=True, exist_ok=True)
        to_file = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8")
    except OSError:
        # A read-only home is no reason to refuse the work.
        return
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root.addHandler(to_file)


def show_information() -> None:
    """Show what a long run reports, not only its warnings, on stderr."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _StderrHandler):
            handler.setLevel(min(handler.level, logging.INFO))


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether a record is from this program; other packages' go to the file alone."""
    return record.name.split(".")[0] == OURS
