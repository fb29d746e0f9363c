"""What became of a truth that was spoiled on purpose: whether the missing building came back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pages._ui import errors, jobs, refined

if TYPE_CHECKING:
    from n2m_core.tasks.refine import RefineResult
    from n2m_core.tasks.worst_cases import Case, Outcome
    from pages._ui.inputs import Source
    from pages._ui.refining import Chosen

Labels = NDArray[np.uint8]


def show(source: Source, result: RefineResult, truth: Labels | None, chosen: Chosen) -> None:
    """Say what became of the spoiled pixels; nothing for other rough maps."""
    case = chosen.rough.case
    if case is None or truth is None:
        return
    key = f"{refined.key_of(source, result, chosen)}/outcome"
    found = jobs.result_of(
        "ref.outcome", key, "Looking for what was missing", lambda _: _count(result, truth, case)
    )
    if found is not None:
        st.info(errors.plain(told(case, found, result.class_names)), icon=":material/search:")


def _count(result: RefineResult, truth: Labels, case: Case) -> Outcome:
    """Spoil the truth again, which gives the same, and compare; in the worker."""
    from n2m_core.tasks.worst_cases import outcome, spoil

    classes = len(result.class_names)
    return outcome(spoil(truth, case, classes), truth, result.labels, classes)


def told(case: Case, found: Outcome, class_names: tuple[str, ...]) -> str:
    """Say plainly what came back.

    Args:
        case: how the truth was spoiled.
        found: what became of it.
        class_names: of the refiner.
    """
    name = class_names[1]
    if case == "missing":
        came = {
            "back": "came back",
            "in part": "came back in part",
            "not back": "did not come back",
        }
        return (
            f"The {name} that the rough map misses whole {came[found.verdict]}: "
            f"{_share(found.found, found.lost)} of its {found.lost:,} pixels are mapped."
        )
    if case == "merged":
        return (
            f"Of {found.lost:,} pixels of holes {_share(found.found, found.lost)} are filled "
            f"again, and of {found.added:,} pixels between neighbours that were merged "
            f"{_share(found.removed, found.added)} are open again."
        )
    if len(class_names) > 2:
        return (
            f"Of {found.lost:,} pixels that the low resolution got wrong "
            f"{_share(found.found, found.lost)} are right now."
        )
    return (
        f"Of {found.lost:,} pixels of {name} that the low resolution lost "
        f"{_share(found.found, found.lost)} are back, and of {found.added:,} that it added "
        f"{_share(found.removed, found.added)} are gone."
    )


def _share(part: int, whole: int) -> str:
    """A share in per cent; none of nothing."""
    return f"{100 * part / whole:.0f} %" if whole else "none"
