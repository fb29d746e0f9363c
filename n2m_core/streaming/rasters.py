"""What is written of a map: classes, probabilities, confidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from n2m_core.checkpoints import CheckpointCard
from n2m_core.geo_image import GeoImage, Mask
from n2m_core.raster_io import PartSpec, header_of
from n2m_core.render import hex_to_rgb
from n2m_core.tasks.labelling import make_labels
from n2m_core.tasks.lattice import FloatArray
from n2m_core.tasks.result import INVALID

CLASSES, PROBABILITIES, CONFIDENCE = "classes", "probabilities", "confidence"
UNCERTAINTY = "uncertainty"
CONFIDENCE_STEPS = 65_535
"""Confidence is kept as uint16 while a scene is mapped; the mean of an area loses nothing by it."""
CHUNK_ROWS = 256


def class_raster(header: GeoImage, card: CheckpointCard, tags: Mapping[str, str]) -> PartSpec:
    """Describe a raster of classes."""
    colors = {index: hex_to_rgb(entry.color) for index, entry in enumerate(card.classes)}
    grid = like(header, ("class",), np.uint8)
    return PartSpec(grid, INVALID, INVALID, colors, tags)


def probability_raster(
    header: GeoImage, names: tuple[str, ...], tags: Mapping[str, str]
) -> PartSpec:
    """Describe a raster of float32 bands, NaN where there is no data."""
    return PartSpec(like(header, names, np.float32), np.nan, np.nan, None, tags)


def confidence_raster(header: GeoImage) -> PartSpec:
    """Describe the raster that keeps the confidence until areas are traced."""
    return PartSpec(like(header, (CONFIDENCE,), np.uint16), None, 0, None, {})


def like(header: GeoImage, names: tuple[str, ...], dtype: type[np.generic]) -> GeoImage:
    """Describe other bands on the same grid."""
    shape = header.valid.shape
    made = header_of((shape[0], shape[1]), header.crs, header.transform, names, np.dtype(dtype))
    return replace(made, resolution_m=header.resolution_m)


def map_bands(
    rows_of: Callable[[int, int], FloatArray],
    valid: Mask,
    card: CheckpointCard,
    threshold: float | None,
    extras: Sequence[str],
) -> dict[str, NDArray[Any]]:
    """Turn a block's probabilities into what is written, some rows at a time.

    Args:
        rows_of: gives probabilities float32 [K, rows, W] of the rows from one to another.
        valid: where the block has data, bool [H, W].
        card: of the checkpoint.
        threshold: least probability of the target; the likeliest class when None.
        extras: rasters beside the classes.

    Returns:
        Pixels [C, H, W] by the name of the raster.
    """
    kept: dict[str, list[NDArray[Any]]] = {CLASSES: [], **{name: [] for name in extras}}
    for first in range(0, len(valid), CHUNK_ROWS):
        stop = min(len(valid), first + CHUNK_ROWS)
        is_data = valid[first:stop]
        probabilities = rows_of(first, stop)
        labels = make_labels(probabilities, is_data, card, threshold)
        kept[CLASSES].append(labels[None])
        if PROBABILITIES in kept:
            kept[PROBABILITIES].append(np.where(is_data, probabilities, np.float32(np.nan)))
        if CONFIDENCE in kept:
            shown = np.where(is_data, labels, 0)[None].astype(np.intp)
            share = np.take_along_axis(probabilities, shown, axis=0)
            steps = np.rint(np.where(is_data, share, 0).clip(0, 1) * CONFIDENCE_STEPS)
            kept[CONFIDENCE].append(steps.astype(np.uint16))
    return {name: np.concatenate(parts, axis=1) for name, parts in kept.items()}
