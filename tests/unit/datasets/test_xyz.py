from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from n2m_core.checkpoints import ClassInfo
from n2m_core.datasets.opening import open_dataset
from n2m_core.datasets.xyz import TileName, XyzTiles, parse_name
from n2m_core.errors import DatasetError

CLASSES = (ClassInfo("background", "#000000"), ClassInfo("building", "#ffffff"))


def write_tile(root: Path, name: str, value: int, mask: int) -> None:
    for folder in ("images", "masks"):
        (root / folder).mkdir(exist_ok=True)
    Image.new("RGB", (256, 256), (value, value, value)).save(root / "images" / f"{name}.png")
    Image.new("L", (256, 256), mask).save(root / "masks" / f"{name}.png")


@pytest.fixture
def quarter_town(tmp_path: Path) -> Path:
    """Three of the four zoom 20 tiles below tile 5, 7 of zoom 19, and a zoom 19 tile beside."""
    write_tile(tmp_path, "OAM-10-14-20", 10, 0)
    write_tile(tmp_path, "OAM-11-14-20", 20, 255)
    write_tile(tmp_path, "OAM-11-15-20", 30, 0)
    write_tile(tmp_path, "OAM-5-7-19", 99, 0)
    return tmp_path


def test_tiles_are_joined_in_their_places(quarter_town: Path) -> None:
    tiles = XyzTiles(quarter_town, CLASSES)
    assert (len(tiles), tiles.names) == (1, ["5-7-19"])
    sample = tiles[0]
    assert sample.image.pixels.shape == (3, 512, 512)
    corners = sample.image.pixels[0, ::511, ::511]
    np.testing.assert_array_equal(corners, [[10, 20], [0, 30]])
    np.testing.assert_array_equal(sample.label[::511, ::511], [[0, 1], [255, 0]])
    np.testing.assert_array_equal(sample.image.valid[::511, ::511], [[True, True], [False, True]])


def test_a_zoom_can_be_chosen(quarter_town: Path) -> None:
    sample = XyzTiles(quarter_town, CLASSES, zoom=19)[0]
    assert sample.image.pixels.shape == (3, 256, 256)
    assert sample.image.pixels[0, 0, 0] == 99


def test_joined_tiles_lie_where_their_name_says() -> None:
    world = TileName(0, 0, 0)
    assert tuple(world.transform(256) @ (128, 128)) == pytest.approx((0, 0))
    assert world.transform(256).a == pytest.approx(156543.034, abs=1e-3)
    # Kathmandu: 27.7 degrees north, 85.3 degrees east
    tile = TileName(386367, 220514, 19)
    assert tile.resolution_m(256) == pytest.approx(0.2986 * np.cos(np.radians(27.7)), abs=1e-3)


def test_names_are_read() -> None:
    assert parse_name("OAM-319292-270960-19") == TileName(319292, 270960, 19)
    assert parse_name("train_36_0512") is None
    assert TileName(11, 15, 20).parent(19) == TileName(5, 7, 19)
    assert TileName(3, 3, 18).parent(19) == TileName(3, 3, 18)


def test_a_folder_of_other_names_is_refused(tmp_path: Path) -> None:
    write_tile(tmp_path, "austin2", 1, 0)
    with pytest.raises(DatasetError, match="no tiles named"):
        XyzTiles(tmp_path, CLASSES)


def test_it_opens_by_its_name_for_segmentation_alone(quarter_town: Path) -> None:
    assert len(open_dataset("xyz", quarter_town, task="segment", classes=CLASSES)) == 1
    with pytest.raises(DatasetError, match="segmentation only"):
        open_dataset("xyz", quarter_town, task="change", classes=CLASSES)
