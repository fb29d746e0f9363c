"""Networks and samples whose maps are known in advance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from affine import Affine
from numpy.typing import ArrayLike
from torch import Tensor, nn

from n2m_core.checkpoints import CheckpointCard, ClassInfo, ImageStatistics, LoadedModel
from n2m_core.datasets.base import LabelKind, Sample, Task
from n2m_core.diffusion.noise import NoiseKind
from n2m_core.geo_image import GeoImage
from n2m_core.lineage import TrainingRecord
from n2m_core.models.noise2map import Noise2Map
from n2m_core.normalize import Normalization

BINARY = (ClassInfo("background", "#000000"), ClassInfo("building", "#ff0000"))
CHANGE = (
    ClassInfo("unchanged", "#000000"),
    ClassInfo("built", "#00ff00"),
    ClassInfo("demolished", "#ff0000"),
)
COVER = tuple(ClassInfo(name, "#000000") for name in ("dark", "medium", "bright"))


class BrightnessRule(nn.Module):
    """Logits by how near the input's brightness is to each class's level.

    A pair of dates is judged by the brightness that was gained.
    """

    multiple = 1

    def __init__(self, levels: Sequence[float]) -> None:
        super().__init__()
        self.levels = levels

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        light = x_t.mean(dim=1, keepdim=True)
        if x_t.shape[1] == 6:
            before, after = x_t.chunk(2, dim=1)
            light = (after - before).mean(dim=1, keepdim=True)
        return torch.cat([-((light - level) ** 2) for level in self.levels], dim=1)


def card(task: Task, classes: tuple[ClassInfo, ...]) -> CheckpointCard:
    return CheckpointCard(
        id="rule",
        title="Brightness rule",
        task=task,
        classes=classes,
        bands=("red", "green", "blue"),
        resolution_m=0.5,
        normalization=Normalization("fixed", (0.0,), (255.0,)),
        noise_process="gaussian",
        schedule="ddpm",
        inference_timestep=0,
        mix_at_inference=False,
        backbone="compact",
        parameters=0,
        gflop_per_tile=0.0,
        training=TrainingRecord((), "", 0, 0, 0, "cpu", 0.0, "2026-01-01"),
        image_statistics=ImageStatistics((0.0,) * 3, (1.0,) * 3, (1.0,) * 3),
        license="Apache-2.0",
        limits="",
        sha256="",
    )


def model(
    task: Task = "segment",
    classes: tuple[ClassInfo, ...] = BINARY,
    *,
    process: NoiseKind = "gaussian",
    timestep: int = 0,
    is_mixed: bool = False,
) -> LoadedModel:
    levels = [0.0, 1.0, -1.0] if task == "change" else np.linspace(-1, 1, len(classes)).tolist()
    made = replace(
        card(task, classes),
        noise_process=process,
        inference_timestep=timestep,
        mix_at_inference=is_mixed,
    )
    rule = cast(Noise2Map, BrightnessRule(levels))
    return LoadedModel(made, rule, torch.device("cpu"))


def picture(light: ArrayLike, valid: ArrayLike | None = None) -> GeoImage:
    """A grey RGB image of brightness 0..255."""
    values = np.repeat(np.asarray(light, np.uint8)[None], 3, axis=0)
    mask = np.ones(values.shape[1:], np.bool_) if valid is None else np.asarray(valid, np.bool_)
    return GeoImage(values, mask, None, Affine.identity(), ("red", "green", "blue"), 0.5)


def tile(
    name: str,
    light: ArrayLike,
    label: ArrayLike,
    *,
    valid: ArrayLike | None = None,
    kind: LabelKind = "classes",
) -> Sample:
    return Sample(name, picture(light, valid), np.asarray(label, np.uint8), label_kind=kind)


def pair(name: str, gain: ArrayLike, label: ArrayLike, kind: LabelKind = "classes") -> Sample:
    """Two dates whose brightness differs by `gain` in -255..255."""
    change = np.asarray(gain)
    before = np.where(change < 0, -change, 0)
    after = np.where(change > 0, change, 0)
    return Sample(
        name, picture(before), np.asarray(label, np.uint8), picture(after), label_kind=kind
    )
