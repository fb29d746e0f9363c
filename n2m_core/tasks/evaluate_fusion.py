"""Score a fusion method on triplets whose middle fine image is known."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from dataclasses import replace
from typing import Any, Protocol

from n2m_core.datasets.triplets import Triplet
from n2m_core.errors import DatasetError
from n2m_core.geo_image import Progress
from n2m_core.tasks.fuse import FuseImages, FuseParams, fuse, prepare, score_result
from n2m_core.tasks.fusion_methods import checkpoint_of

FIGURES = ("rmse", "rmse_band_mean", "cc", "ssim", "ergas", "sam_deg")


class TripletSource(Sized, Iterable[Triplet], Protocol):
    """Triplets that can be counted and read one after the other."""


def images_of(triplet: Triplet) -> FuseImages:
    """The five images that a fusion begins with."""
    fine, coarse = triplet.fine, triplet.coarse
    return FuseImages(fine[0], coarse[0], fine[2], coarse[2], coarse[1])


def params_for(triplet: Triplet, params: FuseParams) -> FuseParams:
    """A person's choices with what the triplet itself knows: its dates and its scale."""
    return replace(params, dates=triplet.dates, scale=params.scale or triplet.scale)


def evaluate(
    triplets: TripletSource, params: FuseParams, progress: Progress | None = None
) -> dict[str, Any]:
    """Fuse every triplet and compare with its truth.

    Args:
        triplets: what to score on.
        params: method and choices.
        progress: told after every triplet; may raise to stop.

    Returns:
        The report of one image, its figures averaged over the triplets (each counts alike), with
        `triplets`, `per_triplet` and the seconds of all. A figure that does not exist for a triplet
        is left out of its mean; `ergas_ratio` is None when the triplets differ in it.

    Raises:
        DatasetError: there are no triplets.
        N2MError: a triplet can't be fused.
    """
    params = replace(params, checkpoint=params.checkpoint or checkpoint_of(params.method))
    rows: list[dict[str, Any]] = []
    for done, triplet in enumerate(triplets, start=1):
        chosen = params_for(triplet, params)
        result = fuse(prepare(images_of(triplet), chosen), chosen)
        rows.append({"name": triplet.name, **score_result(result, triplet.fine[1])})
        if progress is not None:
            progress(done, len(triplets), triplet.name)
    if not rows:
        raise DatasetError("There are no triplets to score on; give a folder with at least one.")
    return _summary(rows, params)


def _summary(rows: list[dict[str, Any]], params: FuseParams) -> dict[str, Any]:
    """The mean of the triplets' reports."""
    ratios = {row["ergas_ratio"] for row in rows}
    names = [band["name"] for band in rows[0]["per_band"]]
    same = [row["per_band"] for row in rows if len(row["per_band"]) == len(names)]
    return {
        "task": "fusion",
        "method": params.method,
        "checkpoint": params.checkpoint,
        "triplets": len(rows),
        **{key: _mean([row[key] for row in rows]) for key in FIGURES},
        "ergas_ratio": ratios.pop() if len(ratios) == 1 else None,
        "per_band": [
            {
                "name": name,
                **{
                    key: _mean([bands[index][key] for bands in same])
                    for key in ("rmse", "bias", "cc", "ssim")
                },
            }
            for index, name in enumerate(names)
        ],
        "per_triplet": [
            {key: row[key] for key in ("name", *FIGURES, "ergas_ratio", "pixels", "seconds")}
            for row in rows
        ],
        "seconds": round(sum(row["seconds"] for row in rows), 3),
    }


def _mean(values: list[float | None]) -> float | None:
    """Mean of the values that exist."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
