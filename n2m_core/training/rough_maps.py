"""Maps of trained checkpoints on training tiles, made once and kept on disk.

A tile's label and rough map travel through the crop as one byte: the label in the lower four bits,
the rough map in the upper four, 15 where there is none.
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from torch import Tensor

from n2m_core.atomic import write_bytes
from n2m_core.checkpoints import LoadedModel, load
from n2m_core.errors import ConfigError
from n2m_core.geo_image import GeoImage
from n2m_core.tasks import segment
from n2m_core.tasks.params import MapParams
from n2m_core.training.crops import Tile
from n2m_core.training.losses import IGNORED
from n2m_core.training.refine_config import RefineConfig, RoughModelConfig
from n2m_core.training.sources import AbstractSource

Labels = NDArray[np.uint8]

NOTHING = 15
BANDS = ("red", "green", "blue")

_log = logging.getLogger(__name__)


def pack(label: Labels, rough: Labels | None) -> Labels:
    """Write label and rough map into one byte a pixel.

    Args:
        label: uint8 [H, W] in 0..14; 255 where nothing is known.
        rough: the same; None where there is no rough map.

    Returns:
        uint8 [H, W].
    """
    low = np.where(label == IGNORED, NOTHING, label)
    high = np.full_like(label, NOTHING)
    if rough is not None:
        high = np.where(rough == IGNORED, NOTHING, rough)
    return np.asarray(low | (high << 4), dtype=np.uint8)


def unpack(packed: Tensor) -> tuple[Tensor, Tensor]:
    """Read label and rough map, int64 [B, H, W] each, 255 where there is none."""
    label, rough = packed & NOTHING, packed >> 4
    return label.masked_fill(label == NOTHING, IGNORED), rough.masked_fill(
        rough == NOTHING, IGNORED
    )


def add_rough_maps(sources: Sequence[AbstractSource], config: RefineConfig, cache: Path) -> None:
    """Give every tile its rough map, where a checkpoint maps its source.

    Args:
        sources: their tiles are exchanged for packed ones.
        config: names the checkpoints.
        cache: folder that keeps the maps.

    Raises:
        CheckpointError: there is no such checkpoint.
        ConfigError: its classes are others.
    """
    for source in sources:
        makers = [each for each in config.rough if source.config.name in each.sources]
        maps: list[Labels | None] = [None] * len(source.tiles)
        if makers:
            maps = list(_kept_maps(source, makers, config, cache))
        source.tiles = [
            Tile(tile.image, pack(tile.label, rough), tile.resolution_m)
            for tile, rough in zip(source.tiles, maps, strict=True)
        ]


def _kept_maps(
    source: AbstractSource, makers: Sequence[RoughModelConfig], config: RefineConfig, cache: Path
) -> list[Labels]:
    """Read the maps of a source's tiles, or make them."""
    models = [load(maker.checkpoint, device="cpu") for maker in makers]
    for model in models:
        _check_classes(model, config)
    digest = hashlib.sha256(repr((config.seed, makers)).encode())
    for model in models:
        digest.update(model.card.sha256.encode())
    for tile in source.tiles:
        digest.update(np.ascontiguousarray(tile.image).tobytes())
    path = cache / f"rough-{digest.hexdigest()[:12]}.npz"
    if not path.exists():
        _log.info("mapping %d tiles of %s", len(source.tiles), source.config.name)
        rng = np.random.default_rng(config.seed)
        _write(path, [_drawn_map(tile, makers, models, rng) for tile in source.tiles])
    with np.load(path, allow_pickle=False) as stored:
        return [stored[f"map{index}"] for index in range(len(source.tiles))]


def _drawn_map(
    tile: Tile,
    makers: Sequence[RoughModelConfig],
    models: Sequence[LoadedModel],
    rng: np.random.Generator,
) -> Labels:
    """Map a tile by one of the checkpoints, at one of its timesteps."""
    chosen = int(rng.integers(len(makers)))
    timesteps = makers[chosen].timesteps
    timestep = int(rng.choice(timesteps)) if timesteps else None
    valid = np.ones(tile.label.shape, np.bool_)
    image = GeoImage(tile.image, valid, None, Affine.identity(), BANDS, tile.resolution_m)
    params = MapParams(timestep=timestep, seed=int(rng.integers(2**31)))
    return segment.run(image, models[chosen], params).labels


def _check_classes(model: LoadedModel, config: RefineConfig) -> None:
    """Check that a checkpoint draws the classes that are to be refined.

    Raises:
        ConfigError: it does not.
    """
    theirs = [entry.name for entry in model.card.classes]
    ours = [entry.name for entry in config.classes]
    if model.card.task != "segment" or theirs != ours:
        raise ConfigError(
            f"rough: {model.card.id} maps {', '.join(theirs)}; {config.id} refines "
            f"{', '.join(ours)}. Name a segmentation checkpoint of the same classes."
        )


def _write(path: Path, maps: Sequence[Labels]) -> None:
    buffer = io.BytesIO()
    entries: dict[str, NDArray[np.uint8]] = {f"map{i}": each for i, each in enumerate(maps)}
    np.savez_compressed(buffer, allow_pickle=False, **entries)
    write_bytes(path, buffer.getvalue())
