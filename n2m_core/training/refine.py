"""Training of IDGBR: rough maps made on the way, the noise of label latents predicted.

Paper: Wang et al., IEEE TPAMI 2026, arXiv 2507.01573.

    L = E w[t] || eps - eps(z_t, t; image, rough map) ||^2  (+ 0.5 L_align in the first steps)

Symbols as in `models.idgbr`.

Deviations from the paper: condition dropout is applied (the release configures it and doesn't), so
that the unconditional branch of guidance is trained. Several timesteps may be drawn for a crop,
whose guidance is computed once. The codec is learned on the run's own label crops.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from n2m_core.checkpoints import load
from n2m_core.corruption import corrupt
from n2m_core.diffusion.noise import TIMESTEPS
from n2m_core.errors import ConfigError
from n2m_core.models.building import build
from n2m_core.models.guidance import Guidance, dropped, repeated
from n2m_core.models.idgbr import CompactConditions, PaperConditions, Refiner
from n2m_core.models.label_codec import PseudoRgbCodec, codec_loss
from n2m_core.models.network import AbstractNetwork, NetworkConfig
from n2m_core.models.stable_diffusion import (
    StableUNet,
    Teacher,
    alignment_loss,
    folder_settings,
    folder_weights,
)
from n2m_core.training.crops import Cropper
from n2m_core.training.loop import AbstractTrainer, RunParams
from n2m_core.training.losses import IGNORED
from n2m_core.training.refine_config import RefineConfig, TimestepDraw
from n2m_core.training.rough_maps import add_rough_maps, unpack
from n2m_core.training.sources import CropMixer, open_source
from n2m_core.training.starts import stages_of
from n2m_core.training.strict_yaml import digest_of

BANDS = 3

_log = logging.getLogger(__name__)


def draw_timesteps(count: int, draw: TimestepDraw, generator: torch.Generator) -> Tensor:
    """Draw timesteps, one from each of `count` equal parts of the range, in random order.

    Args:
        count: how many.
        draw: uniform, or cubic: t = T (1 - (u / T)^3), which prefers noise (mean 750).
        generator: decides.

    Returns:
        int64 [count] in 0..999.
    """
    parts = torch.randperm(count, generator=generator)
    u = (parts + torch.rand(count, generator=generator)) / count
    t = TIMESTEPS * (1 - u**3) if draw == "cubic" else TIMESTEPS * u
    return t.long().clamp_(max=TIMESTEPS - 1)


class RefineTrainer(AbstractTrainer[AbstractNetwork]):
    """Learns to refine labelled crops."""

    def __init__(self, config: RefineConfig, run: RunParams) -> None:
        """Open the sources, make the rough maps, build the network, teach its codec."""
        cache = run.folder.parent / "cache"
        sources = tuple(
            open_source(s, "segment", config.classes, cache) for s in config.data.sources
        )
        add_rough_maps(sources, config, cache)
        low, high = config.data.resolution_range_m
        cropper = Cropper(config.data.crop_px, low, high, config.augment.rotate)
        self.config = config
        self.mixer = CropMixer(sources, cropper, config.augment)
        self.teacher = _teacher(config, run.device)
        model = build_refiner(config, self.teacher)
        if config.data.crop_px % model.multiple:
            raise ConfigError(
                f"data.crop_px is {config.data.crop_px}; the network takes multiples of "
                f"{model.multiple}."
            )
        start = config.network.image_encoder_from
        if not run.goes_on(config.id, digest_of(config), stages_of(start)):
            teach_codec(model.to(run.device), config, self.mixer)
        for part in model.frozen_parts():
            part.requires_grad_(False)
        super().__init__(config, run, model, sources, starts_from=start)

    @property
    def refiner(self) -> Refiner:
        """The network, by its own type."""
        assert isinstance(self.model, Refiner)
        return self.model

    def loss(self, strength: float) -> Tensor:
        """Draw a batch, mix z_t, compare what is predicted with the noise."""
        images, labels, rough = self.batch(strength)
        is_gpu = self.device.type == "cuda"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=is_gpu):
            guidance = self.refiner.guidance(images, rough)
            loss = self._denoising_loss(labels, guidance)
            align = self.config.alignment
            if align and self.teacher and self.step < align.steps:
                assert self.refiner.projector is not None
                projected = self.refiner.projector(guidance[-1].mixed)
                loss = loss + align.weight * alignment_loss(projected, self.teacher.tokens(images))
        return loss.float()

    def batch(self, strength: float) -> tuple[Tensor, Tensor, Tensor]:
        """Draw crops.

        Args:
            strength: share (0..1) of the full augmentation.

        Returns:
            Images float32 [B, 3, h, w] in [-1, 1]; labels int64 [B, h, w], 255 where unknown; rough
            maps int64 [B, h, w] without a gap; all on the run's device.
        """
        images, packed = self.mixer.batch(self.options.batch_size, self.rng, strength)
        labels, mapped = unpack(packed)
        rough = torch.stack([self._rough(*each) for each in zip(labels, mapped, strict=True)])
        rough = rough.masked_fill(rough == IGNORED, 0)
        images = images.to(self.device, memory_format=torch.channels_last)
        return images, labels.to(self.device), rough.to(self.device)

    def _rough(self, label: Tensor, mapped: Tensor) -> Tensor:
        """Take a checkpoint's map of the crop, or corrupt the truth, int64 [h, w]."""
        has_map = bool((mapped != IGNORED).any())
        if has_map and self.rng.random() < self.config.model_share:
            return mapped
        made = corrupt(label.numpy(), len(self.config.classes), self.rng)
        return torch.from_numpy(np.ascontiguousarray(made))

    def _denoising_loss(self, labels: Tensor, guidance: Guidance) -> Tensor:
        """Mean square error of eps over the latents whose pixels are all known."""
        options, model = self.config.diffusion, self.refiner
        unknown = labels == IGNORED
        with torch.no_grad():
            z0 = model.codec.encode(labels.masked_fill(unknown, 0))
        gaps = functional.max_pool2d(unknown[:, None].float(), model.codec.factor)
        z0, known = (each.repeat_interleave(options.draws, 0) for each in (z0, 1 - gaps))
        t = draw_timesteps(len(z0), options.timesteps, self.generator)
        eps = torch.randn(z0.shape, generator=self.generator)
        chances = torch.rand(len(z0), generator=self.generator)
        kept = (chances >= options.condition_dropout).float()
        t, eps, kept = (each.to(self.device) for each in (t, eps, kept))
        guidance = dropped(repeated(guidance, options.draws), kept)
        error = (model(model.mix(z0, t, eps), t, guidance) - eps).square()
        if options.weight == "velocity":
            error = error / torch.as_tensor(model.signal)[t].square().view(-1, 1, 1, 1)
        return torch.as_tensor((error * known).sum() / (known.sum() * error.shape[1]).clamp(min=1))


def teach_codec(model: Refiner, config: RefineConfig, mixer: CropMixer) -> float:
    """Teach the label codec on label crops; it has a generator of its own.

    Args:
        model: its codec is changed in place, and left in eval mode.
        config: steps and rate.
        mixer: gives the crops; the paper's codec learns on random labels.

    Returns:
        Share of the last batch's pixels that came back as they were, 0..1; NaN without a step.
    """
    options, codec = config.codec, model.codec
    rng = np.random.default_rng(config.seed + 1)
    generator = torch.Generator().manual_seed(config.seed + 1)
    learned = [each for each in codec.parameters() if each.requires_grad]
    device = learned[0].device
    optimizer = torch.optim.AdamW(learned, lr=options.learning_rate)
    codec.train()
    right = float("nan")
    for step in range(options.steps):
        for group in optimizer.param_groups:
            group["lr"] = options.learning_rate * (1 - step / options.steps)
        if isinstance(codec, PseudoRgbCodec):
            shape = (options.batch_size, config.data.crop_px, config.data.crop_px)
            labels = torch.randint(len(config.classes), shape, generator=generator)
        else:
            labels, _ = unpack(mixer.batch(options.batch_size, rng, 0.0)[1])
            labels = labels.masked_fill(labels == IGNORED, 0)
        noise = torch.randn(codec.noise_shape(labels), generator=generator).to(device)
        loss = codec_loss(codec, labels.to(device), noise, options.noise)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        optimizer.step()
        if step + 1 == options.steps:
            found = codec.reconstruction(labels.to(device), noise, 0.0).argmax(1).cpu()
            right = float((found == labels).float().mean())
            _log.info("label codec: %.2f %% of the pixels come back", 100 * right)
    codec.eval()
    return right


def build_refiner(config: RefineConfig, teacher: Teacher | None) -> Refiner:
    """Build the network with the weights that it starts from.

    Raises:
        CheckpointError: they can't be read.
        ConfigError: they don't fit.
    """
    choice = config.network
    overrides = dict(choice.overrides)
    if teacher:
        overrides["teacher_width"] = teacher.width
    encoder = choice.image_encoder_from and load(choice.image_encoder_from, device="cpu").model
    if encoder:
        if encoder.config.variant != "compact" or encoder.config.in_channels != BANDS:
            raise ConfigError(
                f"network.image_encoder_from: {choice.image_encoder_from} is no compact network of "
                "one date; name one such as n2m-buildings."
            )
        overrides["image_encoder"] = encoder.config.overrides
    folder = Path(choice.stable_diffusion).expanduser() if choice.stable_diffusion else None
    if folder:
        overrides["unet"], overrides["vae"] = folder_settings(folder)
    network = NetworkConfig(choice.variant, BANDS, len(config.classes), overrides=overrides)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)  # initial weights only: the fork gives the state back
        model = build(network)
    assert isinstance(model, Refiner)
    if encoder:
        _take_trunk(model, encoder)
    if folder:
        _take_stable_diffusion(model, folder)
    return model


def _take_trunk(model: Refiner, encoder: nn.Module) -> None:
    """Copy a segmentation network without its head into the image encoder, and freeze it."""
    assert isinstance(model.conditions, CompactConditions)
    trunk = model.conditions.trunk
    source = encoder.state_dict()
    trunk.load_state_dict({name: source[name] for name in trunk.state_dict()})
    model.has_trained_encoder = True


def _take_stable_diffusion(model: Refiner, folder: Path) -> None:
    """Copy Stable Diffusion's weights into denoiser, guidance encoder and codec."""
    unet, vae, prompt = folder_weights(folder)
    assert isinstance(model.denoiser, StableUNet)
    assert isinstance(model.conditions, PaperConditions)
    assert isinstance(model.codec, PseudoRgbCodec)
    model.codec.vae.load_state_dict(vae)
    model.denoiser.unet.load_state_dict(unet)
    own = model.conditions.encoder.unet.state_dict()
    model.conditions.encoder.unet.load_state_dict({name: unet[name] for name in own})
    for each in (model.denoiser, model.conditions.encoder):
        each.prompt = prompt
    model.has_trained_encoder = True


def _teacher(config: RefineConfig, device: str) -> Teacher | None:
    """Load the teacher, where one is aligned to."""
    if config.alignment is None:
        return None
    return Teacher(Path(config.alignment.teacher).expanduser()).to(device)
