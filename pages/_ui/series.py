"""What the Fuse page works on: a sample series or a person's own five images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from n2m_core import raster_io
from pages._ui import errors, inputs, picking, resources, state
from pages._ui.uploads import Upload

if TYPE_CHECKING:
    from n2m_core.tasks.fuse import FuseImages

ROLES = {
    "fine0": "First date, fine",
    "coarse0": "First date, coarse",
    "coarse1": "Target date, coarse",
    "fine1": "Target date, fine (truth, if known)",
    "fine2": "Last date, fine",
    "coarse2": "Last date, coarse",
}
NEEDED = ("fine0", "coarse0", "fine2", "coarse2", "coarse1")
OWN = "fuse.own"
PICKED = "fuse.w.source"


@dataclass(frozen=True)
class Series:
    """Five images, perhaps with a truth.

    Attributes:
        id: names it in links and keys.
        title: what the person reads.
        paths: of the five images by role.
        truth: the fine image of the target date.
        changed: a mask of what changed suddenly, above 0.
        dates: of the three dates; empty when unknown.
        note: one sentence about it.
    """

    id: str
    title: str
    paths: dict[str, Path]
    truth: Path | None
    changed: Path | None
    dates: tuple[date, ...]
    note: str

    @property
    def key(self) -> str:
        """Names the files and their state."""
        return "+".join(f"{path}@{path.stat().st_mtime_ns}" for path in self.paths.values())

    @property
    def day_names(self) -> tuple[str, str, str]:
        """The three dates in words."""
        if len(self.dates) != 3:
            return "First date", "Target date", "Last date"
        first, second, third = (f"{day.day} {day:%B %Y}" for day in self.dates)
        return first, second, third

    def images(self) -> FuseImages:
        """Read the five images.

        Raises:
            N2MError: one can't be read.
        """
        from n2m_core.tasks.fuse import FuseImages

        return FuseImages(**{role: resources.image(self.paths[role]) for role in NEEDED})


def pick(asked: str | None) -> Series | None:
    """Let the person choose a series; None when there is none."""
    own: list[Series] = st.session_state.get(OWN, [])
    found = {each.id: each for each in (*own, *_samples())}
    return picking.pick("Series", found, PICKED, asked, "sample")


def _samples() -> list[Series]:
    """The series that come with the app."""
    return [
        Series(
            sample.id,
            sample.title,
            sample.series,
            sample.truths.get("fine1"),
            sample.truths.get("change"),
            sample.dates,
            sample.credit,
        )
        for sample in resources.samples("fuse")
    ]


def uploads() -> None:
    """Places to drop the images of an own series; it becomes the choice once five are there."""
    with st.expander("Your own images", icon=":material/upload:"):
        columns = st.columns(3)
        for place, role in enumerate(ROLES):
            with columns[place // 2]:
                inputs.uploader(f"fuse.{role}", ROLES[role], partial(_take, role))
                kept: Upload | None = st.session_state.get(f"fuse.{role}")
                if kept is not None:
                    st.caption(errors.plain(kept.name))
        st.caption(
            "All images need the same bands in the same order and the same scale of values. The "
            "coarse ones may have their own large pixels, as long as they cover the fine ones."
        )


def _take(role: str, kept: Upload) -> None:
    """Keep an image, and make the series the choice once all five are there.

    Raises:
        N2MError: the file can't be read, or the five do not fit each other.
    """
    raster_io.read_image(kept.path)
    held: dict[str, Upload] = {
        each: st.session_state[f"fuse.{each}"]
        for each in ROLES
        if st.session_state.get(f"fuse.{each}") is not None
    }
    held[role] = kept
    if all(each in held for each in NEEDED):
        series = _own(held)
        _check(series)
        others = [each for each in st.session_state.get(OWN, ()) if each.id != series.id]
        if series.title in {each.title for each in others}:
            # A list of choices can't tell equal names apart.
            series = replace(series, title=f"{series.title} ({len(others) + 1})")
        st.session_state[OWN] = [series, *others]
        state.put(PICKED, series.id)
    st.session_state[f"fuse.{role}"] = kept


def _check(series: Series) -> None:
    """Refuse images that do not fit each other before they become a choice."""
    from n2m_core.tasks.fuse import FuseParams, prepare, truth_on_grid

    prepared = prepare(series.images(), FuseParams())
    if series.truth is not None:
        truth_on_grid(resources.image(series.truth), prepared)


def _own(held: dict[str, Upload]) -> Series:
    """A series of a person's files."""
    truth = held.get("fine1")
    return Series(
        # Not of the truth: with one, the series takes the place of what it was without.
        id="".join(held[role].digest[:4] for role in NEEDED),
        title=f"{held['fine0'].name} … {held['fine2'].name}",
        paths={role: held[role].path for role in NEEDED},
        truth=None if truth is None else truth.path,
        changed=None,
        dates=(),
        note=inputs.describe(resources.image(held["fine0"].path)),
    )
