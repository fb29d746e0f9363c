"""Learning curves as CSV, appended row by row so that a killed run keeps what it had."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path


class Curve:
    """A CSV file of one row a step; rows of later steps than the resumed one are dropped."""

    def __init__(self, path: Path, step: int) -> None:
        """Open the file for a run that stands at that step."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [row for row in read_curve(path) if int(row["step"]) <= step] if step else []
        path.unlink(missing_ok=True)
        for row in kept:
            self.add(row)

    def add(self, row: Mapping[str, float | int | str]) -> None:
        """Append one row; the first one names the columns."""
        is_new = not self._path.exists()
        with self._path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if is_new:
                writer.writerow(row.keys())
            writer.writerow(f"{v:.6g}" if isinstance(v, float) else v for v in row.values())


def read_curve(path: Path) -> list[dict[str, str]]:
    """Read a curve; empty when there is none yet."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
