"""Checks on the files that a command is to write, made before any work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from n2m_core.errors import OutputError

RASTER_SUFFIXES = (".tif", ".tiff")
VECTOR_SUFFIXES = (".geojson", ".json", ".gpkg")


def check_outputs(
    outputs: Mapping[str, tuple[Path | None, Sequence[str]]], inputs: Sequence[Path]
) -> None:
    """Refuse outputs that could not be written or would destroy something.

    Args:
        outputs: option -> (path or None, suffixes allowed).
        inputs: files that the command reads.

    Raises:
        OutputError: a wrong suffix, a missing folder, a folder in the place of the file, an input
            or the same file named twice.
    """
    seen: dict[Path, str] = {path.resolve(): "an input" for path in inputs}
    for option, (path, suffixes) in outputs.items():
        if path is None:
            continue
        if path.suffix.lower() not in suffixes:
            raise OutputError(
                f"{option} {path.name} ends in {path.suffix or 'nothing'}; "
                f"it must end in {' or '.join(suffixes)}."
            )
        if path.is_dir():
            raise OutputError(f"{option} {path} is a folder; give the name of a file.")
        if not path.parent.is_dir():
            raise OutputError(f"{option}: there is no folder {path.parent}; make it first.")
        if path.resolve() in seen:
            raise OutputError(
                f"{option} {path} is {seen[path.resolve()]} as well; give another name."
            )
        seen[path.resolve()] = f"the file of {option}"
