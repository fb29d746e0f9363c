"""The desk on the page: the map, the facts and buttons beside it, who is how far."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from html import escape
from typing import Any, Literal, get_args

import streamlit as st

from n2m_core.review import (
    Opinion,
    Order,
    Project,
    Reviewer,
    ReviewObject,
    Scope,
    Source,
    Unit,
    get_sample,
    progress,
    samples,
    sources,
)
from pages._ui import errors, frame, review_bridge, review_scene, state
from pages._ui.callbacks import whole
from pages._ui.review_desk import Course, Desk

Json = dict[str, Any]
Kind = Literal["primary", "secondary", "tertiary"]
DESK = "rev.desk"
POLL_S = 3.0
PREPARED = 2
"""Objects that are cut ahead of the one on the desk."""
ORDERS: dict[Order, str] = {
    "doubt": "Doubtful first",
    "size": "Large first",
    "place": "By place",
    "random": "Random, stratified",
}
SCOPES: dict[Scope, str] = {
    "open": "Judged by nobody",
    "mine": "Not judged by me, others hidden",
    "all": "All",
}
_OBJECTS = "Objects"


def desk_of(project: Project, reviewer: Reviewer) -> Desk:
    """The desk of this session."""
    held: Desk | None = st.session_state.get(DESK)
    if held is None or held.project is not project or held.reviewer != reviewer:
        held = Desk(project, reviewer)
        st.session_state[DESK] = held
    return held


def choose_course(project: Project, found: tuple[Source, ...]) -> Course:
    """Let the person choose what to go through, and in which order."""
    drawn = {each.id: each for each in samples(project)}
    names = {each.id: each.name for each in found}
    what, order, scope = st.columns(3)
    options: list[str | int] = [_OBJECTS, *(f"map {each}" for each in names), *drawn]

    def title(each: str | int) -> str:
        if isinstance(each, int):
            return f"Sample {each}: {drawn[each].units} {drawn[each].kind}"
        return "Objects of all maps" if each == _OBJECTS else f"{names[int(each[4:])]}: objects"

    with what:
        key = state.prepare("rev.w.what", options[0], options)
        picked = state.keep(key, st.selectbox("Go through", options, key=key, format_func=title))
    with order:
        key = state.prepare("rev.w.order", "doubt", list(get_args(Order)))
        by = state.keep(
            key,
            st.selectbox(
                "Order",
                get_args(Order),
                key=key,
                format_func=ORDERS.__getitem__,
                disabled=isinstance(picked, int),
                help="A sample keeps its own random order." if isinstance(picked, int) else None,
            ),
        )
    with scope:
        key = state.prepare("rev.w.scope", "open", list(get_args(Scope)))
        which = state.keep(
            key,
            st.selectbox("Which ones", get_args(Scope), key=key, format_func=SCOPES.__getitem__),
        )
    if isinstance(picked, int):
        return Course(scope=which, sample_id=picked)
    return Course(by, which, None if picked == _OBJECTS else int(picked[4:]))


def show(project: Project, reviewer: Reviewer) -> None:
    """Draw the desk."""
    found = sources(project)
    if not found:
        frame.empty(
            "Nothing to review yet",
            "Open Segment, Change or Refine and press Send to review below the map. From the "
            "command line, n2m review import brings whole scenes.",
        )
        return
    desk = desk_of(project, reviewer)
    desk.follow(choose_course(project, found))
    left, right = st.columns([5, 3], gap="medium")
    with left:
        review_bridge.show_map()
    with right:
        _beside_the_map()
    _who_is_how_far()


@st.fragment
def _beside_the_map() -> None:
    """Facts, buttons and the bridge to the map; a judgement draws this part alone."""
    desk: Desk = st.session_state[DESK]
    with errors.guard():
        shown = desk.look()
        if shown is None:
            frame.empty("Nothing here", "Choose another map, order or sample.")
            return
        scene = desk.scene()
        review_bridge.connect(scene, desk.act)
        _told(desk, scene["missing"])
        source = desk.source_of(shown)
        if isinstance(shown, Unit):
            _unit(desk, shown, source)
        else:
            _object(desk, shown, source)
        _steps(desk)
        _comment(desk, shown)
        _helper().submit(desk.prepare, PREPARED, desk.turn)


@st.cache_resource(show_spinner=False)
def _helper() -> ThreadPoolExecutor:
    """One thread of the server that cuts crops ahead; a page never waits for it."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="n2m-review")


def _told(desk: Desk, missing: str) -> None:
    """Say what was saved, what was refused, and what is not as it should be."""
    text = f"Saved: {desk.saved}." if desk.saved else "Every decision is saved at once."
    st.html(f'<p class="n2m-saved" role="status">{escape(text)}</p>')
    if desk.problem is not None:
        errors.show(desk.problem)
    if desk.hint:
        st.info(desk.hint)
    if desk.is_end:
        st.info("Nothing is left in this order.", icon=":material/done_all:")
    if missing:
        st.warning(errors.plain(missing), icon=":material/image_not_supported:")


def _object(desk: Desk, shown: ReviewObject, source: Source) -> None:
    """Facts and verdicts of an object."""
    colors = {entry.id: entry.color for entry in source.classes}
    class_id = review_scene.class_of(shown, is_blind=desk.is_blind)
    said = shown.mine if desk.is_blind else shown.current
    rows = [("Class", source.class_name(class_id)), ("Area", _area(shown, said))]
    if shown.confidence is not None:
        rows.append(("Confidence", f"{shown.confidence:.2f}"))
    if shown.decision_time is not None:
        rows.append(("Decided at", f"t = {shown.decision_time:.0f}"))
    if shown.origin == "drawn":
        rows.append(("Drawn by", next(iter(shown.opinions), "a reviewer")))
    rows.append(("Map", source.name))
    rows += _opinions(desk, shown, source)
    frame.table((f"Object {shown.id}", ""), rows, [colors[class_id], *[""] * (len(rows) - 1)])
    words = (("Right", "r", "check"), ("Wrong", "w", "close"), ("Unsure", "u", "question_mark"))
    with st.container(horizontal=True, gap="small"):
        for label, key, icon in words:
            is_mine = shown.mine.verdict == label.lower()
            _button(desk, label, key, icon, "primary" if is_mine else "secondary")
    _classes(desk, source, class_id)


def _area(shown: ReviewObject, said: Opinion) -> str:
    """The area of the outline that is shown."""
    own = shown if said.outline is None else said
    if own.area_m2 is not None:
        return f"{own.area_m2:,.{0 if own.area_m2 >= 10 else 2}f} m²"
    return "unknown" if own.area_px is None else f"{own.area_px:,.0f} pixels"


def _opinions(desk: Desk, shown: ReviewObject | Unit, source: Source) -> list[tuple[str, str]]:
    """What people said of it, a row each; one's own alone where others are hidden."""
    rows = []
    for name, said in shown.opinions.items():
        if desk.is_blind and name != desk.reviewer.name:
            continue
        words: list[str] = [said.verdict or ""]
        if isinstance(shown, Unit):
            words = ["can't tell" if said.verdict == "unsure" else ""]
        if said.class_id is not None:
            words.append(source.class_name(said.class_id))
        if said.outline is not None:
            words.append("redrawn")
        if said.comment:
            words.append(f"“{said.comment[:80]}”")
        rows.append((name, ", ".join(filter(None, words))))
    return rows


def _classes(desk: Desk, source: Source, class_id: int) -> None:
    """Change the class of the object."""
    known = [entry for entry in source.classes if not entry.is_background]
    if len(known) < 2:
        return
    names = {entry.id: f"{number}  {entry.name}" for number, entry in enumerate(known, 1)}
    key, turn = f"rev.w.class.{desk.turn}", desk.turn

    @whole
    def change() -> None:
        _act(desk, turn, {"do": "class", "class": st.session_state[key]})

    st.selectbox(
        "Class, by its number",
        list(names),
        index=list(names).index(class_id) if class_id in names else None,
        format_func=names.__getitem__,
        key=key,
        on_change=change,
    )


def _unit(desk: Desk, shown: Unit, source: Source) -> None:
    """The classes that a point may have."""
    drawn = get_sample(desk.project, shown.sample_id)
    name = "Point" if drawn.kind == "points" else "Block"
    where = "under the cross" if drawn.kind == "points" else "in most of the block"
    rows = [("Map", source.name), *_opinions(desk, shown, source)]
    frame.table((f"{name} {shown.rank + 1} of {drawn.units}", ""), rows, [""] * len(rows))
    st.markdown(f"**What is really {where}?** What the map says is not shown.")
    with st.container(horizontal=True, gap="small"):
        for key, told in desk.keys().items():
            if told["do"] != "answer":
                continue
            label = "Can't tell" if told["class"] is None else source.class_name(told["class"])
            mine = shown.mine
            given = mine.verdict is not None
            is_mine = given and told["class"] == (
                None if mine.verdict == "unsure" else mine.class_id
            )
            _button(desk, label, key, "", "primary" if is_mine else "secondary")


def _steps(desk: Desk) -> None:
    """Next, back, undo."""
    with st.container(horizontal=True, gap="small"):
        for label, key, icon in (
            ("Next", "n", "arrow_forward"),
            ("Back", "b", "arrow_back"),
            ("Undo", "z", "undo"),
        ):
            _button(desk, label, key, icon, "tertiary")


def _button(desk: Desk, label: str, key: str, icon: str, kind: Kind) -> None:
    """A button that does what its key does; one of a former turn does nothing."""
    told = desk.keys()[key]
    st.button(
        f"{errors.plain(label)} :gray[{key.upper()}]",
        key=f"rev.do.{key}.{desk.turn}",
        icon=f":material/{icon}:" if icon else None,
        type=kind,
        on_click=_act,
        args=(desk, desk.turn, told),
    )


@whole
def _act(desk: Desk, turn: int, told: Json) -> None:
    desk.act({"session": desk.session, "turn": turn, **told})


def _comment(desk: Desk, shown: ReviewObject | Unit) -> None:
    """A field for a comment, saved when it is left."""
    key, turn = f"rev.w.comment.{desk.at}.{desk.turn}", desk.turn

    @whole
    def save() -> None:
        _act(desk, turn, {"do": "comment", "text": st.session_state[key]})

    st.text_input(
        "Comment", value=shown.mine.comment, key=key, max_chars=4000, on_change=save,
        placeholder="Saved when you leave the field",
    )  # fmt: skip
    frame.quiet(
        "Keys work wherever no field has the focus. On the map: E edits the outline, D draws it "
        "anew, M adds what was missed, Enter saves, Esc cancels."
    )


@st.fragment(run_every=POLL_S)
def _who_is_how_far() -> None:
    """Progress and pace of everybody, read anew every few seconds."""
    desk: Desk = st.session_state[DESK]
    with errors.guard():
        found = progress(desk.project)
        done, total, noun = found.judged, found.objects, "objects"
        if desk.course.sample_id is not None:
            drawn = get_sample(desk.project, desk.course.sample_id)
            done, total, noun = drawn.answered, drawn.units, drawn.kind
        st.progress(done / max(1, total), text=f"{done:,} of {total:,} {noun} done")
        disputed = f" {found.disputed} judged differently." if found.disputed else ""
        rows = [
            (
                each.name,
                f"{each.judged:,}",
                f"{each.right:,}",
                f"{each.wrong:,}",
                f"{each.unsure:,}",
                f"{each.redrawn:,}",
                f"{each.added:,}",
                "-" if each.per_minute is None else f"{each.per_minute:.1f}",
            )
            for each in found.reviewers
        ]
        header = ("Reviewer", "Judged", "Right", "Wrong", "Unsure", "Redrawn", "Added", "A minute")
        frame.table(header, rows, [""] * len(rows))
        if disputed:
            frame.quiet(disputed.strip())
