"""The frequency claim of IDGBR on maps with a truth: where errors lie, and when boundaries come.

Paper: Wang et al. (IDGBR), IEEE TPAMI 2026, arXiv 2507.01573: segmenters get low frequencies right,
diffusion the high ones. Tested by the spectra of the error before and after (`metrics.spectrum`),
and by the boundary score of what each denoising step expects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from n2m_core.metrics.boundary import boundary_f1, wfm
from n2m_core.metrics.spectrum import ErrorSpectrum, error_map, error_spectrum
from n2m_core.tasks.refine import RefineFrame
from n2m_core.tasks.repairing import targets_of

Labels = NDArray[np.uint8]

TOLERANCE_PX = 3


@dataclass(frozen=True)
class StepScore:
    """Boundary scores of what a denoising step expects.

    Attributes:
        step: steps done, from 1; 0 for the rough map, which no step has touched.
        wfm: weighted F of the boundary in [0, 1], NaN where it does not exist.
        f1_3px: boundary F1 at 3 px, the same.
    """

    step: int
    wfm: float
    f1_3px: float


def map_spectrum(truth: Labels, labels: Labels, classes: int) -> ErrorSpectrum:
    """Give the power spectrum of a map's error.

    Args:
        truth: class indices, uint8 [H, W]; 255 counts nowhere.
        labels: the same for the map.
        classes: K; of two the second is the object, of more each is one and their spectra add up.

    Returns:
        The spectrum.

    Raises:
        LabelError: the maps differ in shape.
    """
    first, *others = (
        error_spectrum(error_map(truth, labels, target=target)) for target in targets_of(classes)
    )
    return sum(others, first)


def step_scores(
    truth: Labels, rough: Labels, frames: Sequence[RefineFrame], classes: int
) -> list[StepScore]:
    """Score the boundaries of the rough map and of every kept moment of a walk.

    Args:
        truth: class indices, uint8 [H, W]; 255 counts nowhere.
        rough: the map that the walk refines, the same.
        frames: the moments, noisiest first.
        classes: K.

    Returns:
        The rough map as step 0, then the moments.

    Raises:
        LabelError: the maps differ in shape.
    """
    targets = targets_of(classes)
    moments = [(0, rough), *((frame.step, frame.labels) for frame in frames)]
    return [
        StepScore(step, wfm(truth, each), boundary_f1(truth, each, TOLERANCE_PX, targets=targets))
        for step, each in moments
    ]
