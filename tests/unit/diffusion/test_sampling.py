from __future__ import annotations

import pytest
import torch
from torch import Tensor

from n2m_core.diffusion.noise import make_schedule
from n2m_core.diffusion.sampling import Prediction, guided, sample
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


def test_latents_have_stable_diffusions_betas_and_are_not_clipped() -> None:
    schedule = make_schedule("scaled_linear")
    assert float(schedule.signal[999] ** 2) == pytest.approx(0.00466, abs=1e-5)
    mean, spread = 3.0, 0.5  # far outside [-1, 1]

    def ideal(z_t: Tensor, t: Tensor) -> Tensor:
        """E[eps | z_t] when every value of z0 is normal."""
        signal, noise = schedule.signal[t[0]], schedule.noise[t[0]]
        gain = signal * spread**2 / (signal**2 * spread**2 + noise**2)
        z0 = mean + gain * (z_t - signal * mean)
        return (z_t - signal * z0) / noise

    seen: list[tuple[int, int]] = []
    latents = sample(
        ideal,
        normal(0),
        prediction="epsilon",
        steps=200,
        is_latent=True,
        seen=lambda done, t, _: seen.append((done, t)),
    )
    # The walk should start from 0.068 mean + noise; plain noise lies 0.068 mean standard deviations
    # too low, and the walk, which is linear here, keeps that: 3 - 0.5 x 0.068 x 3.
    assert latents.mean().item() == pytest.approx(2.898, abs=0.03)
    assert latents.std().item() == pytest.approx(spread, abs=0.03)
    assert seen[0] == (1, 999)
    assert [done for done, _ in seen] == list(range(1, 201))


def test_guidance_extrapolates_from_what_is_known_without_it() -> None:
    told, untold = torch.tensor([2.0, -1.0]), torch.tensor([1.0, 1.0])
    assert guided(told, untold, 3.0).tolist() == [4.0, -5.0]
    assert torch.equal(guided(told, untold, 1.0), told)
    assert torch.equal(guided(told, untold, 0.0), untold)
