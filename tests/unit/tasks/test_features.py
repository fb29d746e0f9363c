"""Principal components and attention, against their definitions and the network's own output."""

from __future__ import annotations

import copy
import functools
from typing import Any

import numpy as np
import pytest
import torch
from rasters import ImageFactory
from tiny_models import BUILDINGS, drawn_pair, drawn_scene, tiny_card

from n2m_core.checkpoints import LoadedModel
from n2m_core.errors import CheckpointError
from n2m_core.models.noise2map import NetworkConfig, Noise2Map
from n2m_core.tasks import features
from n2m_core.tasks.features import (
    attention_blocks,
    attention_weights,
    depths_of,
    principal_picture,
    run,
)
from n2m_core.tasks.params import MapParams


@functools.cache
def network(**overrides: Any) -> LoadedModel:  # noqa: ANN401  entries of diffusers' configuration
    """An untrained network of two levels: attention at a quarter of the resolution."""
    settings: dict[str, Any] = {
        "block_out_channels": [8, 16],
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
        "in_channels": 8,
        "out_channels": 8,
        "layers_per_block": 1,
        "attention_head_dim": 4,
        "norm_num_groups": 4,
    }
    torch.manual_seed(11)
    config = NetworkConfig("compact", 3, 2, overrides=settings | overrides)
    made = Noise2Map(config).eval().requires_grad_(False)
    card = tiny_card("tiny", "segment", BUILDINGS, "gaussian")
    return LoadedModel(card, made, torch.device("cpu"))


# Principal components


def test_components_of_a_known_plane() -> None:
    """Channel 0 varies most, channel 2 half as much; channel 1 says nothing."""
    ramp = np.linspace(-1, 1, 101, dtype=np.float32)
    rows, columns = np.meshgrid(ramp, ramp, indexing="ij")
    picture, explained = principal_picture(np.stack([-columns, np.zeros_like(rows), rows / 2]))
    assert explained == pytest.approx((0.8, 0.2, 0))
    # The largest weight is positive: the first component falls with the column, as channel 0 does.
    assert picture[0, 0, 0] == 1
    assert picture[0, 0, -1] == 0
    assert picture[1, 0, 0] == 0
    assert picture[1, -1, 0] == 1
    assert (picture[2] == 0.5).all()
    assert picture[0, 50, 50] == pytest.approx(0.5, abs=1e-6)


def test_stretch_is_robust_and_sign_does_not_flip() -> None:
    generator = np.random.default_rng(3)
    values = generator.normal(size=(5, 20, 20)).astype(np.float32)
    picture, explained = principal_picture(values)
    assert picture.dtype == np.float32
    assert (picture.min(), picture.max()) == (0, 1)
    assert explained[0] >= explained[1] >= explained[2] > 0
    again, _ = principal_picture(values[:, ::-1].copy())
    np.testing.assert_allclose(again[:, ::-1], picture, atol=1e-4)
    values[:, 0, 0] = 1e4
    assert principal_picture(values)[0].mean() > 0.1


def test_few_channels_and_no_variance_are_grey() -> None:
    picture, explained = principal_picture(np.ones((2, 4, 4), np.float32))
    assert (picture == 0.5).all()
    assert explained == (0, 0, 0)


# Attention


def test_weights_are_the_ones_that_the_block_uses() -> None:
    """Rows sum to one, and with the block's own values they give the block's own output."""
    for block in attention_blocks(network().model).values():
        module: Any = copy.deepcopy(block)
        with torch.no_grad():
            module.to_q.weight.mul_(6)  # far from a flat softmax
            hidden = torch.randn(1, 16, 5, 6, generator=torch.Generator().manual_seed(1))
            weights = attention_weights(module, hidden)
            assert weights.shape == (1, 4, 30, 30)
            torch.testing.assert_close(weights.sum(-1), torch.ones(1, 4, 30))
            assert weights.max() > 0.1
            tokens = module.group_norm(hidden.flatten(2)).transpose(1, 2)
            values = module.to_v(tokens).view(1, 30, 4, 4).transpose(1, 2)
            mixed = (weights @ values).transpose(1, 2).reshape(1, 30, 16)
            expected = module.to_out[0](mixed).transpose(1, 2).view(1, 16, 5, 6) + hidden
            torch.testing.assert_close(
                module(hidden), expected / module.rescale_output_factor, atol=1e-5, rtol=1e-4
            )


def test_every_attention_block_is_named() -> None:
    names = ["down 2, block 1", "middle", "up 1, block 1", "up 1, block 2"]
    assert list(attention_blocks(network().model)) == names
    assert list(attention_blocks(network(add_attention=False).model)) == [
        name for name in names if name != "middle"
    ]


# A pass


def test_a_pass_shows_every_depth_and_layer(make_image: ImageFactory) -> None:
    image = make_image(drawn_scene(5, 70, 90)[0])
    probe = run([image], network(), MapParams(timestep=300, seed=2))
    assert [(each.name, each.stride, each.channels) for each in probe.depths] == [
        ("stem", 2, 8), ("down 1", 4, 8), ("down 2", 4, 16), ("middle", 4, 16),
        ("up 1", 2, 16), ("up 2", 2, 8), ("output", 2, 8),
    ]  # fmt: skip
    assert (probe.timestep, probe.is_mixed) == (300, True)
    (picture,) = probe.pictures
    assert picture.shape == (68, 88, 3)
    for layer in probe.layers:
        assert layer.grid == (17, 22)
        assert layer.stride == 4
        np.testing.assert_allclose(layer.weights.sum(axis=1), 1, atol=1e-5)
    again = run([image], network(), MapParams(timestep=300, seed=2))
    np.testing.assert_array_equal(again.depths[3].picture, probe.depths[3].picture)


def test_attention_of_a_pixel_is_the_row_of_its_cell(make_image: ImageFactory) -> None:
    layer = run([make_image(drawn_scene(5, 32, 48)[0])], network()).layers[0]
    seen = layer.from_pixel(13, 22)
    assert layer.cell(13, 22) == (3, 5)
    assert seen.shape == (8, 12)
    np.testing.assert_array_equal(seen.ravel(), layer.weights[3 * 12 + 5])
    assert layer.cell(31, 47) == (7, 11)


def test_hooks_are_gone_afterwards_and_the_map_is_untouched(make_image: ImageFactory) -> None:
    model = network()
    x, t = torch.zeros(1, 3, 16, 16), torch.tensor([4])
    before = model.model(x, t)
    run([make_image(drawn_scene(5, 32, 32)[0])], model)
    assert not any(block._forward_hooks for block in depths_of(model.model).values())
    torch.testing.assert_close(model.model(x, t), before, rtol=0, atol=0)


def test_large_grids_are_left_out_and_small_images_mirrored(
    make_image: ImageFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "MAX_CELLS", 3)
    probe = run([make_image(drawn_scene(5, 3, 9)[0])], network())
    assert probe.pictures[0].shape == (4, 8, 3)
    assert len(probe.layers) == 4
    monkeypatch.setattr(features, "MAX_CELLS", 1)
    probe = run([make_image(drawn_scene(5, 3, 9)[0])], network())
    assert probe.layers == ()
    assert len(probe.left_out) == 4


@pytest.mark.parametrize("shares_dates", [False, True])
def test_a_pair_shows_both_dates(make_image: ImageFactory, shares_dates: bool) -> None:
    before, after, _ = drawn_pair(3, 32, 32)
    pair = [make_image(before), make_image(after)]
    with pytest.raises(CheckpointError, match="takes one image"):
        run(pair, network())
    model = _untrained_pair_network(shares_dates)
    probe = run(pair, model)
    assert len(probe.pictures) == 2
    assert isinstance(model.model, Noise2Map)
    assert [each.name for each in probe.depths] == list(depths_of(model.model))


def _untrained_pair_network(shares_dates: bool) -> LoadedModel:
    """The change network without its training, which has no part in this."""
    torch.manual_seed(1)
    card = tiny_card("tiny-change", "change", BUILDINGS, "swap", is_mixed=True)
    small = network().model.config.overrides
    settings = NetworkConfig("compact", 6, 2, overrides=small, shares_dates=shares_dates)
    made = Noise2Map(settings).eval().requires_grad_(False)
    return LoadedModel(card, made, torch.device("cpu"))
