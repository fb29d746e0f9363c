"""Where in frequency a map's error lies: its power spectrum, averaged over directions.

Large missing patches are of low frequency, wrong outlines of high. The claim of IDGBR (Wang, Hu,
Guo, Li, Tao, IEEE TPAMI 2026, arXiv 2507.01573) is that segmenters get the first right and
diffusion the second; the spectra of rough and refined maps against one truth test it.

Symbols: e error map, prediction minus truth, [H, W]; E its cosine transform (DCT-II, orthonormal),
whose coefficient (v, u) has the frequency f = sqrt((v / 2H)^2 + (u / 2W)^2) cycles per pixel.

The cosine transform is the Fourier transform of the map continued by its mirror, so that the frame,
where the picture was cut, is no edge. Power is the square of a coefficient: summed over all it is
the sum of e^2 (Parseval), so each wrong pixel of a binary map brings in a power of 1. Frequencies
fall into rings of one width for every size of map, which is why spectra of several maps add up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from n2m_core.errors import LabelError, ParameterError
from n2m_core.metrics.confusion import IGNORE

RINGS_PER_CYCLE = 128
"""Rings are 1/128 cycle per pixel wide."""
RINGS = math.ceil(RINGS_PER_CYCLE * math.sqrt(0.5))
"""Rings up to the diagonal's highest frequency, sqrt(1/2) cycle per pixel."""
EDGE_CUTOFF = 1 / 16
"""Above it a wave is shorter than 16 px: a boundary's own scale, not an object's."""

Error = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ErrorSpectrum:
    """Power of the error in rings of equal frequency; other maps' spectra are added with `+`.

    Attributes:
        power: summed squares of the coefficients in each ring, float64 [R].
        coefficients: how many there are in each ring, int64 [R].
    """

    power: NDArray[np.float64]
    coefficients: NDArray[np.int64]

    def __add__(self, other: ErrorSpectrum) -> ErrorSpectrum:
        """Pool with the spectrum of another map."""
        return ErrorSpectrum(self.power + other.power, self.coefficients + other.coefficients)

    @property
    def frequency(self) -> NDArray[np.float64]:
        """Middle of each ring, cycles per pixel, float64 [R]."""
        return (np.arange(RINGS) + 0.5) / RINGS_PER_CYCLE

    @property
    def mean_power(self) -> NDArray[np.float64]:
        """Mean power of a coefficient, float64 [R]; NaN in a ring that no map reached."""
        mean = np.full(self.power.shape, np.nan)
        np.divide(self.power, self.coefficients, out=mean, where=self.coefficients != 0)
        return mean

    @property
    def total(self) -> float:
        """Sum of the squared errors; of a binary map the number of wrong pixels."""
        return float(self.power.sum())

    def power_above(self, cutoff: float = EDGE_CUTOFF) -> float:
        """Power at frequencies above a cut-off.

        Args:
            cutoff: cycles per pixel, 0 to sqrt(1/2); a ring counts when its middle lies above.

        Returns:
            The power; of a binary map's error so many wrong pixels' worth.

        Raises:
            ParameterError: the cut-off is out of range.
        """
        if not 0 <= cutoff <= math.sqrt(0.5):
            raise ParameterError(
                f"The cut-off is {cutoff} cycles per pixel; 0 to {math.sqrt(0.5):.3f} is possible."
            )
        return float(self.power[self.frequency > cutoff].sum())

    def share_above(self, cutoff: float = EDGE_CUTOFF) -> float:
        """Share of the power at frequencies above a cut-off.

        Args:
            cutoff: as in `power_above`.

        Returns:
            The share in [0, 1]; NaN for a map without an error.

        Raises:
            ParameterError: the cut-off is out of range.
        """
        above, total = self.power_above(cutoff), self.total
        return above / total if total > 0 else math.nan


def error_map(
    truth: NDArray[Any], predicted: NDArray[Any], *, target: int = 1, ignore: int = IGNORE
) -> Error:
    """Subtract the truth from a map, for one class.

    Args:
        truth: class indices [H, W].
        predicted: the same for the map.
        target: the class.
        ignore: a pixel with this value in either has no error.

    Returns:
        float64 [H, W]: 1 at a false alarm, -1 at a missed pixel, else 0.

    Raises:
        LabelError: the arrays differ in shape.
    """
    if truth.shape != predicted.shape:
        raise LabelError(
            f"The truth has shape {truth.shape} and the map {predicted.shape}; both must be "
            "rows x columns on one grid."
        )
    error = (predicted == target).astype(np.float64) - (truth == target)
    return np.where((truth == ignore) | (predicted == ignore), 0.0, error)


def error_spectrum(error: Error) -> ErrorSpectrum:
    """Give the power spectrum of an error map, averaged over directions.

    Args:
        error: prediction minus truth, float64 [H, W]; of probabilities as well.

    Returns:
        The spectrum.

    Raises:
        LabelError: the map is empty or not two-dimensional.
    """
    if error.ndim != 2 or not error.size:
        raise LabelError(f"The error map has shape {error.shape}; rows x columns are wanted.")
    power = np.square(fft.dctn(error, norm="ortho"))
    rows, columns = (np.arange(side) / (2 * side) for side in error.shape)
    radius = np.hypot(rows[:, None], columns[None, :])
    # A frequency on the edge of two rings belongs to the upper one, whatever its last bit.
    ring = np.floor(radius * RINGS_PER_CYCLE + 1e-9).astype(np.int64).ravel()
    return ErrorSpectrum(
        np.bincount(ring, weights=power.ravel(), minlength=RINGS).astype(np.float64),
        np.bincount(ring, minlength=RINGS).astype(np.int64),
    )
