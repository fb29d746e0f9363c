"""Generation from noise: a loop over a plain `denoise(x_t, t)`; no network is known here.

Papers: Ho, Jain, Abbeel, "Denoising Diffusion Probabilistic Models", NeurIPS 2020; Song, Meng,
Ermon, "Denoising Diffusion Implicit Models", ICLR 2021.

Symbols:
    x_t  noisy image, float32 [B, C, H, W]; x_T is standard normal
    t    timestep, int64 [B] in 0..999
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from n2m_core.diffusion.library import DDIMScheduler
from n2m_core.diffusion.noise import BETA_END, BETA_START, TIMESTEPS
from n2m_core.errors import ParameterError
from n2m_core.geo_image import Progress

Prediction = Literal["epsilon", "sample"]
"""What a denoiser gives: the noise eps, or the clean image x0."""
Denoise = Callable[[Tensor, Tensor], Tensor]


def sample(
    denoise: Denoise,
    x_T: Tensor,  # noqa: N803 - the papers' symbol
    *,
    prediction: Prediction,
    steps: int = 50,
    eta: float = 0.0,
    generator: torch.Generator | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Draw images from noise with DDIM (eq. 12 of Song et al.).

    Args:
        denoise: gives eps or x0 of x_t, float32 [B, C, H, W].
        x_T: standard normal, float32 [B, C, H, W].
        prediction: what `denoise` gives.
        steps: how many of the 1000 timesteps are visited, evenly spaced from 999 down.
        eta: 0 for the deterministic walk, 1 for the noise of DDPM.
        generator: of that noise.
        progress: told after every step; may raise to stop.

    Returns:
        Images, float32 [B, C, H, W] in [-1, 1].

    Raises:
        ParameterError: steps or eta are out of range.
    """
    if not 1 <= steps <= TIMESTEPS:
        raise ParameterError(f"{steps} sampling steps; 1 to {TIMESTEPS} are possible.")
    if not 0 <= eta <= 1:
        raise ParameterError(f"eta is {eta:g}; it must lie between 0 (DDIM) and 1 (DDPM).")
    scheduler: Any = DDIMScheduler(  # type: ignore[no-untyped-call]  # diffusers
        num_train_timesteps=TIMESTEPS,
        beta_start=BETA_START,
        beta_end=BETA_END,
        beta_schedule="linear",
        prediction_type=prediction,
        clip_sample=True,
        timestep_spacing="trailing",
    )
    scheduler.set_timesteps(steps)
    x_t = x_T
    for done, step in enumerate(scheduler.timesteps, start=1):
        t = torch.full((len(x_t),), int(step), dtype=torch.int64, device=x_t.device)
        found = denoise(x_t, t)
        x_t = scheduler.step(found, int(step), x_t, eta=eta, generator=generator).prev_sample
        if progress:
            progress(done, steps, f"t {int(step)}")
    return torch.as_tensor(x_t).clamp(-1, 1)
