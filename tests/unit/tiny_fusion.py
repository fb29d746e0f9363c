"""Small fusion networks and scenes whose target image is known."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from n2m_core.checkpoints import ImageStatistics
from n2m_core.fusion.bands import BAND_SLOTS
from n2m_core.fusion.cards import FusionCard, save_fusion
from n2m_core.fusion.inputs import FloatArray, FusionInputs
from n2m_core.lineage import DataCredit, TrainingRecord
from n2m_core.models.fusion_building import build_fusion
from n2m_core.models.fusion_network import (
    AbstractFusionNetwork,
    FusionDesign,
    FusionImages,
    FusionNetworkConfig,
)
from n2m_core.models.storing import fp16_weights

TINY: dict[str, Any] = {
    "width": 8,
    "multipliers": (1, 2),
    "groups": 4,
    "shrink": 2,
    "heads": 2,
    "centre": -0.6,
    "spread": 0.3,
}


def tiny_config(design: FusionDesign = "sa-stf", **changes: object) -> FusionNetworkConfig:
    return FusionNetworkConfig.from_dict({"design": design, **TINY, **changes})


def random_images(size: int = 16, slots: int = 6, seed: int = 0, batch: int = 1) -> FusionImages:
    generator = torch.Generator().manual_seed(seed)
    drawn = -0.6 + 0.3 * torch.randn(5, batch, slots, size, size, generator=generator)
    fine0, coarse0, fine2, coarse2, coarse1 = drawn
    return FusionImages(fine0, coarse0, fine2, coarse2, coarse1, torch.ones(batch, slots))


def block_mean(image: FloatArray, scale: int) -> FloatArray:
    """A coarse sensor without blur or noise, on the fine grid."""
    bands, height, width = image.shape
    blocks = image.reshape(bands, height // scale, scale, width // scale, scale)
    mean = blocks.mean((2, 4), dtype=np.float32)
    return np.repeat(np.repeat(mean, scale, axis=1), scale, axis=2)


def growing_fields(
    bands: int = 4, size: int = 32, scale: int = 4, seed: int = 0
) -> tuple[FusionInputs, FloatArray]:
    """Fields that green up at rates of their own; the truth of the middle date beside them."""
    rng = np.random.default_rng(seed)
    fields = np.kron(rng.integers(0, 3, (size // 4, size // 4)), np.ones((4, 4), int))
    base, rate = rng.uniform(0.05, 0.3, (bands, 3)), rng.uniform(-0.05, 0.1, (bands, 3))
    dates = [(base + rate * when)[:, fields].astype(np.float32) for when in (0.0, 0.7, 2.0)]
    coarse = [block_mean(image, scale) for image in dates]
    inputs = FusionInputs(
        fine0=dates[0],
        coarse0=coarse[0],
        fine2=dates[2],
        coarse2=coarse[2],
        coarse1=coarse[1],
        valid=np.ones((size, size), bool),
        scale=scale,
    )
    return inputs, dates[1]


WINDOW = 16
CARD = FusionCard(
    id="tiny-fusion",
    title="Tiny fusion",
    bands=BAND_SLOTS,
    resolution_m=30.0,
    scales=(4, 16),
    schedule="full",
    steps_trained=20,
    noise_scale=0.1,
    endpoint="coarse",
    steps=2,
    has_one_pass=True,
    is_one_pass=False,
    backbone="tiny",
    parameters=1,
    gflop_per_tile=0.1,
    gflop_once=0.1,
    window_px=WINDOW,
    training=TrainingRecord(
        (DataCredit("drawings", "CC0-1.0", "nobody", 1),), "none", 1, 1, 0, "cpu", 0.1, ""
    ),
    image_statistics=ImageStatistics((-0.6,) * 6, (0.1,) * 6, (0.1,) * 6),
    license="CC0-1.0",
    limits="Nothing learned.",
    sha256="0" * 64,
)


def network(config: FusionNetworkConfig | None = None) -> AbstractFusionNetwork:
    """Random weights, behind which the output is not nothing."""
    model = build_fusion(config or tiny_config(guess="temporal"), seed=4)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            if not bool(parameter.any()):
                parameter.normal_(std=0.05, generator=generator)
    return model.eval().requires_grad_(False)


def write_tiny_fusion(
    root: Path,
    name: str = "tiny-fusion",
    config: FusionNetworkConfig | None = None,
    **card: Any,  # noqa: ANN401
) -> FusionCard:
    """Write a checkpoint of random weights and give its card."""
    model = network(config)
    weights = fp16_weights(model)
    made: FusionCard = dataclasses.replace(
        CARD, id=name, sha256=hashlib.sha256(weights).hexdigest(), **card
    )
    save_fusion(root, model, made, weights)
    return made
