"""IDGBR's configuration of the paper, from tiny random components of the published layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from n2m_core.diffusion.library import stable_diffusion_parts
from n2m_core.errors import CheckpointError
from n2m_core.models.idgbr import PaperConditions, Refiner
from n2m_core.models.label_codec import PseudoRgbCodec
from n2m_core.models.stable_diffusion import StableUNet, Teacher, alignment_loss
from n2m_core.models.storing import fp16_weights, load_network, save_network
from n2m_core.training.refine import build_refiner
from n2m_core.training.refine_config import RefineConfig, RefinerChoice, load_refine_config

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
UNET: dict[str, Any] = {
    "sample_size": 8,
    "block_out_channels": (8, 16, 16, 16),
    "layers_per_block": 2,
    "cross_attention_dim": 12,
    "attention_head_dim": 4,
    "norm_num_groups": 4,
}
VAE: dict[str, Any] = {
    "block_out_channels": (8, 8, 8, 8),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 1,
    "latent_channels": 4,
    "norm_num_groups": 4,
}


@pytest.fixture(scope="module")
def stable_diffusion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in diffusers format with the parts of Stable Diffusion 1.5, a few channels each."""
    from transformers import CLIPTextConfig, CLIPTextModel

    folder = tmp_path_factory.mktemp("stable-diffusion")
    torch.manual_seed(3)
    unet, vae = stable_diffusion_parts()
    unet(**UNET).save_pretrained(folder / "unet")
    vae(**VAE).save_pretrained(folder / "vae")
    text = CLIPTextConfig(
        vocab_size=32,
        hidden_size=12,
        intermediate_size=12,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=30,
        eos_token_id=31,
    )
    CLIPTextModel(text).save_pretrained(folder / "text_encoder")
    return folder


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    """A tiny DINOv2 from a folder in transformers format."""
    from transformers import Dinov2Config, Dinov2Model

    folder = tmp_path_factory.mktemp("dinov2")
    torch.manual_seed(4)
    config = Dinov2Config(
        hidden_size=12, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    Dinov2Model(config).save_pretrained(folder)
    return Teacher(folder)


def paper_config(folder: Path) -> RefineConfig:
    """The shipped configuration, pointed at another folder."""
    import dataclasses

    config = load_refine_config(CONFIGS / "paper" / "idgbr-whu.yaml")
    network = RefinerChoice("idgbr-paper", stable_diffusion=str(folder))
    return dataclasses.replace(config, network=network)


@pytest.fixture(scope="module")
def refiner(stable_diffusion: Path, teacher: Teacher) -> Refiner:
    return build_refiner(paper_config(stable_diffusion), teacher)


def test_every_part_starts_from_the_folder(refiner: Refiner, stable_diffusion: Path) -> None:
    unet, vae = stable_diffusion_parts()
    stored = unet.from_pretrained(stable_diffusion / "unet").state_dict()
    assert isinstance(refiner.denoiser, StableUNet)
    assert isinstance(refiner.conditions, PaperConditions)
    assert isinstance(refiner.codec, PseudoRgbCodec)
    own = refiner.denoiser.unet.state_dict()
    assert own.keys() == stored.keys()
    assert all(torch.equal(own[name], stored[name]) for name in stored)
    copy = refiner.conditions.encoder.unet.state_dict()
    assert all(torch.equal(copy[name], stored[name]) for name in copy)
    assert not any(name.startswith(("up_blocks", "conv_out")) for name in copy)
    coder = vae.from_pretrained(stable_diffusion / "vae").state_dict()
    assert torch.equal(refiner.codec.vae.state_dict()["encoder.conv_in.weight"],
                       coder["encoder.conv_in.weight"])  # fmt: skip
    assert refiner.denoiser.prompt.shape == (1, 77, 12)
    assert refiner.denoiser.prompt.abs().max() > 0


def test_the_cut_unet_equals_the_whole_one(refiner: Refiner) -> None:
    assert isinstance(refiner.denoiser, StableUNet)
    z_t, t = torch.randn(2, 4, 8, 8), torch.tensor([10, 900])
    with torch.no_grad():
        skips, embedding = refiner.denoiser.encode(z_t, t)
        whole = refiner.denoiser.unet(
            z_t, t, encoder_hidden_states=refiner.denoiser.prompt.expand(2, -1, -1)
        ).sample
        assert [each.shape[1] for each in skips] == refiner.denoiser.skip_channels
        torch.testing.assert_close(refiner.denoiser.decode(skips, embedding), whole)
    assert len(refiner.fusions) == 13


def test_a_step_of_the_paper_aligns_and_leaves_the_frozen_parts(
    refiner: Refiner, teacher: Teacher
) -> None:
    image, rough = torch.rand(1, 3, 64, 64) * 2 - 1, torch.randint(0, 2, (1, 64, 64))
    for part in refiner.frozen_parts():
        part.requires_grad_(False)
    guidance = refiner.guidance(image, rough)
    z0 = refiner.codec.encode(rough)
    assert z0.shape == (1, 4, 8, 8)
    eps = torch.randn_like(z0)
    found = refiner(refiner.mix(z0, torch.tensor([300]), eps), torch.tensor([300]), guidance)
    assert refiner.projector is not None
    tokens = teacher.tokens(image)
    assert tokens.shape == (1, 12, 5, 5)  # 64 px are 4.6 patches of 14 px
    loss = (found - eps).square().mean()
    (loss + 0.5 * alignment_loss(refiner.projector(guidance[-1].mixed), tokens)).backward()
    assert refiner.fusions[-1].mix_guidance.weight.grad.abs().max() > 0  # through the alignment
    assert refiner.fusions[0].last.weight.grad.abs().max() > 0
    assert all(each.grad is None for each in refiner.conditions.frozen.parameters())
    assert all(each.grad is None for each in refiner.codec.parameters())
    assert refiner.codec.decode(z0).shape == (1, 2, 64, 64)


def test_the_papers_network_is_saved_and_loaded(refiner: Refiner, tmp_path: Path) -> None:
    save_network(tmp_path / "x", refiner, fp16_weights(refiner))
    again = load_network(tmp_path / "x")
    state = again.state_dict()
    assert all(
        torch.equal(state[name], value.half().float() if value.is_floating_point() else value)
        for name, value in refiner.state_dict().items()
    )


def test_alignment_is_best_for_equal_directions() -> None:
    tokens = torch.randn(2, 6, 4, 4)
    assert float(alignment_loss(3 * tokens, tokens)) == pytest.approx(-1)
    assert float(alignment_loss(-tokens, tokens)) == pytest.approx(1)


def test_incomplete_folders_are_refused(stable_diffusion: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no readable config\.json"):
        build_refiner(paper_config(tmp_path), None)
    (tmp_path / "half").mkdir()
    for part in ("unet", "vae"):
        (tmp_path / "half" / part).symlink_to(stable_diffusion / part)
    with pytest.raises(CheckpointError, match="can't be loaded"):
        build_refiner(paper_config(tmp_path / "half"), None)
    with pytest.raises(CheckpointError, match="teacher"):
        Teacher(tmp_path / "none")
