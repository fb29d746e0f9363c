"""Spoil an image in one measured way: noise, blur, haze, compression, a shift.

Strengths are numbers with a unit, and the truth stays as it is. Numbers are changed relative to the
image's own range: 0..255 for 8 bits, else the 2nd to 98th percentile of its valid pixels.

| kind  | strength              | what is done                                                  |
|-------|-----------------------|---------------------------------------------------------------|
| noise | sigma, % of the range | independent gaussian numbers are added to every pixel         |
| blur  | sigma, px             | gaussian blur                                                 |
| haze  | veil, %               | every pixel moves so far towards white, the top of the range  |
| jpeg  | quality, 100 to 1     | written as JPEG (chroma at half size, as usual) and read again|
| shift | px                    | moved to the right, bilinearly: a fraction also blurs a little|

Of a pair both dates are spoilt alike, each by a noise draw of its own, but only the later one is
shifted: that is a bad co-registration. Of one image the shift moves it away from its truth.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from n2m_core.datasets.base import Sample
from n2m_core.errors import ParameterError
from n2m_core.geo_image import GeoImage

Kind = Literal["noise", "blur", "haze", "jpeg", "shift"]
KINDS: tuple[Kind, ...] = get_args(Kind)
STRENGTHS: dict[Kind, tuple[float, ...]] = {
    "noise": (2.0, 5.0, 10.0, 20.0),
    "blur": (0.5, 1.0, 2.0, 4.0),
    "haze": (10.0, 25.0, 50.0, 75.0),
    "jpeg": (80.0, 50.0, 25.0, 10.0),
    "shift": (0.5, 1.0, 2.0, 4.0),
}
"""Strengths of each kind, the mildest first."""
UNITS: dict[Kind, str] = {
    "noise": "% of the range",
    "blur": "px",
    "haze": "%",
    "jpeg": "quality",
    "shift": "px",
}
LIMITS: dict[Kind, tuple[float, float]] = {
    "noise": (0, 1000),
    "blur": (0, 100),
    "haze": (0, 100),
    "jpeg": (1, 100),
    "shift": (0, 1000),
}
_LEAST_WEIGHT = 1e-3

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Perturbation:
    """One way to spoil an image and how strongly.

    Attributes:
        kind: which way.
        strength: in the unit of the kind; see `UNITS`.
        seed: names the draw; stronger noise is the same draw times a larger number.
    """

    kind: Kind
    strength: float
    seed: int = 0

    def __post_init__(self) -> None:
        """Check kind and strength.

        Raises:
            ParameterError: an unknown kind, or a strength outside `LIMITS`.
        """
        check_kind(self.kind)
        check_strength(self.kind, self.strength)

    @property
    def label(self) -> str:
        """The strength with its unit, such as "5 %", "2 px" or "quality 50"."""
        if self.kind == "jpeg":
            return f"quality {self.strength:g}"
        return f"{self.strength:g} {UNITS[self.kind].split()[0]}"


def check_kind(kind: str) -> None:
    """Check the name of a perturbation.

    Raises:
        ParameterError: it is unknown.
    """
    if kind not in KINDS:
        raise ParameterError(f"Perturbation '{kind}' is unknown; choose one of {', '.join(KINDS)}.")


def check_strength(kind: Kind, strength: float) -> None:
    """Check a strength.

    Raises:
        ParameterError: it lies outside `LIMITS`.
    """
    low, high = LIMITS[kind]
    if not low <= strength <= high:
        raise ParameterError(
            f"Strength {strength:g} of {kind} must lie in {low:g}..{high:g} ({UNITS[kind]})."
        )


def perturb(image: GeoImage, how: Perturbation, *, date: int = 0) -> GeoImage:
    """Spoil one image.

    Args:
        image: any real dtype.
        how: kind, strength and seed.
        date: numbers the images of a pair, so that each gets a noise draw of its own.

    Returns:
        An image of the same grid and dtype; pixels without data stay so (and move with a shift).
    """
    values = image.pixels.astype(np.float64)
    low, high = value_range(image)
    valid = image.valid
    if how.kind == "noise":
        drawn = np.random.default_rng([how.seed, date]).standard_normal(values.shape)
        values += how.strength / 100 * (high - low) * drawn
    elif how.kind == "haze":
        values += how.strength / 100 * (high - values)
    elif how.kind == "jpeg":
        values = _compressed(values, round(how.strength), (low, high))
    elif how.kind == "blur":
        values, _ = _filtered(values, valid, _blur(how.strength))
    else:
        values, weight = _filtered(values, valid, _move(how.strength))
        valid = weight > 0.5
    kept = np.where(valid, values, image.pixels)
    return image.with_pixels(_as(kept, image.pixels.dtype), image.band_names, valid=valid)


def perturb_sample(sample: Sample, how: Perturbation) -> Sample:
    """Spoil the images of a labelled sample; its label stays where it is."""
    if sample.after is None:
        return replace(sample, image=perturb(sample.image, how))
    after = perturb(sample.after, how, date=1)
    before = sample.image if how.kind == "shift" else perturb(sample.image, how)
    return replace(sample, image=before, after=after)


def value_range(image: GeoImage) -> tuple[float, float]:
    """Lowest and highest value that an image's numbers are measured against."""
    if image.pixels.dtype == np.uint8:
        return 0.0, 255.0
    if not image.valid.any():
        return 0.0, 1.0
    low, high = np.percentile(image.pixels[:, image.valid].astype(np.float64), [2, 98])
    return float(low), float(high) if high > low else float(low) + 1.0


Filter = Callable[[Values], Values]
"""A smooth, non-negative, linear filter of one band [H, W]."""


def _blur(sigma_px: float) -> Filter:
    """Gaussian blur; the border is mirrored."""
    return lambda band: np.asarray(ndimage.gaussian_filter(band, sigma_px, mode="reflect"))


def _move(right_px: float) -> Filter:
    """Move to the right; what comes in at the left edge repeats it."""
    return lambda band: np.asarray(
        ndimage.shift(band, (0.0, right_px), order=1, mode="nearest", prefilter=False)
    )


def _filtered(values: Values, valid: NDArray[np.bool_], apply: Filter) -> tuple[Values, Values]:
    """Filter bands over the valid pixels alone; gives them and the share of valid ones [H, W]."""
    weight = apply(valid.astype(np.float64))
    total = np.stack([apply(np.where(valid, band, 0.0)) for band in values])
    return total / np.maximum(weight, _LEAST_WEIGHT), weight


def _compressed(values: Values, quality: int, ends: tuple[float, float]) -> Values:
    """Write as JPEG and read again: three bands as a colour picture, others one by one as grey."""
    low, high = ends
    levels = np.clip(np.rint((values - low) / (high - low) * 255), 0, 255).astype(np.uint8)
    if len(levels) == 3:
        read = np.moveaxis(_jpeg(np.moveaxis(levels, 0, -1), quality), -1, 0)
    else:
        read = np.stack([_jpeg(band, quality) for band in levels])
    return low + read.astype(np.float64) / 255 * (high - low)


def _jpeg(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """A picture [H, W] or [H, W, 3] after one round of JPEG."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(
        stream, "JPEG", quality=quality, subsampling="4:2:0"
    )
    with Image.open(stream) as read:
        return np.asarray(read, np.uint8)


def _as(values: Values, dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    """Bring numbers back to the file's dtype; whole numbers are rounded and stay in its range."""
    if np.issubdtype(dtype, np.integer):
        ends = np.iinfo(dtype.name)
        return np.clip(np.rint(values), ends.min, ends.max).astype(dtype)
    return values.astype(dtype)
