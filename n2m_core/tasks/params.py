"""What a person may choose when a map is made."""

from __future__ import annotations

import math
from dataclasses import dataclass

from n2m_core.diffusion.noise import NoiseKind, ScheduleName, check_timestep
from n2m_core.errors import ParameterError

MAX_SEED = 2**63 - 1


@dataclass(frozen=True)
class MapParams:
    """Choices common to segmentation and change detection.

    Attributes:
        timestep: None for the card's own step and input; a number mixes x_t at that step.
        seed: names the noise draw, 0..2^63 - 1.
        threshold: least probability of the target (any class but the first) for it to be mapped,
            in (0, 1); None for the likeliest class. Only for checkpoints with a background class.
        resolution_m: ground size of a pixel, metres, in place of the image's own; None to trust the
            image, or the card where the image doesn't say.
        min_area_m2: target areas smaller than this become background; without a background, areas
            of any class take the class beside them, m2.
        process: noise process in place of the card's, for comparisons; needs a timestep.
        schedule: noise schedule in place of the card's, for comparisons; needs a timestep.
        told: step that the network is told while x_t is mixed at `timestep`, to see what knowing
            the step does; None for the truth; needs a timestep.
    """

    timestep: int | None = None
    seed: int = 0
    threshold: float | None = None
    resolution_m: float | None = None
    min_area_m2: float = 0.0
    process: NoiseKind | None = None
    schedule: ScheduleName | None = None
    told: int | None = None

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            ParameterError: a value is out of its range.
        """
        if self.timestep is not None:
            check_timestep(self.timestep)
        elif (self.process, self.schedule, self.told) != (None, None, None):
            raise ParameterError(
                "Another noise process or schedule, or another step to tell the network, needs a "
                "timestep to mix at; give one in 0..999."
            )
        if self.told is not None:
            check_timestep(self.told)
        check_seed(self.seed)
        check_resolution(self.resolution_m)
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise ParameterError(
                f"Threshold {self.threshold} must lie between 0 and 1; 0.5 is the usual choice."
            )
        if not 0 <= self.min_area_m2 < math.inf:
            raise ParameterError(
                f"Smallest area {self.min_area_m2} m2 must be 0 or a positive number."
            )


def check_seed(seed: int) -> None:
    """Check the name of a noise draw.

    Raises:
        ParameterError: it is negative or beyond 63 bits.
    """
    if not 0 <= seed <= MAX_SEED:
        raise ParameterError(f"Seed {seed} must be a whole number in 0..{MAX_SEED}.")


def check_resolution(resolution_m: float | None) -> None:
    """Check a ground resolution given by a person.

    Raises:
        ParameterError: it is not a positive number of metres.
    """
    if resolution_m is not None and not 0 < resolution_m < math.inf:
        raise ParameterError(
            f"Resolution {resolution_m} must be a positive number of metres per pixel."
        )
