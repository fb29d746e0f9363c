"""A rectangle drawn on a large scene, in a real Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from app_in_browser import WAIT_MS, App, run_server, watched
from playwright.sync_api import Browser, Frame, expect
from pyproj import Transformer
from rasterio.transform import from_origin

SIDE = 1100
LEFT, TOP, PIXEL_M = 500_000.0, 5_300_000.0, 0.5


@pytest.fixture(scope="module")
def small_areas(
    checkpoints: Path, samples: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The app with areas of at most a megapixel; gives its address."""
    places = {"N2M_CHECKPOINTS": str(checkpoints), "N2M_SAMPLES": str(samples)}
    yield from run_server({**places, "N2M_AREA_MP": "1"}, tmp_path_factory.mktemp("log"))


@pytest.fixture
def visitor(browser: Browser, small_areas: str) -> Iterator[App]:
    made = watched(browser, small_areas)
    yield made
    made.page.context.close()
    assert made.errors == []


def large_scene(path: Path) -> Path:
    rows, columns = np.ogrid[:SIDE, :SIDE]
    band = ((rows // 16 + columns // 12) % 200 + 20).astype(np.uint8)
    with rasterio.open(
        path, "w", driver="GTiff", dtype="uint8", count=3, height=SIDE, width=SIDE,
        crs="EPSG:32633", transform=from_origin(LEFT, TOP, PIXEL_M, PIXEL_M), tiled=True,
    ) as out:  # fmt: skip
        out.write(np.stack([band, band // 2, 255 - band]))
    return path


def on_screen(frame: Frame, row: float, column: float) -> tuple[float, float]:
    """Where a pixel of the scene lies in the browser's window."""
    to_degrees = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True)
    lng, lat = to_degrees.transform(LEFT + column * PIXEL_M, TOP - row * PIXEL_M)
    x, y = frame.evaluate(
        """([lat, lng]) => { const p = map_0001.latLngToContainerPoint([lat, lng]);
        const box = map_0001.getContainer().getBoundingClientRect();
        return [p.x + box.x, p.y + box.y]; }""",
        [lat, lng],
    )
    box = frame.frame_element().bounding_box()
    assert box is not None
    return x + box["x"], y + box["y"]


def outline(frame: Frame) -> list[list[float]]:
    """Corners of the area that the map shows, as (north, east)."""
    found: list[list[float]] = frame.evaluate(
        """() => { const found = [];
        map_0001.eachLayer((l) => { if (l instanceof L.Polygon) found.push(l); });
        return found.length ? found[0].getLatLngs()[0].map((p) => [p.lat, p.lng]) : []; }"""
    )
    return found


def typed(visitor: App) -> list[int]:
    """First row, first column, rows, columns, as the fields show them."""
    labels = ("First row", "First column", "Rows", "Columns")
    fields = (visitor.page.get_by_label(label, exact=True) for label in labels)
    return [int(field.input_value()) for field in fields]


@pytest.mark.timeout(600)
def test_drawn_rectangle_becomes_the_area(visitor: App, tmp_path: Path) -> None:
    path = large_scene(tmp_path / "town.tif")
    visitor.open("Segment?sample=first&checkpoint=n2m-buildings")
    field = visitor.page.locator("[data-testid=stFileUploader]").filter(has_text="Your own image")
    field.locator("input[type=file]").set_input_files(str(path))
    whole = visitor.map("All of town.tif")
    visitor.map("Map of town.tif")
    visitor.settle()
    whole.wait_for_function("() => document.querySelector('.n2m-draw')", timeout=WAIT_MS)
    # The middle, of a megapixel at most, is outlined before anything was drawn.
    whole.wait_for_function(
        """() => { let n = 0; map_0001.eachLayer((l) => { n += l instanceof L.Polygon; });
        return n === 2; }""",
        timeout=WAIT_MS,
    )
    middle = outline(whole)
    assert typed(visitor) == [50, 50, 1000, 1000]
    whole.evaluate("window.stays = true")

    whole.frame_element().scroll_into_view_if_needed()
    whole.locator(".n2m-draw").click()
    assert whole.locator(".n2m-draw").get_attribute("aria-pressed") == "true"
    start, end = on_screen(whole, 200, 300), on_screen(whole, 500, 700)
    visitor.page.mouse.move(*start)
    visitor.page.mouse.down()
    visitor.page.mouse.move(*end, steps=5)
    visitor.page.mouse.up()
    row = visitor.page.get_by_label("First row", exact=True)
    expect(row).not_to_have_value("50", timeout=WAIT_MS)
    visitor.settle()
    # One pixel of the screen is about four of the scene.
    np.testing.assert_allclose(typed(visitor), [200, 300, 300, 400], atol=12)
    assert whole.evaluate("window.stays") is True
    assert whole.locator(".n2m-draw").get_attribute("aria-pressed") == "false"
    whole.wait_for_function(
        """(north) => { let other = false; map_0001.eachLayer((l) => {
        if (l instanceof L.Polygon) other = l.getLatLngs()[0][0].lat !== north; });
        return other; }""",
        arg=middle[0][0],
        timeout=WAIT_MS,
    )
    north = max(place[0] for place in outline(whole))
    assert north < max(place[0] for place in middle)

    # The map below is of that area, in its place.
    mapped = visitor.map("Map of town.tif")
    first_row, first_column, rows, columns = typed(visitor)
    to_degrees = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True)
    lng, lat = to_degrees.transform(
        LEFT + (first_column + columns / 2) * PIXEL_M, TOP - (first_row + rows / 2) * PIXEL_M
    )
    centre = mapped.evaluate(
        "() => { const c = n2m.overlaysOf(map_0001)[0].overlay.getBounds().getCenter();"
        " return [c.lat, c.lng]; }"
    )
    np.testing.assert_allclose(centre, [lat, lng], atol=2e-5)
