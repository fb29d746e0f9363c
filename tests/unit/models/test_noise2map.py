from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from n2m_core.errors import CheckpointError, ParameterError
from n2m_core.models.backbone import PAPER_PARAMETERS, build_backbone, load_backbone
from n2m_core.models.noise2map import CompactHead, NetworkConfig, Noise2Map

TINY = {
    "in_channels": 8,
    "out_channels": 8,
    "block_out_channels": (8, 16),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": 8,
    "norm_num_groups": 4,
}


def tiny(*, classes: int = 3, channels: int = 3, time: bool = True) -> Noise2Map:
    torch.manual_seed(0)
    return Noise2Map(NetworkConfig("compact", channels, classes, time, TINY)).eval()


def test_paper_backbone_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        backbone = build_backbone("paper")
    assert sum(p.numel() for p in backbone.parameters()) == PAPER_PARAMETERS == 113_673_219


def test_paper_network_is_the_backbone_between_two_convolutions() -> None:
    with torch.device("meta"):
        model = Noise2Map(NetworkConfig("paper", 6, 2))
    ends = sum(p.numel() for p in (*model.stem.parameters(), *model.head.parameters()))
    assert ends == (6 * 3 * 9 + 3) + (3 * 2 * 9 + 2)
    assert model.multiple == 32


@pytest.mark.parametrize(("height", "width"), [(16, 16), (32, 48), (64, 8)])
@pytest.mark.parametrize("channels", [1, 3, 6])
def test_logits_have_the_size_of_the_input(height: int, width: int, channels: int) -> None:
    model = tiny(channels=channels)
    logits = model(torch.zeros(2, channels, height, width), torch.tensor([0, 999]))
    assert logits.shape == (2, 3, height, width)
    assert logits.dtype == torch.float32


def test_sizes_that_do_not_fit_are_refused_with_the_remedy() -> None:
    model = tiny()
    assert model.multiple == 4
    with pytest.raises(ParameterError, match="18x16; both sides must be multiples of 4"):
        model(torch.zeros(1, 3, 18, 16), torch.tensor([0]))


@pytest.mark.parametrize(
    ("settings", "rates", "first"),
    [
        ({"flip_sin_to_cos": False, "freq_shift": 1}, [1, 10 ** (-4 / 3), 10 ** (-8 / 3), 1e-4], 0),
        ({}, [1, 0.1, 0.01, 0.001], 4),
    ],
    ids=["as in the paper", "as in the compact network"],
)
def test_timestep_becomes_sinusoids(
    settings: dict[str, object], rates: list[float], first: int
) -> None:
    """Eight channels: four sines and four cosines; the sines stand first in the paper's."""
    backbone = build_backbone("compact", {**TINY, **settings})
    found = backbone.timestep_sinusoids(torch.tensor([0, 100]))
    angles = 100 * torch.tensor(rates)
    torch.testing.assert_close(found[1, first : first + 4], angles.sin(), atol=1e-4, rtol=0)
    torch.testing.assert_close(found[1, 4 - first : 8 - first], angles.cos(), atol=1e-4, rtol=0)
    assert found[0].sum().item() == pytest.approx(4)


def test_the_timestep_matters_only_when_it_conditions() -> None:
    x_t = torch.rand(1, 3, 16, 16)
    conditioned, plain = tiny(time=True), tiny(time=False)
    early, late = torch.tensor([0]), torch.tensor([900])
    assert not torch.equal(conditioned(x_t, early), conditioned(x_t, late))
    torch.testing.assert_close(plain(x_t, early), plain(x_t, late))


def test_samples_of_a_batch_do_not_see_each_other() -> None:
    model = tiny()
    x_t = torch.rand(2, 3, 16, 16)
    t = torch.tensor([5, 700])
    alone = torch.cat([model(x_t[i : i + 1], t[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(model(x_t, t), alone, atol=1e-5, rtol=1e-4)


def test_backbone_round_trip_through_a_diffusers_folder(tmp_path: Path) -> None:
    backbone = build_backbone("compact", TINY).eval()
    backbone.unet.save_pretrained(tmp_path)
    again = load_backbone(tmp_path).eval()
    features, t = torch.rand(1, 8, 8, 8), torch.tensor([3])
    torch.testing.assert_close(again(features, t), backbone(features, t))


def test_backbone_folder_without_weights_is_refused(tmp_path: Path) -> None:
    build_backbone("compact", TINY).unet.save_pretrained(tmp_path)
    (tmp_path / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="has no diffusion_pytorch_model"):
        load_backbone(tmp_path)


def test_backbone_folder_with_damaged_weights_is_refused(tmp_path: Path) -> None:
    build_backbone("compact", TINY).unet.save_pretrained(tmp_path)
    (tmp_path / "diffusion_pytorch_model.safetensors").write_bytes(b"\x00" * 64)
    with pytest.raises(CheckpointError, match="can't be loaded"):
        load_backbone(tmp_path)


def test_backbone_folder_with_settings_of_no_sense_is_refused(tmp_path: Path) -> None:
    build_backbone("compact", TINY).unet.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**settings, "block_out_channels": None}))
    with pytest.raises(CheckpointError, match="can't be loaded"):
        load_backbone(tmp_path)


@pytest.mark.parametrize(
    ("renamed", "told"),
    [
        (lambda name: f"unet.{name}", "lack conv_in.bias .* and also hold unet.conv_in.bias"),
        (lambda name: name if "up_blocks" not in name else None, "they lack up_blocks.0"),
    ],
    ids=["prefixed", "partial"],
)
def test_backbone_weights_with_other_names_are_refused(
    renamed: Callable[[str], str | None], told: str, tmp_path: Path
) -> None:
    """Diffusers alone would warn, and leave random what it does not find."""
    build_backbone("compact", TINY).unet.save_pretrained(tmp_path)
    file = tmp_path / "diffusion_pytorch_model.safetensors"
    pairs = ((renamed(name), value) for name, value in load_file(file).items())
    save_file({name: value for name, value in pairs if name}, file, {"format": "pt"})
    with pytest.raises(CheckpointError, match=told):
        load_backbone(tmp_path)


def test_way_down_and_way_up_are_the_whole_backbone() -> None:
    torch.manual_seed(0)
    backbone = build_backbone("compact", TINY).eval()
    features, t = torch.randn(2, 8, 16, 16), torch.tensor([3, 500])
    with torch.no_grad():
        skips, embedding = backbone.encode(features, t)
        assert [s.shape[1] for s in skips] == backbone.skip_channels
        torch.testing.assert_close(backbone.decode(skips, embedding), backbone(features, t))


def test_each_date_is_shown_the_other() -> None:
    torch.manual_seed(0)
    model = Noise2Map(NetworkConfig("compact", 6, 3, overrides=TINY, shares_dates=True)).eval()
    for name, parameter in model.meetings.named_parameters():
        if name.endswith("weight"):
            torch.nn.init.normal_(parameter, std=0.1)
    before, after = torch.randn(2, 1, 3, 32, 32)
    t = torch.tensor([3])

    def raised(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        stem = model.stem(torch.cat([first, second]))
        return model.through_backbone(stem, t.repeat(2))

    with torch.no_grad():
        there, back = raised(before, after), raised(after, before)
        other = raised(before, torch.zeros_like(after))
    torch.testing.assert_close(there, back.flip(0))  # swapped dates, swapped features
    assert not torch.allclose(there[:1], other[:1])  # the first date knows of the second


def test_shared_dates_each_begin_with_their_own_pass() -> None:
    torch.manual_seed(0)
    config = NetworkConfig("compact", 6, 3, overrides=TINY, shares_dates=True)
    model = Noise2Map(config).eval()
    assert isinstance(model.head, CompactHead)
    pair, t = torch.randn(2, 6, 32, 32), torch.tensor([3, 500])
    with torch.no_grad():
        raised = [
            model.head.raised(model.backbone(model.stem(date), t), date)
            for date in pair.chunk(2, 1)
        ]
        wanted = model.head.logits(torch.cat(raised, dim=1))
        torch.testing.assert_close(model(pair, t), wanted)


def test_shared_dates_work_at_the_papers_size_too() -> None:
    small = {"block_out_channels": (8, 8), "norm_num_groups": 4, "layers_per_block": 1}
    blocks = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    model = Noise2Map(NetworkConfig("paper", 6, 2, True, small | blocks, shares_dates=True)).eval()
    assert model(torch.zeros(1, 6, 8, 8), torch.zeros(1, dtype=torch.int64)).shape == (1, 2, 8, 8)


def test_an_odd_number_of_bands_has_no_two_dates() -> None:
    with pytest.raises(ParameterError, match="it was given 3 channels"):
        Noise2Map(NetworkConfig("compact", 3, 2, overrides=TINY, shares_dates=True))
