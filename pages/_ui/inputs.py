"""What a page works on: a sample or a person's own files, and the checkpoint.

Uploads are read at once, and only an image that could be read becomes a choice: a bad file shows
its message and leaves everything that was there. They stay for the session, on every page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from n2m_core import raster_io
from n2m_core.errors import N2MError
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import SceneHeader
from pages._ui import (
    area_choice,
    areas,
    errors,
    frame,
    picking,
    resources,
    state,
    uploads,
)
from pages._ui.areas import Scene
from pages._ui.callbacks import whole
from pages._ui.uploads import Upload

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard


OWN_ROUGH = "own"
"""Choice of a rough map that the person brought."""


@dataclass(frozen=True)
class Source:
    """What was chosen to look at.

    Attributes:
        id: names it in links and keys.
        title: what the person reads.
        image: path of the picture, or of the later one of a pair.
        before: path of the earlier picture of a pair.
        truths: paths of the truth by name.
        note: one sentence about it: credit of a sample, size of an upload.
        is_sample: whether it came with the app.
        scene: what `image` and `before` are an area of, where that is too large to work on whole.
    """

    id: str
    title: str
    image: Path
    before: Path | None
    truths: dict[str, Path]
    note: str
    is_sample: bool
    scene: Scene | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The picture, and the earlier one of a pair."""
        return (self.image, *(() if self.before is None else (self.before,)))

    @property
    def key(self) -> str:
        """Names the files and their state."""
        return "+".join(f"{path}@{path.stat().st_mtime_ns}" for path in self.paths)


def pick_card(task: str, asked: str | None) -> CheckpointCard | None:
    """Let the person choose a checkpoint of a task; None when none is installed."""
    cards = {card.id: card for card in resources.cards(task) if not card.id.endswith("-plain")}
    return picking.pick("Model", cards, f"{task}.w.checkpoint", asked, "checkpoint")


_TASKS = {"segment": "segmentation", "change": "change detection", "refine": "refinement"}


def say_what_is_missing(task: str | None = None) -> None:
    """Say that there is no checkpoint (for a task) or nothing to look at, and what to do."""
    what = "" if task is None else f" for {_TASKS[task]}"
    if not resources.cards(task):
        frame.empty(
            f"No trained weights{what} are installed",
            "This page needs a checkpoint in the checkpoints folder. Train one with n2m train and "
            "a file of configs/; where the repository ships one, fetch it again.",
        )
    else:
        frame.empty("No samples are installed", "Drop files of your own, or run n2m samples.")


def sources(task: str) -> dict[str, Source]:
    """Everything that can be chosen for a task: the session's own files first, then the samples."""
    held: list[Source] = st.session_state.get(f"{task}.own", [])
    # The private folder goes when a connection breaks; what lay there is then no choice any more.
    own = [each for each in held if all(path.is_file() for path in each.paths)]
    shipped = [
        Source(
            sample.id, sample.title, sample.image, sample.before, sample.truths, sample.credit, True
        )
        for sample in resources.samples(task)
    ]
    return {source.id: source for source in (*own, *shipped)}


def pick_source(task: str, asked: str | None) -> Source | None:
    """Let the person choose what to look at; None when there is nothing yet.

    Of a scene that is too large it is the area that was drawn or typed last.
    """
    label = "Scene" if task == "segment" else "Pair of dates"
    picked = picking.pick(label, sources(task), f"{task}.w.source", asked, "sample")
    return None if picked is None else area_choice.follow(picked)


def upload_image(task: str) -> None:
    """A place to drop one image, or to name one on the server."""

    def take(kept: Upload) -> None:
        """Make it the choice."""
        _add_image(task, kept)

    uploader(f"{task}.image", "Your own image", take)
    path_field(f"{task}.image", take)


def upload_half(task: str, half: str) -> None:
    """A place to drop one date of a pair; `half` is "before" or "after"."""

    def take(kept: Upload) -> None:
        """Keep it until the other date is there."""
        _add_half(task, half, kept)

    with st.container(key=f"narrow-{task}-{half}"):
        uploader(f"{task}.{half}", f"Your {half}", take)
        path_field(f"{task}.{half}", take)
        other: Upload | None = st.session_state.get(f"{task}.{half}")
        if other is not None:
            st.caption(errors.plain(other.name))


def upload_rough(source: Source, image: GeoImage, card: CheckpointCard) -> Upload | None:
    """A place to drop a rough map of a scene; gives the one that the session has for it."""
    key = f"rough.{source.id}.{card.id}"

    def take(kept: Upload) -> None:
        """Keep a rough map that fits the scene, and choose it."""
        from n2m_core.datasets.rough import read_rough

        read_rough(kept.path, image, card.classes)
        st.session_state[f"{key}.kept"] = kept
        state.put(f"rough.w.{card.id}", OWN_ROUGH)

    types = (*uploads.IMAGE_TYPES, *uploads.POLYGON_TYPES)
    uploader(key, "Your own rough map", take, types)
    kept: Upload | None = st.session_state.get(f"{key}.kept")
    return kept


def uploader(
    key: str,
    label: str,
    take: Callable[[Upload], None],
    types: Sequence[str] = uploads.IMAGE_TYPES,
) -> None:
    """One upload field; its problem, if it had one, stands under it."""
    turn = st.session_state.setdefault(f"{key}.turn", 0)
    widget = f"{key}.w.{turn}"

    @whole
    def changed() -> None:
        """Take the file over and empty the field, which frees Streamlit's copy."""
        file = st.session_state[widget]
        if file is None:
            return
        st.session_state[f"{key}.turn"] = turn + 1
        st.session_state[f"{key}.problem"] = None
        try:
            kept = uploads.keep(file)
        except N2MError as error:
            st.session_state[f"{key}.problem"] = (file.name, error)
            return
        try:
            take(kept)
        except N2MError as error:
            st.session_state[f"{key}.problem"] = (file.name, uploads.named(error, kept))

    st.file_uploader(label, type=list(types), key=widget, on_change=changed)
    _show_problem(key)


def path_field(key: str, take: Callable[[Upload], None]) -> None:
    """A field for the path of an image on the server, where `N2M_OPEN_PATHS` allows some."""
    if uploads.open_root() is None:
        return
    field = f"{key}.w.path"

    @whole
    def sent() -> None:
        """Open what was typed."""
        text = str(st.session_state[field]).strip()
        if not text:
            return
        st.session_state[f"{key}.path.problem"] = None
        try:
            take(uploads.open_path(text))
        except N2MError as error:
            st.session_state[f"{key}.path.problem"] = (text[:120], error)

    st.text_input(
        "Or a path on the server", key=field, on_change=sent, placeholder="folder/scene.tif"
    )
    _show_problem(f"{key}.path")


def _show_problem(key: str) -> None:
    """Say why a file was not used."""
    problem = st.session_state.get(f"{key}.problem")
    if problem is not None:
        name, error = problem
        st.caption(f"{errors.plain(name)} was not used; everything else is as it was.")
        errors.show(error)


def _add_image(task: str, kept: Upload) -> None:
    """Make an image the choice, or the middle of one that is too large.

    Raises:
        N2MError: it cannot be read.
    """
    header = _large(kept)
    if header is not None:
        _add_scene(task, areas.scene_of(header, None, kept.name, (kept.shown,)))
        return
    image = resources.image(kept.path)
    _add(task, Source(kept.digest[:12], kept.name, kept.path, None, {}, describe(image), False))


def _large(kept: Upload) -> SceneHeader | None:
    """The header of an image that is too large to work on whole; None for others.

    Raises:
        N2MError: it cannot be read even in parts.
    """
    height, width, pixel_bytes = raster_io.read_size(kept.path)
    if height * width <= areas.most_px(pixel_bytes):
        return None
    header = raster_io.read_scene_header(kept.path)
    return header if areas.is_large(header) else None


def _add_scene(task: str, scene: Scene) -> None:
    """Make the middle of a large scene the choice.

    Raises:
        N2MError: it cannot be cut out.
    """
    paths = [each.path for each in (scene.after, scene.header) if each is not None]
    uncut = Source(scene.id, scene.title, paths[0], None, {}, "", False, scene)
    _add(task, area_choice.begin(uncut))


def _add_half(task: str, half: str, kept: Upload) -> None:
    """Keep one date of a pair, and make the pair the choice once both are there.

    Raises:
        N2MError: the file cannot be read, or the two dates have no ground in common.
    """
    other: Upload | None = st.session_state.get(
        f"{task}.{'after' if half == 'before' else 'before'}"
    )
    if _large(kept) is None:
        resources.image(kept.path)
    if other is not None:
        before, after = (kept, other) if half == "before" else (other, kept)
        _add_pair(task, before, after, newest=kept)
    st.session_state[f"{task}.{half}"] = kept


def _add_pair(task: str, before: Upload, after: Upload, *, newest: Upload) -> None:
    """Make two dates the choice; of large ones the middle of what both cover.

    Raises:
        N2MError: they have no ground in common, or cannot be aligned.
    """
    name = f"{before.name} → {after.name}"
    if any(_large(each) is not None for each in (before, after)):
        headers = [raster_io.read_scene_header(each.path) for each in (before, after)]
        _add_scene(task, areas.scene_of(*headers, name, (before.shown, after.shown)))
        return
    image = resources.image(newest.path)
    raster_io.align_to(resources.image((after if newest is before else before).path), image)
    id = f"{before.digest[:8]}{after.digest[:8]}"
    _add(task, Source(id, name, after.path, before.path, {}, describe(image), False))


def _add(task: str, source: Source) -> None:
    """Put a source in front of the session's own ones and choose it."""
    own: list[Source] = st.session_state.get(f"{task}.own", [])
    st.session_state[f"{task}.own"] = [source, *(each for each in own if each.id != source.id)]
    state.put(f"{task}.w.source", source.id)


def describe(image: GeoImage) -> str:
    """Say what an image is, in one line."""
    kind = f"{image.width} x {image.height} px, {image.bands} band{'s' * (image.bands > 1)}"
    kind += f", {image.pixels.dtype}"
    if image.resolution_m is not None:
        kind += f", {image.resolution_m:.3g} m per pixel"
    return f"{kind}, {'no georeference' if image.crs is None else image.crs[:40]}"
