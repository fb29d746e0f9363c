"""Small real networks that have learned something, and pictures that they have learned on.

"Buildings" are bright rectangles on darker ground; "change" is a rectangle that one date lacks.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from n2m_core.checkpoints import (
    CheckpointCard,
    ClassInfo,
    ImageStatistics,
    LoadedModel,
    save_checkpoint,
)
from n2m_core.diffusion.noise import NoiseKind, NoiseProcess, make_schedule
from n2m_core.lineage import DataCredit, TrainingRecord
from n2m_core.models.noise2map import NetworkConfig, Noise2Map
from n2m_core.models.storing import fp16_weights
from n2m_core.normalize import Normalization

BUILDINGS = (ClassInfo("background", "#cfcfc4"), ClassInfo("building", "#d55e00"))
CHANGES = (
    ClassInfo("unchanged", "#cfcfc4"),
    ClassInfo("built", "#d55e00"),
    ClassInfo("demolished", "#0072b2"),
)
COVER = tuple(
    ClassInfo(name, color)
    for name, color in (("building", "#3c1098"), ("road", "#6ec1e4"), ("water", "#e2a929"))
)
CROP_PX = 48
STEPS = 40
RESOLUTION_M = 0.5


def drawn_scene(
    seed: int, height: int = 160, width: int = 160
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw bright rectangles on textured ground.

    Returns:
        Picture uint8 [3, H, W] and class indices uint8 [H, W], 1 in the rectangles.
    """
    generator = np.random.default_rng(seed)
    coarse = generator.normal(80, 12, (3, height // 16 + 2, width // 16 + 2))
    ground = np.kron(coarse, np.ones((16, 16)))[:, :height, :width]
    picture = ground + generator.normal(0, 6, (3, height, width))
    truth = np.zeros((height, width), np.uint8)
    for _ in range(height * width // 1600):
        top, left = generator.integers(0, height - 8), generator.integers(0, width - 8)
        tall, wide = generator.integers(10, 28, 2)
        truth[top : top + tall, left : left + wide] = 1
        picture[:, top : top + tall, left : left + wide] = generator.normal(190, 10)
    return np.clip(picture, 0, 255).astype(np.uint8), truth


def drawn_pair(
    seed: int, height: int = 160, width: int = 160
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw two dates of one ground with rectangles of their own.

    Returns:
        Before and after, uint8 [3, H, W], and 0 unchanged, 1 built, 2 demolished, uint8 [H, W].
    """
    before, stood = drawn_scene(seed, height, width)
    other, stands = drawn_scene(seed + 10_000, height, width)
    after = np.where(stood == 1, np.roll(before, 37, axis=2), before)
    after = np.where(stands == 1, other, after).astype(np.uint8)
    after[:, (stood == 1) & (stands == 0)] = 80
    change = np.zeros((height, width), np.uint8)
    change[(stood == 0) & (stands == 1)] = 1
    change[(stood == 1) & (stands == 0)] = 2
    return before, after, change


def _batch(task: str, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """One batch of crops in [-1, 1] with their classes."""
    inputs, labels = [], []
    for number in range(4):
        seed = 1000 + 4 * step + number
        if task == "change":
            before, after, label = drawn_pair(seed, CROP_PX, CROP_PX)
            picture = np.concatenate([before, after])
        else:
            picture, label = drawn_scene(seed, CROP_PX, CROP_PX)
        inputs.append(torch.from_numpy(picture.astype(np.float32) / 127.5 - 1.0))
        labels.append(torch.from_numpy(label.astype(np.int64)))
    return torch.stack(inputs), torch.stack(labels)


@functools.cache
def trained_network(task: Literal["segment", "change"], process: NoiseKind) -> Noise2Map:
    """Train a network of some thousand weights for a few seconds, with its noise process."""
    torch.manual_seed(7)
    generator = torch.Generator().manual_seed(7)
    network = untrained_network(task, 2 if task == "segment" else 3)
    noise = NoiseProcess(process, make_schedule("ddpm"))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for step in range(STEPS):
        x0, labels = _batch(task, step)
        t = (1000 * torch.rand(len(x0), generator=generator) ** 3).long()
        drawn = torch.randn(x0.shape, generator=generator)
        x_t = noise.mix(x0, t, noise.noise_for(x0, drawn))
        loss = functional.cross_entropy(network(x_t, t), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval().requires_grad_(False)


def untrained_network(task: str, classes: int) -> Noise2Map:
    """Build a network of two levels, 16 and 16 channels at a quarter of the resolution."""
    overrides = {
        "block_out_channels": [16, 16],
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
        "in_channels": 16,
        "out_channels": 16,
        "layers_per_block": 1,
        "attention_head_dim": 8,
        "norm_num_groups": 4,
    }
    bands = 6 if task == "change" else 3
    return Noise2Map(NetworkConfig("compact", bands, classes, overrides=overrides))


def tiny_card(
    checkpoint: str,
    task: Literal["segment", "change"],
    classes: tuple[ClassInfo, ...],
    process: NoiseKind,
    *,
    timestep: int = 0,
    is_mixed: bool = False,
    sha256: str = "0" * 64,
) -> CheckpointCard:
    """Describe a small network."""
    return CheckpointCard(
        id=checkpoint,
        title=f"Tiny {checkpoint}",
        task=task,
        classes=classes,
        bands=("red", "green", "blue"),
        resolution_m=RESOLUTION_M,
        normalization=Normalization(),
        noise_process=process,
        schedule="ddpm",
        inference_timestep=timestep,
        mix_at_inference=is_mixed,
        backbone="compact, tiny",
        parameters=1,
        gflop_per_tile=0.1,
        training=TrainingRecord(
            (DataCredit("drawings", "CC0-1.0", "nobody", 1),), "none", STEPS, 4, 7, "cpu", 0.1, ""
        ),
        image_statistics=ImageStatistics((-0.2,) * 3, (0.4,) * 3, (0.2,) * 3),
        license="CC0-1.0",
        limits="Bright rectangles alone.",
        sha256=sha256,
    )


def segmenter(process: NoiseKind = "gaussian") -> LoadedModel:
    """Give a network that finds bright rectangles."""
    card = tiny_card("tiny-buildings", "segment", BUILDINGS, process)
    return LoadedModel(card, trained_network("segment", process), torch.device("cpu"))


def change_detector() -> LoadedModel:
    """Give a network that finds rectangles that came or went."""
    card = tiny_card("tiny-change", "change", CHANGES, "swap", is_mixed=True)
    return LoadedModel(card, trained_network("change", "swap"), torch.device("cpu"))


def cover_mapper() -> LoadedModel:
    """Give an untrained network of three classes without a background."""
    torch.manual_seed(5)
    network = untrained_network("segment", len(COVER)).eval().requires_grad_(False)
    card = tiny_card("tiny-cover", "segment", COVER, "gaussian")
    return LoadedModel(card, network, torch.device("cpu"))


def save_tiny(root: Path, model: LoadedModel) -> Path:
    """Write a small network as a checkpoint that the loader takes."""
    weights = fp16_weights(model.model)
    sha256 = hashlib.sha256(weights).hexdigest()
    card = tiny_card(
        model.card.id,
        model.card.task,
        model.card.classes,
        model.card.noise_process,
        timestep=model.card.inference_timestep,
        is_mixed=model.card.mix_at_inference,
        sha256=sha256,
    )
    return save_checkpoint(root, model.model, card, weights)
