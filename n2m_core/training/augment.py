"""Radiometric augmentation: other light, other sensors, other places' colours.

Everything works on float32 [3, h, w] in [0, 1] and gives the same back.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from n2m_core.training.config import AugmentConfig
from n2m_core.training.crops import Rng

LUMA = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)  # ITU-R BT.601


def radiometric(image: Tensor, style: Tensor, config: AugmentConfig, rng: Rng) -> Tensor:
    """Draw a new look for one date.

    Args:
        image: float32 [3, h, w] in [0, 1].
        style: another image, whose colour statistics may be taken on.
        config: chances.
        rng: decides.

    Returns:
        float32 [3, h, w] in [0, 1].
    """
    if rng.random() < config.style:
        image = match_colors(image, style, float(rng.uniform(0.3, 1.0)))
    if rng.random() < config.color:
        image = jitter_colors(image, rng)
    if rng.random() < config.gray:
        image = (image * LUMA).sum(0, keepdim=True).expand(3, -1, -1)
    if rng.random() < config.blur:
        image = blur(image, float(rng.uniform(0.4, 1.4)))
    if rng.random() < config.noise:
        draw = rng.standard_normal(tuple(image.shape)).astype(np.float32)
        image = image + torch.from_numpy(draw) * float(rng.uniform(0.01, 0.06))
    return image.clamp(0, 1)


def match_colors(image: Tensor, style: Tensor, share: float) -> Tensor:
    """Move mean and spread of each band towards those of another image."""
    mean, std = image.mean((1, 2), keepdim=True), image.std((1, 2), keepdim=True) + 1e-3
    to_mean, to_std = style.mean((1, 2), keepdim=True), style.std((1, 2), keepdim=True) + 1e-3
    matched = (image - mean) / std * to_std.clamp(max=3 * std) + to_mean
    return image.lerp(matched, share)


def jitter_colors(image: Tensor, rng: Rng) -> Tensor:
    """Change gain, offset, gamma, saturation, white balance; sometimes haze.

    The ranges are narrow on purpose: twice as wide, a network from scratch had learned nothing
    after 600 steps.
    """
    balance = torch.from_numpy(rng.uniform(0.92, 1.08, (3, 1, 1)).astype(np.float32))
    image = image * balance
    luma = (image * LUMA).sum(0, keepdim=True)
    image = luma + (image - luma) * float(rng.uniform(0.65, 1.35))
    mean = image.mean()
    image = (image - mean) * float(rng.uniform(0.8, 1.25)) + mean + float(rng.uniform(-0.08, 0.08))
    image = image.clamp(1e-4, 1) ** float(np.exp(rng.uniform(-0.25, 0.25)))
    if rng.random() < 0.05:
        image = image * 0.75 + 0.25 * float(rng.uniform(0.5, 0.9))
    return image.clamp(0, 1)


def blur(image: Tensor, sigma: float) -> Tensor:
    """Smooth with a 7 px Gaussian of that sigma, px."""
    steps = torch.arange(7) - 3.0
    kernel = torch.exp(-(steps**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = functional.pad(image[None], (3, 3, 3, 3), mode="reflect")
    rows = functional.conv2d(padded, kernel.view(1, 1, 7, 1).expand(3, 1, 7, 1), groups=3)
    return functional.conv2d(rows, kernel.view(1, 1, 1, 7).expand(3, 1, 1, 7), groups=3)[0]
