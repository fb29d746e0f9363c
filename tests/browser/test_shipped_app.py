"""The app as it ships: its own weights and samples, a first visit without a click."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from app_in_browser import WAIT_MS, App
from playwright.sync_api import expect

MASK_SHARE = """() => {
  const image = document.querySelector("img.n2m-mask");
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
  let seen = 0;
  for (let i = 3; i < data.length; i += 4) seen += data[i] > 0;
  return seen / (data.length / 4);
}"""


def test_first_map_comes_without_a_click(open_app: Callable[..., App]) -> None:
    app = open_app()
    page = app.open("Segment")
    frame = app.map("Map of")
    assert 0.02 < frame.evaluate(MASK_SHARE) < 0.9
    app.settle()
    expect(page.get_by_text("Target F1", exact=True)).to_have_count(1, timeout=WAIT_MS)
    assert page.locator('[data-testid=stAlert]:has-text("went wrong")').count() == 0


@pytest.mark.parametrize("width", [1280, 400])
def test_home_shows_the_strip_and_the_samples(open_app: Callable[..., App], width: int) -> None:
    app = open_app(width)
    page = app.open()
    page.wait_for_selector(".n2m-strip")
    expect(page.locator(".n2m-strip figure")).to_have_count(6, timeout=WAIT_MS)
    page.locator(".n2m-card").nth(5).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_models_say_licence_and_credit(open_app: Callable[..., App]) -> None:
    page = open_app().open("Models")
    # A heading is there before the HTML below it, whose part of Streamlit is loaded later.
    card = page.locator(".st-key-card-n2m-buildings-segment")
    expect(card).to_contain_text("OpenStreetMap contributors", timeout=WAIT_MS)
