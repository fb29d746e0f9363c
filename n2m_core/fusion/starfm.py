"""STARFM: a weighted mean of similar neighbours, each with its own coarse change added.

Gao, Masek, Schwaller, Hall, "On the Blending of the Landsat and MODIS Surface Reflectance", TGRS
2006. For a band and a pixel c with the window around it, pairs k = 0 and 2 and target date 1:

| symbol | meaning |
|---|---|
| S = abs(F_k - C_k) | spectral difference of a neighbour |
| T = abs(C_1 - C_k) | temporal difference |
| D = 1 + d / A | spatial distance, d in pixels |
| C = (S + 1)(T + 1) D | combined weight, S and T in digital numbers |
| W = (1 / C) / sum (1 / C) | weight, over the similar pixels of both pairs |

    F_1(c) = sum W (F_k + C_1 - C_k)

C is 1 where (S + 1)(T + 1) lies below the combined uncertainty of the two sensors. A neighbour is
similar when abs(F_k - F_k(c)) <= 2 std(F_k) / m; it stays when S and T are below the centre's own
(the larger one of the two pairs) plus their uncertainties.

Deviations from the paper: the combined weight has 1 added to both factors, as in the authors'
program, because the paper's product is zero for a perfect match; std is that of the whole valid
image, as in the ImageFusion framework.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from n2m_core.errors import ParameterError
from n2m_core.fusion.inputs import FloatArray, FusionInputs, FusionOutput
from n2m_core.fusion.windows import (
    Offset,
    Strip,
    check_window,
    for_each_strip,
    offsets,
    pad,
)
from n2m_core.geo_image import Progress

DN = 10_000.0
"""Digital numbers a unit of reflectance: the scale of S and T in the weight."""


@dataclass(frozen=True)
class StarfmParams:
    """Choices of STARFM.

    Attributes:
        window_px: side of the window, odd; 31 as in starfm4py and cuSTARFM.
        classes: m, how many classes the scene is thought to have; 40 as in ImageFusion. The 4 of
            starfm4py and cuSTARFM calls more pixels similar, and smooths more.
        distance_px: A, the distance at which D is 2; 25 as in cuSTARFM.
        fine_uncertainty: of the fine sensor, reflectance; 0.002.
        coarse_uncertainty: of the coarse sensor, reflectance; 0.005.
        is_strict: whether a neighbour must pass both filters (paper) or one (authors' program).
    """

    window_px: int = 31
    classes: int = 40
    distance_px: float = 25.0
    fine_uncertainty: float = 0.002
    coarse_uncertainty: float = 0.005
    is_strict: bool = True

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ParameterError: a value is out of its range.
        """
        check_window(self.window_px)
        if self.classes < 1 or self.distance_px <= 0:
            raise ParameterError(
                f"STARFM needs at least 1 class and a distance above 0; {self.classes} and "
                f"{self.distance_px} were given."
            )
        if self.fine_uncertainty < 0 or self.coarse_uncertainty < 0:
            raise ParameterError("The uncertainties of STARFM can't be negative.")

    @property
    def spectral_dn(self) -> float:
        """Uncertainty of S, digital numbers."""
        return DN * math.hypot(self.fine_uncertainty, self.coarse_uncertainty)

    @property
    def temporal_dn(self) -> float:
        """Uncertainty of T, digital numbers."""
        return DN * math.sqrt(2) * self.coarse_uncertainty

    @property
    def combined_dn(self) -> float:
        """Uncertainty of both together, digital numbers."""
        return math.hypot(self.spectral_dn, self.temporal_dn)


@dataclass(frozen=True, eq=False)
class _Band:
    """One band of one pair, float32 [H + 2 reach, W + 2 reach], digital numbers."""

    fine: FloatArray
    spectral: FloatArray
    temporal: FloatArray
    candidate: FloatArray
    far: FloatArray
    """1 / ((S + 1)(T + 1)), to be divided by D; 0 where the weight is 1."""
    near: FloatArray
    """1 where the weight is 1 whatever the distance."""
    threshold: np.float32


class Starfm:
    """STARFM with two pairs."""

    name = "starfm"

    def __init__(self, params: StarfmParams | None = None) -> None:
        """Keep the choices."""
        self.params = params or StarfmParams()

    def predict(self, inputs: FusionInputs, progress: Progress) -> FusionOutput:
        """Predict the fine image of date 1; see the module."""
        fine1 = np.zeros_like(inputs.fine0, dtype=np.float32)
        for band in range(inputs.bands):
            pairs = [_prepare(inputs, band, pair, self.params) for pair in (0, 2)]

            def tell(done: int, total: int, note: str, band: int = band) -> None:
                """Count on over the bands."""
                progress(band * total + done, inputs.bands * total, note)

            fine1[band] = _predict_band(pairs, inputs.valid.shape, self.params, tell)
        fine1 /= np.float32(DN)
        return FusionOutput(np.where(inputs.valid, fine1, np.float32(0)), inputs.valid, {})


def _prepare(inputs: FusionInputs, band: int, pair: int, params: StarfmParams) -> _Band:
    """Everything that depends on the neighbour alone."""
    reach, valid = params.window_px // 2, inputs.valid
    fine, coarse = {0: (inputs.fine0, inputs.coarse0), 2: (inputs.fine2, inputs.coarse2)}[pair]
    f, c, c1 = (
        np.where(valid, image[band], 0).astype(np.float32) * np.float32(DN)
        for image in (fine, coarse, inputs.coarse1)
    )
    deviation = f[valid].std(dtype=np.float64)
    if inputs.spread is not None:
        deviation = np.float64(DN * inputs.spread[pair // 2][band])
    spectral, temporal = np.abs(f - c), np.abs(c1 - c)
    product = (spectral + 1) * (temporal + 1)
    is_near = product < params.combined_dn
    # A masked neighbour, or one outside the image, passes no filter.
    out = np.float32(np.inf)
    return _Band(
        fine=pad(f, reach),
        spectral=pad(np.where(valid, spectral, out), reach, np.inf),
        temporal=pad(np.where(valid, temporal, out), reach, np.inf),
        candidate=pad(f + c1 - c, reach),
        far=pad(np.where(is_near, 0, 1 / product), reach),
        near=pad(is_near.astype(np.float32), reach),
        threshold=np.float32(2 * deviation / params.classes),
    )


def _predict_band(
    pairs: list[_Band], shape: tuple[int, ...], params: StarfmParams, progress: Progress
) -> FloatArray:
    """The weighted mean of one band, digital numbers [H, W]."""
    reach, width = params.window_px // 2, shape[1]
    places = offsets(reach)
    centre = Offset(reach, reach, 0.0)
    fine1 = np.zeros(shape, np.float32)

    def work(strip: Strip) -> None:
        """Visit every offset for the rows of a strip."""
        total = np.zeros((strip.last - strip.first, width), np.float32)
        weighted = np.zeros_like(total)
        spectral = [strip.shifted(each.spectral, centre, width) for each in pairs]
        temporal = [strip.shifted(each.temporal, centre, width) for each in pairs]
        limits = _limit(spectral, params.spectral_dn), _limit(temporal, params.temporal_dn)
        for each in pairs:
            own = strip.shifted(each.fine, centre, width)
            for place in places:
                weight = _weights(each, strip, place, own, limits, params)
                total += weight
                weight *= strip.shifted(each.candidate, place, width)
                weighted += weight
        fine1[strip.rows] = weighted / np.where(total > 0, total, 1)

    for_each_strip(shape, work, progress, "STARFM")
    return fine1


def _limit(own: list[FloatArray], uncertainty: float) -> FloatArray:
    """What a neighbour's difference must lie below: the centre's larger one, plus uncertainty."""
    limit: FloatArray = np.maximum.reduce(own) + np.float32(uncertainty)
    return limit


def _weights(
    pair: _Band,
    strip: Strip,
    place: Offset,
    own: FloatArray,
    limits: tuple[FloatArray, FloatArray],
    params: StarfmParams,
) -> FloatArray:
    """1 / C of the neighbours at an offset, 0 for those that are not similar."""
    width = own.shape[1]
    is_similar = np.abs(strip.shifted(pair.fine, place, width) - own) <= pair.threshold
    spectral, temporal = (
        strip.shifted(each, place, width) for each in (pair.spectral, pair.temporal)
    )
    join = np.logical_and if params.is_strict else np.logical_or
    is_similar &= join(spectral < limits[0], temporal < limits[1])
    weight: FloatArray = strip.shifted(pair.far, place, width) * np.float32(
        1 / (1 + place.distance / params.distance_px)
    )
    weight += strip.shifted(pair.near, place, width)
    weight *= is_similar
    return weight
