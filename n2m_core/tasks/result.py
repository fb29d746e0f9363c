"""What a segmentation or a change detection gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from n2m_core.geo_image import GeoImage
from n2m_core.render import NOT_SHOWN, hex_to_rgb

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard

INVALID = NOT_SHOWN
"""Label of a pixel that has no data in the image."""


@dataclass(frozen=True, eq=False)
class MapResult:
    """A map on its image's own grid.

    Attributes:
        image: the image that was mapped; for change the later one, on the earlier one's grid.
        before: the earlier image of a change; None for a segmentation.
        labels: class index, uint8 [H, W]; 255 where there is no data.
        probabilities: float32 [K, H, W], summing to one a pixel; 0 where there is no data.
        card: the checkpoint that made the map.
        timestep: the step that the network was told, 0..999.
        is_mixed: whether x_t was mixed at that step, or the clean image given.
        notes: what the person should know, a sentence each.
        seconds: wall time of the run.
    """

    image: GeoImage
    before: GeoImage | None
    labels: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    card: CheckpointCard
    timestep: int
    is_mixed: bool
    notes: tuple[str, ...]
    seconds: float

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, by index."""
        return tuple(entry.name for entry in self.card.classes)

    @property
    def colors(self) -> dict[int, tuple[int, int, int]]:
        """Colour of every class index, red, green, blue in 0..255."""
        return {index: hex_to_rgb(entry.color) for index, entry in enumerate(self.card.classes)}

    @property
    def confidence(self) -> NDArray[np.float32]:
        """Probability of the class that the map shows, float32 [H, W]; 0 where there is no data."""
        shown = np.where(self.labels == INVALID, 0, self.labels)[None].astype(np.intp)
        picked = np.take_along_axis(self.probabilities, shown, axis=0)[0]
        return np.where(self.labels == INVALID, np.float32(0), picked)

    @property
    def map_image(self) -> GeoImage:
        """The labels as a one-band uint8 image on the same grid."""
        valid = self.labels != INVALID
        return self.image.with_pixels(self.labels[None], ("class",), valid=valid)

    @property
    def probability_image(self) -> GeoImage:
        """The probabilities as a float32 image, one band a class, NaN where there is no data."""
        valid = self.labels != INVALID
        pixels = np.where(valid, self.probabilities, np.float32(np.nan))
        return self.image.with_pixels(pixels, self.class_names, valid=valid)

    @property
    def tags(self) -> dict[str, str]:
        """What an exported file should say about where the map came from."""
        step = f"{self.timestep} ({'x_t mixed' if self.is_mixed else 'clean image'})"
        return {
            "N2M_CHECKPOINT": self.card.id,
            "N2M_CHECKPOINT_SHA256": self.card.sha256,
            "N2M_TIMESTEP": step,
            "N2M_LICENSE": self.card.license,
            "N2M_CLASSES": ", ".join(f"{i}={name}" for i, name in enumerate(self.class_names)),
        }
