"""The parts of Refine: what to refine and how, rough beside refined, the walk, the spread."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from n2m_core.geo_image import GeoImage, Progress
from pages._ui import (
    choosing,
    compute,
    detail,
    frame,
    inputs,
    jobs,
    maps,
    playing,
    resources,
    results,
    state,
    views,
)
from pages._ui.compute import Choices
from pages._ui.elements import Json
from pages._ui.inputs import OWN_ROUGH, Source
from pages._ui.layers import Layer, image_layer, mask_layer
from pages._ui.maps import LegendItem, Panel, Setting

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard
    from n2m_core.tasks.refine import RefineFrame, RefineResult

VIEWS = ("Swipe", "Side by side")
STEPS = (5, 10, 25, 50)
SAMPLES = (1, 4, 8)
FRAMES = 9
FRAME_PX = 448


@dataclass(frozen=True)
class Chosen:
    """What a person chose on this page.

    Attributes:
        rough: id of the checkpoint that draws the rough map; None for the person's own file.
        own: that file.
        steps: of DDIM.
        guidance: weight of classifier-free guidance.
        samples: noise draws.
        middle_px: side of the square in the middle that is refined; None for the whole scene.
        view: one of `VIEWS`.
        choices: seed, bands and resolution, as on the other pages.
    """

    rough: str | None
    own: Path | None
    steps: int
    guidance: float
    samples: int
    middle_px: int | None
    view: str
    choices: Choices

    @property
    def key(self) -> str:
        """Names everything that changes the map."""
        own = "" if self.own is None else f"{self.own.name}"
        return (
            f"{self.rough}/{own}/{self.steps}/{self.guidance}/{self.samples}/{self.middle_px}/"
            f"{self.choices.key}"
        )


def fitting(card: CheckpointCard) -> dict[str, CheckpointCard]:
    """The segmentation checkpoints that draw the classes which a refiner knows."""
    names = [entry.name for entry in card.classes]
    return {
        each.id: each
        for each in resources.cards("segment")
        if [entry.name for entry in each.classes] == names
    }


def choose(source: Source, card: CheckpointCard) -> Chosen | None:
    """Let the person choose the rough map and how it is refined; None while there is no map."""
    image = resources.image(source.image)
    left, right = st.columns(2)
    with right:
        own = inputs.upload_rough(source, image, card)
    makers = {each.id: f"Map of {each.title}" for each in fitting(card).values()}
    if own is not None:
        makers[OWN_ROUGH] = own.name
    if not makers:
        frame.empty(
            "There is no rough map yet",
            "Drop one beside this: a raster or polygons of "
            f"{', '.join(entry.name for entry in card.classes)}. No installed model draws these.",
        )
        return None
    with left:
        rough = choosing.pick_listed(
            f"rough.w.{card.id}", "Rough map", makers, "The map whose boundaries are drawn anew."
        )
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        view = choosing.pick("ref.w.view", "View", {each: each for each in VIEWS})
        middle_px = choosing.EXTENTS[choosing.extent("ref")]
        with st.popover("Adjust", icon=":material/tune:"):
            steps, guidance, seed, samples = _controls(card)
    is_own = rough == OWN_ROUGH and own is not None
    return Chosen(
        rough=None if is_own else rough,
        own=own.path if is_own and own is not None else None,
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
    samples = st.segmented_control(
        "Samples",
        SAMPLES,
        key=state.prepare("ref.w.samples", SAMPLES[0], SAMPLES),
        required=True,
        help="Noise draws. Where their maps differ, the boundary is not certain.",
    )
    return (
        int(steps),
        float(guidance),
        state.keep("ref.w.seed", int(seed or 0)),
        state.keep("ref.w.samples", samples or SAMPLES[0]),
    )


def result_of(source: Source, card: CheckpointCard, chosen: Chosen) -> RefineResult | None:
    """The refined map, or its progress and None while it is being made."""
    makers = fitting(card)
    maker = makers[chosen.rough] if chosen.rough else None
    drawn = maker.sha256 if maker else ""
    key = f"refine/{source.key}/{card.sha256}/{drawn}/{chosen.key}"
    (image,) = compute.images_of(replace(source, before=None), chosen.choices)
    return jobs.result_of(
        "ref.map",
        key,
        "Drawing the boundaries anew",
        lambda progress: _make(image, card, maker, chosen, progress),
    )


def _make(
    image: GeoImage,
    card: CheckpointCard,
    maker: CheckpointCard | None,
    chosen: Chosen,
    progress: Progress,
) -> RefineResult:
    """Draw the rough map, or read it, and refine it; in the worker."""
    from n2m_core.datasets.rough import read_rough
    from n2m_core.tasks import refine, segment
    from n2m_core.tasks.params import MapParams

    progress(0, 1, "loading the weights")
    window = _window(image, chosen.middle_px)
    part = detail.crop(image, window)
    notes: tuple[str, ...] = ()
    resolution_m = chosen.choices.resolution_m
    if maker is None:
        assert chosen.own is not None
        read = read_rough(chosen.own, image, card.classes)
        rough, notes = read.labels[window], read.notes
    else:
        model = resources.model(maker)
        rough = segment.run(part, model, MapParams(resolution_m=resolution_m)).labels
    params = refine.RefineParams(
        steps=chosen.steps,
        guidance=chosen.guidance,
        seed=chosen.choices.seed,
        samples=chosen.samples,
        resolution_m=resolution_m,
        frames=min(FRAMES, chosen.steps),
    )
    found = refine.run(part, np.ascontiguousarray(rough), resources.model(card), params, progress)
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

    path = results.truth_of(source, card)
    if path is None:
        return None
    image = resources.image(source.image)
    return read_truth(path, image, card).labels[_window(image, chosen.middle_px)]


def key_of(source: Source, result: RefineResult, chosen: Chosen) -> str:
    """Names a picture of this result."""
    return f"ref/{source.key}/{result.card.sha256}/{chosen.key}"


def shared(result: RefineResult, legend: tuple[LegendItem, ...]) -> Setting:
    """What the maps of a result share."""
    image = result.image
    return Setting(not image.is_georeferenced, image.resolution_m, legend)


def show_map(source: Source, result: RefineResult, chosen: Chosen) -> None:
    """Show rough and refined map under a swipe, or beside each other."""

    def build() -> str:
        """Make both panels."""
        image, colors = result.image, views.shown_classes(result.card)
        base = image_layer("Picture", image, views.picture(image, chosen.choices))
        rough, refined = (
            Panel(title, (base, mask_layer(title, image, labels, colors)))
            for title, labels in (("Rough", result.rough), ("Refined", result.labels))
        )
        setting = shared(result, views.legend(result.card))
        if chosen.view == VIEWS[0]:
            return maps.swipe_html(rough, refined, setting)
        return maps.side_by_side_html([rough, refined], setting)

    html = resources.html(f"{key_of(source, result, chosen)}/{chosen.view}", build)
    st.iframe(html, height="content", alt=f"Rough and refined map of {source.title}")


def say_how(source: Source, result: RefineResult) -> None:
    """Say what was looked at, how the map was made, and what was done to the input."""
    many = "" if result.samples == 1 else f", {result.samples} samples"
    frame.quiet(
        f"{source.note.rstrip('.')}. {result.card.title}, {result.steps} steps, guidance "
        f"{result.guidance:g}, seed {result.seed}{many}, {result.seconds:.1f} s. "
        f"{100 * result.changed:.1f} % of the pixels changed their class.",
        "What the rough map misses whole mostly stays missed; a boundary that neither picture nor "
        "rough map shows is made up. Compare before you trust.",
        *result.notes,
    )


def show_forming(source: Source, result: RefineResult, chosen: Chosen) -> None:
    """Show how the map condenses out of noise, one moment after the other."""
    if not result.frames:
        return
    st.subheader("How the boundary forms", anchor=False)
    key = f"{key_of(source, result, chosen)}/frames"
    html = resources.html(key, lambda: _player(result, chosen))
    st.iframe(html, height="content", alt=f"Refinement of {source.title}, step by step")
    frame.quiet(
        "Each moment shows the map that the network expects in the end. Unlike the frames of a "
        "trajectory these are one walk: every step starts from the one before."
    )


def _player(result: RefineResult, chosen: Chosen) -> str:
    """The moments in a player: expected map and confidence."""
    image, card = result.image, result.card
    colors, classes = views.shown_classes(card), len(card.classes)
    rgb = views.picture(image, chosen.choices)
    base = image_layer("Picture", image, rgb, FRAME_PX, quality=70)
    expected: list[Layer] = [base]
    sure: list[Layer] = []
    for each in result.frames:
        expected.append(
            mask_layer("Map", image, each.labels, colors, role="frame", max_px=FRAME_PX)
        )
        ramp = playing.ramp(each.confidence, 1 / classes, 1)
        layer = image_layer("Confidence", image, ramp, FRAME_PX, quality=70)
        sure.append(views.as_frame(layer))
    legend = (
        *views.legend(card),
        LegendItem("confidence, low to high", "", playing.ramp_css()),
    )
    panels = [Panel("Expected map", tuple(expected)), Panel("Confidence", tuple(sure))]
    texts: list[dict[str, Json]] = [
        {"t": each.timestep, "text": _text(each, result)} for each in result.frames
    ]
    return maps.player_html(panels, texts, shared(result, legend))


def _text(moment: RefineFrame, result: RefineResult) -> str:
    """What stands beside a moment."""
    mapped = result.labels != 255
    differs = float((moment.labels != result.labels)[mapped].mean()) if mapped.any() else 0.0
    return f"step {moment.step} of {result.steps}  ·  {100 * differs:.1f} % differ from the result"


def show_spread(source: Source, result: RefineResult, chosen: Chosen) -> None:
    """Show where several samples disagree."""
    st.subheader("How certain the boundary is", anchor=False)
    spread = result.uncertainty
    if spread is None:
        frame.quiet("Choose several samples under Adjust: where they differ, it is uncertain.")
        return
    key = f"{key_of(source, result, chosen)}/spread"

    def build() -> str:
        """Colour the share of samples that differ."""
        image = result.image
        layer = image_layer("Uncertainty", image, playing.ramp(spread, 0, 0.5))
        base = image_layer("Picture", image, views.picture(image, chosen.choices))
        legend = (LegendItem("samples that differ, 0 to 50 %", "", playing.ramp_css()),)
        panels = [Panel("Picture", (base,)), Panel("Disagreement", (layer,))]
        return maps.side_by_side_html(panels, shared(result, legend))

    st.iframe(resources.html(key, build), height="content", alt=f"Uncertainty of {source.title}")
    mapped = result.labels != 255
    share = float((spread[mapped] > 0).mean()) if mapped.any() else 0.0
    frame.quiet(
        f"On {100 * share:.1f} % of the pixels at least one of {result.samples} samples has "
        "another class than the map."
    )
