"""Rough masks from true ones: the mistakes that segmenters make, drawn at random.

A refiner learns from pairs of a rough and a true map. Real rough maps of tiles that their model has
not seen are few; these are made from any label. A mask gets one to four of the ten kinds below, in
their order, so that what is put in or left out is shaped by what follows, as in a network's map:

    missed     whole objects left out
    spurious   blobs where nothing is
    holes      gaps inside objects
    grown      objects reach too far
    shrunk     objects end too early
    bridged    gaps between neighbours, and narrow bays, filled
    shifted    the map beside its place
    wobbled    outlines bent smoothly to and fro
    coarse     the map made at a coarser resolution, as blocks or smoothed
    rounded    corners and narrow parts lost

With two classes the object is class 1. With more, each kind picks a class of those in the mask (a
blob: any class), and what an object loses goes to the class beside it. Everything is measured in
pixels of the crop, for that is what networks blur.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from n2m_core.errors import LabelError, ParameterError
from n2m_core.metrics.confusion import IGNORE

Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]
Floats = NDArray[np.floating[Any]]
Rng = np.random.Generator
Range = tuple[float, float]

Kind = Literal[
    "missed",
    "spurious",
    "holes",
    "grown",
    "shrunk",
    "bridged",
    "shifted",
    "wobbled",
    "coarse",
    "rounded",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""In the order in which they are applied."""


@dataclass(frozen=True)
class CorruptionParams:
    """How strong each kind is; ranges (lowest, highest) that a uniform draw is made from.

    Attributes:
        kinds: how many kinds one mask gets, whole numbers.
        missed_share: chance of an object to be missed.
        blobs: how many spurious blobs, whole numbers.
        blob_px: diameters of a blob.
        holes: how many holes, whole numbers.
        hole_px: diameters of a hole.
        growth_px: how far objects reach too far, or end too early.
        bridge_px: gaps up to about twice as wide are filled.
        shift_px: length of a shift.
        wobble_px: standard deviation of the bending, to each side.
        wobble_length_px: distance over which the bending changes.
        cell_px: side of a coarse pixel, whole numbers.
        rounding_px: standard deviation of the Gaussian that rounds.
    """

    kinds: Range = (1, 4)
    missed_share: Range = (0.05, 0.4)
    blobs: Range = (1, 4)
    blob_px: Range = (5.0, 22.0)
    holes: Range = (1, 4)
    hole_px: Range = (4.0, 16.0)
    growth_px: Range = (1.0, 3.5)
    bridge_px: Range = (1.5, 5.0)
    shift_px: Range = (1.0, 4.0)
    wobble_px: Range = (0.7, 2.5)
    wobble_length_px: Range = (5.0, 30.0)
    cell_px: Range = (3, 10)
    rounding_px: Range = (1.5, 6.0)

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ParameterError: a range is none, or reaches where it makes no sense.
        """
        lowest = {"wobble_length_px": 1, "cell_px": 1}
        highest = {"missed_share": 1, "kinds": len(KINDS)}
        for name in (each.name for each in fields(self)):
            value, low, high = getattr(self, name), lowest.get(name, 0), highest.get(name, math.inf)
            if len(value) != 2 or not low <= value[0] <= value[1] <= high:
                raise ParameterError(
                    f"Corruption {name} is {list(value)}; [lowest, highest] is wanted, between "
                    f"{low} and {high}."
                )


DEFAULTS = CorruptionParams()


def corrupted_truth(
    label: NDArray[np.uint8],
    name: str,
    classes: int,
    seed: int,
    params: CorruptionParams = DEFAULTS,
) -> NDArray[np.uint8]:
    """Make a rough map that is the same in every run, whichever samples stand beside it.

    Args:
        label: class indices or 255, uint8 [H, W].
        name: of the sample; with the seed it decides how.
        classes: K, 2 or more.
        seed: of the run.
        params: how strong.

    Returns:
        uint8 [H, W].
    """
    rng = np.random.default_rng((seed, zlib.crc32(name.encode())))
    return corrupt(label.astype(np.int64), classes, rng, params=params).astype(np.uint8)


def corrupt(
    labels: Labels,
    classes: int,
    rng: Rng,
    *,
    kinds: Sequence[Kind] | None = None,
    params: CorruptionParams = DEFAULTS,
) -> Labels:
    """Make a rough map of a true one.

    Args:
        labels: class indices 0..K-1 or 255 where nothing is known, int64 [H, W].
        classes: K, 2 or more; of two, class 1 is the object.
        rng: decides everything; the same state gives the same map.
        kinds: which kinds, applied in this order; None to draw them.
        params: how strong they are.

    Returns:
        Class indices, int64 [H, W]; 255 where it was and nowhere else.

    Raises:
        LabelError: the labels are not [H, W], or hold something that is no class.
        ParameterError: fewer than two classes.
    """
    _check(labels, classes)
    known = labels != IGNORE
    if not known.any():
        return labels.copy()
    # What is not known takes the class beside it, so that it can't be carried into the map.
    rough = _filled(labels, known)
    for kind in _drawn_kinds(params, rng) if kinds is None else kinds:
        rough = _WAYS[kind](rough, classes, params, rng)
    return np.where(known, rough, labels)


def _drawn_kinds(params: CorruptionParams, rng: Rng) -> list[Kind]:
    """Choose different kinds, in the order in which they are applied."""
    chosen = rng.choice(len(KINDS), _whole(params.kinds, rng), replace=False)
    return [KINDS[index] for index in sorted(chosen)]


# The kinds: labels without unknown pixels in, the same out


def _missed(labels: Labels, classes: int, params: CorruptionParams, rng: Rng) -> Labels:
    """Leave each object out with a chance drawn for the whole mask."""
    marked, count = ndimage.label(labels == _target(labels, classes, rng))
    chances = rng.random(count) < rng.uniform(*params.missed_share)
    return _filled(labels, ~np.append(False, chances)[marked])


def _spurious(labels: Labels, classes: int, params: CorruptionParams, rng: Rng) -> Labels:
    """Put blobs of a class on pixels of others."""
    target = 1 if classes == 2 else int(rng.integers(classes))
    free = np.flatnonzero(labels != target)
    rough = labels.copy()
    for _ in range(_whole(params.blobs, rng) if free.size else 0):
        rough[_ellipse(labels.shape, int(rng.choice(free)), params.blob_px, rng)] = target
    return rough


def _holes(labels: Labels, classes: int, params: CorruptionParams, rng: Rng) -> Labels:
    """Cut holes into objects, filled with another class."""
    target = _target(labels, classes, rng)
    inside = np.flatnonzero(labels == target)
    rough = labels.copy()
    for _ in range(_whole(params.holes, rng) if inside.size else 0):
        hole = _ellipse(labels.shape, int(rng.choice(inside)), params.hole_px, rng)
        other = (target + int(rng.integers(1, classes))) % classes
        rough[hole & (labels == target)] = other
    return rough


def _grown(labels: Labels, classes: int, params: CorruptionParams, rng: Rng) -> Labels:
    """Let objects reach into their neighbours."""
    target, reach = _target(labels, classes, rng), rng.uniform(*params.growth_px)
    return np.where(_distance(labels != target) <= reach, target, labels)


def _shrunk(labels: Labels, classes: int, params: CorruptionParams, rng: Rng) -> Labels:
    """Give the rim of objects to their neighbours."""
    inside, reach = labels == _target(labels, classes, rng), rng.uniform(*params.growth_px)
    rim = inside & (_distance(inside) <= reach)
    return np.where(rim, _filled(labels, ~inside), labels)


def _bridged(labels: Labels, classes: int, params: CorruptionParams, rng: Rng) -> Labels:
    """Close objects: grow them, then take back what has no object on its other side."""
    target, reach = _target(labels, classes, rng), rng.uniform(*params.bridge_px)
    grown = _distance(labels != target) <= reach
    return np.where(grown & (_distance(grown) > reach), target, labels)


def _shifted(labels: Labels, classes: int, params: CorruptionParams, rng: Rng) -> Labels:
    """Move the whole map in a random direction."""
    length, angle = rng.uniform(*params.shift_px), rng.uniform(0, 2 * math.pi)
    return _displaced(
        labels,
        np.full((1, 1), length * math.sin(angle)),
        np.full((1, 1), length * math.cos(angle)),
    )


def _wobbled(labels: Labels, classes: int, params: CorruptionParams, rng: Rng) -> Labels:
    """Move every pixel by a smooth random field."""
    length = rng.uniform(*params.wobble_length_px)
    strength = rng.uniform(*params.wobble_px)
    down, right = (strength * _smooth_field(labels.shape, length, rng) for _ in range(2))
    return _displaced(labels, down, right)


def _coarse(labels: Labels, classes: int, params: CorruptionParams, rng: Rng) -> Labels:
    """Average the classes in coarse cells, and bring them back as blocks or interpolated."""
    height, width = labels.shape
    cell = _whole(params.cell_px, rng)
    top, left = (int(value) for value in rng.integers(cell, size=2))
    sides = ((0, 0), (top, -(height + top) % cell), (left, -(width + left) % cell))
    padded = np.pad(_one_hot(labels, classes), sides, mode="edge")
    _, rows, columns = padded.shape
    cells = padded.reshape(classes, rows // cell, cell, columns // cell, cell).mean((2, 4))
    if rng.random() < 0.5:
        fine = cells.repeat(cell, 1).repeat(cell, 2)
    else:
        fine = ndimage.zoom(cells, (1, cell, cell), order=1, mode="nearest", grid_mode=True)
    return _highest(fine[:, top : top + height, left : left + width])


def _rounded(labels: Labels, classes: int, params: CorruptionParams, rng: Rng) -> Labels:
    """Blur the classes and take the strongest."""
    sigma = rng.uniform(*params.rounding_px)
    return _highest(ndimage.gaussian_filter(_one_hot(labels, classes), (0, sigma, sigma)))


_WAYS: dict[Kind, Callable[[Labels, int, CorruptionParams, Rng], Labels]] = {
    "missed": _missed,
    "spurious": _spurious,
    "holes": _holes,
    "grown": _grown,
    "shrunk": _shrunk,
    "bridged": _bridged,
    "shifted": _shifted,
    "wobbled": _wobbled,
    "coarse": _coarse,
    "rounded": _rounded,
}


# What they are made of


def _target(labels: Labels, classes: int, rng: Rng) -> int:
    """Choose the class that a kind works on."""
    return 1 if classes == 2 else int(rng.choice(np.flatnonzero(np.bincount(labels.ravel()))))


def _whole(span: Range, rng: Rng) -> int:
    """Draw a whole number, both ends included."""
    return int(rng.integers(round(span[0]), round(span[1]) + 1))


def _distance(inside: Mask) -> Floats:
    """Distance of each pixel of a mask to the nearest outside it, px; infinite without any."""
    if inside.all():
        return np.full(inside.shape, math.inf)
    return np.asarray(ndimage.distance_transform_edt(inside), np.float64)


def _filled(labels: Labels, known: Mask) -> Labels:
    """Give every other pixel the label of the nearest known one; as it is where none is known."""
    if known.all() or not known.any():
        return labels
    rows, columns = ndimage.distance_transform_edt(
        ~known, return_distances=False, return_indices=True
    )
    return np.asarray(labels[rows, columns], np.int64)


def _ellipse(shape: tuple[int, ...], centre: int, diameter_px: Range, rng: Rng) -> Mask:
    """Draw an ellipse of random diameters and direction around a pixel, counted row by row."""
    row, column = divmod(centre, shape[1])
    radii = rng.uniform(*diameter_px, 2) / 2
    angle = rng.uniform(0, math.pi)
    down, right = np.arange(shape[0])[:, None] - row, np.arange(shape[1])[None, :] - column
    along = math.cos(angle) * right + math.sin(angle) * down
    across = math.cos(angle) * down - math.sin(angle) * right
    return np.asarray((along / radii[0]) ** 2 + (across / radii[1]) ** 2 <= 1, np.bool_)


def _displaced(labels: Labels, down: Floats, right: Floats) -> Labels:
    """Move the map by so many pixels [H, W] or [1, 1]; its border goes on beyond the frame."""
    height, width = labels.shape
    rows = np.rint(np.arange(height)[:, None] - down).astype(np.int64).clip(0, height - 1)
    columns = np.rint(np.arange(width)[None, :] - right).astype(np.int64).clip(0, width - 1)
    return np.asarray(labels[rows, columns], np.int64)


def _smooth_field(shape: tuple[int, ...], length_px: float, rng: Rng) -> Floats:
    """Draw a field of unit variance at every pixel that changes over a length, float64 [H, W]."""
    down, across = (_spline(side, length_px, rng.random()) for side in shape)
    knots = rng.standard_normal((down.shape[1], across.shape[1]))
    return np.asarray(down @ knots @ across.T, np.float64)


def _spline(side: int, length_px: float, phase: float) -> Floats:
    """Weights of cubic B-spline knots `length_px` apart, float64 [side, knots], rows of norm 1."""
    position = np.arange(side) / length_px + phase
    knots = np.arange(-1, math.ceil(position[-1]) + 2)
    d = np.abs(position[:, None] - knots[None, :])
    near, far = 2 / 3 - d**2 + d**3 / 2, np.clip(2 - d, 0, None) ** 3 / 6
    weights = np.where(d < 1, near, far)
    return np.asarray(weights / np.linalg.norm(weights, axis=1, keepdims=True), np.float64)


def _one_hot(labels: Labels, classes: int) -> Floats:
    """One plane a class, float32 [K, H, W]."""
    return np.asarray(labels[None] == np.arange(classes)[:, None, None], np.float32)


def _highest(scores: Floats) -> Labels:
    """The class of the highest score [K, H, W]; of two alike the lower index."""
    return np.asarray(scores.argmax(0), np.int64)


def _check(labels: Labels, classes: int) -> None:
    """Check labels and number of classes."""
    if classes < 2:
        raise ParameterError(f"{classes} class(es) to corrupt a mask of; 2 or more are needed.")
    if labels.ndim != 2 or not labels.size:
        raise LabelError(f"The labels have shape {labels.shape}; rows x columns are wanted.")
    wrong = (labels < 0) | ((labels >= classes) & (labels != IGNORE))
    if wrong.any():
        raise LabelError(
            f"The labels hold {labels[wrong][0]}; classes are 0..{classes - 1}, and {IGNORE} is "
            "left out."
        )
