"""How the result of a map is told to a person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from n2m_core.cli.output import table


def path_text(path: Path | None) -> str | None:
    """A path for JSON."""
    return None if path is None else str(path)


def map_lines(payload: dict[str, Any]) -> list[str]:
    """The result of a segmentation or a change detection."""
    written = [payload[key] for key in ("out", "probabilities", "vector") if payload[key]]
    step = f"timestep {payload['timestep']}" + (", x_t mixed" if payload["mixed"] else "")
    head = (
        f"{payload['width']} x {payload['height']} px by {payload['checkpoint']} ({step}, "
        f"{payload['license']}) in {payload['seconds']:.1f} s"
    )
    return [head, *class_table(payload["classes"]), f"Wrote {', '.join(written)}"]


def class_table(classes: list[dict[str, Any]]) -> list[str]:
    """Share, pixels and area of every class."""
    rows = [
        (
            str(entry["name"]),
            f"{entry['share']:.1%}",
            f"{entry['pixels']} px",
            "" if entry["area_m2"] is None else f"{entry['area_m2']:.0f} m2",
        )
        for entry in classes
    ]
    return table(("class", "share", "pixels", "area"), rows)
