"""Scores of one map against its truth, as the curve of `n2m evaluate` defines them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from n2m_core.checkpoints import CheckpointCard
from n2m_core.datasets.base import LabelKind
from n2m_core.metrics.boundary import boundary_iou
from n2m_core.metrics.confusion import IGNORE, ConfusionCounts
from n2m_core.metrics.report import ClassScheme, headline, number
from n2m_core.tasks.labelling import has_background

Labels = NDArray[np.uint8]


def score_frame(
    truth: Labels, labels: Labels, card: CheckpointCard, truth_kind: LabelKind
) -> dict[str, float | None]:
    """Score one map.

    Args:
        truth: class indices, uint8 [H, W]; 255 counts nowhere; 0 and 1 alone when binary.
        labels: the map, uint8 [H, W]; 255 where there is no data.
        card: the classes.
        truth_kind: "binary" when 1 in the truth means any target class.

    Returns:
        f1 and iou of the target (class means where there is none), mean_f1, mean_iou and
        boundary_iou (of the target's boundary, or the mean over classes); None for a score that
        does not exist.

    Raises:
        LabelError: the truth holds values that are no class.
    """
    names = tuple(entry.name for entry in card.classes)
    is_targeted = has_background(card)
    scheme = ClassScheme(names, tuple(range(1, len(names))) if is_targeted else ())
    is_binary = truth_kind == "binary" and len(names) > 2
    if is_binary:
        labels, scheme = _united(labels), scheme.binary()
    counts = ConfusionCounts.from_labels(truth, labels, len(scheme.names))
    f1, iou = headline(counts, scheme)
    edges = (truth, labels, tuple(range(len(names))))
    if is_targeted:
        edges = (_united(truth), _united(labels), (1,))
    return {
        "f1": number(f1),
        "iou": number(iou),
        "mean_f1": number(counts.mean_f1),
        "mean_iou": number(counts.mean_iou),
        "boundary_iou": number(boundary_iou(edges[0], edges[1], targets=edges[2])),
    }


def _united(labels: Labels) -> Labels:
    """Unite all classes but the first: 1 target, 0 rest, 255 left out."""
    return np.where(labels == IGNORE, IGNORE, np.minimum(labels, 1)).astype(np.uint8)
