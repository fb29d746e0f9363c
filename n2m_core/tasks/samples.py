"""Write the scenes that come with the app: GeoTIFFs with exact truth and an index of them.

Every file follows from a seed, so `n2m samples` writes the same files everywhere. The seeds are
held out from training. `samples.json` lists the scenes for the app's gallery.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from n2m_core.atomic import write_bytes
from n2m_core.geo_image import GeoImage, Progress
from n2m_core.raster_io import write_geotiff
from n2m_core.scenes import SceneParams, make_pair, make_scene
from n2m_core.scenes.dataset import label_image, write_land_cover
from n2m_core.scenes.farmland import EVENTS, FarmlandParams, make_series
from n2m_core.scenes.pairs import Story
from n2m_core.scenes.scene import LAND_COVER, Labels, Style

CREDIT = "Procedural scene of Noise2Map Explorer, CC0; the truth is exact."
INDEX = "samples.json"
CHANGE_CLASSES = ("unchanged", "built", "demolished")


@dataclass(frozen=True)
class SampleSpec:
    """One sample of the gallery; with a story it has two dates.

    Attributes:
        id: short name for links and file names.
        title: what a person reads.
        description: one sentence about it.
        params: the scene.
        story: what happens between the dates, None for one date.
    """

    id: str
    title: str
    description: str
    params: SceneParams
    story: Story | None = None

    @property
    def task(self) -> str:
        """`segment` or `change`."""
        return "segment" if self.story is None else "change"


@dataclass(frozen=True)
class SeriesSpec:
    """One sample of fusion: three dates, fine and coarse.

    Attributes:
        id: short name for links and file names.
        title: what a person reads.
        description: one sentence about it.
        params: the series.
    """

    id: str
    title: str
    description: str
    params: FarmlandParams


def _spec(
    name: str,
    title: str,
    description: str,
    scene: tuple[Style, int, int, float],
    story: Story | None = None,
) -> SampleSpec:
    style, seed, size, resolution_m = scene
    return SampleSpec(name, title, description, SceneParams(seed, size, resolution_m, style), story)


SAMPLES: tuple[SampleSpec, ...] = (
    _spec(
        "town",
        "Town of small roofs",
        "Rusty, red and concrete roofs close together, fields and workshops between; 0.3 m.",
        ("town", 1_000_203, 1024, 0.3),
    ),
    _spec(
        "suburb",
        "Suburb in green",
        "Hip and gable roofs, gardens with pools, street trees that hide a part of them; 0.4 m.",
        ("suburb", 1_000_109, 512, 0.4),
    ),
    _spec(
        "old_town",
        "Tiled old town",
        "Terracotta roofs nearly touching, with shadows of several storeys; 0.4 m.",
        ("town", 1_000_114, 512, 0.4),
    ),
    _spec(
        "river_village",
        "Village at a river",
        "Metal roofs along dirt tracks, palms, red soil and a river; 0.4 m.",
        ("village", 1_000_116, 512, 0.4),
    ),
    _spec(
        "farm_village",
        "Village among fields",
        "Scattered houses, fields with furrows and groves; 0.4 m.",
        ("village", 1_000_112, 512, 0.4),
    ),
    _spec(
        "desert_city",
        "Desert city with a creek",
        "Walled villas, wide roads and bright sand on both sides of dark water; 0.5 m.",
        ("desert_city", 1_000_102, 512, 0.5),
    ),
    _spec(
        "growing_suburb",
        "A suburb grows",
        "New houses and extensions between two dates; cars and light differ as well; 0.35 m.",
        ("suburb", 1_000_345, 384, 0.35),
        "growth",
    ),
    _spec(
        "changing_town",
        "A town changes",
        "Houses built, enlarged and pulled down under another sun and season; 0.4 m.",
        ("town", 1_000_326, 384, 0.4),
        "mixed",
    ),
    _spec(
        "after_the_fire",
        "After the fire",
        "A fire took houses and trees on one side of the settlement; 0.45 m.",
        ("suburb", 1_000_310, 384, 0.45),
        "fire",
    ),
)


SERIES: tuple[SeriesSpec, ...] = (
    SeriesSpec(
        "river_farms",
        "Farms along a river",
        "Three summer dates, 30 m and 480 m: fields ripen and are cut, and a fire crosses them.",
        FarmlandParams(1_000_003),
    ),
)


def write_samples(out: Path, progress: Progress | None = None) -> list[Path]:
    """Write every sample and the index.

    Args:
        out: folder; files of the same names are replaced one by one, the index last.
        progress: called after every sample.

    Returns:
        The files written.

    Raises:
        OutputError: the folder is not writable.
    """
    written: list[Path] = []
    entries = []
    specs: tuple[SampleSpec | SeriesSpec, ...] = (*SAMPLES, *SERIES)
    for done, spec in enumerate(specs, start=1):
        if isinstance(spec, SeriesSpec):
            entry, files = _write_series(out, spec)
        else:
            files = _write_segment(out, spec) if spec.story is None else _write_change(out, spec)
            entry = _entry(spec, files)
        entries.append(entry)
        written += [out / name for name in files.values()]
        if progress is not None:
            progress(done, len(specs), spec.title)
    text = json.dumps({"samples": entries}, indent=2, ensure_ascii=False) + "\n"
    write_bytes(out / INDEX, text.encode())
    return [*written, out / INDEX]


def _write_segment(out: Path, spec: SampleSpec) -> Mapping[str, str]:
    """Write image, land cover and buildings; gives the names by role."""
    scene = make_scene(spec.params)
    names = {role: f"{spec.id}_{role}.tif" for role in ("image", "land_cover", "buildings")}
    write_geotiff(out / names["image"], scene.image)
    write_land_cover(out / names["land_cover"], scene.image, scene.land_cover)
    _write_mask(out / names["buildings"], scene.image, scene.building_mask * np.uint8(255))
    return names


def _write_change(out: Path, spec: SampleSpec) -> Mapping[str, str]:
    """Write both dates, the change and the fire damage; gives the names by role."""
    pair = make_pair(spec.params, spec.story or "any")
    names = {role: f"{spec.id}_{role}.tif" for role in ("before", "after", "change", "damage")}
    write_geotiff(out / names["before"], pair.before.image)
    write_geotiff(out / names["after"], pair.after.image)
    _write_mask(out / names["change"], pair.before.image, pair.change)
    _write_mask(out / names["damage"], pair.before.image, pair.damage * np.uint8(255))
    return names


def _write_series(out: Path, spec: SeriesSpec) -> tuple[dict[str, Any], Mapping[str, str]]:
    """Write a series; gives its entry for the gallery, and the names by role."""
    series = make_series(spec.params)
    images = {f"fine{date}": image for date, image in enumerate(series.fine)}
    images |= {f"coarse{date}": image for date, image in enumerate(series.coarse)}
    images["change"] = series.change
    names = {role: f"{spec.id}_{role}.tif" for role in images}
    for role, image in images.items():
        write_geotiff(out / names[role], image)
    entry = {
        "id": spec.id,
        "title": spec.title,
        "description": spec.description,
        "task": "fuse",
        "image": names["fine2"],
        "before": names["fine0"],
        "truth": {"fine1": names["fine1"], "change": names["change"]},
        "series": {
            role: names[role] for role in ("fine0", "coarse0", "fine2", "coarse2", "coarse1")
        },
        "dates": [day.isoformat() for day in series.days],
        "scale": series.scale,
        "classes": ["unchanged", *EVENTS, "harvest"],
        "resolution_m": spec.params.resolution_m,
        "size": spec.params.size,
        "seed": spec.params.seed,
        "style": "farmland",
        "credit": CREDIT,
    }
    return entry, names


def _write_mask(path: Path, grid: GeoImage, labels: Labels) -> None:
    write_geotiff(path, label_image(grid, labels))


def _entry(spec: SampleSpec, files: Mapping[str, str]) -> dict[str, Any]:
    """Describe one sample for the gallery; paths are relative to the index."""
    is_pair = spec.story is not None
    truths = ("change", "damage") if is_pair else ("land_cover", "buildings")
    return {
        "id": spec.id,
        "title": spec.title,
        "description": spec.description,
        "task": spec.task,
        "image": files["after" if is_pair else "image"],
        "before": files.get("before"),
        "truth": {name: files[name] for name in truths},
        "classes": list(CHANGE_CLASSES if is_pair else LAND_COVER),
        "resolution_m": spec.params.resolution_m,
        "size": spec.params.size,
        "seed": spec.params.seed,
        "style": spec.params.style,
        "credit": CREDIT,
    }
