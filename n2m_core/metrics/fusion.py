"""How far a fused image is from the true one, over the valid pixels alone.

With truth y and prediction p, N bands, reflectance scale 0..1:

| figure | formula | best |
|---|---|---|
| rmse | sqrt(mean (p - y)^2) over all bands and pixels | 0 |
| rmse_band_mean | mean over bands of a band's own root mean square error | 0 |
| cc | Pearson's correlation of a band, mean over bands | 1 |
| ssim | Wang et al. 2004: Gaussian 11 x 11, sigma 1.5, K 0.01 and 0.03, data range 1 | 1 |
| ergas | 100 / s * sqrt(mean over bands of (rmse_b / mean y_b)^2) | 0 |
| sam_deg | mean over pixels of the angle between the spectra, degrees | 0 |

Other works take other conventions, so the numbers compare only with equal ones: the global root
mean square error or the mean of the bands', another data range for SSIM (on reflectance of 0.1 to
0.3 a range of 1 gives high values), and for ERGAS a factor of 100 / 16, 100 * 30 / 500 or none. The
ratio s is therefore given beside every ERGAS, and ERGAS divides by the mean of the truth, not of
the prediction. SSIM counts a pixel when the whole 11 x 11 window around it is valid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d, minimum_filter

from n2m_core.errors import GridError

Float = NDArray[np.floating[Any]]
Double = NDArray[np.float64]
Mask = NDArray[np.bool_]

SSIM_WINDOW_PX = 11
SSIM_SIGMA_PX = 1.5
SSIM_K1, SSIM_K2 = 0.01, 0.03
DATA_RANGE = 1.0
"""L of SSIM: reflectance runs from 0 to 1."""


@dataclass(frozen=True)
class BandScore:
    """The error of one band; None where it is not defined.

    Attributes:
        rmse: root mean square error, reflectance.
        bias: mean of prediction minus truth, reflectance.
        cc: Pearson's correlation, None for a constant band.
        ssim: mean structural similarity, None without a whole window.
    """

    rmse: float
    bias: float
    cc: float | None
    ssim: float | None


@dataclass(frozen=True)
class FusionScore:
    """The error of an image; see the module for the formulas.

    Attributes:
        rmse: over all bands and pixels, reflectance.
        rmse_band_mean: mean of the bands' own, reflectance.
        cc: mean over bands; None when every band is constant.
        ssim: mean over bands, data range 1.
        ergas: with the factor 100 / `ergas_ratio`; None when a band of the truth has mean 0.
        ergas_ratio: the scale s of the coarse to the fine pixel.
        sam_deg: degrees; None when every spectrum is zero.
        per_band: in the order of the bands.
        pixels: how many were compared.
    """

    rmse: float
    rmse_band_mean: float
    cc: float | None
    ssim: float | None
    ergas: float | None
    ergas_ratio: float
    sam_deg: float | None
    per_band: tuple[BandScore, ...]
    pixels: int


def score(truth: Float, predicted: Float, valid: Mask, *, ratio: float) -> FusionScore:
    """Compare a fused image with the truth.

    Args:
        truth: reflectance [C, H, W].
        predicted: reflectance [C, H, W].
        valid: bool [H, W]; other pixels count nowhere, whatever they hold.
        ratio: s, the sides of a coarse pixel in fine pixels, for ERGAS.

    Raises:
        GridError: shapes differ, no pixel is valid, or the ratio is not positive.
    """
    if truth.shape != predicted.shape or truth.shape[1:] != valid.shape:
        raise GridError(
            f"Truth {truth.shape}, prediction {predicted.shape} and mask {valid.shape} differ in "
            "size; put the truth on the prediction's grid."
        )
    if not valid.any():
        raise GridError("Truth and prediction have no valid pixel in common; nothing to compare.")
    if ratio <= 0:
        raise GridError(f"The ratio is {ratio}; it is the scale of coarse to fine, such as 16.")
    y, p = (np.asarray(image[:, valid], np.float64) for image in (truth, predicted))
    bands = tuple(
        BandScore(
            rmse=float(np.sqrt(np.mean((p[band] - y[band]) ** 2))),
            bias=float(np.mean(p[band] - y[band])),
            cc=correlation(y[band], p[band]),
            ssim=structural_similarity(truth[band], predicted[band], valid),
        )
        for band in range(len(y))
    )
    errors = np.array([band.rmse for band in bands])
    return FusionScore(
        rmse=float(np.sqrt(np.mean(errors**2))),
        rmse_band_mean=float(errors.mean()),
        cc=_mean([band.cc for band in bands]),
        ssim=_mean([band.ssim for band in bands]),
        ergas=ergas(errors, y.mean(axis=1), ratio),
        ergas_ratio=float(ratio),
        sam_deg=spectral_angle_deg(y, p),
        per_band=bands,
        pixels=int(valid.sum()),
    )


def correlation(truth: Double, predicted: Double) -> float | None:
    """Pearson's correlation of two lists of values; None when one is constant."""
    a, b = truth - truth.mean(), predicted - predicted.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    tiny = 1e-12 * truth.size
    return None if norm <= tiny else float(a @ b / norm)


def ergas(rmse: Double, means: Double, ratio: float) -> float | None:
    """Relative error over all bands, 100 / s * sqrt(mean (rmse_b / mean y_b)^2).

    Args:
        rmse: root mean square error of every band.
        means: mean of the truth in every band.
        ratio: s.
    """
    if (means == 0).any():
        return None
    return float(100 / ratio * np.sqrt(np.mean((rmse / means) ** 2)))


def spectral_angle_deg(truth: Double, predicted: Double) -> float | None:
    """Mean angle between spectra [C, N], degrees; pixels with a zero spectrum do not count."""
    norms = np.linalg.norm(truth, axis=0) * np.linalg.norm(predicted, axis=0)
    told = norms > 0
    if not told.any():
        return None
    cosine = (truth * predicted).sum(axis=0)[told] / norms[told]
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean())


def structural_similarity(truth: Float, predicted: Float, valid: Mask) -> float | None:
    """SSIM of one band [H, W], mean over the pixels whose whole window is valid; None without."""
    reach = SSIM_WINDOW_PX // 2
    whole = minimum_filter(valid, size=SSIM_WINDOW_PX, mode="constant", cval=False)
    if not whole.any():
        return None
    y, p = (np.where(valid, band, 0).astype(np.float64) for band in (truth, predicted))
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / SSIM_SIGMA_PX) ** 2)
    weights /= weights.sum()

    def smooth(values: Double) -> Double:
        """The Gaussian mean, at the pixels that count."""
        rows = correlate1d(values, weights, axis=0, mode="constant")
        mean: Double = correlate1d(rows, weights, axis=1, mode="constant")[whole]
        return mean

    mean_y, mean_p = smooth(y), smooth(p)
    var_y, var_p = smooth(y * y) - mean_y**2, smooth(p * p) - mean_p**2
    both = smooth(y * p) - mean_y * mean_p
    c1, c2 = (SSIM_K1 * DATA_RANGE) ** 2, (SSIM_K2 * DATA_RANGE) ** 2
    above = (2 * mean_y * mean_p + c1) * (2 * both + c2)
    below = (mean_y**2 + mean_p**2 + c1) * (var_y + var_p + c2)
    return float((above / below).mean())


def _mean(values: list[float | None]) -> float | None:
    """Mean of the values that are defined."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
