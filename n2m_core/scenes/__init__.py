"""Procedural scenes of settlements with exact truth, deterministic from a seed.

Training may use the seeds in `TRAIN_SEEDS` only; samples and evaluation use `HELD_OUT_SEEDS`.
"""

from __future__ import annotations

from n2m_core.scenes.compose import make_scene
from n2m_core.scenes.scene import (
    LAND_COVER,
    STYLES,
    Scene,
    ScenePair,
    SceneParams,
)

TRAIN_SEEDS = range(0, 1_000_000)
HELD_OUT_SEEDS = range(1_000_000, 2_000_000)

__all__ = [
    "HELD_OUT_SEEDS",
    "LAND_COVER",
    "STYLES",
    "TRAIN_SEEDS",
    "Scene",
    "ScenePair",
    "SceneParams",
    "make_scene",
]
