"""Triplets: plain folders, the published sets' layouts, the real set, degraded images."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from rasters import ImageFactory

from n2m_core.datasets import fusion_sets
from n2m_core.datasets.fusion_sets import AHB, CIA, LGC, Crop, PublishedSet
from n2m_core.datasets.triplets import (
    ROLES,
    degraded,
    farmland_triplet,
    folder_triplets,
    write_farmland,
    write_triplet,
)
from n2m_core.errors import BandError, DatasetError
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import write_geotiff
from n2m_core.scenes.farmland import FarmlandParams
from n2m_core.scenes.farmland_sensor import CoarseSensor

PARAMS = FarmlandParams(1_000_001, size=64, scale=16, bands=4)


# Plain folders


def test_farmland_goes_through_a_folder_unchanged(tmp_path: Path) -> None:
    write_farmland(tmp_path, 2, PARAMS)
    found = folder_triplets(tmp_path)
    assert [each.name for each in found] == ["farmland_1000001", "farmland_1000002"]
    drawn, read = farmland_triplet(PARAMS), found[0]
    assert (read.dates, read.scale) == (drawn.dates, 16)
    for one, two in zip((*drawn.fine, *drawn.coarse), (*read.fine, *read.coarse), strict=True):
        np.testing.assert_array_equal(one.pixels, two.pixels)
        assert (one.crs, one.transform, one.band_names) == (two.crs, two.transform, two.band_names)


def test_a_folder_can_be_one_triplet_and_lacks_are_named(tmp_path: Path) -> None:
    write_triplet(tmp_path, farmland_triplet(PARAMS))
    assert len(folder_triplets(tmp_path)) == 1
    (tmp_path / "coarse2.tif").unlink()
    with pytest.raises(DatasetError, match="lacks coarse2"):
        folder_triplets(tmp_path)
    for role in ROLES:
        (tmp_path / f"{role}.tif").unlink(missing_ok=True)
    with pytest.raises(DatasetError, match="holds no triplet"):
        folder_triplets(tmp_path)
    with pytest.raises(DatasetError, match="no folder"):
        folder_triplets(tmp_path / "nowhere")


def test_damaged_facts_are_told(tmp_path: Path) -> None:
    write_triplet(tmp_path, farmland_triplet(PARAMS))
    (tmp_path / "triplet.json").write_text(json.dumps({"dates": ["2023-06-06", "soon", ""]}))
    with pytest.raises(DatasetError, match="can't be read"):
        _ = folder_triplets(tmp_path)[0]


# Published sets


def write_small(root: Path, name: str, value: int, make_image: ImageFactory) -> None:
    pixels = np.full((3, 12, 10), value, np.int16)
    pixels[1:] += np.array([1, 2], np.int16)[:, None, None]
    pixels[:, 2, 4] = 7
    write_geotiff(root / name, make_image(pixels))


def landsat_name(layout: PublishedSet, day: date) -> str:
    if layout is CIA:
        told = date.fromordinal(day.toordinal() - 1)
        return f"L71093084_084{told:%Y%m%d}_HRF_modtran_surf_ref_agd66.tif"
    if layout is LGC:
        return f"{day:%Y%m%d}_TM.tif"
    return f"L_{day.year}-{day.month}-{day.day}.tif"


def modis_name(layout: PublishedSet, day: date) -> str:
    if layout is AHB:
        return f"M_{day.year}-{day.month}-{day.day}.tif"
    return f"MOD09GA_A{day:%Y%j}.sur_refl.tif"


@pytest.mark.parametrize(
    ("layout", "split", "target"),
    [
        (CIA, "syy", date(2001, 11, 9)),
        (LGC, "swin", date(2004, 12, 12)),
        (AHB, "survey-test", date(2018, 2, 5)),
    ],
    ids=["cia", "lgc", "ahb"],
)
def test_published_layouts(
    tmp_path: Path, make_image: ImageFactory, layout: PublishedSet, split: str, target: date
) -> None:
    small = replace(layout, crop=Crop(2, 12, 4, 10))
    for number, day in enumerate(sorted({day for three in small.triplets(split) for day in three})):
        write_small(tmp_path / "Landsat", landsat_name(layout, day), 100 * number, make_image)
        write_small(tmp_path / "MODIS", modis_name(layout, day), 1000 + number, make_image)
    found = fusion_sets.published_triplets(small, tmp_path, split, coarse_bands=(3, 1, 2))
    assert len(found) == len(small.triplets(split))
    triplet = found[0]
    assert triplet.name == f"{layout.name}_{target.isoformat()}"
    assert triplet.dates is not None
    assert triplet.dates[1] == target
    assert triplet.scale == 16
    assert triplet.fine[1].pixels.shape == (3, 10, 6)
    # The marked pixel is the crop's corner, and the coarse bands come in the order asked for.
    assert triplet.fine[1].pixels[0, 0, 0] == 7
    assert triplet.coarse[0].pixels[:, 5, 5].tolist() == [1002, 1000, 1001]


def test_crops_and_dates_are_the_published_ones() -> None:
    assert CIA.crop is not None
    assert LGC.crop is not None
    assert (CIA.crop.bottom - CIA.crop.top, CIA.crop.right - CIA.crop.left) == (1792, 1280)
    assert (LGC.crop.bottom - LGC.crop.top, LGC.crop.right - LGC.crop.left) == (2560, 3072)
    assert [len(each.dates) for each in (CIA, LGC, AHB)] == [17, 14, 27]
    for each in (CIA, LGC, AHB):
        assert list(each.dates) == sorted(each.dates)
        known = {day for threes in each.tests.values() for three in threes for day in three}
        assert known <= set(each.dates)
        assert len(each.triplets("all")) == len(each.dates) - 2
    trained = {day for three in LGC.triplets("survey-train") for day in three}
    tested = {day for three in LGC.triplets("survey-test") for day in three}
    assert len(trained) == 9
    assert not trained & tested


def test_published_mistakes_are_named(tmp_path: Path, make_image: ImageFactory) -> None:
    with pytest.raises(DatasetError, match="no split 'val'"):
        LGC.triplets("val")
    with pytest.raises(DatasetError, match="lacks 3 fine images of lgc, split swin: 2004-11-26"):
        fusion_sets.published_triplets(LGC, tmp_path, "swin")
    for day in LGC.triplets("swin")[0]:
        write_small(tmp_path, landsat_name(LGC, day), 1, make_image)
        write_small(tmp_path, modis_name(LGC, day), 1, make_image)
    with pytest.raises(DatasetError, match="12 rows x 10 columns"):
        _ = fusion_sets.published_triplets(LGC, tmp_path, "swin")[0]


# Real images


def write_landsat8(path: Path, bands: int = 4) -> Path:
    rng = np.random.default_rng(2)
    fine = rng.integers(6_000, 20_000, (3, bands, 36, 40)).astype(np.uint16)
    fine[0, :, 0, 0] = 0
    np.savez(path, fine_dn=fine, coarse_bilinear=fine[:, :, ::-1], doy=np.array([220, 236, 243]))
    return path


def test_landsat8_set_is_cut_to_whole_coarse_pixels(tmp_path: Path) -> None:
    triplet = fusion_sets.landsat8_triplet(write_landsat8(tmp_path / "set.npz"))
    assert triplet.dates == (date(2016, 8, 7), date(2016, 8, 23), date(2016, 8, 30))
    assert triplet.scale == 16
    for image in (*triplet.fine, *triplet.coarse):
        assert image.pixels.shape == (4, 32, 32)
        assert image.pixels.dtype == np.float32
    assert not triplet.fine[0].valid[0, 0]
    with np.load(tmp_path / "set.npz") as held:
        expected = held["fine_dn"][1, :, 5, 6] * 2e-5 - 0.1
        modis = held["coarse_bilinear"][1, :, 5, 6] * 2e-5 - 0.1
    np.testing.assert_allclose(triplet.fine[1].pixels[:, 5, 6], expected, rtol=1e-5)
    real = fusion_sets.landsat8_triplet(tmp_path / "set.npz", is_real=True)
    np.testing.assert_allclose(real.coarse[1].pixels[:, 5, 6], modis, rtol=1e-5)


def test_landsat8_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="can't be read"):
        fusion_sets.landsat8_triplet(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(DatasetError, match="can't be read"):
        fusion_sets.landsat8_triplet(tmp_path / "other.npz")
    with pytest.raises(BandError, match="this file has 3"):
        fusion_sets.landsat8_triplet(write_landsat8(tmp_path / "three.npz", bands=3))


def test_degraded_images_are_what_the_sensor_sees() -> None:
    rng = np.random.default_rng(4)
    pixels = rng.uniform(0, 0.5, (2, 19, 17)).astype(np.float32)
    image = GeoImage(pixels, np.ones((19, 17), np.bool_), None, Affine.identity(), ("a", "b"))
    triplet = degraded("place", (image, image, image), CoarseSensor(8, blur=0))
    assert triplet.fine[0].valid.shape == triplet.coarse[0].valid.shape == (16, 16)
    # The middle of four coarse pixels is their mean.
    means = pixels[:, :16, :16].reshape(2, 2, 8, 2, 8).mean(axis=(2, 4))
    middle = triplet.coarse[0].pixels[:, 7:9, 7:9].mean(axis=(1, 2))
    np.testing.assert_allclose(middle, means.mean(axis=(1, 2)), rtol=1e-5)
    with pytest.raises(DatasetError, match="less than a coarse pixel"):
        degraded("place", (image, image, image), CoarseSensor(20))


def test_real_set_reproduces_the_measured_naive_errors(data_root: Path) -> None:
    """RMSE of copying and of adding the coarse change, as the reference notes measured them."""
    triplet = fusion_sets.landsat8_triplet(data_root / "fusion" / "landsat8_modis_2016_444.npz")
    fine, coarse = ([each.pixels for each in images] for images in (triplet.fine, triplet.coarse))

    def rmse(found: np.ndarray) -> float:
        return float(np.sqrt(((found - fine[1]) ** 2).mean()))

    assert rmse(fine[0]) == pytest.approx(0.0264, abs=2e-4)
    one, two = fine[0] + coarse[1] - coarse[0], fine[2] + coarse[1] - coarse[2]
    assert rmse(one) == pytest.approx(0.0195, abs=4e-4)
    assert rmse((one + two) / 2) == pytest.approx(0.0160, abs=4e-4)
