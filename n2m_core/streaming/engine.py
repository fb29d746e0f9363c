"""Work through the blocks of a scene on this machine: read ahead, compute, write behind.

While one block is computed the next one is read and the one before is written, each by a thread of
its own; no more than these three are held, whatever the size of the scene.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from n2m_core.geo_image import Progress
from n2m_core.raster_io import Box
from n2m_core.streaming.jobs import BlockResult, BlockWork

Deliver = Callable[[BlockResult], None]
"""Brings a result to the disk."""


@dataclass
class Meter:
    """How far a run is, how fast, and how long it will still take.

    Attributes:
        boxes: of all blocks, by number.
        before: blocks that an earlier run had done.
        progress: told; may raise to stop.
    """

    boxes: Sequence[Box]
    before: int
    progress: Progress | None
    _done_px: float = 0.0
    _done: int = 0
    _earlier_px: float = 0.0
    _started: float = field(default_factory=time.perf_counter)

    def finished(self, number: int) -> None:
        """Count a block."""
        self._done_px += self.boxes[number].pixels
        self._done += 1
        self._tell(0.0)

    def inside(self, number: int) -> Progress | None:
        """Give what is told while a block is computed."""
        if self.progress is None:
            return None
        pixels = self.boxes[number].pixels

        def tell(done: int, total: int, _note: str) -> None:
            """Count a part of the block."""
            self._tell(pixels * min(1.0, done / max(1, total)))

        return tell

    def start(self, done: Sequence[int]) -> None:
        """Leave out what an earlier run had done."""
        self._earlier_px = sum(self.boxes[number].pixels for number in done)
        self._tell(0.0)

    def _tell(self, extra_px: float) -> None:
        """Report blocks, megapixels, rate and time left."""
        if self.progress is None:
            return
        total_px = sum(box.pixels for box in self.boxes)
        here_px = self._done_px + extra_px
        seconds = time.perf_counter() - self._started
        note = f"blocks, {(self._earlier_px + here_px) / 1e6:.1f} of {total_px / 1e6:.1f} MP"
        if here_px > 0 and seconds > 0:
            rate = here_px / seconds
            left = (total_px - self._earlier_px - here_px) / rate
            note += f", {rate / 1e6:.2f} MP/s, {spoken(left)} left"
        self.progress(self.before + self._done, len(self.boxes), note)


def spoken(seconds: float) -> str:
    """A duration for a person."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def run_here(work: BlockWork, todo: Sequence[int], deliver: Deliver, meter: Meter) -> None:
    """Work through blocks in order.

    When something goes wrong, or a person stops the run, the block that is being written still
    comes to the disk.

    Args:
        work: files and weights.
        todo: numbers of the blocks that are not done.
        deliver: called from a thread of its own, one result after the other.
        meter: told of every batch of windows.
    """
    if not todo:
        return
    with ThreadPoolExecutor(1, "n2m-reader") as reader, ThreadPoolExecutor(1, "n2m-writer") as pen:
        ahead = reader.submit(work.read, todo[0])
        writing: Future[None] | None = None
        for index, number in enumerate(todo):
            loaded = ahead.result()
            if index + 1 < len(todo):
                ahead = reader.submit(work.read, todo[index + 1])
            result = work.compute(number, loaded, meter.inside(number))
            del loaded
            if writing is not None:
                writing.result()
            writing = pen.submit(deliver, result)
            meter.finished(number)
        if writing is not None:
            writing.result()
