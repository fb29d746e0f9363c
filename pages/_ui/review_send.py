"""Send to review: a result's objects go to a project, to be judged on the page Review."""

from __future__ import annotations

import secrets
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages._ui import errors, frame, jobs, presses, review_projects
from pages._ui.compute import Choices
from pages._ui.inputs import Source

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from n2m_core.geo_image import Progress
    from n2m_core.review import Project
    from n2m_core.review import Source as Sent
    from n2m_core.tasks.result import MapResult

PAGE = "pages/9_Review.py"
SPECK_PX = 40
"""Objects of fewer pixels are not sent unless asked for: specks would come first in doubt."""
TIMESTEPS = (999, 900, 800, 700, 600, 500, 400, 300, 200, 100, 0)


@dataclass(frozen=True)
class _Order:
    """One press of the button.

    Attributes:
        key: of the work.
        about: names the result that was sent.
        project: name of the project.
        reviewer: who sent it.
        has_times: whether the decision times are wanted.
        min_area_m2: smaller polygons are not sent.
    """

    key: str
    about: str
    project: str
    reviewer: str
    has_times: bool
    min_area_m2: float


def panel(page: str, source: Source, result: MapResult, choices: Choices) -> None:
    """Show the button that sends a result to review, and what became of it."""
    about = f"{source.key}/{result.card.sha256}/{zlib.crc32(result.labels.tobytes())}"
    with st.expander("Send to review", icon=":material/fact_check:", key=f"{page}-review"):
        frame.quiet(
            "Every polygon of the map becomes an object to be judged, with its class, area and "
            "confidence. Picture and map are copied into the project."
        )
        project, reviewer = review_projects.ask(f"{page}.review")
        least = 0.0
        if result.image.resolution_m is not None:
            speck_m2 = round(SPECK_PX * result.image.resolution_m**2, 1)
            least = st.number_input(
                "Smallest object (m²)", 0.0, value=speck_m2, step=5.0, key=f"{page}.review.area"
            )
        has_times = result.card.task in ("segment", "change") and st.checkbox(
            f"With decision times ({len(TIMESTEPS)} more passes of the network)",
            key=f"{page}.review.times",
            help="The noisiest step from which an object keeps its class: late ones are doubtful.",
        )

        def order() -> None:
            """Take the press: the fields as they stand now."""
            if not (project and reviewer):
                st.info("Name a project and yourself, then send.")
                return
            key = f"review/{secrets.token_hex(8)}"
            ordered = _Order(key, about, project, reviewer, has_times, least)
            st.session_state[f"{page}.review.order"] = ordered

        presses.button("Send to review", f"{page}.review.send", order, icon=":material/send:")
        held: _Order | None = st.session_state.get(f"{page}.review.order")
        if held is not None and held.about == about:
            with errors.guard():
                _send(page, held, source, result, choices)


def _send(page: str, order: _Order, source: Source, result: MapResult, choices: Choices) -> None:
    """Send once for every press, in the worker; then show the way to the desk."""
    done: tuple[str, str] | None = st.session_state.get(f"{page}.review.sent")
    if done is None or done[0] != order.key:
        times = None
        if order.has_times:
            times = _decision_times(page, source, result, choices)
            if times is None:
                return
        project = review_projects.open_named(order.project, make=True)

        def work(progress: Progress) -> Sent:
            progress(0, 1, "tracing the objects")
            return _add(project, order, source, result, times)

        sent = jobs.result_of(f"{page}.review.job", order.key, "Sending to review", work)
        if sent is None:
            return
        done = order.key, sent.name
        st.session_state[f"{page}.review.sent"] = done
        review_projects.remember(order.project, order.reviewer)
    st.success(
        f"{errors.plain(done[1])} is in the project {errors.plain(order.project)}.",
        icon=":material/task_alt:",
    )
    st.page_link(
        PAGE,
        label="Open the desk",
        icon=":material/fact_check:",
        query_params={"project": order.project, "reviewer": order.reviewer},
    )


def _decision_times(
    page: str, source: Source, result: MapResult, choices: Choices
) -> NDArray[np.int16] | None:
    """When each pixel was decided, int16 [H, W]; None while it is being found."""
    from pages._ui import analysis

    sweep = analysis.Sweep(TIMESTEPS, seeds=1)
    found = analysis.decision_times(f"{page}.review.decided", source, result.card, sweep, choices)
    return None if found is None else np.rint(found.t).astype(np.int16)


def _add(
    project: Project,
    order: _Order,
    source: Source,
    result: MapResult,
    decision_time: NDArray[np.int16] | None,
) -> Sent:
    """Put a result into a project under the sender's name; in the worker."""
    from n2m_core.review import add_map, join

    join(project, order.reviewer)
    return add_map(
        project,
        result,
        name=f"{source.title}, {result.card.id}",
        min_area_m2=order.min_area_m2,
        decision_time=decision_time,
    )
