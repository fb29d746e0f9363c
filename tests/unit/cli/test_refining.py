from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_runs import Command
from PIL import Image
from rasters import RasterFactory
from tiny_models import drawn_scene, save_tiny, segmenter
from tiny_refiners import save_refiner, tiny_refiner

from n2m_core.raster_io import read_image, read_labels


@pytest.fixture(scope="module")
def checkpoints_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    save_tiny(folder, segmenter())
    save_refiner(folder, tiny_refiner(window_px=128))
    return folder


@pytest.fixture
def rough(write_raster: RasterFactory) -> Path:
    labels = np.roll(drawn_scene(31, 120, 150)[1], 3, axis=1)
    return write_raster(labels[None], "rough.tif")


def test_a_rough_map_is_refined_on_the_images_grid(
    n2m: Command, tile: Path, mask: Path, rough: Path, tmp_path: Path
) -> None:
    words = (
        "refine",
        tile,
        rough,
        "--checkpoint",
        "tiny-refiner",
        "--steps",
        "2",
        "--samples",
        "2",
    )
    outputs = {"--out": "map.tif", "--uncertainty": "u.tif", "--vector": "v.geojson"}
    named = [word for option, name in outputs.items() for word in (option, tmp_path / name)]
    said = n2m(*words, *named, "--truth", mask, "--k", "0.5", "--json")
    assert said.code == 0, said.err
    facts = said.json
    assert (facts["task"], facts["steps"], facts["guidance"], facts["samples"]) == (
        "refine", 2, 2.0, 2,
    )  # fmt: skip
    written, image = read_labels(tmp_path / "map.tif"), read_image(tile)
    assert written.transform == image.transform
    assert [row["pixels"] for row in facts["classes"]] == [
        int((written.pixels[0] == index).sum()) for index in range(2)
    ]
    repair, truth = facts["repair"], read_labels(mask).pixels[0] > 0
    before, after = read_labels(rough).pixels[0] == 1, written.pixels[0] == 1
    assert repair["kept"] == int((truth & before & after).sum())
    assert repair["invented"] == int((~truth & ~before & after).sum())
    assert repair["k"] == 0.5
    spread = read_image(tmp_path / "u.tif").pixels[0]
    assert set(np.unique(spread)) <= {0.0, 0.5}
    assert (tmp_path / "v.geojson").exists()


def test_mistakes_are_told_in_one_sentence(
    n2m: Command, tile: Path, rough: Path, tmp_path: Path
) -> None:
    out = ("--out", tmp_path / "map.tif")
    said = n2m("refine", tile, rough, "--checkpoint", "tiny-buildings", *out)
    assert (said.code, said.out) == (1, "")
    assert "is for segment and takes one image not for refine" in said.err
    said = n2m("refine", tile, tile, "--checkpoint", "tiny-refiner", *out)
    assert said.code == 1
    assert "a picture, not a map of classes" in said.err
    said = n2m("refine", tile, rough, "--checkpoint", "tiny-refiner", "--out", rough)
    assert said.code == 1
    assert "is an input as well" in said.err
    options = ("--uncertainty", tmp_path / "u.tif")
    said = n2m("refine", tile, rough, "--checkpoint", "tiny-refiner", *out, *options)
    assert said.code == 2
    assert not (tmp_path / "map.tif").exists()


def test_a_refiner_is_scored_on_a_models_maps_and_on_a_folder_of_them(
    n2m: Command, tmp_path: Path
) -> None:
    for folder in ("images", "masks", "rough"):
        (tmp_path / "tiles" / folder).mkdir(parents=True)
    for seed in (1, 2):
        picture, truth = drawn_scene(seed, 64, 64)
        Image.fromarray(picture.transpose(1, 2, 0)).save(tmp_path / f"tiles/images/{seed}.png")
        Image.fromarray(truth * 255).save(tmp_path / f"tiles/masks/{seed}.png")
        Image.fromarray(np.roll(truth, 2, 0) * 255).save(tmp_path / f"tiles/rough/{seed}.png")
    words = ("evaluate", "refine", "--checkpoint", "tiny-refiner", "--steps", "1")
    where = ("--dataset", "folder", "--root", tmp_path / "tiles", "--resolution", "0.5")
    said = n2m(*words, *where, "--rough", tmp_path / "tiles" / "rough", "--json")
    assert said.code == 0, said.err
    report = said.json
    assert (report["task"], report["tiles"], report["steps"]) == ("refine", 2, 1)
    assert 0.5 < report["rough"]["target"]["f1"] < 1
    assert report["refined"]["target"]["f1"] == report["target"]["f1"]
    counts = ("kept", "repaired", "missed", "broken", "invented", "iou_imp", "k")
    assert set(counts) <= report["repair"].keys()
    said = n2m(*words, *where, "--rough", "tiny-buildings")
    assert said.code == 0, said.err
    assert "rough" in said.out
    assert "repair:" in said.out
    (tmp_path / "tiles" / "rough" / "2.png").unlink()
    said = n2m(*words, *where, "--rough", tmp_path / "tiles" / "rough")
    assert said.code == 1
    assert "rough/ has no rough map of 2" in said.err


def test_rough_maps_that_the_dataset_brings_need_no_name(n2m: Command, tmp_path: Path) -> None:
    lines, roots = [], [tmp_path / name for name in ("images", "masks", "rough")]
    for folder in roots:
        folder.mkdir()
    for seed in (1, 2):
        picture, truth = drawn_scene(seed, 64, 64)
        drawn = (picture.transpose(1, 2, 0), truth * 255, np.roll(truth, 2, 0) * 255)
        for folder, pixels in zip(roots, drawn, strict=True):
            Image.fromarray(pixels).save(folder / f"{seed}.png")
        names = {"image": "images", "label": "masks", "rough": "rough"}
        lines.append(json.dumps({key: f"{name}/{seed}.png" for key, name in names.items()}))
    (tmp_path / "test.jsonl").write_text("\n".join(lines))
    words = ("evaluate", "refine", "--checkpoint", "tiny-refiner", "--steps", "1", "--root")
    where = (tmp_path, "--resolution", "0.5", "--json")
    said = n2m(*words, *where, "--dataset", "idgbr-jsonl")
    assert said.code == 0, said.err
    named = n2m(*words, *where, "--dataset", "idgbr-jsonl", "--rough", tmp_path / "rough")
    assert said.json["rough"] == named.json["rough"]
    assert 0.5 < said.json["rough"]["target"]["f1"] < 1
    said = n2m(*words, *where, "--dataset", "folder")
    assert said.code == 1
    assert "1: The dataset brings no rough map of this image" in said.err
    assert "--rough" in said.err


def test_a_models_maps_at_another_timestep(n2m: Command, tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    picture, truth = drawn_scene(1, 64, 64)
    Image.fromarray(picture.transpose(1, 2, 0)).save(tmp_path / "images" / "1.png")
    Image.fromarray(truth * 255).save(tmp_path / "masks" / "1.png")
    words = ("evaluate", "refine", "--checkpoint", "tiny-refiner", "--steps", "1", "--json")
    where = ("--root", tmp_path, "--resolution", "0.5", "--rough")
    clean, noisy = (n2m(*words, *where, name) for name in ("tiny-buildings", "tiny-buildings@900"))
    assert clean.json["rough"]["target"]["iou"] > noisy.json["rough"]["target"]["iou"]
    said = n2m(*words, *where, "tiny-buildings@late")
    assert said.code == 1
    assert "names no timestep behind @" in said.err
