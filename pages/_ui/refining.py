"""The choices of Refine: what to refine and how; and the work that makes the map."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from n2m_core.geo_image import GeoImage, Progress
from pages._ui import (
    choosing,
    compute,
    detail,
    jobs,
    resources,
    rough_maps,
    state,
    truths,
)
from pages._ui.compute import Choices
from pages._ui.inputs import Source
from pages._ui.rough_maps import Rough

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard
    from n2m_core.tasks.refine import RefineResult

VIEWS = ("Swipe", "Side by side")
STEPS = (5, 10, 25, 50)
SAMPLES = (1, 4, 8)
FRAMES = 9


@dataclass(frozen=True)
class Chosen:
    """What a person chose on this page.

    Attributes:
        rough: where the rough map comes from.
        steps: of DDIM.
        guidance: weight of classifier-free guidance.
        samples: noise draws.
        middle_px: side of the square in the middle that is refined; None for the whole scene.
        view: one of `VIEWS`.
        choices: seed, bands and resolution, as on the other pages.
    """

    rough: Rough
    steps: int
    guidance: float
    samples: int
    middle_px: int | None
    view: str
    choices: Choices

    @property
    def key(self) -> str:
        """Names everything that changes the map."""
        return (
            f"{self.rough.key}/{self.steps}/{self.guidance}/{self.samples}/{self.middle_px}/"
            f"{self.choices.key}"
        )


def choose(source: Source, card: CheckpointCard, asked: str | None = None) -> Chosen | None:
    """Let the person choose the rough map and how it is refined; None while there is no map.

    Args:
        source: the scene.
        card: the refiner.
        asked: the rough map that a link asks for.
    """
    rough = rough_maps.choose(source, card, asked)
    if rough is None:
        return None
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        view = choosing.pick("ref.w.view", "View", {each: each for each in VIEWS})
        middle_px = choosing.EXTENTS[choosing.extent("ref")]
        with st.popover("Adjust", icon=":material/tune:"):
            steps, guidance, seed, samples = _controls(card)
    return Chosen(
        rough=rough,
        steps=steps,
        guidance=guidance,
        samples=samples,
        middle_px=middle_px,
        view=view,
        choices=Choices(seed=seed, resolution_m=choosing.stated_resolution(source)),
    )


def _controls(card: CheckpointCard) -> tuple[int, float, int, int]:
    """Steps, guidance, seed and number of samples."""
    own = card.sampling_steps or 25
    options = tuple(sorted({*STEPS, own}))
    key = f"ref.w.steps.{card.id}"
    steps = st.select_slider(
        "Steps",
        options,
        key=state.prepare(key, own, options),
        help="Denoising steps from noise to map. Fewer are quicker and rougher.",
    )
    state.keep(key, steps)
    key = f"ref.w.guidance.{card.id}"
    guidance = st.slider(
        "Guidance",
        0.0,
        8.0,
        step=0.5,
        key=state.prepare(key, float(card.guidance or 3.0)),
        help="How strongly picture and rough map pull. 0 leaves them out: what comes is made up. "
        "1 is what was trained, more exaggerates it.",
    )
    state.keep(key, guidance)
    seed = st.number_input(
        "Seed",
        min_value=0,
        max_value=2**31 - 1,
        step=1,
        key=state.prepare("ref.w.seed", 0),
        help="Names the noise.",
    )
    draws = card.sampling_draws or 1
    counts, draws_key = tuple(sorted({*SAMPLES, draws})), f"ref.w.samples.{card.id}"
    samples = st.segmented_control(
        "Samples",
        counts,
        key=state.prepare(draws_key, draws, counts),
        required=True,
        help="Noise draws; the map is their mean. Where they differ, the boundary is not certain.",
    )
    return (
        int(steps),
        float(guidance),
        state.keep("ref.w.seed", int(seed or 0)),
        state.keep(draws_key, samples or draws),
    )


def result_of(source: Source, card: CheckpointCard, chosen: Chosen) -> RefineResult | None:
    """The refined map, or its progress and None while it is being made."""
    key = f"refine/{source.key}/{card.sha256}/{chosen.key}"
    (image,) = compute.images_of(replace(source, before=None), chosen.choices)
    return jobs.result_of(
        "ref.map",
        key,
        "Drawing the boundaries anew",
        lambda progress: _make(image, card, chosen, progress),
    )


def _make(
    image: GeoImage, card: CheckpointCard, chosen: Chosen, progress: Progress
) -> RefineResult:
    """Make the rough map and refine it; in the worker."""
    from n2m_core.tasks import refine

    progress(0, 1, "loading the weights")
    window, resolution_m = _window(image, chosen.middle_px), chosen.choices.resolution_m
    rough, notes = rough_maps.make(chosen.rough, image, window, card, resolution_m)
    params = refine.RefineParams(
        steps=chosen.steps,
        guidance=chosen.guidance,
        seed=chosen.choices.seed,
        samples=chosen.samples,
        resolution_m=resolution_m,
        frames=min(FRAMES, chosen.steps),
    )
    part = detail.crop(image, window)
    found = refine.run(part, rough, resources.model(card), params, progress)
    return replace(found, notes=(*notes, *found.notes))


def _window(image: GeoImage, middle_px: int | None) -> tuple[slice, slice]:
    """Rows and columns that are looked at."""
    if middle_px is None:
        return slice(0, image.height), slice(0, image.width)
    rows, columns = compute.middle_of(image, middle_px)
    return slice(rows.start, min(rows.stop, image.height)), slice(
        columns.start, min(columns.stop, image.width)
    )


def truth_of(source: Source, card: CheckpointCard, chosen: Chosen) -> NDArray[np.uint8] | None:
    """The truth of the part that is looked at, uint8 [H, W]; None where there is none."""
    from n2m_core.tasks.truth import read_truth

    path = truths.truth_of(source, card)
    if path is None:
        return None
    image = resources.image(source.image)
    return read_truth(path, image, card).labels[_window(image, chosen.middle_px)]
