"""Write scenes as the plain folders that `n2m evaluate --dataset folder` and training read.

images/ masks/            segmentation: 0 and 255 for buildings, class indices for land cover
before/ after/ labels/    change: 0 unchanged, 1 built, 2 demolished (burnt counts as demolished)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from n2m_core.errors import ParameterError
from n2m_core.geo_image import GeoImage, Progress
from n2m_core.raster_io import write_geotiff
from n2m_core.scenes.compose import make_scene
from n2m_core.scenes.held_out import HELD_OUT_SEEDS, params_of
from n2m_core.scenes.pairs import Story, make_pair
from n2m_core.scenes.scene import Labels, SceneParams, Style

DATASET_KINDS = ("segment", "landcover", "change")
LAND_COVER_COLOURS: Mapping[int, tuple[int, int, int]] = {
    0: (0x3C, 0x10, 0x98),
    1: (0x84, 0x29, 0xF6),
    2: (0x6E, 0xC1, 0xE4),
    3: (0xFE, 0xDD, 0x3A),
    4: (0xE2, 0xA9, 0x29),
}
"""The colours in which the Dubai land-cover masks are drawn, so that one card reads both."""


def write_dataset(
    out: Path,
    kind: str,
    count: int,
    seed0: int = HELD_OUT_SEEDS.start,
    *,
    size: int = 256,
    style: Style = "any",
    story: Story = "any",
    progress: Progress | None = None,
) -> list[Path]:
    """Write scenes with their truth as GeoTIFFs; the same arguments give the same files.

    Args:
        out: folder of the data set.
        kind: what the labels say.
        count: how many scenes; their seeds are `seed0`, `seed0 + 1` and so on.
        seed0: the first seed; below 1,000,000 the scenes may have been trained on.
        size: rows and columns, pixels.
        style: of the settlements.
        story: what happens between two dates.
        progress: called after every scene.

    Returns:
        The images written; the earlier ones for change.

    Raises:
        ParameterError: the kind is unknown or the count is below 1.
        OutputError: the folder is not writable.
    """
    if kind not in DATASET_KINDS:
        raise ParameterError(f"Kind {kind!r} is unknown; choose of {', '.join(DATASET_KINDS)}.")
    if count < 1:
        raise ParameterError(f"{count} scenes asked for; ask for at least 1.")
    written = []
    for done, seed in enumerate(range(seed0, seed0 + count), start=1):
        params = params_of(seed, size=size, style=style)
        name = f"scene_{seed:07d}.tif"
        if kind == "change":
            written.append(_write_pair(out, name, params, story))
        else:
            written.append(_write_scene(out, name, params, kind))
        if progress is not None:
            progress(done, count, name)
    return written


def _write_scene(out: Path, name: str, params: SceneParams, kind: str) -> Path:
    scene = make_scene(params)
    write_geotiff(out / "images" / name, scene.image)
    if kind == "landcover":
        write_land_cover(out / "masks" / name, scene.image, scene.land_cover)
    else:
        mask = scene.building_mask * np.uint8(255)
        write_geotiff(out / "masks" / name, label_image(scene.image, mask))
    return out / "images" / name


def _write_pair(out: Path, name: str, params: SceneParams, story: Story) -> Path:
    pair = make_pair(params, story)
    write_geotiff(out / "before" / name, pair.before.image)
    write_geotiff(out / "after" / name, pair.after.image)
    write_geotiff(out / "labels" / name, label_image(pair.before.image, pair.change))
    return out / "before" / name


def label_image(grid: GeoImage, labels: Labels) -> GeoImage:
    """Put a label map uint8 [H, W] on an image's grid."""
    return grid.with_pixels(labels[None], ("label",))


def write_land_cover(path: Path, grid: GeoImage, labels: Labels) -> None:
    """Write class indices with their palette."""
    write_geotiff(path, label_image(grid, labels), colormap=LAND_COVER_COLOURS)
