"""Models: what every checkpoint was trained on, may be used for, and what the studies found."""

from __future__ import annotations

from pages._ui import (
    choosing,
    errors,
    frame,
    fusioncards,
    inputs,
    modelcards,
    resources,
    studying,
)

frame.open_page(
    "Models",
    "Every set of weights with its data, its licence, and scores that a command prints again.",
)

VIEWS = {"cards": "Cards", "studies": "Studies"}


def show() -> None:
    """Draw the page."""
    if choosing.pick("models.w.view", "Show", VIEWS) == "studies":
        studying.show()
    else:
        show_cards()


def show_cards() -> None:
    """Draw the cards that fit the filters."""
    cards: list[modelcards.AnyCard] = [*resources.cards(), *resources.fusion_cards()]
    if not cards:
        inputs.say_what_is_missing()
        return
    found = modelcards.filters(cards)
    if not found:
        frame.empty("No model fits", "Set a filter back to All.")
    for card in found:
        if card.task == "fuse":
            fusioncards.show(card)
        else:
            modelcards.show(card)


with errors.guard():
    show()
