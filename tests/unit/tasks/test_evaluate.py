"""The evaluate report, from networks whose maps are known in advance.

`BrightnessRule` stands in for trained weights: it maps what is bright in the input that it is
given, so everything before it (bands, range, noise, windows) is the real code.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known_maps import BINARY, CHANGE, COVER, model, pair, tile

from n2m_core.checkpoints import LoadedModel
from n2m_core.datasets.base import Sample
from n2m_core.datasets.opening import open_dataset
from n2m_core.errors import CancelledError, DatasetError, GridError, LabelError, ParameterError
from n2m_core.tasks.evaluate import EvaluateParams, evaluate

KEYS = {
    "task", "checkpoint", "tiles", "timestep", "classes", "mean", "target", "all_positive",
    "overall", "boundary", "by_timestep", "per_tile", "seconds", "megapixels_per_second",
}  # fmt: skip


# map        truth      tile one: TP 3, FP 1, FN 1, TN 4 (one ignored: TN 3)
ONE = [[0, 255, 255], [0, 255, 255], [0, 0, 0]]
ONE_TRUTH = [[0, 0, 1], [0, 1, 1], [1, 0, 255]]
# tile two: all bright, all true: TP 4
TWO = [[255, 255], [255, 255]]
TWO_TRUTH = [[1, 1], [1, 1]]


def two_tiles() -> list[Sample]:
    return [tile("one", ONE, ONE_TRUTH), tile("two", TWO, TWO_TRUTH)]


def square_tiles(count: int = 4, side: int = 64) -> list[Sample]:
    """Bright squares on a dark ground, mapped perfectly without noise."""
    samples = []
    for index in range(count):
        label = np.zeros((side, side), np.uint8)
        label[10 : 40 + 2 * index, 12:44] = 1
        samples.append(tile(f"t{index}", label * 255, label))
    return samples


def test_the_report_of_two_tiles_by_hand() -> None:
    report = evaluate(two_tiles(), model(), EvaluateParams())
    assert report.keys() >= KEYS
    assert (report["task"], report["checkpoint"], report["tiles"]) == ("segment", "rule", 2)
    assert report["timestep"] == 0
    # Pooled: TP 7, FP 1, FN 1, TN 3.
    building = report["classes"][1]
    assert building == {
        "name": "building",
        "f1": 14 / 16,
        "iou": 7 / 9,
        "precision": 7 / 8,
        "recall": 7 / 8,
        "support": 8,
    }
    background = report["classes"][0]
    assert (background["f1"], background["iou"], background["support"]) == (6 / 8, 3 / 5, 4)
    assert report["mean"]["f1"] == (14 / 16 + 6 / 8) / 2
    assert report["mean"]["iou"] == pytest.approx((7 / 9 + 3 / 5) / 2)
    target = report["target"]
    assert [target[k] for k in ("f1", "iou", "precision", "recall")] == [
        14 / 16,
        7 / 9,
        7 / 8,
        7 / 8,
    ]
    assert report["all_positive"] == {"f1": pytest.approx(2 * 8 / (12 + 8)), "iou": 8 / 12}
    # 10 of 12 pixels agree; by chance (8 * 8 + 4 * 4) / 144 = 5 / 9 would.
    assert report["overall"] == {"accuracy": 10 / 12, "kappa": pytest.approx(5 / 8)}
    assert report["per_tile"] == [
        {"name": "one", "f1": 6 / 8, "iou": 3 / 5},
        {"name": "two", "f1": 1.0, "iou": 1.0},
    ]
    assert report["interval_over"] == "tiles"
    assert 0.75 <= target["low"] <= target["f1"] <= target["high"] <= 1
    assert report["seconds"] > 0
    assert report["megapixels_per_second"] == pytest.approx(13 / 1e6 / report["seconds"])


def test_all_positive_is_what_a_map_of_nothing_but_the_target_scores() -> None:
    bright = [tile(s.name, np.full(s.label.shape, 255), s.label) for s in two_tiles()]
    scored = evaluate(bright, model(), EvaluateParams())["target"]
    promised = evaluate(two_tiles(), model(), EvaluateParams())["all_positive"]
    assert scored["f1"] == pytest.approx(promised["f1"])
    assert scored["iou"] == pytest.approx(promised["iou"])


def test_a_perfect_map_scores_one_everywhere() -> None:
    report = evaluate(square_tiles(), model(), EvaluateParams())
    assert report["mean"] == {"f1": 1.0, "iou": 1.0, "low": 1.0, "high": 1.0}
    assert report["boundary"] == dict.fromkeys(
        ("wfm", "boundary_iou", "f1_1px", "f1_3px", "f1_5px"), 1.0
    )


def test_pixels_without_data_count_nowhere() -> None:
    valid = np.ones((3, 3))
    valid[0] = 0
    report = evaluate([tile("one", ONE, ONE_TRUTH, valid=valid)], model(), EvaluateParams())
    assert [row["support"] for row in report["classes"]] == [2, 3]
    assert report["target"]["f1"] == 4 / 5


def test_one_tile_has_an_interval_over_blocks() -> None:
    samples = square_tiles(1, side=128)
    spoiled = samples[0].label.copy()
    spoiled[:64, 64:] = 1
    report = evaluate([replace(samples[0], label=spoiled)], model(), EvaluateParams())
    assert report["interval_over"] == "blocks"
    target = report["target"]
    assert target["low"] < target["f1"] < target["high"]
    assert report["per_tile"][0]["f1"] == target["f1"]


def test_a_tile_too_small_for_blocks_has_no_interval() -> None:
    report = evaluate([tile("one", ONE, ONE_TRUTH)], model(), EvaluateParams())
    assert report["target"]["low"] is None
    assert report["target"]["high"] is None
    assert report["mean"]["low"] is None
    assert report["target"]["f1"] == 6 / 8


def test_the_curve_falls_with_noise_and_has_intervals() -> None:
    params = EvaluateParams(timesteps=(900, 0, 300), seeds=3)
    report = evaluate(square_tiles(), model(), params)
    rows = report["by_timestep"]
    assert [row["t"] for row in rows] == [0, 300, 900]
    assert rows[0]["f1"] == 1
    assert rows[0]["f1"] > rows[1]["f1"] > rows[2]["f1"]
    assert rows[0]["boundary_iou"] > rows[2]["boundary_iou"]
    for row in rows:
        assert row["low"] <= row["f1"] <= row["high"]
        assert set(row) == {
            "t", "f1", "iou", "mean_iou", "boundary_iou", "low", "high", "classes"
        }  # fmt: skip
        assert len(row["classes"]) == 2
        # Pooled over three seeds, each of four tiles of 64 x 64 px.
        assert sum(item["support"] for item in row["classes"]) == 3 * 4 * 64 * 64
    assert report["seeds"] == [0, 1, 2]
    # The main scores are of the clean image, which draws no noise: one seed.
    assert sum(item["support"] for item in report["classes"]) == 4 * 64 * 64


def test_without_a_curve_the_one_row_is_the_main_timestep() -> None:
    report = evaluate(two_tiles(), model(), EvaluateParams(timestep=0))
    (row,) = report["by_timestep"]
    assert row["t"] == 0
    assert (row["f1"], row["iou"]) == (report["target"]["f1"], report["target"]["iou"])
    assert (row["low"], row["high"]) == (report["target"]["low"], report["target"]["high"])
    assert row["classes"] == report["classes"]


def test_a_named_main_timestep_is_mapped_with_noise() -> None:
    clean = evaluate(square_tiles(), model(), EvaluateParams())
    noisy = evaluate(square_tiles(), model(), EvaluateParams(timestep=700))
    assert noisy["timestep"] == 700
    assert noisy["target"]["f1"] < clean["target"]["f1"]


def test_the_card_says_whether_the_main_map_is_mixed() -> None:
    mixed = model(timestep=500, is_mixed=True)
    clean = model(timestep=500, is_mixed=False)
    report = evaluate(square_tiles(), mixed, EvaluateParams(seeds=2))
    assert report["timestep"] == 500
    assert report["target"]["f1"] < 1
    assert sum(item["support"] for item in report["classes"]) == 2 * 4 * 64 * 64
    assert evaluate(square_tiles(), clean, EvaluateParams())["target"]["f1"] == 1


def test_the_same_seed_gives_the_same_report() -> None:
    params = EvaluateParams(timesteps=(400,), seed=7, seeds=2)
    first, again = (evaluate(square_tiles(2), model(), params) for _ in range(2))
    for report in (first, again):
        del report["seconds"], report["megapixels_per_second"]
    assert first == again
    assert first["seeds"] == [7, 8]
    other = evaluate(square_tiles(2), model(), replace(params, seed=70))
    assert other["by_timestep"][0]["f1"] != first["by_timestep"][0]["f1"]


def test_a_step_of_the_curve_that_is_the_card_s_own_way_is_mapped_once() -> None:
    mixed = model(timestep=500, is_mixed=True)
    seen: list[int] = []
    params = EvaluateParams(timesteps=(0, 500), seeds=2)
    report = evaluate(two_tiles(), mixed, params, lambda done, total, note: seen.append(total))
    assert seen[-1] == 2 * 2 * 2
    assert report["timestep"] == 500
    row = report["by_timestep"][1]
    assert (row["t"], row["f1"]) == (500, report["target"]["f1"])
    assert (row["low"], row["high"]) == (report["target"]["low"], report["target"]["high"])
    for same in (EvaluateParams(timestep=500, seeds=2), EvaluateParams(seeds=2)):
        assert evaluate(two_tiles(), mixed, same)["target"] == report["target"]


def test_processes_that_draw_nothing_use_one_seed() -> None:
    report = evaluate(square_tiles(2), model(process="none"), EvaluateParams(timesteps=(0, 900)))
    assert report["seeds"] == [0]
    assert [row["f1"] for row in report["by_timestep"]] == [1, 1]


def test_another_process_can_be_compared_on_the_curve() -> None:
    plain = model(process="none")
    params = EvaluateParams(timesteps=(900,), process="gaussian")
    report = evaluate(square_tiles(2), plain, params)
    assert report["target"]["f1"] == 1
    assert report["by_timestep"][0]["f1"] < 0.9
    assert report["seeds"] == [0, 1, 2, 3, 4]


def test_land_cover_has_no_target_and_is_meaned() -> None:
    light = [[0, 0, 128], [128, 255, 255]]
    truth = [[0, 1, 1], [1, 2, 2]]
    report = evaluate([tile("a", light, truth), tile("b", light, truth)], model(classes=COVER),
                      EvaluateParams())  # fmt: skip
    # Each tile: dark TP 1 FP 1, medium TP 2 FN 1, bright TP 2.
    assert [row["f1"] for row in report["classes"]] == [2 / 3, 4 / 5, 1]
    assert report["target"] == dict.fromkeys(("f1", "iou", "precision", "recall", "low", "high"))
    assert report["all_positive"] == {"f1": None, "iou": None}
    assert report["mean"]["f1"] == pytest.approx((2 / 3 + 4 / 5 + 1) / 3)
    assert report["by_timestep"][0]["f1"] == report["mean"]["f1"]
    assert report["per_tile"][0]["f1"] == pytest.approx(report["mean"]["f1"])


def test_an_absent_class_is_null_and_left_out_of_the_mean() -> None:
    report = evaluate(
        [tile("a", [[0, 255]], [[0, 2]]), tile("b", [[0, 0]], [[0, 0]])],
        model(classes=COVER),
        EvaluateParams(),
    )
    absent = report["classes"][1]
    assert (absent["f1"], absent["iou"], absent["precision"], absent["recall"]) == (None,) * 4
    assert absent["support"] == 0
    assert report["mean"]["f1"] == 1


GAIN = [[0, 255, -255], [0, 255, 0]]
BY_CLASS = [[0, 1, 1], [0, 2, 2]]
AS_BINARY = [[0, 1, 1], [0, 1, 1]]


def change_model() -> LoadedModel:
    return model("change", CHANGE, process="swap")


def test_change_by_class_and_united() -> None:
    report = evaluate([pair("a", GAIN, BY_CLASS)] * 2, change_model(), EvaluateParams())
    assert [row["name"] for row in report["classes"]] == ["unchanged", "built", "demolished"]
    # A tile: built TP 1 FP 1 FN 1, demolished TP 0 FP 1 FN 2; united TP 3, FN 1.
    assert [row["f1"] for row in report["classes"]] == [4 / 5, 2 / 4, 0]
    assert report["target"]["f1"] == 6 / 7
    assert report["target"]["recall"] == 3 / 4
    assert report["target"]["precision"] == 1
    assert report["all_positive"]["iou"] == 4 / 6


def test_a_binary_change_label_scores_built_and_demolished_together() -> None:
    binary = evaluate([pair("a", GAIN, AS_BINARY, "binary")] * 2, change_model(), EvaluateParams())
    by_class = evaluate([pair("a", GAIN, BY_CLASS)] * 2, change_model(), EvaluateParams())
    assert [row["name"] for row in binary["classes"]] == ["unchanged", "built or demolished"]
    assert binary["target"] == by_class["target"]
    assert binary["boundary"] == by_class["boundary"]
    assert binary["classes"][1]["f1"] == binary["target"]["f1"]
    assert any("scored together" in note for note in binary["notes"])


def test_pixels_without_data_at_either_date_count_nowhere_in_change() -> None:
    for kind, label in (("classes", BY_CLASS), ("binary", AS_BINARY)):
        whole = pair("a", GAIN, label, kind)
        assert whole.after is not None
        valid = np.array([[True, True, True], [True, True, False]])
        holed = replace(whole, after=replace(whole.after, valid=valid))
        target = evaluate([holed] * 2, change_model(), EvaluateParams())["target"]
        # The missed pixel has no data at the later date.
        assert (target["f1"], target["recall"]) == (1, 1)


def test_binary_and_class_labels_in_one_split_are_scored_as_binary() -> None:
    mixed = [pair("a", GAIN, BY_CLASS), pair("b", GAIN, AS_BINARY, "binary")]
    for samples in (mixed, mixed[::-1]):
        report = evaluate(samples, change_model(), EvaluateParams())
        assert len(report["classes"]) == 2
        assert report["target"]["f1"] == 6 / 7
        assert [row["f1"] for row in report["per_tile"]] == [6 / 7, 6 / 7]


def test_swap_reverses_the_dates_at_the_last_timestep() -> None:
    # One tile gained light in one place and lost it in another: swapped, the two trade places.
    sample = pair("a", [[255, 255, 0, -255]] * 4, [[1, 1, 0, 2]] * 4)
    report = evaluate([sample, sample], change_model(), EvaluateParams(timesteps=(0, 258, 999)))
    first, crossing, last = report["by_timestep"]
    assert [row["f1"] for row in first["classes"]] == [1, 1, 1]
    assert crossing["f1"] == 0
    assert [row["f1"] for row in last["classes"]] == [1, 0, 0]
    assert last["f1"] == 1


def test_json_never_holds_nan() -> None:
    empty = [tile(f"t{i}", np.zeros((8, 8)), np.zeros((8, 8))) for i in range(2)]
    report = evaluate(empty, model(), EvaluateParams(timesteps=(0,)))
    text = json.dumps(report, allow_nan=False)
    assert json.loads(text) == report
    assert report["target"] == {
        "f1": None, "iou": None, "precision": None, "recall": None, "low": None, "high": None
    }  # fmt: skip
    assert report["all_positive"] == {"f1": 0.0, "iou": 0.0}
    assert report["boundary"]["wfm"] is None
    assert report["per_tile"][0]["f1"] is None


def test_progress_counts_every_map_and_can_cancel() -> None:
    seen: list[tuple[int, int]] = []
    params = EvaluateParams(timesteps=(100, 200), seeds=2)
    evaluate(two_tiles(), model(), params, lambda done, total, note: seen.append((done, total)))
    assert seen[-1] == (10, 10)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)

    def cancel(done: int, total: int, note: str) -> None:
        if done == 3:
            raise CancelledError("Stopped.")

    with pytest.raises(CancelledError, match=r"^Stopped\.$"):
        evaluate(two_tiles(), model(), params, cancel)


def test_wrong_datasets_are_refused() -> None:
    with pytest.raises(DatasetError, match="no samples"):
        evaluate([], model(), EvaluateParams())
    with pytest.raises(DatasetError, match="one has one date and rule detects change"):
        evaluate(two_tiles(), change_model(), EvaluateParams())
    with pytest.raises(DatasetError, match="a has two dates and rule maps one"):
        evaluate([pair("a", GAIN, BY_CLASS)], model(), EvaluateParams())
    with pytest.raises(LabelError, match="No pixel is both labelled and mapped"):
        evaluate([tile("a", ONE, np.full((3, 3), 255))], model(), EvaluateParams())
    with pytest.raises(LabelError, match=r"truth holds values 0\.\.2"):
        evaluate([tile("a", [[0, 0]], [[0, 2]])], model(), EvaluateParams())
    binary = tile("a", [[0, 0]], [[0, 1]], kind="binary")
    with pytest.raises(LabelError, match="3 classes without a target"):
        evaluate([binary], model(classes=COVER), EvaluateParams())


def test_a_complaint_about_an_image_names_the_sample() -> None:
    nothing = tile("empty", ONE, ONE_TRUTH, valid=np.zeros((3, 3)))
    with pytest.raises(GridError, match="empty: The image has no pixel with data"):
        evaluate([nothing], model(), EvaluateParams())


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"timesteps": (0, 1000)}, "Timestep 1000 is outside"),
        ({"timestep": -1}, "Timestep -1 is outside"),
        ({"timesteps": (5, 5)}, "name each once"),
        ({"seeds": 0}, "0 noise seeds"),
        ({"seeds": 101}, "101 noise seeds"),
    ],
)
def test_wrong_params_are_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ParameterError, match=text):
        EvaluateParams(**changes)


def test_a_real_folder_from_files_to_report() -> None:
    if not os.environ.get("N2M_DATA"):
        pytest.skip("N2M_DATA is not set: real imagery is left out")
    root = Path(os.environ["N2M_DATA"]) / "buildings/banepa_demo"
    dataset = open_dataset("folder", root, task="segment", classes=BINARY)[:2]
    report = evaluate(dataset, model(), EvaluateParams())
    assert report["tiles"] == 2
    assert sum(row["support"] for row in report["classes"]) == 2 * 512 * 512
    share = report["classes"][1]["support"] / (2 * 512 * 512)
    assert report["all_positive"]["iou"] == pytest.approx(share)
    assert not math.isnan(report["boundary"]["wfm"])
    json.dumps(report, allow_nan=False)
