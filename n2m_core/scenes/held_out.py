"""Seeds that training never sees, and the scenes drawn from them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from n2m_core.errors import ParameterError
from n2m_core.scenes.compose import make_scene
from n2m_core.scenes.pairs import make_pair
from n2m_core.scenes.scene import Scene, ScenePair, SceneParams, Style

TRAIN_SEEDS = range(0, 1_000_000)
HELD_OUT_SEEDS = range(1_000_000, 2_000_000)
RESOLUTIONS_M = (0.3, 0.5)


def params_of(
    seed: int, *, size: int, resolution_m: float | None = None, style: Style = "any"
) -> SceneParams:
    """Parameters of the scene of a seed; without a resolution it is drawn from the seed."""
    if resolution_m is None:
        drawn = np.random.default_rng([seed, 404]).uniform(*RESOLUTIONS_M)
        resolution_m = round(float(drawn), 3)
    return SceneParams(seed, size, resolution_m, style)


def held_out(count: int, *, size: int = 256, resolution_m: float | None = None) -> Iterator[Scene]:
    """Yield single-date scenes that training never saw.

    Raises:
        ParameterError: more scenes are asked for than there are seeds.
    """
    for seed in _seeds(count):
        yield make_scene(params_of(seed, size=size, resolution_m=resolution_m))


def held_out_pairs(
    count: int, *, size: int = 256, resolution_m: float | None = None
) -> Iterator[ScenePair]:
    """Yield two-date scenes that training never saw.

    Raises:
        ParameterError: more pairs are asked for than there are seeds.
    """
    for seed in _seeds(count):
        yield make_pair(params_of(seed, size=size, resolution_m=resolution_m))


def _seeds(count: int) -> range:
    if not 0 <= count <= len(HELD_OUT_SEEDS):
        raise ParameterError(f"{count} held-out scenes asked for; 0 to {len(HELD_OUT_SEEDS)}.")
    return HELD_OUT_SEEDS[:count]
