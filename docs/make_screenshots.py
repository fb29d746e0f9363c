"""Take the pictures of the user guide from the running app, with its own weights and samples.

Run it from the repository's root: `.venv/bin/python docs/make_screenshots.py [name ...]`. Without
names it takes all of them.
"""

from __future__ import annotations

import io
import logging
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "browser"))

from app_in_browser import App, launch, run_server  # noqa: E402 - the tests' own way to a browser

PICTURES = ROOT / "docs" / "guide" / "pictures"
WAIT_MS = 600_000
QUALITY = 82
_LOG = logging.getLogger("make_screenshots")


@dataclass(frozen=True)
class Shot:
    """One picture of the guide.

    Attributes:
        name: of the file, without its ending.
        path: page and query.
        ready: waits for what must be seen, and does what a person would do.
        width: of the window, pixels.
        height: of the window, pixels.
        dark: whether the app is shown in dark colours.
    """

    name: str
    path: str
    ready: Callable[[App], None]
    width: int = 1280
    height: int = 860
    dark: bool = False


def map_is_there(title: str) -> Callable[[App], None]:
    """Wait for a map."""
    return lambda app: app.map(title) and None


def swipe(app: App) -> None:
    """Choose the swipe."""
    app.map("Map of")
    app.page.get_by_text("Swipe", exact=True).click()
    app.settle()
    app.map("Map of").wait_for_selector(".n2m-swipe")


def adjust(app: App) -> None:
    """Open the choices."""
    app.map("Map of")
    app.page.get_by_role("button", name="Adjust").click()


def results(app: App) -> None:
    """Scroll down to areas, scores and downloads."""
    app.map("Map of")
    app.page.get_by_role("heading", name="Take it home").wait_for()
    app.page.get_by_role("heading", name="Areas").evaluate("e => e.scrollIntoView()")


def half_way(app: App) -> None:
    """Stop the player in the middle."""
    frame = app.map("Trajectory of")
    for _ in range(7):
        frame.get_by_role("button", name="One step on, towards the map").click()


def plot(app: App) -> None:
    """Wait for the curves of both twins."""
    app.page.wait_for_selector(".js-plotly-plot")
    app.settle()


def tab(name: str, selector: str) -> Callable[[App], None]:
    """Open a tab of Interpret."""

    def act(app: App) -> None:
        """Click it and wait for its picture."""
        plot(app)
        app.page.get_by_role("tab", name=name).click()
        app.page.wait_for_selector(selector)
        app.settle()

    return act


def strip(app: App) -> None:
    """Wait for the strip of the home page."""
    app.page.wait_for_selector(".n2m-strip")


def lesson(app: App) -> None:
    """Wait for the two pictures of a step."""
    app.page.get_by_text("x_t at t =").first.wait_for()
    app.settle()


def errors(app: App) -> None:
    """Scroll down to the errors of all fusion methods."""
    app.page.get_by_role("heading", name="Every method").wait_for()
    app.settle()
    app.page.get_by_role("heading", name="Every method").evaluate("e => e.scrollIntoView()")


def review(app: App) -> None:
    """Send a map to review, open the desk, and judge one object."""
    app.map("Map of")
    page = app.page
    page.get_by_text("Send to review", exact=True).first.click()
    for field, text in (("Project", "old town"), ("Your name", "Ann")):
        box = page.get_by_label(field, exact=True).first
        box.fill(text)
        box.press("Enter")
    app.settle()
    page.locator(".st-key-seg-review-send button").click()
    page.get_by_role("link", name="Open the desk").click()
    frame = page.frame_locator('iframe[title="Desk of the review"]')
    frame.locator(".folium-map[data-state=ready]").wait_for()
    page.keyboard.press("r")
    page.locator(".n2m-saved").filter(has_text="is right").wait_for()


SHOTS = (
    Shot("home", "", strip),
    Shot("segment", "Segment", map_is_there("Map of")),
    Shot("swipe", "Segment?sample=old_town", swipe),
    Shot("adjust", "Segment", adjust),
    Shot("results", "Segment", results),
    Shot("change", "Change", map_is_there("Change in")),
    Shot("trajectory", "Trajectory", half_way),
    Shot("swap", "Trajectory?checkpoint=n2m-change", half_way),
    Shot("interpret", "Interpret", plot),
    Shot("decision", "Interpret", tab("Decision time", 'iframe[title^="Decision"]'), height=1000),
    Shot("calibration", "Interpret", tab("Calibration", ".js-plotly-plot")),
    Shot("fails", "Interpret", tab("Where it fails", "iframe"), height=1000),
    Shot("refine", "Refine", map_is_there("Rough and refined")),
    Shot("fuse", "Fuse", map_is_there("Fused"), height=1000),
    Shot("fuse-errors", "Fuse", errors, height=1000),
    Shot("review", "Segment?sample=old_town", review, height=940),
    Shot("lesson", "Lesson?step=1", lesson),
    Shot("models", "Models", lambda app: None),
    Shot("phone", "Segment", map_is_there("Map of"), width=400, height=860, dark=True),
)


def take(browser: Browser, address: str, shot: Shot) -> Path:
    """Take one picture."""
    context = browser.new_context(
        viewport={"width": shot.width, "height": shot.height},
        color_scheme="dark" if shot.dark else "light",
    )
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    page.route("**/*", lambda route: route.continue_() if address in route.request.url
               or route.request.url.startswith(("data:", "blob:")) else route.abort())  # fmt: skip
    app = App(page, address)
    app.open(shot.path)
    shot.ready(app)
    page.wait_for_timeout(1500)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    context.close()
    target = PICTURES / f"{shot.name}.webp"
    picture.save(target, "WEBP", quality=QUALITY, method=6)
    return target


def main(names: list[str]) -> None:
    """Take the named pictures, or all."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as log, sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        for address in run_server({"N2M_REVIEWS": f"{log}/reviews"}, Path(log)):
            for shot in SHOTS:
                if not names or shot.name in names:
                    made = take(browser, address, shot)
                    _LOG.info("%s: %d kB", made.name, made.stat().st_size // 1024)
        browser.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main(sys.argv[1:])
