"""What a person does at the desk: judge, step, take back, redraw; one act after the other.

Every act names the turn in which it was meant. A click or key that comes late, from before a
reload or twice, belongs to a turn that is over and does nothing: nobody judges what they have not
seen. An act is saved by the core first and only then called saved.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import Any, cast

from n2m_core.errors import N2MError, ParameterError
from n2m_core.review import (
    Entry,
    Order,
    Project,
    Reviewer,
    ReviewObject,
    Scope,
    Source,
    Unit,
    Verdict,
    add_object,
    answer,
    decide,
    get_object,
    get_source,
    get_unit,
    next_object,
    next_unit,
    previous_object,
    previous_unit,
    undo,
)
from pages._ui import review_scene

Json = dict[str, Any]
VERDICTS: dict[str, Verdict] = {"r": "right", "w": "wrong", "u": "unsure"}
STEPS = {"n": "next", "b": "back", "z": "undo"}
MOST_DIGITS = 9


@dataclass(frozen=True)
class Course:
    """What the desk goes through.

    Attributes:
        order: of the objects.
        scope: which of them.
        source_id: of one map alone; None for all.
        sample_id: the units of a sample in place of objects.
    """

    order: Order = "doubt"
    scope: Scope = "open"
    source_id: int | None = None
    sample_id: int | None = None


@dataclass
class Desk:
    """One person's desk in one session of the app.

    Attributes:
        project: what is reviewed.
        reviewer: who sits here.
        course: what comes after what.
        session: unguessable; acts of another session count for nothing.
        turn: counts the acts.
        at: the object, or the unit of a sample, on the desk.
        shown: the same as it was read for this turn.
        unit: the sample's unit, where `shown` is the object that it stands for.
        seen: newest entry about it that the person knows.
        saved: what was saved last, as the core told.
        hint: what to know about the last act, which was not refused and changed nothing.
        problem: why the last act was refused.
        is_end: whether nothing comes after what is shown.
    """

    project: Project
    reviewer: Reviewer
    course: Course = field(default_factory=Course)
    session: str = field(default_factory=lambda: secrets.token_hex(8))
    turn: int = 0
    at: int | None = None
    shown: ReviewObject | Unit | None = None
    unit: Unit | None = None
    seen: int = 0
    since: float = 0.0
    saved: str = ""
    hint: str = ""
    problem: N2MError | None = None
    is_end: bool = False

    @property
    def is_blind(self) -> bool:
        """Whether what others said is hidden, so that two people judge on their own."""
        return self.course.scope == "mine"

    def follow(self, course: Course) -> None:
        """Go another course, from its beginning."""
        if course != self.course:
            self.course, self.at, self.shown, self.unit = course, None, None, None
            self.turn += 1
            self.is_end = False

    def look(self) -> ReviewObject | Unit | None:
        """Read what lies on the desk as it stands now; None where there is nothing at all."""
        before = self.at
        if self.at is not None:
            try:
                self._read(self.at)
            except ParameterError:
                # A drawn object that somebody took back.
                self.at = None
        if self.at is None:
            self._go(self._first())
        if self.at != before or not self.since:
            self.since = time.monotonic()
        self.seen = 0 if self.shown is None else self.shown.version
        return self.shown

    def act(self, told: Json) -> None:
        """Do what the person asked for; what stands in its way is kept in `problem`.

        Args:
            told: `session` and `turn` in which it was meant, `do`, and what that needs: "verdict",
                "class", "rings" of an outline or "text"; `seconds` that the person looked.
        """
        if told.get("session") != self.session or told.get("turn") != self.turn:
            return
        self.turn += told.get("do") != "comment"
        self.problem, self.hint, self.is_end = None, "", False
        try:
            self._do(told)
        except N2MError as error:
            self.problem = error

    def _do(self, told: Json) -> None:
        do, seconds = told.get("do"), told.get("seconds")
        if seconds is None:
            seconds = time.monotonic() - self.since
        seconds = max(0.0, float(seconds))
        if do == "next":
            self._forward()
        elif do == "back":
            self._back()
        elif do == "undo":
            self._undo()
        elif do == "add":
            self._add(told)
        elif isinstance(self.shown, Unit):
            self._answer(self.shown, told, seconds)
        elif self.shown is not None:
            self._decide(self.shown, told, seconds)

    def _decide(self, shown: ReviewObject, told: Json, seconds: float) -> None:
        """Say something about the object on the desk."""
        do, name = told["do"], f"object {shown.id}"
        source = self.source_of(shown)
        # On one's own, what one says is not about what others said.
        seen = None if self.is_blind else self.seen
        if do == "verdict":
            verdict = cast("Verdict", told["verdict"])
            entry = self._say(shown, verdict=verdict, seconds=seconds, seen=seen)
            self._note(entry, f"{name} is {verdict}")
            self._forward()
        elif do == "class":
            entry = self._say(shown, class_id=int(told["class"]), seen=seen)
            self._note(entry, f"{name} is {source.class_name(int(told['class']))}")
        elif do == "comment":
            entry = self._say(shown, comment=str(told["text"]), seen=seen)
            self._note(entry, f"comment on {name}")
        elif do == "outline":
            ground = review_scene.ground_of(source)
            outline = review_scene.shape_of(told["rings"], ground)
            entry = self._say(shown, outline=outline, seen=seen)
            self._note(entry, f"new outline of {name}")

    def _say(self, shown: ReviewObject, **what: Any) -> Entry:  # noqa: ANN401 - handed on
        entry = decide(self.project, shown.id, self.reviewer, **what)
        self.seen = entry.id
        return entry

    def _answer(self, unit: Unit, told: Json, seconds: float) -> None:
        """Say what a sampled point or block really is."""
        if told["do"] not in ("answer", "comment"):
            return
        seen = None if self.is_blind else self.seen
        name = f"unit {unit.rank + 1}"
        if told["do"] == "comment":
            if not unit.mine.verdict:
                self.hint = "Say first what is there, then comment on it."
                return
            class_id = unit.mine.class_id if unit.mine.verdict != "unsure" else None
            text = str(told["text"])
            entry = answer(
                self.project, unit.id, self.reviewer, class_id, comment=text, seen=self.seen
            )
            self.seen = entry.id
            self._note(entry, f"comment on {name}")
            return
        class_id = None if told["class"] is None else int(told["class"])
        entry = answer(self.project, unit.id, self.reviewer, class_id, seconds=seconds, seen=seen)
        what = "can't be told" if class_id is None else self.source_of(unit).class_name(class_id)
        self._note(entry, f"{name}: {what}")
        self._forward()

    def _add(self, told: Json) -> None:
        """Add an object that the map missed, on the map of what is shown."""
        if not isinstance(self.shown, ReviewObject):
            return
        source = self.source_of(self.shown)
        outline = review_scene.shape_of(told["rings"], review_scene.ground_of(source))
        made = add_object(self.project, source.id, self.reviewer, outline, int(told["class"]))
        area = "" if made.area_m2 is None else f", {made.area_m2:,.0f} m²"
        self.saved = f"missed {source.class_name(made.class_id)} as object {made.id}{area}"

    def _undo(self) -> None:
        entry = undo(self.project, self.reviewer)
        if entry is None:
            self.hint = "You have nothing more to take back in this project."
            return
        if entry.object_id is not None:
            name = f"object {entry.object_id}"
            if self.course.sample_id is None and entry.kind != "add":
                self._go(entry.object_id)
        else:
            unit = get_unit(self.project, cast("int", entry.unit_id), self.reviewer)
            name = f"unit {unit.rank + 1}"
            if unit.sample_id == self.course.sample_id:
                self._go(unit.id)
        self._note(entry, f"taken back what you last said of {name}")

    def _note(self, entry: Entry, what: str) -> None:
        """Remember what the core has written."""
        self.saved = f"{what} ({entry.at[11:19]} UTC)"

    def source_of(self, shown: ReviewObject | Unit) -> Source:
        """The map of what is shown."""
        return get_source(self.project, shown.source_id)

    # Stepping

    def _read(self, number: int) -> None:
        if self.course.sample_id is None:
            self.shown, self.unit = get_object(self.project, number, self.reviewer), None
            return
        unit = get_unit(self.project, number, self.reviewer)
        self.unit = unit
        self.shown = (
            unit
            if unit.object_id is None
            else get_object(self.project, unit.object_id, self.reviewer)
        )

    def _go(self, number: int | None) -> None:
        self.at, self.since = number, time.monotonic()
        self.shown = self.unit = None
        if number is not None:
            self._read(number)

    def after(self, number: int | None, scope: Scope) -> int | None:
        """The number of what comes after another one on this course, or first."""
        course, me = self.course, self.reviewer
        found: ReviewObject | Unit | None
        if course.sample_id is not None:
            found = next_unit(self.project, me, course.sample_id, number, scope=scope)
        else:
            found = next_object(
                self.project, me, number,
                order=course.order, scope=scope, source_id=course.source_id,
            )  # fmt: skip
        return None if found is None else found.id

    def _first(self) -> int | None:
        """Where a course begins; where all is done it shows what was done first."""
        found = self.after(None, self.course.scope)
        if found is None:
            found, self.is_end = self.after(None, "all"), True
        return found

    def _forward(self) -> None:
        """Go on; at the end begin again with what was passed over."""
        scope = self.course.scope
        found = self.after(self.at, scope)
        if found is None and scope != "all":
            found = self.after(None, scope)
        if found is None or found == self.at:
            self.is_end = True
        else:
            self._go(found)

    def _back(self) -> None:
        course, me = self.course, self.reviewer
        if self.at is None:
            return
        found: ReviewObject | Unit | None
        if course.sample_id is not None:
            found = previous_unit(self.project, me, course.sample_id, self.at)
        else:
            found = previous_object(
                self.project, me, self.at, order=course.order, source_id=course.source_id
            )
        if found is None:
            self.hint = "This is the first one of this order."
            return
        self._go(found.id)

    # The map

    def keys(self) -> dict[str, Json]:
        """What a key does with what is shown, as an act without its turn."""
        found: dict[str, Json] = {key: {"do": do} for key, do in STEPS.items()}
        if self.shown is None:
            return found
        if isinstance(self.shown, Unit):
            do, classes = "answer", list(self.source_of(self.shown).classes)
            found["0"] = {"do": do, "class": None}
        else:
            do = "class"
            classes = [e for e in self.source_of(self.shown).classes if not e.is_background]
            found |= {k: {"do": "verdict", "verdict": name} for k, name in VERDICTS.items()}
        for number, entry in enumerate(classes[:MOST_DIGITS], 1):
            found[str(number)] = {"do": do, "class": entry.id}
        return found

    def scene(self) -> Json:
        """What the map shows now."""
        assert self.shown is not None
        source = self.source_of(self.shown)
        if isinstance(self.shown, Unit):
            made = review_scene.unit_scene(source, self.shown)
        else:
            made = review_scene.object_scene(
                self.project, source, self.shown, is_blind=self.is_blind
            )
        return {
            **made,
            "session": self.session,
            "turn": self.turn,
            "problem": self.problem is not None,
            "keys": self.keys(),
        }

    def prepare(self, steps: int, turn: int) -> None:
        """Cut the crops of what comes next, in a thread of its own.

        Args:
            steps: how far ahead.
            turn: the turn in which this was asked; nothing is done once it is over.
        """
        number = self.at
        for _ in range(steps):
            number = self.after(number, self.course.scope)
            if number is None or self.turn != turn:
                return
            ahead = Desk(self.project, self.reviewer, self.course, at=number)
            shown = ahead.look()
            if isinstance(shown, Unit):
                review_scene.prepare(self.source_of(shown), shown.outline, has_map=False)
            elif shown is not None:
                shape = review_scene.outline_of(shown, is_blind=self.is_blind)
                review_scene.prepare(self.source_of(shown), shape, has_map=True)
