"""From noise to map: the same image predicted at many timesteps.

Paper: Shibli, Nascetti, Ban, "Noise2Map", IEEE TGRS 2026, arXiv 2604.27889, section on
interpretability. Fix weights and noise seed; for every t of a grid build x_t, predict in one pass.

Symbols: t timestep in 0..999; x_t noisy input at t.

The frames are independent single passes, each from the SAME noise draw at another t: they differ by
t alone, and no frame feeds the next. They come noisiest first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from n2m_core.checkpoints import CheckpointCard, LoadedModel
from n2m_core.datasets.base import LabelKind
from n2m_core.diffusion.noise import TIMESTEPS, NoiseKind, NoiseProcess, ScheduleName
from n2m_core.errors import LabelError, ParameterError
from n2m_core.geo_image import GeoImage, Progress
from n2m_core.tasks.change import align_pair
from n2m_core.tasks.frame_scores import score_frame
from n2m_core.tasks.inference import (
    NoiseField,
    Prepared,
    Step,
    mix_windows,
    predict,
    prepare,
    process_for,
)
from n2m_core.tasks.labelling import make_labels
from n2m_core.tasks.mapping import check_task
from n2m_core.tasks.params import MapParams
from n2m_core.tasks.result import INVALID
from n2m_core.tasks.trajectory_files import write_trajectory

__all__ = [
    "Frame",
    "TrajectoryParams",
    "TrajectoryResult",
    "decision_times",
    "run",
    "write_trajectory",
]

Labels = NDArray[np.uint8]

MAX_STEPS = 201
MAX_FRAME_PIXELS = 64_000_000
"""Pixels of all frames together: about 0.7 GB in memory."""
UNDECIDED = -1
"""Decision time of a pixel without data."""


@dataclass(frozen=True)
class TrajectoryParams:
    """Choices for a trajectory.

    Attributes:
        timesteps: steps to show, in any order; None for an even grid of `steps`.
        steps: how many steps from 999 to 0, 2..201; not used when `timesteps` is given.
        seed: names the noise draw that all frames share.
        resolution_m: ground size of a pixel, metres, in place of the image's own.
        threshold: see `MapParams`.
        process: noise process in place of the card's, for comparisons.
        schedule: noise schedule in place of the card's, for comparisons.
    """

    timesteps: tuple[int, ...] | None = None
    steps: int = 11
    seed: int = 0
    resolution_m: float | None = None
    threshold: float | None = None
    process: NoiseKind | None = None
    schedule: ScheduleName | None = None

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            ParameterError: a value is out of its range.
        """
        if self.timesteps is None and not 2 <= self.steps <= MAX_STEPS:
            raise ParameterError(f"{self.steps} steps were asked for; 2 to {MAX_STEPS} can be.")
        if self.timesteps is not None and not 1 <= len(set(self.timesteps)) <= MAX_STEPS:
            raise ParameterError(
                f"{len(self.timesteps)} timesteps were given; 1 to {MAX_STEPS} can be."
            )
        for timestep in self.grid:
            self.at(timestep)

    @property
    def grid(self) -> tuple[int, ...]:
        """The timesteps, noisiest first, each once."""
        if self.timesteps is not None:
            return tuple(sorted(set(self.timesteps), reverse=True))
        even = np.linspace(TIMESTEPS - 1, 0, self.steps)
        return tuple(dict.fromkeys(round(float(t)) for t in even))

    def at(self, timestep: int) -> MapParams:
        """Give the choices of one frame's map."""
        return MapParams(
            timestep=timestep,
            seed=self.seed,
            threshold=self.threshold,
            resolution_m=self.resolution_m,
            process=self.process,
            schedule=self.schedule,
        )


@dataclass(frozen=True, eq=False)
class Frame:
    """One timestep of a trajectory, on the image's own grid.

    Attributes:
        timestep: t.
        x_t: what the network saw, uint8 RGB [H, W, 3]; [-1, 1] shown as 0..255 and clipped; for a
            pair the half that is the image before at t = 0.
        x_t_after: the other half of a pair; None for one image.
        labels: class index, uint8 [H, W]; 255 where there is no data.
        confidence: probability of the class shown, float32 [H, W].
        disagreement: bool [H, W], True where the class differs from the last, cleanest frame's.
        scores: f1 and iou of the target (or the class means), mean_f1, mean_iou and boundary_iou
            against the truth; None without truth.
    """

    timestep: int
    x_t: NDArray[np.uint8]
    x_t_after: NDArray[np.uint8] | None
    labels: Labels
    confidence: NDArray[np.float32]
    disagreement: NDArray[np.bool_]
    scores: dict[str, float | None] | None


@dataclass(frozen=True, eq=False)
class TrajectoryResult:
    """A trajectory, frames noisiest first.

    Attributes:
        image: the image; for change the later one, on the earlier one's grid.
        before: the earlier image of a change; None for a segmentation.
        frames: one a timestep.
        decision_time: int16 [H, W], the noisiest timestep from which a pixel's class no longer
            changes; -1 where there is no data.
        card: the checkpoint.
        params: the choices.
        notes: what the person should know, a sentence each.
        seconds: wall time.
    """

    image: GeoImage
    before: GeoImage | None
    frames: tuple[Frame, ...]
    decision_time: NDArray[np.int16]
    card: CheckpointCard
    params: TrajectoryParams
    notes: tuple[str, ...]
    seconds: float


def run(
    image: GeoImage,
    after: GeoImage | None,
    model: LoadedModel,
    params: TrajectoryParams | None = None,
    truth: Labels | None = None,
    progress: Progress | None = None,
    *,
    truth_kind: LabelKind = "classes",
) -> TrajectoryResult:
    """Predict an image, or a pair, at every timestep from one noise draw.

    Args:
        image: the image, or the earlier one of a pair.
        after: the later image; None for a segmentation.
        model: a checkpoint for the task.
        params: the person's choices.
        truth: class indices on the grid of `image`, uint8 [H, W]; 255 counts nowhere.
        progress: told (frames done, frames, note); may raise to stop.
        truth_kind: "binary" when 1 in the truth means any target class.

    Returns:
        The frames, noisiest first, and the decision times.

    Raises:
        CheckpointError: the checkpoint is for the other task.
        LabelError: the truth has another size, or values that are no class.
        ParameterError: too many frames for an image of this size.
    """
    started = time.perf_counter()
    params = params or TrajectoryParams()
    check_task(model.card, "segment" if after is None else "change")
    _check_size(image, params.grid, truth)
    images = (image,) if after is None else align_pair(image, after)
    prepared = prepare(images, model.card, resolution_m=params.resolution_m)
    raw = _predict_all(prepared, model, params, progress)
    stack = np.stack([labels for labels, _ in raw])
    pictures = _input_pictures(prepared, model.card, params)
    frames = tuple(
        Frame(
            timestep=timestep,
            x_t=shown[0],
            x_t_after=shown[1] if len(shown) == 2 else None,
            labels=labels,
            confidence=confidence,
            disagreement=labels != stack[-1],
            scores=None if truth is None else score_frame(truth, labels, model.card, truth_kind),
        )
        for timestep, shown, (labels, confidence) in zip(params.grid, pictures, raw, strict=True)
    )
    return TrajectoryResult(
        image=images[-1],
        before=images[0] if after is not None else None,
        frames=frames,
        decision_time=decision_times(stack, params.grid),
        card=model.card,
        params=params,
        notes=prepared.notes,
        seconds=time.perf_counter() - started,
    )


def decision_times(labels: Labels, timesteps: Sequence[int]) -> NDArray[np.int16]:
    """Find the noisiest timestep from which on each pixel keeps its last class.

    Args:
        labels: class maps, noisiest first, uint8 [T, H, W]; 255 where there is no data.
        timesteps: t of every map, descending.

    Returns:
        int16 [H, W]; -1 where there is no data.
    """
    decided = np.full(labels.shape[1:], timesteps[-1], dtype=np.int16)
    is_steady = np.ones(labels.shape[1:], dtype=np.bool_)
    for index in range(len(timesteps) - 2, -1, -1):
        is_steady &= labels[index] == labels[-1]
        decided[is_steady] = timesteps[index]
    decided[labels[-1] == INVALID] = UNDECIDED
    return decided


def _check_size(image: GeoImage, grid: tuple[int, ...], truth: Labels | None) -> None:
    """Refuse what would not fit, before any work."""
    pixels = image.height * image.width * len(grid)
    if pixels > MAX_FRAME_PIXELS:
        side = int((MAX_FRAME_PIXELS / len(grid)) ** 0.5)
        raise ParameterError(
            f"{len(grid)} frames of {image.width} x {image.height} px are "
            f"{pixels / 1e6:.0f} million pixels; at most {MAX_FRAME_PIXELS / 1e6:.0f} million. "
            f"Cut the image to about {side} x {side} px or take fewer steps."
        )
    if truth is not None and truth.shape != image.valid.shape:
        raise LabelError(
            f"The truth is {truth.shape[1]} x {truth.shape[0]} px and the image {image.width} x "
            f"{image.height} px; give a truth on the image's grid."
        )


def _predict_all(
    prepared: Prepared,
    model: LoadedModel,
    params: TrajectoryParams,
    progress: Progress | None,
) -> list[tuple[Labels, NDArray[np.float32]]]:
    """Predict labels and confidence at every timestep, all from one noise draw."""
    noise = NoiseField(params.seed, len(prepared.x0))
    process = process_for(model.card, params.at(params.grid[0]))
    results = []
    for index, timestep in enumerate(params.grid):
        inner = _frame_progress(progress, index, len(params.grid), timestep)
        probabilities = predict(prepared, model, Step(timestep, True), process, noise, inner)
        labels = make_labels(probabilities, prepared.valid, model.card, params.threshold)
        shown = np.where(labels == INVALID, 0, labels)[None].astype(np.int64)
        results.append((labels, np.take_along_axis(probabilities, shown, axis=0)[0]))
    if progress is not None:
        progress(len(params.grid), len(params.grid), "done")
    return results


def _frame_progress(
    progress: Progress | None, index: int, count: int, timestep: int
) -> Progress | None:
    """Report frames, but let the person stop within one."""
    if progress is None:
        return None
    report: Callable[[int, int, str], None] = progress
    return lambda _done, _total, _note: report(index, count, f"t = {timestep}")


def _input_pictures(
    prepared: Prepared, card: CheckpointCard, params: TrajectoryParams
) -> list[list[NDArray[np.uint8]]]:
    """Show x_t at every timestep: one picture an image, on the image's own grid."""
    process = process_for(card, params.at(params.grid[0]))
    row, column = prepared.lattice.origin
    height, width = prepared.x0.shape[1:]
    x0 = torch.from_numpy(prepared.x0[None])
    noise = NoiseField(params.seed, len(prepared.x0))
    noise.window(row, column, height, width)
    return [
        _as_pictures(_mix(x0, (row, column), timestep, process, noise), prepared, len(card.bands))
        for timestep in params.grid
    ]


def _mix(
    x0: torch.Tensor,
    origin: tuple[int, int],
    timestep: int,
    process: NoiseProcess,
    noise: NoiseField,
) -> NDArray[np.float32]:
    """Mix x_t over the whole lattice, float32 [C, h, w]."""
    x_t: NDArray[np.float32] = mix_windows(x0, [origin], Step(timestep, True), process, noise)[
        0
    ].numpy()
    return x_t


def _as_pictures(
    x_t: NDArray[np.float32], prepared: Prepared, bands: int
) -> list[NDArray[np.uint8]]:
    """Show [-1, 1] as 0..255, each date on its own, no data black."""
    pictures = []
    for first in range(0, len(x_t), bands):
        chosen = x_t[first : first + min(bands, 3)] if bands >= 3 else x_t[first : first + 1]
        levels = np.clip(np.rint((chosen + 1.0) * 127.5), 0, 255).astype(np.uint8)
        on_image: NDArray[Any] = prepared.lattice.to_image_nearest(levels)
        picture = np.where(prepared.valid, on_image, 0).astype(np.uint8)
        pictures.append(np.moveaxis(np.repeat(picture, 3 // len(picture), axis=0), 0, -1).copy())
    return pictures
