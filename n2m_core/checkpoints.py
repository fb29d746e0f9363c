"""The registry of trained weights: cards, and the only loader.

A checkpoint is a folder `checkpoints/<id>/` with `model.safetensors` (fp16), `config.json` (the
network) and `card.json` (everything a person should know about it). Where one network serves two
tasks, `card.json` holds a card for each, and a task must be named to load it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from n2m_core.atomic import write_bytes
from n2m_core.diffusion.noise import NoiseKind, NoiseProcess, ScheduleName, make_schedule
from n2m_core.errors import CheckpointError, ParameterError
from n2m_core.lineage import TrainingRecord
from n2m_core.models.multitask import MultiTask
from n2m_core.models.network import AbstractNetwork, channels_last
from n2m_core.models.storing import read_network, save_network
from n2m_core.normalize import Normalization
from n2m_core.places import checkpoints_root

Task = Literal["segment", "change", "refine"]

CARD = "card.json"
FUSION_TASK = "fuse"
ROUGH_BAND = "rough "
"""How the names of bands begin that show a rough map beside the image."""


@dataclass(frozen=True)
class ClassInfo:
    """One class of a checkpoint.

    Attributes:
        name: what the legend says.
        color: "#rrggbb", how it is drawn on maps, plots and exports.
        mask_colour: how the class is drawn in training masks: "#rrggbb", an index, or None when the
            masks are binary (0 background, anything else positive).
    """

    name: str
    color: str
    mask_colour: str | int | None = None


@dataclass(frozen=True)
class ImageStatistics:
    """Mean and spread of the training images in model range [-1, 1], one value a band.

    Attributes:
        mean: average over crops of the crop's mean.
        std: average over crops of the crop's standard deviation.
        spread: standard deviation over crops of the crop's mean.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    spread: tuple[float, ...]


@dataclass(frozen=True)
class CheckpointCard:
    """Everything a person should know about a set of weights (`card.json`).

    Attributes:
        inference_timestep: step that the network is told when a map is made.
        mix_at_inference: whether x_t is mixed at that step, or the clean image given.
        parameters: learned numbers in the whole network.
        gflop_per_tile: 10^9 floating point operations per 256 px tile.
        window_px: side of the windows that an image is cut into. Attention and group
            normalisation see the whole window, so maps depend on it: it is that of the training
            crops, or one chosen on a validation set.
        twin: id of the checkpoint trained alike but for the noise, if there is one.
        sampling_steps: DDIM steps of a map, of a checkpoint that refines.
        guidance: weight of classifier-free guidance, of a checkpoint that refines.
        sampling_draws: how many noise draws a map is the mean of, of a checkpoint that refines.
        metrics: what `n2m evaluate` printed, each with the command that prints it again.
    """

    id: str
    title: str
    task: Task
    classes: tuple[ClassInfo, ...]
    bands: tuple[str, ...]
    resolution_m: float
    normalization: Normalization
    noise_process: NoiseKind
    schedule: ScheduleName
    inference_timestep: int
    mix_at_inference: bool
    backbone: str
    parameters: int
    gflop_per_tile: float
    training: TrainingRecord
    image_statistics: ImageStatistics
    license: str
    limits: str
    sha256: str
    window_px: int = 128
    twin: str | None = None
    sampling_steps: int | None = None
    guidance: float | None = None
    sampling_draws: int | None = None
    metrics: tuple[dict[str, Any], ...] = field(default=())

    @property
    def takes_rough(self) -> bool:
        """Whether some of the bands show a rough map, which no image has."""
        return any(band.startswith(ROUGH_BAND) for band in self.bands)

    def process(self) -> NoiseProcess:
        """Build the noise process that the weights were trained with."""
        return NoiseProcess(self.noise_process, make_schedule(self.schedule))

    def to_json(self) -> str:
        """Give the text of card.json."""
        return cards_text((self,))

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> CheckpointCard:
        """Build a card from JSON values; KeyError, TypeError or ValueError where they are none."""
        return cls(
            **{
                **raw,
                "classes": tuple(ClassInfo(**c) for c in raw["classes"]),
                "bands": tuple(raw["bands"]),
                "normalization": _from_lists(Normalization, raw["normalization"]),
                "training": TrainingRecord.from_dict(raw["training"]),
                "image_statistics": _from_lists(ImageStatistics, raw["image_statistics"]),
                "metrics": tuple(raw.get("metrics", ())),
            }
        )


def cards_text(cards: Sequence[CheckpointCard]) -> str:
    """Give the text of card.json: the card, or the cards of all tasks of one checkpoint."""
    raw = [asdict(card) for card in cards]
    told = raw[0] if len(raw) == 1 else {"id": cards[0].id, "cards": raw}
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def cards_from_text(text: str, where: str) -> tuple[CheckpointCard, ...]:
    """Read what `cards_text` wrote.

    Raises:
        CheckpointError: the text isn't a card.
    """
    try:
        raw = json.loads(text)
        listed = raw.get("cards", [raw])
        return tuple(CheckpointCard.from_dict(each) for each in listed)
    except (AttributeError, KeyError, TypeError, ValueError) as e:
        raise CheckpointError(f"{where} is not a checkpoint card ({e}).") from e


def _from_lists(cls: type[Any], raw: dict[str, Any]) -> Any:  # noqa: ANN401
    """Build a dataclass whose sequences JSON turned into lists."""
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()})


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A network ready for inference beside its card."""

    card: CheckpointCard
    model: AbstractNetwork
    device: torch.device


def list_cards(root: Path | None = None) -> list[CheckpointCard]:
    """Read the cards of every checkpoint that makes maps, by id; one of two tasks has two."""
    folder = checkpoints_root() if root is None else root
    names = checkpoint_ids(folder, is_fusion=False)
    return [card for name in names for card in read_cards(name, root=folder)]


def checkpoint_ids(folder: Path, *, is_fusion: bool) -> list[str]:
    """List the checkpoints of a folder, sorted: those that fuse, or all others.

    Fusion has cards of its own, see `fusion.cards`.
    """
    paths = sorted(folder.glob(f"*/{CARD}"))
    return [path.parent.name for path in paths if (_task_on(path) == FUSION_TASK) == is_fusion]


def _task_on(path: Path) -> str | None:
    """Read the task on a card; None where there is none to read."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return raw.get("task") if isinstance(raw, dict) else None


def read_card(
    checkpoint: str, task: Task | None = None, *, root: Path | None = None
) -> CheckpointCard:
    """Read one card by the checkpoint's id.

    Args:
        checkpoint: its id.
        task: which card, where the checkpoint serves several tasks; else not looked at.
        root: folder of the checkpoints.

    Raises:
        CheckpointError: there is no such checkpoint, its card is damaged, or it serves several
            tasks and none of them was named.
    """
    cards = read_cards(checkpoint, root=root)
    if len(cards) == 1:
        return cards[0]
    for card in cards:
        if card.task == task:
            return card
    tasks = ", ".join(card.task for card in cards)
    raise CheckpointError(f"Checkpoint {checkpoint} serves several tasks; name one of {tasks}.")


def read_cards(checkpoint: str, *, root: Path | None = None) -> tuple[CheckpointCard, ...]:
    """Read the cards of all tasks that a checkpoint serves.

    Raises:
        CheckpointError: there is no such checkpoint, or its card is damaged.
    """
    folder = checkpoints_root() if root is None else root
    known = checkpoint_ids(folder, is_fusion=False)
    if checkpoint not in known:
        raise CheckpointError(
            f"There is no checkpoint '{checkpoint}'; "
            + (f"choose one of {', '.join(known)}." if known else f"{folder.name}/ holds none yet.")
        )
    path = folder / checkpoint / CARD
    return cards_from_text(path.read_text(encoding="utf-8"), f"{checkpoint}/{CARD}")


def load(
    checkpoint: str,
    task: Task | None = None,
    *,
    device: str = "auto",
    root: Path | None = None,
) -> LoadedModel:
    """Load weights for inference, after their checksum was compared with the card's.

    Args:
        checkpoint: its id.
        task: which network, where the checkpoint serves several tasks; else not looked at.
        device: "auto" (a GPU when there is one), "cpu", "cuda", "cuda:1", "mps".
        root: folder of the checkpoints.

    Returns:
        The network in eval mode, float32, without gradients.

    Raises:
        CheckpointError: unknown id, damaged weights, weights that don't fit the configuration, or
            several tasks and none of them named.
        ParameterError: there is no such device.
    """
    folder = (checkpoints_root() if root is None else root) / checkpoint
    card = read_card(checkpoint, task, root=folder.parent)
    model = network_for(card.task, read_network(folder, card.sha256))
    where = choose_device(device)
    model.eval().requires_grad_(False)
    return LoadedModel(card, channels_last(model).to(where), where)


def network_for(task: Task, network: AbstractNetwork) -> AbstractNetwork:
    """Give a network of both tasks as the one of a task; others as they are."""
    if not isinstance(network, MultiTask):
        return network
    return network.of_pairs if task == "change" else network.of_images


def choose_device(name: str) -> torch.device:
    """Give the device of that name; "auto" is a GPU when there is one.

    Raises:
        ParameterError: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as e:
        raise ParameterError(f"There is no device '{name}' here; use auto or cpu.") from e
    return device


def save_checkpoint(
    root: Path,
    model: AbstractNetwork,
    card: CheckpointCard,
    weights: bytes,
    others: Sequence[CheckpointCard] = (),
) -> Path:
    """Write a checkpoint folder; the card goes last, so a listed checkpoint is complete.

    Args:
        root: folder of the checkpoints.
        model: gives the network's configuration.
        card: must hold the checksum of `weights`.
        weights: from `fp16_weights`.
        others: cards of the network's further tasks.

    Returns:
        The folder written.

    Raises:
        CheckpointError: the card's checksum is of other weights.
    """
    if hashlib.sha256(weights).hexdigest() != card.sha256:
        raise CheckpointError(f"The card of {card.id} carries the checksum of other weights.")
    folder = root / card.id
    save_network(folder, model, weights)
    write_bytes(folder / CARD, cards_text((card, *others)).encode())
    return folder
