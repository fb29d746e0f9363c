"""Generation from noise: a loop over a plain `denoise(x_t, t)`; no network is known here.

Papers: Ho, Jain, Abbeel, "Denoising Diffusion Probabilistic Models", NeurIPS 2020; Song, Meng,
Ermon, "Denoising Diffusion Implicit Models", ICLR 2021.

Symbols:
    x_t  noisy image, float32 [B, C, H, W]; x_T is standard normal
    t    timestep, int64 [B] in 0..999

Latents, after Stable Diffusion, have betas linear in their square roots and are not clipped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from n2m_core.diffusion.library import DDIMScheduler
from n2m_core.diffusion.noise import BETA_END, BETA_START, TIMESTEPS, scaled_linear_betas
from n2m_core.errors import ParameterError
from n2m_core.geo_image import Progress

Prediction = Literal["epsilon", "sample"]
"""What a denoiser gives: the noise eps, or the clean image x0."""
Denoise = Callable[[Tensor, Tensor], Tensor]
Seen = Callable[[int, int, Tensor], None]
"""Told (steps done, t, the clean image that this step expects, float32 [B, C, H, W])."""


def sample(
    denoise: Denoise,
    x_T: Tensor,  # noqa: N803 - the papers' symbol
    *,
    prediction: Prediction,
    steps: int = 50,
    eta: float = 0.0,
    generator: torch.Generator | None = None,
    progress: Progress | None = None,
    is_latent: bool = False,
    seen: Seen | None = None,
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
        is_latent: x is a latent: scaled linear betas, nothing is clipped.
        seen: told what every step expects in the end.

    Returns:
        Images, float32 [B, C, H, W] in [-1, 1]; latents of any size.

    Raises:
        ParameterError: steps or eta are out of range.
    """
    if not 1 <= steps <= TIMESTEPS:
        raise ParameterError(f"{steps} sampling steps; 1 to {TIMESTEPS} are possible.")
    if not 0 <= eta <= 1:
        raise ParameterError(f"eta is {eta:g}; it must lie between 0 (DDIM) and 1 (DDPM).")
    scheduler = _scheduler(prediction, is_latent=is_latent)
    scheduler.set_timesteps(steps)
    x_t = x_T
    for done, step in enumerate(scheduler.timesteps, start=1):
        t = torch.full((len(x_t),), int(step), dtype=torch.int64, device=x_t.device)
        found = denoise(x_t, t)
        moved = scheduler.step(found, int(step), x_t, eta=eta, generator=generator)
        x_t = moved.prev_sample
        if seen:
            seen(done, int(step), moved.pred_original_sample)
        if progress:
            progress(done, steps, f"t {int(step)}")
    return torch.as_tensor(x_t) if is_latent else torch.as_tensor(x_t).clamp(-1, 1)


def _scheduler(prediction: Prediction, *, is_latent: bool) -> Any:  # noqa: ANN401 - diffusers
    """Build DDIM's scheduler for images or for latents."""
    betas: dict[str, Any] = {
        "num_train_timesteps": TIMESTEPS,
        "beta_start": BETA_START,
        "beta_end": BETA_END,
        "beta_schedule": "linear",
    }
    return DDIMScheduler(  # type: ignore[no-untyped-call]  # diffusers
        **(scaled_linear_betas() if is_latent else betas),
        prediction_type=prediction,
        clip_sample=not is_latent,
        timestep_spacing="trailing",
    )


def guided(conditional: Tensor, unconditional: Tensor, guidance: float) -> Tensor:
    """Classifier-free guidance: eps = eps_u + w (eps_c - eps_u).

    Ho, Salimans, "Classifier-Free Diffusion Guidance", 2022, in the form where w = 1 is no
    guidance.

    Args:
        conditional: eps_c, float32 [B, C, H, W].
        unconditional: eps_u, same shape.
        guidance: w, at least 0.

    Returns:
        float32, same shape.
    """
    return unconditional + guidance * (conditional - unconditional)
