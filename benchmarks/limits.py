"""Where the shipped maps fall short: figures beside what was aimed at, learning curves, pictures.

    python -m benchmarks.limits [--tables]

Reads the scores from the cards and the learning curves beside them, maps the scenes again, writes
docs/limits/ and the table in docs/limits.md between its two marks. With --tables the
pictures are left as they are. Real imagery is read below $N2M_DATA, held-out scenes from
build/held_out (see `benchmarks.scores`).
"""

from __future__ import annotations

import argparse
import csv
import os
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from n2m_core import checkpoints, places
from n2m_core.atomic import write_bytes
from n2m_core.datasets.base import Sample
from n2m_core.datasets.opening import open_dataset
from n2m_core.render import colorize, hex_to_rgb, to_rgb
from n2m_core.tasks import failures

PAGE = Path("docs") / "limits.md"
BEGIN, END = "<!-- measured -->", "<!-- end -->"
PICTURES = Path("docs") / "limits"
STARTS = Path("benchmarks") / "curves"
ERRORS = {0: (236, 233, 226), 1: (240, 228, 66), 2: (204, 0, 119), 3: (86, 180, 233)}
"""Right, missed, invented, another class: the colours of the app's error map."""
SHARES = (0.0, 0.25, 0.5)
"""Which tiles are shown: the worst, the lower quartile, the median."""
LEAST_TARGET = 0.02
"""A tile with less of the target than this share of its pixels has no telling F1."""
SMOOTHED = 25


@dataclass(frozen=True)
class Aim:
    """A score of a card and what was aimed at.

    Attributes:
        what: in words.
        checkpoint: whose card.
        entry: name of the entry in the card.
        group: part of the report, "target" or "mean".
        key: figure in that part.
        wanted: the least that was aimed at.
    """

    what: str
    checkpoint: str
    entry: str
    group: str
    key: str
    wanted: float


AIMS = (
    Aim("Buildings, Banepa: IoU", "n2m-buildings", "Banepa, a town never seen",
        "target", "iou", 0.60),
    Aim("Buildings, Banepa: mean F1", "n2m-buildings", "Banepa, a town never seen",
        "mean", "f1", 0.72),
    Aim("Land cover, place 4: mean F1", "n2m-landcover", "Dubai, place 4", "mean", "f1", 0.60),
    Aim("Change, four real pairs: F1", "n2m-change", "four real pairs", "target", "f1", 0.50),
    Aim("Burnt houses, Santa Rosa: F1", "n2m-wildfire", "Santa Rosa, kept out by longitude",
        "target", "f1", 0.65),
    Aim("Buildings, held-out scenes: F1", "n2m-buildings", "held-out scenes",
        "target", "f1", 0.90),
    Aim("Land cover, held-out scenes: mean F1", "n2m-landcover", "held-out scenes",
        "mean", "f1", 0.85),
    Aim("Change, held-out scenes: F1", "n2m-change", "held-out scenes", "target", "f1", 0.80),
)  # fmt: skip
CHAINS = {
    "Buildings": ("n2m-buildings-clean", "n2m-buildings"),
    "Land cover": ("n2m-landcover-start", "n2m-landcover"),
    "Change": ("n2m-change-start", "n2m-change-scenes", "n2m-change-places", "n2m-change"),
}
"""The legs of each checkpoint's training, in order."""


@dataclass(frozen=True)
class Gallery:
    """Tiles of one dataset as one checkpoint maps them."""

    name: str
    checkpoint: str
    dataset: str
    root: str


GALLERIES = (
    Gallery("banepa", "n2m-buildings", "folder", "$N2M_DATA/buildings/banepa_demo"),
    Gallery("buildings", "n2m-buildings", "folder", "build/held_out/segment"),
    Gallery("place4", "n2m-landcover", "folder", "$N2M_DATA/landcover/val"),
    Gallery("landcover", "n2m-landcover", "folder", "build/held_out/landcover"),
    Gallery("change", "n2m-change", "folder", "build/held_out/change"),
)


def table() -> str:
    """The aims beside the cards' figures, as Markdown."""
    rows = ["| | aimed at | measured | 95 % interval over tiles | |", "|---|---|---|---|---|"]
    for aim in AIMS:
        card = checkpoints.read_cards(aim.checkpoint, root=places.checkpoints_root())[0]
        report = next(each["report"] for each in card.metrics if each["name"] == aim.entry)
        group = report[aim.group]
        value = group[aim.key]
        # The interval in a card is that of F1.
        span = f"{group['low']:.3f} to {group['high']:.3f}" if aim.key == "f1" else ""
        reached = "reached" if value >= aim.wanted else "not reached"
        rows.append(f"| {aim.what} | {aim.wanted:.2f} | {value:.3f} | {span} | {reached} |")
    return "\n".join(rows)


def curve_of(run: str) -> tuple[list[int], list[float]]:
    """Steps and losses of one leg."""
    shipped = places.checkpoints_root() / run / "curve.csv"
    path = shipped if shipped.exists() else STARTS / f"{run}.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [int(row["step"]) for row in rows], [float(row["loss"]) for row in rows]


def draw_curves() -> Figure:
    """Draw the loss of every leg, one after the other, smoothed by a running median."""
    figure, axes = plt.subplots(1, len(CHAINS), figsize=(12, 3.4), layout="constrained")
    for axis, (title, legs) in zip(axes, CHAINS.items(), strict=True):
        start = 0
        for leg in legs:
            steps, losses = curve_of(leg)
            shifted = [start + step for step in steps]
            axis.plot(shifted, losses, color="#0b6e75", alpha=0.18, linewidth=0.8)
            axis.plot(shifted, smoothed(losses), linewidth=1.8, label=leg)
            start = shifted[-1]
        axis.set_title(title, loc="left")
        axis.set_xlabel("step")
        axis.set_ylim(bottom=0)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8)
    axes[0].set_ylabel("training loss")
    return figure


def smoothed(losses: list[float]) -> list[float]:
    """Running median; shorter windows at the ends."""
    half = SMOOTHED // 2
    return [float(np.median(losses[max(0, i - half) : i + half + 1])) for i in range(len(losses))]


def draw_gallery(gallery: Gallery) -> Figure:
    """Map a dataset and draw tiles from the worst to the median."""
    model = checkpoints.load(gallery.checkpoint)
    card = model.card
    root = Path(os.path.expandvars(gallery.root))
    task = "change" if card.task == "change" else "segment"
    samples = open_dataset(gallery.dataset, root, task=task, classes=card.classes)
    held = [samples[index] for index in range(len(samples))]
    found = failures.run(held, model)
    ranked = [each for each in failures.rank(found) if is_telling(each, found)]
    chosen = [ranked[round(share * (len(ranked) - 1))] for share in SHARES]
    heads = ["image"] if task == "segment" else ["before", "after"]
    wrong = "missed (yellow), invented (pink)" if found.scheme.target else "wrong class (blue)"
    heads += ["truth", "map", wrong]
    size = (2.5 * len(heads), 2.75 * len(chosen))
    figure, axes = plt.subplots(len(chosen), len(heads), figsize=size, layout="constrained")
    colors = {i: hex_to_rgb(each.color) for i, each in enumerate(card.classes)}
    for row, (line, entry) in enumerate(zip(axes, chosen, strict=True)):
        pictures = pictures_of(held[entry.block.scene], found, entry, colors)
        for column, (axis, picture) in enumerate(zip(line, pictures, strict=True)):
            show(axis, picture)
            if row == 0:
                axis.set_title(heads[column], fontsize=9)
        line[0].set_ylabel(f"F1 {entry.f1:.2f}", fontsize=9)
    patches = [Patch(facecolor=each.color, label=each.name) for each in card.classes]
    figure.legend(
        handles=patches, loc="outside lower center", ncols=len(patches), frameon=False, fontsize=9
    )
    return figure


def is_telling(entry: failures.Ranked, found: failures.Failures) -> bool:
    """Whether enough of a tile is of the target for its F1 to say something."""
    target = list(found.scenes[entry.block.scene].scheme.target)
    if not target:
        return True
    counts = entry.block.counts.matrix
    return bool(counts[target].sum() >= LEAST_TARGET * counts.sum())


def pictures_of(
    sample: Sample,
    found: failures.Failures,
    entry: failures.Ranked,
    colors: dict[int, tuple[int, int, int]],
) -> list[np.ndarray]:
    """The images of a block, its truth, its map and its errors, each uint8 [h, w, 3 or 4]."""
    block = entry.block
    scene = found.scenes[block.scene]
    dates = [sample.image] if sample.after is None else [sample.image, sample.after]
    errors = failures.error_map(found, block.scene)
    drawn = [to_rgb(each, stretch="minmax") for each in dates]
    drawn += [colorize(scene.truth, colors), colorize(scene.labels, colors)]
    drawn.append(colorize(errors, ERRORS))
    return [each[block.window] for each in drawn]


def show(axis: Axes, picture: np.ndarray) -> None:
    """Show a picture without ticks."""
    axis.imshow(picture)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)


def save(figure: Figure, name: str) -> None:
    """Write a figure into docs/limits."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURES / f"{name}.webp", dpi=100, pil_kwargs={"quality": 80, "method": 6})
    plt.close(figure)


def main(words: list[str] | None = None) -> None:
    """Write the page, and the pictures unless told not to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", action="store_true", help="leave the pictures as they are")
    asked = parser.parse_args(words)
    mpl.use("Agg")
    if not asked.tables:
        save(draw_curves(), "curves")
        for gallery in GALLERIES:
            save(draw_gallery(gallery), gallery.name)
    before, rest = PAGE.read_text().split(BEGIN)
    after = rest.split(END)[1]
    write_bytes(PAGE, f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}".encode())


if __name__ == "__main__":
    main()
