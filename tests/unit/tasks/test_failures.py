"""Blocks, their scores and their wrong objects, from maps known in advance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from known_maps import CHANGE, COVER, model, pair, tile

from n2m_core.datasets.base import Sample
from n2m_core.errors import CancelledError, DatasetError, LabelError
from n2m_core.metrics.objects import COARSE_EDGES_M2, SIZE_EDGES_M2
from n2m_core.tasks import failures
from n2m_core.tasks.evaluate import EvaluateParams, evaluate
from n2m_core.tasks.failures import error_map, rank, run


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of at most 8 m: 16 px at the 0.5 m of these scenes."""
    monkeypatch.setattr(failures, "BLOCK_M", 8.0)
    monkeypatch.setattr(failures, "LEAST_PX", 4)


def town() -> Sample:
    """Four blocks of 16 px: right; half missed; invented alone; nothing at all.

    The last has a true house of 5 px across two blocks, missed, whose middle lies in block (1, 2).
    """
    light, truth = np.zeros((2, 32, 32), np.uint8)
    light[2:10, 2:10], truth[2:10, 2:10] = 255, 1
    truth[2:10, 20:28] = 1
    light[2:10, 24:28] = 255
    light[20:24, 4:8] = 255
    truth[12:17, 30] = 1
    return tile("town", light, truth)


def test_worst_blocks_come_first_by_hand() -> None:
    ranked = rank(run([town()], model()))
    # (1, 2): 64 + 4 true, 32 mapped, all right: F1 = 64 / 100. (2, 2): 1 px missed, nothing mapped.
    assert [(each.block.place, round(each.f1, 6)) for each in ranked] == [
        ((2, 1), 0), ((2, 2), 0), ((1, 2), 0.64), ((1, 1), 1),
    ]  # fmt: skip
    assert [(each.missed_px, each.invented_px) for each in ranked] == [
        (0, 16), (1, 0), (36, 0), (0, 0),
    ]  # fmt: skip
    # The half mapped house counts as found; the thin one across both blocks lies in the upper.
    assert [(each.missed, each.invented) for each in ranked] == [(0, 1), (0, 0), (1, 0), (0, 0)]
    assert ranked[2].block.window == (slice(0, 16), slice(16, 32))


def test_scores_are_those_of_evaluate_on_the_same_blocks() -> None:
    sample = town()
    light = sample.image.pixels[0]
    ranked = rank(run([sample], model()))
    parts = [
        tile(str(each.block.place), light[each.block.window], sample.label[each.block.window])
        for each in ranked
    ]
    report = evaluate(parts, model(), EvaluateParams())
    assert [row["f1"] for row in report["per_tile"]] == [each.f1 for each in ranked]


def test_filters_by_class_size_and_scene() -> None:
    found = run([town(), replace(town(), name="again")], model())
    assert len(rank(found)) == 8
    assert {each.block.scene for each in rank(found, scene=1)} == {1}
    assert len(rank(found, index=0)) == 8
    # Wrong objects: 5 px = 1.25 m2 and 16 px = 4 m2, both in the smallest bin.
    assert {each.block.place for each in rank(found, size_bin=0)} == {(1, 2), (2, 1)}
    assert rank(found, size_bin=3) == []
    assert rank(found, index=0, size_bin=0) == []


def test_error_map_by_hand() -> None:
    errors = error_map(run([town()], model()), 0)
    assert (errors == failures.MISSED).sum() == 37
    assert (errors == failures.INVENTED).sum() == 16
    assert (errors == failures.RIGHT).sum() == 32 * 32 - 53
    inverse = error_map(run([town()], model()), 0, index=0)
    assert (inverse == failures.INVENTED).sum() == 37


def test_change_tells_another_class_from_a_miss() -> None:
    gain, label = np.zeros((16, 16), int), np.zeros((16, 16), np.uint8)
    gain[0:4, 0:4], label[0:4, 0:4] = 255, 2
    label[8:12, 8:12] = 1
    label[15] = 255
    found = run([pair("one", gain, label)], model("change", CHANGE))
    errors = error_map(found, 0)
    assert (errors == failures.WRONG_CLASS).sum() == 16
    assert (errors == failures.MISSED).sum() == 16
    assert (errors[15] == 255).all()
    assert (error_map(found, 0, index=2) == failures.MISSED).sum() == 16
    (all_of_it,) = rank(found)
    assert all_of_it.f1 == pytest.approx(2 * 16 / (16 + 32))
    (built,) = rank(found, index=1)
    assert (built.f1, built.missed, built.invented) == (0, 1, 1)


def test_a_binary_truth_is_ranked_by_the_target_alone() -> None:
    gain = np.zeros((16, 16), int)
    gain[0:4, 0:4] = -255
    one = pair("one", gain, (gain != 0).astype(np.uint8), "binary")
    two = pair("two", gain, np.where(gain < 0, 2, 0))
    found = run([one, two], model("change", CHANGE))
    assert found.scheme.names == ("unchanged", "built", "demolished")
    assert found.scenes[0].scheme.names == ("unchanged", "built or demolished")
    assert [each.f1 for each in rank(found)] == [1, 1]
    assert [each.block.scene for each in rank(found, index=2)] == [1]
    assert (error_map(found, 0) == failures.RIGHT).all()
    alone = run([one], model("change", CHANGE))
    assert alone.scheme.names == ("unchanged", "built or demolished")
    assert [each.f1 for each in rank(alone, index=1)] == [1]


def test_land_cover_ranks_by_the_class_mean_and_marks_all_that_is_wrong() -> None:
    light = np.full((16, 16), 128, np.uint8)
    label = np.ones((16, 16), np.uint8)
    label[:4] = 2
    found = run([tile("one", light, label)], model(classes=COVER))
    (whole,) = rank(found)
    assert (whole.missed_px, whole.invented_px) == (64, 64)
    assert whole.f1 == pytest.approx((2 * 192 / (192 + 256) + 0) / 2)
    assert (error_map(found, 0) == failures.WRONG_CLASS).sum() == 64
    assert rank(found, index=0) == []


def test_without_a_resolution_blocks_are_counted_in_pixels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(failures, "BLOCK_PX", 20)
    sample = town()
    found = run([replace(sample, image=replace(sample.image, resolution_m=None))], model())
    assert len(found.blocks) == 4
    assert all(each.area_m2 is None for block in found.blocks for each in block.wrong)
    assert rank(found, size_bin=0) == []


def test_blocks_are_at_most_their_size() -> None:
    assert failures._edges(33, 0.5) == [0, 11, 22, 33]
    assert failures._edges(12, 10.0) == [0, 4, 8, 12]  # no block of a single pixel


def test_coarse_pixels_have_larger_blocks_and_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "BLOCK_M", 128.0)
    monkeypatch.setattr(failures, "LEAST_PX", 64)
    assert failures._edges(256, 10.0) == [0, 64, 128, 192, 256]
    assert failures._edges(512, 0.5) == [0, 256, 512]
    known = model()
    coarse = replace(known, card=replace(known.card, resolution_m=10.0))
    assert run([town()], known).edges_m2 == SIZE_EDGES_M2
    assert run([town()], coarse).edges_m2 == COARSE_EDGES_M2


def test_failures_and_cancel() -> None:
    with pytest.raises(DatasetError, match="no samples"):
        run([], model())
    binary = tile("one", np.zeros((8, 8)), np.zeros((8, 8)), kind="binary")
    with pytest.raises(LabelError, match="without a target"):
        run([binary], model(classes=COVER))

    def stop(done: int, total: int, note: str) -> None:
        raise CancelledError(f"{done} of {total}, {note}")

    with pytest.raises(CancelledError, match="0 of 1, town"):
        run([town()], model(), None, stop)
