"""Predictions without a model: the bar that every other method has to clear."""

from __future__ import annotations

import numpy as np

from n2m_core.fusion.inputs import FloatArray, FusionInputs, FusionOutput
from n2m_core.geo_image import Progress


class Copy:
    """The fine image of date 0 as it is: what a person has without any fusion."""

    name = "copy"

    def predict(self, inputs: FusionInputs, progress: Progress) -> FusionOutput:
        """Copy F0."""
        return _output(inputs, inputs.fine0.copy(), progress, self.name)


class CoarseChange:
    """F0 + C1 - C0: the coarse change since date 0, added to every fine pixel below it."""

    name = "coarse-change"

    def predict(self, inputs: FusionInputs, progress: Progress) -> FusionOutput:
        """Add the coarse change to F0."""
        return _output(inputs, from_first(inputs), progress, self.name)


class MeanChange:
    """The mean of both dates' predictions, F0 + C1 - C0 and F2 + C1 - C2."""

    name = "mean-change"

    def predict(self, inputs: FusionInputs, progress: Progress) -> FusionOutput:
        """Average the two one-sided predictions."""
        from_last = inputs.fine2 + inputs.coarse1 - inputs.coarse2
        mean = np.float32(0.5) * (from_first(inputs) + from_last)
        return _output(inputs, mean, progress, self.name)


def from_first(inputs: FusionInputs) -> FloatArray:
    """F0 + C1 - C0, float32 [C, H, W]."""
    changed: FloatArray = inputs.fine0 + inputs.coarse1 - inputs.coarse0
    return changed


def _output(inputs: FusionInputs, fine1: FloatArray, progress: Progress, name: str) -> FusionOutput:
    progress(1, 1, name)
    return FusionOutput(np.where(inputs.valid, fine1, np.float32(0)), inputs.valid, {})
