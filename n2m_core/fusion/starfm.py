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
from n2m_core.fusion.compiled import compiled
from n2m_core.fusion.inputs import FloatArray, FusionInputs, FusionOutput
from n2m_core.fusion.windows import Strip, check_window, distances, for_each_strip, pad
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
    """One band of both pairs, float32 [2, H + 2 reach, W + 2 reach], digital numbers."""

    fine: FloatArray
    spectral: FloatArray
    temporal: FloatArray
    candidate: FloatArray
    weight: FloatArray
    """1 / ((S + 1)(T + 1)), to be divided by D; minus 1 where C is 1 whatever the distance."""
    threshold: FloatArray
    """Largest difference of a similar neighbour, a value a pair."""


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
            layers = _prepare(inputs, band, self.params)

            def tell(done: int, total: int, note: str, band: int = band) -> None:
                """Count on over the bands."""
                progress(band * total + done, inputs.bands * total, note)

            fine1[band] = _predict_band(layers, inputs.valid.shape, self.params, tell)
        fine1 /= np.float32(DN)
        return FusionOutput(np.where(inputs.valid, fine1, np.float32(0)), inputs.valid, {})


def _prepare(inputs: FusionInputs, band: int, params: StarfmParams) -> _Band:
    """Everything that depends on the neighbour alone."""
    reach, valid = params.window_px // 2, inputs.valid
    fine0, coarse0, fine2, coarse2, coarse1 = (
        np.where(valid, image[band], 0).astype(np.float32) * np.float32(DN)
        for image in (inputs.fine0, inputs.coarse0, inputs.fine2, inputs.coarse2, inputs.coarse1)
    )
    fine, coarse = np.stack([fine0, fine2]), np.stack([coarse0, coarse2])
    deviation = fine[:, valid].std(axis=1, dtype=np.float64)
    if inputs.spread is not None:
        deviation = np.array([DN * each[band] for each in inputs.spread])
    spectral, temporal = np.abs(fine - coarse), np.abs(coarse1 - coarse)
    product = (spectral + 1) * (temporal + 1)
    # A masked neighbour, or one outside the image, passes no filter.
    out = np.float32(np.inf)
    return _Band(
        fine=pad(fine, reach),
        spectral=pad(np.where(valid, spectral, out), reach, np.inf),
        temporal=pad(np.where(valid, temporal, out), reach, np.inf),
        candidate=pad(fine + coarse1 - coarse, reach),
        weight=pad(np.where(product < params.combined_dn, np.float32(-1), 1 / product), reach),
        threshold=(2 * deviation / params.classes).astype(np.float32),
    )


def _predict_band(
    layers: _Band, shape: tuple[int, ...], params: StarfmParams, progress: Progress
) -> FloatArray:
    """The weighted mean of one band, digital numbers [H, W]."""
    nearness = (1 / (1 + distances(params.window_px // 2) / params.distance_px)).astype(np.float32)
    uncertainty = np.float32(params.spectral_dn), np.float32(params.temporal_dn)
    fine1 = np.zeros(shape, np.float32)

    def work(strip: Strip) -> None:
        """Predict the rows of a strip."""
        _weighted_mean(
            layers.fine,
            layers.spectral,
            layers.temporal,
            layers.candidate,
            layers.weight,
            layers.threshold,
            nearness,
            *uncertainty,
            params.is_strict,
            strip.first,
            fine1[strip.rows],
        )

    for_each_strip(shape, work, progress, "STARFM")
    return fine1


@compiled
def _weighted_mean(
    fine: FloatArray,
    spectral: FloatArray,
    temporal: FloatArray,
    candidate: FloatArray,
    weight: FloatArray,
    threshold: FloatArray,
    nearness: FloatArray,
    spectral_uncertainty: np.float32,
    temporal_uncertainty: np.float32,
    is_strict: bool,
    first: int,
    fine1: FloatArray,
) -> None:
    """Write the mean of the similar neighbours' candidates; 0 where there is none.

    Args:
        fine: this and the next four as in `_Band`, [2, H + 2 reach, W + 2 reach].
        spectral: S.
        temporal: T.
        candidate: F_k + C_1 - C_k.
        weight: 1 / ((S + 1)(T + 1)), or -1.
        threshold: a value a pair.
        nearness: 1 / D of every place in the window, [side, side].
        spectral_uncertainty: added to the centre's S.
        temporal_uncertainty: added to the centre's T.
        is_strict: whether both filters must be passed.
        first: row of the image that `fine1` begins with.
        fine1: written, [h, W].
    """
    side = nearness.shape[0]
    reach = side // 2
    for row in range(fine1.shape[0]):
        for column in range(fine1.shape[1]):
            y, x = first + row + reach, column + reach
            most_spectral = max(spectral[0, y, x], spectral[1, y, x]) + spectral_uncertainty
            most_temporal = max(temporal[0, y, x], temporal[1, y, x]) + temporal_uncertainty
            total, weighted = 0.0, 0.0
            for pair in range(2):
                own = fine[pair, y, x]
                for i in range(side):
                    for j in range(side):
                        place = pair, first + row + i, column + j
                        if not abs(fine[place] - own) <= threshold[pair]:
                            continue
                        is_near = spectral[place] < most_spectral
                        is_calm = temporal[place] < most_temporal
                        if not ((is_near and is_calm) if is_strict else (is_near or is_calm)):
                            continue
                        own_weight = weight[place]
                        share = 1.0 if own_weight < 0 else own_weight * nearness[i, j]
                        total += share
                        weighted += share * candidate[place]
            fine1[row, column] = weighted / total if total > 0 else 0.0
