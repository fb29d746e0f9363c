"""From a file's units to the range that networks see, and how unusual an image is.

Networks here see [-1, 1]. 8-bit imagery is scaled by fixed limits. 16-bit and floating-point
imagery has no fixed meaning, so each band is stretched between two percentiles of the WHOLE scene's
valid pixels, as a GIS does for display: a window of the scene is never stretched on its own, so a
map does not depend on how the image was cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from n2m_core.errors import BandError, ParameterError
from n2m_core.geo_image import GeoImage, Mask, Pixels

STRETCH_PERCENTILES = (2.0, 98.0)
"""Cumulative cut that QGIS applies by default to rasters of more than 8 bits."""
MAX_SAMPLES = 4_000_000
"""Percentiles of larger scenes come from a regular grid of about this many pixels."""
EIGHT_BIT_MAX = 255.0
SENTINEL_2_BANDS = {
    "b02": "blue",
    "b2": "blue",
    "b03": "green",
    "b3": "green",
    "b04": "red",
    "b4": "red",
    "b08": "nir",
    "b8": "nir",
}
"""Sentinel-2 MSI band numbers, the 10 m bands."""
FAR = "is far from those that the weights were trained on"
"""What the warning says of such an image, before the reasons."""
FAR_SIGMAS = 3.0
"""Brightness further from the training images than this calls for a warning."""
FAR_CONTRAST = 2.5
"""So does a contrast this many times higher or lower."""
LEAST_SPREAD = 0.02
"""Floor of the training images' spread in model range, so that a uniform set warns of nothing."""


@dataclass(frozen=True)
class Normalization:
    """How a checkpoint wants its input.

    Attributes:
        kind: "fixed": `low` and `high` in 8-bit units 0..255. An image of another dtype is first
            stretched to 0..255 between its 2nd and 98th percentile. "percentile": `low` and `high`
            are percentiles 0..100 of the whole scene, whatever the dtype.
        low: what becomes -1; one for all bands or one a band.
        high: what becomes 1; as many as `low`.
    """

    kind: Literal["fixed", "percentile"] = "fixed"
    low: tuple[float, ...] = (0.0,)
    high: tuple[float, ...] = (EIGHT_BIT_MAX,)

    def __post_init__(self) -> None:
        """Check the limits.

        Raises:
            ParameterError: unknown kind, limits out of order or of unequal number.
        """
        if self.kind not in ("fixed", "percentile"):
            raise ParameterError(
                f"Normalisation {self.kind!r} is unknown; choose fixed or percentile."
            )
        if not self.low or len(self.low) != len(self.high):
            raise ParameterError(
                f"Normalisation has {len(self.low)} low and {len(self.high)} high limits; "
                "give as many of each."
            )
        if any(low >= high for low, high in zip(self.low, self.high, strict=True)):
            raise ParameterError(
                f"Normalisation limits {self.low} and {self.high}: low must lie below high."
            )
        if self.kind == "percentile" and (min(self.low) < 0 or max(self.high) > 100):
            raise ParameterError(
                f"Percentiles {self.low} and {self.high} must lie between 0 and 100."
            )


def to_model_range(
    image: GeoImage,
    normalization: Normalization,
    *,
    limits: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """Scale an image to [-1, 1]; values beyond the limits are clipped.

    Args:
        image: any real dtype; as many bands as the normalisation, or any number when it has one
            pair of limits.
        normalization: from the checkpoint's card.
        limits: `input_limits` of the scene that this image is a window of; of the image itself
            when not given.

    Returns:
        float32 [C, H, W] in [-1, 1]; 0 where not valid and throughout a band of one value.

    Raises:
        BandError: another number of bands than the normalisation has limits for.
    """
    if limits is None:
        limits = input_limits(image, normalization)
    scaled = np.zeros(image.pixels.shape, np.float32)
    # float32 would lose the small differences of large numbers; up to 16 bits it holds them all.
    exact = np.float32 if image.pixels.dtype.itemsize <= 2 else np.float64
    for target, band, (low, high) in zip(scaled, image.pixels, limits, strict=True):
        if high > low:
            np.subtract(band, exact(low), out=target, dtype=exact, casting="same_kind")
            target *= np.float32(2.0 / (high - low))
            target -= np.float32(1.0)
            np.clip(target, -1.0, 1.0, out=target)
    scaled[:, ~image.valid] = 0.0
    return scaled


def input_limits(image: GeoImage, normalization: Normalization) -> NDArray[np.float64]:
    """Find the values of each band that become -1 and 1.

    Returns:
        float64 [C, 2] in the image's own units.

    Raises:
        BandError: another number of bands than the normalisation has limits for.
    """
    count = len(normalization.low)
    if count not in (1, image.bands):
        raise BandError(
            f"The image has {image.bands} bands and the checkpoint wants {count}; choose {count}."
        )
    wanted = np.array([normalization.low, normalization.high], np.float64).T
    wanted = np.broadcast_to(wanted, (image.bands, 2))
    if normalization.kind == "percentile":
        return np.array(
            [
                percentile_limits(band[None], image.valid, low=low, high=high)[0]
                for band, (low, high) in zip(image.pixels, wanted, strict=True)
            ]
        )
    if image.pixels.dtype == np.uint8:
        return wanted.copy()
    low, high = STRETCH_PERCENTILES
    stretch = percentile_limits(image.pixels, image.valid, low=low, high=high)
    span = stretch[:, 1:] - stretch[:, :1]
    return np.asarray(stretch[:, :1] + wanted / EIGHT_BIT_MAX * span)


def percentile_limits(
    pixels: Pixels, valid: Mask, *, low: float, high: float
) -> NDArray[np.float64]:
    """Find two percentiles of every band over the valid pixels.

    Args:
        pixels: any real dtype [C, H, W].
        valid: bool [H, W].
        low: percentile, 0..100.
        high: percentile, 0..100.

    Returns:
        float64 [C, 2]; zeros when no pixel is valid.
    """
    step = sample_step(valid.size)
    chosen = valid[::step, ::step]
    if not chosen.any():
        step, chosen = 1, valid
    if not chosen.any():
        return np.zeros((len(pixels), 2))
    return np.array(
        [np.percentile(band[::step, ::step][chosen], [low, high]) for band in pixels], np.float64
    )


def sample_step(pixels: int) -> int:
    """Give the step of the regular grid that percentiles of so many pixels come from.

    Odd sides leave a little more than `MAX_SAMPLES`; such a sample is taken as it is.
    """
    return max(1, int(np.ceil(np.sqrt(pixels / MAX_SAMPLES) - 0.01)))


def bands_by_name(names: tuple[str, ...], wanted: tuple[str, ...]) -> list[int] | None:
    """Find the bands that a checkpoint wants by their names, in the checkpoint's order.

    Args:
        names: of the image's bands.
        wanted: of the checkpoint's bands, such as red, green, blue; Sentinel-2's numbers, such as
            B04, count as those colours.

    Returns:
        Indices from 0; None when a name is missing or given twice.
    """
    plain = [SENTINEL_2_BANDS.get(name.strip().lower(), name.strip().lower()) for name in names]
    if any(plain.count(name.lower()) != 1 for name in wanted):
        return None
    return [plain.index(name.lower()) for name in wanted]


class ImageReference(Protocol):
    """What a checkpoint's card tells about its training images, in model range, one a band."""

    @property
    def mean(self) -> tuple[float, ...]:
        """Average over images of the image's mean."""

    @property
    def std(self) -> tuple[float, ...]:
        """Average over images of the image's standard deviation."""

    @property
    def spread(self) -> tuple[float, ...]:
        """Standard deviation over images of the image's mean."""


@dataclass(frozen=True)
class DomainDistance:
    """How unusual an image is for a checkpoint.

    Attributes:
        sigmas: brightness of each band, in standard deviations of the training images' brightness;
            positive when brighter.
        contrast: standard deviation of each band, as a multiple of the training images'.
        warning: a sentence for the person when the image lies far away, else None.
    """

    sigmas: tuple[float, ...]
    contrast: tuple[float, ...]
    warning: str | None


def domain_distance(
    image: NDArray[np.float32], reference: ImageReference, *, valid: Mask | None = None
) -> DomainDistance:
    """Compare an image with those that a checkpoint was trained on.

    Args:
        image: what `to_model_range` gave, float32 [C, H, W] in [-1, 1].
        reference: statistics of the training images, of as many bands.
        valid: bool [H, W]; every pixel when not given.

    Raises:
        BandError: the reference has another number of bands.
    """
    if len(reference.mean) != len(image):
        raise BandError(
            f"The image has {len(image)} bands and the checkpoint was trained on "
            f"{len(reference.mean)}; choose {len(reference.mean)}."
        )
    seen = image.reshape(len(image), -1) if valid is None else image[:, valid]
    if seen.shape[1] == 0:
        nothing = "The image has no valid pixel, so its map means nothing; check its nodata value."
        return DomainDistance((0.0,) * len(image), (0.0,) * len(image), nothing)
    spread = np.maximum(reference.spread, LEAST_SPREAD)
    sigmas = (seen.mean(1, dtype=np.float64) - reference.mean) / spread
    contrast = seen.std(1, dtype=np.float64) / np.maximum(reference.std, LEAST_SPREAD)
    return DomainDistance(
        tuple(map(float, sigmas)), tuple(map(float, contrast)), _far_warning(sigmas, contrast)
    )


def _far_warning(sigmas: NDArray[np.float64], contrast: NDArray[np.float64]) -> str | None:
    reasons = []
    worst = float(sigmas[np.abs(sigmas).argmax()])
    if abs(worst) > FAR_SIGMAS:
        side = "brighter" if worst > 0 else "darker"
        reasons.append(f"it is {side} by {abs(worst):.1f} standard deviations")
    if contrast.min() < 1 / FAR_CONTRAST:
        reasons.append(f"its contrast is {contrast.min():.2f} times theirs")
    elif contrast.max() > FAR_CONTRAST:
        reasons.append(f"its contrast is {contrast.max():.1f} times theirs")
    if not reasons:
        return None
    return (
        f"This image {FAR}: {' and '.join(reasons)}. "
        "Check the bands and the stretch, and judge the map by eye."
    )
