"""What a coarse sensor would have seen: blur, large pixels, bias, noise and clouds.

The same model makes the coarse side of procedural series and of real fine images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d, zoom

from n2m_core.errors import GridError, ParameterError
from n2m_core.scenes.scene import Float
from n2m_core.scenes.textures import field

Bools = NDArray[np.bool_]
Doubles = NDArray[np.float64]
SIGMA_PER_WIDTH = 1 / (2 * np.sqrt(2 * np.log(2)))
"""Standard deviation of a Gaussian of width 1 at half height."""
HALF_SEEN = 0.5
"""A coarse pixel is valid when at least half of its light comes from valid ground."""


@dataclass(frozen=True)
class CoarseSensor:
    """A coarse sensor.

    Attributes:
        scale: sides of its pixel in fine pixels.
        blur: width of its point spread at half height, in its own pixels; 1 is usual, 0 for none.
        gain: factor of every band, or of all.
        offset: added to every band, or to all, reflectance.
        tilt: change of brightness from one side of the scene to the other with the view angle.
        noise: standard deviation, reflectance.
    """

    scale: int
    blur: float = 1.0
    gain: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
    tilt: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ParameterError: a value is out of its range.
        """
        if self.scale < 1 or self.blur < 0 or self.noise < 0:
            raise ParameterError(
                f"A coarse sensor needs a scale of 1 or more, and blur and noise of 0 or more; "
                f"{self.scale}, {self.blur} and {self.noise} were given."
            )

    def see(
        self, fine: Float, valid: Bools, rng: np.random.Generator | None = None
    ) -> tuple[Float, Bools]:
        """Look at a fine image.

        Args:
            fine: reflectance [C, H, W]; sides that the scale divides.
            valid: bool [H, W]; other pixels give no light.
            rng: draws the noise; needed when there is any.

        Returns:
            The coarse pixels, float32 [C, H / s, W / s], and which of them are valid.

        Raises:
            GridError: the scale does not divide the sides.
        """
        height, width = valid.shape
        if height % self.scale or width % self.scale:
            raise GridError(
                f"The image is {width} x {height} px and a coarse pixel {self.scale} px; cut it to "
                f"{width // self.scale * self.scale} x {height // self.scale * self.scale} px."
            )
        light = np.concatenate([np.where(valid, fine, 0), valid[None]]).astype(np.float64)
        seen = self._pixels(light)
        share = seen[-1]
        mean = seen[:-1] / np.maximum(share, 1e-9)
        values = mean * self._look(mean.shape) + _per_band(self.offset, len(mean))
        if self.noise and rng is not None:
            values = values + self.noise * rng.standard_normal(values.shape)
        return values.astype(np.float32), share >= HALF_SEEN

    def _pixels(self, light: Doubles) -> Doubles:
        """Blur, with the border repeated, and the mean of every coarse pixel."""
        sigma = self.blur * self.scale * SIGMA_PER_WIDTH
        if sigma > 0:
            reach = int(np.ceil(3 * sigma))
            weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
            weights /= weights.sum()
            light = correlate1d(light, weights, axis=1, mode="nearest")
            light = correlate1d(light, weights, axis=2, mode="nearest")
        layers, height, width = light.shape
        s = self.scale
        pixels: Doubles = light.reshape(layers, height // s, s, width // s, s).mean(axis=(2, 4))
        return pixels

    def _look(self, shape: tuple[int, ...]) -> Doubles:
        """Gain of every band, and the view angle's from left to right, [C, h, w]."""
        across = 1 + self.tilt * np.linspace(-0.5, 0.5, shape[2])
        look: Doubles = _per_band(self.gain, shape[0]) * across[None, None, :]
        return look


def _per_band(values: tuple[float, ...], bands: int) -> Doubles:
    """One value a band, or one for all, as [C, 1, 1]."""
    return np.broadcast_to(np.asarray(values, np.float64), (bands,))[:, None, None]


def to_fine_grid(coarse: Float, valid: Bools, scale: int) -> tuple[Float, Bools]:
    """Resample coarse pixels bilinearly to the fine grid, weighed by their validity.

    Args:
        coarse: [C, h, w].
        valid: bool [h, w].
        scale: s.

    Returns:
        float32 [C, h s, w s], and bool [h s, w s].
    """
    light = np.concatenate([np.where(valid, coarse, 0), valid[None]]).astype(np.float64)
    fine = zoom(light, (1, scale, scale), order=1, mode="nearest", grid_mode=True)
    mean = fine[:-1] / np.maximum(fine[-1], 1e-9)
    return mean.astype(np.float32), fine[-1] >= HALF_SEEN


def clouds(rng: np.random.Generator, shape: tuple[int, int], px_m: float, share: float) -> Bools:
    """Draw a cloud mask [H, W] that covers about a share of the scene."""
    if share <= 0:
        return np.zeros(shape, np.bool_)
    ragged = field(rng, shape, px_m, 24 * px_m) + np.float32(0.3) * field(
        rng, shape, px_m, 5 * px_m
    )
    covered: Bools = ragged > np.quantile(ragged, 1 - min(share, 1.0))
    return covered
