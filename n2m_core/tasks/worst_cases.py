"""Rough maps whose mistakes are known: a truth with a building left out, holes, or coarse pixels.

What a refiner makes of them can be told plainly: whether the building came back, how much of the
holes was filled. The mistakes are kinds of `corruption`, drawn by a fixed seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from n2m_core.corruption import CorruptionParams, Kind, corrupt
from n2m_core.errors import LabelError, ParameterError
from n2m_core.metrics.confusion import IGNORE

Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

Case = Literal["missing", "merged", "coarse"]
CASES: tuple[Case, ...] = get_args(Case)
BINARY_CASES: tuple[Case, ...] = ("missing", "merged")
"""Those of an object on a background; with more classes there is no whole object to miss."""

_KINDS: dict[Case, tuple[Kind, ...]] = {
    # Outlines are bent a little, so that the rest of the map is rough as well.
    "missing": ("wobbled",),
    # Holes come last: closing gaps would close them too.
    "merged": ("bridged", "holes"),
    "coarse": ("coarse",),
}
_STRENGTH = CorruptionParams(
    holes=(3, 5),
    hole_px=(6.0, 14.0),
    bridge_px=(5.0, 5.0),
    wobble_px=(1.0, 1.0),
    cell_px=(8, 8),
)
_RETURNED = 0.5
_GONE = 0.1


@dataclass(frozen=True, eq=False)
class WorstCase:
    """A rough map and where it was spoiled on purpose.

    Attributes:
        case: which.
        rough: class indices, uint8 [H, W]; 255 where the truth is not known.
        spoiled: bool [H, W]; of a missing building its pixels, else all that differ from the truth.
    """

    case: Case
    rough: Labels
    spoiled: Mask


@dataclass(frozen=True)
class Outcome:
    """What became of the spoiled pixels.

    Attributes:
        lost: pixels of objects that the rough map lacked; with more than two classes all spoiled.
        found: those of them that are right in the refined map.
        added: pixels of the background that the rough map gave to an object.
        removed: those of them that are background again.
    """

    lost: int
    found: int
    added: int
    removed: int

    @property
    def verdict(self) -> Literal["back", "in part", "not back"]:
        """Whether what was lost came back: half of its pixels or more, a tenth or more, or not."""
        share = self.found / self.lost if self.lost else 1.0
        return "back" if share >= _RETURNED else "in part" if share >= _GONE else "not back"


def spoil(truth: Labels, case: Case, classes: int, *, seed: int = 0) -> WorstCase:
    """Make a rough map of a truth.

    Args:
        truth: class indices or 255, uint8 [H, W].
        case: what is to be wrong.
        classes: K, 2 or more; of two, class 1 is the object.
        seed: decides which building is missing, and where the mistakes lie.

    Returns:
        The rough map and where it is wrong.

    Raises:
        ParameterError: the case needs objects on a background, and there are more classes.
        LabelError: the truth has no object, or holds something that is no class.
    """
    if classes > 2 and case in BINARY_CASES:
        raise ParameterError(
            f"{case!r} needs objects on a background, and there are {classes} classes; 'coarse' is "
            "possible."
        )
    rng = np.random.default_rng((seed, CASES.index(case)))
    if classes == 2 and not (truth == 1).any():
        raise LabelError(
            "The truth has no object in this part of the scene, so none can be spoiled. Look at "
            "another part, or at all of it."
        )
    hidden = _one_object(truth, rng) if case == "missing" else np.zeros(truth.shape, np.bool_)
    kept = np.where(hidden, 0, truth).astype(np.int64)
    rough = corrupt(kept, classes, rng, kinds=_KINDS[case], params=_STRENGTH).astype(np.uint8)
    if case == "missing":
        rough[hidden] = 0
        return WorstCase(case, rough, hidden)
    return WorstCase(case, rough, (rough != truth) & (truth != IGNORE))


def outcome(case: WorstCase, truth: Labels, refined: Labels, classes: int) -> Outcome:
    """Count what became of the spoiled pixels.

    Args:
        case: the rough map.
        truth: the truth that it was made of.
        refined: the refined map, uint8 [H, W]; pixels that are 255 there count nowhere.
        classes: K.

    Returns:
        The counts.
    """
    spoiled, is_right = case.spoiled & (refined != IGNORE), refined == truth
    is_object = truth == 1 if classes == 2 else np.ones(truth.shape, np.bool_)
    lost, added = spoiled & is_object, spoiled & ~is_object
    return Outcome(
        int(lost.sum()),
        int((lost & is_right).sum()),
        int(added.sum()),
        int((added & is_right).sum()),
    )


def _one_object(truth: Labels, rng: np.random.Generator) -> Mask:
    """Choose an object that is seen whole and is no smaller than most; any where none is.

    Args:
        truth: with an object.
        rng: chooses among those that fit.

    Returns:
        Its pixels, bool [H, W].
    """
    marked, count = ndimage.label(truth == 1)
    areas = np.bincount(marked.ravel(), minlength=count + 1)
    edge = np.concatenate([marked[0], marked[-1], marked[:, 0], marked[:, -1]])
    whole = np.setdiff1d(np.arange(1, count + 1), edge)
    known = whole if whole.size else np.arange(1, count + 1)
    large = known[areas[known] >= np.median(areas[known])]
    return np.asarray(marked == rng.choice(large), np.bool_)
