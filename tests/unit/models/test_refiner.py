from __future__ import annotations

import pytest
import torch
from tiny_refiners import TINY, tiny_network
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from n2m_core.errors import ParameterError
from n2m_core.models.building import build
from n2m_core.models.guidance import (
    GuidedFusion,
    LevelGuidance,
    dropped,
    repeated,
    stacked,
    window_of,
)
from n2m_core.models.idgbr import Refiner, skip_levels
from n2m_core.models.label_codec import LearnedCodec, codec_loss
from n2m_core.models.network import NetworkConfig


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def attention_gradient(fusion: GuidedFusion) -> float:
    """Largest gradient in the attention: its query, keys, values and offsets."""
    parts = (fusion.query.weight, fusion.keys_values.weight, fusion.offsets, fusion.out.weight)
    return max(0.0 if part.grad is None else float(part.grad.abs().max()) for part in parts)


def test_the_attention_of_a_fusion_learns_from_the_second_step_on() -> None:
    torch.manual_seed(0)
    fusion = GuidedFusion(16, 8)
    features, target = drawn(2, 16, 8, 8), drawn(2, 16, 8, 8, seed=1)
    c_image, c_rough = drawn(2, 4, 8, 8, seed=2), drawn(2, 4, 8, 8, seed=3)
    optimizer = torch.optim.SGD(fusion.parameters(), lr=0.1)
    before = {name: each.detach().clone() for name, each in fusion.named_parameters()}
    assert {name for name, each in before.items() if not each.any()} == {"last.weight"}
    gradients = []
    for _ in range(2):
        found = fusion(features, fusion.guidance(c_image, c_rough))
        optimizer.zero_grad()
        (found - target).square().mean().backward()
        gradients.append((float(fusion.last.weight.grad.abs().max()), attention_gradient(fusion)))
        optimizer.step()
    assert gradients[0][0] > 0
    assert gradients[0][1] == 0.0
    assert gradients[1][1] > 0
    after = dict(fusion.named_parameters())
    assert {name for name in after if not torch.equal(after[name], before[name])} == after.keys()


def test_a_fusion_begins_without_a_say() -> None:
    fusion, features = GuidedFusion(16, 8), drawn(1, 16, 8, 8)
    guidance = fusion.guidance(drawn(1, 4, 8, 8), drawn(1, 4, 8, 8))
    assert torch.equal(fusion(features, guidance), features)


def test_guidance_set_to_zero_equals_features_of_zero() -> None:
    fusion, features = GuidedFusion(16, 8), drawn(2, 16, 8, 8)
    torch.nn.init.normal_(fusion.last.weight)
    seen = (fusion.guidance(drawn(2, 4, 8, 8, seed=4), drawn(2, 4, 8, 8, seed=5)),)
    nothing = fusion.guidance(torch.zeros(2, 4, 8, 8), torch.zeros(2, 4, 8, 8))
    (half,) = dropped(seen, torch.tensor([1.0, 0.0]))
    with torch.no_grad():
        found = fusion(features, half)
        torch.testing.assert_close(found[1], fusion(features, nothing)[1])
        torch.testing.assert_close(found[0], fusion(features, seen[0])[0])
        assert not torch.allclose(found[0], fusion(features, nothing)[0])


def test_attention_stays_within_its_window() -> None:
    fusion, features = GuidedFusion(8, 8), drawn(1, 8, 16, 16)
    torch.nn.init.normal_(fusion.last.weight)
    guidance = fusion.guidance(drawn(1, 4, 16, 16, seed=1), drawn(1, 4, 16, 16, seed=2))
    other = guidance.keys_values.detach().clone()
    other[:, :, 3, 12] += 5.0  # in the window of the first rows and last columns
    with torch.no_grad():
        moved = fusion(features, LevelGuidance(guidance.mixed, other))
        change = moved - fusion(features, guidance)
    touched = change.abs().amax(dim=(0, 1)) > 1e-6
    expected = torch.zeros(16, 16, dtype=torch.bool)
    expected[:8, 8:] = True
    assert torch.equal(touched, expected)


@pytest.mark.parametrize(("side", "window"), [(64, 8), (8, 8), (12, 4), (6, 2), (5, 1)])
def test_a_window_divides_the_side(side: int, window: int) -> None:
    assert window_of(side) == window


def test_guidance_is_repeated_and_stacked_sample_by_sample() -> None:
    one, two = (
        (LevelGuidance(torch.full((1, 1, 1, 1), v), torch.full((1, 2, 1, 1), v)),)
        for v in (1.0, 2.0)
    )
    (both,) = repeated(stacked([one, two]), 2)
    assert both.mixed.flatten().tolist() == [1.0, 1.0, 2.0, 2.0]
    assert both.keys_values.shape == (4, 2, 1, 1)


def test_skips_lie_on_the_levels_of_a_stable_diffusion_unet() -> None:
    assert skip_levels(4, 2) == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3]
    assert skip_levels(2, 1) == [0, 0, 1, 1, 1]


def test_a_pass_of_the_compact_network_is_cheap_enough_for_two_cores() -> None:
    with torch.device("meta"):
        network = build(NetworkConfig("idgbr", 3, 2))
        assert isinstance(network, Refiner)
        image, rough = torch.zeros(1, 3, 256, 256), torch.zeros(1, 256, 256, dtype=torch.int64)
        with FlopCounterMode(display=False) as once:
            guidance = network.guidance(image, rough)
        with FlopCounterMode(display=False) as each:
            eps = network(torch.zeros(1, 8, 64, 64), torch.zeros(1, dtype=torch.int64), guidance)
    assert eps.shape == (1, 8, 64, 64)
    assert each.get_total_flops() < 2e9
    assert once.get_total_flops() < 10e9
    assert network.multiple == 32


def test_the_network_looks_at_image_rough_map_and_timestep() -> None:
    network = tiny_network()
    image, rough = drawn(1, 3, 32, 32).clamp(-1, 1), torch.zeros(1, 32, 32, dtype=torch.int64)
    z_t, t = drawn(1, 4, 8, 8), torch.tensor([500])
    with torch.no_grad():
        guidance = network.guidance(image, rough)
        eps = network(z_t, t, guidance)
        others = (
            network(z_t, t, network.guidance(-image, rough)),
            network(z_t, t, network.guidance(image, 1 - rough)),
            network(z_t, torch.tensor([100]), guidance),
        )
    assert eps.shape == z_t.shape
    assert all(float((each - eps).abs().max()) > 1e-4 for each in others)


def test_at_the_noisy_end_the_preconditioned_network_answers_almost_the_noise() -> None:
    network = tiny_network()
    guidance = network.guidance(torch.zeros(1, 3, 32, 32), torch.zeros(1, 32, 32).long())
    z_t = drawn(1, 4, 8, 8)
    eps = network(z_t, torch.tensor([999]), guidance)
    # sqrt(alpha_bar[999]) = 0.0683, so the network's own say is weighed down by that.
    assert float((eps - z_t).abs().max()) < 0.5


def test_sides_that_do_not_fit_and_unknown_settings_are_refused() -> None:
    network = tiny_network()
    with pytest.raises(ParameterError, match="multiples of 8"):
        network.guidance(torch.zeros(1, 3, 20, 32), torch.zeros(1, 20, 32).long())
    with pytest.raises(ParameterError, match="no setting latents; it has latent_channels"):
        build(NetworkConfig("idgbr", 3, 2, overrides={"latents": 4}))
    with pytest.raises(ParameterError, match="one less is wanted"):
        build(NetworkConfig("idgbr", 3, 2, overrides={"denoiser": TINY["denoiser"]}))


def rectangles(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.zeros(count, 32, 32, dtype=torch.int64)
    for each in labels:
        top, left, tall, wide = torch.randint(2, 20, (4,), generator=generator).tolist()
        each[top : top + tall, left : left + wide] = 1
    return labels


def test_the_learned_codec_brings_unseen_maps_back_and_bears_noise() -> None:
    torch.manual_seed(0)
    codec = LearnedCodec(2, 8, 32)
    optimizer = torch.optim.AdamW(codec.parameters(), lr=1e-2)
    for step in range(100):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * (1 - step / 100)
        labels = rectangles(16, step)
        noise = drawn(*codec.noise_shape(labels), seed=step)
        optimizer.zero_grad()
        codec_loss(codec, labels, noise, 0.15).backward()
        optimizer.step()
    codec.eval()
    labels = rectangles(32, 1000)
    with torch.no_grad():
        z = codec.encode(labels)
        clean, noisy = (
            float((codec.decode(z + sigma * drawn(*z.shape)).argmax(1) == labels).float().mean())
            for sigma in (0.0, 0.15)
        )
    assert clean > 0.985  # background alone is about 0.9
    assert noisy > 0.97
    assert float(z.mean()) == pytest.approx(0, abs=0.2)
    assert float(z.std()) == pytest.approx(1, abs=0.3)
