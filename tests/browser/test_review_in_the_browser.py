"""The review desk in a real Chromium: keys, outlines, a killed server, two people at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import pytest
import rasterio
from app_in_browser import WAIT_MS, App, free_port, start_server, watched
from playwright.sync_api import Browser, Locator, Page, expect

from n2m_core.review import all_objects, get_object, history, open_project

DESK = 'iframe[title="Desk of the review"]'
pytestmark = pytest.mark.timeout(900)
_ANY = re.compile(r"^(object|unit) \d+ \d+$")
KEYS = {"r": "right", "w": "wrong", "u": "unsure"}


@dataclass
class Server:
    """A server that can be killed, and comes back at the same address."""

    port: int
    extra: dict[str, str]
    log: Path

    def __post_init__(self) -> None:
        self.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = start_server(self.port, self.extra, self.log)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reviews")


@pytest.fixture(scope="module")
def server(
    checkpoints: Path, samples: Path, reviews: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folders = {"CHECKPOINTS": checkpoints, "SAMPLES": samples, "REVIEWS": reviews}
    places = {f"N2M_{name}": str(folder) for name, folder in folders.items()}
    made = Server(free_port(), places, tmp_path_factory.mktemp("log"))
    yield made
    made.kill()


@pytest.fixture
def project(reviews: Path) -> str:
    """A name that no project has yet."""
    return f"project-{len(list(reviews.iterdir()))}"


def sent(app: App, project: str) -> None:
    """Send the first sample's map to review and open the desk."""
    page = app.open("Segment?sample=first&checkpoint=n2m-landcover")
    app.map("Map of The first sample")
    app.settle()
    page.get_by_text("Send to review", exact=True).first.click()
    box = page.get_by_role("combobox", name="Project")
    box.fill(project)
    box.press("Enter")
    page.get_by_label("Your name").fill("Ann")
    page.get_by_label("Your name").press("Enter")
    # An untrained network's map is full of specks.
    page.get_by_label("Smallest object (m²)").fill("1")
    page.get_by_label("Smallest object (m²)").press("Enter")
    app.settle()
    page.locator(".st-key-seg-review-send button").click()
    page.get_by_text(f"is in the project {project}").wait_for(timeout=2 * WAIT_MS)
    page.get_by_role("link", name="Open the desk").click()


def desk(page: Page) -> Locator:
    """The desk's map, once an object is on it."""
    found = page.frame_locator(DESK).locator(".folium-map")
    expect(found).to_have_attribute("data-key", _ANY, timeout=WAIT_MS)
    expect(found).to_have_attribute("data-state", "ready", timeout=WAIT_MS)
    return found


def shown(found: Locator) -> int:
    """Number of the object on the desk."""
    return int((found.get_attribute("data-key") or "").split()[1])


def judge(page: Page, key: str) -> int:
    """Judge what is on the desk by a key; gives its number once it is told as saved."""
    found = desk(page)
    number, before = shown(found), found.get_attribute("data-key") or ""
    page.keyboard.press(key)
    told = f"Saved: object {number} is {KEYS[key]}"
    expect(page.locator(".n2m-saved")).to_contain_text(told, timeout=WAIT_MS)
    expect(found).not_to_have_attribute("data-key", before, timeout=WAIT_MS)
    return number


def corners(page: Page, found: Locator, shares: list[tuple[float, float]]) -> None:
    """Click corners on the map, given as shares of its width and height, close and save them."""
    box = found.bounding_box()
    assert box is not None
    for x, y in shares:
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    tools = page.frame_locator(DESK).get_by_role("toolbar")
    page.keyboard.press("Enter")
    expect(tools.get_by_role("button", name="Save")).to_be_visible(timeout=WAIT_MS)
    page.keyboard.press("Enter")


def test_what_was_saved_outlives_a_killed_server(
    browser: Browser, server: Server, reviews: Path, project: str, samples: Path, tmp_path: Path
) -> None:
    app = watched(browser, server.address)
    page = app.page
    sent(app, project)
    said = {judge(page, "rwu"[i % 3]): KEYS["rwu"[i % 3]] for i in range(10)}
    assert len(said) == 10
    found = desk(page)
    redrawn = shown(found)
    tools = page.frame_locator(DESK).get_by_role("toolbar")
    page.keyboard.press("d")
    expect(tools.get_by_role("button", name="Close")).to_be_visible(timeout=WAIT_MS)
    corners(page, found, [(0.3, 0.3), (0.7, 0.3), (0.7, 0.6), (0.3, 0.6)])
    saved = page.locator(".n2m-saved")
    expect(saved).to_contain_text(f"new outline of object {redrawn}", timeout=WAIT_MS)
    desk(page)
    page.keyboard.press("m")
    expect(tools.get_by_role("button", name="Close")).to_be_visible(timeout=WAIT_MS)
    corners(page, found, [(0.25, 0.55), (0.45, 0.55), (0.35, 0.7)])
    expect(saved).to_contain_text("Saved: missed", timeout=WAIT_MS)

    assert app.errors == []
    server.kill()
    server.start()
    # What the page says of the server that has gone is no matter.
    app.errors.clear()
    page.goto(page.url, timeout=WAIT_MS)
    assert shown(desk(page)) == redrawn
    stored = open_project(reviews / project)
    objects = all_objects(stored)
    assert {number: get_object(stored, number).current.verdict for number in said} == said
    assert get_object(stored, redrawn).current.outline is not None
    assert [each.class_id for each in objects if each.origin == "drawn"] != []
    assert len(history(stored)) == 12
    stored.close()

    page.get_by_role("tab", name="Take it home").click()
    with page.expect_download(timeout=WAIT_MS) as download:
        page.get_by_role("button", name="GeoPackage").click()
    path = tmp_path / "reviewed.gpkg"
    download.value.save_as(path)
    with rasterio.open(samples / "first.tif") as source:
        made = gpd.read_file(path)
        assert made.crs == source.crs
        # What was drawn by hand may reach beyond the picture.
        untouched = made[(made["origin"] == "map") & ~made["redrawn"].astype(bool)]
        west, south, east, north = untouched.total_bounds
        assert source.bounds.left <= west + 1 <= east - 1 <= source.bounds.right
        assert source.bounds.bottom <= south + 1 <= north - 1 <= source.bounds.top
    assert set(made["object"]) == {e.id for e in objects} - {n for n in said if said[n] == "wrong"}
    assert (made.geometry.area / made["area_m2"]).between(0.99, 1.01).all()
    page.context.close()
    assert app.errors == []


def test_two_people_at_once_lose_nothing(
    browser: Browser, server: Server, reviews: Path, project: str
) -> None:
    """Both begin at the same object; whoever comes second is told so and decides again."""
    ann, ben = (watched(browser, server.address) for _ in range(2))
    sent(ann, project)
    ben.page.goto(f"{server.address}/Review?project={project}&reviewer=Ben", timeout=WAIT_MS)
    first = shown(desk(ben.page))
    assert judge(ann.page, "r") == first
    ben.page.keyboard.press("w")
    expect(ben.page.get_by_text("Ann has said something")).to_be_visible(timeout=WAIT_MS)
    assert judge(ben.page, "w") == first
    judge(ann.page, "u")
    for page, other in ((ann.page, "Ben"), (ben.page, "Ann")):
        row = page.locator(".n2m-table tr").filter(has_text=other).last
        expect(row).to_contain_text("2" if other == "Ann" else "1", timeout=WAIT_MS)
    stored = open_project(reviews / project)
    said = get_object(stored, first).opinions
    assert {name: each.verdict for name, each in said.items()} == {"Ann": "right", "Ben": "wrong"}
    assert len(history(stored)) == 3
    stored.close()
    for each in (ann, ben):
        each.page.context.close()
        assert each.errors == []
