"""How a map's score suffers from spoilt images, beside the plain twin: a view of Interpret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from n2m_core.geo_image import Progress
from pages._ui import analysis, choosing, figures, frame, jobs, resources
from pages._ui.analysis import Scene, Sweep
from pages._ui.figures import DASHES, PALETTE, Curve
from pages._ui.inputs import Source

if TYPE_CHECKING:
    from n2m_core.checkpoints import CheckpointCard
    from n2m_core.tasks.perturbations import Kind
    from n2m_core.tasks.robustness import Score

KINDS: dict[Kind, str] = {
    "noise": "Noise",
    "blur": "Blur",
    "haze": "Haze",
    "jpeg": "JPEG",
    "shift": "Shift",
}
AXES: dict[Kind, str] = {
    "noise": "noise, standard deviation in % of range",
    "blur": "blur, standard deviation in pixels",
    "haze": "veil towards white",
    "jpeg": "JPEG quality",
    "shift": "shift to the right, pixels",
}


def stressed(source: Source, card: CheckpointCard, sweep: Sweep) -> None:
    """F1 against the strength of one perturbation."""
    known = analysis.scored(source, card)
    if not known:
        return
    frame.quiet(
        "The image is spoilt before the network sees it, the truth stays as it is, and each "
        "checkpoint maps in its own way. " + _what_is_spoilt(source)
    )
    names = {str(kind): name for kind, name in KINDS.items()}
    picked = choosing.pick("itp.w.perturbation", "Spoilt by", names)
    kind = next(each for each in KINDS if each == picked)
    cards = [card, *(each for each in [analysis.twin_of(card)] if each is not None)]
    scores = _scores(known, cards, sweep, kind)
    if scores is None:
        return
    lines = {each.id: [row for row in scores if row.checkpoint == each.id] for each in cards}
    _show(lines, cards, kind)
    header = ("checkpoint", "kind", "strength", "f1", "low", "high", "iou")
    rows = [(s.checkpoint, kind, s.label, s.f1, s.low, s.high, s.iou) for s in scores]
    figures.csv_button(header, rows, "itp.download.robustness", f"{card.id}_{kind}")


def _what_is_spoilt(source: Source) -> str:
    """Which image of the source is touched."""
    if source.before is None:
        return "A shift moves the image away from its truth."
    return "Both dates are spoilt; only a shift moves the later one alone, as a bad alignment does."


def _scores(
    known: list[Scene], cards: list[CheckpointCard], sweep: Sweep, kind: Kind
) -> tuple[Score, ...] | None:
    """The scores of all strengths, or their progress and None."""

    def work(progress: Progress) -> tuple[Score, ...]:
        """Spoil, map and score; in the worker."""
        from n2m_core.tasks import robustness

        progress(0, 1, "loading the weights")
        models = [resources.model(each) for each in cards]
        samples = [analysis.sample_of(scene, cards[0], sweep.middle_px) for scene in known]
        return robustness.run(samples, models, robustness.RobustnessParams(kind), progress)

    weights = "+".join(each.sha256 for each in cards)
    key = f"robustness/{kind}/{analysis.scenes_key(known)}/{weights}/{sweep.middle_px}"
    return jobs.result_of("itp.robustness", key, f"Scoring under {KINDS[kind].lower()}", work)


def _show(lines: dict[str, list[Score]], cards: list[CheckpointCard], kind: Kind) -> None:
    """The curves, and what is left of each clean score at the strongest."""
    curves = [
        Curve(
            each.title,
            [],
            [row.f1 for row in lines[each.id]],
            [row.low for row in lines[each.id]],
            [row.high for row in lines[each.id]],
            PALETTE[index],
            DASHES[index],
        )
        for index, each in enumerate(cards)
    ]
    names = [row.label for row in lines[cards[0].id]]
    figure = figures.over_strengths(curves, names, AXES[kind])
    figures.show(figure, "itp.robustness.plot", f"{cards[0].id}_{kind}")
    left = [_left(each.title, lines[each.id]) for each in cards]
    frame.quiet(
        f"At {names[-1]} {'; '.join(each for each in left if each)}. "
        "Bars are 95 % bootstrap intervals over blocks of the scene."
        + ("" if len(cards) > 1 else " These weights have no plain twin to compare with.")
    )


def _left(title: str, rows: list[Score]) -> str:
    """What share of its clean F1 a checkpoint keeps at the last strength."""
    clean, worst = rows[0].f1, rows[-1].f1
    if not clean or worst is None:
        return f"{title} has no clean score to compare with"
    return f"{title} keeps {worst / clean:.0%} of its clean F1"
