"""A trajectory as files: frames, an animation twice, the numbers.

    frames/input_000_t999.png       what the network saw
    frames/map_000_t999.png         the map, a palette PNG
    frames/panel_000_t999.png       input, map and confidence beside each other
    trajectory.gif trajectory.mp4  the panels, noisiest first
    decision_time.tif              noisiest timestep from which a pixel keeps its class
    trajectory.json                timesteps, scores, shares, file names

All of it is made in a temporary folder beside the wanted one and moved there in one step.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from n2m_core.errors import OutputError
from n2m_core.raster_io import write_geotiff
from n2m_core.render import colorize, encode_palette_png, encode_png, hex_to_rgb, side_by_side
from n2m_core.tasks.result import INVALID

if TYPE_CHECKING:
    from n2m_core.tasks.trajectory import Frame, TrajectoryResult

Picture = NDArray[np.uint8]

JSON_NAME = "trajectory.json"
OWN_NAMES = frozenset(
    {"frames", "trajectory.gif", "trajectory.mp4", "decision_time.tif", JSON_NAME}
)
SECONDS_PER_FRAME = 0.5
LAST_FRAME_SECONDS = 2.0
VIDEO_RATE = 10
PANEL_MIN_PX, PANEL_MAX_PX = 256, 640
"""Panels are enlarged or reduced to a height in this range."""


def write_trajectory(result: TrajectoryResult, out_dir: Path) -> tuple[Path, ...]:
    """Write all files of a trajectory, whole or not at all.

    Args:
        result: the trajectory.
        out_dir: a new or empty folder, or one that holds an earlier trajectory and nothing else,
            which is replaced.

    Returns:
        The files written, the JSON last.

    Raises:
        OutputError: the folder holds other files, or can't be written to.
    """
    check_out_dir(out_dir)
    try:
        out_dir.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f".{out_dir.name}.", dir=out_dir.parent, ignore_cleanup_errors=True
        ) as holder:
            draft = Path(holder) / "new"
            names = _fill(result, draft)
            _swap_in(draft, out_dir, Path(holder) / "old")
    except OSError as error:
        raise OutputError(
            f"{out_dir} can't be written ({error.strerror}). Choose a folder with room and leave "
            "to write."
        ) from error
    return tuple(out_dir / name for name in names)


def check_out_dir(out_dir: Path) -> None:
    """Refuse a folder whose files would be lost.

    Raises:
        OutputError: it is a file, or holds something other than an earlier trajectory.
    """
    if not out_dir.exists():
        return
    if not out_dir.is_dir():
        raise OutputError(f"{out_dir} is a file; give a new or empty folder.")
    others = sorted(path.name for path in out_dir.iterdir() if path.name not in OWN_NAMES)
    if others or out_dir.is_symlink():
        raise OutputError(
            f"{out_dir} holds other files ({', '.join(others[:3])}); give a new or empty folder."
        )


def _swap_in(draft: Path, out_dir: Path, aside: Path) -> None:
    """Put the new folder in the place of the old one, which comes back should that fail."""
    if not out_dir.exists():
        draft.rename(out_dir)
        return
    out_dir.rename(aside)
    try:
        draft.rename(out_dir)
    finally:
        if not out_dir.exists():
            aside.rename(out_dir)


def _fill(result: TrajectoryResult, folder: Path) -> list[str]:
    """Write everything into a new folder and give the names relative to it."""
    (folder / "frames").mkdir(parents=True)
    folder.chmod(0o755)
    colors = {i: hex_to_rgb(entry.color) for i, entry in enumerate(result.card.classes)}
    panels: list[Picture] = []
    names: list[str] = []
    rows: list[dict[str, Any]] = []
    for index, frame in enumerate(result.frames):
        stem = f"{index:03d}_t{frame.timestep:03d}"
        panel = make_panel(frame, colors)
        files = {
            "input": f"frames/input_{stem}.png",
            "map": f"frames/map_{stem}.png",
            "panel": f"frames/panel_{stem}.png",
        }
        (folder / files["input"]).write_bytes(encode_png(frame.x_t))
        if frame.x_t_after is not None:
            files["input_after"] = f"frames/input_after_{stem}.png"
            (folder / files["input_after"]).write_bytes(encode_png(frame.x_t_after))
        (folder / files["map"]).write_bytes(encode_palette_png(frame.labels, colors))
        (folder / files["panel"]).write_bytes(encode_png(panel))
        panels.append(panel)
        names.extend(files.values())
        rows.append({"t": frame.timestep, **_numbers(frame, result), "files": files})
    _write_gif(folder / "trajectory.gif", panels)
    _write_mp4(folder / "trajectory.mp4", panels)
    _write_decision_time(folder / "decision_time.tif", result)
    text = json.dumps(_summary(result, rows), indent=2, ensure_ascii=False, allow_nan=False)
    (folder / JSON_NAME).write_text(text + "\n", encoding="utf-8")
    return [*names, "trajectory.gif", "trajectory.mp4", "decision_time.tif", JSON_NAME]


def _summary(result: TrajectoryResult, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Everything about the run that is not a picture."""
    card, params = result.card, result.params
    return {
        "task": card.task,
        "checkpoint": card.id,
        "license": card.license,
        "noise_process": params.process or card.noise_process,
        "schedule": params.schedule or card.schedule,
        "seed": params.seed,
        "height": result.image.height,
        "width": result.image.width,
        "classes": [{"name": entry.name, "color": entry.color} for entry in card.classes],
        "frames": rows,
        "note": "Frames are independent single passes from one noise draw, noisiest first.",
        "notes": list(result.notes),
        "seconds": result.seconds,
    }


def _numbers(frame: Frame, result: TrajectoryResult) -> dict[str, Any]:
    """Shares and scores of one frame."""
    valid = frame.labels != INVALID
    count = max(1, int(valid.sum()))
    pixels = np.bincount(frame.labels.ravel(), minlength=256)
    return {
        "mean_confidence": float(frame.confidence[valid].mean()) if valid.any() else None,
        "disagreement": float(frame.disagreement.sum() / count),
        "shares": {
            entry.name: float(pixels[index] / count)
            for index, entry in enumerate(result.card.classes)
        },
        "scores": frame.scores,
    }


def make_panel(frame: Frame, colors: dict[int, tuple[int, int, int]]) -> Picture:
    """Put input, map and confidence beside each other with the timestep as caption.

    Returns:
        uint8 RGB [h, w, 3], both sides even, as video wants them.
    """
    grey = np.rint(np.clip(frame.confidence, 0, 1) * 255).astype(np.uint8)
    pictures = {f"t = {frame.timestep}: input": frame.x_t}
    if frame.x_t_after is not None:
        pictures = {
            f"t = {frame.timestep}: first half": frame.x_t,
            "second half": frame.x_t_after,
        }
    pictures |= {
        "map": colorize(frame.labels, colors)[..., :3],
        "confidence": np.repeat(grey[..., None], 3, axis=2),
    }
    sheet = side_by_side([_fit(picture) for picture in pictures.values()], list(pictures))
    height, width = sheet.shape[0] + sheet.shape[0] % 2, sheet.shape[1] + sheet.shape[1] % 2
    even = np.full((height, width, 3), 255, dtype=np.uint8)
    even[: sheet.shape[0], : sheet.shape[1]] = sheet
    return even


def _fit(picture: Picture) -> Picture:
    """Enlarge small and reduce large pictures, so that a caption fits and the file stays small."""
    longest = max(picture.shape[:2])
    goal = min(max(longest, PANEL_MIN_PX), PANEL_MAX_PX)
    if goal == longest:
        return picture
    height, width = (max(1, round(side * goal / longest)) for side in picture.shape[:2])
    method = Image.Resampling.NEAREST if goal > longest else Image.Resampling.BOX
    return np.asarray(Image.fromarray(picture).resize((width, height), method)).copy()


def _write_gif(path: Path, panels: Sequence[Picture]) -> None:
    """Write an endless animation; the last frame stays longer."""
    images = [Image.fromarray(panel) for panel in panels]
    durations = [round(SECONDS_PER_FRAME * 1000)] * len(images)
    durations[-1] = round(LAST_FRAME_SECONDS * 1000)
    images[0].save(path, "GIF", save_all=True, append_images=images[1:], duration=durations, loop=0)


def _write_mp4(path: Path, panels: Sequence[Picture]) -> None:
    """Write H.264 in 4:2:0, which every browser and player shows."""
    height, width = panels[0].shape[:2]
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(VIDEO_RATE), options={"crf": "18"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index, panel in enumerate(panels):
            is_last = index + 1 == len(panels)
            seconds = LAST_FRAME_SECONDS if is_last else SECONDS_PER_FRAME
            picture = av.VideoFrame.from_ndarray(panel, format="rgb24")
            for _ in range(round(seconds * VIDEO_RATE)):
                container.mux(stream.encode(picture))
        container.mux(stream.encode())


def _write_decision_time(path: Path, result: TrajectoryResult) -> None:
    """Write the decision times as a one-band int16 GeoTIFF, -1 for no data."""
    valid = result.decision_time >= 0
    image = result.image.with_pixels(result.decision_time[None], ("decision time",), valid=valid)
    tags = {"N2M_CHECKPOINT": result.card.id, "N2M_LICENSE": result.card.license}
    write_geotiff(path, image, nodata=-1, tags=tags)
