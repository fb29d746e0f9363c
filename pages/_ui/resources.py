"""What the server holds once for all sessions: cards, models, samples, images.

Everything given out here is shared: it must be read and never changed. Torch is imported on first
need, because it takes more than a second and the frame of a page should not wait for it.
"""

from __future__ import annotations

import copy
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from n2m_core import raster_io
from n2m_core.errors import DatasetError
from n2m_core.geo_image import GeoImage
from pages._ui import settings
from pages._ui.kept import Kept

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard, LoadedModel, Task
    from n2m_core.fusion.cards import FusionCard

QUICK_PX = 512
"""Samples up to this size come first, so that the first picture is quick."""
_ROOT = Path(__file__).resolve().parents[2]
_LOADING = threading.Lock()


@dataclass(frozen=True)
class Sample:
    """One of the scenes that come with the app.

    Attributes:
        id: short name, used in links.
        title: what a person reads.
        text: one sentence about it.
        task: "segment", "change" or "fuse".
        image: the picture, or the later one of a pair.
        before: the earlier picture of a pair.
        truths: paths of the truth by name, such as "land_cover".
        credit: where the imagery comes from and under which licence.
        size: rows and columns, pixels.
        series: paths of the five images of a fusion by name, such as "fine0".
        dates: their three dates.
    """

    id: str
    title: str
    text: str
    task: str
    image: Path
    before: Path | None
    truths: dict[str, Path]
    credit: str
    size: int
    series: dict[str, Path] = field(default_factory=dict)
    dates: tuple[date, ...] = ()


def checkpoints_folder() -> Path:
    """Folder of the checkpoints; `N2M_CHECKPOINTS` names another one."""
    return Path(os.environ.get("N2M_CHECKPOINTS") or _ROOT / "checkpoints")


def samples_folder() -> Path:
    """Folder of the samples; `N2M_SAMPLES` names another one."""
    return Path(os.environ.get("N2M_SAMPLES") or _ROOT / "sample_data")


def _stamp(paths: list[Path]) -> tuple[tuple[str, int], ...]:
    """Names and modification times, so that a cache notices a changed file."""
    return tuple((str(path), path.stat().st_mtime_ns) for path in paths)


@st.cache_resource(max_entries=2, show_spinner="Reading the model cards")
def _cards(folder: Path, stamp: tuple[tuple[str, int], ...]) -> list[CheckpointCard]:
    """Read all cards of a folder."""
    from n2m_core import checkpoints

    return checkpoints.list_cards(folder)


def cards(task: str | None = None) -> list[CheckpointCard]:
    """The cards of the installed checkpoints: all, or those that do a task with images alone."""
    folder = checkpoints_folder()
    paths = sorted(folder.glob("*/card.json"))
    found = _cards(folder, _stamp(paths)) if paths else []
    if task is None:
        return found
    return [card for card in found if card.task == task and not card.takes_rough]


@st.cache_resource(max_entries=2, show_spinner=False)
def _fusion_cards(folder: Path, stamp: tuple[tuple[str, int], ...]) -> list[FusionCard]:
    """Read all cards of a folder that fuse."""
    from n2m_core.fusion.cards import list_fusion_cards

    return list_fusion_cards(folder)


def fusion_cards() -> list[FusionCard]:
    """The cards of the installed checkpoints that fuse."""
    folder = checkpoints_folder()
    paths = sorted(folder.glob("*/card.json"))
    return _fusion_cards(folder, _stamp(paths)) if paths else []


@lru_cache(maxsize=3)
def _model(folder: Path, checkpoint: str, task: Task, sha256: str) -> LoadedModel:
    """Load a checkpoint; its checksum in the key notices exchanged weights.

    Streamlit's own cache would look for a page's run, which the worker thread does not have.
    """
    from n2m_core import checkpoints

    return checkpoints.load(checkpoint, task, root=folder)


def model(card: CheckpointCard) -> LoadedModel:
    """The loaded model of a card, for work only: all workers share it, and a pass changes nothing.

    Two workers that ask for it at the same time load it once.
    """
    with _LOADING:
        return _model(checkpoints_folder(), card.id, card.task, card.sha256)


def own_model(card: CheckpointCard) -> LoadedModel:
    """A copy of a card's model, for work that hangs hooks on it: they would hear others' passes."""
    shared = model(card)
    return replace(shared, model=copy.deepcopy(shared.model))


@st.cache_resource(max_entries=2, show_spinner=False)
def _samples(folder: Path, stamp: tuple[tuple[str, int], ...]) -> list[Sample]:
    """Read the list of samples."""
    path = folder / "samples.json"
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["samples"]
        found = [_sample(folder, entry) for entry in entries]
        return sorted(found, key=lambda sample: sample.size > QUICK_PX)
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{path.name} cannot be read ({error}); write the samples again with `n2m samples`."
        ) from error


def _sample(folder: Path, entry: dict[str, Any]) -> Sample:
    """Read one entry of samples.json."""
    before = entry.get("before")
    return Sample(
        id=str(entry["id"]),
        title=str(entry["title"]),
        text=str(entry["description"]),
        task=str(entry["task"]),
        image=folder / entry["image"],
        before=None if before is None else folder / before,
        truths={name: folder / path for name, path in entry["truth"].items()},
        credit=str(entry["credit"]),
        size=int(entry["size"]),
        series={name: folder / path for name, path in entry.get("series", {}).items()},
        dates=tuple(date.fromisoformat(day) for day in entry.get("dates", ())),
    )


def samples(task: str | None = None) -> list[Sample]:
    """The samples that come with the app, of one task or of all."""
    path = samples_folder() / "samples.json"
    if not path.is_file():
        return []
    found = _samples(path.parent, _stamp([path]))
    return [sample for sample in found if task in (None, sample.task)]


@st.cache_resource(show_spinner=False)
def _images() -> Kept:
    """The images read last."""
    return Kept(settings.keep_bytes() // 2)


def image(path: Path) -> GeoImage:
    """An image with all its bands.

    Raises:
        N2MError: it cannot be read; the sentence says why.
    """
    images, key = _images(), repr(_stamp([path])) if path.is_file() else ""
    kept = images.get(key)
    if isinstance(kept, GeoImage):
        return kept
    with st.spinner("Reading the image"):
        read = raster_io.read_image(path)
    images.put(key, read)
    return read


def pick_bands(image: GeoImage, bands: tuple[int, ...]) -> GeoImage:
    """Take bands (counted from 1, in this order, repetition allowed) out of an image."""
    if bands == tuple(range(1, image.bands + 1)):
        return image
    rows = [band - 1 for band in bands]
    return image.with_pixels(
        np.ascontiguousarray(image.pixels[rows]), tuple(image.band_names[row] for row in rows)
    )


@st.cache_data(show_spinner=False)
def device_text() -> str:
    """Where the models run, in a few words."""
    import torch

    if torch.cuda.is_available():
        return f"GPU · {torch.cuda.get_device_name(0)}"
    return f"CPU · {os.cpu_count() or 1} cores"


@st.cache_resource(show_spinner=False)
def _texts() -> Kept:
    """The maps' HTML made last."""
    return Kept(settings.keep_bytes() // 2)


def html(key: str, build: Callable[[], str]) -> str:
    """Keep a map's HTML under a key, so that a rerun sends the very same text."""
    kept = _texts().get(key)
    if isinstance(kept, str):
        return kept
    text = build()
    _texts().put(key, text)
    return text
