"""Score a refiner on labelled samples: rough and refined maps side by side, and what was repaired.

The report is that of `tasks.evaluate` for the refined maps, with `rough`, `refined` and `repair`
added. Both maps of a tile are scored on the same pixels: where there is data, a label and a rough
map.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from n2m_core.checkpoints import CARD, LoadedModel, load
from n2m_core.datasets.base import Sample
from n2m_core.datasets.rough import read_rough
from n2m_core.errors import CheckpointError, DatasetError, ParameterError
from n2m_core.geo_image import Progress
from n2m_core.metrics.repair import RepairCounts, repair_counts
from n2m_core.metrics.report import Json
from n2m_core.tasks import refine, segment
from n2m_core.tasks.evaluate import EvaluateParams, score_maps
from n2m_core.tasks.mapping import check_task
from n2m_core.tasks.params import MapParams
from n2m_core.tasks.refine import RefineParams
from n2m_core.tasks.repairing import repair_block, targets_of
from n2m_core.tasks.tally import Setting

Labels = NDArray[np.uint8]
RoughMaker = Callable[[Sample], Labels]
"""Gives the rough map of a sample on its image's grid, uint8 [H, W], 255 where there is none."""

BLOCKS = ("classes", "mean", "target", "overall", "boundary")
SUFFIXES = (".tif", ".tiff", ".png", ".geojson", ".json", ".gpkg")


@dataclass(frozen=True)
class EvaluateRefineParams:
    """What to score.

    Attributes:
        refine: how the maps are refined.
        k: weight of what was broken in the repair score, 0 or more.
    """

    refine: RefineParams = field(default_factory=RefineParams)
    k: float = 1.0

    def __post_init__(self) -> None:
        """Check k.

        Raises:
            ParameterError: it is negative or not finite.
        """
        if not 0 <= self.k < math.inf:
            raise ParameterError(f"k is {self.k:g}; it must be 0 or a positive number.")


@dataclass(frozen=True, eq=False)
class GivenMap:
    """A map that was not made here, to be scored as if it were a result; see `ScoredMap`."""

    labels: Labels
    timestep: int
    notes: tuple[str, ...] = ()
    seconds: float = 0.0


def evaluate_refine(
    dataset: Sequence[Sample],
    model: LoadedModel,
    rough: RoughMaker,
    params: EvaluateRefineParams | None = None,
    progress: Progress | None = None,
) -> Json:
    """Score a refiner.

    Args:
        dataset: labelled samples, read one at a time.
        model: the checkpoint.
        rough: gives the rough maps.
        params: how to refine and score.
        progress: told after every map.

    Returns:
        The report, ready for JSON (null for what does not exist). `repair.classes` counts each
        class of a task of more than two; the counts above them are their sums.

    Raises:
        CheckpointError: the checkpoint is for another task.
        DatasetError: the dataset is empty, or has two dates.
        LabelError: a label or a rough map does not fit.
    """
    params = params or EvaluateRefineParams()
    card = model.card
    check_task(card, "refine")
    kept: dict[str, Labels] = {}
    counts = {target: RepairCounts() for target in targets_of(len(card.classes))}

    def refined(sample: Sample, _: Setting, told: Progress | None) -> refine.RefineResult:
        """Refine one sample, and count what was repaired."""
        if sample.after is not None:
            raise DatasetError(f"{sample.name} has two dates; a refiner takes one.")
        result = refine.run(sample.image, rough(sample), model, params.refine, told)
        kept[sample.name] = result.rough
        for target in counts:
            found = repair_counts(result.rough, result.labels, sample.label, target=target)
            counts[target] = counts[target] + found
        return result

    def before(sample: Sample, _: Setting, __: Progress | None) -> GivenMap:
        """Give the rough map of one sample."""
        return GivenMap(kept[sample.name], card.inference_timestep)

    options = EvaluateParams(seed=params.refine.seed)
    report = score_maps(dataset, card, refined, options, progress)
    first = score_maps(dataset, card, before, options)
    report["rough"] = {name: first[name] for name in BLOCKS}
    report["refined"] = {name: report[name] for name in BLOCKS}
    names = [entry.name for entry in card.classes]
    report["repair"] = repair_block(counts, names, params.k)
    return {**report, **refine.chosen_walk(params.refine, card)._asdict()}


def open_rough(name: str | None, model: LoadedModel, *, device: str = "auto") -> RoughMaker:
    """Give rough maps from the samples, from a folder of maps or from a segmentation checkpoint.

    Args:
        name: a folder with a raster or polygons for every sample, matched by file stem; else a
            segmentation checkpoint of the same classes, its id or its folder, with `@` and a
            timestep to map at another than its own; None for the rough maps that the samples bring.
        model: the checkpoint that refines.
        device: of the segmentation checkpoint.

    Returns:
        The maker of rough maps.

    Raises:
        CheckpointError: neither a folder nor a fitting checkpoint.
        ParameterError: what follows `@` is no timestep.
    """
    if name is None:
        return _own
    checkpoint, mark, step = name.partition("@")
    folder = Path(checkpoint)
    is_weights = (folder / CARD).is_file()
    if not is_weights and Path(name).is_dir():
        return _from_folder(Path(name), model)
    if mark and not step.isdecimal():
        raise ParameterError(f"{name!r} names no timestep behind @; 0 to 999 are possible.")
    params = MapParams(timestep=int(step) if mark else None)
    place = {"root": folder.parent} if is_weights else {}
    other = load(folder.name if is_weights else checkpoint, "segment", device=device, **place)
    check_task(other.card, "segment")
    theirs = [entry.name for entry in other.card.classes]
    ours = [entry.name for entry in model.card.classes]
    if theirs != ours:
        raise CheckpointError(
            f"{checkpoint} maps {', '.join(theirs)}; {model.card.id} refines {', '.join(ours)}. "
            "Choose a segmentation checkpoint of the same classes."
        )
    return lambda sample: segment.run(sample.image, other, params).labels


def _own(sample: Sample) -> Labels:
    """Give the rough map that a sample brings."""
    if sample.rough is None:
        raise DatasetError(
            "The dataset brings no rough map of this image. Name whose maps are to be refined: a "
            "segmentation checkpoint, or a folder of rough maps (--rough)."
        )
    return sample.rough


def _from_folder(folder: Path, model: LoadedModel) -> RoughMaker:
    """Read rough maps by the samples' names."""
    files = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES}

    def read(sample: Sample) -> Labels:
        """Read one."""
        if sample.name not in files:
            raise DatasetError(
                f"{folder.name}/ has no rough map of {sample.name}; give one file for each image, "
                "of the same name."
            )
        return read_rough(files[sample.name], sample.image, model.card.classes).labels

    return read
