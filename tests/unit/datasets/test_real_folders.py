"""The real sets that evaluation reads; left out where N2M_DATA is not set."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from drawn_rasters import BINARY, CHANGE

from n2m_core.checkpoints import ClassInfo
from n2m_core.datasets.opening import open_dataset


def data_root() -> Path:
    """The folder of real imagery, or leave the test out."""
    if not os.environ.get("N2M_DATA"):
        pytest.skip("N2M_DATA is not set: real imagery is left out")
    return Path(os.environ["N2M_DATA"])


def test_real_banepa_masks_are_half_buildings() -> None:
    root = data_root() / "buildings/banepa_demo"
    labels = [s.label for s in open_dataset("folder", root, task="segment", classes=BINARY)]
    assert len(labels) == 8
    assert np.mean(labels) == pytest.approx(0.499, abs=0.001)


def test_real_land_cover_colours_whatever_the_palette() -> None:
    colours = ("#3C1098", "#8429F6", "#6EC1E4", "#FEDD3A", "#E2A929")
    classes = [ClassInfo(name, "#000000", name) for name in colours]
    dataset = open_dataset(
        "folder", data_root() / "landcover", "val", task="segment", classes=classes
    )
    counts = sum(np.bincount(s.label.ravel(), minlength=256) for s in dataset)
    assert len(dataset) == 9
    assert counts[:5] / counts.sum() == pytest.approx([0.40, 0.29, 0.13, 0.07, 0.11], abs=0.005)
    assert counts[5:].sum() == 0


def test_real_wildfire_labels_are_binary_and_other_folders_ignored() -> None:
    root = data_root() / "change/wildfire"
    dataset = open_dataset("folder", root, "val", task="change", classes=CHANGE)
    assert len(dataset) == 12
    assert dataset.label_kind == "binary"
    sample = dataset[1]
    assert sample.after is not None
    assert sample.image.is_georeferenced
    assert set(np.unique(sample.label)) == {0, 1}


def test_real_landsat_labels_are_sparse(tmp_path: Path) -> None:
    source = data_root() / "change/landsat/taizhou"
    shutil.copytree(source, tmp_path / "taizhou")
    sample = open_dataset("landsat-change", tmp_path, task="change", classes=CHANGE)[0]
    counts = np.bincount(sample.label.ravel(), minlength=256)
    assert (counts[0], counts[1], counts[255]) == (17163, 4227, 138610)
