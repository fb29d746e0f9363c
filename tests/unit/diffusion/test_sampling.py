from __future__ import annotations

import pytest
import torch
from torch import Tensor

from n2m_core.diffusion.noise import make_schedule
from n2m_core.diffusion.sampling import Prediction, sample
from n2m_core.errors import ParameterError

MEAN, SPREAD = 0.1, 0.25


def ideal_image(x_t: Tensor, t: Tensor) -> Tensor:
    """E[x0 | x_t] when every value of x0 is normal around MEAN, a case with a closed form."""
    schedule = make_schedule("ddpm")
    signal, noise = schedule.signal[t[0]], schedule.noise[t[0]]
    gain = signal * SPREAD**2 / (signal**2 * SPREAD**2 + noise**2)
    return MEAN + gain * (x_t - signal * MEAN)


def ideal_noise(x_t: Tensor, t: Tensor) -> Tensor:
    schedule = make_schedule("ddpm")
    signal, noise = schedule.signal[t[0]], schedule.noise[t[0]]
    return (x_t - signal * ideal_image(x_t, t)) / noise


def normal(seed: int) -> Tensor:
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("prediction", ["epsilon", "sample"])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_an_ideal_denoiser_gives_the_distribution_of_the_images(
    prediction: Prediction, eta: float
) -> None:
    denoise = ideal_noise if prediction == "epsilon" else ideal_image
    images = sample(
        denoise,
        normal(0),
        prediction=prediction,
        steps=500,
        eta=eta,
        generator=torch.Generator().manual_seed(1),
    )
    assert images.mean().item() == pytest.approx(MEAN, abs=0.01)
    assert images.std().item() == pytest.approx(SPREAD, abs=0.01)


def test_without_eta_the_walk_follows_from_the_first_noise_alone() -> None:
    once, again = (sample(ideal_image, normal(3), prediction="sample", steps=5) for _ in range(2))
    torch.testing.assert_close(once, again)
    other = sample(ideal_image, normal(4), prediction="sample", steps=5)
    assert not torch.equal(once, other)


def test_steps_run_from_999_down_and_are_told() -> None:
    seen: list[int] = []

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        seen.append(int(t[0]))
        return torch.zeros_like(x_t)

    told: list[tuple[int, int]] = []
    sample(
        denoise,
        normal(0),
        prediction="sample",
        steps=4,
        progress=lambda done, total, note: told.append((done, total)),
    )
    assert seen == [999, 749, 499, 249]
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(("steps", "eta"), [(0, 0.0), (1001, 0.0), (10, 1.5)])
def test_steps_and_eta_out_of_range_are_refused(steps: int, eta: float) -> None:
    with pytest.raises(ParameterError):
        sample(ideal_image, normal(0), prediction="sample", steps=steps, eta=eta)
