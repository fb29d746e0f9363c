"""What the decisions say in numbers: accuracy, areas, agreement, and the size of a sample."""

from __future__ import annotations

from collections import Counter
from typing import Any

import streamlit as st

from n2m_core.review import (
    Project,
    Reviewer,
    Sample,
    SampleParams,
    Source,
    agreement,
    all_objects,
    assess,
    draw_objects,
    draw_pixels,
    samples,
    sources,
    status,
)
from n2m_core.review.accuracy import allocate, required_size
from n2m_core.review.report import accuracy_tables, percent
from n2m_core.review.sampling import class_pixels
from pages._ui import errors, frame, state

Json = dict[str, Any]
KINDS = {"points": "Points", "blocks": "Blocks", "objects": "Objects of the map"}
EVERYBODY = "Everybody, the last word counts"


def show(project: Project, reviewer: Reviewer) -> None:
    """Draw the tab."""
    known = {each.id: each for each in sources(project)}
    if not known:
        frame.empty("Nothing to count yet", "Send a map to review first.")
        return
    _maps(status(project), known)
    _by_class(project, known)
    drawn = samples(project)
    st.subheader("Accuracy and area", anchor=False)
    if drawn:
        _accuracy(project, reviewer, drawn)
    else:
        frame.quiet(
            "Accuracy with intervals, and areas corrected for the map's errors, come from a random "
            "sample. Draw one below and judge its points at the desk."
        )
    with st.expander("Draw a sample", expanded=not drawn):
        _draw(project, known)
    with st.expander("How many units does a wished precision need?"), errors.guard():
        _size(known)
    st.subheader("Agreement", anchor=False)
    _agreement(agreement(project))


def _maps(found: Json, known: dict[int, Source]) -> None:
    """How far each map is."""
    st.subheader("Maps", anchor=False)
    keys = ("objects", "judged", "right", "wrong", "unsure", "redrawn", "added")
    rows = [(known[row["id"]].name, *(f"{row[key]:,}" for key in keys)) for row in found["maps"]]
    frame.table(("Map", *(key.title() for key in keys)), rows, [""] * len(rows))


def _by_class(project: Project, known: dict[int, Source]) -> None:
    """How far every class is, as the map has it, over all maps."""
    counts: dict[str, Counter[str]] = {}
    colors = {entry.name: entry.color for each in known.values() for entry in each.classes}
    for each in all_objects(project):
        name = known[each.source_id].class_name(each.class_id)
        counts.setdefault(name, Counter())[each.current.verdict or "open"] += 1
    rows = [
        (
            name,
            f"{found.total():,}",
            f"{found.total() - found['open']:,}",
            *(f"{found[verdict]:,}" for verdict in ("right", "wrong", "unsure")),
        )
        for name, found in counts.items()
    ]
    header = ("Class", "Objects", "Judged", "Right", "Wrong", "Unsure")
    frame.table(header, rows, [colors[name] for name in counts])


def _accuracy(project: Project, reviewer: Reviewer, drawn: tuple[Sample, ...]) -> None:
    """The numbers of one sample, as the report and the command line have them."""
    by_id = {each.id: each for each in drawn}
    left, right = st.columns(2)
    with left:
        key = state.prepare("rev.w.sample", drawn[-1].id, list(by_id))
        picked = state.keep(
            key,
            st.selectbox(
                "Sample",
                list(by_id),
                key=key,
                format_func=lambda each: (
                    f"{each}: {by_id[each].answered} of {by_id[each].units} {by_id[each].kind}"
                ),
            ),
        )
    with right:
        key = state.prepare("rev.w.whose", EVERYBODY, [EVERYBODY, reviewer.name])
        whose = st.selectbox("Answers of", [EVERYBODY, reviewer.name], key=key)
        state.keep(key, whose)
    found = assess(project, picked, reviewer=reviewer if whose == reviewer.name else None)
    if not found["counted"]:
        frame.quiet("No unit is answered yet. Choose the sample under Go through at the desk.")
        return
    if found["overall"] is not None:
        st.metric("Overall accuracy, with 95 % interval", percent(found["overall"]))
    for table in accuracy_tables(found):
        frame.table(
            [cell.capitalize() for cell in table.header], table.rows, [""] * len(table.rows)
        )
    frame.quiet(*found["notes"])


def _draw(project: Project, known: dict[int, Source]) -> None:
    """The form for a stratified random sample."""
    with st.form("rev.draw", border=False):
        which, what, size, side, seed = st.columns([3, 2, 2, 2, 2])
        picked = which.selectbox(
            "Map", list(known), format_func=lambda each: known[each].name, key="rev.draw.map"
        )
        kind = what.selectbox("Units", list(KINDS), format_func=KINDS.__getitem__, key="rev.kind")
        units = size.number_input("How many", 1, 100_000, 300, key="rev.draw.size")
        block = side.number_input("Side of a block, px", 2, 1024, 8, key="rev.draw.block")
        number = seed.number_input("Seed", 0, 2**31 - 1, 0, key="rev.draw.seed")
        is_sent = st.form_submit_button("Draw the sample", icon=":material/casino:")
    frame.quiet(
        "Points and blocks are drawn in every class of the map, background too, so what was missed "
        "can be found. A sample of objects can only say how often the map is right where it claims "
        "something."
    )
    if not is_sent:
        return
    with errors.guard():
        params = SampleParams(
            size=int(units), block_px=int(block) if kind == "blocks" else 1, seed=int(number)
        )
        draw = draw_objects if kind == "objects" else draw_pixels
        made = draw(project, picked, params)
        state.put("rev.w.what", made.id)
        st.success(f"Sample {made.id} has {made.units} {made.kind}; the desk shows them now.")


def _size(known: dict[int, Source]) -> None:
    """Units for a wished standard error, from guesses of user's accuracy."""
    with_raster = {number: each for number, each in known.items() if each.map is not None}
    if not with_raster:
        frame.quiet("This needs a map with its raster; the maps here are polygons alone.")
        return
    left, right = st.columns(2)
    picked = left.selectbox(
        "Of the map",
        list(with_raster),
        format_func=lambda each: with_raster[each].name,
        key="rev.size.map",
    )
    wish = right.number_input(
        "Wished standard error of overall accuracy", 0.001, 0.2, 0.02, 0.005,
        format="%.3f", key="rev.size.wish",
        help="The 95 % interval is about twice as wide on each side.",
    )  # fmt: skip
    counts = class_pixels(with_raster[picked])
    guesses = []
    for column, (name, _) in zip(st.columns(len(counts)), counts, strict=True):
        guess = column.number_input(
            f"User's accuracy of {name}, guessed", 0.0, 1.0, 0.85, 0.05,
            key=f"rev.size.{picked}.{name}",
        )  # fmt: skip
        guesses.append(float(guess))
    pixels = [count for _, count in counts]
    need = required_size([float(each) for each in pixels], guesses, float(wish))
    shared = allocate(need, pixels)
    st.markdown(f"**{need:,} units**")
    rows = [
        (name, f"{count / sum(pixels):.1%}", f"{units:,}")
        for (name, count), units in zip(counts, shared, strict=True)
    ]
    frame.table(("Class", "Of the map", "Units"), rows, [""] * len(rows))


def _agreement(found: Json) -> None:
    """How far reviewers agree on what more than one of them judged."""
    rows: list[tuple[str, str, str, str]] = []
    for name in ("objects", "units"):
        for pair in found[name]["pairs"]:
            who = f"{pair['first']} and {pair['second']}"
            rows.append((who, f"{pair['items']} {name}", "Cohen's kappa", _two(pair["kappa"])))
        many = found[name]["fleiss"]
        if many is not None and len(many["reviewers"]) > 2:
            who = ", ".join(many["reviewers"])
            rows.append((who, f"{many['items']} {name}", "Fleiss' kappa", _two(many["kappa"])))
    for pair in found["outlines"]:
        who = f"{pair['first']} and {pair['second']}"
        rows.append((who, f"{pair['items']} outlines", "Mean IoU", _two(pair["mean_iou"])))
    if not rows:
        frame.quiet("Two people must have judged the same objects first.")
        return
    frame.table(("Reviewers", "Of", "Measure", "Value"), rows, [""] * len(rows))


def _two(value: float | None) -> str:
    """Two digits; a dash where everybody always said one and the same."""
    return "-" if value is None else f"{value:.2f}"
