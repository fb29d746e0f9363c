"""Run a predictor over an image of any size in overlapping windows that leave no seam.

Windows sit on a fixed lattice of pixel positions, every `size - overlap` pixels counted from the
origin of the scene, so that a crop that knows its origin meets the same windows as the whole scene.
Every window starts on a multiple of `multiple` pixels, which keeps a network that halves its input
several times in step with itself. Where windows overlap, each counts with a weight that falls
smoothly to zero at its edge.

The weights are separable and sum to one at every pixel, so the result is a plain weighted sum, the
same whatever the batch size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from n2m_core.errors import ParameterError
from n2m_core.geo_image import Progress

Predictor = Callable[[NDArray[np.float32], list[tuple[int, int]]], NDArray[Any]]
"""(windows float32 [B, C, h, w], scene position (row, column) of each) to [B, K, h, w]."""
LARGEST = 1.5
"""An extent up to so many windows gets one longer window: two would nearly repeat each other."""


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels; it may reach beyond the image by less than one multiple."""

    row: int
    col: int
    height: int
    width: int


@dataclass(frozen=True, eq=False)
class Placement:
    """Windows along one axis.

    Attributes:
        starts: first pixel of each, image pixels, rising.
        length: of every window, pixels.
        weights: float32 [N, length]; those of all windows sum to one at every pixel.
    """

    starts: tuple[int, ...]
    length: int
    weights: NDArray[np.float32]

    @property
    def span(self) -> tuple[int, int]:
        """First pixel of the first window, and the one behind the last window."""
        return self.starts[0], self.starts[-1] + self.length

    def touching(self, first: int, stop: int) -> Placement:
        """Keep the windows that have a say in the pixels from `first` to `stop` (exclusive)."""
        kept = [i for i, at in enumerate(self.starts) if at < stop and at + self.length > first]
        starts = tuple(self.starts[i] for i in kept)
        return Placement(starts, self.length, self.weights[kept])

    def moved(self, by: int) -> Placement:
        """Count the pixels from another one."""
        return Placement(tuple(at + by for at in self.starts), self.length, self.weights)


def windows(
    height: int,
    width: int,
    size: int,
    overlap: int,
    *,
    multiple: int = 1,
    origin: tuple[int, int] = (0, 0),
) -> list[Window]:
    """Cover an image with overlapping windows, row by row.

    Args:
        height: of the image, pixels.
        width: of the image, pixels.
        size: side of a window, pixels; an image up to half as large again gets one of its size.
        overlap: overlap of neighbours, pixels; beside the image's edges as little as half.
        multiple: sides and scene positions of the windows are multiples of this.
        origin: scene position (row, column) of the image's first pixel.

    Returns:
        Windows in image pixels.

    Raises:
        ParameterError: sizes that do not fit each other.
    """
    _check(height, width, size, overlap, multiple)
    rows = _axis(height, size, overlap, multiple, origin[0])
    columns = _axis(width, size, overlap, multiple, origin[1])
    return [
        Window(row, column, rows.length, columns.length)
        for row in rows.starts
        for column in columns.starts
    ]


def predict_tiled(
    predict: Predictor,
    image: NDArray[np.float32],
    *,
    size: int = 256,
    overlap: int = 64,
    batch: int = 4,
    multiple: int = 32,
    origin: tuple[int, int] = (0, 0),
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Predict every pixel from overlapping windows, blended.

    Args:
        predict: gets windows float32 [B, C, h, w] and the scene position (row, column) of each,
            which may lie up to `multiple` px before the image; gives [B, K, h, w].
        image: float32 [C, H, W]; reflected where a window reaches beyond it.
        size: side of a window, pixels, a multiple of `multiple`; see `windows`.
        overlap: overlap of neighbours, pixels; beside the image's edges as little as half.
        batch: windows predicted at once.
        multiple: sides of the windows that the predictor takes.
        origin: scene position (row, column) of the image's first pixel.
        progress: told after every batch; may raise to stop.

    Returns:
        float32 [K, H, W].

    Raises:
        ParameterError: sizes that do not fit each other.
    """
    height = image.shape[1]
    result: NDArray[np.float32] | None = None
    strips = predict_strips(
        predict,
        lambda rows: image[:, rows],
        image.shape[1:],
        size=size,
        overlap=overlap,
        batch=batch,
        multiple=multiple,
        origin=origin,
        progress=progress,
    )
    for row, strip in strips:
        if result is None:
            result = np.empty((len(strip), height, image.shape[2]), np.float32)
        result[:, row : row + strip.shape[1]] = strip
    assert result is not None
    return result


def predict_strips(
    predict: Predictor,
    read_rows: Callable[[NDArray[np.intp]], NDArray[np.float32]],
    shape: Sequence[int],
    *,
    size: int = 256,
    overlap: int = 64,
    batch: int = 4,
    multiple: int = 32,
    origin: tuple[int, int] = (0, 0),
    progress: Progress | None = None,
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Predict from the top down and hand out rows as soon as no window changes them again.

    Memory holds one row of windows, whatever the height of the scene.

    Args:
        predict: see `predict_tiled`.
        read_rows: gets row numbers inside the image [N], gives float32 [C, N, W].
        shape: (height, width) of the image.
        size: see `predict_tiled`, like all that follow.
        overlap: overlap of neighbours, pixels; beside the image's edges as little as half.
        batch: windows predicted at once.
        multiple: sides of the windows that the predictor takes.
        origin: scene position of the image's first pixel.
        progress: told after every batch.

    Yields:
        (first row, float32 [K, rows, W]), gapless from the top.

    Raises:
        ParameterError: sizes that do not fit each other.
    """
    height, width = shape
    _check(height, width, size, overlap, multiple)
    rows = _axis(height, size, overlap, multiple, origin[0])
    columns = _axis(width, size, overlap, multiple, origin[1])
    yield from predict_placed(
        predict, read_rows, shape, rows, columns, batch=batch, origin=origin, progress=progress
    )


def place(extent: int, size: int, overlap: int, multiple: int, origin: int) -> Placement:
    """Place the windows of `predict_tiled` along one axis.

    Args:
        extent: pixels of the image along the axis.
        size: side of a window, pixels.
        overlap: overlap of neighbours, pixels.
        multiple: sides and scene positions of the windows are multiples of this.
        origin: scene position of the image's first pixel.

    Raises:
        ParameterError: sizes that do not fit each other.
    """
    _check(extent, extent, size, overlap, multiple)
    return _axis(extent, size, overlap, multiple, origin)


def predict_placed(
    predict: Predictor,
    read_rows: Callable[[NDArray[np.intp]], NDArray[np.float32]],
    shape: Sequence[int],
    rows: Placement,
    columns: Placement,
    *,
    batch: int = 4,
    origin: tuple[int, int] = (0, 0),
    progress: Progress | None = None,
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Predict from windows that are already placed; those of a part of a scene, say.

    Pixels whose windows are not all among them get a part of their sum only.

    Args:
        predict: see `predict_tiled`.
        read_rows: gets row numbers inside the image [N], gives float32 [C, N, W].
        shape: (height, width) of the image.
        rows: windows down the image.
        columns: windows across it.
        batch: windows predicted at once.
        origin: scene position of the image's first pixel.
        progress: told after every batch.

    Yields:
        (first row, float32 [K, rows, W]), gapless from the first window.
    """
    height, width = shape
    runner = _RowRunner(predict, columns, width, origin, batch, progress)
    total = len(rows.starts) * len(columns.starts)
    pending: NDArray[np.float32] | None = None
    for index, start in enumerate(rows.starts):
        band = read_rows(reflect(np.arange(start, start + rows.length), height))
        fresh = runner.run(band, start, index * len(columns.starts), total)
        fresh *= rows.weights[index][:, None]
        if pending is not None:
            fresh[:, : pending.shape[1]] += pending
        is_last = index + 1 == len(rows.starts)
        end = start + rows.length if is_last else rows.starts[index + 1]
        top, bottom = max(start, 0), min(end, height)
        yield top, fresh[:, top - start : bottom - start]
        pending = fresh[:, end - start :]


@dataclass(frozen=True)
class _RowRunner:
    """Predicts one row of windows and blends it across the columns."""

    predict: Predictor
    columns: Placement
    width: int
    origin: tuple[int, int]
    batch: int
    progress: Progress | None

    def run(
        self, band: NDArray[np.float32], start: int, before: int, total: int
    ) -> NDArray[np.float32]:
        """Give the weighted sums of a row of windows [K, h, columns]."""
        blended: NDArray[np.float32] | None = None
        for first in range(0, len(self.columns.starts), self.batch):
            chosen = self.columns.starts[first : first + self.batch]
            inputs = np.stack([self._cut(band, column) for column in chosen])
            positions = [(start + self.origin[0], column + self.origin[1]) for column in chosen]
            outputs = self.predict(inputs, positions)
            if blended is None:
                shape = (outputs.shape[1], band.shape[1], self.width)
                blended = np.zeros(shape, np.float32)
            for offset, (column, output) in enumerate(zip(chosen, outputs, strict=True)):
                left, right = max(column, 0), min(column + self.columns.length, self.width)
                inside = slice(left - column, right - column)
                weights = self.columns.weights[first + offset][inside]
                blended[:, :, left:right] += output[:, :, inside] * weights
            if self.progress is not None:
                done = before + first + len(chosen)
                self.progress(done, total, f"{done} of {total} windows")
        assert blended is not None
        return blended

    def _cut(self, band: NDArray[np.float32], column: int) -> NDArray[np.float32]:
        stop = column + self.columns.length
        if column >= 0 and stop <= self.width:
            return band[:, :, column:stop]
        return band[:, :, reflect(np.arange(column, stop), self.width)]


def _check(height: int, width: int, size: int, overlap: int, multiple: int) -> None:
    if height < 1 or width < 1:
        raise ParameterError(f"The image is {width} x {height} px; it needs at least 1 x 1.")
    if multiple < 1 or size < 1 or size % multiple or overlap % multiple:
        raise ParameterError(
            f"Window size {size} and overlap {overlap} must be multiples of {multiple} px."
        )
    if not 0 <= overlap < size:
        raise ParameterError(
            f"Overlap is {overlap} px; it must lie between 0 and the window size {size}."
        )


def _axis(extent: int, size: int, overlap: int, multiple: int, origin: int) -> Placement:
    """Place the windows along one axis: the lattice, and one more flush with each end."""
    front = origin % multiple
    padded = -(-(front + extent) // multiple) * multiple
    first, length = -front, padded if padded <= LARGEST * size else size
    last = first + padded - length
    stride = size - overlap
    lattice = range((origin + first) // stride * stride + stride, origin + last, stride)
    inner = [position - origin for position in lattice]
    # A lattice window close to a flush one would nearly repeat it; half the overlap still blends.
    near, reach = overlap // 2, stride + overlap // 2
    if inner and inner[0] - first <= near and [*inner, last][1] - first <= reach:
        inner = inner[1:]
    if inner and last - inner[-1] <= near and last - [first, *inner][-2] <= reach:
        inner = inner[:-1]
    starts = (first, *inner, *([last] if last > first else []))
    return Placement(starts, length, _weights(starts, length, overlap))


def _weights(starts: Sequence[int], length: int, overlap: int) -> NDArray[np.float32]:
    """Taper each window with a squared sine over the overlap, then make all sum to one."""
    edge = np.minimum(np.arange(length), np.arange(length)[::-1]) + 0.5
    taper = np.sin(np.pi / 2 * np.minimum(edge / max(overlap, 1), 1.0)) ** 2
    if overlap == 0:
        taper = np.ones(length)
    total = np.zeros(starts[-1] + length - starts[0])
    for start in starts:
        total[start - starts[0] :][:length] += taper
    return np.stack([taper / total[start - starts[0] :][:length] for start in starts]).astype(
        np.float32
    )


def reflect(positions: NDArray[np.intp], extent: int) -> NDArray[np.intp]:
    """Fold positions beyond an axis back into it, as a mirror on its first and last pixel.

    Args:
        positions: pixel numbers, int [N].
        extent: pixels of the axis.

    Returns:
        int [N] in 0..extent - 1.
    """
    if extent == 1:
        return np.zeros_like(positions)
    period = 2 * (extent - 1)
    folded = positions % period
    return np.minimum(folded, period - folded)
