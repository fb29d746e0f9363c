"""The studies of `benchmarks/`: which there are, what they ask, and where their files lie.

The Models page and `docs/studies.md` show the same tables; `tasks.study_tables` makes them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from n2m_core.errors import DatasetError
from n2m_core.tasks import (
    change_tables,
    claim_tables,
    fusion_tables,
    peer_tables,
    refinement_tables,
    study_tables,
)
from n2m_core.tasks.study_tables import Json, Shown


@dataclass(frozen=True)
class Study:
    """One study.

    Attributes:
        id: name of its file without the suffix, and of its script.
        title: what a person reads.
        question: what it asks, one sentence.
        command: writes the file.
        show: from the file's values and the name of a score to what is shown.
        has_scores: whether the score can be chosen.
        picture: what the picture shows that lies beside its file, one sentence; empty for none.
    """

    id: str
    title: str
    question: str
    command: str
    show: Callable[[Json, str], Shown]
    has_scores: bool = False
    picture: str = ""


def folder() -> Path:
    """Folder of the files: $N2M_BENCHMARKS, else `benchmarks/` beside the package."""
    named = os.environ.get("N2M_BENCHMARKS")
    return Path(named) if named else Path(__file__).resolve().parents[2] / "benchmarks"


def is_measured(study: Study, where: Path | None = None) -> bool:
    """Whether a study was run, that is, whether its file is there; arguments as for `shown`."""
    return _file(study, where).is_file()


def picture_of(study: Study, where: Path | None = None) -> Path | None:
    """The picture of a study, None where there is none; arguments as for `shown`."""
    path = _file(study, where).with_suffix(".png")
    return path if study.picture and path.is_file() else None


def _file(study: Study, where: Path | None) -> Path:
    return (where or folder()) / f"{study.id}.json"


def shown(study: Study, score: str = "target_f1", where: Path | None = None) -> Shown | None:
    """Read a study's file.

    Args:
        study: which.
        score: which of `study_tables.SCORES` its plots show.
        where: folder of the files; None for `folder()`.

    Returns:
        What there is to show; None where the study was not run.

    Raises:
        DatasetError: the file is damaged, or of another form.
    """
    path = _file(study, where)
    if not path.is_file():
        return None
    try:
        return study.show(json.loads(path.read_text(encoding="utf-8")), score)
    except (IndexError, KeyError, TypeError, ValueError, AttributeError) as e:
        raise DatasetError(
            f"{path.name} is not what {study.command} writes ({type(e).__name__}: {e}); run it "
            "again."
        ) from e


STUDIES = (
    Study(
        "claims",
        "Noise and schedulers",
        "Does noise help, do the schedules differ, and does F1 rise from noise to image?",
        "python -m benchmarks.claims",
        claim_tables.claims,
    ),
    Study(
        "peers",
        "Peers",
        "Which design learns most from the same data in the same short time?",
        "python -m benchmarks.peers build/peers",
        peer_tables.peers,
        has_scores=True,
    ),
    Study(
        "pretraining",
        "Pretraining",
        "What is it worth to denoise unlabelled images first, by share of the labels?",
        "python -m benchmarks.pretraining",
        study_tables.pretraining,
        has_scores=True,
        picture="What the pretrained network makes of pure noise, eight samples; no place is real.",
    ),
    Study(
        "multitask",
        "Multi-task",
        "What does one network for both tasks cost or bring?",
        "python -m benchmarks.multitask",
        study_tables.multitask,
        has_scores=True,
    ),
    Study(
        "landsat",
        "Landsat, 30 m",
        "What is left of the change maps far from the resolution that they learned at?",
        "python -m benchmarks.landsat",
        change_tables.landsat,
    ),
    Study(
        "wildfire",
        "Wildfire, as published",
        "How near do the paper's rows for one fire come with 35 tiles and the compact network?",
        "python -m benchmarks.wildfire",
        change_tables.wildfire,
    ),
    Study(
        "refinement",
        "Refinement",
        "Do boundaries improve on good and bad maps alike, and more than by simpler refiners?",
        "python -m benchmarks.refinement",
        refinement_tables.refinement,
    ),
    Study(
        "fusion",
        "Fusion",
        "Which method comes nearest to the missing image, and what does each part of SA-STF bring?",
        "python -m benchmarks.fusion",
        fusion_tables.fusion,
    ),
    Study(
        "full_size",
        "Full size",
        "Is Noise2Map 13.49 times faster and 3.85 times smaller than DDPM-CD, as published?",
        "python -m benchmarks.full_size",
        study_tables.full_size,
    ),
    Study(
        "results",
        "Speed",
        "Does the app keep the limits that it promises?",
        "make bench",
        study_tables.speed,
    ),
)
