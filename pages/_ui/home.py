"""The home page's parts: one picture of what the app does, the samples, the state of the models."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from n2m_core import render
from pages._ui import compute, frame, inputs, resources
from pages._ui.coloring import natural_bands
from pages._ui.compute import Choices, Frames
from pages._ui.resources import Sample

if TYPE_CHECKING:
    from n2m_core.tasks.trajectory import TrajectoryResult

HERO_STEPS = (999, 800, 600, 400, 200, 0)
HERO_PX = 256
THUMB_PX = 420
_VERBS = {
    "segment": ("pages/1_Segment.py", "Map this scene", ":material/layers:"),
    "change": ("pages/2_Change.py", "See what changed", ":material/compare:"),
    "fuse": ("pages/6_Fuse.py", "Make the missing image", ":material/join:"),
}


def hero() -> None:
    """Show the trajectory of one sample as a strip: noise on the left, its map on the right."""
    cards = resources.cards("segment")
    found = inputs.sources("segment")
    if not cards:
        inputs.say_what_is_missing("segment")
    if not cards or not found:
        return
    card = next((each for each in cards if each.noise_process == "gaussian"), cards[0])
    source = next((each for each in found.values() if each.is_sample), None)
    if source is None:
        return
    result = compute.trajectory_of(
        "home", source, card, Choices(), Frames(HERO_STEPS, None, HERO_PX)
    )
    if result is None:
        return
    st.html(resources.html(f"hero/{source.key}/{card.sha256}", lambda: _strip(result)))
    frame.quiet(
        f"{source.title}, mapped by {card.title} from six inputs that differ only in their noise. "
        "Each map is one pass of the network."
    )


def _strip(result: TrajectoryResult) -> str:
    """The frames as a strip of HTML pictures: inputs above, maps below."""
    colors = {i: render.hex_to_rgb(each.color) for i, each in enumerate(result.card.classes)}
    columns = []
    for each in result.frames:
        labels = render.colorize(each.labels, colors)[..., :3]
        columns.append(
            f'<figure><img src="{_picture(each.x_t, 62)}" alt="Input at t = {each.timestep}">'
            f'<img src="{_picture(labels, 88)}" alt="Map at t = {each.timestep}">'
            f"<figcaption>t = {each.timestep}</figcaption></figure>"
        )
    return f'<div class="n2m-strip">{"".join(columns)}</div>'


def _picture(rgb: NDArray[np.uint8], quality: int) -> str:
    """A small WebP as a data URI."""
    data = render.encode_webp(rgb, quality=quality)
    return f"data:image/webp;base64,{base64.b64encode(data).decode()}"


def gallery() -> None:
    """Show every sample with the way to its page."""
    found = resources.samples()
    if not found:
        frame.empty("No samples are installed", "Write them with n2m samples.")
        return
    st.header("Begin with a sample", anchor=False)
    with st.grid("auto", min_column_width=230, gap="medium"):
        for sample in found:
            with st.container(key=f"sample-{sample.id}"):
                _sample(sample)


def _sample(sample: Sample) -> None:
    """One sample: picture, title, sentence, link."""
    page, verb, icon = _VERBS[sample.task]
    st.html(
        f'<div class="n2m-card"><img src="{_thumbnail(sample)}" alt="">'
        f"<b>{escape(sample.title)}</b><span>{escape(sample.text)}</span></div>"
    )
    st.page_link(page, label=verb, icon=icon, query_params={"sample": sample.id})


def _thumbnail(sample: Sample) -> str:
    """The middle of a sample, or of both dates beside each other, as a data URI."""
    paths = [sample.image] if sample.before is None else [sample.before, sample.image]
    key = "+".join(f"{path}@{path.stat().st_mtime_ns}" for path in paths)

    def build() -> str:
        """Cut a 3:2 window; for a pair each date takes half of it."""
        width = THUMB_PX // len(paths)
        parts = []
        for path in paths:
            image = resources.image(path)
            rgb = Image.fromarray(render.to_rgb(image, bands=natural_bands(image)))
            height = min(image.height, round(image.width * (THUMB_PX * 2 / 3) / width))
            across = min(image.width, round(height * width / (THUMB_PX * 2 / 3)))
            left, top = (image.width - across) // 2, (image.height - height) // 2
            cut = rgb.crop((left, top, left + across, top + height))
            size = (width - 2 * (len(paths) - 1), THUMB_PX * 2 // 3)
            parts.append(np.asarray(cut.resize(size, Image.Resampling.LANCZOS)))
        if len(parts) == 2:
            gap = np.full((parts[0].shape[0], 4, 3), 255, np.uint8)
            parts = [parts[0], gap, parts[1]]
        data = render.encode_webp(np.hstack(parts), quality=80)
        return f"data:image/webp;base64,{base64.b64encode(data).decode()}"

    return resources.html(f"thumbnail/{key}", build)


def status() -> None:
    """Show which models are there and where they run."""
    cards = resources.cards()
    st.header("Models and machine", anchor=False)
    rows = [
        (
            card.title,
            card.task,
            f"{card.resolution_m:g} m",
            f"{card.parameters / 1e6:.2f} M",
            card.license,
        )
        for card in cards
    ]
    if rows:
        frame.table(
            ("Model", "Task", "Trained for", "Parameters", "Licence"), rows, [""] * len(rows)
        )
    count = len({card.id for card in cards})  # one of both tasks has two cards
    frame.quiet(f"Running on {resources.device_text()}. {count} models installed.")
