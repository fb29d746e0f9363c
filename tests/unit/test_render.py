from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from rasters import ImageFactory, scene

from n2m_core.errors import BandError, ParameterError
from n2m_core.render import (
    colorize,
    encode_palette_png,
    encode_png,
    encode_webp,
    hex_to_rgb,
    side_by_side,
    to_rgb,
)

COLORS = {0: (0, 0, 0), 1: (60, 16, 152), 2: (226, 169, 41)}


def decode(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGBA"))


class TestStretch:
    def test_none_leaves_eight_bits_alone(self, make_image: ImageFactory) -> None:
        shown = to_rgb(make_image(), stretch="none")
        np.testing.assert_array_equal(shown, np.moveaxis(scene(), 0, -1))

    def test_none_takes_the_range_of_the_dtype(self, make_image: ImageFactory) -> None:
        wide = np.array([[[0, 32_768, 65_535]]], np.uint16)
        assert to_rgb(make_image(wide), stretch="none")[0, :, 0].tolist() == [0, 128, 255]
        shares = np.array([[[0.0, 0.5, 1.5]]], np.float32)
        assert to_rgb(make_image(shares), stretch="none")[0, :, 0].tolist() == [0, 128, 255]

    def test_minmax_uses_the_whole_range(self, make_image: ImageFactory) -> None:
        pixels = np.array([[[100, 150, 300]]], np.uint16)
        assert to_rgb(make_image(pixels), stretch="minmax")[0, :, 0].tolist() == [0, 64, 255]

    def test_percentile_cuts_outliers(self, make_image: ImageFactory) -> None:
        pixels = np.arange(1001, dtype=np.float32).reshape(1, 7, 143)
        pixels[0, 0, 0] = -1e6
        shown = to_rgb(make_image(pixels))[..., 0].ravel()
        assert shown[0] == 0
        assert shown[500] == pytest.approx(127.5, abs=1)
        assert shown[-1] == 255

    def test_eight_bit_colours_keep_their_ratio(self, make_image: ImageFactory) -> None:
        """A grey ramp with a colour cast keeps the cast; 16 bits are balanced band by band."""
        ramp = np.arange(0, 100, dtype=np.uint8).reshape(1, 10, 10)
        cast = np.concatenate([ramp, ramp + 20, ramp + 40])
        grey = to_rgb(make_image(cast))[5, 5].astype(int)
        assert grey[2] - grey[0] > 50
        balanced = to_rgb(make_image(cast.astype(np.uint16)))[5, 5].astype(int)
        assert np.ptp(balanced) <= 1

    def test_missing_pixels_are_black_and_do_not_count(self, make_image: ImageFactory) -> None:
        pixels = np.full((3, 10, 10), 500, np.uint16)
        pixels[:, 5:] = 900
        valid = np.ones((10, 10), np.bool_)
        pixels[:, 0], valid[0] = 60_000, False
        shown = to_rgb(make_image(pixels, valid=valid), stretch="minmax")
        assert (shown[0] == 0).all()
        assert (shown[1] == 0).all()
        assert (shown[9] == 255).all()

    @pytest.mark.parametrize("stretch", ["percentile", "minmax"])
    def test_one_value_is_grey(self, make_image: ImageFactory, stretch: str) -> None:
        shown = to_rgb(make_image(np.full((3, 2, 2), 7, np.uint16)), stretch=stretch)
        assert (shown == 128).all()

    def test_refuses_unknown_stretch(self, make_image: ImageFactory) -> None:
        with pytest.raises(ParameterError, match="choose none, percentile or minmax"):
            to_rgb(make_image(), stretch="gamma")


class TestBands:
    def test_chosen_bands_in_order(self, make_image: ImageFactory) -> None:
        pixels = scene(5)
        shown = to_rgb(make_image(pixels), bands=(5, 1, 3), stretch="none")
        np.testing.assert_array_equal(shown, np.moveaxis(pixels[[4, 0, 2]], 0, -1))

    @pytest.mark.parametrize("bands", [1, 2])
    def test_few_bands_show_the_first_as_grey(self, make_image: ImageFactory, bands: int) -> None:
        pixels = scene(bands)
        shown = to_rgb(make_image(pixels), stretch="none")
        for channel in range(3):
            np.testing.assert_array_equal(shown[..., channel], pixels[0])

    def test_one_band_of_many_as_grey(self, make_image: ImageFactory) -> None:
        shown = to_rgb(make_image(scene(4)), bands=(4,), stretch="none")
        np.testing.assert_array_equal(shown[..., 1], scene(4)[3])

    @pytest.mark.parametrize("bands", [(1, 2), (0, 1, 2), (1, 2, 4), (), (1, 1, 1, 1)])
    def test_refuses_other_bands(self, make_image: ImageFactory, bands: tuple[int, ...]) -> None:
        with pytest.raises(BandError, match="the image has 3"):
            to_rgb(make_image(), bands=bands)


class TestColours:
    def test_hex(self) -> None:
        assert hex_to_rgb("#3C1098") == (60, 16, 152)
        assert hex_to_rgb("e2a929") == (226, 169, 41)

    @pytest.mark.parametrize("text", ["", "#fff", "#12345g", "red", "#1234567", "##12345"])
    def test_refuses_what_is_no_colour(self, text: str) -> None:
        with pytest.raises(ParameterError, match="#rrggbb"):
            hex_to_rgb(text)

    def test_classes_get_their_colour_and_the_rest_is_clear(self) -> None:
        labels = np.array([[0, 1, 2], [3, 254, 255]], np.uint8)
        shown = colorize(labels, COLORS)
        assert shown[0].tolist() == [[0, 0, 0, 255], [60, 16, 152, 255], [226, 169, 41, 255]]
        assert (shown[1, :, 3] == 0).all()

    def test_255_is_clear_even_with_a_colour(self) -> None:
        assert colorize(np.full((1, 1), 255, np.uint8), {255: (9, 9, 9)})[0, 0, 3] == 0


class TestEncoding:
    @pytest.mark.parametrize("channels", [3, 4])
    def test_png_comes_back(self, channels: int) -> None:
        picture = np.random.default_rng(0).integers(0, 255, (9, 7, channels), dtype=np.uint8)
        back = decode(encode_png(picture))
        np.testing.assert_array_equal(back[..., :channels], picture)

    def test_webp_is_close_and_small(self, make_image: ImageFactory) -> None:
        grain = np.random.default_rng(0).normal(0, 4, (3, 200, 300))
        picture = to_rgb(make_image((scene(3, 200, 300, "float32") + grain).astype(np.uint16)))
        data = encode_webp(picture)
        assert data[8:12] == b"WEBP"
        assert len(data) < len(encode_png(picture)) / 5
        assert np.abs(decode(data)[..., :3].astype(int) - picture).mean() < 5
        assert len(encode_webp(picture, quality=20)) < len(data)

    def test_webp_refuses_what_it_cannot_hold(self) -> None:
        with pytest.raises(ParameterError, match="16383"):
            encode_webp(np.zeros((1, 16_384, 3), np.uint8))

    def test_palette_png_shows_the_same_as_colorize(self) -> None:
        labels = np.random.default_rng(0).choice([0, 1, 2, 7, 255], (200, 300)).astype(np.uint8)
        data = encode_palette_png(labels, COLORS)
        back, wanted = decode(data), colorize(labels, COLORS)
        np.testing.assert_array_equal(back[..., 3], wanted[..., 3])
        seen = wanted[..., 3] > 0
        np.testing.assert_array_equal(back[seen], wanted[seen])
        assert Image.open(io.BytesIO(data)).mode == "P"
        assert len(data) < len(encode_png(wanted)) / 1.5

    def test_views_that_are_not_contiguous(self) -> None:
        picture = np.random.default_rng(0).integers(0, 255, (9, 7, 3), dtype=np.uint8)
        turned = picture[::-1, ::2]
        np.testing.assert_array_equal(decode(encode_png(turned))[..., :3], turned)


class TestSideBySide:
    def test_pictures_in_a_row(self) -> None:
        first, second = np.full((10, 8, 3), 50, np.uint8), np.full((6, 5, 3), 90, np.uint8)
        sheet = side_by_side([first, second])
        assert sheet.shape == (10, 8 + 4 + 5, 3)
        assert (sheet[:, :8] == 50).all()
        assert (sheet[:6, 12:] == 90).all()
        assert (sheet[6:, 12:] == 255).all()

    def test_captions_stand_above(self) -> None:
        pictures = [np.full((30, 80, 3), 50, np.uint8)] * 2
        sheet = side_by_side(pictures, ["before", "after"])
        assert (sheet[-30:, :80] == 50).all()
        top = sheet[:-30]
        assert (top[:, :80] < 128).any()
        assert (top[:, 84:] < 128).any()

    def test_refuses_a_wrong_number_of_captions(self) -> None:
        with pytest.raises(ParameterError, match="1 captions for 2 pictures"):
            side_by_side([np.zeros((4, 4, 3), np.uint8)] * 2, ["only one"])
        with pytest.raises(ParameterError, match="0 pictures"):
            side_by_side([])
