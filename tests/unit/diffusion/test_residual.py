"""Residual diffusion against its closed forms, and against a predictor that is always right."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from n2m_core.diffusion.residual import (
    RESIDUAL_SCHEDULES,
    ResidualSampling,
    ResidualSchedule,
    ResidualScheduleName,
    make_residual_schedule,
    sample_residual,
    step_back,
    time_grid,
)
from n2m_core.errors import ParameterError

TRUTH = torch.linspace(-1, 1, 24).reshape(1, 2, 3, 4)
COARSE = TRUTH.mean((2, 3), keepdim=True).expand_as(TRUTH).contiguous()


def noise(step: int) -> Tensor:
    return torch.randn(TRUTH.shape, generator=torch.Generator().manual_seed(step))


def perfect(x: Tensor, levels: Tensor) -> Tensor:
    return TRUTH.expand_as(x)


def test_full_schedule_is_the_normalised_sum_of_its_steps() -> None:
    schedule = make_residual_schedule("full", steps=4, noise_scale=0.01)
    # a falls as 4 3 2 1, b^2 rises as 1 2 3 4, each summing to 10.
    assert schedule.residual.tolist() == pytest.approx([0.4, 0.7, 0.9, 1.0])
    assert (schedule.noise**2).tolist() == pytest.approx([0.001, 0.003, 0.006, 0.01])


def test_accelerated_schedule_stops_short_of_the_coarse_image() -> None:
    schedule = make_residual_schedule("accelerated")
    by_hand = math.prod(1 - (1e-4 + (0.02 - 1e-4) * i / 99) for i in range(100))
    assert by_hand == pytest.approx(0.364, abs=5e-4)
    assert float(schedule.residual[-1]) == pytest.approx(1 - math.sqrt(by_hand), rel=1e-5)
    assert float(schedule.noise[-1] ** 2) == pytest.approx(1 - by_hand, rel=1e-5)
    assert float(schedule.residual[-1]) < 0.4


def test_terminal_schedule_begins_alike_and_reaches_the_coarse_image() -> None:
    published = make_residual_schedule("accelerated")
    whole = make_residual_schedule("terminal")
    assert float(whole.residual[0]) == pytest.approx(float(published.residual[0]), abs=1e-6)
    assert (float(whole.residual[-1]), float(whole.noise[-1])) == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize("name", RESIDUAL_SCHEDULES)
def test_both_shares_rise_within_their_bounds(name: ResidualScheduleName) -> None:
    schedule = make_residual_schedule(name, noise_scale=0.25)
    for share, bound in ((schedule.residual, 1.0), (schedule.noise, 0.5)):
        assert bool((share.diff() > 0).all())
        assert 0 < float(share[0]) < 0.03
        assert float(share[-1]) <= bound + 1e-6


def test_a_state_has_the_shares_and_the_network_is_told_them() -> None:
    schedule = ResidualSchedule("full", torch.tensor([0.25, 1.0]), torch.tensor([0.5, 2.0]))
    clean, end, eps = (torch.full((2, 1, 1, 1), value) for value in (8.0, 4.0, 1.0))
    step = torch.tensor([0, 1])
    # 8 + 0.25 (4 - 8) + 0.5 = 7.5; 8 + (4 - 8) + 2 = 6
    assert schedule.mix(clean, end, step, eps).flatten().tolist() == [7.5, 6.0]
    assert schedule.levels(step).tolist() == [[0.5, 1.0], [2.0, 4.0]]


def test_time_grid_is_the_published_one() -> None:
    assert time_grid(50, 100) == [*range(99, 0, -2), -1]
    assert time_grid(100, 100) == [*range(99, -1, -1), -1]
    assert time_grid(3, 10) == [9, 5, 2, -1]  # linspace(-1, 9, 4) = -1, 2.33, 5.67, 9
    assert time_grid(1, 100) == [99, -1]


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_a_step_back_from_a_known_state_lands_on_the_earlier_state(eta: float) -> None:
    schedule = make_residual_schedule("full", steps=10)
    eps, z = noise(1), noise(2)
    now, after = 8, 3
    x = schedule.mix(TRUTH, COARSE, torch.tensor([now]), eps)
    found = step_back(x, TRUTH, COARSE, schedule, now=now, after=after, eta=eta, draw=z)
    b, b_after = (float(schedule.noise[i]) ** 2 for i in (now, after))
    fresh = eta * (b - b_after) * b_after / b
    left = found - TRUTH - schedule.residual[after] * (COARSE - TRUTH)
    torch.testing.assert_close(left, math.sqrt(b_after - fresh) * eps + math.sqrt(fresh) * z)


@pytest.mark.parametrize("name", RESIDUAL_SCHEDULES)
@pytest.mark.parametrize(("steps", "eta"), [(1, 0.0), (5, 0.0), (50, 1.0)])
def test_a_perfect_predictor_gives_the_truth_back(
    name: ResidualScheduleName, steps: int, eta: float
) -> None:
    schedule = make_residual_schedule(name)
    seen = []

    def watch(done: int, x: Tensor, clean: Tensor) -> None:
        seen.append(float((x - TRUTH).std()))

    how = ResidualSampling(steps, eta)
    found = sample_residual(perfect, COARSE, schedule, noise, sampling=how, watch=watch)
    assert torch.equal(found, TRUTH)
    assert len(seen) == steps
    assert seen[-1] == 0.0
    if steps > 1:
        assert seen[0] > seen[-2] > 0.0


def test_states_on_the_way_are_the_forward_process_of_one_draw() -> None:
    schedule = make_residual_schedule("full", steps=20)
    states = {}

    def watch(done: int, x: Tensor, clean: Tensor) -> None:
        states[done] = x

    how = ResidualSampling(20)
    sample_residual(perfect, COARSE, schedule, noise, sampling=how, watch=watch)
    for done in (1, 7, 19):
        expected = schedule.mix(TRUTH, COARSE, torch.tensor([19 - done]), noise(0))
        torch.testing.assert_close(states[done], expected, atol=1e-5, rtol=0)


def test_sampling_starts_from_a_state_that_the_schedule_has() -> None:
    schedule = make_residual_schedule("accelerated")
    first: list[tuple[Tensor, Tensor]] = []

    def record(x: Tensor, levels: Tensor) -> Tensor:
        first.append((x, levels))
        return TRUTH

    one = ResidualSampling(1)
    sample_residual(record, COARSE, schedule, noise, sampling=one, estimate=TRUTH)
    expected = schedule.mix(TRUTH, COARSE, torch.tensor([99]), noise(0))
    assert torch.equal(first[0][0], expected)
    assert float(first[0][1][0, 0]) == pytest.approx(100 * float(schedule.residual[-1]))

    released = ResidualSampling(1, is_released_start=True)
    sample_residual(record, COARSE, schedule, noise, sampling=released, estimate=TRUTH)
    assert torch.equal(first[1][0], COARSE + noise(0))


def test_towards_zero_it_is_ddim() -> None:
    schedule = make_residual_schedule("cosine")
    root, eps = 1 - schedule.residual, noise(3)
    zero = torch.zeros_like(TRUTH)
    x = schedule.mix(TRUTH, zero, torch.tensor([60]), eps)
    torch.testing.assert_close(x, root[60] * TRUTH + (1 - root[60] ** 2).sqrt() * eps)
    guess = 0.9 * TRUTH
    found = step_back(x, guess, zero, schedule, now=60, after=40)
    implied = (x - root[60] * guess) / (1 - root[60] ** 2).sqrt()
    expected = root[40] * guess + (1 - root[40] ** 2).sqrt() * implied
    torch.testing.assert_close(found, expected)


def test_without_noise_the_residual_alone_is_walked_back() -> None:
    schedule = make_residual_schedule("full", steps=4, noise_scale=0.0)
    found = step_back(COARSE, TRUTH, COARSE, schedule, now=3, after=0)
    torch.testing.assert_close(found, TRUTH + 0.4 * (COARSE - TRUTH))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: time_grid(101, 100), "1 to 100"),
        (lambda: ResidualSampling(0), "at least 1"),
        (lambda: ResidualSampling(5, 1.5), "between 0 and 1"),
        (lambda: make_residual_schedule("cubic"), "unknown"),  # type: ignore[arg-type]
        (lambda: make_residual_schedule("full", steps=1), "at least 2 steps"),
    ],
)
def test_mistakes_are_named(wrong: object, message: str) -> None:
    assert callable(wrong)
    with pytest.raises(ParameterError, match=message):
        wrong()
