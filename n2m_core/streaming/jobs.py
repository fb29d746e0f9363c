"""What every kind of job has in common: it is small, it opens itself, it works on one block.

A job can be sent to another process, which opens the files and the weights for itself, once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from numpy.typing import NDArray

from n2m_core.geo_image import GeoImage, Progress
from n2m_core.raster_io import Box, PartSpec, SceneFile

AnyJob = TypeVar("AnyJob")
AnyWork = TypeVar("AnyWork")
SIDE_PX = 2048
"""A block is about so large, lattice pixels, and larger where windows are."""
LEAST_WINDOWS = 24
"""So many windows lie along a block, so that those predicted twice are less than a tenth."""


@dataclass(frozen=True, eq=False)
class BlockResult:
    """What came of one block.

    Attributes:
        number: of the block.
        box: its pixels in the scene.
        bands: pixels [C, h, w] by the name of the raster; empty where there is no data.
        counts: whatever is to be added up over the blocks.
    """

    number: int
    box: Box
    bands: Mapping[str, NDArray[Any]]
    counts: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Loaded:
    """The pixels that a block needs, one image for each of the job's scenes."""

    images: tuple[GeoImage, ...]


class BlockWork(Protocol):
    """A job with its files and weights open; one thread reads while another computes."""

    @property
    def boxes(self) -> Sequence[Box]:
        """The pixels of every block, by its number."""

    @property
    def rasters(self) -> Mapping[str, PartSpec]:
        """What is written, by name."""

    def read(self, number: int) -> Loaded:
        """Read the pixels that a block needs."""

    def compute(self, number: int, loaded: Loaded, progress: Progress | None) -> BlockResult:
        """Work on a block; `progress` is told on the way and may raise to stop."""


class Job(Protocol):
    """What is to be done, as plain values that can be hashed and sent."""

    @property
    def files(self) -> tuple[SceneFile, ...]:
        """The files that are read."""

    def open(self) -> BlockWork:
        """Open files and weights."""


@dataclass(frozen=True, eq=False)
class ReadyJob(Generic[AnyJob, AnyWork]):
    """A job with what a person should know about it.

    Attributes:
        job: what is done.
        work: its files and weights, open.
        notes: a sentence each.
    """

    job: AnyJob
    work: AnyWork
    notes: tuple[str, ...]


def side_for(window_px: int, overlap_px: int, asked_px: int | None) -> int:
    """Choose the side of a block, lattice pixels."""
    if asked_px is not None:
        return asked_px
    return max(SIDE_PX, LEAST_WINDOWS * (window_px - overlap_px))
