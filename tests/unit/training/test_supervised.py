from __future__ import annotations

import csv
import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from affine import Affine
from PIL import Image
from test_config import CONFIGS
from tiny_models import drawn_pair, drawn_scene, untrained_network

from n2m_core import checkpoints
from n2m_core.datasets.opening import open_dataset
from n2m_core.diffusion.noise import SCHEDULES
from n2m_core.errors import CheckpointError, ConfigError
from n2m_core.geo_image import GeoImage
from n2m_core.models.noise2map import Noise2Map
from n2m_core.normalize import Normalization, to_model_range
from n2m_core.raster_io import read_image, write_geotiff
from n2m_core.training.config import load_config
from n2m_core.training.loop import RunParams
from n2m_core.training.runner import train
from n2m_core.training.sources import TileSource, open_source
from n2m_core.training.supervised import Trainer, draw_timesteps, take_weights

TINY = {
    "block_out_channels": [16, 16],
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
    "in_channels": 16,
    "out_channels": 16,
    "attention_head_dim": 8,
    "norm_num_groups": 4,
}
SOURCE = {"name": "drawings", "licence": "CC0-1.0", "attribution": "nobody", "resolution_m": 0.5}


def write_town(root: Path) -> None:
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for seed in range(3):
        picture, truth = drawn_scene(seed, 96, 96)
        Image.fromarray(picture.transpose(1, 2, 0)).save(root / "images" / f"{seed}.png")
        Image.fromarray(truth * 255).save(root / "masks" / f"{seed}.png")


def write_config(tmp_path: Path, changes: dict[str, object] | None = None) -> Path:
    if not (tmp_path / "town").exists():
        write_town(tmp_path / "town")
    config = {
        "id": "tiny",
        "title": "Tiny",
        "task": "segment",
        "classes": [{"name": "ground", "color": "#cccccc"}, {"name": "roof", "color": "#d55e00"}],
        "resolution_m": 0.5,
        "license": "CC0-1.0",
        "limits": "drawings",
        "network": {"variant": "compact", "overrides": TINY},
        "noise": {"process": "gaussian", "timestep_power": 3.0},
        "data": {
            "crop_px": 48,
            "resolution_range_m": [0.4, 0.6],
            "sources": [{"kind": "folder", "root": str(tmp_path / "town"), **SOURCE}],
        },
        "optimizer": {
            "steps": 60,
            "batch_size": 4,
            "learning_rate": 1e-2,
            "warmup_steps": 5,
            "ema_decay": 0.8,
        },
        "loss": {"class_weights": [1.0, 1.0], "dice": 0.5},
        "validation": [
            {"name": "town", "dataset": "folder", "root": str(tmp_path / "town"), "every": 30}
        ],
        "seed": 3,
    }
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump({**config, **(changes or {})}), encoding="utf-8")
    return path


def test_a_run_learns_and_leaves_a_checkpoint_that_loads(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    summary = train(path, RunParams(tmp_path / "runs" / "tiny"), checkpoints=tmp_path / "out")
    assert (summary.steps, summary.finished) == (60, True)
    loaded = checkpoints.load("tiny", device="cpu", root=tmp_path / "out")
    record = loaded.card.training
    assert (record.steps, record.samples, record.data[0].tiles) == (60, 240, 3)
    assert loaded.card.gflop_per_tile > 0
    with (summary.checkpoint / "curve.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < 0.8 * losses[0]
    with (summary.checkpoint / "validation.csv").open() as file:
        scores = [float(row["town_f1"]) for row in csv.DictReader(file)]
    assert len(scores) == 2
    assert scores[-1] > 0.7


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_a_broken_and_resumed_run_equals_an_unbroken_one(tmp_path: Path, kind: str) -> None:
    steps = {"kind": kind, "steps": 6, "batch_size": 2, "warmup_steps": 1}
    config = load_config(write_config(tmp_path, {"optimizer": steps, "validation": []}))
    whole = Trainer(config, RunParams(tmp_path / "whole")).train()

    first = Trainer(config, RunParams(tmp_path / "broken"))
    for _ in range(3):
        first.one_step()
    first.save_state()
    second = Trainer(config, RunParams(tmp_path / "broken", resume=True)).train()
    assert second.steps == whole.steps == 6
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(second.model.state_dict()[name], value, msg=name)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_is_learned_with(tmp_path: Path, schedule: str) -> None:
    """Heun's x_t is up to 157 times the picture: the step must stay finite all the same."""
    noise = {"process": "gaussian", "schedule": schedule}
    config = load_config(write_config(tmp_path, {"noise": noise, "validation": []}))
    trainer = Trainer(config, RunParams(tmp_path / "run"))
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    assert np.isfinite([trainer.one_step() for _ in range(2)]).all()
    after = trainer.model.state_dict()
    assert all(bool(torch.isfinite(value).all()) for value in after.values())
    assert any(not torch.equal(value, before[name]) for name, value in after.items())


def test_a_run_stops_in_time_and_says_so(tmp_path: Path) -> None:
    path = write_config(tmp_path, {"validation": []})
    run = RunParams(tmp_path / "runs" / "tiny", max_minutes=0.0)
    summary = train(path, run, checkpoints=tmp_path / "out")
    assert summary.steps == 1
    assert not summary.finished
    assert (tmp_path / "runs" / "tiny" / "state.pt").exists()


def test_a_run_may_end_before_its_rate_does(tmp_path: Path) -> None:
    short = {"steps": 8, "stop_at": 3, "batch_size": 2, "warmup_steps": 1}
    path = write_config(tmp_path, {"validation": [], "optimizer": short})
    config = load_config(path)
    trainer = Trainer(config, RunParams(tmp_path / "run"))
    result = trainer.train()
    assert (result.steps, result.finished) == (3, True)
    last = config.optimizer.learning_rate * 0.5 * (1 + math.cos(math.pi * 2 / 8))
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(last)


def test_the_state_of_another_run_is_refused(tmp_path: Path) -> None:
    config = load_config(write_config(tmp_path, {"validation": []}))
    Trainer(config, RunParams(tmp_path / "run")).save_state()
    other = load_config(write_config(tmp_path, {"id": "other", "validation": []}))
    with pytest.raises(ConfigError, match="belongs to 'tiny'"):
        Trainer(other, RunParams(tmp_path / "run", resume=True)).train()


def test_pairs_are_made_from_single_dates(tmp_path: Path) -> None:
    write_town(tmp_path / "town")
    source = {"kind": "label_pairs", "root": str(tmp_path / "town"), **SOURCE}
    changes = {
        "task": "change",
        "classes": [{"name": n, "color": "#000000"} for n in ("same", "built", "demolished")],
        "loss": {"class_weights": [1.0, 1.0, 1.0]},
        "noise": {"process": "swap"},
        "data": {"crop_px": 48, "resolution_range_m": [0.4, 0.6], "sources": [source]},
        "validation": [],
    }
    trainer = Trainer(load_config(write_config(tmp_path, changes)), RunParams(tmp_path / "run"))
    images, labels = trainer.mixer.batch(24, np.random.default_rng(0))
    assert images.shape == (24, 6, 48, 48)
    assert images.min() >= -1
    assert images.max() <= 1
    assert set(labels.unique().tolist()) >= {0, 1, 2}


def test_change_folders_stack_both_dates(tmp_path: Path) -> None:
    root = tmp_path / "pairs"
    for folder in ("before", "after", "labels"):
        (root / folder).mkdir(parents=True)
    before, after, change = drawn_pair(0, 64, 64)
    Image.fromarray(before.transpose(1, 2, 0)).save(root / "before" / "a.png")
    Image.fromarray(after.transpose(1, 2, 0)).save(root / "after" / "a.png")
    Image.fromarray((change > 0).astype(np.uint8) * 255).save(root / "labels" / "a.png")
    changes = {
        "task": "change",
        "noise": {"process": "swap"},
        "data": {
            "crop_px": 32,
            "resolution_range_m": [0.5, 0.5],
            "sources": [{"kind": "folder", "root": str(root), **SOURCE}],
        },
        "validation": [],
    }
    trainer = Trainer(load_config(write_config(tmp_path, changes)), RunParams(tmp_path / "run"))
    (source,) = trainer.sources
    assert isinstance(source, TileSource)
    tile = source.tiles[0]
    np.testing.assert_array_equal(tile.image, np.concatenate([before, after]))
    np.testing.assert_array_equal(tile.label, change > 0)


def test_forest_is_learned_from_its_own_tiles(tmp_path: Path, data_root: Path) -> None:
    """The shipped configuration on the real tiles, two steps of a small network."""
    config = yaml.safe_load((CONFIGS / "n2m-forest.yaml").read_text(encoding="utf-8"))
    (wanted,) = config.pop("validation")
    config["network"]["overrides"] = TINY
    config["optimizer"] = {"kind": "muon", "steps": 2, "batch_size": 1}
    config["data"]["crop_px"] = 32
    path = tmp_path / "n2m-forest.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    summary = train(path, RunParams(tmp_path / "run"), checkpoints=tmp_path / "out")
    card = checkpoints.read_card("n2m-forest", root=tmp_path / "out")
    assert (summary.steps, card.resolution_m, card.training.data[0].tiles) == (2, 10.0, 15)
    held_out = open_dataset(
        wanted["dataset"], data_root / wanted["root"], task="segment", classes=card.classes
    )
    forest = sorted(float((sample.label == 1).mean()) for sample in held_out)
    assert forest == pytest.approx([0.285, 0.319, 0.435, 0.914], abs=0.001)


def written_tiff(path: Path, bands: int, rng: np.random.Generator) -> None:
    """A 16-bit image whose values fill a small part of the range, as a sensor's do."""
    pixels = rng.integers(300, 2300, (bands, 48, 48), dtype=np.uint16)
    valid = np.ones((48, 48), dtype=bool)
    names = tuple("rgbn"[:bands])
    write_geotiff(path, GeoImage(pixels, valid, None, Affine.identity(), names))


def test_other_depths_are_stretched_as_maps_are_made(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (tmp_path / "deep" / folder).mkdir(parents=True)
    written_tiff(tmp_path / "deep" / "images" / "a.tif", 4, rng)
    Image.fromarray(np.eye(48, dtype=np.uint8)).save(tmp_path / "deep" / "masks" / "a.png")
    for kind in ("folder", "images"):
        data = {
            "crop_px": 32,
            "resolution_range_m": [0.5, 0.5],
            "sources": [{"kind": kind, "root": str(tmp_path / "deep"), **SOURCE}],
        }
        changes = {"data": data, "validation": []}
        trainer = Trainer(load_config(write_config(tmp_path, changes)), RunParams(tmp_path / "run"))
        (source,) = trainer.sources
        assert isinstance(source, TileSource)
        (tile,) = source.tiles
        assert (tile.image.shape, tile.image.dtype) == ((3, 48, 48), np.uint8)
        assert np.percentile(tile.image, (2, 50, 98)) == pytest.approx((0, 127.5, 255), abs=6)


def test_pixels_without_data_look_as_they_do_when_maps_are_made(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / "gap" / folder).mkdir(parents=True)
    pixels = np.full((3, 48, 48), 200, np.uint8)
    pixels[:, :8] = 0
    image = GeoImage(pixels, pixels[0] > 0, None, Affine.identity(), ("r", "g", "b"))
    write_geotiff(tmp_path / "gap" / "images" / "a.tif", image, nodata=0)
    Image.fromarray(np.eye(48, dtype=np.uint8)).save(tmp_path / "gap" / "masks" / "a.png")
    read = read_image(tmp_path / "gap" / "images" / "a.tif")
    seen = to_model_range(read, Normalization())
    for kind in ("folder", "images"):
        source = {"kind": kind, "root": str(tmp_path / "gap"), **SOURCE}
        data = {"crop_px": 32, "resolution_range_m": [0.5, 0.5], "sources": [source]}
        config = load_config(write_config(tmp_path, {"data": data, "validation": []}))
        (found,) = Trainer(config, RunParams(tmp_path / "run")).sources
        assert isinstance(found, TileSource)
        np.testing.assert_allclose(found.tiles[0].image / 127.5 - 1, seen, atol=0.005)


def test_images_of_one_band_are_refused_or_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_town(tmp_path / "town")
    grey = tmp_path / "town" / "images" / "0.png"
    Image.open(grey).convert("L").save(grey)
    config = load_config(write_config(tmp_path, {"validation": []}))
    with pytest.raises(ConfigError, match="'0' of source 'drawings' has fewer than three bands"):
        Trainer(config, RunParams(tmp_path / "run"))
    (own,) = config.data.sources
    source = open_source(
        dataclasses.replace(own, kind="images", root=str(grey.parent)),
        "segment", config.classes, tmp_path / "cache",
    )  # fmt: skip
    assert source.credit.tiles == 2
    assert "1 image(s) with fewer than three bands are left out, 0 the first" in caplog.text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"kind": "folder", "only": ["none"]}, "has no tiles"),
        ({"kind": "scenes"}, "give its count"),
        ({"kind": "scene_pairs", "count": 1}, "gives 3 classes; the checkpoint has 2"),
    ],
)
def test_sources_that_give_nothing_useful_are_refused(
    tmp_path: Path, source: dict[str, object], message: str
) -> None:
    data = {
        "crop_px": 32,
        "resolution_range_m": [0.4, 0.6],
        "sources": [{"root": str(tmp_path / "town"), **SOURCE, **source}],
    }
    config = load_config(write_config(tmp_path, {"data": data}))
    with pytest.raises(ConfigError, match=message):
        Trainer(config, RunParams(tmp_path / "run"))


def test_a_share_of_the_labels_is_chosen_by_the_seed(tmp_path: Path) -> None:
    path = write_config(tmp_path, {"validation": []})

    def kept(share: float, seed: int) -> list[int]:
        config = dataclasses.replace(load_config(path), label_share=share, seed=seed)
        every = Trainer(load_config(path), RunParams(tmp_path / "run")).sources[0].tiles
        (source,) = Trainer(config, RunParams(tmp_path / "run")).sources
        found = [
            next(i for i, tile in enumerate(every) if np.array_equal(tile.image, each.image))
            for each in source.tiles
        ]
        assert source.credit.tiles == len(found)
        return found

    assert kept(1.0, 1) == [0, 1, 2]
    assert len(kept(0.01, 1)) == 1
    assert len(kept(0.6, 1)) == 2
    assert set(kept(0.01, 1)) < set(kept(0.6, 1))
    assert kept(0.6, 1) == kept(0.6, 1)
    assert len({tuple(kept(0.01, seed)) for seed in range(6)}) > 1


@pytest.mark.parametrize("share", [0.0, 1.1])
def test_a_share_of_the_labels_has_its_range(tmp_path: Path, share: float) -> None:
    with pytest.raises(ConfigError, match="more than 0 and up to 1"):
        load_config(write_config(tmp_path, {"label_share": share}))


def test_timesteps_are_drawn_by_their_power() -> None:
    generator = torch.Generator().manual_seed(0)
    even = draw_timesteps(20_000, 1.0, generator)
    assert even.float().mean().item() == pytest.approx(499.5, abs=8)
    assert (even.min(), even.max()) == (0, 999)
    clean = draw_timesteps(20_000, 3.0, generator)
    assert clean.float().median().item() == pytest.approx(1000 * 0.5**3, abs=6)
    near = draw_timesteps(20_000, 1.0, generator, reach=0.25)
    assert near.max() == 249


def test_noise_and_new_colours_are_eased_in(tmp_path: Path) -> None:
    steps = {"steps": 8, "batch_size": 2, "ease_in_steps": 8}
    path = write_config(tmp_path, {"optimizer": steps, "validation": []})
    trainer = Trainer(load_config(path), RunParams(tmp_path / "run"))
    seen: list[torch.Tensor] = []
    trainer.model.register_forward_pre_hook(lambda _, args: seen.append(args[1]))
    trainer.train()
    latest = [int(t.max()) for t in seen]
    assert latest[0] == 0
    assert all(t < 1000 * step / 8 for step, t in enumerate(latest[1:], start=1))
    assert max(latest) > 0
    chances = trainer.config.augment.eased(0.5)
    assert (chances.color, chances.rotate) == (0.3, 0.3)


def test_a_pair_network_starts_from_single_date_weights() -> None:
    single, pair = untrained_network("segment", 2), untrained_network("change", 2)
    taken, of = take_weights(pair, single)
    assert taken == of
    kernel = single.stem.get_parameter("to_half.weight")
    both = pair.stem.get_parameter("to_half.weight")
    torch.testing.assert_close(both, torch.cat([-kernel, kernel], 1))


def test_buildings_become_buildings_that_came_and_went() -> None:
    single = untrained_network("segment", 2)
    shared = dataclasses.replace(single.config, in_channels=6, classes=3, shares_dates=True)
    pair = Noise2Map(shared).eval()
    taken, of = take_weights(pair, single)
    own = len(pair.meetings.state_dict()) + 1  # nor has the bias of the classes a counterpart
    assert taken == of - own
    dates = torch.randn(2, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    t = torch.zeros(1, dtype=torch.int64)
    with torch.no_grad():
        before, after = (logits[:, 1] - logits[:, 0] for logits in (single(d, t) for d in dates))
        bias = pair.head.get_submodule("logits").get_parameter("bias")
        logits = pair(torch.cat([*dates], dim=1), t) - bias.view(1, 3, 1, 1)
    gone = before - after
    wanted = torch.stack([torch.zeros_like(gone), -gone, gone], dim=1)
    torch.testing.assert_close(logits, wanted, atol=1e-4, rtol=1e-4)


def test_weights_that_fit_nowhere_are_refused() -> None:
    other = untrained_network("segment", 2)
    empty = torch.nn.Linear(1, 1)
    with pytest.raises(CheckpointError, match="fit this network nowhere"):
        take_weights(other, empty)  # type: ignore[arg-type]
