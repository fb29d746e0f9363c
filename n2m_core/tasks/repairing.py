"""What a refinement repaired of one map, and what it spoiled: counts and a map of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from n2m_core.metrics.repair import Repair, RepairCounts, repair_counts, repair_map
from n2m_core.metrics.report import Json, number
from n2m_core.tasks.refine import RefineResult
from n2m_core.tasks.result import INVALID

Labels = NDArray[np.uint8]

COUNTS = ("kept", "repaired", "missed", "broken", "invented")


def targets_of(classes: int) -> tuple[int, ...]:
    """The classes that are counted as objects: the second of two, each of more."""
    return (1,) if classes == 2 else tuple(range(classes))


def repair_report(result: RefineResult, truth: Labels, k: float = 1.0) -> Json:
    """Count one refinement against the truth.

    Args:
        result: rough and refined map.
        truth: class indices, uint8 [H, W]; 255 counts nowhere.
        k: weight of what was broken.

    Returns:
        See `repair_block`.
    """
    names = result.class_names
    counts = {
        target: repair_counts(result.rough, result.labels, truth, target=target)
        for target in targets_of(len(names))
    }
    return repair_block(counts, names, k)


def repair_block(counts: Mapping[int, RepairCounts], names: Sequence[str], k: float) -> Json:
    """Give counts and scores as JSON values.

    Args:
        counts: of every target class.
        names: of the classes.
        k: weight of what was broken.

    Returns:
        Keys kept, repaired, missed, broken, invented (pixels, summed over the targets), iou_rt,
        iou_rf, iou_imp (null where they don't exist), k; and classes, the same of each target,
        where there are several.
    """
    rows = [{"name": names[target], **_numbers(each, k)} for target, each in counts.items()]
    total = sum(counts.values(), RepairCounts())
    return {**_numbers(total, k), "k": k, **({"classes": rows} if len(rows) > 1 else {})}


def _numbers(counts: RepairCounts, k: float) -> dict[str, Any]:
    """Counts and scores of one target."""
    scores = {
        "iou_rt": counts.iou_rt(),
        "iou_rf": counts.iou_rf(),
        "iou_imp": counts.iou_imp(k),
    }
    return {
        **{name: getattr(counts, name) for name in COUNTS},
        **{name: None if value is None else number(value) for name, value in scores.items()},
    }


def repair_codes(result: RefineResult, truth: Labels) -> Labels:
    """Say of every pixel what became of it.

    Args:
        result: rough and refined map.
        truth: class indices, uint8 [H, W]; 255 counts nowhere.

    Returns:
        uint8 [H, W], codes of `metrics.repair.Repair`. With more than two classes a pixel is kept,
        repaired, missed or broken by whether its class is right before and after; none is invented.
    """
    rough, refined = result.rough, result.labels
    if len(result.class_names) == 2:
        return repair_map(rough, refined, truth)
    was_right, is_right = rough == truth, refined == truth
    codes = np.full(truth.shape, Repair.MISSED, np.uint8)
    codes[was_right & is_right] = Repair.KEPT
    codes[was_right & ~is_right] = Repair.BROKEN
    codes[~was_right & is_right] = Repair.REPAIRED
    codes[(truth == INVALID) | (rough == INVALID) | (refined == INVALID)] = Repair.IGNORED
    return codes
