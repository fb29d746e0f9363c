"""Task-specific noise processes and their schedules.

Paper: Shibli, Nascetti, Ban, "Noise2Map: End-to-End Diffusion Model for Semantic Segmentation and
Change Detection", IEEE TGRS 2026, arXiv 2604.27889. Cosine schedule: Nichol, Dhariwal, "Improved
Denoising Diffusion Probabilistic Models", ICML 2021, arXiv 2102.09672, eq. 17.

Symbols:
    x0         clean input, [B, C, H, W] in [-1, 1]; for a pair the channels are (before, after)
    n          noise of the process, same shape
    x_t        noisy input at step t in 0..999
    alpha_bar  cumulative product of 1 - beta over the steps, linear beta 1e-4 -> 0.02; `cosine`
               has the betas of a squared cosine
    sigma      noise level of a variance-exploding schedule (Heun)

    x_t = signal[t] x0 + noise[t] n

| process  | n                  | meaning                                        |
|----------|--------------------|------------------------------------------------|
| gaussian | N(0, I)            | diffusion as the paper describes segmentation  |
| swap     | (after, before)    | change detection: the dates trade places       |
| self     | x0                 | segmentation in the released code: a gain of t |
| none     | 0                  | the ablation without diffusion                 |

Deviations from the paper: `none` leaves x0 as it is at every t (signal 1), so that the ablation
sees the same clean input everywhere. Gaussian noise for inference is a hash of seed and pixel
position, so a map does not depend on how the image was cut into windows. The cosine schedule is not
the paper's; it is here to be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from n2m_core.diffusion.library import (
    DDIMScheduler,
    DDPMScheduler,
    HeunDiscreteScheduler,
    PNDMScheduler,
)
from n2m_core.errors import ParameterError

NoiseKind = Literal["gaussian", "swap", "self", "none"]
MixSchedule = Literal["ddpm", "ddim", "pndm", "heun", "cosine"]
"""Schedules that an image is mixed by."""
ScheduleName = Literal[MixSchedule, "scaled_linear"]
"""`scaled_linear` is Stable Diffusion's, for latents."""
NOISE_KINDS: tuple[NoiseKind, ...] = get_args(NoiseKind)
SCHEDULES: tuple[MixSchedule, ...] = get_args(MixSchedule)

TIMESTEPS = 1000
BETA_START = 1e-4
BETA_END = 0.02
SCALED_BETA_START = 0.00085
SCALED_BETA_END = 0.012
"""Of Stable Diffusion (Rombach et al., CVPR 2022): betas linear in their square roots."""

_GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)  # Steele, Lea, Flood 2014, SplitMix64
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True, eq=False)
class Schedule:
    """The weights of signal and noise at each timestep.

    Attributes:
        name: the diffusers scheduler that they come from; `cosine` is DDPM's with other betas.
        signal: float32 [T], weight of x0.
        noise: float32 [T], weight of n.
    """

    name: ScheduleName
    signal: Tensor
    noise: Tensor

    def snr(self) -> Tensor:
        """Signal-to-noise ratio signal^2 / noise^2, float32 [T]."""
        return (self.signal / self.noise) ** 2

    def alpha_bar(self) -> Tensor:
        """Share of the signal in the power of x_t, snr / (1 + snr), float32 [T].

        Of DDPM, DDIM, PNDM and cosine this is signal^2, since signal^2 + noise^2 = 1.
        """
        return self.signal**2 / self.power()

    def power(self) -> Tensor:
        """Variance of x_t for x0 and n of variance 1, signal^2 + noise^2, float32 [T]."""
        return self.signal**2 + self.noise**2


def make_schedule(name: ScheduleName) -> Schedule:
    """Read the weights of a diffusers scheduler, with the same linear betas for all but cosine.

    DDPM, DDIM and PNDM share sqrt(alpha_bar) and sqrt(1 - alpha_bar): they differ in how they step
    backwards, which a single pass never does. Heun adds sigma n to an unscaled x0, that is DDPM's
    x_t divided by sqrt(alpha_bar). Cosine is DDPM with alpha_bar[t] = f(t + 1) / f(0),
    f(t) = cos^2((t / T + 0.008) / 1.008 pi / 2), and betas of at most 0.999. Scaled linear is DDPM
    with sqrt(beta) linear from sqrt(0.00085) to sqrt(0.012).

    Args:
        name: one of `SCHEDULES`, or "scaled_linear".

    Returns:
        The schedule over 1000 timesteps.

    Raises:
        ParameterError: the name is unknown.
    """
    betas: dict[str, Any] = {
        "num_train_timesteps": TIMESTEPS,
        "beta_start": BETA_START,
        "beta_end": BETA_END,
        "beta_schedule": "linear",
    }
    if name == "heun":
        alpha_bar = _alpha_bar(HeunDiscreteScheduler, betas)
        sigma = torch.sqrt((1 - alpha_bar) / alpha_bar)
        return Schedule(name, torch.ones_like(sigma), sigma)
    if name == "cosine":
        betas["beta_schedule"] = "squaredcos_cap_v2"
    if name == "scaled_linear":
        betas = scaled_linear_betas()
    kinds: dict[str, Any] = {
        "ddpm": DDPMScheduler,
        "ddim": DDIMScheduler,
        "pndm": PNDMScheduler,
        "cosine": DDPMScheduler,
        "scaled_linear": DDPMScheduler,
    }
    if name not in kinds:
        raise ParameterError(f"Schedule '{name}' is unknown; choose one of {', '.join(SCHEDULES)}.")
    alpha_bar = _alpha_bar(kinds[name], betas)
    return Schedule(name, alpha_bar.sqrt(), (1 - alpha_bar).sqrt())


def scaled_linear_betas() -> dict[str, Any]:
    """Give the entries of a diffusers scheduler with Stable Diffusion's betas."""
    return {
        "num_train_timesteps": TIMESTEPS,
        "beta_start": SCALED_BETA_START,
        "beta_end": SCALED_BETA_END,
        "beta_schedule": "scaled_linear",
    }


def _alpha_bar(scheduler: Any, betas: dict[str, Any]) -> Tensor:  # noqa: ANN401
    """Read alpha_bar, float32 [T]; Any, since diffusers' classes carry no usable types."""
    alpha_bar: Tensor = scheduler(**betas).alphas_cumprod
    return alpha_bar.float()


@dataclass(frozen=True, eq=False)
class NoiseProcess:
    """A kind of noise and the schedule by which it enters."""

    kind: NoiseKind
    schedule: Schedule

    def noise_for(self, x0: Tensor, gaussian: Tensor) -> Tensor:
        """Give the noise n of this process.

        Args:
            x0: clean input, float32 [B, C, H, W]; even C with (before, after) for swap.
            gaussian: standard normal draw of the same shape; used by `gaussian` alone.

        Returns:
            n, float32 [B, C, H, W].

        Raises:
            ParameterError: swap was asked for an odd number of channels.
        """
        if self.kind == "gaussian":
            return gaussian
        if self.kind == "swap":
            if x0.shape[1] % 2:
                raise ParameterError(
                    f"The swap process needs before and after; got {x0.shape[1]} channels, "
                    "an odd number. Give both dates the same bands."
                )
            before, after = x0.chunk(2, dim=1)
            return torch.cat([after, before], dim=1)
        return x0 if self.kind == "self" else torch.zeros_like(x0)

    def mix(self, x0: Tensor, t: Tensor, n: Tensor) -> Tensor:
        """Mix x_t = signal[t] x0 + noise[t] n.

        Args:
            x0: clean input, float32 [B, C, H, W] in [-1, 1].
            t: timestep of each sample, int64 [B] in 0..999.
            n: noise from `noise_for`, float32 [B, C, H, W].

        Returns:
            x_t, float32 [B, C, H, W].
        """
        if self.kind == "none":
            return x0
        signal = self.schedule.signal.to(x0.device)[t].view(-1, 1, 1, 1)
        noise = self.schedule.noise.to(x0.device)[t].view(-1, 1, 1, 1)
        return signal * x0 + noise * n


def check_timestep(t: int) -> int:
    """Return t when it is a timestep.

    Raises:
        ParameterError: t is outside 0..999.
    """
    if not 0 <= t < TIMESTEPS:
        raise ParameterError(f"Timestep {t} is outside 0..{TIMESTEPS - 1}; choose one inside.")
    return t


def crossing_timestep(schedule: Schedule) -> int:
    """Step where signal and noise weigh the same: under swap the dates can't be told apart there.

    For the linear betas this is t = 258, for the cosine t = 495.
    """
    return int(torch.argmin((schedule.signal - schedule.noise).abs()))


def _hash(counter: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit counters (the finaliser of SplitMix64)."""
    z = counter * _GOLDEN_GAMMA
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))


def position_noise(
    seed: int, bands: int, height: int, width: int, *, row: int = 0, col: int = 0
) -> NDArray[np.float32]:
    """Draw standard normal noise that depends on seed, band and pixel position alone.

    A window cut anywhere from a scene sees the same noise as the scene does at that place.

    Args:
        seed: names the draw; any int.
        bands: number of bands.
        height: rows of the window.
        width: columns of the window.
        row: first row of the window in the scene.
        col: first column of the window in the scene.

    Returns:
        float32 [bands, height, width], mean 0, variance 1.
    """
    rows = np.arange(row, row + height, dtype=np.int64).astype(np.uint64)[None, :, None]
    cols = np.arange(col, col + width, dtype=np.int64).astype(np.uint64)[None, None, :]
    band = np.arange(bands, dtype=np.uint64)[:, None, None]
    key = _hash(np.array([seed % 2**63], dtype=np.uint64))[0]
    counter = _hash(_hash(_hash(rows ^ key) + cols) + band)
    # Box-Muller from two 32-bit halves; the half bit added keeps the logarithm finite.
    first = ((counter >> np.uint64(32)).astype(np.float64) + 0.5) / 2**32
    second = (counter & np.uint64(0xFFFFFFFF)).astype(np.float64) / 2**32
    normal = np.sqrt(-2.0 * np.log(first)) * np.cos(2.0 * np.pi * second)
    return normal.astype(np.float32)
