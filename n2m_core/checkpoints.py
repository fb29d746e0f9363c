"""The registry of trained weights: cards, and the only loader.

A checkpoint is a folder `checkpoints/<id>/` with `model.safetensors` (fp16), `config.json` (the
network) and `card.json` (everything a person should know about it).
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors_torch
from torch import nn

from n2m_core.atomic import write_bytes
from n2m_core.diffusion.noise import NoiseKind, NoiseProcess, ScheduleName, make_schedule
from n2m_core.errors import CheckpointError, ParameterError
from n2m_core.models.building import build
from n2m_core.models.network import AbstractNetwork, NetworkConfig, channels_last
from n2m_core.normalize import Normalization

Task = Literal["segment", "change", "refine"]

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
CARD = "card.json"


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
class DataCredit:
    """A source of training data: what it is called, its licence, whom to credit, how much of it."""

    name: str
    licence: str
    attribution: str
    tiles: int


@dataclass(frozen=True)
class TrainingRecord:
    """How the weights came to be; written by the training loop."""

    data: tuple[DataCredit, ...]
    config: str
    steps: int
    samples: int
    seed: int
    device: str
    minutes: float
    date: str
    init_from: str | None = None


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
    metrics: tuple[dict[str, Any], ...] = field(default=())

    def process(self) -> NoiseProcess:
        """Build the noise process that the weights were trained with."""
        return NoiseProcess(self.noise_process, make_schedule(self.schedule))

    def to_json(self) -> str:
        """Give the text of card.json."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> CheckpointCard:
        """Read card.json.

        Raises:
            CheckpointError: the text isn't a card.
        """
        try:
            raw = json.loads(text)
            training = dict(raw["training"])
            training["data"] = tuple(DataCredit(**d) for d in training["data"])
            return cls(
                **{
                    **raw,
                    "classes": tuple(ClassInfo(**c) for c in raw["classes"]),
                    "bands": tuple(raw["bands"]),
                    "normalization": _from_lists(Normalization, raw["normalization"]),
                    "training": TrainingRecord(**training),
                    "image_statistics": _from_lists(ImageStatistics, raw["image_statistics"]),
                    "metrics": tuple(raw.get("metrics", ())),
                }
            )
        except (KeyError, TypeError, ValueError) as e:
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


def checkpoints_root() -> Path:
    """Folder of the checkpoints: $N2M_CHECKPOINTS, else `checkpoints/` beside the package."""
    named = os.environ.get("N2M_CHECKPOINTS")
    return Path(named) if named else Path(__file__).resolve().parent.parent / "checkpoints"


def list_cards(root: Path | None = None) -> list[CheckpointCard]:
    """Read the card of every checkpoint, sorted by id."""
    folder = checkpoints_root() if root is None else root
    return [read_card(path.parent.name, root=folder) for path in sorted(folder.glob(f"*/{CARD}"))]


def read_card(checkpoint: str, *, root: Path | None = None) -> CheckpointCard:
    """Read one card by the checkpoint's id.

    Raises:
        CheckpointError: there is no such checkpoint, or its card is damaged.
    """
    folder = checkpoints_root() if root is None else root
    known = sorted(path.parent.name for path in folder.glob(f"*/{CARD}"))
    if checkpoint not in known:
        raise CheckpointError(
            f"There is no checkpoint '{checkpoint}'; "
            + (f"choose one of {', '.join(known)}." if known else f"{folder.name}/ holds none yet.")
        )
    path = folder / checkpoint / CARD
    return CheckpointCard.from_json(path.read_text(encoding="utf-8"), f"{checkpoint}/{CARD}")


def load(checkpoint: str, *, device: str = "auto", root: Path | None = None) -> LoadedModel:
    """Load weights for inference, after their checksum was compared with the card's.

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
    card = read_card(checkpoint, root=folder.parent)
    model = _read_network(folder, card.sha256)
    where = choose_device(device)
    model.eval().requires_grad_(False)
    return LoadedModel(card, channels_last(model).to(where), where)


def save_network(folder: Path, model: AbstractNetwork, weights: bytes) -> None:
    """Write a network without a card: its configuration, and its weights from `fp16_weights`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / WEIGHTS, weights)
    config = json.dumps(model.config.to_dict(), indent=2) + "\n"
    write_bytes(folder / CONFIG, config.encode())


def load_network(folder: Path) -> AbstractNetwork:
    """Load what `save_network` wrote.

    Args:
        folder: holds config.json and model.safetensors.

    Returns:
        The network on the CPU, float32.

    Raises:
        CheckpointError: a file is missing or damaged, or they don't fit each other.
    """
    return _read_network(folder, None)


def _read_network(folder: Path, sha256: str | None) -> AbstractNetwork:
    """Build the network of a folder and fill in its weights."""
    model = _built(folder)
    model.load_state_dict(_read_weights(folder, sha256, model))
    return model


def _built(folder: Path) -> AbstractNetwork:
    """Build the network that a folder's configuration describes, with random weights."""
    try:
        return build(NetworkConfig(**json.loads((folder / CONFIG).read_text(encoding="utf-8"))))
    except (OSError, TypeError, ValueError, ParameterError) as e:
        raise CheckpointError(f"{folder.name}/{CONFIG} can't be read ({e}).") from e


def _read_weights(folder: Path, sha256: str | None, model: nn.Module) -> dict[str, torch.Tensor]:
    """Read, check against the card's checksum and widen the stored fp16 weights to float32."""
    try:
        data = (folder / WEIGHTS).read_bytes()
    except OSError as e:
        raise CheckpointError(
            f"{folder.name}/{WEIGHTS} is missing; fetch the repository again."
        ) from e
    found = hashlib.sha256(data).hexdigest()
    if sha256 is not None and found != sha256:
        raise CheckpointError(
            f"{folder.name}/{WEIGHTS} has checksum {found[:12]}…, its card says {sha256[:12]}…; "
            "fetch the file again."
        )
    try:
        stored = safetensors_torch.load(data)
    except SafetensorError as e:
        raise CheckpointError(f"{folder.name}/{WEIGHTS} is not a safetensors file ({e}).") from e
    if stored.keys() != model.state_dict().keys():
        raise CheckpointError(f"{folder.name}: weights and {CONFIG} describe different networks.")
    return {k: v.float() if v.is_floating_point() else v for k, v in stored.items()}


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


def fp16_weights(model: nn.Module) -> bytes:
    """Give the network's weights as safetensors bytes, floats stored as fp16."""
    state = {
        k: (v.half() if v.is_floating_point() else v).contiguous()
        for k, v in model.state_dict().items()
    }
    return safetensors_torch.save(state)


def save_checkpoint(
    root: Path, model: AbstractNetwork, card: CheckpointCard, weights: bytes
) -> Path:
    """Write a checkpoint folder; the card goes last, so a listed checkpoint is complete.

    Args:
        root: folder of the checkpoints.
        model: gives the network's configuration.
        card: must hold the checksum of `weights`.
        weights: from `fp16_weights`.

    Returns:
        The folder written.

    Raises:
        CheckpointError: the card's checksum is of other weights.
    """
    if hashlib.sha256(weights).hexdigest() != card.sha256:
        raise CheckpointError(f"The card of {card.id} carries the checksum of other weights.")
    folder = root / card.id
    save_network(folder, model, weights)
    write_bytes(folder / CARD, card.to_json().encode())
    return folder
