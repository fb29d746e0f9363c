"""What a farmland series is drawn from: one set of ranges for training, one that it never sees.

The two sets share nothing in the blur and bias of the coarse sensor, the shift of the calendars,
the kinds of sudden change and the seeds, so that a score on held-out series says how a method does
on a sensor and a season that it was not made for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Event = Literal["flood", "new-fields", "burn", "felling"]
Range = tuple[float, float]


@dataclass(frozen=True)
class FarmlandRanges:
    """Ranges of one set; a signed quantity is drawn by its size, its sign is free.

    Attributes:
        name: "train" or "held-out".
        seeds: series numbers of the set.
        blur: width at half height of the coarse sensor's point spread, coarse pixels.
        calendar_days: how far all calendars are shifted, days (size).
        gain: how far the coarse sensor's gain lies from 1 (size), a band each.
        offset: constant that the coarse sensor adds (size), reflectance, a band each.
        tilt: change of its brightness across the scene with the view angle (size), a share.
        late_days: days between the fine and the coarse view of one date (size).
        noise: of the coarse sensor, reflectance.
        events: sudden changes between the dates.
    """

    name: str
    seeds: range
    blur: Range
    calendar_days: Range
    gain: Range
    offset: Range
    tilt: Range
    late_days: Range
    noise: Range
    events: tuple[Event, ...]


TRAIN = FarmlandRanges(
    name="train",
    seeds=range(0, 1_000_000),
    blur=(0.8, 1.3),
    calendar_days=(0.0, 12.0),
    gain=(0.0, 0.04),
    offset=(0.0, 0.006),
    tilt=(0.0, 0.03),
    late_days=(0.0, 2.0),
    noise=(0.001, 0.004),
    events=("flood", "new-fields"),
)
HELD_OUT = FarmlandRanges(
    name="held-out",
    seeds=range(1_000_000, 2_000_000),
    blur=(1.4, 1.8),
    calendar_days=(14.0, 24.0),
    gain=(0.05, 0.08),
    offset=(0.007, 0.010),
    tilt=(0.035, 0.06),
    late_days=(2.5, 4.0),
    noise=(0.001, 0.004),
    events=("burn", "felling"),
)
RANGES: dict[str, FarmlandRanges] = {each.name: each for each in (TRAIN, HELD_OUT)}
