"""Three dates of one place, fine and coarse, for spatiotemporal fusion.

A plain folder of triplets has one folder a triplet:

    <name>/{fine0,coarse0,fine1,coarse1,fine2,coarse2}.tif    fine1 is the truth

with an optional `triplet.json`: {"dates": ["2023-06-06", "2023-07-14", "2023-07-30"], "scale": 16}.
The coarse images lie on any grid that covers the fine ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, overload

import numpy as np

from n2m_core.atomic import write_bytes
from n2m_core.datasets.folder import ReadOptions
from n2m_core.errors import DatasetError, ParameterError
from n2m_core.geo_image import GeoImage, Progress
from n2m_core.raster_io import write_geotiff
from n2m_core.scenes.farmland import FarmlandParams, make_series
from n2m_core.scenes.farmland_sensor import CoarseSensor, to_fine_grid

ROLES = ("fine0", "coarse0", "fine1", "coarse1", "fine2", "coarse2")
SUFFIXES = (".tif", ".tiff")
FACTS = "triplet.json"
Dates = tuple[date, date, date]


@dataclass(frozen=True, eq=False)
class Triplet:
    """Fine and coarse images of three dates, each in its own units and on its own grid.

    Attributes:
        name: unique within its dataset.
        fine: of dates 0, 1 and 2; that of date 1 is the truth.
        coarse: of the same dates.
        dates: when they were taken, None when unknown.
        scale: sides of a coarse pixel in fine ones, None to read it from the grids.
    """

    name: str
    fine: tuple[GeoImage, GeoImage, GeoImage]
    coarse: tuple[GeoImage, GeoImage, GeoImage]
    dates: Dates | None = None
    scale: int | None = None


class Triplets(Sequence[Triplet]):
    """Triplets that are read or drawn when they are asked for."""

    def __init__(self, readers: Sequence[Callable[[], Triplet]]) -> None:
        """Keep how to read each."""
        self._readers = tuple(readers)

    def __len__(self) -> int:
        """Number of triplets."""
        return len(self._readers)

    def __iter__(self) -> Iterator[Triplet]:
        """Read one after the other."""
        return (read() for read in self._readers)

    @overload
    def __getitem__(self, index: int) -> Triplet: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Triplet]: ...
    def __getitem__(self, index: int | slice) -> Triplet | Sequence[Triplet]:
        """Read one triplet, or several."""
        if isinstance(index, slice):
            return [read() for read in self._readers[index]]
        return self._readers[index]()


def folder_triplets(root: Path, *, options: ReadOptions | None = None) -> Triplets:
    """Open a plain folder of triplets; a folder that is one triplet itself is taken as such.

    Args:
        root: the folder.
        options: how the images are read.

    Raises:
        DatasetError: there is no such folder, no triplet in it, or one lacks files.
    """
    if not root.is_dir():
        raise DatasetError(f"There is no folder {root}; give a folder of triplets.")
    folders = [root, *sorted(each for each in root.iterdir() if each.is_dir())]
    found = [each for each in folders if any(_find(each, role) for role in ROLES)]
    if not found:
        raise DatasetError(
            f"{root} holds no triplet; each is a folder with {', '.join(ROLES)} as .tif files."
        )
    for each in found:
        missing = [role for role in ROLES if _find(each, role) is None]
        if missing:
            raise DatasetError(
                f"The triplet {each.name} lacks {', '.join(missing)}; a triplet has "
                f"{', '.join(ROLES)} as .tif files."
            )
    chosen = options or ReadOptions()
    return Triplets([_reader(each, chosen) for each in found])


def _reader(folder: Path, options: ReadOptions) -> Callable[[], Triplet]:
    def read() -> Triplet:
        """Read the six images and the facts beside them."""
        paths = {role: _find(folder, role) for role in ROLES}
        images = {role: options.read(path) for role, path in paths.items() if path is not None}
        dates, scale = _facts(folder)
        return Triplet(
            name=folder.name,
            fine=(images["fine0"], images["fine1"], images["fine2"]),
            coarse=(images["coarse0"], images["coarse1"], images["coarse2"]),
            dates=dates,
            scale=scale,
        )

    return read


def _find(folder: Path, role: str) -> Path | None:
    """The file of a role."""
    paths = (folder / f"{role}{suffix}" for suffix in SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


def _facts(folder: Path) -> tuple[Dates | None, int | None]:
    """Dates and scale of a triplet, where it says them.

    Raises:
        DatasetError: the file is damaged.
    """
    path = folder / FACTS
    if not path.is_file():
        return None, None
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        days = facts.get("dates")
        first, second, third = (date.fromisoformat(day) for day in days) if days else (None,) * 3
        scale = facts.get("scale")
        known = (first, second, third) if first and second and third else None
        return known, None if scale is None else int(scale)
    except (ValueError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{path} can't be read ({error}); it holds three dates as YYYY-MM-DD and a scale."
        ) from error


def write_triplet(folder: Path, triplet: Triplet) -> list[Path]:
    """Write a triplet as a folder that `folder_triplets` reads.

    Raises:
        OutputError: the folder is not writable.
    """
    images = dict(zip(ROLES, _in_order(triplet), strict=True))
    for role, image in images.items():
        write_geotiff(folder / f"{role}.tif", image)
    days = None if triplet.dates is None else [day.isoformat() for day in triplet.dates]
    facts: dict[str, Any] = {"dates": days, "scale": triplet.scale}
    write_bytes(folder / FACTS, (json.dumps(facts) + "\n").encode())
    return [*(folder / f"{role}.tif" for role in images), folder / FACTS]


def _in_order(triplet: Triplet) -> list[GeoImage]:
    """The images in the order of `ROLES`."""
    return [image for pair in zip(triplet.fine, triplet.coarse, strict=True) for image in pair]


def farmland_triplet(params: FarmlandParams) -> Triplet:
    """Draw a procedural triplet; its name is that of its seed."""
    series = make_series(params)
    name = f"farmland_{params.seed:07d}"
    return Triplet(name, series.fine, series.coarse, series.days, series.scale)


def farmland_triplets(count: int, params: FarmlandParams) -> Triplets:
    """Draw `count` procedural triplets, from the seed of `params` on."""

    def reader(number: int) -> Callable[[], Triplet]:
        return lambda: farmland_triplet(replace(params, seed=params.seed + number))

    return Triplets([reader(number) for number in range(count)])


def write_farmland(
    out: Path, count: int, params: FarmlandParams, progress: Progress | None = None
) -> list[Path]:
    """Write procedural triplets as a folder that `folder_triplets` reads.

    Args:
        out: folder that receives one folder a triplet.
        count: how many.
        params: what to draw, from its seed on.
        progress: told after every triplet.

    Raises:
        ParameterError: the count is below 1.
        OutputError: the folder is not writable.
    """
    if count < 1:
        raise ParameterError(f"{count} triplets asked for; ask for at least 1.")
    written: list[Path] = []
    for done, triplet in enumerate(farmland_triplets(count, params), start=1):
        written += write_triplet(out / triplet.name, triplet)
        if progress is not None:
            progress(done, count, triplet.name)
    return written


def degraded(
    name: str,
    fine: tuple[GeoImage, GeoImage, GeoImage],
    sensor: CoarseSensor,
    *,
    dates: Dates | None = None,
    seed: int = 0,
) -> Triplet:
    """Make the coarse side of three real fine images by the sensor model of the farmland series.

    Args:
        name: of the triplet.
        fine: three images on one grid, in any units; cut to whole coarse pixels.
        sensor: what the coarse images are seen with; its noise and offset are in the images' units.
        dates: when the fine images were taken.
        seed: draws the noise.

    Returns:
        The triplet, its coarse images resampled to the fine grid as float32.

    Raises:
        DatasetError: an image is smaller than a coarse pixel.
    """
    scale = sensor.scale
    height, width = (side // scale * scale for side in fine[0].valid.shape)
    if not height or not width:
        raise DatasetError(
            f"{name} is {fine[0].width} x {fine[0].height} px, less than a coarse pixel of "
            f"{scale} px."
        )
    rng = np.random.default_rng(seed)
    cut = [_cut(image, height, width) for image in fine]
    coarse = []
    for image in cut:
        pixels, valid = to_fine_grid(
            *sensor.see(image.pixels.astype(np.float32), image.valid, rng), scale
        )
        coarse.append(image.with_pixels(pixels, image.band_names, valid=valid))
    return Triplet(name, (cut[0], cut[1], cut[2]), (coarse[0], coarse[1], coarse[2]), dates, scale)


def _cut(image: GeoImage, height: int, width: int) -> GeoImage:
    """The upper left part of an image."""
    return image.with_pixels(
        image.pixels[:, :height, :width],
        image.band_names,
        valid=np.ascontiguousarray(image.valid[:height, :width]),
    )
