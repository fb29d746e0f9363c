"""The work of the Fuse page: what a person chooses, one method's image, all methods' errors."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    from n2m_core.fusion.installed import InstalledWeights
    from n2m_core.tasks.fuse import FuseParams, FuseResult, Prepared

Report = dict[str, Any]
METHOD, COMPARISON, GUESS = "fus.w.method", "fus.compare", "mean-change"
FRAMES, FRAME_BYTES = 10, 160_000_000
"""Moments of a learned method's way that are kept to be shown, and what they may take."""


@dataclass(frozen=True)
class FuseChoices:
    """What a person chose beside the series.

    Attributes:
        method: name of the method.
        weights: checkpoint of a learned method; None for a classical one.
        window_px: side of its window; None for its own.
        scale: sides of a coarse pixel in fine ones; None to read it from the grids.
        dn_scale: value of reflectance 1; None to tell it from the values.
    """

    method: str
    weights: InstalledWeights | None = None
    window_px: int | None = None
    scale: int | None = None
    dn_scale: float | None = None

    def of(self, method: str) -> FuseChoices:
        """The choices for another method: its own window and its usual weights."""
        from n2m_core.tasks.fusion_methods import weights_for

        if method == self.method:
            return self
        weights = next(iter(weights_for(method).values()), None)
        return replace(self, method=method, weights=weights, window_px=None)

    def params(self, series: Series) -> FuseParams:
        """The task's parameters.

        Raises:
            ParameterError: a choice is out of range.
        """
        from n2m_core.tasks.fuse import FuseParams

        days: tuple[date, date, date] | None = None
        if len(series.dates) == 3:
            days = series.dates[0], series.dates[1], series.dates[2]
        return FuseParams(
            self.method,
            self.window_px,
            self.scale,
            self.dn_scale,
            days,
            checkpoint=None if self.weights is None else self.weights.id,
            frames=0 if self.weights is None else moments(resources.image(series.paths["fine0"])),
        )

    @property
    def input_key(self) -> str:
        """Names what changes the inputs."""
        return f"{self.scale}/{self.dn_scale}"

    @property
    def key(self) -> str:
        """Names everything that changes the result."""
        weights = "" if self.weights is None else self.weights.sha256
        return f"{self.method}/{weights}/{self.window_px}/{self.input_key}"


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


def moments(fine: GeoImage) -> int:
    """How many moments of the way can be kept; 0 for a scene too large to keep more than two."""
    each = 2 * 4 * fine.bands * fine.height * fine.width
    count = min(FRAMES, FRAME_BYTES // each)
    return count if count > 2 else 0


def pick_method(series: Series | None, asked: str | None) -> str:
    """Let the person choose a method; first comes the quickest one that is worth its time."""
    from n2m_core.tasks.fusion_methods import ready_methods

    ready = ready_methods()
    if asked in ready:
        state.put(METHOD, asked)
    picked = choosing.pick_listed(METHOD, "Method", {name: m.title for name, m in ready.items()})
    st.caption(f"{ready[picked].text} {_how_long(series, picked)}".strip())
    return picked


def _how_long(series: Series | None, method: str) -> str:
    """Roughly how long a method takes for a series, as a sentence."""
    from n2m_core.tasks.fusion_methods import expected_seconds

    if series is None:
        return ""
    fine = resources.image(series.paths["fine0"])
    seconds = expected_seconds(method, fine.height * fine.width, fine.bands)
    if seconds < 1.5:
        return "Takes about a second here." if seconds else "Takes no time."
    if seconds < 90:
        return f"Takes about {seconds:.0f} s here."
    return f"Takes about {seconds / 60:.0f} minutes here."


def pick_weights(method: str, asked: str | None) -> InstalledWeights | None:
    """Let the person choose the weights of a learned method, where several are installed."""
    from n2m_core.tasks.fusion_methods import METHODS, weights_for

    wanted, found = METHODS[method].weights, weights_for(method)
    if wanted is None or len(found) < 2:
        return next(iter(found.values()), None)
    key = f"fus.w.weights.{wanted.design}"
    if asked in found:
        state.put(key, asked)
    return found[choosing.pick_listed(key, "Weights", {each: w.title for each, w in found.items()})]


def choices(method: str, weights: InstalledWeights | None) -> FuseChoices:
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
    side = window + 1 - window % 2 if window else None
    return FuseChoices(method, weights, side, scale or None, top or None)


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
    if jobs.results().get(_result_key(series, chosen)) is None:
        # What the person waits for comes first; the comparison goes on where it was.
        jobs.stop(COMPARISON)

    def work(progress: Progress) -> FuseResult:
        """Run the method; in the worker."""
        from n2m_core.tasks.fuse import fuse

        return fuse(prepared, params, progress)

    key = _result_key(series, chosen)
    return jobs.result_of("fus.result", key, "Making the missing image", work)


def _result_key(series: Series, chosen: FuseChoices) -> str:
    return f"fuse/{series.key}/{chosen.key}"


def guess_of(series: Series, chosen: FuseChoices) -> FuseResult:
    """What can be shown at once: each fine image plus its coarse change, averaged."""
    quick = chosen.of(GUESS)
    return _guess(_result_key(series, quick), prepared_of(series, chosen), quick.params(series))


@st.cache_resource(max_entries=2, show_spinner=False)
def _guess(key: str, _prepared: Prepared, _params: FuseParams) -> FuseResult:
    from n2m_core.tasks.fuse import fuse

    return fuse(_prepared, _params)


def compared_of(series: Series, chosen: FuseChoices, result: FuseResult) -> list[Compared] | None:
    """Every method against the truth, or their progress and None.

    What a method gave is kept: a person who turns to it does not wait again.
    """
    from n2m_core.tasks.fusion_methods import ready_methods

    assert series.truth is not None
    truth = resources.image(series.truth)
    changed = None if series.changed is None else resources.image(series.changed).pixels[0] > 0
    kept, ready = jobs.results(), ready_methods()
    plans = {method: chosen.of(method) for method in ready}
    params = {method: each.params(series) for method, each in plans.items()}

    def work(progress: Progress) -> list[Compared]:
        """Run the methods that have not been run; in the worker."""
        from n2m_core.tasks.fuse import FuseResult, fuse

        found = []
        for done, (method, entry) in enumerate(ready.items()):
            progress(done, len(ready), entry.title)

            def tell(part: int, total: int, note: str, done: int = done) -> None:
                """Count on over the methods."""
                progress(done * total + part, len(ready) * total, note)

            key = _result_key(series, plans[method])
            made = result if method == chosen.method else kept.get(key)
            if not isinstance(made, FuseResult):
                made = fuse(result.prepared, params[method], tell)
                kept.put(key, made)
            found.append(_compare(method, made, truth, changed))
        return found

    runs = "+".join(each.key for each in plans.values())
    key = f"compare/{series.key}/{series.truth}/{runs}"
    return jobs.result_of(COMPARISON, key, "Running every method", work)


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
