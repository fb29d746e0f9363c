from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_peers import CASES, CHANGE_PEERS, TINY_SETTINGS, drawn, tiny_peer
from torch.utils.flop_counter import FlopCounterMode

from n2m_core.errors import CheckpointError, ParameterError
from n2m_core.models.building import build
from n2m_core.models.network import NetworkConfig, PeerName
from n2m_core.models.peers.changeformer import ChangeFormer
from n2m_core.models.peers.ddpm_cd import FrozenFeatureDetector, FullSizeDetector
from n2m_core.models.storing import fp16_weights, load_network, save_network
from n2m_core.training.runner import gflop_per_tile

T = torch.zeros(2, dtype=torch.int64)


def exchanged(pair: torch.Tensor) -> torch.Tensor:
    return torch.cat(pair.chunk(2, dim=1)[::-1], dim=1)


@pytest.mark.parametrize(("name", "bands"), CASES)
@torch.no_grad()
def test_maps_have_the_inputs_size_and_repeat_themselves_in_any_order(
    name: PeerName, bands: int
) -> None:
    network = tiny_peer(name, bands)
    x = drawn(1, 2, bands, 64, 96)
    logits = network(x, T)
    assert logits.shape == (2, 3, 64, 96)
    assert logits.dtype == torch.float32
    assert not torch.equal(logits[0], logits[1])
    torch.testing.assert_close(network(x, T + 500), logits, rtol=0, atol=0)
    torch.testing.assert_close(network(x.flip(0), T).flip(0), logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "bands"), CASES)
def test_every_trainable_weight_learns_and_frozen_ones_do_not(name: PeerName, bands: int) -> None:
    network = tiny_peer(name, bands).train()
    logits = network(drawn(2, 4, bands, 64, 64), torch.zeros(4, dtype=torch.int64))
    (logits * drawn(3, *logits.shape)).sum().backward()
    for key, weight in network.named_parameters():
        if key.startswith("denoiser."):
            assert not weight.requires_grad, key
            assert weight.grad is None, key
        elif not key.endswith("k_proj.bias"):  # softmax takes what all keys share away
            assert weight.grad is not None, key
            assert weight.grad.abs().max() > 0, key


@pytest.mark.parametrize(("name", "bands"), CASES)
@torch.no_grad()
def test_a_saved_peer_loads_on_its_own(name: PeerName, bands: int, tmp_path: Path) -> None:
    network = tiny_peer(name, bands)
    save_network(tmp_path, network, fp16_weights(network))
    again = load_network(tmp_path).eval()
    assert type(again) is type(network)
    assert again.config == network.config
    for key, value in network.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, atol=1e-3, rtol=1e-3, msg=key)
    x = drawn(4, 2, bands, 32, 32)
    torch.testing.assert_close(again(x, T), network(x, T), atol=0.05, rtol=0.05)


@pytest.mark.parametrize(("name", "bands"), CASES)
def test_compact_peers_cost_no_more_than_promised(name: PeerName, bands: int) -> None:
    with torch.device("meta"):
        network = build(NetworkConfig(name, bands, 3)).eval()
    assert gflop_per_tile(network) <= 12
    assert 4e6 <= sum(each.numel() for each in network.parameters()) <= 14e6


@pytest.mark.parametrize(("name", "bands"), CASES)
def test_sizes_that_do_not_fit_are_refused(name: PeerName, bands: int) -> None:
    network = tiny_peer(name, bands)
    with pytest.raises(ParameterError, match=f"both sides must be multiples of {network.multiple}"):
        network(torch.zeros(1, bands, network.multiple, network.multiple + 1), T[:1])


@pytest.mark.parametrize("name", CHANGE_PEERS)
def test_a_single_date_is_refused_where_two_are_compared(name: PeerName) -> None:
    with pytest.raises(ParameterError, match=f"{name} compares two dates"):
        build(NetworkConfig(name, 3, 2, overrides=TINY_SETTINGS[name]))


def test_unknown_networks_and_settings_are_refused(tmp_path: Path) -> None:
    odd = NetworkConfig("resnet", 3, 2)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match=r"no network 'resnet'; choose one of compact, paper"):
        build(odd)
    with pytest.raises(ParameterError, match=r"unet has no setting depth; it has features\."):
        build(NetworkConfig("unet", 3, 2, overrides={"depth": 3}))
    network = tiny_peer("unet", 3)
    save_network(tmp_path, network, fp16_weights(network))
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace('"unet"', '"resnet"'))
    with pytest.raises(CheckpointError, match="no network 'resnet'"):
        load_network(tmp_path)


def test_a_denoiser_of_other_bands_is_refused() -> None:
    with pytest.raises(ParameterError, match="takes 3 bands, one date has 4"):
        build(NetworkConfig("ddpm-cd", 8, 2, overrides=TINY_SETTINGS["ddpm-cd"]))


# Two dates


@torch.no_grad()
def test_siamese_unet_sees_nothing_but_differences() -> None:
    network = tiny_peer("siamese-unet", 6)
    images = drawn(5, 2, 3, 32, 32)
    same = network(torch.cat([images, images], dim=1), T)
    torch.testing.assert_close(same[0], same[1])
    pair = torch.cat([images, images.flip(0)], dim=1)
    assert not torch.allclose(network(pair, T), same, atol=1e-3)
    assert not torch.allclose(network(exchanged(pair), T), network(pair, T), atol=1e-4)


@torch.no_grad()
def test_changeformer_tells_the_dates_apart_in_its_comparison_alone() -> None:
    network = tiny_peer("changeformer", 6)
    assert isinstance(network, ChangeFormer)
    pair = drawn(6, 2, 6, 32, 32)
    assert not torch.allclose(network(exchanged(pair), T), network(pair, T), atol=1e-5)
    for compare in network.compare:
        kernel = compare.get_parameter("0.0.weight")
        before, after = kernel.chunk(2, dim=1)
        kernel.copy_(torch.cat([before + after, before + after], dim=1))
    torch.testing.assert_close(network(exchanged(pair), T), network(pair, T))


@torch.no_grad()
def test_frozen_features_are_compared_without_order_but_for_the_signed_term() -> None:
    network = tiny_peer("ddpm-cd", 6)
    assert isinstance(network, FrozenFeatureDetector)
    pair = drawn(7, 2, 6, 32, 32)
    found, other = network(pair, T), network(exchanged(pair), T)
    assert not torch.allclose(found, other, atol=1e-5)
    for direct in network.head.direct:
        direct.get_parameter("weight").zero_()
    even = network(pair, T)
    torch.testing.assert_close((found + other) / 2, even, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(network(exchanged(pair), T), even, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_frozen_features_are_those_of_every_timestep() -> None:
    network = tiny_peer("ddpm-cd", 6)
    assert isinstance(network, FrozenFeatureDetector)
    images = drawn(8, 1, 3, 32, 32)
    looks = network.noise.looks(images)
    assert [int(t[0]) for _, t in looks] == [50, 100, 400]
    shares = [float((x_t * images).sum() / images.square().sum()) for x_t, _ in looks]
    assert shares[0] > 0.9 > shares[2]
    again = tiny_peer("ddpm-cd", 6)
    assert isinstance(again, FrozenFeatureDetector)
    for (x_t, _), (other, _) in zip(looks, again.noise.looks(images), strict=True):
        torch.testing.assert_close(x_t, other, rtol=0, atol=0)


def test_a_frozen_denoiser_stays_in_eval_mode() -> None:
    network = tiny_peer("ddpm-cd", 6).train()
    assert isinstance(network, FrozenFeatureDetector)
    assert network.head.training
    assert not any(module.training for module in network.denoiser.modules())


# DDPM-CD's published size


def test_full_size_has_the_published_parameters_and_arithmetic() -> None:
    with torch.device("meta"):
        detector = FullSizeDetector().eval()
    unet = sum(each.numel() for each in detector.unet.parameters())
    head = sum(each.numel() for each in detector.head.parameters())
    assert (unet, head) == (391_048_067, 46_405_126)  # published: 391.05 and 46.41 million
    assert not any(each.requires_grad for each in detector.unet.parameters())
    x, t = torch.zeros(1, 3, 256, 256, device="meta"), torch.zeros(1, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        detector.unet.features(x, t)
    assert counter.get_total_flops() / 2e9 == pytest.approx(717, abs=1)
    with torch.no_grad():
        pair = torch.zeros(1, 6, 32, 48, device="meta")
        assert detector(pair).shape == (1, 2, 32, 48)


# Start


def test_neither_monai_nor_transformers_is_imported_before_a_peer_is_built() -> None:
    code = (
        "import sys, n2m_core.models.building\n"
        "print(sorted({'monai', 'transformers', 'torchvision'} & sys.modules.keys()))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
