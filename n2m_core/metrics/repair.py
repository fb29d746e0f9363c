"""What a refinement did to a rough map: kept, repaired, missed, broken, invented.

Paper: Wang, Hu, Guo, Li, Tao, "A Gift from the Integration of Discriminative and Diffusion-based
Generative Learning" (IDGBR), IEEE TPAMI 2026, arXiv 2507.01573.

Symbols, each a set of pixels: T the object in the truth, R in the rough map, F in the refined map.

    RT = T and R                 what the rough map had right of the object
    RF = (T or R) minus RT       what it had wrong, missed and falsely mapped alike

Every counted pixel is of one category:

    kept        in RT, and in F
    broken      in RT, but not in F: right before, wrong now
    repaired    in RF, and right now: found (in T and F) or removed (in R, no longer in F)
    missed      in RF, and as wrong as before
    invented    outside RT and RF, but in F: a false alarm that the rough map did not have
    background  outside all three

    IoU_RT = |T and F in RT| / |T or F in RT| = kept / (kept + broken)
    IoU_RF = |T and F in RF| / |T or F in RF| = found / (found + missed)
    IoU_imp = IoU_RF - k (1 - IoU_RT)

Counts of several maps are added before a ratio is taken. A ratio without a single pixel below the
line does not exist (None), nor does what is made of it: IoU_RT where the rough map had nothing
right, IoU_RF where it was wrong nowhere, or in false alarms alone of which none is left. Invented
pixels lie outside both regions and lower no score: they are to be shown beside it. The paper's k
is not published; it is 1 unless told otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from n2m_core.errors import LabelError, ParameterError
from n2m_core.metrics.confusion import IGNORE

Grade = Literal["complete", "partial", "error"]

COMPLETE = 0.8
"""IoU_imp from which a repair is called complete."""


class Repair(IntEnum):
    """Categories of a pixel, the codes of `repair_map`."""

    BACKGROUND = 0
    KEPT = 1
    REPAIRED = 2
    MISSED = 3
    BROKEN = 4
    INVENTED = 5
    IGNORED = 255


@dataclass(frozen=True)
class RepairCounts:
    """Pixels of each category; counts of other pixels are added with `+`.

    Attributes:
        kept: right in the rough map, and still.
        repaired: wrong in the rough map, right now.
        missed: wrong in the rough map, and still.
        broken: of the object in truth and rough map, but not in the refined one.
        invented: of the object in the refined map alone.
        found: those of the repaired pixels that are of the true object; the others are false
            alarms that were removed.
    """

    kept: int = 0
    repaired: int = 0
    missed: int = 0
    broken: int = 0
    invented: int = 0
    found: int = 0

    def __add__(self, other: RepairCounts) -> RepairCounts:
        """Pool with the counts of other pixels."""
        return RepairCounts(
            self.kept + other.kept,
            self.repaired + other.repaired,
            self.missed + other.missed,
            self.broken + other.broken,
            self.invented + other.invented,
            self.found + other.found,
        )

    def iou_rt(self) -> float | None:
        """IoU with the truth where the rough map was right of the object, 0..1."""
        return _share(self.kept, self.broken)

    def iou_rf(self) -> float | None:
        """IoU with the truth where the rough map was wrong, 0..1."""
        return _share(self.found, self.missed)

    def iou_imp(self, k: float = 1.0) -> float | None:
        """Give the repair score IoU_RF - k (1 - IoU_RT).

        Args:
            k: what a broken pixel costs, 0 or more.

        Returns:
            The score in [-k, 1]; None where one of the two does not exist.

        Raises:
            ParameterError: k is negative or not finite.
        """
        if not 0 <= k < float("inf"):
            raise ParameterError(f"k of the repair score is {k}; a number of 0 or more is wanted.")
        repaired, kept = self.iou_rf(), self.iou_rt()
        return None if repaired is None or kept is None else repaired - k * (1 - kept)

    def grade(self, k: float = 1.0) -> Grade | None:
        """Name the score: complete from 0.8 on, partial from 0 on, error below; None without it."""
        score = self.iou_imp(k)
        if score is None:
            return None
        if score < 0:
            return "error"
        return "complete" if score >= COMPLETE else "partial"


def repair_counts(
    rough: NDArray[Any],
    refined: NDArray[Any],
    truth: NDArray[Any],
    *,
    target: int = 1,
    ignore: int = IGNORE,
) -> RepairCounts:
    """Count the pixels of each category of one map.

    Args:
        rough: the map before, bool or integer [H, W].
        refined: the map after, the same.
        truth: what is true, the same.
        target: value of the object; any other value is not of it. In a map of several classes each
            class is an object of its own.
        ignore: a pixel with this value in any of the three counts nowhere.

    Returns:
        The counts.

    Raises:
        LabelError: the arrays are not whole numbers [H, W] on one grid.
    """
    codes = repair_map(rough, refined, truth, target=target, ignore=ignore)
    count = np.bincount(codes.ravel(), minlength=Repair.INVENTED + 1)
    found = (codes == Repair.REPAIRED) & (truth == target)
    return RepairCounts(
        kept=int(count[Repair.KEPT]),
        repaired=int(count[Repair.REPAIRED]),
        missed=int(count[Repair.MISSED]),
        broken=int(count[Repair.BROKEN]),
        invented=int(count[Repair.INVENTED]),
        found=int(found.sum()),
    )


def repair_map(
    rough: NDArray[Any],
    refined: NDArray[Any],
    truth: NDArray[Any],
    *,
    target: int = 1,
    ignore: int = IGNORE,
) -> NDArray[np.uint8]:
    """Tell the category of every pixel; arguments and errors as in `repair_counts`.

    Returns:
        uint8 [H, W], codes of `Repair`; 255 where a pixel counts nowhere.
    """
    _check(rough, refined, truth)
    true, before, after = truth == target, rough == target, refined == target
    was_right, is_right = true & before, after == true
    was_wrong = true ^ before
    codes = np.zeros(true.shape, np.uint8)
    codes[was_right & is_right] = Repair.KEPT
    codes[was_right & ~is_right] = Repair.BROKEN
    codes[was_wrong & is_right] = Repair.REPAIRED
    codes[was_wrong & ~is_right] = Repair.MISSED
    codes[after & ~true & ~before] = Repair.INVENTED
    codes[(truth == ignore) | (rough == ignore) | (refined == ignore)] = Repair.IGNORED
    return codes


def _share(part: int, rest: int) -> float | None:
    """Divide the part by part and rest; None where there is neither."""
    return part / (part + rest) if part + rest else None


def _check(*maps: NDArray[Any]) -> None:
    """Check that three maps of labels lie on one grid."""
    shapes = [each.shape for each in maps]
    if len(set(shapes)) > 1 or maps[0].ndim != 2:
        raise LabelError(
            f"Rough map, refined map and truth have shapes {', '.join(map(str, shapes))}; all "
            "three must be rows x columns on one grid."
        )
    kinds = [each.dtype for each in maps]
    if any(kind.kind not in "bui" for kind in kinds):
        raise LabelError(
            f"Rough map, refined map and truth are {', '.join(map(str, kinds))}; true and false "
            "or whole numbers are wanted. Cut probabilities first."
        )
