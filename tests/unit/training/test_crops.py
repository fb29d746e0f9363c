from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from n2m_core.training.augment import blur, match_colors, radiometric
from n2m_core.training.config import AugmentConfig
from n2m_core.training.crops import Cropper, Tile


def checkered(side: int, square: int, resolution_m: float = 0.5) -> Tile:
    rows, cols = np.indices((side, side)) // square
    label = ((rows + cols) % 2).astype(np.uint8)
    return Tile(np.repeat(label[None] * 255, 3, axis=0), label, resolution_m)


@pytest.mark.parametrize("resolution_m", [0.25, 0.5, 0.8])
@pytest.mark.parametrize("side", [20, 64, 101])
def test_crops_have_their_size_whatever_the_tile(resolution_m: float, side: int) -> None:
    cropper = Cropper(48, 0.1, 1.0, rotate=0.5)
    crop = cropper.cut(checkered(side, 8), resolution_m, np.random.default_rng(0))
    assert crop.image.shape == (3, 48, 48)
    assert crop.label.shape == (48, 48)
    assert crop.label.dtype == torch.uint8


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("rotate", [0.0, 1.0])
def test_image_and_label_move_together(seed: int, rotate: float) -> None:
    cropper = Cropper(64, 0.1, 1.0, rotate=rotate)
    crop = cropper.cut(checkered(200, 16), 0.4, np.random.default_rng(seed))
    agree = (crop.image[0] > 0.5) == (crop.label == 1)
    assert agree.float().mean().item() > 0.96


def test_a_crop_shows_the_ground_at_the_resolution_asked_for() -> None:
    cropper = Cropper(64, 0.1, 1.0, rotate=0.0)
    crop = cropper.cut(checkered(400, 20, resolution_m=0.25), 0.5, np.random.default_rng(0))
    edges = (crop.label[:, 1:] != crop.label[:, :-1]).float().sum(1)
    assert edges.mean().item() == pytest.approx(64 / 10, abs=1)


def test_resolutions_are_drawn_within_the_range() -> None:
    cropper = Cropper(8, 0.2, 0.8, rotate=0.0)
    rng = np.random.default_rng(0)
    drawn = [cropper.resolution(rng) for _ in range(400)]
    assert 0.2 <= min(drawn) < 0.22
    assert 0.72 < max(drawn) <= 0.8
    assert math.exp(np.mean(np.log(drawn))) == pytest.approx(0.4, abs=0.03)


def test_unknown_pixels_stay_unknown() -> None:
    tile = checkered(64, 8)
    tile.label[:] = 255
    crop = Cropper(32, 0.1, 1.0, rotate=1.0).cut(tile, 0.6, np.random.default_rng(0))
    assert torch.all(crop.label == 255)


def test_radiometry_keeps_range_and_shape_and_follows_the_seed() -> None:
    image, style = torch.rand(3, 24, 24), torch.rand(3, 9, 9)
    config = AugmentConfig(color=1, style=1, gray=0.3, blur=1, noise=1)
    looks = [radiometric(image, style, config, np.random.default_rng(s)) for s in (1, 1, 2)]
    assert all(look.shape == image.shape for look in looks)
    assert all(look.min() >= 0 and look.max() <= 1 for look in looks)
    torch.testing.assert_close(looks[0], looks[1])
    assert not torch.equal(looks[0], looks[2])


def test_matched_colors_have_the_other_image_s_mean() -> None:
    image, style = torch.rand(3, 32, 32) * 0.2, 0.5 + torch.rand(3, 32, 32) * 0.2
    matched = match_colors(image, style, 1.0)
    torch.testing.assert_close(matched.mean((1, 2)), style.mean((1, 2)), atol=1e-3, rtol=0)


def test_blur_keeps_a_constant_and_spreads_a_point() -> None:
    flat = torch.full((3, 12, 12), 0.4)
    torch.testing.assert_close(blur(flat, 1.0), flat)
    point = torch.zeros(3, 15, 15)
    point[:, 7, 7] = 1
    assert blur(point, 1.0)[0, 7, 7].item() == pytest.approx(1 / (2 * math.pi), abs=0.01)


@pytest.mark.parametrize("rotate", [0.0, 1.0])
def test_a_crop_can_be_laid_around_a_pixel(rotate: float) -> None:
    tile = checkered(300, 400)
    tile.label[250:253, 40:43] = 1
    cropper = Cropper(32, 0.1, 1.0, rotate=rotate)
    for seed in range(20):
        crop = cropper.cut(tile, 0.5, np.random.default_rng(seed), (251, 41))
        assert (crop.label == 1).any()
