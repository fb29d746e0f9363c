"""Bi-temporal pairs from single-date labels.

Where labels of change can't be had, two crops of different ground stand for the two dates and the
difference of their building masks for the change (single-temporal supervised change learning, Zheng
et al., ICCV 2021). Beside it, one crop is edited: buildings are pasted in or filled over, so that
the network also learns that everything else stays. Such pairs know the direction of change.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from n2m_core.training.crops import Crop, Rng

BUILT, DEMOLISHED, IGNORED = 1, 2, 255
MIN_BUILDING_PX = 40
FEATHER_PX = 1.0
TRIES = 12

Mask = NDArray[np.bool_]


def change_label(before: Tensor, after: Tensor) -> Tensor:
    """Give 0 unchanged, 1 built, 2 demolished, 255 unknown from two building masks uint8 [h, w]."""
    label = torch.zeros_like(before)
    label[(before == 0) & (after == 1)] = BUILT
    label[(before == 1) & (after == 0)] = DEMOLISHED
    label[(before == IGNORED) | (after == IGNORED)] = IGNORED
    return label


def edited(crop: Crop, donor: Crop, rng: Rng) -> Crop:
    """Paste buildings of the donor into a crop, and fill over some of its own.

    Args:
        crop: image float32 [3, h, w], label uint8 [h, w] with 1 for buildings.
        donor: same sizes.
        rng: decides which.

    Returns:
        The edited crop; its label says where buildings are now.
    """
    image, label = crop.image.clone(), crop.label.clone()
    for _ in range(int(rng.integers(0, 4))):
        _fill_one(image, label, rng)
    for _ in range(int(rng.integers(0, 4))):
        _paste_one(image, label, donor, rng)
    return Crop(image, label)


def _components(label: Tensor, rng: Rng) -> Mask | None:
    """Choose one building; None when there is none large enough."""
    marked, count = ndimage.label(label.numpy() == 1)
    if not count:
        return None
    sizes = np.bincount(marked.ravel())[1:]
    largest = label.numel() // 6
    wanted = np.flatnonzero((sizes >= MIN_BUILDING_PX) & (sizes <= largest)) + 1
    return np.asarray(marked == rng.choice(wanted)) if wanted.size else None


def _soft(mask: Mask, grow_px: int) -> tuple[Mask, Tensor]:
    """Grow a mask and give it a soft edge."""
    grown = ndimage.binary_dilation(mask, iterations=grow_px)
    soft = ndimage.gaussian_filter(grown.astype(np.float32), FEATHER_PX)
    return grown, torch.from_numpy(soft)


def _fill_one(image: Tensor, label: Tensor, rng: Rng) -> None:
    """Cover one building with nearby ground that holds none."""
    mask = _components(label, rng)
    if mask is None:
        return
    grown, soft = _soft(mask, 3)
    occupied = label.numpy() != 0
    for _ in range(TRIES):
        shift = tuple(int(s) for s in rng.integers(-label.shape[0] // 2, label.shape[0] // 2, 2))
        if not _rolled(occupied, shift)[grown].any():
            ground = torch.roll(image, shift, (1, 2))
            image.copy_(image * (1 - soft) + ground * soft)
            label[torch.from_numpy(grown & (label.numpy() == 1))] = 0
            return


def _paste_one(image: Tensor, label: Tensor, donor: Crop, rng: Rng) -> None:
    """Put one of the donor's buildings, with a rim of its surroundings, on free ground."""
    mask = _components(donor.label, rng)
    if mask is None:
        return
    free = label.numpy() == 0
    for _ in range(TRIES):
        shift = tuple(int(s) for s in rng.integers(-label.shape[0] // 2, label.shape[0] // 2, 2))
        moved = _rolled(mask, shift)
        grown, soft = _soft(moved, 1)
        if free[grown].all():
            building = torch.roll(donor.image, shift, (1, 2))
            image.copy_(image * (1 - soft) + building * soft)
            label[torch.from_numpy(moved)] = 1
            return


def _rolled(mask: Mask, shift: tuple[int, ...]) -> Mask:
    """Shift a mask, going round at the border as `torch.roll` does."""
    return np.roll(mask, shift, (0, 1))


def jiggled(image: Tensor, rng: Rng) -> Tensor:
    """Shift an image by up to two pixels, as two dates never lie exactly on each other."""
    shift = (int(rng.integers(-2, 3)), int(rng.integers(-2, 3)))
    return torch.roll(image, shift, (1, 2))
