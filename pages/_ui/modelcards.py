"""The cards of the Models page."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import streamlit as st

from pages._ui import errors, frame, results, state

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard
    from n2m_core.fusion.cards import FusionCard

    AnyCard = CheckpointCard | FusionCard

RESIDUAL = "residual"
"""What the noise process of weights that fuse is called among the others."""
ANY = "All"
_USES = (ANY, "Commercial use allowed", "Non-commercial only")


def is_noncommercial(card: AnyCard) -> bool:
    """Whether the licence forbids commercial use."""
    return "NC" in card.license.upper().replace("-", " ").split()


def noise_of(card: AnyCard) -> str:
    """The noise process of a card."""
    return RESIDUAL if card.task == "fuse" else card.noise_process


def filters(cards: list[AnyCard]) -> list[AnyCard]:
    """Let the person narrow the cards down."""
    tasks = (ANY, *sorted({card.task for card in cards}))
    noises = (ANY, *sorted({noise_of(card) for card in cards}))
    columns = st.columns(3)
    picked = []
    for column, (name, options) in zip(
        columns, (("Task", tasks), ("Noise process", noises), ("Use", _USES)), strict=True
    ):
        key = f"models.w.{name}"
        with column:
            choice = st.selectbox(name, options, key=state.prepare(key, ANY, options))
        picked.append(state.keep(key, choice))
    task, noise, use = picked
    return [
        card
        for card in cards
        if task in (ANY, card.task)
        and noise in (ANY, noise_of(card))
        and (use == ANY or is_noncommercial(card) == (use == _USES[2]))
    ]


def show(card: CheckpointCard) -> None:
    """Show one card."""
    with st.container(border=True, key=f"card-{card.id}-{card.task}"):
        st.subheader(card.title, anchor=False)
        st.html(
            f'<div class="n2m-quiet"><code>{escape(card.id)}</code> &middot; {_chips(card)}</div>'
        )
        if is_noncommercial(card):
            st.warning(
                f"{errors.plain(card.license)}: non-commercial use only, with credit, and what is "
                "built from it under the same licence.",
                icon=":material/copyright:",
            )
        left, right = st.columns([3, 2], gap="large")
        with left:
            _metrics(card)
            frame.quiet(f"Licence {card.license}. Limits: {card.limits}")
        with right:
            _data(card)
        with st.expander("Network and training"):
            _facts(card)


def _chips(card: CheckpointCard) -> str:
    """The classes with their colours, as HTML."""
    return " &ensp; ".join(
        f'<i class="n2m-swatch" style="background:{entry.color}"></i>{escape(entry.name)}'
        for entry in card.classes
    )


def _metrics(card: CheckpointCard) -> None:
    """Measured scores, each with the command that prints it again."""
    if not card.metrics:
        frame.quiet("No measured score is on this card yet.")
        return
    header, scores = _REFINED if card.task == "refine" else _MAPPED
    rows = [
        (results.scored_on(entry), str(entry["report"]["tiles"]), *scores(entry["report"]))
        for entry in card.metrics
    ]
    frame.table(("Scored on", "Tiles", *header), rows, [""] * len(rows))
    with st.expander("The commands that print these numbers"):
        for entry in card.metrics:
            lines = [each for each in (entry.get("preparation"), entry["command"]) if each]
            st.code("\n".join(lines), language="bash", wrap_lines=True)


def _mapped(report: dict[str, Any]) -> tuple[str, ...]:
    """Scores of maps."""
    target, mean, boundary = report["target"], report["mean"], report["boundary"]
    values = (target["f1"], target["iou"], mean["f1"], boundary["boundary_iou"])
    return tuple(map(results.number, values))


def _refined(report: dict[str, Any]) -> tuple[str, ...]:
    """Scores of rough maps and, behind the arrow, of the refined ones."""
    return tuple(
        " → ".join(results.number(report[which][block][key]) for which in ("rough", "refined"))
        for block, key in (("mean", "iou"), ("boundary", "wfm"), ("boundary", "f1_3px"))
    )


_MAPPED = (("Target F1", "Target IoU", "Mean F1", "Boundary IoU"), _mapped)
_REFINED = (("Mean IoU", "Weighted F", "Boundary F1, 3 px"), _refined)
"""Columns of the table of scores; a refiner's say what became of the rough maps."""


def _facts(card: CheckpointCard) -> None:
    """The network and how it makes a map."""
    step = f"{card.inference_timestep}, {'x_t mixed' if card.mix_at_inference else 'clean image'}"
    made = ("Map made at t", step)
    if card.task == "refine":
        mean = f", mean of {card.sampling_draws} draws" if (card.sampling_draws or 1) > 1 else ""
        steps = f"{card.sampling_steps} DDIM steps, guidance {card.guidance:g}{mean}"
        made = ("Map made by", steps)
    rows = [
        ("Task", card.task),
        ("Noise process", f"{card.noise_process}, {card.schedule}"),
        made,
        ("Trained for", f"{card.resolution_m:g} m per pixel, {', '.join(card.bands)}"),
        ("Network", card.backbone),
        ("Parameters", f"{card.parameters:,}"),
        ("Cost", f"{card.gflop_per_tile:.1f} GFLOP per 256 px tile"),
        ("Training", f"{card.training.steps:,} steps, seed {card.training.seed}, "
         f"{card.training.device}, {card.training.date}"),
        *_start(card),
        ("Licence", card.license),
        ("SHA-256", f"{card.sha256[:16]}…"),
    ]  # fmt: skip
    frame.table(("Network", ""), rows, [""] * len(rows))


def _start(card: CheckpointCard) -> list[tuple[str, str]]:
    """Whose weights the training started from, and what those went through."""
    before = card.training.before
    if not before:
        return (
            [] if card.training.init_from is None else [("Started from", card.training.init_from)]
        )
    way = " → ".join(f"{stage.id} ({stage.steps:,})" for stage in before)
    return [("Started from", f"{way}; {card.training.steps_in_all:,} steps in all")]


def _data(card: CheckpointCard) -> None:
    """What the weights were trained on at every stage, and whom to credit."""
    found = card.training.credits
    rows = [(each.name, each.licence, f"{each.tiles:,}") for each in found]
    frame.table(("Training data, all stages", "Licence", "Tiles"), rows, [""] * len(rows))
    frame.quiet(*(f"{each.name}: {each.attribution}" for each in found))
