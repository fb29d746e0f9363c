"""The trained checkpoints' maps do not depend on how a scene was cut."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray

from n2m_core.checkpoints import CheckpointCard, LoadedModel, list_cards, load
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import read_image
from n2m_core.scenes import held_out, held_out_pairs
from n2m_core.tasks import change, segment

CARDS = [card for card in list_cards() if card.task in ("segment", "change")]
SHARP = [card for card in CARDS if card.resolution_m <= 2.0]
"""Those for whose resolution scenes can be drawn."""
LEAST_AGREEMENT = 0.985
CUT_PX = 64
"""Pixels nearer to a cut than this do not count."""
SATELLITE_PX = 640


def cut(image: GeoImage, rows: slice, columns: slice) -> GeoImage:
    """A crop with its own place, as a GIS would cut it."""
    return GeoImage(
        image.pixels[:, rows, columns].copy(),
        image.valid[rows, columns].copy(),
        image.crs,
        image.transform @ Affine.translation(columns.start, rows.start),
        image.band_names,
        image.resolution_m,
    )


def labels_of(images: Sequence[GeoImage], model: LoadedModel) -> NDArray[np.uint8]:
    if len(images) == 1:
        return segment.run(images[0], model).labels
    return change.run(images[0], images[1], model).labels


def agreement(images: Sequence[GeoImage], model: LoadedModel) -> float:
    """Share of pixels far from the cut that get the class that they have in the whole scene."""
    height, width = images[0].valid.shape
    rows = slice(height // 7 + 3, height - height // 9 - 2)
    columns = slice(width // 9 + 1, width - width // 6 - 5)
    crops = [cut(image, rows, columns) for image in images]
    whole, part = labels_of(images, model)[rows, columns], labels_of(crops, model)
    inside = (slice(CUT_PX, -CUT_PX), slice(CUT_PX, -CUT_PX))
    return float((whole[inside] == part[inside]).mean())


@pytest.mark.parametrize("finer", [1.0, 0.75], ids=["same resolution", "finer"])
@pytest.mark.parametrize("card", SHARP, ids=lambda card: f"{card.id}, {card.task}")
def test_crop_of_a_scene_gets_the_scenes_map(card: CheckpointCard, finer: float) -> None:
    model = load(card.id, card.task, device="cpu")
    resolution_m = round(model.card.resolution_m * finer, 3)
    if model.card.task == "segment":
        images = [next(held_out(1, size=448, resolution_m=resolution_m)).image]
    else:
        pair = next(held_out_pairs(1, size=448, resolution_m=resolution_m))
        images = [pair.before.image, pair.after.image]
    assert agreement(images, model) >= LEAST_AGREEMENT


def santa_rosa(root: Path, dates: Sequence[str]) -> list[GeoImage]:
    """A place at 0.45 m, in degrees and slightly rotated."""
    folder = root / "change" / "wildfire" / "val"
    name = sorted(path.name for path in (folder / "A").iterdir())[2]
    scene = slice(128, 128 + SATELLITE_PX)
    return [cut(read_image(folder / date / name), scene, scene) for date in dates]


def amazon(root: Path) -> list[GeoImage]:
    """A Sentinel-2 tile, which comes without georeference, laid on a grid of 10 m."""
    tile = read_image(min((root / "forest" / "val" / "images").iterdir()))
    grid = Affine(10, 0, 500_000, 0, -10, 9_000_000)
    return [GeoImage(tile.pixels, tile.valid, "EPSG:32720", grid, tile.band_names, 10.0)]


@pytest.mark.parametrize("card", CARDS, ids=lambda card: f"{card.id}, {card.task}")
def test_crop_of_a_satellite_image_gets_the_scenes_map(
    card: CheckpointCard, data_root: Path
) -> None:
    model = load(card.id, card.task, device="cpu")
    dates = ("A",) if card.task == "segment" else ("A", "B")
    images = santa_rosa(data_root, dates) if card in SHARP else amazon(data_root)
    assert agreement(images, model) >= LEAST_AGREEMENT
