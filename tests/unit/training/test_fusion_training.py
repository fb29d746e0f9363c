"""Training of fusion networks: losses by hand, a run that learns, one that is resumed."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from rasters import UTM
from tiny_fusion import TINY, random_images
from torch import Tensor

from n2m_core import checkpoints
from n2m_core.diffusion.residual import ResidualSampling, sample_residual
from n2m_core.errors import BandError, ConfigError
from n2m_core.fusion.learned import FusionParams, open_sastf
from n2m_core.geo_image import GeoImage
from n2m_core.models.fusion_network import Condition, temporal_guess
from n2m_core.models.network import NetworkConfig
from n2m_core.models.noise2map import Noise2Map
from n2m_core.raster_io import write_geotiff
from n2m_core.training.fuse import FusionBatch, FusionTrainer
from n2m_core.training.fuse_config import load_fuse_config
from n2m_core.training.fuse_runner import train_fusion
from n2m_core.training.loop import RunParams
from n2m_core.training.perceptual import PerceptualLoss

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
SOURCE = {"name": "fields", "licence": "CC0-1.0", "attribution": "nobody"}
STEPS = 60
OPTIMIZER: dict[str, Any] = {
    "steps": STEPS,
    "batch_size": 4,
    "learning_rate": 1e-2,
    "ema_decay": 0.8,
    "warmup_steps": 5,
}
STUDY = {path.stem: load_fuse_config(path) for path in sorted((CONFIGS / "sastf").glob("*.yaml"))}


def write_series(root: Path) -> None:
    """Fields of three kinds whose brightness changes at their own pace, over four dates."""
    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    fields = np.kron(rng.integers(0, 3, (12, 12)), np.ones((4, 4), int))
    base, rate = rng.uniform(10, 40, (4, 3)), rng.uniform(-3, 12, (4, 3))
    for date, grown in enumerate((0.0, 1.5, 2.0, 3.0)):
        pixels = np.rint((base + rate * grown)[:, fields]).astype(np.uint8)
        names = ("blue", "green", "red", "nir")
        image = GeoImage(pixels, np.ones((48, 48), bool), "EPSG:32633", UTM, names, 0.5)
        write_geotiff(root / f"{date}.tif", image)


def written(tmp_path: Path, changes: dict[str, Any] | None = None) -> Path:
    if not (tmp_path / "fields").exists():
        write_series(tmp_path / "fields")
    source = {
        "kind": "series",
        "root": str(tmp_path / "fields"),
        "bands": ["blue", "green", "red", "nir"],
        "gain": 0.01,
        **SOURCE,
    }
    config: dict[str, Any] = {
        "id": "tiny-fusion",
        "title": "Tiny",
        "task": "fuse",
        "resolution_m": 0.5,
        "license": "CC0-1.0",
        "limits": "drawings",
        "network": {"design": "sa-stf", **TINY, "multipliers": [1, 2], "guess": "temporal"},
        "diffusion": {"steps": 20, "noise_scale": 0.05, "one_pass_share": 0.5},
        "data": {
            "crop_px": 16,
            "scales": [4],
            "band_dropout": 0.2,
            "band_shuffle": 0.0,
            "sources": [source],
        },
        "loss": {"features_from": None},
        "optimizer": OPTIMIZER,
        "inference": {"steps": 3, "window_px": 32},
        "validation": {"every": STEPS // 3, "count": 4, "sources": [source]},
        "seed": 3,
    }
    path = tmp_path / "tiny-fusion.yaml"
    path.write_text(yaml.safe_dump({**config, **(changes or {})}), encoding="utf-8")
    return path


def trainer(tmp_path: Path, changes: dict[str, Any] | None = None) -> FusionTrainer:
    config = load_fuse_config(written(tmp_path, changes))
    return FusionTrainer(config, RunParams(tmp_path / "run"))


def test_a_run_learns_and_leaves_a_method(tmp_path: Path) -> None:
    """Without its guess the network has to find out how the images hang together."""
    changes = {
        "network": {"design": "sa-stf", **TINY, "multipliers": [1, 2], "width": 16},
        "optimizer": {**OPTIMIZER, "kind": "muon"},
    }
    path, out = written(tmp_path, changes), tmp_path / "out"
    summary = train_fusion(path, RunParams(tmp_path / "run"), checkpoints=out)
    assert (summary.steps, summary.finished) == (STEPS, True)
    with (summary.checkpoint / "validation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [STEPS // 3, 2 * STEPS // 3, STEPS]
    for way in ("one_pass_rmse", "sampled_rmse"):
        scores = [float(row[way]) for row in rows]
        assert scores[-1] < 0.65 * scores[0]
    assert 0 < float(rows[0]["guess_rmse"]) == float(rows[-1]["guess_rmse"]) < 0.01

    method = open_sastf("tiny-fusion", FusionParams(steps=2), device="cpu", root=out)
    card = method.loaded.card
    assert (card.steps, card.scales, card.has_one_pass) == (3, (4, 4), True)
    assert card.training.data[0].tiles == 4
    assert card.training.samples == 4 * STEPS
    assert card.parameters == sum(p.numel() for p in method.loaded.model.parameters())
    assert -1 < card.image_statistics.mean[0] < 0
    assert card.image_statistics.std[4] == 0.0  # a slot that no image fills


def test_a_broken_and_resumed_run_equals_an_unbroken_one(tmp_path: Path) -> None:
    changes = {"optimizer": {"steps": 4, "batch_size": 2}, "validation": None}
    config = load_fuse_config(written(tmp_path, changes))
    whole = FusionTrainer(config, RunParams(tmp_path / "whole")).train().model
    first = FusionTrainer(config, RunParams(tmp_path / "parts", max_minutes=0.0))
    assert not first.train().finished
    second = FusionTrainer(config, RunParams(tmp_path / "parts", resume=True))
    parts = second.train().model
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_image_loss_is_the_mean_error_of_what_counts(tmp_path: Path) -> None:
    learner = trainer(tmp_path)
    images = random_images(slots=6)
    truth, counts = images.coarse1, torch.zeros(1, 6, 16, 16)
    counts[:, :2, :8] = 1
    found = truth + torch.tensor([0.1, 0.3, 5, 5, 5, 5]).view(1, 6, 1, 1)
    found[:, :, 8:] = 9.0
    condition = Condition((), truth, truth, images.present)
    batch = FusionBatch(images, truth, counts)
    assert float(learner._compared(found, batch, condition)) == pytest.approx(0.2, abs=1e-6)


def test_alignment_joins_in_over_the_first_half(tmp_path: Path) -> None:
    learner = trainer(tmp_path, {"loss": {"features_from": None, "alignment": 2.0}})
    weights = []
    for step in (0, STEPS // 4, STEPS // 2, STEPS):
        learner.step = step
        weights.append(learner._alignment_weight())
    assert weights == pytest.approx([0.0, 1.0, 2.0, 2.0])
    images = random_images(slots=6)
    truth = images.coarse1
    off = (truth + 1.0, truth - 2.0)  # squares 1 and 4, halved and weighed: 2 * 0.5 * 5
    condition = Condition((), truth, truth, images.present, predicted=off)
    batch = FusionBatch(images, truth, torch.ones_like(truth))
    assert float(learner._compared(truth, batch, condition)) == pytest.approx(5.0, rel=1e-5)


def test_the_own_prediction_is_where_a_walk_of_one_step_ends(tmp_path: Path) -> None:
    learner = trainer(tmp_path)
    with (
        torch.no_grad()
    ):  # the last convolution starts at zero, and the walk would end at the guess
        learner.model.decoder.exit[-1].weight.normal_(std=0.1)  # type: ignore[union-attr, operator]
    batch = learner.mixer.batch(2, learner.rng)
    condition = learner.model.condition(batch.images)
    end = batch.images.coarse1
    state = learner.generator.get_state()
    own = learner._own(batch, condition, end)
    assert not own.requires_grad
    eps = torch.randn(end.shape, generator=torch.Generator().set_state(state))
    walked = sample_residual(
        lambda x, levels: learner.model.denoise(x, levels, condition),
        end,
        learner.schedule,
        lambda _: eps,
        sampling=ResidualSampling(1),
        estimate=temporal_guess(batch.images),
    )
    torch.testing.assert_close(own, walked)
    assert not torch.allclose(own, batch.truth, atol=1e-3)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_x_is_mixed_from_the_truth_or_from_the_own_prediction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    """With one step and no noise x tells what it was mixed from."""
    learner = trainer(
        tmp_path, {"diffusion": {"steps": 20, "noise_scale": 0.0, "own_share": share}}
    )
    batch = learner.mixer.batch(2, learner.rng)
    condition = learner.model.condition(batch.images)
    seen: list[Tensor] = []
    denoise = learner.model.denoise

    def watched(x: Tensor, levels: Tensor, given: Condition) -> Tensor:
        seen.append(x)
        return denoise(x, levels, given)

    monkeypatch.setattr(learner.model, "denoise", watched)
    own = learner._own(batch, condition, batch.images.coarse1)
    seen.clear()
    learner._denoised(batch, condition, 1 / 20)  # so little strength leaves the first step alone
    source = own if share else batch.truth
    expected = learner.schedule.mix(
        source, batch.images.coarse1, torch.zeros(2, dtype=torch.int64), torch.zeros_like(source)
    )
    assert len(seen) == 1 + int(share)
    torch.testing.assert_close(seen[-1], expected)


@pytest.mark.parametrize("design", ["one pass", "stfdiff", "adamw on the residual alone"])
def test_variants_train(tmp_path: Path, design: str) -> None:
    network: dict[str, Any] = {"design": "sa-stf", **TINY, "multipliers": [1, 2]}
    changes: dict[str, Any] = {"optimizer": {"steps": 1, "batch_size": 2, "kind": "muon"}}
    diffusion: dict[str, Any] = {"steps": 20}
    inference: dict[str, Any] = {"steps": 3, "window_px": 32}
    if design == "one pass":
        network["has_diffusion"], inference["is_one_pass"] = False, True
    elif design == "stfdiff":
        network["design"] = "stfdiff"
        diffusion |= {"schedule": "cosine", "endpoint": "zero"}
    else:
        network |= {"has_taylor": False, "has_tfa": False, "has_saf": False}
        changes["optimizer"]["kind"] = "adamw"
    changes |= {"network": network, "diffusion": diffusion, "inference": inference}
    out = tmp_path / "out"
    train_fusion(
        written(tmp_path, {**changes, "validation": None}),
        RunParams(tmp_path / "run"),
        checkpoints=out,
    )
    method = open_sastf("tiny-fusion", device="cpu", root=out)
    assert method.is_one_pass == (design == "one pass")
    assert method.name == network["design"]


def perceptual() -> PerceptualLoss:
    overrides = {
        "block_out_channels": [8, 8, 16],
        "down_block_types": ["DownBlock2D"] * 3,
        "up_block_types": ["UpBlock2D"] * 3,
        "in_channels": 8,
        "out_channels": 8,
        "layers_per_block": 1,
        "attention_head_dim": 8,
        "norm_num_groups": 4,
    }
    torch.manual_seed(0)
    return PerceptualLoss(Noise2Map(NetworkConfig("compact", 3, 2, overrides=overrides)))


def test_the_perceptual_loss_sees_the_filled_bands_through_a_frozen_network() -> None:
    loss = perceptual()
    images = random_images(size=32, slots=2)
    truth, present = images.fine0, torch.tensor([[1.0, 0.0]])
    assert float(loss(truth, truth, present)) == 0.0
    empty: Tensor = truth + torch.tensor([0.0, 3.0]).view(1, 2, 1, 1)
    assert float(loss(empty, truth, present)) == 0.0
    found = (truth + 0.1 * images.fine2).requires_grad_()
    near = loss(found, truth, present)
    far = loss(truth + 0.5 * images.fine2, truth, present)
    assert 0 < float(near.detach()) < float(far)
    near.backward()
    assert found.grad is not None and bool(found.grad[:, 0].any())
    assert not any(p.requires_grad for p in loss.parameters())


def test_shallow_features_are_those_of_the_whole_way_down() -> None:
    backbone = perceptual().network.backbone
    x, t = torch.randn(1, 8, 16, 16), torch.zeros(1, dtype=torch.int64)
    skips, _ = backbone.encode(x, t)
    # conv_in; level 1, its half; level 2, its half; level 3; middle
    for found, number in zip(backbone.shallow(x, t, 3), (1, 3, 5), strict=True):
        assert torch.equal(found, skips[number])


def test_the_perceptual_loss_needs_a_network_for_single_images() -> None:
    shipped = [card.id for card in checkpoints.list_cards() if card.task == "segment"]
    loss = PerceptualLoss.from_checkpoint(shipped[0])
    truth = random_images(size=32, slots=6).fine0
    assert float(loss(truth, truth, torch.ones(1, 6))) == 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"crop_px": 18, "sources": []}}, "crop_px is 18; a multiple of 4"),
        ({"inference": {"steps": 21, "window_px": 32}}, "1 to 20 wanted"),
        ({"inference": {"steps": 3, "window_px": 32, "is_one_pass": True}}, "one_pass_share"),
        ({"network": {"design": "sa-stf", **TINY, "has_diffusion": False}}, "is_one_pass to true"),
        ({"network": {"design": "stfdiff", **TINY}}, "leave one_pass_share at 0"),
        ({"inference": {"steps": 3, "window_px": 32}}, "own_share is 1.5; a chance"),
        ({"network": {"design": "sa-stf", **TINY, "slots": 4}}, "there are 6 kinds"),
        ({"data": {"crop_px": 16, "scales": [1], "sources": []}}, "each must be 2 or more"),
        (
            {"data": {"crop_px": 16, "sources": [{"kind": "farmland", **SOURCE}]}},
            "give its count",
        ),
        (
            {"data": {"crop_px": 16, "sources": [{"kind": "farmland", "count": 1, "size_px": 40,
                                                  **SOURCE}]}},
            "a multiple of the scales",
        ),
        (
            {"data": {"crop_px": 16, "sensor": {"fwhm": [2, 1]}, "sources": []}},
            "give .smallest, largest",
        ),
    ],
)  # fmt: skip
def test_contradictions_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    changes = dict(changes)
    if "network" in changes:
        changes["network"] = {**changes["network"], "multipliers": [1, 2]}
    else:
        changes["diffusion"] = {"steps": 20, "one_pass_share": 0.0}
    changes["validation"] = None
    if "own_share" in message:
        changes["diffusion"] = {"steps": 20, "one_pass_share": 0.5, "own_share": 1.5}
    if message == "leave one_pass_share at 0":
        changes["diffusion"] = {"steps": 20, "one_pass_share": 0.5}
    with pytest.raises(ConfigError, match=message):
        load_fuse_config(written(tmp_path, changes))


def test_a_band_without_a_slot_is_named(tmp_path: Path) -> None:
    source = {"kind": "series", "bands": ["thermal"], **SOURCE}
    with pytest.raises(BandError, match="each must be one of blue"):
        load_fuse_config(
            written(tmp_path, {"data": {"crop_px": 16, "sources": [source]}, "validation": None})
        )


def test_another_seed_is_another_run(tmp_path: Path) -> None:
    config = load_fuse_config(written(tmp_path), seed=8)
    assert (config.id, config.seed) == ("tiny-fusion-seed8", 8)
    assert dataclasses.replace(config, id="tiny-fusion", seed=3) == load_fuse_config(
        written(tmp_path)
    )


@pytest.mark.parametrize("name", STUDY)
def test_the_ablation_differs_in_network_and_diffusion_alone(name: str) -> None:
    config, full = STUDY[name], STUDY["sastf-full"]
    for field in ("data", "optimizer", "loss", "validation", "resolution_m", "seed"):
        assert getattr(config, field) == getattr(full, field), field
    assert (config.inference.steps, config.inference.window_px) == (5, 288)
    if name.startswith("sastf"):
        switches: dict[str, Any] = dict.fromkeys(
            ("has_diffusion", "has_taylor", "has_tfa", "has_saf"), True
        )
        assert dataclasses.replace(config.network, **switches) == full.network
        assert config.diffusion == full.diffusion


def test_the_ablation_is_the_papers() -> None:
    parts = {
        name: (config.network.has_diffusion, config.network.has_taylor, config.network.has_tfa,
               config.network.has_saf)
        for name, config in STUDY.items()
        if name.startswith("sastf")
    }  # fmt: skip
    assert parts == {
        "sastf-residual": (True, False, False, False),
        "sastf-taylor": (True, True, False, False),
        "sastf-taylor-tfa": (True, True, True, False),
        "sastf-taylor-saf": (True, True, False, True),
        "sastf-full": (True, True, True, True),
        "sastf-one-pass": (False, True, True, True),
    }
    shipped = load_fuse_config(CONFIGS / "sastf-farmland.yaml")
    assert shipped.network == STUDY["sastf-full"].network
    assert shipped.data.sources[1:] == STUDY["sastf-full"].data.sources[1:]


def test_validation_scenes_are_others_than_those_of_training() -> None:
    config = load_fuse_config(CONFIGS / "sastf-farmland.yaml")
    assert config.validation is not None
    drawn = [
        set(range(each.first_seed, each.first_seed + each.count))
        for each in (*config.data.sources, *config.validation.sources)
        if each.kind == "farmland"
    ]
    assert len(drawn) == 2 and not drawn[0] & drawn[1]
