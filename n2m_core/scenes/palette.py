"""Colours of materials, as seen from above, in linear light.

Reflectances are chosen by eye from public aerial pictures of the kinds of places drawn here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from n2m_core.scenes.scene import Float

DISPLAY_GAMMA = 2.2


def linear(*colours: str) -> Float:
    """Turn display hex colours into linear light: float32 [N, 3] in 0..1."""
    values = [[int(c[i : i + 2], 16) / 255.0 for i in (0, 2, 4)] for c in colours]
    return np.asarray(np.array(values) ** DISPLAY_GAMMA, dtype=np.float32)


ROOFS: Mapping[str, Float] = {
    "metal_new": linear("cdd6dc", "dfe3e6", "b4c0c8", "e9ebeb", "bcc8d2"),
    "metal_old": linear("9b958c", "aaa296", "8c8a86", "b3ada3", "7f7c78"),
    "metal_rust": linear("8a5038", "9c6548", "7a4c3a", "a5745a", "6d4a3d"),
    "metal_blue": linear("2c66ac", "3a7cc4", "5a94cc", "2a5590", "6fa0c8"),
    "metal_red": linear("9c3a38", "b04a48", "bb3b4a", "8a3331", "c25e55"),
    "metal_green": linear("2f6a56", "3d7a66", "6f8f80", "4b6b52", "27564c"),
    "tile": linear("c4764f", "d08a60", "b5623f", "a65a40", "c98058"),
    "tile_dark": linear("7d5a48", "8a6450", "6b5148", "94705c"),
    "shingle": linear("6e6b68", "83807c", "55534f", "7b6a5a", "8f8070", "9a948c"),
    "slate": linear("5a6068", "6b7079", "4a4e55", "7d8288"),
    "concrete": linear("a39c8f", "b9b1a2", "8e877b", "77736b", "c4bdad", "98938a"),
    "membrane": linear("e2e0da", "d2cfc7", "bdb9b0", "efeeea", "a9a69f"),
    "unroofed": linear("9b958a", "b3aa9a", "857d72"),
    "gravel": linear("a79f8f", "b5ab98", "958d80", "c2b8a4"),
    "thatch": linear("8d7a58", "7b6a4e", "9d8a68"),
    "sandstone": linear("d6c7ae", "c7b596", "e3d8c4", "bfae92"),
}

SOILS: Mapping[str, Float] = {
    "laterite": linear("b27c54", "a3693f", "c49a74"),
    "brown": linear("8e7558", "7c664d", "a48b6c"),
    "tan": linear("b09d7e", "9c8a6d", "c4b394"),
    "grey": linear("989086", "878078", "aaa298"),
    "sand": linear("d6cbb8", "dfd6c8", "c9bda8", "cfc8bf", "d8cfca"),
    "dark": linear("6a5848", "594a3d", "7f6c59"),
}

GRASS: Float = linear("5c7838", "6f8644", "4a6832", "7d8c4c")
DESERT_GRASS: Float = linear("4a5a38", "56603f", "3c4a30", "5f6a44")
DRY_GRASS: Float = linear("978c5e", "a59a6c", "867c50", "b0a47a")
CANOPY: Float = linear("3d5a2a", "4c6a32", "33502a", "5d7a3a", "456038", "6a8240")
DRY_CANOPY: Float = linear("6a6440", "7a6a44", "5c5a3c", "8a7448", "625c48", "746c50")
PALM: Float = linear("5a7a3c", "6c8a44", "7c9450")
CROPS: Float = linear("6f8444", "848f54", "5d7440", "a09862", "b3a673", "52693c")
WATERS: Float = linear("2c3a32", "1c2620", "3f5248", "4f5a48", "243642", "5d6a58", "6b6a50")
POOLS: Float = linear("4fa8c4", "63bcd0", "3c93b8")
ASPHALT: Float = linear("6a6a6b", "57585b", "7d7c7a", "8b8984")
CONCRETE_ROAD: Float = linear("a9a499", "b8b2a6", "989389")
PAVED: Float = linear("aaa498", "b8b0a2", "958f86", "c2b9a8", "9e8f80", "8a857e")
WALLS: Float = linear("b9b1a2", "d4cdbf", "8e8578", "a0755c", "c9b99c")
FACADES: Float = linear("b3a694", "a4624a", "cfc6b6", "9a938a", "c98f6a", "8f9aa0", "d9b98c")
CARS: Float = linear(
    "e8e8e6", "d4d5d6", "2a2b2e", "44474c", "8d9196", "8a2326", "27416e", "b9b5a8", "f2f1ee"
)
TANKS: Float = linear("1d1d1f", "e6e6e2", "3a6fb0", "23241f", "c9c7c0")
ASH: Float = linear("5c5a58", "74706c", "8e8a86", "3d3a38", "a09a94")

ROOF_MIXES: Mapping[str, tuple[Mapping[str, float], ...]] = {
    "suburb": (
        {"shingle": 6, "slate": 1, "tile_dark": 1, "metal_old": 0.3},
        {"tile": 5, "tile_dark": 2, "shingle": 1, "slate": 0.5},
        {"shingle": 4, "metal_new": 1, "slate": 2, "metal_green": 0.3},
    ),
    "town": (
        {"concrete": 7, "metal_blue": 1.2, "metal_rust": 1.0, "metal_old": 1.5, "metal_red": 0.6},
        {"metal_new": 3, "metal_rust": 3, "metal_old": 3, "concrete": 1.5, "metal_red": 1},
        {"tile": 4, "metal_red": 2, "concrete": 2, "metal_rust": 1.5, "metal_old": 1},
        {"concrete": 3, "membrane": 2, "gravel": 2, "metal_new": 1.5, "metal_green": 1},
    ),
    "village": (
        {"metal_new": 6, "metal_rust": 2.5, "metal_old": 2, "thatch": 0.6, "unroofed": 0.7},
        {
            "metal_red": 2.5,
            "metal_green": 1.5,
            "metal_new": 3,
            "metal_rust": 2,
            "concrete": 1,
            "unroofed": 0.4,
        },
        {"tile": 3, "metal_rust": 2, "metal_red": 2, "metal_old": 2, "thatch": 0.4},
    ),
    "desert_city": (
        {"sandstone": 5, "concrete": 2, "membrane": 3, "tile": 0.6},
        {"membrane": 4, "gravel": 2, "sandstone": 3, "tile": 2, "metal_new": 1},
    ),
}


def pick(rng: np.random.Generator, colours: Float, spread: float = 0.06) -> Float:
    """Draw one colour of a palette, its brightness and tint slightly varied: float32 [3]."""
    base = colours[int(rng.integers(len(colours)))]
    gain = np.exp(rng.normal(0.0, spread)) * np.exp(rng.normal(0.0, spread * 0.3, 3))
    return np.asarray(base * gain, dtype=np.float32)


def weighted(rng: np.random.Generator, weights: Mapping[str, float]) -> str:
    """Draw a key by its weight."""
    keys: Sequence[str] = tuple(weights)
    share = np.array([weights[k] for k in keys], dtype=np.float64)
    return keys[int(rng.choice(len(keys), p=share / share.sum()))]
