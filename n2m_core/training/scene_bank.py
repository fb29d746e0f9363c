"""Procedural scenes for training, made once and kept on disk."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from n2m_core import scenes
from n2m_core.atomic import write_bytes
from n2m_core.errors import ConfigError
from n2m_core.scenes.scene import BUILDING, DEMOLISHED, LAND_COVER, SceneParams
from n2m_core.training.config import SourceConfig, SourceKind
from n2m_core.training.crops import Tile

SCENE_PX = 320
FINEST_M, COARSEST_M = 0.3, 0.5
BURNT = 3
CLASSES: dict[str, int] = {
    "scenes": 2,
    "land_cover_scenes": len(LAND_COVER),
    "scene_pairs": 3,
    "burnt_scenes": 2,
}
PAIRS = ("scene_pairs", "burnt_scenes")
GENERATION = 2  # raised when the scenes' appearance changes, so that old files are not read

_log = logging.getLogger(__name__)


def scene_tiles(config: SourceConfig, classes: int, cache: Path) -> Sequence[Tile]:
    """Give `config.count` scenes, from the cache when they were made before.

    Args:
        config: kind, style and count.
        classes: number of classes of the checkpoint.
        cache: folder for the scenes.

    Returns:
        Tiles of 320 px at 0.3 to 0.5 m.

    Raises:
        ConfigError: the kind of scene does not give that many classes.
    """
    gives = CLASSES[config.kind]
    if gives != classes:
        raise ConfigError(
            f"Source '{config.name}' ({config.kind}) gives {gives} classes; "
            f"the checkpoint has {classes}."
        )
    make = _draw_pair if config.kind in PAIRS else _draw_scene
    key = f"{make.__name__}-{config.style}-{config.count}-{SCENE_PX}-{GENERATION}"
    path = cache / f"scenes-{hashlib.sha256(key.encode()).hexdigest()[:12]}.npz"
    if not path.exists():
        _log.info("making %d scenes (%s)", config.count, config.name)
        _write(path, [make(params) for params in _params(config)])
    return [_relabelled(tile, config.kind) for tile in _read(path)]


def _params(config: SourceConfig) -> list[SceneParams]:
    """Draw the scenes' seeds and resolutions; training seeds lie below the held-out ones."""
    rng = np.random.default_rng(config.count)
    resolutions = rng.uniform(FINEST_M, COARSEST_M, config.count)
    return [
        SceneParams(seed, SCENE_PX, round(float(resolution), 3), config.style)
        for seed, resolution in enumerate(resolutions)
    ]


def _draw_scene(params: SceneParams) -> Tile:
    """Draw one date, labelled with its land cover."""
    scene = scenes.make_scene(params)
    return Tile(scene.image.pixels, scene.land_cover, params.resolution_m)


def _draw_pair(params: SceneParams) -> Tile:
    """Draw two dates, labelled 0 unchanged, 1 built, 2 demolished, 3 burnt."""
    pair = scenes.make_pair(params)
    image = np.concatenate([pair.before.image.pixels, pair.after.image.pixels])
    label = np.where(pair.damage > 0, BURNT, pair.change).astype(np.uint8)
    return Tile(image, label, params.resolution_m)


def _relabelled(tile: Tile, kind: SourceKind) -> Tile:
    """Turn a stored label into the one that the checkpoint learns."""
    label = tile.label
    if kind == "scenes":
        label = (label == BUILDING).astype(np.uint8)
    elif kind == "burnt_scenes":
        label = (label == BURNT).astype(np.uint8)
    elif kind == "scene_pairs":
        label = np.where(label == BURNT, DEMOLISHED, label)
    return Tile(tile.image, label, tile.resolution_m)


def _write(path: Path, tiles: Sequence[Tile]) -> None:
    buffer = io.BytesIO()
    np.savez(
        buffer,
        images=np.stack([tile.image for tile in tiles]),
        labels=np.stack([tile.label for tile in tiles]),
        resolutions=np.array([tile.resolution_m for tile in tiles]),
    )
    write_bytes(path, buffer.getvalue())


def _read(path: Path) -> list[Tile]:
    with np.load(path, allow_pickle=False) as stored:
        parts = zip(stored["images"], stored["labels"], stored["resolutions"], strict=True)
        return [Tile(image, label, float(resolution)) for image, label, resolution in parts]
