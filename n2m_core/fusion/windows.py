"""Moving windows over an image, in strips of rows.

Strips are small enough to stay in a processor's cache, which bounds the memory whatever the size of
the scene; numpy and compiled loops let go of the interpreter's lock, so that a few threads share
them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from n2m_core.errors import ParameterError
from n2m_core.fusion.inputs import BoolArray, FloatArray
from n2m_core.geo_image import Progress

STRIP_PIXELS = 4096
"""Pixels of a strip: twenty float32 layers of it take 320 KiB."""
MAX_THREADS = 8
MAX_WINDOW_PX = 301


@dataclass(frozen=True)
class Strip:
    """Rows `first` to `last` (exclusive) of the image."""

    first: int
    last: int

    @property
    def rows(self) -> slice:
        """Its rows in the image."""
        return slice(self.first, self.last)


def check_window(window_px: int) -> int:
    """Check a window's side and give its reach, the pixels on each side of the centre.

    Raises:
        ParameterError: the side is even, below 3 or above 301.
    """
    if not 3 <= window_px <= MAX_WINDOW_PX or window_px % 2 == 0:
        raise ParameterError(
            f"The window is {window_px} px; give an odd number of 3 to {MAX_WINDOW_PX}, such as 31."
        )
    return window_px // 2


def distances(reach: int) -> NDArray[np.float64]:
    """Distance of every place of a window from its centre, pixels [2 * reach + 1] squared."""
    away = np.arange(-reach, reach + 1.0)
    apart: NDArray[np.float64] = np.hypot(away[:, None], away[None, :])
    return apart


def pad(images: NDArray[Any], reach: int, fill: float = 0) -> NDArray[Any]:
    """Put a margin around arrays [..., H, W], so that every window fits."""
    margins = [(0, 0)] * (images.ndim - 2) + [(reach, reach)] * 2
    padded: NDArray[Any] = np.pad(images, margins, constant_values=fill)
    return padded


def strips(height: int, width: int, pixels: int = STRIP_PIXELS) -> Iterator[Strip]:
    """Cut an image into strips of whole rows with about `pixels` pixels each."""
    rows = max(1, pixels // width)
    for first in range(0, height, rows):
        yield Strip(first, min(height, first + rows))


def threads() -> int:
    """How many strips are worked on at once: OMP_NUM_THREADS, else one for each core."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    count = int(asked) if asked.isdigit() else (os.cpu_count() or 1)
    return max(1, min(MAX_THREADS, count))


def for_each_strip(
    shape: tuple[int, ...],
    work: Callable[[Strip], None],
    progress: Progress,
    note: str,
    *,
    pixels: int = STRIP_PIXELS,
) -> None:
    """Work on every strip; each writes its own rows of the result.

    Args:
        shape: rows and columns.
        work: called once a strip, from several threads.
        progress: told after every strip; when it raises, no further strip is begun.
        note: what is being done.
        pixels: about how many pixels a strip holds.
    """
    todo = list(strips(shape[0], shape[1], pixels))
    with ThreadPoolExecutor(threads(), thread_name_prefix="n2m-strip") as pool:
        running = [pool.submit(work, strip) for strip in todo]
        try:
            for done, finished in enumerate(as_completed(running), start=1):
                finished.result()
                progress(done, len(todo), note)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def window_sum(images: NDArray[Any], reach: int) -> NDArray[np.float64]:
    """Sum over the window around every pixel, float64 [..., H, W]; nothing lies outside the image.

    A direct sum, not a running one: what lies beyond a window leaves no trace in it.
    """
    ones = np.ones(2 * reach + 1)
    rows = correlate1d(np.asarray(images, np.float64), ones, axis=-2, mode="constant")
    summed: NDArray[np.float64] = correlate1d(rows, ones, axis=-1, mode="constant")
    return summed


def window_mean(images: FloatArray, valid: BoolArray, reach: int) -> NDArray[np.float64]:
    """Mean over the valid pixels of the window, float64 [..., H, W]; 0 where there is none."""
    count = window_sum(valid, reach)
    mean: NDArray[np.float64] = window_sum(np.where(valid, images, 0), reach) / np.maximum(count, 1)
    return mean
