"""Procedural scenes for training, made once and kept on disk."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from n2m_core import scenes
from n2m_core.atomic import write_bytes
from n2m_core.errors import ConfigError
from n2m_core.scenes.scene import BUILDING, LAND_COVER, SceneParams
from n2m_core.training.config import SourceConfig
from n2m_core.training.crops import Tile

SCENE_PX = 320
FINEST_M, COARSEST_M = 0.3, 0.5
GENERATION = 1  # raised when the scenes' appearance changes, so that old files are not read

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
    makers: dict[str, tuple[Callable[[SceneParams], Tile], int]] = {
        "scenes": (_building_tile, 2),
        "land_cover_scenes": (_land_cover_tile, len(LAND_COVER)),
        "scene_pairs": (_pair_tile, 3),
        "burnt_scenes": (_burnt_tile, 2),
    }
    make, gives = makers[config.kind]
    if gives != classes:
        raise ConfigError(
            f"Source '{config.name}' ({config.kind}) gives {gives} classes; "
            f"the checkpoint has {classes}."
        )
    key = f"{config.kind}-{config.style}-{config.count}-{SCENE_PX}-{GENERATION}"
    path = cache / f"scenes-{hashlib.sha256(key.encode()).hexdigest()[:12]}.npz"
    if not path.exists():
        _write(path, [make(params) for params in _params(config)])
    return _read(path)


def _params(config: SourceConfig) -> list[SceneParams]:
    """Draw the scenes' seeds and resolutions; training seeds lie below the held-out ones."""
    _log.info("making %d scenes (%s)", config.count, config.name)
    rng = np.random.default_rng(config.count)
    resolutions = rng.uniform(FINEST_M, COARSEST_M, config.count)
    return [
        SceneParams(seed, SCENE_PX, round(float(resolution), 3), config.style)  # type: ignore[arg-type]
        for seed, resolution in enumerate(resolutions)
    ]


def _building_tile(params: SceneParams) -> Tile:
    scene = scenes.make_scene(params)
    label = (scene.land_cover == BUILDING).astype(np.uint8)
    return Tile(scene.image.pixels, label, params.resolution_m)


def _land_cover_tile(params: SceneParams) -> Tile:
    scene = scenes.make_scene(params)
    return Tile(scene.image.pixels, scene.land_cover, params.resolution_m)


def _pair_tile(params: SceneParams) -> Tile:
    pair = scenes.make_pair(params)
    image = np.concatenate([pair.before.image.pixels, pair.after.image.pixels])
    return Tile(image, pair.change, params.resolution_m)


def _burnt_tile(params: SceneParams) -> Tile:
    pair = scenes.make_pair(params)
    image = np.concatenate([pair.before.image.pixels, pair.after.image.pixels])
    return Tile(image, (pair.damage > 0).astype(np.uint8), params.resolution_m)


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
