from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, HeunDiscreteScheduler, PNDMScheduler

from n2m_core.diffusion.noise import (
    SCHEDULES,
    NoiseKind,
    NoiseProcess,
    ScheduleName,
    check_timestep,
    crossing_timestep,
    make_schedule,
    position_noise,
)
from n2m_core.errors import ParameterError

BETAS = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02}
LINEAR = {**BETAS, "beta_schedule": "linear"}


def process(kind: NoiseKind, schedule: ScheduleName = "ddpm") -> NoiseProcess:
    return NoiseProcess(kind, make_schedule(schedule))


@pytest.mark.parametrize(
    ("t", "signal", "noise"),
    [
        (0, 0.99995, 0.0100),
        (100, 0.9461, 0.3238),
        (258, 0.7073, 0.7069),
        (500, 0.2789, 0.9603),
        (750, 0.0575, 0.9984),
        (900, 0.0164, 0.9999),
        (999, 0.0064, 1.0000),
    ],
)
def test_schedule_has_the_published_weights(t: int, signal: float, noise: float) -> None:
    schedule = make_schedule("ddpm")
    assert schedule.signal[t].item() == pytest.approx(signal, abs=6e-5)
    assert schedule.noise[t].item() == pytest.approx(noise, abs=6e-5)


@pytest.mark.parametrize(
    ("name", "scheduler"),
    [("ddpm", DDPMScheduler), ("ddim", DDIMScheduler), ("pndm", PNDMScheduler)],
)
def test_mix_equals_the_schedulers_own_add_noise(name: ScheduleName, scheduler: type) -> None:
    generator = torch.Generator().manual_seed(0)
    x0 = torch.rand(4, 3, 8, 8, generator=generator) * 2 - 1
    n = torch.randn(4, 3, 8, 8, generator=generator)
    t = torch.tensor([0, 100, 500, 999])
    wanted = scheduler(**LINEAR).add_noise(x0, n, t)
    torch.testing.assert_close(process("gaussian", name).mix(x0, t, n), wanted)


def test_ddpm_ddim_and_pndm_are_one_noise_process() -> None:
    reference = make_schedule("ddpm")
    for name in ("ddim", "pndm"):
        torch.testing.assert_close(make_schedule(name).signal, reference.signal)
        torch.testing.assert_close(make_schedule(name).noise, reference.noise)


def test_heun_leaves_the_image_unscaled_and_its_noise_grows() -> None:
    schedule = make_schedule("heun")
    assert torch.all(schedule.signal == 1)
    assert schedule.noise[258].item() == pytest.approx(1.0, abs=0.01)
    assert schedule.noise[999].item() == pytest.approx(157, abs=1)
    heun = HeunDiscreteScheduler(**LINEAR)
    heun.set_timesteps(1000)
    assert schedule.noise[999].item() == pytest.approx(float(heun.sigmas.max()), rel=1e-3)


def test_heun_is_ddpm_divided_by_its_signal() -> None:
    """Both hold the same picture and the same noise; only the size of x_t differs."""
    ddpm, heun = make_schedule("ddpm"), make_schedule("heun")
    torch.testing.assert_close(heun.snr(), ddpm.snr(), rtol=1e-3, atol=0)
    torch.testing.assert_close(heun.alpha_bar(), ddpm.alpha_bar(), rtol=1e-3, atol=0)
    torch.testing.assert_close(heun.power().sqrt(), 1 / ddpm.signal, rtol=1e-3, atol=0)


def test_cosine_has_its_closed_form() -> None:
    schedule = make_schedule("cosine")
    share = (np.arange(1, 1001) / 1000 + 0.008) / 1.008
    squared = np.cos(share * np.pi / 2) ** 2
    wanted = squared / np.cos(0.008 / 1.008 * np.pi / 2) ** 2
    wanted[999] = wanted[998] * (1 - 0.999)
    np.testing.assert_allclose(schedule.alpha_bar().numpy(), wanted, rtol=1e-3)
    assert schedule.signal[0].item() == pytest.approx(0.99998, abs=1e-5)


def test_cosine_keeps_the_power_and_weighs_both_alike_half_way() -> None:
    """alpha_bar is one half where cos^2 is 0.5 cos^2(0.0125): t + 1 = 496.05."""
    schedule = make_schedule("cosine")
    torch.testing.assert_close(schedule.power(), torch.ones(1000))
    assert crossing_timestep(schedule) == 495


@pytest.mark.parametrize("name", SCHEDULES)
def test_ratio_of_signal_to_noise_only_falls(name: ScheduleName) -> None:
    snr = make_schedule(name).snr()
    assert snr.isfinite().all()
    assert (snr.diff() < 0).all()
    crossing = crossing_timestep(make_schedule(name))
    assert snr[crossing - 2] > 1 > snr[crossing + 2]


def test_unknown_schedule_is_refused() -> None:
    with pytest.raises(ParameterError, match="choose one of ddpm"):
        make_schedule("euler")  # type: ignore[arg-type]


def test_swap_trades_the_dates() -> None:
    before, after = torch.full((1, 3, 2, 2), -0.5), torch.full((1, 3, 2, 2), 0.5)
    x0 = torch.cat([before, after], 1)
    swap = process("swap")
    n = swap.noise_for(x0, torch.zeros_like(x0))
    torch.testing.assert_close(n, torch.cat([after, before], 1))
    crossing = torch.tensor([crossing_timestep(swap.schedule)])
    first, second = swap.mix(x0, crossing, n).chunk(2, 1)
    assert (first - second).abs().max().item() < 1e-3
    first, second = swap.mix(x0, torch.tensor([999]), n).chunk(2, 1)
    torch.testing.assert_close(first, after, atol=0.01, rtol=0)
    torch.testing.assert_close(second, before, atol=0.01, rtol=0)


def test_swap_crosses_at_258() -> None:
    assert crossing_timestep(make_schedule("ddpm")) == 258


def test_swap_refuses_an_odd_number_of_channels() -> None:
    x0 = torch.zeros(1, 3, 2, 2)
    with pytest.raises(ParameterError, match="3 channels"):
        process("swap").noise_for(x0, x0)


def test_self_is_a_gain_between_one_and_the_root_of_two() -> None:
    x0 = torch.ones(1000, 1, 1, 1)
    mixed = process("self").mix(x0, torch.arange(1000), x0).ravel()
    assert mixed.min().item() == pytest.approx(1.006, abs=1e-3)
    assert mixed.max().item() == pytest.approx(1.414, abs=1e-3)


def test_none_leaves_the_image_alone() -> None:
    x0 = torch.rand(2, 3, 4, 4)
    none = process("none")
    n = none.noise_for(x0, torch.randn_like(x0))
    torch.testing.assert_close(none.mix(x0, torch.tensor([0, 999]), n), x0)


def test_gaussian_keeps_the_variance_of_a_unit_image() -> None:
    generator = torch.Generator().manual_seed(1)
    x0, n = torch.randn(2, 1, 64, 512, 512, generator=generator)[:, 0].split(1)
    gaussian = process("gaussian")
    for t in (0, 258, 999):
        mixed = gaussian.mix(x0, torch.tensor([t]), gaussian.noise_for(x0, n))
        assert mixed.std().item() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("t", [-1, 1000])
def test_timesteps_outside_are_refused(t: int) -> None:
    with pytest.raises(ParameterError, match=r"outside 0\.\.999"):
        check_timestep(t)


def test_position_noise_is_standard_normal_and_white() -> None:
    noise = position_noise(7, 3, 256, 256)
    assert noise.dtype == np.float32
    assert abs(noise.mean()) < 0.01
    assert noise.std() == pytest.approx(1.0, abs=0.01)
    assert np.mean(np.abs(noise) > 1.96) == pytest.approx(0.05, abs=0.005)
    for axis in (0, 1, 2):
        shifted = np.roll(noise, 1, axis)
        assert abs(float((noise * shifted).mean())) < 0.01


def test_position_noise_of_a_window_is_that_of_the_scene() -> None:
    scene = position_noise(3, 2, 96, 80)
    window = position_noise(3, 2, 32, 16, row=40, col=50)
    np.testing.assert_array_equal(window, scene[:, 40:72, 50:66])


def test_position_noise_takes_negative_positions_and_depends_on_the_seed() -> None:
    wide = position_noise(3, 1, 20, 20, row=-10, col=-10)
    np.testing.assert_array_equal(wide[:, 10:, 10:], position_noise(3, 1, 10, 10))
    assert not np.array_equal(position_noise(3, 1, 8, 8), position_noise(4, 1, 8, 8))
