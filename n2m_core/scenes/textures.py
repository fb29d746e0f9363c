"""Multi-octave noise at a scale in metres, cut from one periodic bank.

Generating Fourier noise for every scene would cost more than all the rest of the drawing; a crop at
a random offset, flipped and transposed, of a bank that is computed once costs a millisecond.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image

from n2m_core.scenes.scene import Float

BANK_SIZE = 1024
BANK_LAYERS = 3
LONGEST_TEXELS = 96.0
SHORTEST_TEXELS = 3.0
SPECTRAL_SLOPE = 1.25
BANK_SEED = 20_240_817


@lru_cache(maxsize=1)
def noise_bank() -> Float:
    """Compute the bank: float32 [layers, 1024, 1024], periodic, mean 0, deviation 1."""
    rng = np.random.default_rng(BANK_SEED)
    freq = np.hypot(np.fft.fftfreq(BANK_SIZE)[:, None], np.fft.rfftfreq(BANK_SIZE)[None, :])
    inside = (freq >= 1.0 / LONGEST_TEXELS) & (freq <= 1.0 / SHORTEST_TEXELS)
    gain = np.where(inside, np.maximum(freq, 1e-6) ** -SPECTRAL_SLOPE, 0.0)
    layers = []
    for _ in range(BANK_LAYERS):
        white = np.fft.rfft2(rng.standard_normal((BANK_SIZE, BANK_SIZE)))
        layer = np.fft.irfft2(white * gain, s=(BANK_SIZE, BANK_SIZE))
        layers.append((layer / layer.std()).astype(np.float32))
    bank = np.stack(layers)
    bank.setflags(write=False)
    return bank


@lru_cache(maxsize=1)
def grain_bank() -> Float:
    """Compute white noise: float32 [1024, 1024], deviation 1."""
    rng = np.random.default_rng(BANK_SEED + 1)
    bank = rng.standard_normal((BANK_SIZE, BANK_SIZE)).astype(np.float32)
    bank.setflags(write=False)
    return bank


def field(rng: np.random.Generator, shape: tuple[int, int], px_m: float, wave_m: float) -> Float:
    """Cut a noise field whose features are at least `wave_m` long.

    Args:
        rng: draws layer, offset and orientation; always the same number of values.
        shape: rows and columns.
        px_m: ground size of a pixel.
        wave_m: shortest feature, metres.

    Returns:
        float32 [H, W], mean about 0, deviation about 1.
    """
    draw = rng.integers(0, 2**31, size=6)
    texel_m = max(wave_m / SHORTEST_TEXELS, px_m)
    rows, cols = (int(np.ceil(n * px_m / texel_m)) + 2 for n in shape)
    layer = noise_bank()[draw[0] % BANK_LAYERS]
    row_index = (draw[1] + np.arange(rows) * (1 if draw[4] % 2 else -1)) % BANK_SIZE
    col_index = (draw[2] + np.arange(cols) * (1 if draw[5] % 2 else -1)) % BANK_SIZE
    source = layer.T if draw[3] % 2 else layer
    crop = source[row_index[:, None], col_index[None, :]]
    if texel_m == px_m:
        return np.ascontiguousarray(crop[: shape[0], : shape[1]])
    ratio = px_m / texel_m
    box = (0.5, 0.5, 0.5 + shape[1] * ratio, 0.5 + shape[0] * ratio)
    picture = Image.fromarray(crop).resize((shape[1], shape[0]), Image.Resampling.BICUBIC, box=box)
    return np.asarray(picture, dtype=np.float32)


def grain(rng: np.random.Generator, shape: tuple[int, int]) -> Float:
    """Cut white noise: float32 [H, W], deviation 1."""
    draw = rng.integers(0, BANK_SIZE, size=2)
    rows = (draw[0] + np.arange(shape[0])) % BANK_SIZE
    cols = (draw[1] + np.arange(shape[1])) % BANK_SIZE
    return np.asarray(grain_bank()[rows[:, None], cols[None, :]], dtype=np.float32)


def step(values: Float, low: float, high: float) -> Float:
    """Blend smoothly from 0 at `low` to 1 at `high`: float32, same shape."""
    x = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.asarray(x * x * (3.0 - 2.0 * x), dtype=np.float32)
