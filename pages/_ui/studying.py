"""The studies on the Models page: tables and plots from the files that the benchmarks wrote."""

from __future__ import annotations

import streamlit as st

from n2m_core.tasks import studies
from n2m_core.tasks.study_tables import SCORES, Plot, Shown, Table
from pages._ui import choosing, figures, frame

ANY = "All"
TASKS = {ANY: ANY, "segment": "Segment", "change": "Change"}


def show() -> None:
    """Let the person choose a study, and a score and a task of it; show what was measured."""
    left, middle, right = st.columns(3)
    with left:
        study = _pick()
    score = "target_f1"
    if study.has_scores and studies.is_measured(study):
        with middle:
            names = {name: SCORES[name] for name in sorted(SCORES, key=lambda n: n != score)}
            score = choosing.pick_listed("models.w.score", "Score", names)
    frame.quiet(study.question)
    found = studies.shown(study, score)
    if found is None:
        frame.empty(
            f"{study.title}: not measured here yet",
            f"{study.command} measures it and writes benchmarks/{study.id}.json, from which this "
            "page is made; make bench-models does so for all studies of the models.",
        )
        return
    task = ANY
    if len({part.task for part in (*found.plots, *found.tables)} & TASKS.keys()) > 1:
        with right:
            task = choosing.pick_listed("models.w.study_task", "Task", TASKS)
    _show(study, found, task)


def _pick() -> studies.Study:
    """Choose a study; those that were run come first."""
    listed = sorted(studies.STUDIES, key=studies.is_measured, reverse=True)
    known = {each.id: each for each in listed}
    titles = {
        name: study.title if studies.is_measured(study) else f"{study.title} (not measured yet)"
        for name, study in known.items()
    }
    return known[choosing.pick_listed("models.w.study", "Study", titles)]


def _show(study: studies.Study, found: Shown, task: str) -> None:
    """Show notes, plots and tables of a task, or of both."""
    frame.quiet(*found.notes)
    picture = studies.picture_of(study)
    if picture:
        st.image(str(picture), caption=study.picture)
    plots = [each for each in found.plots if _fits(each, task)]
    tables = [each for each in found.tables if _fits(each, task)]
    if not tables:
        frame.empty("Nothing of this task", "Set the task back to All.")
        return
    for number, plot in enumerate(plots):
        st.subheader(plot.title, anchor=False)
        name = f"{study.id}-{number + 1}"
        figures.show(figures.of_plot(plot), f"models.plot.{name}", name)
    for number, table in enumerate(tables):
        st.subheader(table.title, anchor=False)
        frame.table(table.header, table.rows, [""] * len(table.rows))
        name = f"{study.id}-table-{number + 1}"
        figures.csv_button(table.header, table.rows, f"models.csv.{name}", name)
    frame.quiet(f"Written by: {study.command}")


def _fits(part: Table | Plot, task: str) -> bool:
    """Whether a table or plot belongs to the chosen task."""
    return task == ANY or part.task in (None, task)
