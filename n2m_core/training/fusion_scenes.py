"""Training triplets from procedural farmland."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from n2m_core.fusion.inputs import FusionInputs
from n2m_core.fusion.triplets import FusionTriplet
from n2m_core.lineage import DataCredit
from n2m_core.scenes.farmland import DN, FarmlandParams, FarmlandSeries, make_series
from n2m_core.scenes.farmland_sensor import to_fine_grid
from n2m_core.training.fuse_config import FusionSourceConfig

Pixels = NDArray[np.uint16]
Mask = NDArray[np.bool_]


class FarmlandTriplets:
    """Crops of farmland scenes of the training ranges; a scene is drawn when first wanted."""

    def __init__(
        self, config: FusionSourceConfig, scales: Sequence[int], resolution_m: float
    ) -> None:
        """Say which scenes there are; none is drawn yet."""
        self.bands = config.bands
        self._config, self._scales, self._resolution_m = config, tuple(scales), resolution_m
        self._drawn: dict[int, tuple[Pixels, Mask]] = {}

    @property
    def credit(self) -> DataCredit:
        """What the card says about this source."""
        config = self._config
        return DataCredit(config.name, config.licence, config.attribution, config.count)

    def sample(self, rng: np.random.Generator, size: int) -> FusionTriplet:
        """Draw a scene and a place in it."""
        number = int(rng.integers(self._config.count))
        if number not in self._drawn:
            self._drawn[number] = _on_one_grid(make_series(self._params(number)))
        pixels, valid = self._drawn[number]
        top, left = (int(each) for each in rng.integers(self._config.size_px - size + 1, size=2))
        inside = (slice(top, top + size), slice(left, left + size))
        fine0, coarse0, fine2, coarse2, coarse1, fine1 = (
            each[:, *inside].astype(np.float32) / np.float32(DN) for each in pixels
        )
        return FusionTriplet(
            FusionInputs(
                fine0, coarse0, fine2, coarse2, coarse1, valid[inside], self._scale(number)
            ),
            fine1,
        )

    def _scale(self, number: int) -> int:
        """Scale factor of a scene; they take turns."""
        return self._scales[number % len(self._scales)]

    def _params(self, number: int) -> FarmlandParams:
        """What to draw."""
        return FarmlandParams(
            seed=self._config.first_seed + number,
            size=self._config.size_px,
            scale=self._scale(number),
            resolution_m=self._resolution_m,
            bands=len(self.bands),
            ranges="train",
        )


def _on_one_grid(series: FarmlandSeries) -> tuple[Pixels, Mask]:
    """Give F0, C0, F2, C2, C1, F1 on the fine grid, uint16 [6, C, H, W], and the mask [H, W]."""
    coarse, masks = [], [image.valid for image in series.fine]
    for image in series.coarse:
        values, valid = to_fine_grid(image.pixels.astype(np.float32), image.valid, series.scale)
        coarse.append(np.rint(values).astype(np.uint16))
        masks.append(valid)
    fine = [image.pixels for image in series.fine]
    stacked = np.stack([fine[0], coarse[0], fine[2], coarse[2], coarse[1], fine[1]])
    return stacked, np.logical_and.reduce(masks)
