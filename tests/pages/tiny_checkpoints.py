"""Small real checkpoints, written by the library's own functions, for tests of the pages."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import torch

from n2m_core.checkpoints import (
    CheckpointCard,
    ClassInfo,
    ImageStatistics,
    Task,
    read_card,
    save_checkpoint,
)
from n2m_core.lineage import DataCredit, TrainingRecord, TrainingStage
from n2m_core.models.building import build
from n2m_core.models.multitask import MultiTask
from n2m_core.models.network import AbstractNetwork
from n2m_core.models.noise2map import NetworkConfig, Noise2Map
from n2m_core.models.storing import fp16_weights
from n2m_core.normalize import Normalization

CLASSES = {
    "n2m-buildings": (ClassInfo("background", "#cfcfc4"), ClassInfo("building", "#d55e00")),
    "n2m-buildings-plain": (ClassInfo("background", "#cfcfc4"), ClassInfo("building", "#d55e00")),
    "n2m-landcover": (
        ClassInfo("building", "#d55e00", "#3c1098"),
        ClassInfo("bare land", "#e8c77a", "#8429f6"),
        ClassInfo("road", "#6b6b6b", "#6ec1e4"),
        ClassInfo("vegetation", "#009e73", "#fedd3a"),
        ClassInfo("water", "#0072b2", "#e2a929"),
    ),
    "n2m-change": (
        ClassInfo("unchanged", "#cfcfc4"),
        ClassInfo("built", "#d55e00"),
        ClassInfo("demolished", "#0072b2"),
    ),
    "n2m-wildfire": (ClassInfo("unchanged", "#cfcfc4"), ClassInfo("destroyed", "#d55e00")),
}


def write_all(root: Path, *, seed: int = 3) -> Path:
    """Write one small checkpoint for every id of the app."""
    for name in CLASSES:
        write_tiny_checkpoint(root, name, seed=seed)
    return root


def write_tiny_checkpoint(root: Path, name: str, *, seed: int = 3) -> Path:
    """Write a checkpoint of a few thousand untrained weights under a known id."""
    task: Task = "change" if name in _CHANGE else "segment"
    is_plain = name.endswith("plain")
    torch.manual_seed(seed)
    model = Noise2Map(
        NetworkConfig(
            "compact",
            in_channels=6 if task == "change" else 3,
            classes=len(CLASSES[name]),
            time_conditioning=not is_plain,
            overrides=_SMALL,
        )
    )
    weights = fp16_weights(model)
    card = card_of(name, task, model, weights, seed=seed)
    return save_checkpoint(root, model, card, weights)


def write_both(root: Path) -> Path:
    """Write a checkpoint of both tasks with a card for each."""
    torch.manual_seed(3)
    model = MultiTask(NetworkConfig("compact", 3, 2, overrides=_SMALL, pair_classes=3))
    weights = fp16_weights(model)
    one, pair = (
        dataclasses.replace(
            card_of(name, task, model, weights),
            id="n2m-multitask",
            title=f"Shared {task}",
            twin=None,
        )
        for name, task in BOTH
    )
    return save_checkpoint(root, model, one, weights, [pair])


START = TrainingStage(
    "tiny-start", "starts/tiny-start.yaml", 900, (DataCredit("roads", "ODbL", "road people", 4),)
)
"""A training that one of the checkpoints is said to start from."""


def card_of(
    name: str, task: Task, model: AbstractNetwork, weights: bytes, *, seed: int = 3
) -> CheckpointCard:
    """Describe a small untrained network of a known id."""
    is_plain = name.endswith("plain")
    return CheckpointCard(
        id=name,
        title=f"Tiny {name.removeprefix('n2m-')}",
        task=task,
        classes=CLASSES[name],
        bands=("red", "green", "blue"),
        resolution_m=0.5,
        normalization=Normalization(),
        noise_process="none" if is_plain else "swap" if task == "change" else "gaussian",
        schedule="ddpm",
        inference_timestep=0,
        mix_at_inference=task == "change",
        backbone="compact, 8 channels, untrained",
        parameters=sum(each.numel() for each in model.parameters()),
        gflop_per_tile=0.1,
        window_px=256,
        training=TrainingRecord(
            (DataCredit("none", "Apache-2.0", "nobody", 0),),
            "none",
            0,
            0,
            seed,
            "cpu",
            0.0,
            "today",
            before=(START,) if name == "n2m-wildfire" else (),
        ),
        image_statistics=ImageStatistics((0.0,) * 3, (0.4,) * 3, (0.2,) * 3),
        license="CC BY-NC-SA 4.0" if name == "n2m-wildfire" else "Apache-2.0",
        limits="Untrained weights for tests of the pages.",
        sha256=hashlib.sha256(weights).hexdigest(),
        twin="n2m-buildings-plain" if name == "n2m-buildings" else None,
    )


BOTH: tuple[tuple[str, Task], ...] = (("n2m-buildings", "segment"), ("n2m-change", "change"))


def write_tiny_refiner(root: Path, name: str, *, of: str, seed: int = 3) -> Path:
    """Write an untrained refiner for the classes of a checkpoint that `root` holds."""
    torch.manual_seed(seed)
    classes = len(CLASSES[of])
    model = build(NetworkConfig("idgbr", 3, classes, overrides=_SMALL_REFINER))
    weights = fp16_weights(model)
    card = dataclasses.replace(
        read_card(of, root=root),
        id=name,
        title=f"Tiny {name}",
        task="refine",
        schedule="scaled_linear",
        backbone="IDGBR, a few channels, untrained",
        sha256=hashlib.sha256(weights).hexdigest(),
        window_px=128,
        twin=None,
        sampling_steps=3,
        guidance=2.0,
    )
    return save_checkpoint(root, model, card, weights)


_CHANGE = ("n2m-change", "n2m-wildfire")
_SMALL = {
    "in_channels": 8,
    "out_channels": 8,
    "block_out_channels": [8, 8],
    "norm_num_groups": 4,
    "down_block_types": ["DownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "UpBlock2D"],
    "layers_per_block": 1,
    "attention_head_dim": 4,
}
_SMALL_REFINER = {
    "latent_channels": 4,
    "codec_width": 8,
    "denoiser": {key: value for key, value in _SMALL.items() if "channels" not in key}
    | {"block_out_channels": [8, 8]},
    "image_encoder": {
        **_SMALL,
        "block_out_channels": [8, 8, 8],
        "down_block_types": ["DownBlock2D"] * 3,
        "up_block_types": ["UpBlock2D"] * 3,
    },
}
