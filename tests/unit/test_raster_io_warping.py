from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from rasters import UTM, ImageFactory, scene

from n2m_core.errors import GridError, NoOverlapError, ParameterError
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import (
    align_to,
    lonlat_bounds,
    read_image,
    read_labels,
    resample,
    same_grid,
    to_web_mercator,
)


def empty_grid(make_image: ImageFactory, crs: str, transform: Affine, size: int = 30) -> GeoImage:
    return make_image(np.zeros((1, size, size), np.uint8), crs=crs, transform=transform)


class TestSameGrid:
    def test_equal_and_unequal(self, make_image: ImageFactory) -> None:
        image = make_image()
        assert same_grid(image, make_image(scene(1)))
        assert same_grid(image, make_image(transform=UTM @ Affine.translation(1e-6, 0)))
        assert not same_grid(image, make_image(transform=UTM @ Affine.translation(0.01, 0)))
        assert not same_grid(image, make_image(transform=UTM @ Affine.scale(1.0001)))
        assert not same_grid(image, make_image(crs="EPSG:32634"))
        assert not same_grid(image, make_image(scene(3, 41, 50)))


class TestAlign:
    def test_same_grid_passes_untouched(self, make_image: ImageFactory) -> None:
        image = make_image()
        assert align_to(image, make_image(scene(1))) is image

    @pytest.mark.parametrize("resampling", ["nearest", "bilinear", "average"])
    def test_shift_by_whole_pixels_moves_pixels_exactly(
        self, make_image: ImageFactory, resampling: str
    ) -> None:
        image = make_image()
        grid = empty_grid(make_image, "EPSG:32633", UTM @ Affine.translation(7, 4))
        moved = align_to(image, grid, resampling=resampling)
        assert same_grid(moved, grid)
        np.testing.assert_array_equal(moved.pixels, image.pixels[:, 4:34, 7:37])
        assert moved.valid.all()
        assert "100% of it" in moved.notes[-1]

    def test_part_without_cover_is_not_valid(self, make_image: ImageFactory) -> None:
        grid = empty_grid(make_image, "EPSG:32633", UTM @ Affine.translation(-10, 0))
        moved = align_to(make_image(), grid, resampling="nearest")
        assert not moved.valid[:, :10].any()
        assert moved.valid[:, 10:].all()
        assert "67% of it" in moved.notes[-1]

    @pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
    def test_other_crs_and_resolution_keeps_a_ramp_in_place(
        self, make_image: ImageFactory, dtype: str
    ) -> None:
        """A brightness that is linear in easting stays so after a trip to degrees and back."""
        ramp = np.broadcast_to(np.arange(100.0), (1, 80, 100)).astype(dtype)
        image = make_image(ramp)
        south, west, north, east = lonlat_bounds(image)
        pixel = Affine(4e-6, 0, west, 0, -4e-6, north)
        size = (1, int((north - south) / 4e-6), int((east - west) / 4e-6))
        degrees = align_to(
            image,
            make_image(np.zeros(size), crs="EPSG:4326", transform=pixel),
            resampling="average",
        )
        assert degrees.pixels.dtype == dtype
        back = align_to(degrees, image)
        inside = back.valid.copy()
        inside[:3] = inside[-3:] = inside[:, :3] = inside[:, -3:] = False
        error = np.abs(back.pixels[0].astype(float) - ramp[0])[inside]
        assert inside.mean() > 0.75
        assert error.max() < 1.5
        assert error.mean() < 0.5

    @pytest.mark.parametrize("missing", [-9999.0, np.nan])
    def test_missing_ground_does_not_darken_its_neighbours(
        self, make_image: ImageFactory, missing: float
    ) -> None:
        pixels = np.full((1, 40, 50), 100.0, np.float32)
        valid = np.ones((40, 50), np.bool_)
        pixels[:, 10:20, 10:20], valid[10:20, 10:20] = missing, False
        image = make_image(pixels, valid=valid)
        grid = empty_grid(make_image, "EPSG:32633", UTM @ Affine.translation(0.5, 0.5))
        moved = align_to(image, grid)
        np.testing.assert_allclose(moved.pixels[0][moved.valid], 100.0, rtol=1e-5)
        assert not moved.valid[11:18, 11:18].any()

    def test_labels_keep_their_values(self, make_image: ImageFactory) -> None:
        labels = (scene(1) % 3 * 100).astype(np.uint8)
        grid = empty_grid(make_image, "EPSG:32633", UTM @ Affine.rotation(20))
        moved = align_to(make_image(labels), grid, resampling="nearest")
        assert set(np.unique(moved.pixels[0][moved.valid])) <= {0, 100, 200}

    @pytest.mark.parametrize(
        "transform",
        [
            pytest.param(UTM @ Affine.translation(0, 40) @ Affine.scale(1, -1), id="south-up"),
            pytest.param(UTM @ Affine.rotation(90) @ Affine.translation(0, -50), id="rotated"),
        ],
    )
    def test_turned_grids_align(self, make_image: ImageFactory, transform: Affine) -> None:
        ramp = scene(1, 40, 50)
        flipped = ramp[:, ::-1] if transform.b == 0 else np.rot90(ramp, axes=(1, 2))
        turned = make_image(np.ascontiguousarray(flipped), transform=transform)
        moved = align_to(turned, make_image(ramp), resampling="nearest")
        assert moved.valid.mean() > 0.9
        np.testing.assert_array_equal(moved.pixels[:, moved.valid], ramp[:, moved.valid])

    def test_no_overlap(self, make_image: ImageFactory) -> None:
        far = make_image(transform=UTM @ Affine.translation(10_000, 0))
        with pytest.raises(NoOverlapError, match=r"do not overlap: one covers 45\.15.*same place"):
            align_to(far, make_image())

    def test_no_overlap_across_the_world(self, make_image: ImageFactory) -> None:
        with pytest.raises(GridError, match=r"do not overlap|can't be projected"):
            align_to(make_image(crs="EPSG:32755"), make_image())

    def test_overlap_only_where_the_grid_has_no_data(self, make_image: ImageFactory) -> None:
        valid = np.zeros((40, 50), np.bool_)
        valid[:, 40:] = True
        left = make_image(transform=UTM @ Affine.translation(-20, 0))
        with pytest.raises(NoOverlapError, match="do not overlap"):
            align_to(left, make_image(valid=valid))

    def test_without_georeference_equal_sizes_match_by_pixel(
        self, make_image: ImageFactory
    ) -> None:
        plain = make_image(crs=None, resolution_m=None)
        placed = make_image()
        assert align_to(plain, make_image(crs=None)).crs is None
        moved = align_to(plain, placed)
        assert same_grid(moved, placed)
        assert "pixel by pixel" in moved.notes[-1]
        back = align_to(placed, plain)
        assert back.crs is None
        np.testing.assert_array_equal(back.pixels, placed.pixels)

    def test_without_georeference_unequal_sizes_are_refused(self, make_image: ImageFactory) -> None:
        plain = make_image(scene(3, 20, 30), crs=None)
        with pytest.raises(GridError, match=r"30 x 20 px.*50 x 40 px.*Give GeoTIFFs"):
            align_to(plain, make_image())


class TestResample:
    def test_same_size_is_the_same_image(self, make_image: ImageFactory) -> None:
        image = make_image()
        assert resample(image, 40, 50) is image

    def test_covers_the_same_ground(self, make_image: ImageFactory) -> None:
        image = make_image()
        small = resample(image, 7, 13)
        assert small.valid.shape == (7, 13)
        np.testing.assert_allclose(lonlat_bounds(small), lonlat_bounds(image), rtol=0, atol=1e-9)
        assert small.resolution_m == pytest.approx(0.5 * np.sqrt(40 / 7 * 50 / 13))

    def test_average_is_the_mean_of_blocks(self, make_image: ImageFactory) -> None:
        pixels = np.random.default_rng(0).random((2, 40, 60)).astype(np.float32)
        small = resample(make_image(pixels), 10, 20, resampling="average")
        blocks = pixels.reshape(2, 10, 4, 20, 3).mean((2, 4))
        np.testing.assert_allclose(small.pixels, blocks, atol=1e-6)

    def test_average_leaves_out_missing_ground(self, make_image: ImageFactory) -> None:
        pixels = np.full((1, 4, 4), 10, np.uint8)
        valid = np.ones((4, 4), np.bool_)
        pixels[0, 0], valid[0] = 200, False
        valid[2:, 2:], valid[3, :2], valid[2, 0] = False, False, False
        small = resample(make_image(pixels, valid=valid), 2, 2, resampling="average")
        assert small.valid.tolist() == [[True, True], [False, False]]
        assert (small.pixels[0][small.valid] == 10).all()

    def test_nearest_doubles_pixels(self, make_image: ImageFactory) -> None:
        image = make_image(scene(1, 5, 6))
        large = resample(image, 10, 12, resampling="nearest")
        np.testing.assert_array_equal(large.pixels, image.pixels.repeat(2, 1).repeat(2, 2))

    def test_bilinear_keeps_a_ramp(self, make_image: ImageFactory) -> None:
        ramp = np.broadcast_to(np.arange(20.0, dtype=np.float32), (1, 10, 20))
        large = resample(make_image(ramp.copy()), 30, 60)
        wanted = (np.arange(60) + 0.5) / 3 - 0.5
        np.testing.assert_allclose(large.pixels[0, 15, 3:-3], wanted[3:-3], atol=1e-4)

    @pytest.mark.parametrize("resampling", ["nearest", "bilinear", "average"])
    @pytest.mark.parametrize("dtype", ["bool", "float16", "int8", "int32", "uint32", "int64"])
    def test_unusual_dtypes(self, make_image: ImageFactory, dtype: str, resampling: str) -> None:
        pixels = np.repeat(np.repeat(scene(1, 5, 6) % 2, 3, 1), 3, 2).astype(dtype)
        small = resample(make_image(pixels), 5, 6, resampling=resampling)
        assert small.pixels.dtype == dtype
        if resampling != "bilinear":
            np.testing.assert_array_equal(small.pixels, pixels[:, ::3, ::3])

    def test_large_integers_keep_their_digits(self, make_image: ImageFactory) -> None:
        pixels = np.full((1, 4, 4), 3_000_000_001, np.uint32)
        assert (resample(make_image(pixels), 2, 2).pixels == 3_000_000_001).all()

    def test_one_pixel(self, make_image: ImageFactory) -> None:
        image = make_image(np.full((1, 1, 1), 9, np.uint8))
        assert (resample(image, 5, 3).pixels == 9).all()

    def test_works_without_georeference(self, make_image: ImageFactory) -> None:
        small = resample(make_image(crs=None, resolution_m=None), 20, 25)
        assert small.crs is None
        assert small.resolution_m is None

    def test_refuses_sizes_below_one(self, make_image: ImageFactory) -> None:
        with pytest.raises(ParameterError, match="at least 1"):
            resample(make_image(), 0, 5)


class TestWebMercator:
    def test_a_mark_lies_where_its_coordinates_say(self, make_image: ImageFactory) -> None:
        """The bright block of a UTM image far from the central meridian keeps its place."""
        transform = Affine(10, 0, 700_000, 0, -10, 5_500_000)
        pixels = np.zeros((1, 300, 400), np.uint8)
        pixels[:, 100:110, 300:310] = 255
        image = make_image(pixels, transform=transform)
        block = make_image(
            pixels[:, 100:110, 300:310], transform=transform @ Affine.translation(300, 100)
        )
        block_south, block_west, block_north, block_east = lonlat_bounds(block)
        shown, (south, west, north, east) = to_web_mercator(image, max_px=800)
        weight = shown.pixels[0] / shown.pixels[0].sum(dtype=float)
        column = (weight.sum(0) * (np.arange(shown.width) + 0.5)).sum()
        row = (weight.sum(1) * (np.arange(shown.height) + 0.5)).sum()
        longitude = west + column / shown.width * (east - west)
        assert longitude == pytest.approx((block_west + block_east) / 2, abs=4e-6)
        mercator = np.arcsinh(np.tan(np.radians([south, north])))
        y = mercator[1] - row / shown.height * (mercator[1] - mercator[0])
        latitude = np.degrees(np.arctan(np.sinh(y)))
        assert latitude == pytest.approx((block_south + block_north) / 2, abs=4e-6)

    def test_bounds_contain_the_image_and_fit_it(self, make_image: ImageFactory) -> None:
        image = make_image(scene(3, 200, 300))
        shown, (south, west, north, east) = to_web_mercator(image, max_px=1000)
        inner = lonlat_bounds(image)
        pixel = (north - south) / shown.height * 1.5
        assert south <= inner[0] + 1e-9
        assert north >= inner[2] - 1e-9
        np.testing.assert_allclose((south, west, north, east), inner, rtol=0, atol=pixel)

    @pytest.mark.parametrize("max_px", [16, 100, 4096])
    def test_longest_side_is_capped(self, make_image: ImageFactory, max_px: int) -> None:
        shown, _ = to_web_mercator(make_image(scene(1, 200, 300)), max_px=max_px)
        assert max(shown.valid.shape) <= max_px
        assert shown.crs == "EPSG:3857"

    def test_outside_of_a_turned_image_is_not_valid(self, make_image: ImageFactory) -> None:
        turned = make_image(scene(3, 100, 100), transform=UTM @ Affine.rotation(45))
        shown, _ = to_web_mercator(turned, max_px=512)
        assert not shown.valid[0, 0]
        assert shown.valid.mean() == pytest.approx(0.5, abs=0.03)

    def test_labels_stay_labels_when_decimated(self, make_image: ImageFactory) -> None:
        labels = (np.indices((300, 300)).sum(0) // 30 % 2 * 7).astype(np.uint8)
        shown, _ = to_web_mercator(make_image(labels[None]), max_px=60, resampling="nearest")
        assert set(np.unique(shown.pixels)) == {0, 7}

    def test_an_image_across_the_180th_meridian_is_one_piece(
        self, make_image: ImageFactory
    ) -> None:
        """Fiji, UTM zone 60 south, 20 km wide; the bright block lies east of the meridian."""
        pixels = np.full((1, 100, 200), 10, np.uint8)
        pixels[:, 40:50, 180:190] = 250
        grid = Affine(100, 0, 810_000, 0, -100, 8_100_000)
        shown, (_, west, _, east) = to_web_mercator(
            make_image(pixels, crs="EPSG:32760", transform=grid), max_px=400
        )
        assert 179 < west < 180 < east < 181
        assert shown.valid.mean() > 0.9
        _, columns = np.nonzero(shown.pixels[0] > 130)
        longitude = west + (columns.mean() + 0.5) / shown.width * (east - west)
        block = make_image(
            pixels[:, :10, :10], crs="EPSG:32760", transform=grid @ Affine.translation(180, 40)
        )
        assert longitude == pytest.approx(np.mean(lonlat_bounds(block)[1::2]) % 360, abs=1e-3)

    def test_refuses_images_without_place(self, make_image: ImageFactory) -> None:
        with pytest.raises(GridError, match="no georeference"):
            to_web_mercator(make_image(crs=None), max_px=100)

    def test_refuses_the_poles(self, make_image: ImageFactory) -> None:
        polar = make_image(crs="EPSG:3413", transform=Affine(100, 0, 1000, 0, -100, 1000))
        with pytest.raises(GridError, match=r"web map ends at 85\.05"):
            to_web_mercator(polar, max_px=100)


def test_real_pair_of_other_grids_aligns(data_root: Path) -> None:
    """NAIP dates of one place differ by a row; after alignment the ground is the same."""
    dates = sorted((data_root / "series" / "naip").glob("*.tif"))
    images = [read_image(path) for path in dates[:3]]
    grid, other = next(
        (first, second)
        for first, second in itertools.pairwise(images)
        if not same_grid(first, second)
    )
    moved = align_to(other, grid)
    assert same_grid(moved, grid)
    both = moved.valid & grid.valid
    assert both.mean() > 0.95
    correlation = np.corrcoef(
        moved.pixels[3][both].astype(float), grid.pixels[3][both].astype(float)
    )[0, 1]
    assert correlation > 0.5


def test_real_label_aligns_to_its_image(data_root: Path) -> None:
    folder = data_root / "change" / "wildfire" / "val"
    label = sorted((folder / "label").iterdir())[0]
    before = next((folder / "A").glob(f"{label.stem}.*"))
    image = read_image(before)
    aligned = align_to(read_labels(label), image, resampling="nearest")
    assert same_grid(aligned, image)
    assert set(np.unique(aligned.pixels)) <= {0, 255}


@pytest.mark.parametrize("max_px", [30, 75, 110, 130, 230, 400])
def test_a_large_scene_thinned_for_the_map_stays_in_place(
    make_image: ImageFactory, max_px: int
) -> None:
    """A ramp in easting keeps its value at the place of every pixel, whatever the decimation."""
    ramp = np.broadcast_to(np.arange(900, dtype=np.float32), (1, 700, 900)).copy()
    image = make_image(ramp)
    shown, (_, west, _, east) = to_web_mercator(image, max_px=max_px)
    full, (_, full_west, _, full_east) = to_web_mercator(image, max_px=900)
    assert west == pytest.approx(full_west, abs=1e-9)
    assert east == pytest.approx(full_east, abs=1e-9)
    middle, full_middle = shown.pixels[0, shown.height // 2], full.pixels[0, full.height // 2]
    places = (np.arange(shown.width) + 0.5) / shown.width
    wanted = np.interp(places, (np.arange(full.width) + 0.5) / full.width, full_middle)
    inner = slice(shown.width // 10, -(shown.width // 10))
    np.testing.assert_allclose(middle[inner], wanted[inner], atol=0.3)
