"""SA-STF's parts against hand-worked values, its switches, and the learned peer."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from tiny_fusion import random_images, tiny_config
from torch import nn

from n2m_core.errors import ParameterError
from n2m_core.models.fusion_blocks import LevelEmbedding, attended
from n2m_core.models.fusion_building import build_fusion, fusion_gflop
from n2m_core.models.fusion_network import (
    FusionDesign,
    FusionImages,
    FusionNetworkConfig,
    temporal_guess,
)
from n2m_core.models.sastf import SASTF, TemporalAlignment, choices

VARIANTS: dict[str, dict[str, Any]] = {
    "full": {},
    "residual diffusion": {"has_taylor": False, "has_tfa": False, "has_saf": False},
    "taylor": {"has_tfa": False, "has_saf": False},
    "taylor + tfa": {"has_saf": False},
    "taylor + saf": {"has_tfa": False},
    "one pass": {"has_diffusion": False},
    "guess": {"guess": "temporal"},
    "full size": {"shrink": 1},
}


def levels(batch: int = 1) -> torch.Tensor:
    return torch.tensor([[60.0, 80.0]]).repeat(batch, 1)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_part_learns(name: str) -> None:
    """Each variant gives images of the right shape, and a gradient reaches every weight it has."""
    config = tiny_config(**VARIANTS[name])
    model = build_fusion(config, seed=1)
    wake(model)
    images = random_images(batch=2)
    condition = model.condition(images)
    found = model.one_pass(condition)
    loss = (found**2).mean() + sum(
        ((p - condition.coarse) ** 2).mean() for p in condition.predicted
    )
    if config.has_diffusion:
        found = model.denoise(images.coarse1, levels(2), condition)
        loss = loss + (found**2).mean()
    assert found.shape == (2, 6, 16, 16)
    torch.as_tensor(loss).backward()  # type: ignore[no-untyped-call]
    idle = [n for n, p in model.named_parameters() if p.grad is None or not bool(p.grad.any())]
    assert idle == []
    assert (condition.unchanged is not None) == config.has_saf
    assert len(condition.predicted) == (2 if config.has_tfa else 0)


def wake(model: nn.Module) -> None:
    """Replace the layers that start at zero, behind which no gradient passes at first."""
    with torch.no_grad():
        for parameter in model.parameters():
            if not bool(parameter.any()):
                parameter.normal_(std=0.1, generator=torch.Generator().manual_seed(3))


def test_choices_are_the_papers_inequalities() -> None:
    c1, f0, f2, h0, h2 = (
        torch.tensor(values).view(1, 1, 1, 4)
        for values in (
            [0.0, 0.0, 1.0, 0.0],
            [2.0, 1.0, 3.0, 2.0],
            [2.5, -1.0, 1.5, 2.0],
            [1.0, 0.5, 1.0, 3.0],
            [3.0, 0.2, 2.0, 3.0],
        )
    )
    unchanged, second = choices(c1, f0, f2, h0, h2)
    # (f0-f2)^2 against the lesser of (c1-f0)^2, (c1-f2)^2: .25 < 4; 4 > 1; 2.25 > .25; 0 < 4
    assert unchanged.flatten().tolist() == [True, False, False, True]
    # (c1-h0)^2 against (c1-h2)^2: 1 < 9; .25 > .04; 0 < 1; a tie goes to date 2
    assert second.flatten().tolist() == [False, True, False, True]


def test_saf_copies_the_first_date_where_nothing_changed() -> None:
    model = SASTF(tiny_config(has_tfa=False))
    deep = model.deep
    assert deep.choose is not None
    seen = []
    deep.choose.block.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    f0, f2, c1 = (
        torch.randn(1, 16, 4, 4, generator=torch.Generator().manual_seed(k)) for k in range(3)
    )
    unchanged, second = choices(c1, f0, f2, f0, f2)
    deep.choose(c1, f0, f0, f2, unchanged, second)
    taken = seen[0]
    assert torch.equal(taken[unchanged], f0[unchanged])
    assert torch.equal(taken[~unchanged & second], f2[~unchanged & second])
    assert torch.equal(taken[~unchanged & ~second], f0[~unchanged & ~second])
    assert 0 < float(unchanged.float().mean()) < 1


def test_alignment_applies_the_coarse_gain_and_offset_to_the_fine_features() -> None:
    align = TemporalAlignment(2, heads=1)
    c1, c_k, f_k = (
        torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(k)) for k in range(3)
    )
    h, predicted = align(c1, c_k, f_k)
    torch.testing.assert_close(h, f_k)  # untrained: gain one, offset zero
    assert torch.equal(predicted, c_k)
    last_gain, last_offset = align.gain[-1], align.offset[-1]
    assert isinstance(last_gain, nn.Conv2d) and isinstance(last_offset, nn.Linear)
    assert last_gain.bias is not None
    with torch.no_grad():
        last_gain.bias.copy_(torch.tensor([1.0, -0.5]))
        last_offset.bias.copy_(torch.tensor([0.25, 0.0]))
    h, predicted = align(c1, c_k, f_k)
    gain, offset = (
        torch.tensor([2.0, 0.5]).view(1, 2, 1, 1),
        torch.tensor([0.25, 0]).view(1, 2, 1, 1),
    )
    torch.testing.assert_close(predicted, gain * c_k + offset)
    torch.testing.assert_close(h, gain * f_k + offset)  # an average of one constant is the constant


def test_attention_averages_by_likeness() -> None:
    query = torch.tensor([[30.0, 0.0], [0.0, 30.0]]).T.reshape(1, 2, 1, 2)
    key = torch.eye(2).reshape(1, 2, 1, 2)
    value = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 1, 2)
    torch.testing.assert_close(attended(query, key, value, 1), value, atol=1e-6, rtol=0)
    mean = value.mean(3, keepdim=True).expand_as(value)
    torch.testing.assert_close(attended(0 * query, key, value, 1), mean)


def test_levels_tell_apart() -> None:
    embedding = LevelEmbedding(8)
    found = embedding(torch.tensor([0.0, 50.0, 50.0]))
    assert torch.equal(found[1], found[2])
    assert not torch.allclose(found[0], found[1])


def test_guess_weighs_the_date_whose_coarse_image_is_nearer() -> None:
    def flat(value: float) -> torch.Tensor:
        return torch.full((1, 2, 2, 2), value)

    present = torch.tensor([[1.0, 0.0]])
    images = FusionImages(flat(0.1), flat(0.0), flat(0.5), flat(0.3), flat(0.09), present)
    # changes .09 and .21: weights 1 / .1 and 1 / .22; guesses .1 + .09 and .5 - .21
    expected = (10 * 0.19 + 0.29 / 0.22) / (10 + 1 / 0.22)
    torch.testing.assert_close(temporal_guess(images), flat(expected))


def test_an_untrained_network_gives_its_guess_back() -> None:
    model = build_fusion(tiny_config(guess="temporal"), seed=0)
    images = random_images()
    condition = model.condition(images)
    guess = temporal_guess(images)
    assert torch.equal(model.one_pass(condition), guess)
    assert torch.equal(model.denoise(images.coarse1, levels(), condition), guess)


@pytest.mark.parametrize("design", ["sa-stf", "stfdiff"])
def test_what_stands_in_an_empty_slot_changes_nothing(design: FusionDesign) -> None:
    model = build_fusion(tiny_config(design), seed=2)
    present = torch.tensor([[1.0, 1, 1, 1, 0, 0]])
    images = dataclasses.replace(random_images(), present=present)
    other = {
        name: torch.cat([value[:, :4], torch.full_like(value[:, 4:], 7.0)], dim=1)
        for name, value in vars(images).items()
        if name != "present"
    }
    x = images.coarse1 + 0.1
    x_other = torch.cat([x[:, :4], torch.full_like(x[:, 4:], -9.0)], dim=1)
    found = model.denoise(x, levels(), model.condition(images))[:, :4]
    changed = model.condition(dataclasses.replace(images, **other))
    assert torch.equal(found, model.denoise(x_other, levels(), changed)[:, :4])


@pytest.mark.parametrize("design", ["sa-stf", "stfdiff"])
def test_the_prediction_depends_on_every_image_and_level(design: FusionDesign) -> None:
    model = build_fusion(tiny_config(design), seed=2)
    images = random_images()
    x = random_images(seed=5).fine0
    found = model.denoise(x, levels(), model.condition(images))
    for name in ("fine0", "coarse0", "fine2", "coarse2", "coarse1"):
        moved = dataclasses.replace(images, **{name: getattr(images, name) + 0.2})
        assert not torch.allclose(found, model.denoise(x, levels(), model.condition(moved)))
    condition = model.condition(images)
    assert not torch.allclose(found, model.denoise(x + 0.2, levels(), condition))
    assert not torch.allclose(found, model.denoise(x, levels() / 2, condition))


def test_cost_of_the_compact_and_the_paper_network() -> None:
    paper = FusionNetworkConfig("sa-stf")
    assert paper.channels == [64, 128, 256, 512, 512]
    compact = tiny_config(width=24, multipliers=(1, 2, 4), groups=8, heads=4)
    once, each = fusion_gflop(compact)
    assert each < 5
    assert once < 12
    assert fusion_gflop(paper)[1] > 25 * each


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 6}, "multiples of 4 groups"),
        ({"multipliers": (1,)}, "needs 2"),
        ({"spread": 0.0}, "above 0"),
        ({"design": "stfdiff", "has_diffusion": False}, "without diffusion"),
    ],
)
def test_settings_that_do_not_fit_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        tiny_config(**changes)


def test_passes_that_a_network_lacks_are_named() -> None:
    images = random_images()
    one_pass = build_fusion(tiny_config(has_diffusion=False), seed=0)
    with pytest.raises(ParameterError, match="no diffusion"):
        one_pass.denoise(images.coarse1, levels(), one_pass.condition(images))
    peer = build_fusion(tiny_config("stfdiff"), seed=0)
    with pytest.raises(ParameterError, match="without diffusion"):
        peer.one_pass(peer.condition(images))
    with pytest.raises(ParameterError, match="multiples of 4"):
        one_pass.condition(random_images(size=18))


def test_configuration_survives_json() -> None:
    config = tiny_config("stfdiff", guess="temporal")
    assert FusionNetworkConfig.from_dict(config.to_dict()) == config
