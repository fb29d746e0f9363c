"""Training of fusion networks: SA-STF with all its losses, and its learned peer.

Paper: Zhang et al., "Semantic-Adaptive Diffusion for Dynamic Spatiotemporal Fusion", CVPR 2026.

    loss = mean |F1 - F1^t| + 0.01 perceptual + lambda 0.5 (MSE(c1, from pair 0) + MSE(from 2))
           + squared (F1 - F1^t)^2
    lambda = 1e-4 (1 - cos(pi min(2 step / steps, 1))) / 2

Deviations from the paper: AdamW or Muon with warm-up, cosine and averaged weights in place of Adam
halved every 40 epochs; a squared error beside the absolute one, which weighs what changed most; the
coarse sensor's constant bias taken off (see `fusion.learned`); flips, quarter turns, dates that
trade places, bands that are left out; one network may learn both ways, with diffusion and without;
x may be mixed from the network's own prediction (`own_share`), because a network that has only seen
x of true images takes whatever x shows for true when it walks back, and every step then lies
further off than the first. The gap between the states of training and of sampling is that of Ning
et al., "Elucidating the Exposure Bias in Diffusion Models", ICLR 2024.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from n2m_core.checkpoints import ImageStatistics
from n2m_core.diffusion.residual import (
    ResidualSampling,
    ResidualSchedule,
    make_residual_schedule,
    sample_residual,
)
from n2m_core.fusion.bands import BAND_SLOTS, slots_named
from n2m_core.fusion.filling import filled_from_nearest
from n2m_core.fusion.inputs import BoolArray, FloatArray, sensor_bias
from n2m_core.fusion.triplets import FusionTriplet, TripletSource
from n2m_core.models.fusion_building import build_fusion
from n2m_core.models.fusion_network import (
    AbstractFusionNetwork,
    Condition,
    FusionImages,
    temporal_guess,
)
from n2m_core.training.fuse_config import FuseConfig, FusionDataConfig, FusionSourceConfig
from n2m_core.training.fusion_scenes import FarmlandTriplets
from n2m_core.training.fusion_sources import SeriesTriplets, read_series
from n2m_core.training.loop import AbstractTrainer, RunParams
from n2m_core.training.perceptual import PerceptualLoss
from n2m_core.training.sources import data_root

Rng = np.random.Generator
STATISTIC_CROPS = 64
VALIDATION_SEED = 2026


@dataclass(frozen=True, eq=False)
class FusionBatch:
    """What one step learns from.

    Attributes:
        images: the five images.
        truth: F1, float32 [B, S, H, W] in model range.
        counts: float32 [B, S, H, W], 1 where a value is scored.
    """

    images: FusionImages
    truth: Tensor
    counts: Tensor

    def to(self, device: torch.device) -> FusionBatch:
        """Move everything to a device."""
        images = {name: value.to(device) for name, value in vars(self.images).items()}
        return FusionBatch(FusionImages(**images), self.truth.to(device), self.counts.to(device))


class TripletMixer:
    """Draws triplets from several sources, varies them and stacks them."""

    def __init__(self, sources: tuple[TripletSource, ...], data: FusionDataConfig) -> None:
        """Hold the sources; `data` says how they are mixed and varied."""
        self.sources, self.data = sources, data
        weights = np.array([source.weight for source in data.sources], float)
        self._chances = weights / weights.sum()

    def batch(self, count: int, rng: Rng) -> FusionBatch:
        """Draw a batch."""
        drawn = [self.draw(rng) for _ in range(count)]
        stacked = torch.from_numpy(np.stack([values for values, _, _ in drawn]))
        present = torch.from_numpy(np.stack([filled for _, filled, _ in drawn]))
        seen = torch.from_numpy(np.stack([valid for _, _, valid in drawn]))
        fine0, coarse0, fine2, coarse2, coarse1, truth = stacked.unbind(1)
        images = FusionImages(fine0, coarse0, fine2, coarse2, coarse1, present)
        counts = seen[:, None].float() * present[:, :, None, None]
        return FusionBatch(images, truth, counts)

    def draw(self, rng: Rng) -> tuple[FloatArray, FloatArray, BoolArray]:
        """Draw one triplet: values [6, S, H, W] in model range, filled slots [S], valid [H, W]."""
        source = self.sources[int(rng.choice(len(self.sources), p=self._chances))]
        triplet = source.sample(rng, self.data.crop_px)
        slots = slots_named(source.bands, len(source.bands))
        if rng.random() < self.data.band_shuffle:
            slots = tuple(int(each) for each in rng.permutation(len(BAND_SLOTS))[: len(slots)])
        kept = np.arange(len(slots))
        if rng.random() < self.data.band_dropout:
            kept = rng.choice(len(slots), int(rng.integers(1, len(slots) + 1)), replace=False)
        values, valid = _turned(
            *_stacked(triplet, is_reversed=rng.random() < self.data.time_reversal), rng
        )
        spread = np.zeros((6, len(BAND_SLOTS), *valid.shape), np.float32)
        present = np.zeros(len(BAND_SLOTS), np.float32)
        for band in kept:
            spread[:, slots[band]] = values[:, band]
            present[slots[band]] = 1
        return spread, present, valid


def _stacked(triplet: FusionTriplet, *, is_reversed: bool) -> tuple[FloatArray, BoolArray]:
    """Give F0, C0, F2, C2, C1, F1 in model range [6, C, H, W] without holes, and valid [H, W]."""
    given = triplet.inputs
    bias = sensor_bias(given, given.valid).astype(np.float32)[:, None, None]
    first, last = (given.fine0, given.coarse0 - bias), (given.fine2, given.coarse2 - bias)
    if is_reversed:
        first, last = last, first
    values = np.stack([*first, *last, given.coarse1 - bias, triplet.fine1])
    bands = values.shape[1]
    whole = filled_from_nearest(values.reshape(6 * bands, *values.shape[2:]), given.valid)
    return whole.reshape(values.shape) * np.float32(2) - np.float32(1), given.valid


def _turned(values: FloatArray, valid: BoolArray, rng: Rng) -> tuple[FloatArray, BoolArray]:
    """Turn and mirror everything alike."""
    quarters, is_mirrored = int(rng.integers(4)), rng.random() < 0.5
    values = np.rot90(values, quarters, axes=(-2, -1))
    valid = np.rot90(valid, quarters)
    if is_mirrored:
        values, valid = values[..., ::-1], valid[..., ::-1]
    return np.ascontiguousarray(values), np.ascontiguousarray(valid)


class FusionTrainer(AbstractTrainer[AbstractFusionNetwork]):
    """Learns to predict the fine image of the target date."""

    def __init__(self, config: FuseConfig, run: RunParams) -> None:
        """Open the sources and build the network."""
        sources = tuple(open_triplets(each, config) for each in config.data.sources)
        model = build_fusion(config.network, seed=config.seed)
        super().__init__(config, run, model, sources)
        self.config = config
        self.mixer = TripletMixer(sources, config.data)
        diffusion = config.diffusion
        self.schedule: ResidualSchedule = make_residual_schedule(
            diffusion.schedule, steps=diffusion.steps, noise_scale=diffusion.noise_scale
        )
        named = config.loss.features_from if config.loss.features else None
        self.perceptual = PerceptualLoss.from_checkpoint(named).to(self.device) if named else None

    def loss(self, strength: float) -> Tensor:
        """Draw a batch, predict F1 one way or the other, compare."""
        batch = self.mixer.batch(self.options.batch_size, self.rng).to(self.device)
        is_one_pass = not self.config.network.has_diffusion or (
            self.rng.random() < self.config.diffusion.one_pass_share
        )
        is_gpu = self.device.type == "cuda"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=is_gpu):
            condition = self.model.condition(batch.images)
            if is_one_pass:
                found = self.model.one_pass(condition)
            else:
                found = self._denoised(batch, condition, strength)
        return self._compared(found.float(), batch, condition)

    def _denoised(self, batch: FusionBatch, condition: Condition, strength: float) -> Tensor:
        """Predict F1 from a state of the forward process at a step drawn at random."""
        count, top = len(batch.truth), max(1, round(self.schedule.steps * strength))
        step = torch.randint(top, (count,), generator=self.generator).to(self.device)
        eps = torch.randn(batch.truth.shape, generator=self.generator).to(self.device)
        end = batch.images.coarse1
        if self.config.diffusion.endpoint == "zero":
            end = torch.zeros_like(end)
        is_own = self.rng.random() < self.config.diffusion.own_share
        clean = self._own(batch, condition, end) if is_own else batch.truth
        x = self.schedule.mix(clean, end, step, eps)
        return self.model.denoise(x, self.schedule.levels(step), condition)

    def _own(self, batch: FusionBatch, condition: Condition, end: Tensor) -> Tensor:
        """Give the network's own first prediction, from the state in which sampling starts."""
        count = len(batch.truth)
        last = torch.full((count,), self.schedule.steps - 1, device=end.device)
        eps = torch.randn(batch.truth.shape, generator=self.generator).to(self.device)
        start = self.schedule.mix(temporal_guess(batch.images), end, last, eps)
        with torch.no_grad():
            return self.model.denoise(start, self.schedule.levels(last), condition).float()

    def _compared(self, found: Tensor, batch: FusionBatch, condition: Condition) -> Tensor:
        """Give the whole loss."""
        error, count = (found - batch.truth) * batch.counts, batch.counts.sum().clamp(min=1)
        loss = error.abs().sum() / count
        if self.config.loss.squared:
            loss = loss + self.config.loss.squared * error.square().sum() / count
        if self.perceptual is not None:
            features = self.perceptual(found, batch.truth, batch.images.present)
            loss = loss + self.config.loss.features * features
        if condition.predicted:
            target = condition.coarse.float()
            parts = [(each.float() - target).square().mean() for each in condition.predicted]
            loss = loss + self._alignment_weight() * 0.5 * torch.stack(parts).sum()
        return loss

    def _alignment_weight(self) -> float:
        """Lambda: rises along a cosine over the first half of the run, then stays."""
        done = min(2 * self.step / self.options.steps, 1.0)
        return self.config.loss.alignment * 0.5 * (1 - math.cos(math.pi * done))


def open_triplets(source: FusionSourceConfig, config: FuseConfig) -> TripletSource:
    """Open a source of triplets.

    Raises:
        DatasetError: its folder is missing.
        ConfigError: it has too few dates, or other bands than it says.
    """
    data = config.data
    if source.kind == "farmland":
        return FarmlandTriplets(source, data.scales, config.resolution_m)
    series = read_series(data_root() / source.root, source)
    return SeriesTriplets([series], source, data.sensor, data.scales)


def image_statistics(mixer: TripletMixer, seed: int) -> ImageStatistics:
    """Measure the fine images that training draws, bands in their own slots, in model range."""
    rng = np.random.default_rng(seed)
    mixer = TripletMixer(mixer.sources, replace(mixer.data, band_shuffle=0.0))
    drawn = [mixer.draw(rng) for _ in range(STATISTIC_CROPS)]
    present = np.stack([filled for _, filled, _ in drawn]) > 0
    means = np.stack([values[-1].mean((1, 2)) for values, _, _ in drawn])
    stds = np.stack([values[-1].std((1, 2)) for values, _, _ in drawn])
    seen = np.maximum(present.sum(0), 1)
    mean = (means * present).sum(0) / seen
    spread = np.sqrt(((means - mean) ** 2 * present).sum(0) / seen)
    std = (stds * present).sum(0) / seen
    return ImageStatistics(_rounded(mean), _rounded(std), _rounded(spread))


def _rounded(values: NDArray[np.floating]) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)


class FusionValidation:
    """The same triplets at every visit, from sources that training does not draw."""

    def __init__(self, config: FuseConfig) -> None:
        """Draw the triplets, with all their bands.

        Raises:
            DatasetError: a folder is missing.
        """
        assert config.validation is not None
        self.config = config
        data = FusionDataConfig(
            sources=config.validation.sources,
            crop_px=config.data.crop_px,
            scales=config.data.scales,
            sensor=config.data.sensor,
            band_dropout=0.0,
            band_shuffle=0.0,
            time_reversal=0.0,
        )
        sources = tuple(open_triplets(each, config) for each in data.sources)
        rng = np.random.default_rng(VALIDATION_SEED)
        self.batch = TripletMixer(sources, data).batch(config.validation.count, rng)

    def scores(self, model: AbstractFusionNetwork, schedule: ResidualSchedule) -> dict[str, float]:
        """Give the RMSE (reflectance) of the analytic guess and of each way that is trained."""
        images, config = self.batch.images, self.config
        with torch.inference_mode():
            condition = model.condition(images)
            found = {"guess_rmse": temporal_guess(images)}
            if config.has_one_pass:
                found["one_pass_rmse"] = model.one_pass(condition)
            if config.network.has_diffusion:
                found["sampled_rmse"] = self._sampled(model, schedule, condition)
        return {name: self._rmse(image) for name, image in found.items()}

    def _sampled(
        self, model: AbstractFusionNetwork, schedule: ResidualSchedule, condition: Condition
    ) -> Tensor:
        generator = torch.Generator().manual_seed(VALIDATION_SEED)
        end = self.batch.images.coarse1
        is_zero = self.config.diffusion.endpoint == "zero"
        return sample_residual(
            lambda x, levels: model.denoise(x, levels, condition),
            torch.zeros_like(end) if is_zero else end,
            schedule,
            lambda step: torch.randn(end.shape, generator=generator),
            sampling=ResidualSampling(self.config.inference.steps),
            estimate=temporal_guess(self.batch.images),
        )

    def _rmse(self, found: Tensor) -> float:
        square = (found - self.batch.truth).square() * self.batch.counts
        return 0.5 * math.sqrt(float(square.sum() / self.batch.counts.sum()))
