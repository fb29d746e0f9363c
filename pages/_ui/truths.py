"""What is really there in a scene: the person's own mask, else the one that a sample came with.

A mask belongs to a scene and to the classes that it was dropped for: indices of buildings say
nothing of forest. It is read onto the scene's grid at once, so that a mask which does not fit shows
its message and leaves everything that was there. Of a scene too large to work on whole the chosen
area may move away from it; the mask then waits until the area comes back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from n2m_core import raster_io
from n2m_core.errors import LabelError, N2MError
from pages._ui import errors, frame, inputs, resources, uploads
from pages._ui.adjust import has_background
from pages._ui.callbacks import whole
from pages._ui.inputs import Source
from pages._ui.uploads import Upload

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard


@dataclass(frozen=True)
class _Kept:
    """A person's mask, and what was looked at when it was dropped."""

    mask: Upload
    place: str


def truth_of(source: Source, card: CheckpointCard) -> Path | None:
    """The truth of a source in a checkpoint's classes: the person's mask, else the sample's."""
    kept = _kept(source, card)
    if kept is not None and _misfit(kept, source, card) is None:
        return kept.mask.path
    return _shipped(source, card)


def field(source: Source, card: CheckpointCard) -> None:
    """A place to drop the truth of a scene; says which one is there and gives it back."""
    key = _key(source, card)

    def take(new: Upload) -> None:
        """Keep a mask that fits the scene."""
        kept = _Kept(new, source.key)
        _read(kept, source, card)
        st.session_state[f"{key}.kept"] = kept

    inputs.uploader(key, "Truth mask", take)
    kept = _kept(source, card)
    if kept is None:
        return
    misfit = _misfit(kept, source, card)
    if misfit is None:
        frame.quiet(f"The scores are against your {kept.mask.name}.")
    else:
        st.caption(f"Your {errors.plain(kept.mask.name)} is not used here.")
        errors.show(uploads.named(misfit, kept.mask))
    instead = "Take your mask away" if _shipped(source, card) is None else "Use the sample's truth"
    st.button(instead, key=f"{key}.w.back", on_click=_give_back(key), icon=":material/undo:")


def another(source: Source, card: CheckpointCard) -> None:
    """The same below scores, folded up."""
    with st.expander("Score against another truth mask"):
        field(source, card)


def _give_back(key: str) -> Callable[[], None]:
    """The callback that forgets a mask."""

    @whole
    def pressed() -> None:
        """Forget it."""
        st.session_state.pop(f"{key}.kept", None)

    return pressed


def _key(source: Source, card: CheckpointCard) -> str:
    """Names the mask of a scene in a checkpoint's classes in the session."""
    task = "change" if card.task == "change" else "segment"
    return f"truth.{source.id}.{task}.{'/'.join(entry.name for entry in card.classes)}"


def _kept(source: Source, card: CheckpointCard) -> _Kept | None:
    """The person's mask; the private folder goes when a connection breaks, and it with that."""
    kept: _Kept | None = st.session_state.get(f"{_key(source, card)}.kept")
    return kept if kept is not None and kept.mask.path.is_file() else None


def _read(kept: _Kept, source: Source, card: CheckpointCard) -> None:
    """Read a mask onto the grid of a scene, of a pair onto that of the earlier date.

    Raises:
        N2MError: it cannot be read, or does not fit the classes or the scene.
    """
    from n2m_core.tasks.truth import read_truth

    path, image = kept.mask.path, resources.image(source.before or source.image)
    read_truth(path, image, card)
    if kept.place == source.key:
        return
    if not (image.is_georeferenced and raster_io.read_labels(path).is_georeferenced):
        raise LabelError(
            f"{kept.mask.name} is of another area of this scene, and without a georeference of "
            "both nobody can tell where; choose that area again, or drop a mask of this one."
        )


def _misfit(kept: _Kept, source: Source, card: CheckpointCard) -> N2MError | None:
    """Why a mask does not fit what is looked at now; looked up once for each area."""
    place = f"{_key(source, card)}.misfit"
    asked = (kept, source.key)
    known = st.session_state.get(place)
    if known is None or known[0] != asked:
        known = (asked, _problem(kept, source, card))
        st.session_state[place] = known
    problem: N2MError | None = known[1]
    return problem


def _problem(kept: _Kept, source: Source, card: CheckpointCard) -> N2MError | None:
    """What reading says."""
    try:
        _read(kept, source, card)
    except N2MError as error:
        return error
    return None


def _shipped(source: Source, card: CheckpointCard) -> Path | None:
    """The sample's own truth that fits a checkpoint."""
    return next((source.truths[name] for name in _names(card) if name in source.truths), None)


def _names(card: CheckpointCard) -> tuple[str, ...]:
    """Names of the sample truths that fit a checkpoint, the best one first."""
    if card.task == "change":
        return ("change",) if len(card.classes) > 2 else ("damage", "change")
    if not has_background(card):
        return ("land_cover",)
    return ("buildings",) if card.classes[1].name == "building" else ()
