from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
import rasterio
from PIL import Image
from rasters import ImageFactory
from tiny_models import change_detector, drawn_pair, drawn_scene, segmenter

from n2m_core.checkpoints import LoadedModel
from n2m_core.errors import CancelledError, CheckpointError, LabelError, N2MError, OutputError
from n2m_core.metrics.confusion import ConfusionCounts
from n2m_core.tasks import segment, trajectory_files
from n2m_core.tasks.trajectory import (
    TrajectoryParams,
    TrajectoryResult,
    decision_times,
    run,
    write_trajectory,
)


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return segmenter()


@pytest.fixture
def result(model: LoadedModel, make_image: ImageFactory) -> TrajectoryResult:
    pixels, truth = drawn_scene(21, 97, 111)
    return run(make_image(pixels), None, model, TrajectoryParams(steps=5), truth)


# The frames


def test_frames_come_noisiest_first_on_an_even_grid(result: TrajectoryResult) -> None:
    assert [frame.timestep for frame in result.frames] == [999, 749, 500, 250, 0]
    assert TrajectoryParams(timesteps=(5, 900, 5, 0)).grid == (900, 5, 0)


def test_each_frame_is_a_single_pass_from_the_same_noise(
    model: LoadedModel, make_image: ImageFactory
) -> None:
    image = make_image(drawn_scene(22)[0])
    frames = run(image, None, model, TrajectoryParams((800, 300, 0), seed=9)).frames
    for frame in frames:
        alone = segment.run(image, model, segment.SegmentParams(timestep=frame.timestep, seed=9))
        np.testing.assert_array_equal(frame.labels, alone.labels)
        np.testing.assert_allclose(frame.confidence, alone.confidence, atol=1e-6)


def test_frames_differ_by_timestep_alone(model: LoadedModel, make_image: ImageFactory) -> None:
    """On a grey image x_t is the noise scaled by its weight, so two steps show one pattern."""
    grey = make_image(np.full((3, 64, 64), 128, np.uint8))
    noisy, less = run(grey, None, model, TrajectoryParams((100, 50), seed=4)).frames
    patterns = [frame.x_t.astype(float) - 128 for frame in (noisy, less)]
    inside = (np.abs(patterns[0]) < 100) & (np.abs(patterns[1]) < 100)
    correlation = np.corrcoef(patterns[0][inside], patterns[1][inside])[0, 1]
    assert correlation > 0.999
    assert patterns[0].std() > 1.5 * patterns[1].std()


def test_input_is_the_image_at_the_clean_end_and_noise_at_the_other(
    model: LoadedModel, make_image: ImageFactory
) -> None:
    pixels, _ = drawn_scene(23)
    noisy, clean = run(make_image(pixels), None, model, TrajectoryParams((999, 0))).frames
    original = np.moveaxis(pixels, 0, -1).astype(float)
    assert np.abs(clean.x_t - original).mean() < 3
    assert abs(np.corrcoef(noisy.x_t.ravel(), original.ravel())[0, 1]) < 0.05
    assert clean.x_t.dtype == np.uint8


def test_scores_rise_as_noise_is_removed(result: TrajectoryResult) -> None:
    _, truth = drawn_scene(21, 97, 111)
    scores = [frame.scores for frame in result.frames]
    assert scores[0] is not None
    assert scores[-1] is not None
    expected = ConfusionCounts.from_labels(truth, result.frames[-1].labels, 2)
    assert scores[-1]["f1"] == pytest.approx(expected.f1[1])
    assert scores[-1]["mean_iou"] == pytest.approx(expected.mean_iou)
    assert (scores[-1]["f1"] or 0) > (scores[0]["f1"] or 0) + 0.2
    assert set(scores[-1]) == {"f1", "iou", "mean_f1", "mean_iou", "boundary_iou"}


def test_disagreement_is_with_the_last_frame(result: TrajectoryResult) -> None:
    for frame in result.frames:
        np.testing.assert_array_equal(frame.disagreement, frame.labels != result.frames[-1].labels)
    assert not result.frames[-1].disagreement.any()
    assert result.frames[0].disagreement.any()


def test_decision_time_is_the_start_of_the_last_steady_run() -> None:
    history = {
        (1, 1, 1, 1): 900,
        (0, 1, 1, 1): 600,
        (1, 0, 1, 1): 300,
        (1, 1, 1, 0): 0,
        (255, 255, 255, 255): -1,
    }
    labels = np.array(list(history), np.uint8).T[:, None, :]
    decided = decision_times(labels, (900, 600, 300, 0))
    assert decided.dtype == np.int16
    assert decided[0].tolist() == list(history.values())


def test_pair_shows_both_halves_trading_places(make_image: ImageFactory) -> None:
    before, after, truth = drawn_pair(24)
    trajectory = run(
        make_image(before),
        make_image(after),
        change_detector(),
        TrajectoryParams((999, 0)),
        (truth > 0).astype(np.uint8),
        truth_kind="binary",
    )
    last, first = trajectory.frames
    shown = [np.moveaxis(each, 0, -1).astype(float) for each in (before, after)]
    assert first.x_t_after is not None
    assert last.x_t_after is not None
    assert np.abs(first.x_t - shown[0]).mean() < 3
    assert np.abs(first.x_t_after - shown[1]).mean() < 3
    assert np.abs(last.x_t - shown[1]).mean() < 3
    assert np.abs(last.x_t_after - shown[0]).mean() < 3
    assert first.scores is not None
    assert (first.scores["f1"] or 0) > 0.9


def test_missing_pixels_are_never_decided(model: LoadedModel, make_image: ImageFactory) -> None:
    pixels, truth = drawn_scene(25)
    valid = np.ones(truth.shape, np.bool_)
    valid[:, :30] = False
    image = make_image(pixels, valid=valid)
    trajectory = run(image, None, model, TrajectoryParams((500, 0)), truth)
    assert (trajectory.decision_time[:, :30] == -1).all()
    assert (trajectory.decision_time[:, 30:] >= 0).all()
    assert all((frame.labels[:, :30] == 255).all() for frame in trajectory.frames)
    assert all((frame.x_t[:, :30] == 0).all() for frame in trajectory.frames)


# Refusals


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"steps": 1}, "1 steps were asked for"),
        ({"steps": 500}, "2 to 201"),
        ({"timesteps": ()}, "0 timesteps"),
        ({"timesteps": (0, 1000)}, "outside 0..999"),
        ({"seed": -3}, "Seed -3"),
        ({"resolution_m": -1.0}, "positive number of metres"),
    ],
)
def test_choices_out_of_range_are_refused(choices: dict[str, object], words: str) -> None:
    with pytest.raises(N2MError, match=words):
        TrajectoryParams(**choices)  # type: ignore[arg-type]


def test_too_many_frames_are_refused_before_work(
    model: LoadedModel, make_image: ImageFactory
) -> None:
    image = make_image(np.zeros((3, 2000, 2000), np.uint8))
    with pytest.raises(N2MError, match="take fewer steps"):
        run(image, None, model, TrajectoryParams(steps=21))


def test_truth_of_another_size_is_refused(model: LoadedModel, make_image: ImageFactory) -> None:
    with pytest.raises(LabelError, match="give a truth on the image's grid"):
        run(make_image(), None, model, truth=np.zeros((3, 3), np.uint8))


def test_task_must_fit_the_checkpoint(model: LoadedModel, make_image: ImageFactory) -> None:
    with pytest.raises(CheckpointError):
        run(make_image(), make_image(), model)


def test_run_can_be_stopped_within_a_frame(model: LoadedModel, make_image: ImageFactory) -> None:
    seen: list[tuple[int, int, str]] = []

    def stop_at_third(done: int, total: int, note: str) -> None:
        seen.append((done, total, note))
        if done == 2:
            raise CancelledError("Stopped.")

    with pytest.raises(CancelledError):
        run(make_image(), None, model, TrajectoryParams(steps=5), progress=stop_at_third)
    assert seen[-1] == (2, 5, "t = 500")


# The files


def test_files_are_complete_and_readable(result: TrajectoryResult, tmp_path: Path) -> None:
    out = tmp_path / "trajectory"
    files = write_trajectory(result, out)
    assert all(path.is_file() for path in files)
    assert {path for path in out.rglob("*") if path.is_file()} == set(files)
    record = json.loads((out / "trajectory.json").read_text(encoding="utf-8"))
    assert [row["t"] for row in record["frames"]] == [999, 749, 500, 250, 0]
    assert record["frames"][-1]["scores"]["f1"] == result.frames[-1].scores["f1"]  # type: ignore[index]
    assert record["checkpoint"] == "tiny-buildings"
    with Image.open(out / record["frames"][1]["files"]["map"]) as picture:
        np.testing.assert_array_equal(np.asarray(picture), result.frames[1].labels)
    with Image.open(out / record["frames"][1]["files"]["input"]) as picture:
        np.testing.assert_array_equal(np.asarray(picture), result.frames[1].x_t)
    with rasterio.open(out / "decision_time.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(1), result.decision_time)
        assert dataset.transform == result.image.transform


def test_animations_play_noisiest_first(result: TrajectoryResult, tmp_path: Path) -> None:
    write_trajectory(result, tmp_path / "t")
    with Image.open(tmp_path / "t" / "trajectory.gif") as animation:
        assert animation.n_frames == 5
        assert animation.info["loop"] == 0
        size = animation.size
    with av.open(str(tmp_path / "t" / "trajectory.mp4")) as video:
        stream = video.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert (stream.width, stream.height) == size
        assert stream.width % 2 == stream.height % 2 == 0
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    first, last = (
        np.asarray(Image.open(tmp_path / "t" / "frames" / name).convert("RGB")).astype(float)
        for name in ("panel_000_t999.png", "panel_004_t000.png")
    )
    assert np.abs(frames[0] - first).mean() < np.abs(frames[0] - last).mean()
    assert np.abs(frames[-1] - last).mean() < np.abs(frames[-1] - first).mean()


def test_earlier_trajectory_is_replaced_whole(result: TrajectoryResult, tmp_path: Path) -> None:
    out = tmp_path / "t"
    write_trajectory(result, out)
    stale = out / "frames" / "map_099_t001.png"
    stale.write_bytes(b"old")
    write_trajectory(result, out)
    assert not stale.exists()
    assert (out / "trajectory.json").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


def test_other_files_are_never_lost(result: TrajectoryResult, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match=r"holds other files \(thesis.tex\)"):
        write_trajectory(result, tmp_path)
    with pytest.raises(OutputError, match="is a file"):
        write_trajectory(result, tmp_path / "thesis.tex")
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_failure_leaves_the_earlier_trajectory(
    result: TrajectoryResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "t"
    write_trajectory(result, out)
    before = (out / "trajectory.json").read_bytes()

    def fill_the_disk(path: Path, _panels: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trajectory_files, "_write_mp4", fill_the_disk)
    with pytest.raises(OutputError, match="No space left on device"):
        write_trajectory(result, out)
    assert (out / "trajectory.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["t"]
