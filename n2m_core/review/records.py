"""What a review project holds, as plain records.

Areas are in m2 where the ground resolution is known, coordinates in the CRS of the map, or in
pixels (column, row) where it has none. Times are UTC, ISO 8601.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from affine import Affine

from n2m_core.review.geometry import Outline

Verdict = Literal["right", "wrong", "unsure"]
Order = Literal["doubt", "size", "place", "random"]
Scope = Literal["open", "mine", "all"]
"""Which objects the desk steps through: those nobody has judged, those that this reviewer has not
judged, or all."""
Kind = Literal["segment", "change", "refine", "polygons"]


@dataclass(frozen=True)
class Reviewer:
    """A person at the desk."""

    id: int
    name: str


@dataclass(frozen=True)
class ReviewClass:
    """One class of a map.

    Attributes:
        id: its index in the map.
        name: what the legend says.
        color: "#rrggbb".
        is_background: whether it means "nothing here", and is not traced.
    """

    id: int
    name: str
    color: str
    is_background: bool = False


@dataclass(frozen=True)
class Source:
    """A map that was sent to review.

    Attributes:
        id: number in the project.
        name: unique in the project.
        kind: the task that made it, or "polygons" for a file of them.
        crs: of the outlines; None where they are in pixels.
        transform: of the map's grid; None for polygons without an image.
        width: columns of the grid.
        height: rows of the grid.
        resolution_m: ground size of a pixel, metres, where it is known.
        classes: by index.
        image: file of the picture to look at (the later date of a change).
        before: file of the earlier date of a change.
        map: file of the map, class indices, 255 where there is no data.
        settings: what made the map: checkpoint, checkpoint_sha256, license, timestep and so on.
        notes: what the person should know, a sentence each.
        added_at: when it was sent.
    """

    id: int
    name: str
    kind: Kind
    crs: str | None
    transform: Affine | None
    width: int | None
    height: int | None
    resolution_m: float | None
    classes: tuple[ReviewClass, ...]
    image: Path | None
    before: Path | None
    map: Path | None
    settings: Mapping[str, Any]
    notes: tuple[str, ...]
    added_at: str

    def class_name(self, class_id: int) -> str:
        """Name of a class index."""
        return next(entry.name for entry in self.classes if entry.id == class_id)


@dataclass(frozen=True)
class Entry:
    """One line of the log; never changed.

    Attributes:
        id: grows with time.
        object_id: the object that it is about.
        reviewer: who.
        at: when.
        kind: "decide", "add" (the object was drawn) or "undo".
        verdict: whether the object is right.
        class_id: the class that it should have.
        comment: free text.
        outline: the outline that it should have.
        area_m2: ground area of that outline.
        area_px: the same in pixels of the map's grid.
        seconds: how long the person had looked.
        undoes: the entry that this one takes back.
        is_undone: whether another entry takes this one back.
        unit_id: the unit of a sample that it is about, in place of an object.
    """

    id: int
    object_id: int | None
    reviewer: str
    at: str
    kind: Literal["decide", "add", "undo"]
    verdict: Verdict | None = None
    class_id: int | None = None
    comment: str | None = None
    outline: Outline | None = None
    area_m2: float | None = None
    area_px: float | None = None
    seconds: float | None = None
    undoes: int | None = None
    is_undone: bool = False
    unit_id: int | None = None


@dataclass(frozen=True)
class Opinion:
    """What entries that stand say together: the last word on each thing.

    Attributes:
        verdict: None while not judged.
        class_id: None while the map's class stands.
        comment: "" for none.
        outline: None while the map's outline stands.
        area_m2: ground area of that outline.
        area_px: the same in pixels of the map's grid.
        reviewer: who spoke last; "" for nobody.
        at: when; "" for never.
        is_corrected: whether a class or outline came with the last verdict or after it. What is
            wrong and corrected stays; what is wrong and not corrected goes.
    """

    verdict: Verdict | None = None
    class_id: int | None = None
    comment: str = ""
    outline: Outline | None = None
    area_m2: float | None = None
    area_px: float | None = None
    reviewer: str = ""
    at: str = ""
    is_corrected: bool = False


@dataclass(frozen=True)
class ReviewObject:
    """One object at the desk.

    Attributes:
        id: number in the project.
        source_id: its map.
        origin: "map", or "drawn" where a reviewer added what the map missed.
        class_id: the class that the map gave it.
        area_m2: of the map's outline.
        area_px: the same in pixels of the grid.
        confidence: mean probability of its class, 0..1.
        decision_time: mean timestep from which its pixels keep their class, 0..999.
        outline: as the map has it.
        version: id of the newest entry about it, 0 for none; hand it back as `seen`.
        mine: what the reviewer who asks has said.
        opinions: what each reviewer has said, by name.
        current: the last word of all reviewers together; exports take this.
    """

    id: int
    source_id: int
    origin: Literal["map", "drawn"]
    class_id: int
    area_m2: float | None
    area_px: float | None
    confidence: float | None
    decision_time: float | None
    outline: Outline
    version: int
    mine: Opinion
    opinions: Mapping[str, Opinion] = field(default_factory=dict)
    current: Opinion = field(default_factory=Opinion)

    @property
    def final_outline(self) -> Outline:
        """The outline after the review."""
        return self.outline if self.current.outline is None else self.current.outline

    @property
    def final_class_id(self) -> int:
        """The class after the review."""
        return self.class_id if self.current.class_id is None else self.current.class_id

    @property
    def final_area_m2(self) -> float | None:
        """The ground area after the review."""
        return self.area_m2 if self.current.outline is None else self.current.area_m2

    @property
    def is_disputed(self) -> bool:
        """Whether reviewers judged it differently."""
        return len({each.verdict for each in self.opinions.values() if each.verdict}) > 1


@dataclass(frozen=True)
class ReviewerProgress:
    """How far one person is.

    Attributes:
        name: who.
        judged: objects that this person has judged.
        right: how many of them are right.
        wrong: how many are wrong.
        unsure: how many are left open.
        redrawn: objects whose outline this person corrected.
        added: missed objects that this person drew.
        per_minute: judgements a minute over the last twenty, long breaks left out; None below two.
        last_at: when this person last wrote something; "" for never.
    """

    name: str
    judged: int
    right: int
    wrong: int
    unsure: int
    redrawn: int
    added: int
    per_minute: float | None
    last_at: str


@dataclass(frozen=True)
class Progress:
    """How far a project is.

    Attributes:
        objects: all of them, drawn ones included.
        judged: those that anybody has judged.
        disputed: those that people judged differently.
        reviewers: one for each person.
    """

    objects: int
    judged: int
    disputed: int
    reviewers: tuple[ReviewerProgress, ...]


@dataclass(frozen=True)
class Stratum:
    """A part of a map that is sampled on its own.

    Attributes:
        number: its own in the sample.
        class_id: the map's class in it.
        name: for people.
        population: units in it: pixels, blocks or objects.
        area_m2: ground area of its pixels; None for objects, and where it is unknown.
        drawn: units drawn from it.
    """

    number: int
    class_id: int
    name: str
    population: int
    area_m2: float | None
    drawn: int


@dataclass(frozen=True)
class Sample:
    """A stratified random sample of a map.

    Attributes:
        id: number in the project.
        source_id: the map.
        kind: "points" (pixels), "blocks" of pixels, or "objects".
        block_px: side of a block; 1 for points and objects.
        seed: of the draw.
        drawn_at: when.
        strata: what it was drawn from.
        units: how many units it has.
        answered: how many of them anybody has answered, "can't tell" included.
    """

    id: int
    source_id: int
    kind: Literal["points", "blocks", "objects"]
    block_px: int
    seed: int
    drawn_at: str
    strata: tuple[Stratum, ...]
    units: int
    answered: int


@dataclass(frozen=True)
class Unit:
    """One unit of a sample.

    Attributes:
        id: number in the project.
        sample_id: its sample.
        source_id: its map.
        rank: place in the random order in which it is shown, from 0.
        stratum: number of its stratum.
        class_id: the map's class; better not shown before the person has answered.
        object_id: of a sample of objects.
        outline: the pixel, block or object, in the map's coordinates.
        version: id of the newest entry about it, 0 for none; hand it back as `seen`.
        mine: what the reviewer who asks has said. `class_id` is what is really there; verdict
            "unsure" means that it can't be told.
        opinions: what each reviewer has said, by name.
        current: the last word of all.
    """

    id: int
    sample_id: int
    source_id: int
    rank: int
    stratum: int
    class_id: int
    object_id: int | None
    outline: Outline
    version: int
    mine: Opinion
    opinions: Mapping[str, Opinion]
    current: Opinion

    @property
    def is_answered(self) -> bool:
        """Whether anybody has answered, if only that it can't be told."""
        return self.current.verdict is not None
