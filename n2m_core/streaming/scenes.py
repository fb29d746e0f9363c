"""Opening what a job reads: the wanted bands, one grid for all, the same weights everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from n2m_core.checkpoints import CheckpointCard, LoadedModel, Task, load
from n2m_core.errors import CheckpointError
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import MAX_SCENE_PIXELS, Scene, SceneFile, on_grid, pixel_match_note
from n2m_core.tasks.change import ON_BEFORE
from n2m_core.tasks.inference import choose_bands
from n2m_core.tasks.lattice import Lattice, plan_lattice


def load_same(checkpoint: str, task: Task, device: str, sha256: str) -> LoadedModel:
    """Load weights that must be those of the client.

    Raises:
        CheckpointError: they are others.
    """
    model = load(checkpoint, task, device=device)
    if model.card.sha256 != sha256:
        raise CheckpointError(
            f"The weights of {checkpoint} on this machine are others than those of the machine "
            "that gave out the work; bring both to the same version."
        )
    return model


def with_wanted_bands(file: SceneFile, card: CheckpointCard) -> tuple[SceneFile, tuple[str, ...]]:
    """Choose the bands that a checkpoint wants, as `choose_bands` does, without reading pixels.

    Returns:
        The file with these bands picked, and notes.
    """
    header = file.opened().header
    # A pixel whose values are the numbers of its bands tells which ones were taken.
    numbers = np.arange(header.bands, dtype=np.uint16)[:, None, None]
    told = replace(header, pixels=numbers, valid=np.ones((1, 1), np.bool_))
    chosen = choose_bands(told, card)
    order = tuple(int(number) for number in chosen.pixels[:, 0, 0])
    return replace(file, picked=order), chosen.notes


def aligned(files: Sequence[SceneFile]) -> tuple[list[Scene], list[str]]:
    """Open one scene, or a pair on the grid of the earlier one; see `change.align_pair`.

    Returns:
        The scenes, and notes on what was done.
    """
    scenes: list[Scene] = [file.opened() for file in files]
    if len(scenes) == 1:
        return scenes, []
    before, after = scenes
    if before.header.crs is None and after.header.crs is not None:
        before = on_grid(before, after.header)
    else:
        after = on_grid(after, before.header)
    if [before, after] == scenes:
        return scenes, []
    is_placed = all(scene.header.is_georeferenced for scene in scenes)
    first, second = (scene.header for scene in scenes)
    note = ON_BEFORE if is_placed else pixel_match_note(first, second)
    return [before, after], [note]


def lattice_of(header: GeoImage, card: CheckpointCard, resolution_m: float | None) -> Lattice:
    """Lay the checkpoint's lattice over a scene."""
    return plan_lattice(
        header, card.resolution_m, taken_as_m=resolution_m, max_pixels=MAX_SCENE_PIXELS
    )
