"""Small rasters and folders, written for each test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import ArrayLike
from rasterio.enums import ColorInterp

from n2m_core.checkpoints import ClassInfo
from n2m_core.datasets.base import Sample
from n2m_core.datasets.folder import FolderChange, FolderSegmentation, LabelledFiles

BINARY = (ClassInfo("background", "#000000"), ClassInfo("building", "#ff0000"))
CHANGE = (*BINARY[:1], ClassInfo("built", "#00ff00"), ClassInfo("demolished", "#ff0000"))
COLOURED = (
    ClassInfo("building", "#ff0000", "#3C1098"),
    ClassInfo("water", "#0000ff", "#E2A929"),
    ClassInfo("road", "#888888", "#6EC1E4"),
)
INDEXED = tuple(ClassInfo(item.name, item.color) for item in COLOURED)
UTM = "EPSG:32633"
GRID = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)


def write(
    path: Path,
    pixels: ArrayLike,
    *,
    crs: str | None = None,
    transform: Affine = GRID,
    palette: dict[int, tuple[int, int, int]] | None = None,
    nodata: float | None = None,
) -> None:
    """Write [H, W] or [C, H, W] as a raster of the path's suffix."""
    array = np.asarray(pixels)
    array = array[None] if array.ndim == 2 else array
    array = array if array.dtype != np.int64 else array.astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    driver = {".tif": "GTiff", ".png": "PNG", ".jpg": "JPEG", ".bmp": "BMP"}[path.suffix]
    profile: dict[str, Any] = {"crs": crs, "transform": transform} if crs else {}
    count, height, width = array.shape
    with rasterio.open(
        path,
        "w",
        driver=driver,
        dtype=array.dtype,
        count=count,
        height=height,
        width=width,
        nodata=nodata,
        **profile,
    ) as target:
        target.write(array)
        if palette:
            target.write_colormap(1, palette)
            target.colorinterp = [ColorInterp.palette]


def image(value: int = 90, size: tuple[int, int] = (2, 3)) -> np.ndarray:
    return np.full((3, *size), value, np.uint8)


def painted(indices: ArrayLike, colours: Sequence[str]) -> np.ndarray:
    """Draw class indices in "#rrggbb" colours, uint8 [3, H, W]."""
    table = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in colours], np.uint8)
    return np.moveaxis(table[np.asarray(indices)], -1, 0)


def segmentation(
    root: Path,
    mask: ArrayLike,
    classes: Sequence[ClassInfo] = BINARY,
    *,
    suffix: str = ".png",
    ignore: int | None = None,
    palette: dict[int, tuple[int, int, int]] | None = None,
    nodata: float | None = None,
) -> LabelledFiles:
    """A folder of one tile with that mask."""
    height, width = np.asarray(mask).shape[-2:]
    write(root / "images" / "a.png", image(size=(height, width)))
    write(root / "masks" / f"a{suffix}", mask, palette=palette, nodata=nodata)
    return FolderSegmentation(root, classes, ignore=ignore)


def only(dataset: LabelledFiles) -> Sample:
    assert len(dataset) == 1
    return dataset[0]


def change(root: Path, *masks: ArrayLike, classes: Sequence[ClassInfo] = CHANGE) -> LabelledFiles:
    """A change folder of one pair for each mask."""
    for index, mask in enumerate(masks):
        size = np.asarray(mask).shape[-2:]
        write(root / "before" / f"{index}.png", image(10, size))
        write(root / "after" / f"{index}.png", image(20, size))
        write(root / "labels" / f"{index}.png", mask)
    return FolderChange(root, classes)
