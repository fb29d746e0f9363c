"""Time to open a review project of 5,000 objects, and to step from one to the next."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely

from benchmarks.figures import Figure, report
from n2m_core.review import (
    NewSource,
    ReviewClass,
    add_source,
    create_project,
    decide,
    join,
    next_object,
    numbers_of,
    objects_in,
    open_project,
    progress,
    sources,
)

OBJECTS, JUDGED, STEPS, OPENINGS = 5_000, 500, 50, 5


def scene() -> NewSource:
    """Squares of 10 m in a lattice over a town, with confidences of a seed."""
    columns, rows = np.meshgrid(np.arange(100), np.arange(OBJECTS // 100))
    west, south = 500_000 + 20.0 * columns.ravel(), 5_000_000 + 20.0 * rows.ravel()
    outlines = shapely.box(west, south, west + 10, south + 10)
    confidence = np.random.default_rng(0).uniform(0.4, 1.0, OBJECTS)
    frame = gpd.GeoDataFrame(
        {"class_id": np.ones(OBJECTS, np.int64), "confidence": confidence},
        geometry=outlines,
        crs="EPSG:32633",
    )
    classes = (ReviewClass(0, "background", "#000000", True), ReviewClass(1, "building", "#ff0000"))
    return NewSource("town", "polygons", classes, frame)


def timed(work: Callable[[], object], repeats: int) -> float:
    """Median of the seconds that calls take."""
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def main() -> None:
    """Measure import, opening, stepping and the numbers of the report."""
    folder = Path(tempfile.mkdtemp(prefix="n2m-bench-"))
    try:
        report(*measure(folder))
    finally:
        shutil.rmtree(folder)


def measure(folder: Path) -> tuple[str, str, list[Figure]]:
    """Work through a project as the desk does."""
    project = create_project(folder, "bench")
    started = time.perf_counter()
    source = add_source(project, scene())
    import_s = time.perf_counter() - started
    ann = join(project, "Ann")
    for number in range(1, JUDGED + 1):
        decide(project, number, ann, verdict="right" if number % 5 else "wrong")
    project.close()

    def open_desk() -> None:
        again = open_project(folder)
        sources(again)
        progress(again)
        next_object(again, ann)
        again.close()

    open_s = timed(open_desk, OPENINGS)
    project = open_project(folder)
    at = next_object(project, ann)

    def step() -> None:
        nonlocal at
        assert at is not None
        decide(project, at.id, ann, verdict="right", seen=at.version)
        at = next_object(project, ann, at.id)
        assert at is not None
        objects_in(project, source.id, at.outline.buffer(100).bounds, ann)
        progress(project)

    step_s = timed(step, STEPS)
    numbers_s = timed(lambda: numbers_of(project), 1)
    return (
        f"Review of {OBJECTS:,} objects",
        f"{JUDGED:,} of them judged; opening reads maps, progress and the first object, a step "
        f"writes a verdict and reads progress, the next object and those around it; median of "
        f"{OPENINGS} openings and {STEPS} steps. Pictures are not part of it.",
        [
            Figure("Opening the project", open_s, "s", at_most=2),
            Figure("A step at the desk", step_s, "s", at_most=0.5),
            Figure("Sending the objects to review", import_s, "s"),
            Figure("All numbers of the report", numbers_s, "s"),
        ],
    )


if __name__ == "__main__":
    main()
