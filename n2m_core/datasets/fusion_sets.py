"""Published sets of spatiotemporal fusion, as their users cut and split them.

| set | sensors | files | crop, rows and columns | dates |
|---|---|---|---|---|
| CIA | Landsat 7, MOD09GA | L7...<yyyymmdd>..., MOD09GA_A<yyyyddd>... | 20..1812, 106..1386 | 17 |
| LGC | Landsat 5, MOD09GA | <yyyymmdd>_TM, MOD09GA_A<yyyyddd>... | 40..2600, 32..3104 | 14 |
| AHB | Landsat 8, MOD09GA | L_<y-m-d>, M_<y-m-d> | none | 27 |

The files may lie in any folders below the root. The Landsat names of CIA are one day behind those
of MODIS (local time against UTC). Values are reflectance times 10000. The order of the MODIS bands
differs between copies: `coarse_bands` brings them into that of the Landsat bands.

Splits: `syy` are the test triplets of the STFDiff family, `swin` that of SwinSTFM (the flood),
`survey-train` and `survey-test` the consecutive triplets of the first and the remaining dates of
the survey by Cui et al. `all` are all consecutive triplets.

`landsat8_modis_2016_444` is one `.npz` file with three Landsat 8 dates; its coarse side is made of
the fine images, or is the real MODIS, which is partly cloudy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from n2m_core.datasets.folder import ReadOptions
from n2m_core.datasets.triplets import SUFFIXES, Triplet, Triplets, degraded
from n2m_core.errors import BandError, DatasetError
from n2m_core.geo_image import GeoImage
from n2m_core.scenes.farmland_sensor import CoarseSensor

Three = tuple[date, date, date]
SCALE = 16
"""Sides of a MODIS pixel of 500 m in Landsat pixels of 30 m, rounded as in the papers."""


@dataclass(frozen=True)
class Crop:
    """Rows `top` to `bottom` and columns `left` to `right`, ends exclusive."""

    top: int
    bottom: int
    left: int
    right: int


@dataclass(frozen=True)
class PublishedSet:
    """How a published set is laid out.

    Attributes:
        name: "cia", "lgc" or "ahb".
        fine_name: finds year, month and day in the name of a fine file.
        coarse_name: finds year and day of the year, or year, month and day, in a coarse file's.
        days_behind: days to add to the date in a fine file's name.
        crop: the part that is used; None for all.
        dates: in order.
        tests: published test triplets by split.
        train_dates: how many dates the survey trains on.
    """

    name: str
    fine_name: str
    coarse_name: str
    days_behind: int
    crop: Crop | None
    dates: tuple[date, ...]
    tests: Mapping[str, tuple[Three, ...]]
    train_dates: int

    def triplets(self, split: str) -> tuple[Three, ...]:
        """The date triplets of a split.

        Raises:
            DatasetError: the set has no such split.
        """
        if split in self.tests:
            return self.tests[split]
        parts = {
            "all": self.dates,
            "survey-train": self.dates[: self.train_dates],
            "survey-test": self.dates[self.train_dates :],
        }
        if split not in parts:
            known = ", ".join([*self.tests, *parts])
            raise DatasetError(f"{self.name} has no split {split!r}; choose of {known}.")
        days = parts[split]
        return tuple(zip(days, days[1:], days[2:], strict=False))


def _days(text: str) -> tuple[date, ...]:
    return tuple(date.fromisoformat(day) for day in text.split())


def _threes(*texts: str) -> tuple[Three, ...]:
    found = []
    for text in texts:
        first, second, third = _days(text)
        found.append((first, second, third))
    return tuple(found)


MODIS = r"MOD09GA_A(\d{4})(\d{3})"
CIA = PublishedSet(
    name="cia",
    fine_name=r"^L7\d+_\d{3}(\d{4})(\d{2})(\d{2})",
    coarse_name=MODIS,
    days_behind=1,
    crop=Crop(20, 1812, 106, 1386),
    dates=_days(
        "2001-10-08 2001-10-17 2001-11-02 2001-11-09 2001-11-25 2001-12-04 2002-01-05 2002-01-12 "
        "2002-02-13 2002-02-22 2002-03-10 2002-03-17 2002-04-02 2002-04-11 2002-04-18 2002-04-27 "
        "2002-05-04"
    ),
    tests={
        "syy": _threes(
            "2001-11-02 2001-11-09 2001-11-25",
            "2002-02-22 2002-03-10 2002-03-17",
            "2002-02-22 2002-03-17 2002-04-18",
            "2002-04-11 2002-04-18 2002-04-27",
        )
    },
    train_dates=11,
)
LGC = PublishedSet(
    name="lgc",
    fine_name=r"^(\d{4})(\d{2})(\d{2})_TM",
    coarse_name=MODIS,
    days_behind=0,
    crop=Crop(40, 2600, 32, 3104),
    dates=_days(
        "2004-04-16 2004-05-02 2004-07-05 2004-08-06 2004-08-22 2004-10-25 2004-11-26 2004-12-12 "
        "2004-12-28 2005-01-13 2005-01-29 2005-02-14 2005-03-02 2005-04-03"
    ),
    tests={
        "syy": _threes("2004-12-28 2005-01-13 2005-01-29"),
        "swin": _threes("2004-11-26 2004-12-12 2004-12-28"),
    },
    train_dates=9,
)
AHB = PublishedSet(
    name="ahb",
    fine_name=r"^L_(\d{4})-(\d{1,2})-(\d{1,2})",
    coarse_name=r"^M_(\d{4})-(\d{1,2})-(\d{1,2})",
    days_behind=0,
    crop=None,
    dates=_days(
        "2013-05-30 2014-02-10 2014-04-15 2014-09-06 2015-02-13 2015-03-17 2015-05-04 2015-06-21 "
        "2015-07-07 2015-09-25 2016-01-31 2016-04-20 2016-06-07 2016-08-26 2016-10-13 2017-02-18 "
        "2017-05-25 2017-06-10 2017-07-28 2017-08-29 2018-01-04 2018-02-05 2018-03-25 2018-05-12 "
        "2018-10-03 2018-10-19 2018-12-06"
    ),
    tests={},
    train_dates=20,
)
SETS: dict[str, PublishedSet] = {each.name: each for each in (CIA, LGC, AHB)}


def published_triplets(
    layout: PublishedSet,
    root: Path,
    split: str,
    *,
    coarse_bands: tuple[int, ...] | None = None,
    options: ReadOptions | None = None,
) -> Triplets:
    """Open the triplets of a split of CIA, LGC or AHB.

    Args:
        layout: which set.
        root: its folder.
        split: see the module.
        coarse_bands: bands of the coarse files in the order of the fine bands, counted from 1.
        options: how the images are read.

    Raises:
        DatasetError: an unknown split, or images of its dates are missing.
    """
    wanted = layout.triplets(split)
    fine = _by_date(root, layout.fine_name, layout.days_behind)
    coarse = _by_date(root, layout.coarse_name, 0)
    kinds = (("fine", fine, layout.fine_name), ("coarse", coarse, layout.coarse_name))
    for kind, files, pattern in kinds:
        missing = sorted({day for three in wanted for day in three} - files.keys())
        if missing:
            shown = ", ".join(day.isoformat() for day in missing[:4])
            raise DatasetError(
                f"{root} lacks {len(missing)} {kind} images of {layout.name}, split {split}: "
                f"{shown}. Their .tif names are matched by {pattern}."
            )
    chosen = options or ReadOptions()
    return Triplets(
        [_reader(layout, three, fine, coarse, coarse_bands, chosen) for three in wanted]
    )


def _by_date(root: Path, pattern: str, days_behind: int) -> dict[date, Path]:
    """The files whose names hold a date."""
    found: dict[date, Path] = {}
    for path in sorted(root.rglob("*")):
        match = re.search(pattern, path.name)
        if match is None or path.suffix.lower() not in SUFFIXES:
            continue
        year, *rest = (int(number) for number in match.groups())
        first = date(year, 1, 1) + timedelta(days=rest[0] - 1)
        day = date(year, rest[0], rest[1]) if len(rest) == 2 else first
        found[day + timedelta(days=days_behind)] = path
    return found


def _reader(
    layout: PublishedSet,
    days: Three,
    fine: Mapping[date, Path],
    coarse: Mapping[date, Path],
    coarse_bands: tuple[int, ...] | None,
    options: ReadOptions,
) -> Callable[[], Triplet]:
    def read() -> Triplet:
        """Read and cut the six images."""
        first, second, third = (_cut(options.read(fine[day]), layout) for day in days)
        seen = replace(options, bands=coarse_bands or options.bands)
        before, now, after = (_cut(seen.read(coarse[day]), layout) for day in days)
        name = f"{layout.name}_{days[1].isoformat()}"
        return Triplet(name, (first, second, third), (before, now, after), days, SCALE)

    return read


def _cut(image: GeoImage, layout: PublishedSet) -> GeoImage:
    """The part that is used.

    Raises:
        DatasetError: the image does not reach that far.
    """
    crop = layout.crop
    if crop is None:
        return image
    if image.height < crop.bottom or image.width < crop.right:
        raise DatasetError(
            f"An image of {layout.name} is {image.height} rows x {image.width} columns and its "
            f"crop ends at {crop.bottom} and {crop.right}; give the full images."
        )
    window = slice(crop.top, crop.bottom), slice(crop.left, crop.right)
    return replace(
        image,
        pixels=image.pixels[:, *window],
        valid=image.valid[window],
        transform=image.transform @ Affine.translation(crop.left, crop.top),
    )


LANDSAT8_BANDS = ("red", "swir1", "nir", "green")
LANDSAT8_DN = (2e-5, -0.1)
"""Reflectance a digital number, and at 0."""


def landsat8_triplet(
    path: Path, *, sensor: CoarseSensor | None = None, is_real: bool = False
) -> Triplet:
    """Open `landsat8_modis_2016_444.npz`: DOY 236 of 2016 from 220 and 243.

    Args:
        path: the file.
        sensor: makes the coarse side; at scale 16 with a point spread of one pixel when not given.
        is_real: take the real MODIS images instead.

    Returns:
        The triplet in reflectance, float32, on a grid without georeference.

    Raises:
        DatasetError: the file is missing or not of this kind.
    """
    try:
        with np.load(path, allow_pickle=False) as held:
            fine, days = held["fine_dn"], held["doy"]
            real = held["coarse_bilinear"]
    except (OSError, ValueError, KeyError) as error:
        raise DatasetError(
            f"{path} can't be read as the Landsat 8 set ({error}); give its .npz file."
        ) from error
    if fine.ndim != 4 or len(fine) != 3 or fine.shape != real.shape:
        raise DatasetError(f"{path} holds {fine.shape}; three dates of fine and coarse are needed.")
    first, second, third = (date(2016, 1, 1) + timedelta(days=int(day) - 1) for day in days)
    images = [_reflectance(each) for each in fine]
    seen_by = sensor or CoarseSensor(SCALE)
    made = degraded(
        path.stem, (images[0], images[1], images[2]), seen_by, dates=(first, second, third)
    )
    if not is_real:
        return made
    shape = made.fine[0].valid.shape
    modis = [_reflectance(each[:, : shape[0], : shape[1]]) for each in real]
    return replace(made, coarse=(modis[0], modis[1], modis[2]), scale=SCALE)


def _reflectance(numbers: NDArray[Any]) -> GeoImage:
    """Digital numbers [C, H, W] become an image without georeference; 0 is no data."""
    if len(numbers) != len(LANDSAT8_BANDS):
        raise BandError(f"The Landsat 8 set has 4 bands; this file has {len(numbers)}.")
    slope, offset = LANDSAT8_DN
    valid = np.asarray((numbers > 0).all(axis=0), np.bool_)
    pixels = np.where(valid, numbers * slope + offset, 0).astype(np.float32)
    return GeoImage(pixels, valid, None, Affine.identity(), LANDSAT8_BANDS)
