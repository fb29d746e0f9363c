"""Procedural scenes of settlements with exact truth, deterministic from a seed.

Training may use the seeds in `TRAIN_SEEDS` only; samples and evaluation use `HELD_OUT_SEEDS`.
"""

from __future__ import annotations

from n2m_core.scenes.compose import make_scene
from n2m_core.scenes.dataset import write_dataset
from n2m_core.scenes.held_out import HELD_OUT_SEEDS, TRAIN_SEEDS, held_out, held_out_pairs
from n2m_core.scenes.pairs import STORIES, Story, make_pair
from n2m_core.scenes.scene import (
    BARE,
    BUILDING,
    BUILT,
    DEMOLISHED,
    LAND_COVER,
    ROAD,
    STYLES,
    UNCHANGED,
    VEGETATION,
    WATER,
    Scene,
    ScenePair,
    SceneParams,
)

__all__ = [
    "BARE",
    "BUILDING",
    "BUILT",
    "DEMOLISHED",
    "HELD_OUT_SEEDS",
    "LAND_COVER",
    "ROAD",
    "STORIES",
    "STYLES",
    "TRAIN_SEEDS",
    "UNCHANGED",
    "VEGETATION",
    "WATER",
    "Scene",
    "ScenePair",
    "SceneParams",
    "Story",
    "held_out",
    "held_out_pairs",
    "make_pair",
    "make_scene",
    "write_dataset",
]
