"""Class-weighted cross-entropy and soft Dice; label 255 counts nowhere."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

IGNORED = 255
_SMOOTH = 1.0  # keeps Dice defined where a class is absent


def soft_dice_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """1 - mean over classes of 2 sum(p g) / (sum p + sum g), pooled over the batch.

    Args:
        logits: float32 [B, K, H, W].
        labels: int64 [B, H, W], 255 ignored.

    Returns:
        Scalar in [0, 1].
    """
    known = (labels != IGNORED).unsqueeze(1)
    truth = functional.one_hot(
        labels.where(labels != IGNORED, torch.zeros_like(labels)), logits.shape[1]
    ).movedim(-1, 1)
    truth = truth * known
    p = logits.softmax(1) * known
    both = (p * truth).sum((0, 2, 3))
    either = p.sum((0, 2, 3)) + truth.sum((0, 2, 3))
    return 1 - ((2 * both + _SMOOTH) / (either + _SMOOTH)).mean()


def supervised_loss(logits: Tensor, labels: Tensor, weights: Tensor, dice: float) -> Tensor:
    """Class-weighted cross-entropy plus `dice` times the soft Dice loss.

    Args:
        logits: float32 [B, K, H, W].
        labels: int64 [B, H, W], 255 ignored.
        weights: float32 [K].
        dice: share of the Dice loss.

    Returns:
        Scalar.
    """
    loss = functional.cross_entropy(logits, labels, weights, ignore_index=IGNORED)
    return loss + dice * soft_dice_loss(logits, labels) if dice else loss
