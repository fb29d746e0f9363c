"""x_t of a scene at any timestep, as numbers and as pictures: no network, a few milliseconds."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from n2m_core.geo_image import GeoImage
from n2m_core.normalize import Normalization, input_limits, to_model_range
from pages._ui import compute, detail
from pages._ui.compute import Choices
from pages._ui.inputs import Source

if TYPE_CHECKING:
    from n2m_core.diffusion.noise import NoiseKind, Schedule, ScheduleName

SIDE_PX = 256
"""Side of the square in the middle of a scene that is mixed and shown."""

FloatArray = NDArray[np.float32]


@lru_cache
def schedule(name: ScheduleName) -> Schedule:
    """The weights of signal and noise; they never change."""
    from n2m_core.diffusion.noise import make_schedule

    return make_schedule(name)


def middle(source: Source, side_px: int = SIDE_PX) -> FloatArray:
    """The clean middle of a scene, or of both dates of a pair, as a network would see it.

    Returns:
        float32 [3, h, w] in [-1, 1]; [6, h, w] for (before, after).
    """
    return _middle(source.key, side_px, source)


@st.cache_data(max_entries=8, show_spinner=False)
def _middle(key: str, side_px: int, _source: Source) -> FloatArray:
    """Read and scale the middle; the key names the files and their state."""
    from n2m_core.tasks.change import align_pair

    images = compute.images_of(_source, Choices())
    if len(images) == 2:
        images = align_pair(images[0], images[1])
    window = compute.middle_of(images[0], side_px)
    return np.concatenate([_scaled(image, window) for image in images])


def _scaled(image: GeoImage, window: tuple[slice, slice]) -> FloatArray:
    """Cut three bands (or one, three times) out of an image and scale them to [-1, 1]."""
    order = [0, 1, 2] if image.bands >= 3 else [0, 0, 0]
    names = tuple(image.band_names[band] for band in order)
    chosen = image.with_pixels(image.pixels[order], names)
    limits = input_limits(chosen, Normalization())
    return to_model_range(detail.crop(chosen, window), Normalization(), limits=limits)


def mixed(x0: FloatArray, t: int, kind: NoiseKind, name: ScheduleName = "ddpm") -> FloatArray:
    """Mix x_t, always from the same noise draw.

    Args:
        x0: clean input, float32 [C, h, w].
        t: timestep in 0..999.
        kind: noise process.
        name: schedule.

    Returns:
        x_t, float32 [C, h, w].
    """
    import torch

    from n2m_core.diffusion.noise import NoiseProcess

    process = NoiseProcess(kind, schedule(name))
    clean = torch.from_numpy(x0[None])
    drawn = torch.from_numpy(_draw(x0.shape)[None]) if kind == "gaussian" else clean
    x_t: FloatArray = process.mix(clean, torch.tensor([t]), process.noise_for(clean, drawn))[
        0
    ].numpy()
    return x_t


@lru_cache(maxsize=4)
def _draw(shape: tuple[int, int, int]) -> FloatArray:
    """The noise draw of seed 0."""
    from n2m_core.diffusion.noise import position_noise

    return position_noise(0, *shape)


def picture(x: FloatArray) -> NDArray[np.uint8]:
    """Show [-1, 1] as 0..255, clipped beyond: float32 [3, h, w] to uint8 [h, w, 3]."""
    levels = np.clip(np.rint((x + 1.0) * 127.5), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(levels, 0, -1))
