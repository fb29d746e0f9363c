from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasters import UTM, ImageFactory, RasterFactory, scene

from n2m_core.geo_image import GeoImage


@pytest.fixture
def make_image() -> ImageFactory:
    """Build a GeoImage from a pixel array or a shape; UTM at 0.5 m unless told otherwise."""

    def _make(
        pixels: NDArray[Any] | None = None,
        *,
        crs: str | None = "EPSG:32633",
        transform: Affine = UTM,
        valid: NDArray[np.bool_] | None = None,
        names: tuple[str, ...] | None = None,
        resolution_m: float | None = 0.5,
    ) -> GeoImage:
        pixels = scene() if pixels is None else pixels
        valid = np.ones(pixels.shape[1:], np.bool_) if valid is None else valid
        names = tuple(f"band {i + 1}" for i in range(len(pixels))) if names is None else names
        if crs is None:
            transform = Affine.identity()
        return GeoImage(pixels, valid, crs, transform, names, resolution_m)

    return _make


@pytest.fixture
def write_raster(tmp_path: Path) -> RasterFactory:
    """Write pixels with rasterio itself, so that readers are tested against another writer."""

    def _write(
        pixels: NDArray[Any],
        name: str = "image.tif",
        *,
        crs: str | None = "EPSG:32633",
        transform: Affine | None = UTM,
        nodata: float | None = None,
        mask: NDArray[np.bool_] | None = None,
        **options: str,
    ) -> Path:
        path = tmp_path / name
        profile: dict[str, Any] = {
            "driver": "PNG" if name.endswith("png") else "GTiff",
            "count": len(pixels),
            "height": pixels.shape[1],
            "width": pixels.shape[2],
            "dtype": pixels.dtype.name,
            "nodata": nodata,
            **options,
        }
        if crs is not None:
            profile["crs"] = crs
        if transform is not None and crs is not None:
            profile["transform"] = transform
        with (
            warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning),
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(path, "w", **profile) as dataset,
        ):
            dataset.write(pixels)
            if mask is not None:
                dataset.write_mask(mask)
        return path

    return _write


@pytest.fixture
def data_root() -> Path:
    """The folder of real imagery."""
    root = os.environ.get("N2M_DATA")
    if not root:
        pytest.skip("N2M_DATA is not set: tests on real imagery are left out")
    return Path(root)
