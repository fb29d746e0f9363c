"""The work of the Fuse page: what a person chooses, one method's image, all methods' errors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from n2m_core.geo_image import GeoImage, Progress
from pages._ui import choosing, frame, jobs, resources, state
from pages._ui.results import number
from pages._ui.series import Series

if TYPE_CHECKING:
    from n2m_core.tasks.fuse import FuseParams, FuseResult, Prepared

Report = dict[str, Any]
METHOD = "fus.w.method"


@dataclass(frozen=True)
class FuseChoices:
    """What a person chose beside the series.

    Attributes:
        method: name of the method.
        window_px: side of its window; None for its own.
        scale: sides of a coarse pixel in fine ones; None to read it from the grids.
        dn_scale: value of reflectance 1; None to tell it from the values.
    """

    method: str
    window_px: int | None = None
    scale: int | None = None
    dn_scale: float | None = None

    def params(self, series: Series, method: str | None = None) -> FuseParams:
        """The task's parameters; another method keeps its own window.

        Raises:
            ParameterError: a choice is out of range.
        """
        from n2m_core.tasks.fuse import FuseParams

        days: tuple[date, date, date] | None = None
        if len(series.dates) == 3:
            days = series.dates[0], series.dates[1], series.dates[2]
        window = self.window_px if method in (None, self.method) else None
        return FuseParams(method or self.method, window, self.scale, self.dn_scale, days)

    @property
    def input_key(self) -> str:
        """Names what changes the inputs."""
        return f"{self.scale}/{self.dn_scale}"

    @property
    def key(self) -> str:
        """Names everything that changes the result."""
        return f"{self.method}/{self.window_px}/{self.input_key}"


@dataclass(frozen=True, eq=False)
class Compared:
    """One method beside the others.

    Attributes:
        method: its name.
        report: its scores.
        error: root mean square over the bands, reflectance, float32 [H, W].
        changed_rmse: over what changed suddenly; None when that is unknown.
    """

    method: str
    report: Report
    error: NDArray[np.float32]
    changed_rmse: float | None


def pick_method(asked: str | None) -> str:
    """Let the person choose a method."""
    from n2m_core.tasks.fusion_methods import ready_methods

    ready = ready_methods()
    if asked in ready:
        state.put(METHOD, asked)
    picked = choosing.pick_listed(METHOD, "Method", {name: m.title for name, m in ready.items()})
    st.caption(ready[picked].text)
    return picked


def choices(method: str) -> FuseChoices:
    """The choices behind the "Adjust" button."""
    with st.popover("Adjust", icon=":material/tune:"):
        window = _number("Window of the method (px)", "fus.w.window", 2, "0 for its own; odd.")
        scale = _number(
            "Fine pixels along a coarse one", "fus.w.scale", 1, "0 to read it from the grids."
        )
        top = _number(
            "Value of reflectance 1", "fus.w.top", 1, "0 to tell 1, 255 and 10000 from the values."
        )
    # The widget counts in twos from 0; a window has a middle.
    return FuseChoices(
        method, window + 1 - window % 2 if window else None, scale or None, top or None
    )


def _number(label: str, key: str, step: int, help: str) -> int:
    picked = st.number_input(label, min_value=0, step=step, key=state.prepare(key, 0), help=help)
    return int(state.keep(key, picked or 0))


def prepared_of(series: Series, chosen: FuseChoices) -> Prepared:
    """The five images on one grid; kept for the session's next look.

    Raises:
        N2MError: they do not fit each other.
    """
    return _prepared(f"{series.key}/{chosen.input_key}", series, chosen)


@st.cache_resource(max_entries=4, show_spinner="Laying the images on one grid")
def _prepared(key: str, _series: Series, _chosen: FuseChoices) -> Prepared:
    from n2m_core.tasks.fuse import prepare

    return prepare(_series.images(), _chosen.params(_series))


def result_of(series: Series, chosen: FuseChoices) -> FuseResult | None:
    """The fused image, or its progress and None while it is being made."""
    prepared, params = prepared_of(series, chosen), chosen.params(series)

    def work(progress: Progress) -> FuseResult:
        """Run the method; in the worker."""
        from n2m_core.tasks.fuse import fuse

        return fuse(prepared, params, progress)

    key = f"fuse/{series.key}/{chosen.key}"
    return jobs.result_of("fus.result", key, "Making the missing image", work)


def compared_of(series: Series, chosen: FuseChoices, result: FuseResult) -> list[Compared] | None:
    """Every method against the truth, or their progress and None."""
    from n2m_core.tasks.fusion_methods import ready_methods

    assert series.truth is not None
    truth = resources.image(series.truth)
    changed = None if series.changed is None else resources.image(series.changed).pixels[0] > 0

    def work(progress: Progress) -> list[Compared]:
        """Run the methods that have not been run; in the worker."""
        from n2m_core.tasks.fuse import fuse

        found = []
        ready = ready_methods()
        for done, (method, entry) in enumerate(ready.items()):
            progress(done, len(ready), entry.title)

            def tell(part: int, total: int, note: str, done: int = done) -> None:
                """Count on over the methods."""
                progress(done * total + part, len(ready) * total, note)

            params = chosen.params(series, method)
            made = result if method == chosen.method else fuse(result.prepared, params, tell)
            found.append(_compare(method, made, truth, changed))
        return found

    key = f"compare/{series.key}/{series.truth}/{chosen.key}"
    return jobs.result_of("fus.compare", key, "Running every method", work)


def report_of(series: Series, chosen: FuseChoices, result: FuseResult) -> Report:
    """The scores of the fused image against the truth.

    Raises:
        N2MError: the truth does not fit the images.
    """
    assert series.truth is not None
    key = f"{series.key}/{series.truth}/{chosen.key}"
    return _report(key, result, resources.image(series.truth))


@st.cache_data(max_entries=20, show_spinner=False)
def _report(key: str, _result: FuseResult, _truth: GeoImage) -> Report:
    from n2m_core.tasks.fuse import score_result

    return score_result(_result, _truth)


def _compare(
    method: str, result: FuseResult, truth: GeoImage, changed: NDArray[np.bool_] | None
) -> Compared:
    """Score one method."""
    from n2m_core.tasks.fuse import score_result, truth_on_grid

    expected, valid = truth_on_grid(truth, result.prepared)
    squared = ((result.reflectance - expected) ** 2).mean(axis=0)
    error = np.where(valid, np.sqrt(squared), np.nan).astype(np.float32)
    zone = None if changed is None or changed.shape != valid.shape else changed & valid
    there = None if zone is None or not zone.any() else float(np.sqrt(squared[zone].mean()))
    return Compared(method, score_result(result, truth), error, there)


def show_scores(report: Report) -> None:
    """The figures of the chosen method."""
    with st.container(horizontal=True, gap="small"):
        st.metric("RMSE", _small(report["rmse"]), help="Over all bands, reflectance.", width=112)
        st.metric("CC", number(report["cc"]), help="Correlation, mean over bands.", width=104)
        st.metric("SSIM", number(report["ssim"]), help="Data range 1.", width=104)
        ergas = f"Factor 100 / {report['ergas_ratio']:g}."
        st.metric("ERGAS", number(report["ergas"]), help=ergas, width=104)
        st.metric("SAM", f"{number(report['sam_deg'])}°", help="Spectral angle.", width=112)


def show_table(rows: list[Compared], chosen: str) -> None:
    """The figures of every method, best first."""
    from n2m_core.tasks.fusion_methods import METHODS

    ratio = rows[0].report["ergas_ratio"]
    ordered = sorted(rows, key=lambda row: float(row.report["rmse"]))
    has_change = any(row.changed_rmse is not None for row in rows)
    header = ("Method", "RMSE", *(["RMSE, sudden change"] * has_change), "CC", "SSIM", "ERGAS",
              "SAM", "Seconds")  # fmt: skip
    body = [
        (
            METHODS[row.method].title + (" (shown)" if row.method == chosen else ""),
            _small(row.report["rmse"]),
            *([_small(row.changed_rmse)] * has_change),
            number(row.report["cc"]),
            number(row.report["ssim"]),
            number(row.report["ergas"]),
            f"{number(row.report['sam_deg'])}°",
            f"{row.report['seconds']:.1f}",
        )
        for row in ordered
    ]
    frame.table(header, body, [""] * len(body))
    frame.quiet(
        f"Errors are in reflectance, over all bands. SSIM has a data range of 1, ERGAS the factor "
        f"100 / {ratio:g}; figures with other conventions do not compare. Each method runs with "
        "its own window unless one was chosen for it."
    )


def _small(value: float | None) -> str:
    """An error of reflectance with four digits."""
    return "-" if value is None else f"{value:.4f}"
