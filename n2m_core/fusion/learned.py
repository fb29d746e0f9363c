"""SA-STF and its learned peer as fusion methods.

Paper: Zhang et al., "Semantic-Adaptive Diffusion for Dynamic Spatiotemporal Fusion", CVPR 2026.

A scene is walked back from one noise field, a function of seed and pixel position. At every step
the clean image is predicted in overlapping windows and blended before the step is taken, so the
result does not depend on how the scene was cut. What does not depend on the noise level is computed
once a window and kept while memory allows. What was filled in for a masked pixel is seen by the
windows that hold it; by way of the image on the way it reaches their neighbours, ever fainter.

Deviations from the paper: it predicts every window on its own and keeps the central half. Masked
pixels are filled from the nearest valid ones first. The constant by which the coarse sensor differs
from the fine one in a band, which both known dates show, is taken off all coarse images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from n2m_core.diffusion.noise import position_noise
from n2m_core.diffusion.residual import ResidualSampling, sample_residual, time_grid
from n2m_core.errors import ParameterError
from n2m_core.fusion.bands import BandGroup, band_groups
from n2m_core.fusion.cards import LoadedFusion, load_fusion
from n2m_core.fusion.filling import filled_from_nearest
from n2m_core.fusion.inputs import (
    FloatArray,
    FusionInputs,
    FusionOutput,
    WatchFusion,
    sensor_bias,
)
from n2m_core.geo_image import Progress
from n2m_core.models.fusion_network import Condition, FusionImages, temporal_guess
from n2m_core.tiling import predict_tiled

OVERLAP_PX = 64
"""Neighbouring windows share so much, or half a window where that is less."""
BATCH = 2
KEPT_BYTES = 1 << 30
"""Conditions kept between steps; those of further windows are computed anew at every step."""
STEP_SEEDS = 32
"""Bits by which a step's number stands above the person's seed."""
VIEWS = ("unchanged", "reference")
COARSE = (0, 1, 3)
"""Which of C1, C0, F0, C2, F2 are coarse."""


@dataclass(frozen=True)
class FusionParams:
    """A person's choices.

    Attributes:
        steps: network passes on the way back; the card's when None.
        eta: 0 for the deterministic walk, 1 for all the noise that may be drawn anew.
        seed: names the noise.
        is_one_pass: leave the diffusion out; the card's own way when None.
        bands: what each band is (blue, green, red, nir, swir1, swir2); by their number when None.
        origin: (row, column) of the first pixel in a larger scene; a crop that knows it sees the
            noise and the windows that the scene sees there.
        is_released_start: start from C1 + noise as SA-STF's code does; see `diffusion.residual`.
    """

    steps: int | None = None
    eta: float = 0.0
    seed: int = 0
    is_one_pass: bool | None = None
    bands: tuple[str, ...] | None = None
    origin: tuple[int, int] = (0, 0)
    is_released_start: bool = False


def open_sastf(
    checkpoint: str,
    params: FusionParams | None = None,
    *,
    device: str = "auto",
    root: Path | None = None,
) -> LearnedFusion:
    """Open a checkpoint as a fusion method.

    Args:
        checkpoint: its id.
        params: the person's choices.
        device: see `checkpoints.choose_device`.
        root: folder of the checkpoints.

    Returns:
        The method.

    Raises:
        CheckpointError: unknown id, or damaged weights.
        ParameterError: choices that these weights can't follow.
    """
    return LearnedFusion(load_fusion(checkpoint, device=device, root=root), params)


class LearnedFusion:
    """A fusion method whose network was trained; `timesteps` as in `inputs.SteppedMethod`."""

    def __init__(self, loaded: LoadedFusion, params: FusionParams | None = None) -> None:
        """Check the choices against what the weights can do.

        Raises:
            ParameterError: choices that they can't follow.
        """
        self.loaded, self.params = loaded, params or FusionParams()
        card, config = loaded.card, loaded.model.config
        self.name: str = config.design
        chosen = self.params.is_one_pass
        self.is_one_pass = card.is_one_pass if chosen is None else chosen
        if self.is_one_pass and not card.has_one_pass:
            raise ParameterError(
                f"Checkpoint {card.id} was not trained without diffusion; choose a number of steps."
            )
        if not self.is_one_pass and not config.has_diffusion:
            raise ParameterError(
                f"Checkpoint {card.id} knows no diffusion; use the mode without it (one pass)."
            )
        self.schedule = card.residual_schedule()
        self.sampling = ResidualSampling(
            card.steps if self.params.steps is None else self.params.steps,
            self.params.eta,
            self.params.is_released_start,
        )
        if self.sampling.steps > self.schedule.steps:
            raise ParameterError(
                f"{self.sampling.steps} sampling steps; checkpoint {card.id} has "
                f"{self.schedule.steps}."
            )
        self.timesteps: tuple[int, ...] = ()
        if not self.is_one_pass:
            # Counted from 1 as in the schedule's formulas, so that 0 is the clean image.
            grid = time_grid(self.sampling.steps, self.schedule.steps)
            self.timesteps = tuple(1 + step for step in grid[1:])

    def predict(
        self, inputs: FusionInputs, progress: Progress, watch: WatchFusion | None = None
    ) -> FusionOutput:
        """Predict the fine image of the target date.

        Args:
            inputs: the five images; bands as `FusionParams.bands` says.
            progress: told after every batch of windows; may raise to stop.
            watch: given the image on the way after every step, of the first six bands.

        Returns:
            The fine image. Layers, where the network has them: "unchanged", share of the feature
            channels that copy date 0, and "reference", share for which date 2 is the better
            reference; both 0..1.

        Raises:
            BandError: the band names don't fit.
            GridError: no pixel is valid.
        """
        stack = np.concatenate(
            [inputs.coarse1, inputs.coarse0, inputs.fine0, inputs.coarse2, inputs.fine2]
        )
        valid = inputs.valid & np.isfinite(stack).all(0)
        images = filled_from_nearest(stack, valid).reshape(5, inputs.bands, *stack.shape[1:])
        images[list(COARSE)] -= sensor_bias(inputs, valid).astype(np.float32)[:, None, None]
        images = images * np.float32(2) - np.float32(1)
        groups = band_groups(inputs.bands, self.params.bands)
        fine1 = np.zeros(inputs.fine0.shape, np.float32)
        layers: dict[str, FloatArray] = {}
        for number, group in enumerate(groups):
            part = _part_of(progress, number, len(groups))
            scene = _Scene(self, images[:, list(group.bands)], group, part)
            found, views = scene.run(watch if number == 0 else None)
            fine1[list(group.bands)] = found
            layers = layers or views
        return FusionOutput(np.where(valid, fine1, np.float32(0)), valid, layers)


@dataclass(eq=False)
class _Scene:
    """One group of bands on its way through the network.

    Attributes:
        method: network, schedule and choices.
        images: C1, C0, F0, C2, F2 in model range, float32 [5, N, H, W].
        group: which slots the bands fill.
        progress: told after every batch of windows.
    """

    method: LearnedFusion
    images: FloatArray
    group: BandGroup
    progress: Progress
    _kept: dict[tuple[tuple[int, int], ...], Condition] = field(default_factory=dict)
    _bytes: int = 0
    _views: FloatArray | None = None
    _passes: int = 0

    def __post_init__(self) -> None:
        """Spread the bands over the slots."""
        slots = self.method.loaded.model.config.slots
        spread = np.zeros((5, slots, *self.images.shape[2:]), np.float32)
        spread[:, list(self.group.slots)] = self.images
        self._stack = spread.reshape(-1, *spread.shape[2:])
        self._end = torch.from_numpy(spread[:1].copy())
        self._present = torch.zeros(slots)
        self._present[list(self.group.slots)] = 1

    def run(self, watch: WatchFusion | None) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Give the fine image, reflectance [N, H, W], and the views."""
        if self.method.is_one_pass:
            found = self._predict(None, None)
        else:
            at_zero = self.method.loaded.card.endpoint == "zero"
            found = sample_residual(
                self._predict,
                torch.zeros_like(self._end) if at_zero else self._end,
                self.method.schedule,
                self._noise,
                sampling=self.method.sampling,
                estimate=self._guess(),
                watch=None if watch is None else self._shown(watch),
            )
        views = {} if self._views is None else dict(zip(VIEWS, self._views, strict=True))
        return self._reflectance(found), views

    def _guess(self) -> Tensor:
        """Estimate F1 without a network, for the first state of schedules that need one."""
        parts = torch.from_numpy(self._stack)[None].chunk(5, dim=1)
        coarse1, coarse0, fine0, coarse2, fine2 = parts
        present = self._present[None]
        return temporal_guess(FusionImages(fine0, coarse0, fine2, coarse2, coarse1, present))

    def _noise(self, step: int) -> Tensor:
        """Draw a step's noise, a function of seed and position alone."""
        seed = self.method.params.seed + (step << STEP_SEEDS)
        row, col = self.method.params.origin
        _, bands, height, width = self._end.shape
        return torch.from_numpy(position_noise(seed, bands, height, width, row=row, col=col))[None]

    def _predict(self, x: Tensor | None, levels: Tensor | None) -> Tensor:
        """Predict F1 of the whole scene in blended windows, [1, S, H, W]; from x where given."""
        noisy = self._end if x is None else x
        slots = noisy.shape[1]
        model, size = self.method.loaded.model, self.method.loaded.card.window_px
        passes = 1 if self.method.is_one_pass else self.method.sampling.steps

        def predict_windows(windows: FloatArray, positions: list[tuple[int, int]]) -> FloatArray:
            """Predict F1 and the views of a batch of windows."""
            tensors = torch.from_numpy(windows).to(self.method.loaded.device)
            with torch.inference_mode():
                condition = self._condition(tensors[:, slots:], tuple(positions))
                if levels is None:
                    clean = model.one_pass(condition)
                else:
                    told = levels.to(tensors.device).expand(len(tensors), -1)
                    clean = model.denoise(tensors[:, :slots], told, condition)
                return torch.cat([clean, _views_of(condition, clean)], dim=1).cpu().numpy()

        def tell(done: int, total: int, note: str) -> None:
            words = "one pass" if levels is None else f"step {self._passes + 1} of {passes}"
            self.progress(self._passes * total + done, passes * total, f"{words}, {note}")

        blended = predict_tiled(
            predict_windows,
            np.concatenate([noisy[0].numpy(), self._stack]),
            size=size,
            overlap=min(OVERLAP_PX, size // 2 // model.multiple * model.multiple),
            batch=BATCH,
            multiple=model.multiple,
            origin=self.method.params.origin,
            progress=tell,
        )
        self._passes += 1
        if model.config.design == "sa-stf" and model.config.has_saf:
            self._views = blended[slots:]
        return torch.from_numpy(blended[None, :slots])

    def _condition(self, stack: Tensor, key: tuple[tuple[int, int], ...]) -> Condition:
        """Give what does not depend on the noise level; computed once where it can be kept."""
        if key in self._kept:
            return self._kept[key]
        present = self._present.to(stack.device).expand(len(stack), -1)
        coarse1, coarse0, fine0, coarse2, fine2 = stack.chunk(5, dim=1)
        images = FusionImages(fine0, coarse0, fine2, coarse2, coarse1, present)
        condition = replace(self.method.loaded.model.condition(images), predicted=())
        kept = (*condition.features, condition.coarse, condition.base)
        size = sum(4 * each.numel() for each in kept)
        if self._bytes + size <= KEPT_BYTES:
            self._kept[key] = condition
            self._bytes += size
        return condition

    def _reflectance(self, image: Tensor) -> FloatArray:
        """Bring [1, S, H, W] in model range to reflectance of the image's bands [N, H, W]."""
        bands = image[0, list(self.group.slots)].numpy()
        return np.asarray((bands + np.float32(1)) / np.float32(2))

    def _shown(self, watch: WatchFusion) -> Callable[[int, Tensor, Tensor], None]:
        return lambda done, x, clean: watch(done, self._reflectance(x), self._reflectance(clean))


def _views_of(condition: Condition, like: Tensor) -> Tensor:
    """Bring the two views to full resolution, [B, 2, H, W]; zero where the network has none."""
    if condition.unchanged is None or condition.second is None:
        return torch.zeros_like(like[:, :2])
    views = torch.cat([condition.unchanged, condition.second], dim=1)
    return torch.nn.functional.interpolate(views, size=like.shape[2:])


def _part_of(progress: Progress, number: int, count: int) -> Progress:
    """Give a progress that fills its share of the whole."""
    return lambda done, total, note: progress(number * total + done, count * total, note)
