"""Take a review home: corrected polygons and masks, the report, a backup; made when asked for."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path

import streamlit as st

from n2m_core.review import (
    Project,
    Source,
    backup,
    export_polygons,
    sources,
    write_masks,
    write_report,
)
from pages._ui import downloads, frame, state
from pages._ui.downloads import File
from pages._ui.exports import file_stem


def show(project: Project) -> None:
    """Draw the tab."""
    known = {each.id: each for each in sources(project)}
    if not known:
        frame.empty("Nothing to take home yet", "Send a map to review first.")
        return
    _of_one_map(project, known)
    st.subheader("The whole project", anchor=False)
    has_pictures = any(each.image is not None and each.map is not None for each in known.values())
    files = [
        File("Report", "_report.html", lambda: report(project, ".html")),
        File("Report as PDF", ".pdf", lambda: report(project, ".pdf")),
        File("Backup", ".gpkg", lambda: database(project), "save"),
    ]
    if has_pictures:
        key = state.prepare("rev.w.unjudged", False)
        is_kept = state.keep(
            key,
            st.checkbox("Masks take the map's word for objects that nobody has judged", key=key),
        )
        to_train_on = File("Masks to train on", "_masks.zip", lambda: masks(project, is_kept))
        files.insert(0, to_train_on)
    downloads.row("rev", "rev-project-exports", file_stem(project.title), files)
    frame.quiet(
        "The masks come in the folders that n2m train reads; what nobody has judged is left out of "
        "them unless you say otherwise. The report holds maps, numbers, settings and licence in "
        "one file. The backup is the database with every decision, which any GIS opens; the "
        "pictures stay in the project's folder."
    )


def _of_one_map(project: Project, known: dict[int, Source]) -> None:
    """Corrected polygons of one map."""
    st.subheader("Corrected polygons", anchor=False)
    key = state.prepare("rev.w.out", next(iter(known)), list(known))
    picked = state.keep(
        key,
        st.selectbox("Map", list(known), key=key, format_func=lambda each: known[each].name),
    )
    files = (
        File("GeoPackage", ".gpkg", lambda: polygons(project, picked, ".gpkg")),
        File("GeoJSON", ".geojson", lambda: polygons(project, picked, ".geojson")),
    )
    stem = f"{file_stem(known[picked].name)}_reviewed"
    downloads.row("rev", "rev-polygons-exports", stem, files)
    frame.quiet(
        "What was judged wrong is left out, unless class or outline were corrected with that "
        "verdict or after it. Each polygon carries class, area, who decided last, when, and the "
        "map's own class."
    )


def polygons(project: Project, source_id: int, suffix: str) -> bytes:
    """The corrected polygons of a map as .gpkg or .geojson."""
    with tempfile.TemporaryDirectory(prefix="n2m-") as folder:
        path = Path(folder) / f"reviewed{suffix}"
        export_polygons(project, source_id, path)
        return path.read_bytes()


def report(project: Project, suffix: str) -> bytes:
    """The report as .html or .pdf."""
    with tempfile.TemporaryDirectory(prefix="n2m-") as folder:
        path = Path(folder) / f"report{suffix}"
        write_report(project, path)
        return path.read_bytes()


def database(project: Project) -> bytes:
    """A copy of the database, taken while people go on working."""
    with tempfile.TemporaryDirectory(prefix="n2m-") as folder:
        return backup(project, Path(folder) / "backup.gpkg").read_bytes()


def masks(project: Project, is_kept: bool) -> bytes:
    """Images and corrected masks as a ZIP; `is_kept` takes the map's word for what is open."""
    stream = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="n2m-") as folder:
        out = Path(folder) / "masks"
        written = write_masks(project, out, keep_unjudged=is_kept)
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as files:
            for path in written:
                files.write(path, path.relative_to(out).as_posix())
    return stream.getvalue()
