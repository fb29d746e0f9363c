"""Models: what every checkpoint was trained on, may be used for, and was measured to do."""

from __future__ import annotations

from pages._ui import errors, frame, inputs, modelcards, resources

frame.open_page(
    "Models",
    "Every set of weights with its data, its licence, and scores that a command prints again.",
)


def show() -> None:
    """Draw the page."""
    cards = resources.cards()
    if not cards:
        inputs.say_what_is_missing()
        return
    found = modelcards.filters(cards)
    if not found:
        frame.empty("No model fits", "Set a filter back to All.")
    for card in found:
        modelcards.show(card)


with errors.guard():
    show()
