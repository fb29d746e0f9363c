from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from tiny_models import untrained_network
from tiny_multitask import both_network

from n2m_core.errors import ParameterError
from n2m_core.models.building import build
from n2m_core.models.multitask import MultiTask
from n2m_core.models.network import NetworkConfig

T = torch.tensor([40])


def picture(bands: int) -> torch.Tensor:
    return torch.randn(1, bands, 32, 32, generator=torch.Generator().manual_seed(0))


def test_bands_decide_the_task() -> None:
    network = both_network()
    assert network(picture(3), T).shape == (1, 2, 32, 32)
    assert network(picture(6), T).shape == (1, 3, 32, 32)
    with pytest.raises(ParameterError, match="multiples of 4"):
        network(picture(3)[..., :30], T)


def test_each_tasks_network_is_the_one_that_the_whole_runs() -> None:
    network = both_network()
    torch.testing.assert_close(network.of_images(picture(3), T), network(picture(3), T))
    torch.testing.assert_close(network.of_pairs(picture(6), T), network(picture(6), T))
    assert network.of_images.config.in_channels == 3
    assert (network.of_pairs.config.in_channels, network.of_pairs.config.classes) == (6, 3)
    assert network.of_pairs.config.shares_dates


def test_stem_and_backbone_are_held_and_learned_once() -> None:
    network = both_network()
    assert network.of_images.backbone is network.of_pairs.backbone is network.backbone
    parts = [network.stem, network.backbone, network.meetings, network.heads]
    counted = sum(p.numel() for part in parts for p in part.parameters())
    assert sum(p.numel() for p in network.parameters()) == counted
    stored = [value.data_ptr() for value in network.state_dict().values() if value.numel() > 1]
    assert len(stored) == len(set(stored))


def test_a_step_on_images_moves_what_pairs_see() -> None:
    network = both_network().requires_grad_(True)
    before = network(picture(6), T).detach()
    network(picture(3), T).square().sum().backward()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.grad is not None:
                parameter.sub_(parameter.grad, alpha=1e-3)
    assert not torch.allclose(network(picture(6), T), before)
    assert all(p.grad is None for p in network.heads["change"].parameters())
    assert all(p.grad is None for p in network.meetings.parameters())


def test_a_copy_shares_among_its_own_parts_alone() -> None:
    network = both_network()
    other = copy.deepcopy(network)
    assert other.of_pairs.backbone is other.backbone is not network.backbone
    with torch.no_grad():
        other.stem.get_parameter("to_half.weight").zero_()
    assert not torch.allclose(other(picture(6), T), network(picture(6), T))


def test_the_same_is_built_from_its_configuration() -> None:
    network = both_network()
    again = build(NetworkConfig(**network.config.to_dict()))
    assert isinstance(again, MultiTask)
    again.load_state_dict(network.state_dict())
    torch.testing.assert_close(again.eval()(picture(6), T), network(picture(6), T))


@pytest.mark.parametrize("changes", [{"pair_classes": None}, {"variant": "unet"}])
def test_peers_and_single_tasks_are_refused(changes: dict[str, object]) -> None:
    single = dataclasses.replace(untrained_network("segment", 2).config, pair_classes=3)
    with pytest.raises(ParameterError, match="classes of pairs"):
        MultiTask(dataclasses.replace(single, **changes))  # type: ignore[arg-type]
