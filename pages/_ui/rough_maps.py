"""The rough map to refine: a model's, the person's own, or a spoiled truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pages._ui import choosing, detail, errors, frame, inputs, resources, state, truths
from pages._ui.inputs import OWN_ROUGH, Source

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard
    from n2m_core.geo_image import GeoImage
    from n2m_core.tasks.worst_cases import Case

Labels = NDArray[np.uint8]
Window = tuple[slice, slice]


@dataclass(frozen=True)
class Rough:
    """Where the rough map comes from; one of the first three says it.

    Attributes:
        maker: the checkpoint that draws it.
        own: the person's file.
        case: how the truth is spoiled.
        truth: that truth's file.
    """

    maker: CheckpointCard | None = None
    own: Path | None = None
    case: Case | None = None
    truth: Path | None = None

    @property
    def key(self) -> str:
        """Names everything that changes it."""
        if self.maker is not None:
            return f"{self.maker.id}@{self.maker.sha256}"
        if self.own is not None:
            return self.own.name
        assert self.truth is not None
        return f"{self.case}/{self.truth}@{self.truth.stat().st_mtime_ns}"


def fitting(card: CheckpointCard) -> dict[str, CheckpointCard]:
    """The segmentation checkpoints that draw the classes which a refiner knows."""
    names = [entry.name for entry in card.classes]
    return {
        each.id: each
        for each in resources.cards("segment")
        if [entry.name for entry in each.classes] == names
    }


def cases(card: CheckpointCard) -> dict[str, str]:
    """The ways to spoil a truth of a refiner's classes, with their titles."""
    titles = {"coarse": "Low-resolution map"}
    if len(card.classes) == 2:
        return {
            "missing": f"One {card.classes[1].name} missing",
            "merged": "Holes and merged neighbours",
            **titles,
        }
    return titles


def choose(source: Source, card: CheckpointCard, asked: str | None) -> Rough | None:
    """Let the person choose the rough map; None while there is none.

    Args:
        source: the scene.
        card: the refiner.
        asked: the spoiled truth that a link asks for.
    """
    image = resources.image(source.image)
    left, right = st.columns(2)
    with right:
        own = inputs.upload_rough(source, image, card)
    makers, truth = fitting(card), truths.truth_of(source, card)
    options = {name: f"Map by {each.title}" for name, each in makers.items()}
    if own is not None:
        options[OWN_ROUGH] = own.name
    if truth is not None:
        options |= cases(card)
    if not options:
        frame.empty(
            "There is no rough map yet",
            "Drop one beside this: a raster or polygons of "
            f"{', '.join(entry.name for entry in card.classes)}. No installed model draws these.",
        )
        return None
    key = f"rough.w.{card.id}"
    if asked in options:
        state.put(key, asked)
    elif asked is not None:
        st.info(f"The link names rough map {errors.plain(asked)}, which is not here.")
    with left:
        picked = choosing.pick_listed(key, "Rough map", options)
    if picked in makers:
        return Rough(maker=makers[picked])
    if picked == OWN_ROUGH and own is not None:
        return Rough(own=own.path)
    return Rough(case=_case(picked), truth=truth)


def _case(name: str) -> Case:
    """A case by its name."""
    from n2m_core.tasks.worst_cases import CASES

    return next(case for case in CASES if case == name)


def make(
    rough: Rough, image: GeoImage, window: Window, card: CheckpointCard, resolution_m: float | None
) -> tuple[Labels, tuple[str, ...]]:
    """Draw the rough map, or read it, or spoil the truth; in the worker.

    Args:
        rough: which.
        image: the whole scene.
        window: rows and columns that are looked at.
        card: the refiner.
        resolution_m: stated ground size of a pixel, metres.

    Returns:
        Class indices of the window, uint8 [H, W], and what a person should know of them.
    """
    if rough.maker is not None:
        from n2m_core.tasks import segment
        from n2m_core.tasks.params import MapParams

        params = MapParams(resolution_m=resolution_m)
        part = detail.crop(image, window)
        return segment.run(part, resources.model(rough.maker), params).labels, ()
    if rough.own is not None:
        from n2m_core.datasets.rough import read_rough

        read = read_rough(rough.own, image, card.classes)
        return np.ascontiguousarray(read.labels[window]), read.notes
    from n2m_core.tasks.truth import read_truth
    from n2m_core.tasks.worst_cases import spoil

    assert rough.case is not None
    assert rough.truth is not None
    truth = read_truth(rough.truth, image, card).labels[window]
    title = cases(card)[rough.case]
    note = f"The rough map was made of the truth: {title[:1].lower()}{title[1:]}."
    return spoil(truth, rough.case, len(card.classes)).rough, (note,)
