"""How weights came to be: the data of every training that they went through, and its steps.

Weights that start from others hold what those learned: their data are to be credited as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DataCredit:
    """A source of training data: what it is called, its licence, whom to credit, how much of it."""

    name: str
    licence: str
    attribution: str
    tiles: int


@dataclass(frozen=True)
class TrainingStage:
    """A training that weights went through before their last one.

    Attributes:
        id: of the checkpoint, or of the pretrained network, that it gave.
        config: file of its configuration, below the repository's root.
        steps: of the optimiser.
        data: what it learned from.
        sha256: of the weights that it gave; None where they were not kept.
        config_sha256: of all in the configuration that decides them; None where it was not noted.
    """

    id: str
    config: str
    steps: int
    data: tuple[DataCredit, ...]
    sha256: str | None = None
    config_sha256: str | None = None

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> TrainingStage:
        """Build it from JSON values; KeyError or TypeError where they are none."""
        return cls(**{**raw, "data": credits_from(raw["data"])})


@dataclass(frozen=True)
class TrainingRecord:
    """How the weights came to be; written by the training loop.

    Attributes:
        data: what the last training learned from.
        config: file of its configuration, below the repository's root.
        init_from: whose weights it started from; None for random ones.
        before: the trainings that those went through, the first of them first.
        config_sha256: of all in the configuration that decides the weights; None on cards that were
            written before it was noted.
    """

    data: tuple[DataCredit, ...]
    config: str
    steps: int
    samples: int
    seed: int
    device: str
    minutes: float
    date: str
    init_from: str | None = None
    before: tuple[TrainingStage, ...] = ()
    config_sha256: str | None = None

    def may_be_of(self, config_sha256: str) -> bool:
        """Whether a configuration made the weights, as far as that was noted."""
        return self.config_sha256 in (None, config_sha256)

    @property
    def steps_in_all(self) -> int:
        """Steps of all trainings."""
        return self.steps + sum(stage.steps for stage in self.before)

    @property
    def credits(self) -> tuple[DataCredit, ...]:
        """Data of all trainings, each once, those of the last one first."""
        return merged(self.data, *(stage.data for stage in reversed(self.before)))

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> TrainingRecord:
        """Build it from JSON values; KeyError or TypeError where they are none."""
        before = tuple(TrainingStage.from_dict(each) for each in raw.get("before", ()))
        return cls(**{**raw, "data": credits_from(raw["data"]), "before": before})


def credits_from(raw: Iterable[dict[str, Any]]) -> tuple[DataCredit, ...]:
    """Build credits from JSON values."""
    return tuple(DataCredit(**each) for each in raw)


def merged(*groups: Iterable[DataCredit]) -> tuple[DataCredit, ...]:
    """Join credits; of the same source the one with the most tiles stays, at its first place."""
    found: dict[tuple[str, str, str], DataCredit] = {}
    for credit in (each for group in groups for each in group):
        key = credit.name, credit.licence, credit.attribution
        known = found.get(key)
        if known is None or known.tiles < credit.tiles:
            found[key] = credit
    return tuple(found.values())
