"""A refiner of one pass to compare with: image and rough map in, map out, no diffusion.

Any network that maps an image serves; it is shown the rough map as further bands, one a class, 255
where the rough map has that class and 0 elsewhere. `n2m train` makes such a network where its
configuration has `rough`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from n2m_core.checkpoints import ROUGH_BAND, CheckpointCard, LoadedModel
from n2m_core.errors import CheckpointError, LabelError
from n2m_core.geo_image import GeoImage, Progress
from n2m_core.normalize import Normalization, to_model_range
from n2m_core.tasks import segment
from n2m_core.tasks.inference import choose_bands
from n2m_core.tasks.params import MapParams
from n2m_core.tasks.result import MapResult


def refine_once(
    image: GeoImage,
    rough: NDArray[Any],
    model: LoadedModel,
    params: MapParams | None = None,
    progress: Progress | None = None,
) -> MapResult:
    """Refine a rough map in one pass.

    Args:
        image: the image, of any ground resolution that the checkpoint can bear.
        rough: class indices on the image's grid, [H, W]; any other value where nothing is mapped.
        model: a checkpoint that `n2m train` made with `rough`.
        params: the person's choices; the card's where not given.
        progress: told after every batch of windows; may raise to stop.

    Returns:
        The refined map on the image's own grid.

    Raises:
        CheckpointError: the checkpoint takes no rough map.
        LabelError: the rough map has another size than the image.
        BandError: the image lacks bands.
        GridError: no pixel with data, or too coarse or too fine an image.
    """
    card = model.card
    names = tuple(entry.name for entry in card.classes)
    own = _image_bands(card, names)
    picture = choose_bands(image, replace(card, bands=own))
    result = segment.run(with_rough(picture, rough, names), model, params, progress)
    return replace(result, image=image)


def rough_bands(class_names: Sequence[str]) -> tuple[str, ...]:
    """Name the bands that show a rough map, one a class."""
    return tuple(f"{ROUGH_BAND}{name}" for name in class_names)


def rough_planes(rough: NDArray[Any], classes: int) -> NDArray[np.uint8]:
    """Draw a rough map as bands.

    Args:
        rough: class indices [H, W]; any other value belongs to no class.
        classes: K.

    Returns:
        uint8 [K, H, W]: 255 where the rough map has the class, else 0.
    """
    planes = rough[None] == np.arange(classes)[:, None, None]
    return np.where(planes, np.uint8(255), np.uint8(0))


def with_rough(image: GeoImage, rough: NDArray[Any], class_names: Sequence[str]) -> GeoImage:
    """Put a rough map beside the image's bands.

    Args:
        image: any real dtype; it is brought to 8 bit, as it is for the network.
        rough: class indices [H, W]; any other value where nothing is mapped.
        class_names: of the checkpoint.

    Returns:
        uint8 [C + K, H, W] on the same grid.

    Raises:
        LabelError: the rough map has another size than the image.
    """
    if rough.shape != image.valid.shape:
        raise LabelError(
            f"The rough map has shape {rough.shape} and the image {image.valid.shape}; align it to "
            "the image."
        )
    pixels = np.rint((to_model_range(image, Normalization()) + 1) * 127.5).astype(np.uint8)
    return image.with_pixels(
        np.concatenate([pixels, rough_planes(rough, len(class_names))]),
        (*image.band_names, *rough_bands(class_names)),
    )


def _image_bands(card: CheckpointCard, class_names: Sequence[str]) -> tuple[str, ...]:
    """The bands of a checkpoint that are of the image.

    Raises:
        CheckpointError: none of its bands shows a rough map.
    """
    shown = rough_bands(class_names)
    if card.bands[-len(shown) :] != shown:
        raise CheckpointError(
            f"Checkpoint {card.id} takes {', '.join(card.bands)} and no rough map; choose one that "
            "was trained with `rough`."
        )
    return card.bands[: -len(shown)]
