"""The cards of weights that fuse, on the Models page."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import streamlit as st

from pages._ui import errors, frame, results

if TYPE_CHECKING:
    from n2m_core.fusion.cards import FusionCard

FIGURES = {
    "rmse": ("RMSE", 4),
    "cc": ("CC", 3),
    "ssim": ("SSIM", 3),
    "ergas": ("ERGAS", 2),
    "sam_deg": ("SAM, degrees", 2),
}


def show(card: FusionCard) -> None:
    """Show one card."""
    with st.container(border=True, key=f"card-{card.id}-{card.task}"):
        st.subheader(errors.plain(card.title), anchor=False)
        small, large = card.scales
        st.html(
            f'<div class="n2m-quiet"><code>{escape(card.id)}</code> &middot; fusion at '
            f"{card.resolution_m:g} m, coarse pixels {small} to {large} times as large</div>"
        )
        left, right = st.columns([3, 2], gap="large")
        with left:
            _metrics(card)
            frame.quiet(f"Licence {card.license}. Limits: {card.limits}")
        with right:
            rows = [(each.name, each.licence, f"{each.tiles:,}") for each in card.training.data]
            frame.table(("Training data", "Licence", "Images"), rows, [""] * len(rows))
            frame.quiet(*(f"{each.name}: {each.attribution}" for each in card.training.data))
        with st.expander("Network and training"):
            _facts(card)


def _metrics(card: FusionCard) -> None:
    """Measured scores, each with the command that prints it again."""
    if not card.metrics:
        frame.quiet("No measured score is on this card yet.")
        return
    rows = [
        (
            results.scored_on(entry),
            *(
                "-" if entry["report"][key] is None else f"{entry['report'][key]:.{digits}f}"
                for key, (_, digits) in FIGURES.items()
            ),
        )
        for entry in card.metrics
    ]
    frame.table(("Scored on", *(name for name, _ in FIGURES.values())), rows, [""] * len(rows))
    with st.expander("The commands that print these numbers"):
        for entry in card.metrics:
            lines = [each for each in (entry.get("preparation"), entry["command"]) if each]
            st.code("\n".join(lines), language="bash", wrap_lines=True)


def _facts(card: FusionCard) -> None:
    """The network and how it makes an image."""
    steps = "one pass, without diffusion" if card.is_one_pass else f"{card.steps} steps"
    rows = [
        ("Task", card.task),
        ("Diffusion", f"{card.schedule}, {card.steps_trained} steps in training"),
        ("Image made in", steps),
        ("Without diffusion", "possible" if card.has_one_pass else "not trained"),
        ("Bands", ", ".join(card.bands)),
        ("Network", card.backbone),
        ("Parameters", f"{card.parameters:,}"),
        ("Cost", f"{card.gflop_once:.1f} GFLOP once per 256 px tile, "
         f"{card.gflop_per_tile:.1f} for every step"),
        ("Training", f"{card.training.steps:,} steps, seed {card.training.seed}, "
         f"{card.training.device}, {card.training.date}"),
        ("Licence", card.license),
        ("SHA-256", f"{card.sha256[:16]}…"),
    ]  # fmt: skip
    frame.table(("Network", ""), rows, [""] * len(rows))
