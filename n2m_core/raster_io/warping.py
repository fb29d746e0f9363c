"""From one grid to another: align a pair, change the pixel size, project for a web map.

Resampling that mixes pixels weighs them by validity, so that missing ground does not darken its
neighbours: the values times the mask and the mask itself are warped alike, then divided.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling as Method
from rasterio.warp import reproject

from n2m_core.errors import GridError, NoOverlapError, ParameterError
from n2m_core.geo_image import GeoImage, Mask, Pixels
from n2m_core.raster_io.ground import (
    WEB_MERCATOR,
    centre_resolution_m,
    lonlat_bounds,
    parse_crs,
    project_outline,
)
from n2m_core.raster_io.opening import RASTER_ERRORS

Resampling = Literal["nearest", "bilinear", "average"]
MERCATOR_LIMIT_DEG = 85.051129
"""Latitude where the square Web Mercator map ends."""
SAME_GRID_PX = 1e-3
"""Grids whose corners differ by less than this share of a pixel are one grid."""
HALF_COVERED = 0.5
"""A mixed pixel is valid when valid ground makes at least this share of it."""


def same_grid(first: GeoImage, second: GeoImage) -> bool:
    """Tell whether two images have the same CRS, size and, to 0.001 px, the same transform."""
    if first.valid.shape != second.valid.shape or first.crs != second.crs:
        return False
    shift = ~first.transform @ second.transform
    corners = [(0, 0), (first.width, 0), (0, first.height), (first.width, first.height)]
    return all(math.dist(shift @ corner, corner) < SAME_GRID_PX for corner in corners)


def align_to(image: GeoImage, grid: GeoImage, *, resampling: Resampling = "bilinear") -> GeoImage:
    """Put an image on the grid of another one and say so in its notes.

    Args:
        image: what to move.
        grid: whose CRS, transform and size to take; its pixels are not used.
        resampling: "nearest" for labels.

    Returns:
        The image on exactly the other grid, not valid where it does not reach. Images without
        georeference pass pixel by pixel when they have equal size.

    Raises:
        NoOverlapError: no common ground.
        GridError: no georeference and different sizes.
    """
    if same_grid(image, grid):
        return image
    if image.crs is None or grid.crs is None:
        return _match_pixels(image, grid)
    pixels, valid = warp(image, grid, resampling)
    covered = float((valid & grid.valid).mean() / max(float(grid.valid.mean()), 1e-12))
    if not (valid & grid.valid).any():
        raise NoOverlapError(
            f"The two images do not overlap: one covers {_extent(grid)}, the other "
            f"{_extent(image)} (latitude, longitude). Choose two images of the same place."
        )
    moved = replace(
        image,
        pixels=pixels,
        valid=valid,
        crs=grid.crs,
        transform=grid.transform,
        resolution_m=grid.resolution_m,
    )
    return moved.with_notes(
        f"An image was moved to the grid of its pair ({_describe(image)} to {_describe(grid)}); "
        f"it covers {covered:.0%} of it."
    )


def _match_pixels(image: GeoImage, grid: GeoImage) -> GeoImage:
    """Take an image pixel by pixel when one of a pair has no georeference."""
    if image.valid.shape != grid.valid.shape:
        raise GridError(
            f"One image is {image.width} x {image.height} px, the other {grid.width} x "
            f"{grid.height} px, and without a georeference of both they can't be aligned. Give "
            "GeoTIFFs of both, or two images of equal size."
        )
    moved = replace(image, crs=grid.crs, transform=grid.transform, resolution_m=grid.resolution_m)
    if image.crs is None and grid.crs is None and image.transform == grid.transform:
        return moved
    return moved.with_notes(pixel_match_note(image, grid))


def pixel_match_note(first: GeoImage, second: GeoImage) -> str:
    """Say why the images of a pair were matched without a georeference."""
    if first.crs != second.crs:
        return "Only one image of the pair has a georeference; they were matched pixel by pixel."
    return "The images of the pair were matched pixel by pixel."


def resample(
    image: GeoImage, height: int, width: int, *, resampling: Resampling = "bilinear"
) -> GeoImage:
    """Cover the same ground with another number of pixels.

    Args:
        image: what to resample.
        height: rows wanted, at least 1.
        width: columns wanted, at least 1.
        resampling: "bilinear" smooths when it shrinks, "average" takes the exact mean.

    Returns:
        The image with the new size, transform and resolution.

    Raises:
        ParameterError: a size below 1.
    """
    if height < 1 or width < 1:
        raise ParameterError(f"Size {width} x {height} px; both must be at least 1.")
    if (height, width) == image.valid.shape:
        return image
    scale = Affine.scale(image.width / width, image.height / height)
    # Sizes alone matter here, so the warp runs in pixel space and any CRS will do.
    flat = replace(image, crs=WEB_MERCATOR, transform=Affine.identity())
    pixels, valid = _Warp(flat, WEB_MERCATOR, scale, (height, width), resampling).run()
    resized = replace(image, pixels=pixels, valid=valid, transform=image.transform @ scale)
    if image.resolution_m is None:
        return resized
    stretch = math.sqrt(image.height / height * image.width / width)
    return replace(resized, resolution_m=image.resolution_m * stretch)


def to_web_mercator(
    image: GeoImage, *, max_px: int, resampling: Resampling = "bilinear"
) -> tuple[GeoImage, tuple[float, float, float, float]]:
    """Project an image for a web map, decimated first because that is several times faster.

    Args:
        image: georeferenced.
        max_px: longest side of the result.
        resampling: "nearest" for labels.

    Returns:
        The image in EPSG:3857, not valid outside the original's outline, and the bounds (south,
        west, north, east) of its rectangle in degrees.

    Raises:
        GridError: no georeference, or the image reaches beyond 85 degrees north or south.
    """
    south, _, north, _ = lonlat_bounds(image)
    if image.crs is None or max(-south, north) > MERCATOR_LIMIT_DEG:
        raise GridError(
            f"The image reaches from {south:.2f} to {north:.2f} degrees of latitude and a web map "
            f"ends at {MERCATOR_LIMIT_DEG:.2f}; cut it or look at it in pixels."
        )
    transform, height, width = _mercator_grid(image, max_px)
    thinned = _thin(image, max(image.height, image.width) / max(height, width))
    pixels, valid = _Warp(thinned, WEB_MERCATOR, transform, (height, width), resampling).run()
    moved = replace(image, pixels=pixels, valid=valid, crs=WEB_MERCATOR, transform=transform)
    moved = replace(moved, resolution_m=centre_resolution_m(moved))
    return moved, lonlat_bounds(moved)


def _thin(image: GeoImage, shrink: float) -> GeoImage:
    """Keep the middle pixel of blocks, so that about two a side remain for each pixel wanted."""
    step = round(shrink / 2)
    # An odd block has a middle pixel, which lies where the thinned grid says.
    step -= step % 2 == 0
    if step < 3 or min(image.valid.shape) < step:
        return image
    kept = slice(step // 2, None, step)
    return replace(
        image,
        pixels=image.pixels[:, kept, kept],
        valid=image.valid[kept, kept],
        transform=image.transform @ Affine.scale(step),
    )


def _mercator_grid(image: GeoImage, max_px: int) -> tuple[Affine, int, int]:
    """Give transform, rows, columns of the box around the image, with about as many pixels."""
    x, y = project_outline(image, WEB_MERCATOR)
    # Shoelace formula: a turned image fills its box in part only.
    area = abs(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))) / 2
    pixel = math.sqrt(area / (image.height * image.width))
    sides = float(np.ptp(y)), float(np.ptp(x))
    pixel = max(pixel, max(sides) / max_px)
    height, width = (max(1, round(side / pixel)) for side in sides)
    scale = Affine.scale(sides[1] / width, -sides[0] / height)
    return Affine.translation(float(x.min()), float(y.max())) @ scale, height, width


def warp(image: GeoImage, grid: GeoImage, resampling: Resampling) -> tuple[Pixels, Mask]:
    """Move the pixels of an image to another grid; both have a CRS.

    Returns:
        Pixels [C, H, W] and valid [H, W] of the grid's size.

    Raises:
        GridError: the image can't be projected there.
    """
    assert grid.crs is not None
    return _Warp(image, grid.crs, grid.transform, grid.valid.shape, resampling).run()


@dataclass(frozen=True)
class _Warp:
    """A warp from an image's grid to another one, band by band to keep memory low."""

    source: GeoImage
    crs: str
    transform: Affine
    shape: tuple[int, ...]
    resampling: Resampling

    def run(self) -> tuple[Pixels, Mask]:
        """Move every band and the mask."""
        image = self.source
        pixels = np.zeros((image.bands, *self.shape), image.pixels.dtype)
        if self.resampling == "nearest":
            for target, band in zip(pixels, image.pixels, strict=True):
                target[:] = self._move(band)
            return pixels, self._move(image.valid)
        wide = _mixing_dtype(image.pixels.dtype)
        weights = self._move(image.valid.astype(wide))
        divisor = np.where(weights > 0, weights, 1)
        for target, band in zip(pixels, image.pixels, strict=True):
            total = self._move(np.where(image.valid, band, 0).astype(wide))
            target[:] = _to_dtype(total / divisor, image.pixels.dtype)
        return pixels, weights >= HALF_COVERED

    def _move(self, band: Pixels) -> Pixels:
        """Move one band; GDAL knows neither bool nor float16."""
        wider = {"bool": np.uint8, "float16": np.float32}.get(band.dtype.name)
        if wider is not None:
            return self._move(band.astype(wider)).astype(band.dtype)
        target = np.zeros(self.shape, band.dtype)
        assert self.source.crs is not None
        try:
            reproject(
                np.ascontiguousarray(band),
                target,
                src_transform=self.source.transform,
                src_crs=parse_crs(self.source.crs),
                dst_transform=self.transform,
                dst_crs=parse_crs(self.crs),
                resampling=Method[self.resampling],
            )
        except RASTER_ERRORS as error:
            raise GridError(
                "The image can't be projected to the other grid; check the CRS of both."
            ) from error
        return target


def _mixing_dtype(dtype: np.dtype[Any]) -> type[np.floating[Any]]:
    """Choose the float that holds every value of a dtype; float32 has 24 bits for integers."""
    is_wide = dtype.itemsize > 4 or (dtype.itemsize == 4 and dtype.kind in "iu")
    return np.float64 if is_wide else np.float32


def _to_dtype(values: NDArray[np.floating], dtype: np.dtype[Any]) -> Pixels:
    if dtype.kind == "f":
        return values.astype(dtype)
    if dtype.kind == "b":
        return values >= HALF_COVERED
    limits = np.iinfo(dtype)
    clipped: Pixels = np.clip(np.rint(values), limits.min, limits.max).astype(dtype)
    return clipped


def _describe(image: GeoImage) -> str:
    name = image.crs if image.crs and image.crs.startswith("EPSG") else "a CRS of its own"
    size = "" if image.resolution_m is None else f", {image.resolution_m:.3g} m"
    return f"{name}{size}, {image.width} x {image.height} px"


def _extent(image: GeoImage) -> str:
    south, west, north, east = lonlat_bounds(image)
    return f"{south:.4f} to {north:.4f}, {west:.4f} to {east:.4f}"
