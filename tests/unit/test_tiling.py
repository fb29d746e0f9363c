from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from n2m_core.errors import CancelledError, ParameterError
from n2m_core.tiling import predict_strips, predict_tiled, windows

Floats = NDArray[np.float32]
Positions = list[tuple[int, int]]


def noise(bands: int, height: int, width: int) -> Floats:
    return np.random.default_rng(1).normal(size=(bands, height, width)).astype(np.float32)


def identity(batch: Floats, positions: Positions) -> Floats:
    return batch


def blur(batch: Floats, positions: Positions) -> Floats:
    """A local network: a receptive field of 49 px, reflecting at the edges of its window."""
    return ndimage.gaussian_filter(batch, (0, 0, 6, 6), truncate=4.0, mode="reflect")


def blur_with_context(batch: Floats, positions: Positions) -> Floats:
    """A network that also looks at its whole window, as group normalisation and attention do."""
    local = blur(batch, positions)
    return local + 0.3 * batch.mean((2, 3), keepdims=True) / batch.std((2, 3), keepdims=True)


class TestWindows:
    @pytest.mark.parametrize("overlap", [0, 16, 32])
    @pytest.mark.parametrize("height", [1, 31, 64, 65, 100, 127, 400])
    @pytest.mark.parametrize("width", [50, 128])
    def test_cover_every_pixel_inside_the_image(
        self, height: int, width: int, overlap: int
    ) -> None:
        count = np.zeros((height, width), int)
        for window in windows(height, width, 64, overlap):
            assert window.row >= 0
            assert window.col >= 0
            rows = slice(window.row, window.row + window.height)
            columns = slice(window.col, window.col + window.width)
            assert count[rows, columns].shape == (window.height, window.width)
            count[rows, columns] += 1
        assert count.min() >= 1

    def test_known_positions(self) -> None:
        rows = sorted({window.row for window in windows(512, 256, 256, 64)})
        assert rows == [0, 192, 256]
        assert len(windows(512, 256, 256, 64)) == 3

    @pytest.mark.parametrize(("extent", "count"), [(200, 1), (256, 1), (384, 1), (385, 2)])
    def test_little_more_than_a_window_is_one_longer_window(self, extent: int, count: int) -> None:
        found = windows(extent, 1, 256, 64, multiple=32)
        assert len(found) == count
        assert found[0].height == (256 if count == 2 else -(-extent // 32) * 32)

    @pytest.mark.parametrize("origin", [0, 1, 37, 160, 191, -5, -200, 123_456_789])
    @pytest.mark.parametrize("extent", [257, 300, 512, 700, 1024])
    def test_start_on_multiples_of_the_scene(self, extent: int, origin: int) -> None:
        found = windows(extent, 1, 256, 64, multiple=32, origin=(origin, 0))
        starts = [window.row for window in found]
        assert all((start + origin) % 32 == 0 for start in starts)
        assert -32 < starts[0] <= 0
        assert extent <= starts[-1] + found[-1].height < extent + 64
        # Neighbours share at least half of the overlap that was asked for.
        assert max(np.diff(starts), default=0) <= 256 - 32
        assert len(starts) <= 2 + extent // 192

    def test_a_tile_of_512_px_takes_nine_windows_wherever_it_lies(self) -> None:
        for origin in range(0, 6144, 13):
            assert len(windows(512, 1, 256, 64, multiple=32, origin=(origin, 0))) == 3

    def test_inner_windows_sit_on_one_lattice_for_every_crop(self) -> None:
        whole = {window.row for window in windows(2000, 1, 256, 64, multiple=32)}
        for first in range(0, 900, 97):
            crop = windows(1000, 1, 256, 64, multiple=32, origin=(first, 0))
            inner = [window.row + first for window in crop][1:-1]
            assert len(inner) >= 3
            assert set(inner) <= whole

    def test_small_images_get_one_small_window(self) -> None:
        (window,) = windows(50, 70, 256, 64, multiple=32)
        assert (window.height, window.width) == (64, 96)

    @pytest.mark.parametrize(
        ("size", "overlap", "multiple", "message"),
        [
            (250, 64, 32, "multiples of 32"),
            (256, 60, 32, "multiples of 32"),
            (256, 256, 32, "between 0 and the window size"),
            (256, -32, 32, "between 0"),
            (0, 0, 1, "multiples"),
        ],
    )
    def test_refuses_sizes_that_do_not_fit(
        self, size: int, overlap: int, multiple: int, message: str
    ) -> None:
        with pytest.raises(ParameterError, match=message):
            windows(100, 100, size, overlap, multiple=multiple)

    def test_refuses_empty_images(self) -> None:
        with pytest.raises(ParameterError, match="at least 1 x 1"):
            windows(0, 5, 64, 0)


class TestBlending:
    @pytest.mark.parametrize("origin", [(0, 0), (37, 191), (-1000, 123_456)])
    @pytest.mark.parametrize("size", [(1, 1), (1, 300), (33, 65), (64, 64), (97, 250), (130, 131)])
    def test_identity_gives_the_image_back(
        self, size: tuple[int, int], origin: tuple[int, int]
    ) -> None:
        image = noise(2, *size)
        result = predict_tiled(identity, image, size=64, overlap=32, multiple=16, origin=origin)
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, image, atol=2e-6)

    def test_a_constant_stays_constant(self) -> None:
        result = predict_tiled(
            lambda batch, _: np.full((len(batch), 3, *batch.shape[2:]), 0.7, np.float32),
            noise(1, 333, 222),
            size=64,
            overlap=32,
        )
        assert result.shape == (3, 333, 222)
        np.testing.assert_allclose(result, 0.7, rtol=1e-6)

    def test_no_seam_where_windows_disagree(self) -> None:
        """Windows that answer -1 and 1 in turn blend in steps far below their difference."""

        def checkerboard(batch: Floats, positions: Positions) -> Floats:
            sign = [(-1.0) ** ((row + column) // 192) for row, column in positions]
            return np.ones_like(batch) * np.array(sign, np.float32)[:, None, None, None]

        result = predict_tiled(checkerboard, np.zeros((1, 640, 640), np.float32))[0]
        assert result.min() < -0.99
        assert result.max() > 0.99
        for axis in (0, 1):
            assert np.abs(np.diff(result, axis=axis)).max() < 0.06

    def test_pixels_at_a_windows_edge_hardly_count(self) -> None:
        def bad_edges(batch: Floats, positions: Positions) -> Floats:
            result = np.zeros_like(batch)
            result[..., :4, :] = result[..., -4:, :] = 1.0
            return result

        result = predict_tiled(bad_edges, np.zeros((1, 640, 64), np.float32))
        assert result[0, 8:-8].max() < 0.02

    def test_probabilities_still_sum_to_one(self) -> None:
        def softmax(batch: Floats, positions: Positions) -> Floats:
            powers = np.exp(batch)
            return powers / powers.sum(1, keepdims=True)

        result = predict_tiled(softmax, noise(4, 150, 170), size=64, overlap=32)
        np.testing.assert_allclose(result.sum(0), 1.0, atol=1e-5)
        assert result.min() >= 0

    @pytest.mark.parametrize("batch", [1, 2, 5, 100])
    def test_the_batch_size_changes_nothing(self, batch: int) -> None:
        image = noise(3, 300, 280)
        first = predict_tiled(blur, image, size=96, overlap=32, batch=4)
        other = predict_tiled(blur, image, size=96, overlap=32, batch=batch)
        np.testing.assert_array_equal(first, other)

    def test_the_predictor_gets_windows_of_one_size_and_batches_no_larger(self) -> None:
        seen: list[tuple[int, ...]] = []

        def spy(batch: Floats, positions: Positions) -> Floats:
            assert len(batch) == len(positions)
            assert batch.dtype == np.float32
            seen.append(batch.shape)
            return batch

        predict_tiled(spy, noise(3, 301, 500), size=128, overlap=32, batch=3)
        assert {shape[1:] for shape in seen} == {(3, 128, 128)}
        assert max(shape[0] for shape in seen) == 3

    def test_positions_are_those_of_the_scene(self) -> None:
        """A predictor that answers its own coordinates draws the coordinates of every pixel."""

        def coordinates(batch: Floats, positions: Positions) -> Floats:
            height, width = batch.shape[2:]
            grids = [
                np.stack(np.mgrid[row : row + height, column : column + width])
                for row, column in positions
            ]
            return np.stack(grids).astype(np.float32)

        result = predict_tiled(
            coordinates, noise(1, 200, 150), size=64, overlap=32, origin=(1000, -37)
        )
        np.testing.assert_allclose(
            result[0], np.arange(1000, 1200)[:, None] + np.zeros(150), atol=1e-3
        )
        np.testing.assert_allclose(result[1], np.arange(-37, 113) + np.zeros((200, 1)), atol=1e-4)

    def test_beyond_the_edge_the_image_is_mirrored(self) -> None:
        seen: list[Floats] = []

        def spy(batch: Floats, positions: Positions) -> Floats:
            seen.append(batch)
            return batch

        image = noise(1, 5, 3)
        predict_tiled(spy, image, size=32, overlap=0)
        np.testing.assert_array_equal(
            seen[0][0, 0], np.pad(image[0], ((0, 27), (0, 29)), mode="reflect")
        )


class TestCutting:
    """DESIGN: 98.5 % of pixels more than 64 px from a cut get the same class."""

    @pytest.mark.parametrize("predictor", [blur, blur_with_context])
    @pytest.mark.parametrize("knows_its_origin", [True, False])
    def test_a_crop_agrees_with_the_whole_scene(
        self,
        predictor: object,
        knows_its_origin: bool,
    ) -> None:
        scene = ndimage.gaussian_filter(noise(2, 1100, 900), (0, 3, 3)) * 10
        whole = predict_tiled(predictor, scene).argmax(0)  # type: ignore[arg-type]
        for row, column in [(0, 0), (192, 384), (101, 53), (317, 250)]:
            crop = scene[:, row : row + 512, column : column + 450]
            origin = (row, column) if knows_its_origin else (0, 0)
            alone = predict_tiled(predictor, crop, origin=origin).argmax(0)  # type: ignore[arg-type]
            inner = (slice(64, -64), slice(64, -64))
            same = alone[inner] == whole[row : row + 512, column : column + 450][inner]
            assert same.mean() >= 0.985

    def test_a_local_predictor_agrees_exactly_far_from_the_cut(self) -> None:
        scene = noise(1, 900, 400)
        whole = predict_tiled(blur, scene)
        alone = predict_tiled(blur, scene[:, 211:811], origin=(211, 0))
        np.testing.assert_allclose(alone[:, 64:-64], whole[:, 275:747], atol=2e-3)


class TestProgress:
    def test_counts_up_to_the_end(self) -> None:
        told: list[tuple[int, int, str]] = []
        predict_tiled(
            identity,
            noise(1, 300, 300),
            size=128,
            overlap=32,
            batch=2,
            progress=lambda done, total, note: told.append((done, total, note)),
        )
        done = [step[0] for step in told]
        assert done == sorted(set(done))
        assert told[-1][:2] == (9, 9)
        assert told[-1][2] == "9 of 9 windows"

    def test_raising_in_the_callback_stops_the_run(self) -> None:
        calls = 0

        def count(batch: Floats, positions: Positions) -> Floats:
            nonlocal calls
            calls += 1
            return batch

        def stop(done: int, total: int, note: str) -> None:
            raise CancelledError("Stopped.")

        with pytest.raises(CancelledError):
            predict_tiled(count, noise(1, 300, 300), size=64, overlap=32, progress=stop)
        assert calls == 1


class TestStrips:
    @pytest.mark.parametrize("origin", [(0, 0), (37, 5)])
    def test_strips_are_gapless_and_equal_the_whole(self, origin: tuple[int, int]) -> None:
        image = noise(2, 500, 130)
        whole = predict_tiled(blur, image, size=128, overlap=32, origin=origin)
        expected_row = 0
        for row, strip in predict_strips(
            blur,
            lambda rows: image[:, rows],
            (500, 130),
            size=128,
            overlap=32,
            origin=origin,
        ):
            assert row == expected_row
            np.testing.assert_array_equal(strip, whole[:, row : row + strip.shape[1]])
            expected_row += strip.shape[1]
        assert expected_row == 500

    def test_reads_one_row_of_windows_at_a_time(self) -> None:
        image = noise(1, 1000, 64)
        asked: list[NDArray[np.intp]] = []

        def read_rows(rows: NDArray[np.intp]) -> Floats:
            asked.append(rows)
            return image[:, rows]

        for row, _ in predict_strips(identity, read_rows, (1000, 64), size=128, overlap=32):
            assert len(asked[-1]) == 128
            assert asked[-1].min() >= 0
            assert asked[-1].max() < 1000
            assert row >= asked[-1].min()
