"""The orthogonal step against singular values, and AdamW's share against torch's own."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from n2m_core.training import muon
from n2m_core.training.muon import Muon, is_kernel, orthogonalized


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(24, 90), (90, 24), (32, 32)])
def test_singular_values_come_near_one_and_directions_stay(shape: tuple[int, int]) -> None:
    left, _, right = torch.linalg.svd(drawn(*shape), full_matrices=False)
    values = torch.linspace(1.0, 0.05, min(shape))
    found = orthogonalized(left @ torch.diag(values) @ right)
    turned = left.T @ found @ right.T
    assert (turned.diagonal() > 0.6).all()
    assert (turned.diagonal() < 1.25).all()
    assert (turned - torch.diag(turned.diagonal())).abs().max() < 1e-3


def test_the_iteration_is_the_published_one() -> None:
    a, b, c = muon.COEFFICIENTS
    wide = drawn(20, 70)
    x = wide / wide.norm()
    for _ in range(muon.ROUNDS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    torch.testing.assert_close(orthogonalized(wide), x, atol=1e-5, rtol=0)


def test_a_scaled_gradient_gives_the_same_step() -> None:
    matrix = drawn(20, 70)
    torch.testing.assert_close(orthogonalized(1e-4 * matrix), orthogonalized(matrix))


@pytest.mark.parametrize(
    ("shape", "is_one"),
    [((32, 16, 3, 3), True), ((16, 3, 3, 3), True), ((2, 24, 3, 3), False), ((64,), False)],
)
def test_thin_parameters_are_left_to_adamw(shape: tuple[int, ...], is_one: bool) -> None:
    assert is_kernel(torch.zeros(shape)) == is_one


def test_the_rest_moves_as_torchs_adamw_moves_it() -> None:
    ours = nn.Parameter(drawn(9))
    theirs = copy.deepcopy(ours)
    mine = Muon([ours], lr=0.01, weight_decay=0.1)
    reference = torch.optim.AdamW([theirs], lr=0.01, weight_decay=0.1)
    for step in range(5):
        ours.grad = drawn(9, seed=step)
        theirs.grad = ours.grad.clone()
        mine.step()
        reference.step()
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_kernels_step_has_the_size_of_adamws(layout: torch.memory_format) -> None:
    kernel = nn.Parameter(drawn(48, 32, 3, 3).to(memory_format=layout))
    before = kernel.detach().clone()
    kernel.grad = drawn(48, 32, 3, 3, seed=1).to(memory_format=layout)
    Muon([kernel], lr=0.01).step()
    step = (before - kernel.detach()) / 0.01
    assert float(step.square().mean().sqrt()) == pytest.approx(muon.RMS, rel=0.2)
    assert float((step * kernel.grad).sum()) > 0  # downhill


def test_both_layouts_of_a_kernel_move_alike() -> None:
    moved = []
    for layout in (torch.contiguous_format, torch.channels_last):
        kernel = nn.Parameter(drawn(20, 18, 3, 3).to(memory_format=layout))
        kernel.grad = drawn(20, 18, 3, 3, seed=1).to(memory_format=layout)
        Muon([kernel], lr=0.01).step()
        moved.append(kernel.detach())
    torch.testing.assert_close(*moved)


def test_it_learns_a_linear_map_and_a_saved_state_goes_on_the_same() -> None:
    wanted, inputs = drawn(16, 20), drawn(64, 20, seed=1)

    def learn(model: nn.Linear, optimizer: Muon, steps: int) -> float:
        loss = torch.zeros(())
        for _ in range(steps):
            optimizer.zero_grad()
            loss = (model(inputs) - inputs @ wanted.T).square().mean()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return float(loss.detach())

    torch.manual_seed(0)
    model = nn.Linear(20, 16)
    optimizer = Muon(model.parameters(), lr=0.1)
    first = learn(model, optimizer, 20)
    again = copy.deepcopy(model)
    resumed = Muon(again.parameters(), lr=0.1)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert learn(model, optimizer, 40) < first / 4
    learn(again, resumed, 40)
    torch.testing.assert_close(again.weight, model.weight)
    torch.testing.assert_close(again.bias, model.bias)


def test_a_parameter_without_gradient_stays() -> None:
    frozen = nn.Parameter(drawn(20, 20))
    before = frozen.detach().clone()
    Muon([frozen], lr=0.1, weight_decay=0.1).step()
    assert torch.equal(frozen, before)
