"""Checkpoints of learned fusion: what the card says, saving, and the only loader.

A checkpoint is a folder `checkpoints/<id>/` as in `n2m_core.checkpoints`, whose card names the task
"fuse".
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from n2m_core.atomic import write_bytes
from n2m_core.checkpoints import CARD, FUSION_TASK, ImageStatistics, checkpoint_ids, choose_device
from n2m_core.diffusion.residual import (
    ResidualSchedule,
    ResidualScheduleName,
    make_residual_schedule,
)
from n2m_core.errors import CheckpointError, ParameterError
from n2m_core.lineage import TrainingRecord
from n2m_core.models.fusion_building import build_fusion
from n2m_core.models.fusion_network import AbstractFusionNetwork, FusionNetworkConfig
from n2m_core.models.network import channels_last
from n2m_core.models.storing import CONFIG, WEIGHTS, read_weights
from n2m_core.places import checkpoints_root

Endpoint = Literal["coarse", "zero"]
"""Where the diffusion ends: at the coarse image (SA-STF), or at nothing but noise (STFDiff)."""


@dataclass(frozen=True)
class FusionCard:
    """Everything a person should know about weights that fuse (`card.json`).

    Attributes:
        bands: what the network's band slots are called.
        resolution_m: ground size of a fine pixel in training, metres.
        scales: smallest and largest scale factor (coarse pixel over fine pixel) in training.
        schedule: of `diffusion.residual`.
        steps_trained: T.
        noise_scale: variance of the noise at the schedule's end.
        endpoint: where the diffusion ends.
        steps: network passes where a person asks for no number.
        has_one_pass: whether the weights were trained to work without diffusion.
        is_one_pass: whether they do so where a person does not choose.
        backbone: what the network is.
        parameters: learned numbers in it.
        gflop_per_tile: 10^9 operations of every step on a 256 px tile.
        gflop_once: those of the part that is computed once.
        window_px: side of the windows that a scene is cut into.
        image_statistics: of the fine images in training, a value a slot.
        metrics: what `n2m evaluate` printed, each with the command that prints it again.
    """

    id: str
    title: str
    bands: tuple[str, ...]
    resolution_m: float
    scales: tuple[int, int]
    schedule: ResidualScheduleName
    steps_trained: int
    noise_scale: float
    endpoint: Endpoint
    steps: int
    has_one_pass: bool
    is_one_pass: bool
    backbone: str
    parameters: int
    gflop_per_tile: float
    gflop_once: float
    window_px: int
    training: TrainingRecord
    image_statistics: ImageStatistics
    license: str
    limits: str
    sha256: str
    task: Literal["fuse"] = "fuse"
    metrics: tuple[dict[str, Any], ...] = field(default=())

    def residual_schedule(self) -> ResidualSchedule:
        """Build the schedule that the weights were trained with."""
        return make_residual_schedule(
            self.schedule, steps=self.steps_trained, noise_scale=self.noise_scale
        )

    def to_json(self) -> str:
        """Give the text of card.json."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> FusionCard:
        """Read card.json.

        Raises:
            CheckpointError: the text isn't a card of fusion weights.
        """
        try:
            raw = json.loads(text)
            statistics = {name: tuple(value) for name, value in raw["image_statistics"].items()}
            small, large = raw["scales"]
            return cls(
                **{
                    **raw,
                    "bands": tuple(raw["bands"]),
                    "scales": (small, large),
                    "training": TrainingRecord.from_dict(raw["training"]),
                    "image_statistics": ImageStatistics(**statistics),
                    "metrics": tuple(raw.get("metrics", ())),
                }
            )
        except (KeyError, TypeError, ValueError) as e:
            raise CheckpointError(f"{where} is not a card of fusion weights ({e}).") from e


@dataclass(frozen=True, eq=False)
class LoadedFusion:
    """A fusion network ready for inference beside its card."""

    card: FusionCard
    model: AbstractFusionNetwork
    device: torch.device


def list_fusion_cards(root: Path | None = None) -> list[FusionCard]:
    """Read the card of every checkpoint that fuses, sorted by id."""
    folder = checkpoints_root() if root is None else root
    return [read_fusion_card(name, root=folder) for name in checkpoint_ids(folder, is_fusion=True)]


def read_fusion_card(checkpoint: str, *, root: Path | None = None) -> FusionCard:
    """Read one card by the checkpoint's id.

    Raises:
        CheckpointError: there is no such checkpoint for fusion, or its card is damaged.
    """
    folder = checkpoints_root() if root is None else root
    known = checkpoint_ids(folder, is_fusion=True)
    if checkpoint not in known:
        raise CheckpointError(
            f"There is no fusion checkpoint '{checkpoint}'; "
            + (
                f"choose one of {', '.join(known)}."
                if known
                else f"{folder.name}/ holds none yet. Use a classical method."
            )
        )
    text = (folder / checkpoint / CARD).read_text(encoding="utf-8")
    return FusionCard.from_json(text, f"{checkpoint}/{CARD}")


def load_fusion(checkpoint: str, *, device: str = "auto", root: Path | None = None) -> LoadedFusion:
    """Load fusion weights for inference, after their checksum was compared with the card's.

    Args:
        checkpoint: its id.
        device: "auto" (a GPU when there is one), "cpu", "cuda", "cuda:1", "mps".
        root: folder of the checkpoints.

    Returns:
        The network in eval mode, float32, without gradients.

    Raises:
        CheckpointError: unknown id, damaged weights, or weights that don't fit the configuration.
        ParameterError: there is no such device.
    """
    folder = (checkpoints_root() if root is None else root) / checkpoint
    card = read_fusion_card(checkpoint, root=folder.parent)
    try:
        raw = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        model = build_fusion(FusionNetworkConfig.from_dict(raw))
    except (OSError, TypeError, ValueError, ParameterError) as e:
        raise CheckpointError(f"{checkpoint}/{CONFIG} can't be read ({e}).") from e
    model.load_state_dict(read_weights(folder, card.sha256, model))
    model.eval().requires_grad_(False)
    where = choose_device(device)
    return LoadedFusion(card, channels_last(model).to(where), where)


def save_fusion(root: Path, model: AbstractFusionNetwork, card: FusionCard, weights: bytes) -> Path:
    """Write a checkpoint folder; the card goes last, so a listed checkpoint is complete.

    Args:
        root: folder of the checkpoints.
        model: gives the network's configuration.
        card: must hold the checksum of `weights`.
        weights: from `models.storing.fp16_weights`.

    Returns:
        The folder written.

    Raises:
        CheckpointError: the card's checksum is of other weights.
    """
    if hashlib.sha256(weights).hexdigest() != card.sha256:
        raise CheckpointError(f"The card of {card.id} carries the checksum of other weights.")
    assert card.task == FUSION_TASK
    folder = root / card.id
    write_bytes(folder / WEIGHTS, weights)
    write_bytes(folder / CONFIG, (json.dumps(model.config.to_dict(), indent=2) + "\n").encode())
    write_bytes(folder / CARD, card.to_json().encode())
    return folder
