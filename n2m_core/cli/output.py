"""What the commands say: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from typing import Any

import typer

BAR_CELLS = 24
REDRAW_S = 0.1
LINE_S = 30.0
"""Where stderr is a file, progress is a line this often."""


class Output:
    """One command's output: a JSON object, or lines for a person, and a progress bar."""

    def __init__(self, *, is_json: bool) -> None:
        """Begin silently."""
        self._is_json = is_json
        self._is_terminal = sys.stderr.isatty()
        self._drawn_at = time.monotonic() - LINE_S + 2.0
        self._has_bar = False

    def progress(self, done: int, total: int, note: str) -> None:
        """Show how far the work is, on stderr."""
        now = time.monotonic()
        if now - self._drawn_at < (REDRAW_S if self._is_terminal else LINE_S) and done < total:
            return
        if not self._is_terminal and done >= total:
            return
        self._drawn_at = now
        text = f"{done}/{total} {note}"
        if not self._is_terminal:
            typer.echo(text, err=True)
            return
        filled = round(BAR_CELLS * done / max(1, total))
        bar = "#" * filled + "-" * (BAR_CELLS - filled)
        typer.echo(f"\r\x1b[2K[{bar}] {text[:60]}", err=True, nl=False)
        self._has_bar = True

    def finish(self, payload: dict[str, Any], lines: Iterable[str], notes: Iterable[str]) -> None:
        """Print the result.

        Args:
            payload: the JSON object; printed alone when JSON was asked for.
            lines: the same for a person.
            notes: what else a person should know; on stderr, left out with JSON.
        """
        self.clear()
        if self._is_json:
            typer.echo(json.dumps(payload, ensure_ascii=False, allow_nan=False))
            return
        for line in lines:
            typer.echo(line)
        for note in notes:
            typer.echo(f"Note: {note}", err=True)

    def clear(self) -> None:
        """Take the progress bar away."""
        if self._has_bar:
            typer.echo("\r\x1b[2K", err=True, nl=False)
            self._has_bar = False


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Align columns: the first to the left, the others to the right."""
    cells = [header, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def score(value: float | None) -> str:
    """A score with three digits, or a dash for one that does not exist."""
    return "-" if value is None else f"{value:.3f}"
