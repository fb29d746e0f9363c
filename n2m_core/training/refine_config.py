"""Configuration of a refiner's training; read by `strict_yaml` like every other."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from n2m_core.checkpoints import ClassInfo
from n2m_core.diffusion.noise import TIMESTEPS, check_timestep
from n2m_core.errors import ConfigError
from n2m_core.training.config import AugmentConfig, DataConfig, OptimizerConfig, ValidationConfig
from n2m_core.training.strict_yaml import read_seeded

TimestepDraw = Literal["uniform", "cubic"]
MOST_CLASSES = 15
"""Label and rough map of a tile share a byte while they are cropped."""


@dataclass(frozen=True)
class RefinerChoice:
    """Which network to train.

    Attributes:
        variant: the compact network, or the paper's.
        image_encoder_from: of compact: id of a segmentation checkpoint of the compact network,
            whose features show the image. It is frozen, as in the paper.
        stable_diffusion: of paper: folder in diffusers format with unet/, vae/, text_encoder/.
        overrides: settings of the network, see `models.idgbr`.
    """

    variant: Literal["idgbr", "idgbr-paper"] = "idgbr"
    image_encoder_from: str | None = None
    stable_diffusion: str | None = None
    overrides: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CodecConfig:
    """How the label codec learns, before the denoiser's first step.

    Attributes:
        noise: of variance 1 is added that strong, so that the codec bears it.
    """

    steps: int = 600
    batch_size: int = 16
    learning_rate: float = 3e-3
    noise: float = 0.15


@dataclass(frozen=True)
class DiffusionConfig:
    """How the denoiser learns.

    Attributes:
        timesteps: uniform, or cubic: t = T (1 - (u / T)^3), more of the noisy ones.
        draws: timesteps and noises drawn for each crop; its guidance is computed once.
        condition_dropout: chance that a draw sees no guidance, which trains the unconditional
            branch of classifier-free guidance.
        weight: epsilon for the paper's mean square error of eps; velocity divides it by
            alpha_bar[t], which counts noisy steps as much as others.
    """

    timesteps: TimestepDraw = "uniform"
    draws: int = 1
    condition_dropout: float = 0.2
    weight: Literal["epsilon", "velocity"] = "epsilon"


@dataclass(frozen=True)
class AlignmentConfig:
    """Representation alignment to a frozen DINOv2.

    Attributes:
        teacher: folder in transformers format.
        weight: of the alignment in the loss.
        steps: how many first steps it takes part in.
    """

    teacher: str
    weight: float = 0.5
    steps: int = 200


@dataclass(frozen=True)
class RoughModelConfig:
    """A trained checkpoint whose maps stand in as rough ones.

    Attributes:
        checkpoint: id of a segmentation checkpoint with the same classes.
        sources: names of the data sources that it maps, best such as it never saw.
        timesteps: steps at which x_t is mixed, one drawn for each tile; none for the card's own.
            Noise brings back mistakes on tiles that the checkpoint was trained on.
    """

    checkpoint: str
    sources: tuple[str, ...]
    timesteps: tuple[int, ...] = ()


@dataclass(frozen=True)
class RefineInference:
    """What the card says about making maps."""

    steps: int = 25
    guidance: float = 3.0
    samples: int = 1
    window_px: int = 256


@dataclass(frozen=True)
class RefineConfig:
    """Everything that decides the training of a refiner.

    Attributes:
        rough: checkpoints whose maps are refined in training.
        model_share: share of the crops, where such a map exists, that take it for the rough one;
            the others' is made by corruption of the truth.
    """

    id: str
    title: str
    task: Literal["refine"]
    classes: tuple[ClassInfo, ...]
    resolution_m: float
    data: DataConfig
    optimizer: OptimizerConfig
    license: str
    limits: str
    network: RefinerChoice = RefinerChoice()
    codec: CodecConfig = CodecConfig()
    diffusion: DiffusionConfig = DiffusionConfig()
    alignment: AlignmentConfig | None = None
    rough: tuple[RoughModelConfig, ...] = ()
    model_share: float = 0.5
    inference: RefineInference = RefineInference()
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    validation: tuple[ValidationConfig, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what types alone can't say.

        Raises:
            ConfigError: values contradict each other.
        """
        if not 2 <= len(self.classes) <= MOST_CLASSES:
            raise ConfigError(f"{len(self.classes)} classes; 2 to {MOST_CLASSES} can be refined.")
        names = [source.name for source in self.data.sources]
        for model in self.rough:
            unknown = sorted(set(model.sources) - set(names))
            if unknown:
                raise ConfigError(
                    f"rough: {model.checkpoint} maps source '{unknown[0]}', which data.sources "
                    f"does not have ({', '.join(names)})."
                )
            for t in model.timesteps:
                check_timestep(t)
        if any(source.focus for source in self.data.sources):
            raise ConfigError("data.sources: focus is not for refinement; leave it out.")
        shares = (self.model_share, self.diffusion.condition_dropout)
        if not all(0 <= share <= 1 for share in shares) or self.diffusion.draws < 1:
            raise ConfigError(
                "model_share and diffusion.condition_dropout must lie in 0..1, diffusion.draws be "
                "at least 1."
            )
        self._check_network()
        self._check_inference()

    def _check_network(self) -> None:
        """Check that a network is given what it can use."""
        is_paper = self.network.variant == "idgbr-paper"
        if is_paper and not self.network.stable_diffusion:
            raise ConfigError(
                "Network idgbr-paper starts from Stable Diffusion 1.5; name its folder in "
                "network.stable_diffusion."
            )
        if not is_paper and self.network.stable_diffusion:
            raise ConfigError(
                "network.stable_diffusion belongs to variant idgbr-paper; leave it out."
            )
        if is_paper and self.network.image_encoder_from:
            raise ConfigError("network.image_encoder_from belongs to variant idgbr; leave it out.")

    def _check_inference(self) -> None:
        """Check how maps are made, and how long the training is."""
        if not 1 <= self.inference.steps <= TIMESTEPS or self.inference.guidance < 0:
            raise ConfigError(
                f"inference.steps is {self.inference.steps} and inference.guidance "
                f"{self.inference.guidance:g}; 1..{TIMESTEPS} and 0 or more are wanted."
            )
        if self.inference.samples < 1:
            raise ConfigError(f"inference.samples is {self.inference.samples}; 1 or more.")


def load_refine_config(path: Path, *, seed: int | None = None) -> RefineConfig:
    """Read the configuration of a refiner; see `load_config`.

    Raises:
        ConfigError: the file can't be read, or a key or value is wrong.
    """
    return read_seeded(path, RefineConfig, seed)
