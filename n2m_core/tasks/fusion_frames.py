"""A fusion's way from the coarse image to the fine one, moment by moment."""

from __future__ import annotations

from dataclasses import dataclass

from n2m_core.fusion.inputs import (
    FloatArray,
    FusionInputs,
    FusionMethod,
    FusionOutput,
    SteppedMethod,
)
from n2m_core.geo_image import Progress

MAX_FRAMES = 24


@dataclass(frozen=True, eq=False)
class FuseFrame:
    """A moment of a learned method's way back from coarse to fine.

    Attributes:
        step: how many steps were taken.
        timestep: where the image on the way stands; 0 is the fine image.
        x: the image on the way, float32 [C, H, W], reflectance; of the first six bands.
        expected: the fine image that the network predicted in this step, likewise.
    """

    step: int
    timestep: int
    x: FloatArray
    expected: FloatArray


def predict(
    method: FusionMethod, inputs: FusionInputs, count: int, progress: Progress
) -> tuple[FusionOutput, tuple[FuseFrame, ...]]:
    """Run a method and keep moments of its way, evenly spaced, the last one always.

    Args:
        method: classical or learned.
        inputs: the five images.
        count: how many moments; 0 costs nothing.
        progress: told of every step; may raise to stop.

    Returns:
        The fine image, and the moments, coarsest first; none where the method takes no steps.
    """
    if not count or not isinstance(method, SteppedMethod) or not method.timesteps:
        return method.predict(inputs, progress), ()
    from n2m_core.tasks.denoising import kept_steps  # brings torch, which such a method has

    kept, frames = kept_steps(len(method.timesteps), count), list[FuseFrame]()

    def keep(done: int, x: FloatArray, expected: FloatArray) -> None:
        """Keep the moment after a step."""
        if done in kept:
            frames.append(FuseFrame(done, method.timesteps[done - 1], x, expected))

    return method.predict(inputs, progress, keep), tuple(frames)
