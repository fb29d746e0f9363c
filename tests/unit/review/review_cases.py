"""Small maps that are sent to review."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
from numpy.typing import ArrayLike
from rasters import UTM
from shapely.geometry import Polygon, box

from n2m_core.checkpoints import CheckpointCard, ClassInfo, ImageStatistics
from n2m_core.geo_image import GeoImage
from n2m_core.lineage import TrainingRecord
from n2m_core.normalize import Normalization
from n2m_core.review import NewSource, Project, ReviewClass, Source, add_source, create_project
from n2m_core.tasks.result import MapResult

CLASSES = (
    ReviewClass(0, "background", "#000000", is_background=True),
    ReviewClass(1, "building", "#ff0000"),
    ReviewClass(2, "shed", "#00ff00"),
)


CARD = CheckpointCard(
    id="rule",
    title="Brightness rule",
    task="segment",
    classes=(ClassInfo("background", "#000000"), ClassInfo("building", "#ff0000")),
    bands=("red", "green", "blue"),
    resolution_m=0.5,
    normalization=Normalization("fixed", (0.0,), (255.0,)),
    noise_process="gaussian",
    schedule="ddpm",
    inference_timestep=0,
    mix_at_inference=False,
    backbone="compact",
    parameters=0,
    gflop_per_tile=0.0,
    training=TrainingRecord((), "", 0, 0, 0, "cpu", 0.0, "2026-01-01"),
    image_statistics=ImageStatistics((0.0,) * 3, (1.0,) * 3, (1.0,) * 3),
    license="Apache-2.0",
    limits="",
    sha256="0" * 64,
)


def square(column: float, row: float, side: float = 10.0) -> Polygon:
    """A square on the ground, placed in pixels of 0.5 m."""
    left, top = UTM @ (column, row)
    right, bottom = UTM @ (column + side, row + side)
    return box(left, bottom, right, top)


def frame_of(
    squares: int = 4, outlines: Sequence[Polygon] = (), **columns: object
) -> gpd.GeoDataFrame:
    """Squares of 5 m in a row, of less and less confidence."""
    values: dict[str, Any] = {
        "class_id": [1] * squares,
        "confidence": [0.9 - 0.1 * index for index in range(squares)],
        **columns,
    }
    shapes = outlines or [square(20 * index, 5) for index in range(squares)]
    return gpd.GeoDataFrame(values, geometry=list(shapes), crs="EPSG:32633")


def reviewed(
    folder: Path, squares: int = 4, outlines: Sequence[Polygon] = (), **columns: object
) -> tuple[Project, Source]:
    """A project with one map of squares and no pictures."""
    project = create_project(folder)
    new = NewSource("tile", "polygons", CLASSES, frame_of(squares, outlines, **columns))
    return project, add_source(project, new)


def map_result(labels: ArrayLike, confidence: float = 0.8) -> MapResult:
    """A map of buildings with one confidence everywhere, on UTM ground at 0.5 m."""
    classes = np.asarray(labels, np.uint8)
    pixels = np.stack([classes * 60 + 40 * band for band in range(3)]).astype(np.uint8)
    valid = np.ones(classes.shape, np.bool_)
    image = GeoImage(pixels, valid, "EPSG:32633", UTM, ("red", "green", "blue"), 0.5)
    building = np.where(classes == 1, confidence, 1 - confidence).astype(np.float32)
    probabilities = np.stack([1 - building, building])
    return MapResult(image, None, classes, probabilities, CARD, 0, False, ("a note",), 0.1)
