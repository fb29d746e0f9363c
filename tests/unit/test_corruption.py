"""Each kind of corruption does what it says, and a mixture of them looks like a rough map."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from n2m_core.corruption import KINDS, CorruptionParams, Kind, corrupt
from n2m_core.errors import LabelError, ParameterError

Labels = NDArray[np.int64]


def drawn(*blocks: tuple[int, int, int, int], size: int = 64) -> Labels:
    """Blocks of class 1, each by its first row and column, height and width."""
    labels = np.zeros((size, size), np.int64)
    for top, left, height, width in blocks:
        labels[top : top + height, left : left + width] = 1
    return labels


def town(seed: int, size: int = 128) -> Labels:
    """Houses of 10 to 34 px, up to three of them in each direction, at a random turn."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices((size, size)) - size / 2
    angle = rng.uniform(0, np.pi)
    along = np.cos(angle) * columns + np.sin(angle) * rows
    across = np.cos(angle) * rows - np.sin(angle) * columns
    labels = np.zeros((size, size), np.int64)
    for x in range(-60, 61, 40):
        for y in range(-60, 61, 40):
            half = rng.uniform(5, 17, 2)
            labels[(abs(along - x) < half[0]) & (abs(across - y) < half[1])] = 1
    return labels


def cover(seed: int, size: int = 64) -> Labels:
    """Four classes in smooth patches."""
    noise = np.random.default_rng(seed).normal(size=(4, size, size))
    return np.asarray(ndimage.gaussian_filter(noise, (0, 6, 6)).argmax(0), np.int64)


def only(kind: Kind, labels: Labels, seed: int = 0, **ranges: tuple[float, float]) -> Labels:
    rng = np.random.default_rng(seed)
    return corrupt(labels, 2, rng, kinds=[kind], params=CorruptionParams(**ranges))


def iou(one: Labels, other: Labels) -> float:
    return float(((one == 1) & (other == 1)).sum() / ((one == 1) | (other == 1)).sum())


HOUSES = drawn((4, 4, 12, 10), (4, 30, 8, 8), (30, 4, 20, 12), (36, 36, 14, 18))


def test_missed_objects_are_missed_whole() -> None:
    marked, count = ndimage.label(HOUSES)
    seen = set()
    for seed in range(20):
        rough = only("missed", HOUSES, seed, missed_share=(0.5, 0.5))
        shares = ndimage.mean(rough, marked, range(1, count + 1))
        assert set(shares) <= {0, 1}
        assert not rough[HOUSES == 0].any()
        seen.add(int(sum(shares)))
    assert len(seen) > 2
    assert not only("missed", HOUSES, missed_share=(1, 1)).any()
    np.testing.assert_array_equal(only("missed", HOUSES, missed_share=(0, 0)), HOUSES)


def test_spurious_blobs_come_where_nothing_is() -> None:
    empty = np.zeros((64, 64), np.int64)
    for seed in range(10):
        rough = only("spurious", empty, seed, blobs=(1, 1), blob_px=(9, 9))
        rows, columns = np.nonzero(rough)
        assert 1 <= np.ptp(rows) + 1 <= 9
        assert 1 <= np.ptp(columns) + 1 <= 9
        assert len(rows) <= 69  # the pixels of a whole disc of 9 px
    more = only("spurious", HOUSES, blobs=(3, 3))
    assert (more >= HOUSES).all()
    assert (more > HOUSES).any()
    full = np.ones((8, 8), np.int64)
    np.testing.assert_array_equal(only("spurious", full), full)


def test_holes_are_cut_into_objects_alone() -> None:
    for seed in range(10):
        rough = only("holes", HOUSES, seed, holes=(2, 2), hole_px=(5, 5))
        assert (rough <= HOUSES).all()
        assert 1 <= (rough < HOUSES).sum() <= 2 * 21
    empty = np.zeros((8, 8), np.int64)
    np.testing.assert_array_equal(only("holes", empty), empty)


def test_growth_by_hand() -> None:
    dot, square = drawn((20, 20, 1, 1)), drawn((20, 20, 10, 10))
    grown = only("grown", dot, growth_px=(2, 2))
    assert grown.sum() == 13  # within 2 px of one: 1 + 4 + 4 + 4
    assert grown[18, 20] == grown[21, 21] == 1
    shrunk = only("shrunk", square, growth_px=(2, 2))
    np.testing.assert_array_equal(shrunk, drawn((22, 22, 6, 6)))
    for kind in ("grown", "shrunk"):
        for plain in (np.zeros((8, 8), np.int64), np.ones((8, 8), np.int64)):
            np.testing.assert_array_equal(only(kind, plain), plain)


def test_narrow_gaps_are_bridged_and_wide_ones_and_outlines_stay() -> None:
    near = drawn((20, 10, 12, 12), (20, 26, 12, 12))
    far = drawn((20, 10, 12, 12), (20, 30, 12, 12))
    rough = only("bridged", near, bridge_px=(2, 2))
    assert ndimage.label(rough)[1] == 1
    assert rough[24:28, 22:26].all()
    assert (rough >= near).all()
    assert not rough[near == 0].reshape(-1)[: 20 * 64].any()  # nothing above the houses
    np.testing.assert_array_equal(only("bridged", far, bridge_px=(2, 2)), far)


def test_a_shift_moves_everything_alike() -> None:
    house = drawn((20, 20, 10, 14))
    moves = set()
    for seed in range(30):
        rough = only("shifted", house, seed, shift_px=(3, 3))
        rows, columns = np.nonzero(rough)
        move = int(rows.min()) - 20, int(columns.min()) - 20
        np.testing.assert_array_equal(rough, np.roll(house, move, (0, 1)))
        assert 2.2 < np.hypot(*move) < 3.8
        moves.add(move)
    assert len(moves) > 8
    np.testing.assert_array_equal(only("shifted", np.ones((8, 8), np.int64)), 1)


def test_wobbling_bends_outlines_and_leaves_the_inside() -> None:
    house = drawn((16, 16, 32, 32))
    depth = ndimage.distance_transform_edt(house) + ndimage.distance_transform_edt(1 - house)
    offsets = []
    for seed in range(20):
        rough = only("wobbled", house, seed, wobble_px=(1.5, 1.5), wobble_length_px=(8, 8))
        changed = rough != house
        assert changed.any()
        assert depth[changed].max() <= 4.5 * 1.5
        offsets.append(rough.sum() - house.sum())
        # Smooth: the middle rows' ends differ by little from one row to the next.
        ends = [int(np.flatnonzero(row)[-1]) for row in rough[20:44]]
        assert np.abs(np.diff(ends)).max() <= 4
    assert min(offsets) < 0 < max(offsets)


def test_a_coarse_map_is_blocky_or_smooth_and_loses_what_is_small() -> None:
    house = drawn((8, 8, 40, 40), (55, 55, 2, 2))
    blocky = 0
    for seed in range(20):
        rough = only("coarse", house, seed, cell_px=(8, 8))
        assert not rough[52:, 52:].any()
        assert rough[16:40, 16:40].all()
        assert iou(rough, house) > 0.6
        rows, columns = np.flatnonzero(rough.any(1)), np.flatnonzero(rough.any(0))
        is_square = len(rows) * len(columns) == rough.sum()
        blocky += is_square and len(rows) % 8 == 0 and len(columns) % 8 == 0
    assert 4 < blocky < 16
    np.testing.assert_array_equal(only("coarse", house, cell_px=(1, 1)), house)


def test_rounding_takes_corners_and_leaves_sides() -> None:
    house = drawn((12, 12, 40, 40))
    rough = only("rounded", house, rounding_px=(4, 4))
    assert (rough <= house).all()
    assert not rough[[12, 12, 51, 51], [12, 51, 12, 51]].any()
    assert rough[[12, 51, 31, 31], [31, 31, 12, 51]].all()
    thin = drawn((30, 0, 2, 64))
    assert not only("rounded", thin, rounding_px=(4, 4)).any()


def test_kinds_differ_and_are_applied_in_their_order() -> None:
    dot = drawn((30, 30, 3, 3))
    params = CorruptionParams(growth_px=(6, 6), rounding_px=(3, 3))
    grown_first = corrupt(
        dot, 2, np.random.default_rng(0), kinds=["grown", "rounded"], params=params
    )
    rounded_first = corrupt(
        dot, 2, np.random.default_rng(0), kinds=["rounded", "grown"], params=params
    )
    assert grown_first.any()
    assert not rounded_first.any()


def test_masks_of_the_range_of_real_rough_maps() -> None:
    rng = np.random.default_rng(5)
    scores = [iou(corrupt(truth, 2, rng), truth) for truth in map(town, range(200))]
    low, middle, high = np.quantile(scores, [0.1, 0.5, 0.9])
    assert 0.4 < low < 0.6
    assert 0.65 < middle < 0.85
    assert 0.88 < high < 0.98


def test_the_same_state_gives_the_same_map_and_the_truth_is_left_alone() -> None:
    truth = town(1)
    kept = truth.copy()
    one = corrupt(truth, 2, np.random.default_rng(7))
    np.testing.assert_array_equal(one, corrupt(truth, 2, np.random.default_rng(7)))
    assert (one != corrupt(truth, 2, np.random.default_rng(8))).any()
    np.testing.assert_array_equal(truth, kept)
    assert one.dtype == np.int64


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_pixels_stay_where_they_are(kind: Kind) -> None:
    truth = HOUSES.copy()
    truth[:, 20:40] = 255
    truth[0] = 255
    for seed in range(3):
        rough = only(kind, truth, seed)
        np.testing.assert_array_equal(rough == 255, truth == 255)
    unknown = np.full((5, 6), 255, np.int64)
    np.testing.assert_array_equal(only(kind, unknown), unknown)


@pytest.mark.parametrize("kind", KINDS)
def test_every_class_can_be_hit_and_no_other_comes_up(kind: Kind) -> None:
    changed: set[int] = set()
    for seed in range(25):
        truth = cover(seed)
        rough = corrupt(truth, 4, np.random.default_rng(seed), kinds=[kind])
        assert set(np.unique(rough)) <= {0, 1, 2, 3}
        changed |= set(truth[rough != truth].tolist())
    assert changed == {0, 1, 2, 3}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (17, 16)])
def test_masks_of_any_size(kind: Kind, shape: tuple[int, int]) -> None:
    for value in (0, 1):
        rough = only(kind, np.full(shape, value, np.int64))
        assert rough.shape == shape
        assert set(np.unique(rough)) <= {0, 1}


def test_a_crop_takes_milliseconds() -> None:
    truth, rng = town(3), np.random.default_rng(0)
    times = []
    for _ in range(40):
        started = time.process_time()
        corrupt(truth, 2, rng)
        times.append(time.process_time() - started)
    assert np.median(times) < 0.01


def test_bad_input_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(LabelError, match=r"hold 2; classes are 0\.\.1, and 255"):
        corrupt(np.array([[0, 2]]), 2, rng)
    with pytest.raises(LabelError, match="hold -1"):
        corrupt(np.array([[0, -1]]), 2, rng)
    with pytest.raises(LabelError, match="rows x columns"):
        corrupt(np.zeros((1, 2, 2), np.int64), 2, rng)
    with pytest.raises(ParameterError, match="2 or more are needed"):
        corrupt(HOUSES, 1, rng)
    for ranges in ({"missed_share": (0.5, 1.5)}, {"kinds": (0, 11)}, {"growth_px": (3, 1)}):
        with pytest.raises(ParameterError, match=r"\[lowest, highest\] is wanted"):
            CorruptionParams(**ranges)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="between 1 and inf"):
        CorruptionParams(cell_px=(0, 4))
