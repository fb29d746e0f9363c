from __future__ import annotations

import math

import pytest
import torch

from n2m_core.training.losses import soft_dice_loss, supervised_loss


def logits_for(labels: torch.Tensor, classes: int, size: float = 50.0) -> torch.Tensor:
    known = labels.where(labels < classes, torch.zeros_like(labels))
    return torch.nn.functional.one_hot(known, classes).movedim(-1, 1).float() * size


def test_perfect_logits_cost_nothing() -> None:
    labels = torch.tensor([[[0, 1], [2, 255]]])
    loss = supervised_loss(logits_for(labels, 3), labels, torch.ones(3), dice=1.0)
    assert loss.item() == pytest.approx(0, abs=1e-6)


def test_even_logits_cost_the_logarithm_of_the_classes() -> None:
    labels = torch.tensor([[[0, 1], [1, 0]]])
    loss = supervised_loss(torch.zeros(1, 2, 2, 2), labels, torch.ones(2), dice=0.0)
    assert loss.item() == pytest.approx(math.log(2))


def test_dice_of_a_hand_worked_case() -> None:
    labels = torch.tensor([[[1, 1], [0, 0]]])
    predicted = torch.tensor([[[1, 0], [0, 0]]])
    # class 0: (2*2 + 1) / (3 + 2 + 1); class 1: (2*1 + 1) / (1 + 2 + 1)
    wanted = 1 - (5 / 6 + 3 / 4) / 2
    assert soft_dice_loss(logits_for(predicted, 2), labels).item() == pytest.approx(wanted)


def test_ignored_pixels_change_nothing() -> None:
    labels = torch.tensor([[[1, 0, 255, 255]]])
    one, other = torch.randn(2, 1, 2, 1, 4, generator=torch.Generator().manual_seed(0))
    other[..., :2] = one[..., :2]
    weights = torch.tensor([1.0, 3.0])
    first = supervised_loss(one, labels, weights, dice=0.5)
    torch.testing.assert_close(first, supervised_loss(other, labels, weights, dice=0.5))
