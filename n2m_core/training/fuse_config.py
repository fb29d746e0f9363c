"""Configurations of fusion trainings; see `training.config` for what all have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from n2m_core.diffusion.residual import STEPS_TRAINED, ResidualScheduleName
from n2m_core.errors import ConfigError
from n2m_core.fusion.bands import BAND_SLOTS, slots_named
from n2m_core.fusion.cards import Endpoint
from n2m_core.models.fusion_network import FusionNetworkConfig
from n2m_core.training.config import OptimizerConfig, check_every
from n2m_core.training.strict_yaml import read_seeded


@dataclass(frozen=True)
class FusionSourceConfig:
    """One source of triplets.

    Attributes:
        kind: farmland (procedural scenes), series (GeoTIFFs of one place, a date each, in the
            order of their names), or pairs (such series below `fine/` and `coarse/`, as many of
            each; without it the coarse side is made from the fine one).
        bands: what each band is: blue, green, red, nir, swir1, swir2.
        weight: how often it is drawn, relative to the others.
        root: of series and pairs: folder below $N2M_DATA or the working folder.
        gain: of series and pairs: reflectance = gain DN + offset.
        count: of farmland: scenes drawn.
        first_seed: of farmland: number of the first scene; validation takes others than training.
        size_px: of farmland: side of a scene, fine pixels; a multiple of every scale factor.
    """

    kind: Literal["farmland", "series", "pairs"]
    name: str
    licence: str
    attribution: str
    bands: tuple[str, ...] = BAND_SLOTS
    weight: float = 1.0
    root: str = ""
    gain: float = 1e-4
    offset: float = 0.0
    count: int = 0
    first_seed: int = 0
    size_px: int = 288


@dataclass(frozen=True)
class SensorConfig:
    """Ranges of the coarse sensors that look at a series; those of farmland are the scenes' own.

    The defaults lie within the scenes' training ranges, so that held-out scenes stay unseen.

    Attributes:
        fwhm: smallest and largest full width at half maximum of the point spread, coarse pixels.
        noise: largest standard deviation of a coarse pixel, reflectance.
        gain: largest relative error of a band.
        bias: largest offset of a band, reflectance.
    """

    fwhm: tuple[float, ...] = (0.8, 1.3)
    noise: float = 0.004
    gain: float = 0.04
    bias: float = 0.006


@dataclass(frozen=True)
class FusionDataConfig:
    """Where triplets come from and how they are varied.

    Attributes:
        crop_px: side of a crop, fine pixels.
        scales: scale factors that are drawn, where a source leaves them open.
        band_dropout: chance that a sample keeps only some of its bands.
        band_shuffle: chance that its bands stand in random slots, so that images whose bands are
            unknown still work.
        time_reversal: chance that dates 0 and 2 trade places.
    """

    sources: tuple[FusionSourceConfig, ...]
    crop_px: int
    scales: tuple[int, ...] = (8, 16, 24)
    sensor: SensorConfig = field(default_factory=SensorConfig)
    band_dropout: float = 0.4
    band_shuffle: float = 0.1
    time_reversal: float = 0.5


@dataclass(frozen=True)
class FusionDiffusionConfig:
    """The diffusion of training.

    Attributes:
        schedule: of `diffusion.residual`.
        steps: T.
        noise_scale: variance of the noise at the end of the schedule; 1 in the paper.
        endpoint: coarse (SA-STF) or zero (STFDiff).
        one_pass_share: chance that a batch learns the way without diffusion.
        own_share: chance that a batch of the diffusion sees x mixed from the network's own
            prediction in place of the truth, as it will be when it walks back.
    """

    schedule: ResidualScheduleName = "full"
    steps: int = STEPS_TRAINED
    noise_scale: float = 1.0
    endpoint: Endpoint = "coarse"
    one_pass_share: float = 0.0
    own_share: float = 0.0


@dataclass(frozen=True)
class FusionLossConfig:
    """Weights beside the L1 loss of the image.

    Attributes:
        features: of the perceptual loss.
        features_from: id of the Noise2Map checkpoint whose backbone gives the features; None
            leaves the perceptual loss out.
        alignment: of the re-predicted coarse features, where it is greatest.
        squared: of the squared error of the image, in model range; 0 in the paper.
    """

    features: float = 0.01
    features_from: str | None = None
    alignment: float = 1e-4
    squared: float = 0.0


@dataclass(frozen=True)
class FusionInferenceConfig:
    """What the card says about fusing; see `fusion.cards.FusionCard`."""

    steps: int = 50
    is_one_pass: bool = False
    window_px: int = 288


@dataclass(frozen=True)
class FusionValidationConfig:
    """Triplets of other sources that score the run every so many steps."""

    sources: tuple[FusionSourceConfig, ...]
    every: int
    count: int = 8

    def __post_init__(self) -> None:
        """Check the range.

        Raises:
            ConfigError: it would never be looked at.
        """
        check_every(self.every)


@dataclass(frozen=True)
class FuseConfig:
    """Everything that decides a fusion training; `resolution_m` is that of the fine images."""

    id: str
    title: str
    task: Literal["fuse"]
    resolution_m: float
    network: FusionNetworkConfig
    data: FusionDataConfig
    optimizer: OptimizerConfig
    license: str
    limits: str
    diffusion: FusionDiffusionConfig = field(default_factory=FusionDiffusionConfig)
    loss: FusionLossConfig = field(default_factory=FusionLossConfig)
    inference: FusionInferenceConfig = field(default_factory=FusionInferenceConfig)
    validation: FusionValidationConfig | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what types alone can't say.

        Raises:
            ConfigError: values contradict each other.
            BandError: a source names a band that has no slot.
        """
        if self.network.slots != len(BAND_SLOTS):
            raise ConfigError(
                f"network.slots is {self.network.slots}; there are {len(BAND_SLOTS)} kinds of band."
            )
        checked = self.validation.sources if self.validation else ()
        for source in (*self.data.sources, *checked):
            self._check_source(source)
        if not self.data.scales or min(self.data.scales) < 2:
            raise ConfigError(f"data.scales is {list(self.data.scales)}; each must be 2 or more.")
        fwhm = self.data.sensor.fwhm
        if len(fwhm) != 2 or not 0 <= fwhm[0] <= fwhm[1]:
            raise ConfigError(f"data.sensor.fwhm is {list(fwhm)}; give [smallest, largest].")
        self._check_sizes()
        self._check_passes()

    def _check_source(self, source: FusionSourceConfig) -> None:
        """Check the bands of a source, and the sizes of procedural scenes."""
        slots_named(source.bands, len(source.bands))
        if source.kind != "farmland":
            return
        if source.count < 1:
            raise ConfigError(f"Source '{source.name}' makes scenes; give its count, at least 1.")
        if source.bands not in (BAND_SLOTS, BAND_SLOTS[:4]):
            raise ConfigError(
                f"Source '{source.name}' has all six bands or the first four; leave bands out."
            )
        odd = [scale for scale in self.data.scales if source.size_px % scale]
        if odd or source.size_px < self.data.crop_px:
            raise ConfigError(
                f"Source '{source.name}' makes scenes of {source.size_px} px; a multiple of the "
                f"scales {list(self.data.scales)} and at least data.crop_px is wanted."
            )

    def _check_sizes(self) -> None:
        """Check that crops and windows fit the network."""
        multiple = self.network.shrink * 2 ** (len(self.network.multipliers) - 1)
        for name, size in (
            ("data.crop_px", self.data.crop_px),
            ("inference.window_px", self.inference.window_px),
        ):
            if size < multiple or size % multiple:
                raise ConfigError(f"{name} is {size}; a multiple of {multiple} is wanted.")

    def _check_passes(self) -> None:
        """Check that the network can do what training and inference ask of it."""
        for name in ("one_pass_share", "own_share"):
            share = getattr(self.diffusion, name)
            if not 0 <= share <= 1:
                raise ConfigError(f"diffusion.{name} is {share:g}; a chance from 0 to 1 is wanted.")
        if not self.network.has_diffusion and not self.inference.is_one_pass:
            raise ConfigError("The network has no diffusion; set inference.is_one_pass to true.")
        if self.inference.is_one_pass and not self.has_one_pass:
            raise ConfigError(
                "inference.is_one_pass is true, but training never goes without diffusion; set "
                "diffusion.one_pass_share above 0."
            )
        if self.network.design == "stfdiff" and self.has_one_pass:
            raise ConfigError("STFDiff has no pass without diffusion; leave one_pass_share at 0.")
        if not 1 <= self.inference.steps <= self.diffusion.steps:
            raise ConfigError(
                f"inference.steps is {self.inference.steps}; 1 to {self.diffusion.steps} wanted."
            )

    @property
    def has_one_pass(self) -> bool:
        """Whether the way without diffusion is trained."""
        return self.diffusion.one_pass_share > 0 or not self.network.has_diffusion


def load_fuse_config(path: Path, *, seed: int | None = None) -> FuseConfig:
    """Read a fusion training's configuration.

    Args:
        path: a YAML file.
        seed: in place of the file's; the run and its checkpoint are then called `<id>-seed<seed>`.

    Returns:
        The configuration, every key known and every value of its type.

    Raises:
        ConfigError: the file can't be read, or a key or value is wrong.
    """
    return read_seeded(path, FuseConfig, seed)
