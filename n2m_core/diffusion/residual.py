"""Residual diffusion: from a clean image to a degraded one, with noise on the way; and back.

Papers: Zhang et al., "Semantic-Adaptive Diffusion for Dynamic Spatiotemporal Fusion" (SA-STF), CVPR
2026; Liu et al., "Residual Denoising Diffusion Models" (RDDM), CVPR 2024; Lin et al., "Common
Diffusion Noise Schedules and Sample Steps Are Flawed", WACV 2024; Nichol, Dhariwal, "Improved
Denoising Diffusion Probabilistic Models", ICML 2021 (cosine). No network is known here.

Symbols:
    F1   clean image, float32 [B, C, H, W]
    C1   where the process ends, same shape: the coarse image, or zero
    r    residual C1 - F1
    eps  N(0, I)
    i    step 0..T-1, from nearly clean to the end
    A, B shares of residual and noise

    x_i = F1 + A[i] r + B[i] eps

| schedule    | A[i], B[i]^2                                                 | at i = T-1   |
|-------------|--------------------------------------------------------------|--------------|
| full        | t(2T+1-t) / T(T+1), s t(t+1) / T(T+1) with t = i + 1         | 1, s         |
| accelerated | 1 - sqrt(ab), s (1 - ab); ab = cumprod(1 - beta), 1e-4..0.02 | 0.40, 0.64 s |
| terminal    | the same, sqrt(ab) moved and stretched so that it ends at 0  | 1, s         |
| cosine      | the same form with the squared cosine's ab                   | 1.00, 1.00 s |

s is the noise scale. With C1 = 0 the second form is plain diffusion, x = sqrt(ab) F1 + sqrt(1 - ab)
eps, and the step below is DDIM's at eta 0.

Deviations from the papers: SA-STF's code trains with `accelerated` at T = 100 and starts sampling
from C1 + eps, a state in which A = B = 1 and which that schedule never reaches. Here sampling
starts from the schedule's own last state, in which an estimate stands for the unknown F1: C1, or a
better one. `terminal` is the same schedule made to reach A = 1. `is_released_start` gives the
published start, to compare.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from n2m_core.diffusion.noise import BETA_END, BETA_START
from n2m_core.errors import ParameterError
from n2m_core.geo_image import Progress

ResidualScheduleName = Literal["full", "accelerated", "terminal", "cosine"]
RESIDUAL_SCHEDULES: tuple[ResidualScheduleName, ...] = get_args(ResidualScheduleName)
STEPS_TRAINED = 100
"""T of SA-STF."""
COSINE_OFFSET = 0.008
LARGEST_BETA = 0.999

Denoise = Callable[[Tensor, Tensor], Tensor]
"""(x float32 [B, C, H, W], levels float32 [B, 2]) to the predicted clean image [B, C, H, W]."""
Draw = Callable[[int], Tensor]
"""Standard normal noise of the sample's shape; 0 for the start, k for the k-th step's own."""
Watch = Callable[[int, Tensor, Tensor], None]
"""(step done 1..S, x after it, clean image predicted in it)."""


@dataclass(frozen=True, eq=False)
class ResidualSchedule:
    """Shares of residual and noise at every step.

    Attributes:
        name: which one.
        residual: A, float32 [T], rising.
        noise: B, float32 [T], rising.
    """

    name: ResidualScheduleName
    residual: Tensor
    noise: Tensor

    @property
    def steps(self) -> int:
        """T."""
        return len(self.residual)

    def levels(self, step: Tensor) -> Tensor:
        """Give what a network is told: (A T, B T).

        Args:
            step: i of each sample, int64 [B].

        Returns:
            float32 [B, 2].
        """
        both = torch.stack([self.residual, self.noise], dim=1).to(step.device)
        return both[step] * self.steps

    def mix(self, clean: Tensor, end: Tensor, step: Tensor, eps: Tensor) -> Tensor:
        """Mix x_i = F1 + A[i] (C1 - F1) + B[i] eps.

        Args:
            clean: F1, float32 [B, C, H, W].
            end: C1, same shape.
            step: i of each sample, int64 [B].
            eps: standard normal, same shape as the images.

        Returns:
            x_i, float32 [B, C, H, W].
        """
        a = self.residual.to(step.device)[step].view(-1, 1, 1, 1)
        b = self.noise.to(step.device)[step].view(-1, 1, 1, 1)
        return clean + a * (end - clean) + b * eps


@dataclass(frozen=True)
class ResidualSampling:
    """How to walk back.

    Attributes:
        steps: S, how many of the T steps are visited.
        eta: 0 for the deterministic walk, 1 for all the noise that the forward process allows.
        is_released_start: start from C1 + eps whatever the schedule, as SA-STF's code does.
    """

    steps: int = 50
    eta: float = 0.0
    is_released_start: bool = False

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ParameterError: no step, or eta outside 0..1.
        """
        if self.steps < 1:
            raise ParameterError(f"{self.steps} sampling steps; at least 1 is needed.")
        if not 0 <= self.eta <= 1:
            raise ParameterError(f"eta is {self.eta:g}; it must lie between 0 and 1.")


def make_residual_schedule(
    name: ResidualScheduleName, *, steps: int = STEPS_TRAINED, noise_scale: float = 1.0
) -> ResidualSchedule:
    """Build a schedule; the module's table has the formulas.

    Args:
        name: one of `RESIDUAL_SCHEDULES`.
        steps: T, at least 2.
        noise_scale: s, the variance of the noise at the end where A reaches 1.

    Returns:
        The schedule over T steps.

    Raises:
        ParameterError: unknown name, fewer than 2 steps, or a noise scale below 0.
    """
    if name not in RESIDUAL_SCHEDULES:
        raise ParameterError(
            f"Schedule '{name}' is unknown; choose one of {', '.join(RESIDUAL_SCHEDULES)}."
        )
    if steps < 2 or noise_scale < 0:
        raise ParameterError(
            f"{steps} steps at noise scale {noise_scale:g}; at least 2 steps and a scale of 0 or "
            "more are needed."
        )
    if name == "full":
        t = torch.arange(1, steps + 1, dtype=torch.float64)
        whole = steps * (steps + 1)
        residual, variance = t * (2 * steps + 1 - t) / whole, t * (t + 1) / whole
    else:
        root = _root_alpha_bar(name, steps)
        residual, variance = 1 - root, 1 - root**2
    return ResidualSchedule(name, residual.float(), (noise_scale * variance).sqrt().float())


def _root_alpha_bar(name: ResidualScheduleName, steps: int) -> Tensor:
    """Give sqrt(alpha_bar) of a variance-preserving schedule, float64 [T]."""
    if name == "cosine":
        beta = torch.tensor(
            [1 - _cosine(i + 1, steps) / _cosine(i, steps) for i in range(steps)],
            dtype=torch.float64,
        ).clamp(max=LARGEST_BETA)
    else:
        beta = torch.linspace(BETA_START, BETA_END, steps, dtype=torch.float64)
    root = torch.cumprod(1 - beta, dim=0).sqrt()
    if name != "terminal":
        return root
    # Lin et al., algorithm 1: the first value stays, the last one becomes 0.
    return (root - root[-1]) * root[0] / (root[0] - root[-1])


def _cosine(step: int, steps: int) -> float:
    """Give alpha_bar of the squared cosine, up to its value at 0."""
    return math.cos((step / steps + COSINE_OFFSET) / (1 + COSINE_OFFSET) * math.pi / 2) ** 2


def time_grid(steps: int, trained: int) -> list[int]:
    """Give the steps to visit, from T-1 down to -1, the clean image.

    Args:
        steps: S, how many network passes.
        trained: T.

    Returns:
        S + 1 whole numbers: the whole parts of linspace(-1, T-1, S+1), last first.

    Raises:
        ParameterError: more passes than steps were trained.
    """
    if not 1 <= steps <= trained:
        raise ParameterError(f"{steps} sampling steps; 1 to {trained} are possible.")
    return [int(-1 + trained * k / steps) for k in range(steps, 0, -1)] + [-1]


def step_back(
    x: Tensor,
    clean: Tensor,
    end: Tensor,
    schedule: ResidualSchedule,
    *,
    now: int,
    after: int,
    eta: float = 0.0,
    draw: Tensor | None = None,
) -> Tensor:
    """Go from step i to an earlier step j, given the predicted clean image.

    With sigma^2 = eta (B_i^2 - B_j^2) B_j^2 / B_i^2 and q = sqrt(B_j^2 - sigma^2) / B_i:
    x_j = q x_i + (1 - q) F1 + (A_j - A_i q) (C1 - F1) + sigma z. The clean image itself for j = -1.

    Args:
        x: x_i, float32 [B, C, H, W].
        clean: F1 as predicted from it.
        end: C1.
        schedule: A and B.
        now: i.
        after: j, smaller; -1 for the end of the walk.
        eta: share of the noise that may be drawn anew.
        draw: z, standard normal; needed for eta > 0 alone.

    Returns:
        x_j, float32 [B, C, H, W].
    """
    if after < 0:
        return clean
    a, b = float(schedule.residual[now]), float(schedule.noise[now])
    a_after, b_after = float(schedule.residual[after]), float(schedule.noise[after])
    if b == 0.0:  # without noise the residual alone is walked back
        return clean + a_after * (end - clean)
    variance = eta * (b**2 - b_after**2) * b_after**2 / b**2
    q = math.sqrt(b_after**2 - variance) / b
    found = q * x + (1 - q) * clean + (a_after - a * q) * (end - clean)
    return found if draw is None or variance == 0.0 else found + math.sqrt(variance) * draw


def sample_residual(
    denoise: Denoise,
    end: Tensor,
    schedule: ResidualSchedule,
    draw: Draw,
    *,
    sampling: ResidualSampling | None = None,
    estimate: Tensor | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> Tensor:
    """Walk from the schedule's last state back to a clean image.

    Args:
        denoise: predicts the clean image.
        end: C1, float32 [B, C, H, W].
        schedule: A and B over T steps.
        draw: gives the noise.
        sampling: steps, eta and start.
        estimate: stands for the unknown F1 in the first state; C1 when None. It has no weight where
            the schedule ends at A = 1.
        progress: told after every step; may raise to stop.
        watch: given the states on the way.

    Returns:
        The clean image that the last step predicted, float32 [B, C, H, W].

    Raises:
        ParameterError: more steps than the schedule has.
    """
    how = sampling or ResidualSampling()
    grid = time_grid(how.steps, schedule.steps)
    last = torch.full((len(end),), grid[0], dtype=torch.int64, device=end.device)
    if how.is_released_start:
        x = end + draw(0)
    else:
        x = schedule.mix(end if estimate is None else estimate, end, last, draw(0))
    for done, (now, after) in enumerate(itertools.pairwise(grid), start=1):
        clean = denoise(x, schedule.levels(torch.full_like(last, now)))
        fresh = draw(done) if how.eta > 0 and after >= 0 else None
        x = step_back(x, clean, end, schedule, now=now, after=after, eta=how.eta, draw=fresh)
        if watch:
            watch(done, x, clean)
        if progress:
            progress(done, how.steps, f"step {done} of {how.steps}")
    return x
