from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from rasters import ImageFactory, scene

from n2m_core import normalize
from n2m_core.errors import BandError, ParameterError
from n2m_core.normalize import (
    Normalization,
    bands_by_name,
    domain_distance,
    input_limits,
    percentile_limits,
    to_model_range,
)

FIXED = Normalization()
PERCENTILE = Normalization("percentile", (2.0,), (98.0,))


class TestFixed:
    def test_eight_bits_map_to_the_ends(self, make_image: ImageFactory) -> None:
        pixels = np.array([[[0, 51, 255]]], np.uint8)
        scaled = to_model_range(make_image(pixels), FIXED)
        assert scaled.dtype == np.float32
        np.testing.assert_allclose(scaled[0, 0], [-1.0, -0.6, 1.0], atol=1e-6)

    def test_own_limits_a_band_clip(self, make_image: ImageFactory) -> None:
        pixels = np.array([[[0, 50, 100]], [[0, 50, 100]]], np.uint8)
        scaled = to_model_range(make_image(pixels), Normalization("fixed", (0, 50), (50, 100)))
        np.testing.assert_allclose(scaled[0, 0], [-1, 1, 1])
        np.testing.assert_allclose(scaled[1, 0], [-1, -1, 1])

    def test_does_not_depend_on_the_rest_of_the_scene(self, make_image: ImageFactory) -> None:
        image = make_image()
        whole = to_model_range(image, FIXED)
        crop = to_model_range(make_image(image.pixels[:, 5:9, 7:20]), FIXED)
        np.testing.assert_array_equal(crop, whole[:, 5:9, 7:20])


class TestStretch:
    @pytest.mark.parametrize("dtype", ["uint16", "int16", "float32", "float64"])
    def test_other_dtypes_are_stretched_between_percentiles(
        self, make_image: ImageFactory, dtype: str
    ) -> None:
        ramp = np.arange(1001).reshape(1, 7, 143).astype(dtype)
        scaled = to_model_range(make_image(ramp), FIXED)
        wanted = np.clip((np.arange(1001) - 20) / 960 * 2 - 1, -1, 1)
        np.testing.assert_allclose(scaled.ravel(), wanted, atol=1e-5)

    def test_each_band_has_its_own_limits(self, make_image: ImageFactory) -> None:
        ramp = np.stack([np.arange(1001), np.arange(1001) * 10 + 500]).reshape(2, 7, 143)
        scaled = to_model_range(make_image(ramp.astype(np.uint16)), FIXED)
        np.testing.assert_allclose(scaled[0], scaled[1], atol=1e-5)

    def test_units_do_not_matter(self, make_image: ImageFactory) -> None:
        counts = scene(3, dtype="float64")
        first = to_model_range(make_image(counts), FIXED)
        second = to_model_range(make_image(counts * 2e-5 - 0.1), FIXED)
        np.testing.assert_allclose(first, second, atol=1e-5)

    def test_percentile_kind_stretches_eight_bits_too(self, make_image: ImageFactory) -> None:
        scaled = to_model_range(make_image(scene(1)), PERCENTILE)
        assert scaled.min() == -1
        assert scaled.max() == 1
        limits = input_limits(make_image(scene(1)), PERCENTILE)
        np.testing.assert_allclose(limits[0], np.percentile(scene(1), [2, 98]))

    def test_limits_of_the_scene_make_windows_agree(self, make_image: ImageFactory) -> None:
        image = make_image(scene(3, dtype="uint16"))
        limits = input_limits(image, FIXED)
        window = make_image(image.pixels[:, 10:20, 10:30])
        np.testing.assert_array_equal(
            to_model_range(window, FIXED, limits=limits),
            to_model_range(image, FIXED)[:, 10:20, 10:30],
        )

    def test_missing_pixels_do_not_count(self, make_image: ImageFactory) -> None:
        pixels = np.arange(1000, dtype=np.float32).reshape(1, 10, 100)
        valid = np.ones((10, 100), np.bool_)
        dirty = pixels.copy()
        dirty[:, 0], valid[0] = 1e9, False
        with_hole = input_limits(make_image(dirty, valid=valid), FIXED)
        np.testing.assert_allclose(with_hole, input_limits(make_image(pixels[:, 1:]), FIXED))

    def test_large_scenes_are_sampled(
        self, make_image: ImageFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pixels = np.random.default_rng(0).normal(500, 50, (1, 400, 500)).astype(np.float32)
        valid = np.ones((400, 500), np.bool_)
        exact = percentile_limits(pixels, valid, low=2, high=98)
        monkeypatch.setattr(normalize, "MAX_SAMPLES", 20_000)
        sampled = percentile_limits(pixels, valid, low=2, high=98)
        assert not np.array_equal(sampled, exact)
        np.testing.assert_allclose(sampled, exact, rtol=0.01)

    def test_sampling_never_misses_the_only_valid_pixels(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(normalize, "MAX_SAMPLES", 4)
        valid = np.zeros((9, 9), np.bool_)
        valid[4, 4] = True
        limits = percentile_limits(np.full((1, 9, 9), 7.0), valid, low=2, high=98)
        np.testing.assert_array_equal(limits, [[7.0, 7.0]])


class TestEdges:
    @pytest.mark.parametrize("normalization", [FIXED, PERCENTILE])
    def test_not_valid_is_zero(
        self, make_image: ImageFactory, normalization: Normalization
    ) -> None:
        valid = np.ones((40, 50), np.bool_)
        valid[3] = False
        scaled = to_model_range(make_image(scene(), valid=valid), normalization)
        assert (scaled[:, 3] == 0).all()
        assert (scaled[:, 4] != 0).any()

    @pytest.mark.parametrize("dtype", ["uint16", "float32"])
    def test_a_band_of_one_value_is_zero(self, make_image: ImageFactory, dtype: str) -> None:
        scaled = to_model_range(make_image(np.full((1, 4, 4), 9, dtype)), FIXED)
        assert (scaled == 0).all()

    def test_no_valid_pixel_at_all(self, make_image: ImageFactory) -> None:
        valid = np.zeros((40, 50), np.bool_)
        image = make_image(scene(3, dtype="uint16"), valid=valid)
        assert (to_model_range(image, FIXED) == 0).all()

    def test_one_pixel(self, make_image: ImageFactory) -> None:
        scaled = to_model_range(make_image(np.full((3, 1, 1), 255, np.uint8)), FIXED)
        assert (scaled == 1).all()

    def test_refuses_another_number_of_bands(self, make_image: ImageFactory) -> None:
        with pytest.raises(BandError, match="3 bands and the checkpoint wants 2"):
            to_model_range(make_image(), Normalization("fixed", (0, 0), (255, 255)))

    @pytest.mark.parametrize(
        ("kind", "low", "high", "message"),
        [
            ("other", (0,), (1,), "unknown"),
            ("fixed", (0, 0), (1,), "2 low and 1 high"),
            ("fixed", (), (), "0 low"),
            ("fixed", (5,), (5,), "low must lie below high"),
            ("percentile", (-1,), (98,), "between 0 and 100"),
            ("percentile", (2,), (101,), "between 0 and 100"),
        ],
    )
    def test_refuses_wrong_limits(
        self, kind: str, low: tuple[float, ...], high: tuple[float, ...], message: str
    ) -> None:
        with pytest.raises(ParameterError, match=message):
            Normalization(kind, low, high)  # type: ignore[arg-type]


class TestBandNames:
    @pytest.mark.parametrize(
        ("names", "wanted"),
        [
            (("red", "green", "blue"), [0, 1, 2]),
            (("Blue", "Green", " Red ", "NIR"), [2, 1, 0]),
            (("B02", "B03", "B04", "B08"), [2, 1, 0]),
            (("B2", "B3", "B4"), [2, 1, 0]),
            (("band 1", "band 2", "band 3"), None),
            (("red", "red", "green", "blue"), None),
            ((), None),
        ],
    )
    def test_finds_colours(self, names: tuple[str, ...], wanted: list[int] | None) -> None:
        assert bands_by_name(names, ("red", "green", "blue")) == wanted


@dataclass(frozen=True)
class Reference:
    mean: tuple[float, ...] = (-0.2, -0.1, 0.0)
    std: tuple[float, ...] = (0.3, 0.3, 0.3)
    spread: tuple[float, ...] = (0.1, 0.1, 0.1)


def imagery(mean: float, std: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(3, 64, 64))
    noise = (noise - noise.mean((1, 2), keepdims=True)) / noise.std((1, 2), keepdims=True)
    centre = np.array(Reference.mean)[:, None, None] + mean
    return (noise * std + centre).astype(np.float32)


class TestDomain:
    def test_like_the_training_images(self) -> None:
        distance = domain_distance(imagery(0.1, 0.3), Reference())
        np.testing.assert_allclose(distance.sigmas, 1.0, atol=0.01)
        np.testing.assert_allclose(distance.contrast, 1.0, atol=0.01)
        assert distance.warning is None

    @pytest.mark.parametrize(
        ("mean", "std", "words"),
        [
            (0.4, 0.3, "brighter by 4.0 standard deviations"),
            (-0.5, 0.3, "darker by 5.0 standard deviations"),
            (0.0, 0.06, "contrast is 0.20 times theirs"),
            (0.0, 0.9, "contrast is 3.0 times theirs"),
        ],
    )
    def test_far_images_are_told_in_words(self, mean: float, std: float, words: str) -> None:
        warning = domain_distance(imagery(mean, std), Reference()).warning
        assert warning is not None
        assert words in warning

    def test_missing_pixels_do_not_count(self) -> None:
        image = imagery(0.0, 0.3)
        valid = np.ones((64, 64), np.bool_)
        image[:, :32], valid[:32] = 0.9, False
        assert domain_distance(image, Reference()).warning is not None
        assert domain_distance(image, Reference(), valid=valid).warning is None

    def test_nothing_valid(self) -> None:
        warning = domain_distance(
            imagery(0, 0.3), Reference(), valid=np.zeros((64, 64), np.bool_)
        ).warning
        assert warning is not None
        assert "no valid pixel" in warning

    def test_uniform_training_set_does_not_divide_by_zero(self) -> None:
        flat = Reference(spread=(0.0, 0.0, 0.0), std=(0.0, 0.0, 0.0))
        assert np.isfinite(domain_distance(imagery(0, 0.3), flat).sigmas).all()

    def test_refuses_another_number_of_bands(self) -> None:
        with pytest.raises(BandError, match="1 bands and the checkpoint was trained on 3"):
            domain_distance(np.zeros((1, 4, 4), np.float32), Reference())
