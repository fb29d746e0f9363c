"""Seeds that training never sees, and the scenes drawn from them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from n2m_core.errors import ParameterError
from n2m_core.scenes.compose import make_scene
from n2m_core.scenes.pairs import make_pair
from n2m_core.scenes.scene import Scene, ScenePair, SceneParams

TRAIN_SEEDS = range(0, 1_000_000)
HELD_OUT_SEEDS = range(1_000_000, 2_000_000)
RESOLUTIONS_M = (0.15, 0.6)


def held_out_params(count: int, *, size: int, resolution_m: float | None) -> Iterator[SceneParams]:
    """Yield parameters of held-out scenes; without a resolution one is drawn per seed.

    Raises:
        ParameterError: more scenes are asked for than there are seeds.
    """
    if not 0 <= count <= len(HELD_OUT_SEEDS):
        raise ParameterError(f"{count} held-out scenes asked for; 0 to {len(HELD_OUT_SEEDS)}.")
    for seed in HELD_OUT_SEEDS[:count]:
        drawn = float(np.random.default_rng([seed, 404]).uniform(*RESOLUTIONS_M))
        yield SceneParams(seed, size, resolution_m or round(drawn, 3))


def held_out(count: int, *, size: int = 256, resolution_m: float | None = None) -> Iterator[Scene]:
    """Yield single-date scenes that training never saw."""
    for params in held_out_params(count, size=size, resolution_m=resolution_m):
        yield make_scene(params)


def held_out_pairs(
    count: int, *, size: int = 256, resolution_m: float | None = None
) -> Iterator[ScenePair]:
    """Yield two-date scenes that training never saw."""
    for params in held_out_params(count, size=size, resolution_m=resolution_m):
        yield make_pair(params)
