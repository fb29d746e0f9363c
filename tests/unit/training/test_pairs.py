from __future__ import annotations

import numpy as np
import torch

from n2m_core.training.crops import Crop
from n2m_core.training.pairs import BUILT, DEMOLISHED, change_label, edited, jiggled


def town(value: float, *corners: tuple[int, int]) -> Crop:
    """Ground of one grey, with 12 px buildings of another at the corners given."""
    image, label = torch.full((3, 64, 64), value), torch.zeros(64, 64, dtype=torch.uint8)
    for row, col in corners:
        image[:, row : row + 12, col : col + 12] = 1 - value
        label[row : row + 12, col : col + 12] = 1
    return Crop(image, label)


def test_the_label_knows_the_direction() -> None:
    before = torch.tensor([[0, 0, 1, 1, 255]], dtype=torch.uint8)
    after = torch.tensor([[0, 1, 0, 1, 0]], dtype=torch.uint8)
    assert change_label(before, after).tolist() == [[0, BUILT, DEMOLISHED, 0, 255]]


def test_edits_keep_image_and_label_together() -> None:
    rng = np.random.default_rng(0)
    crop, donor = town(0.2, (8, 8), (40, 30)), town(0.2, (20, 20))
    changed = 0
    for _ in range(20):
        result = edited(crop, donor, rng)
        building = result.image[0] > 0.5
        assert (building == (result.label == 1)).float().mean().item() > 0.97
        changed += int((result.label != crop.label).any())
    assert changed > 10


def test_edits_leave_the_original_alone() -> None:
    crop = town(0.2, (8, 8))
    image, label = crop.image.clone(), crop.label.clone()
    for seed in range(5):
        edited(crop, town(0.2, (30, 30)), np.random.default_rng(seed))
    torch.testing.assert_close(crop.image, image)
    torch.testing.assert_close(crop.label, label)


def test_a_place_without_buildings_can_be_edited() -> None:
    bare = town(0.3)
    result = edited(bare, bare, np.random.default_rng(1))
    torch.testing.assert_close(result.image, bare.image)


def test_the_second_date_is_shifted_by_two_pixels_at_most() -> None:
    image = torch.arange(100.0).view(1, 10, 10)
    shifts = set()
    for seed in range(60):
        moved = jiggled(image, np.random.default_rng(seed))
        row, col = divmod(int((moved == 55).nonzero()[0, 1:] @ torch.tensor([10, 1])), 10)
        shifts.add((row - 5, col - 5))
    assert shifts <= {(r, c) for r in range(-2, 3) for c in range(-2, 3)}
    assert len(shifts) > 12
