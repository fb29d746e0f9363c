"""What a person sees and does on the map pages, in a real Chromium with no way out."""

from __future__ import annotations

import io
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from app_in_browser import WAIT_MS, App
from PIL import Image
from playwright.sync_api import ElementHandle, Frame, Page, expect
from pyproj import Transformer
from rasterio.transform import from_origin

from n2m_core.raster_io import read_image
from pages._ui import maps
from pages._ui.layers import image_layer
from pages._ui.maps import Panel, Setting

MAGENTA = (255, 0, 255)
LISTEN_LATE = """() => {
  const map = document.querySelector("iframe").contentWindow;
  addEventListener("message", ({ data }) => {
    if (data.n2m === "click") document.body.dataset.told = data.n2m;
  });
  map.postMessage({ n2m: "mark", token: "some", place: [47.9, 15] }, "*");
}"""


def pixels(handle: ElementHandle | Page) -> np.ndarray:
    """A screenshot, uint8 [H, W, 3]."""
    return np.asarray(Image.open(io.BytesIO(handle.screenshot())).convert("RGB")).astype(int)


def near(picture: np.ndarray, color: tuple[int, int, int], tolerance: int = 60) -> np.ndarray:
    """Where a picture has about a colour."""
    return np.abs(picture - np.array(color)).max(axis=-1) < tolerance


def frame_picture(frame: Frame) -> np.ndarray:
    """A screenshot of a map's frame."""
    return pixels(frame.frame_element())


def frame_width(frame: Frame) -> float:
    """Width of a map's frame, pixels."""
    width: float = frame.evaluate("innerWidth")
    return width


def bounds(frame: Frame) -> list[float]:
    """South, west, north, east of the first overlay of a frame's first map."""
    found: list[float] = frame.evaluate(
        """() => { const b = n2m.overlaysOf(map_0001)[0].overlay.getBounds();
        return [b.getSouth(), b.getWest(), b.getNorth(), b.getEast()]; }"""
    )
    return found


def write_utm(path: Path, height: int = 90, width: int = 120) -> Path:
    """A UTM GeoTIFF of grey stripes with a magenta square in its lower right part."""
    stripes = np.where(np.arange(width) // 4 % 2, 255, 0).astype(np.uint8)
    rgb = np.broadcast_to(stripes, (3, height, width)).copy()
    rgb[:, height - 30 : height - 20, width - 40 : width - 30] = np.array(MAGENTA)[:, None, None]
    profile: dict[str, Any] = {
        "driver": "GTiff", "dtype": "uint8", "count": 3, "height": height, "width": width,
        "crs": "EPSG:32633", "transform": from_origin(500_300.0, 5_300_400.0, 0.5, 0.5),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as out:
        out.write(rgb)
    return path


def upload(app: App, label: str, *files: Path) -> None:
    """Drop a file on the field under a label."""
    field = app.page.locator("[data-testid=stFileUploader]").filter(has_text=label)
    field.locator("input[type=file]").set_input_files(list(files))


def test_sample_shows_its_picture_beside_its_map(app: App) -> None:
    app.open("Segment?sample=first&checkpoint=n2m-landcover")
    frame = app.map("Map of The first sample")
    expect(frame.locator(".folium-map")).to_have_count(2, timeout=WAIT_MS)
    shown = frame_picture(frame)
    frame.locator("input[type=range]").first.press("Home")
    hidden = frame_picture(frame)
    half = shown.shape[1] // 2
    changed = np.abs(shown - hidden).max(axis=-1) > 12
    assert changed[:, half:].mean() > 0.2
    assert changed[:, :half].mean() < 0.001


def test_two_maps_move_together(app: App) -> None:
    app.open("Segment?sample=first&checkpoint=n2m-landcover")
    frame = app.map("Map of The first sample")
    frame.locator(".leaflet-control-zoom-in").first.click()
    box = frame.locator(".folium-map").first.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    app.page.mouse.move(x, y)
    app.page.mouse.down()
    app.page.mouse.move(x - 60, y - 30, steps=4)
    app.page.mouse.up()
    first, second = frame.evaluate(
        """() => [map_0001, map_0002].map((map) => {
        const c = map.getCenter(); return [c.lat, c.lng, map.getZoom()]; })"""
    )
    np.testing.assert_allclose(first, second, atol=1e-7)


def test_uploaded_geotiff_lies_where_its_file_says(app: App, tmp_path: Path) -> None:
    path = write_utm(tmp_path / "mine.tif")
    app.open("Segment?sample=first&checkpoint=n2m-buildings")
    upload(app, "Your own image", path)
    frame = app.map("Map of mine.tif")
    with rasterio.open(path) as file:
        expected = rasterio.warp.transform_bounds(file.crs, "EPSG:4326", *file.bounds)
        x, y = file.transform @ (file.width - 35, file.height - 25)
        degrees_px = (expected[2] - expected[0]) / file.width
    west, south, east, north = expected
    np.testing.assert_allclose(bounds(frame), [south, west, north, east], atol=1.5 * degrees_px)
    to_degrees = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True)
    lng, lat = to_degrees.transform(x, y)
    point = frame.evaluate(
        """([lat, lng]) => { const p = map_0001.latLngToContainerPoint([lat, lng]);
        const box = map_0001.getContainer().getBoundingClientRect();
        return [p.x + box.x, p.y + box.y]; }""",
        [lat, lng],
    )
    where = np.argwhere(near(frame_picture(frame), MAGENTA)[:, : int(frame_width(frame) / 2)])
    assert len(where) > 50
    np.testing.assert_allclose(where.mean(axis=0)[::-1], point, atol=3)


def test_swipe_follows_the_drag(app: App) -> None:
    app.open("Segment?sample=first&checkpoint=n2m-landcover")
    app.page.get_by_text("Swipe", exact=True).click()
    frame = app.map("Map of The first sample")
    frame.wait_for_selector(".n2m-swipe")
    handle = frame.locator(".n2m-swipe")
    app.page.wait_for_timeout(300)
    middle = frame_picture(frame)
    box = handle.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 3
    app.page.mouse.move(x, y)
    app.page.mouse.down()
    app.page.mouse.move(x - 160, y, steps=5)
    app.page.mouse.up()
    assert int(handle.get_attribute("aria-valuenow") or 0) < 45
    moved = frame_picture(frame)
    changed = np.abs(moved - middle).max(axis=-1) > 12
    columns = np.flatnonzero(changed.mean(axis=0) > 0.15)
    centre = middle.shape[1] / 2
    assert columns.size > 60
    assert columns.min() > centre - 200
    assert columns.max() < centre + 20
    handle.press("ArrowRight")
    handle.press("End")
    assert handle.get_attribute("aria-valuenow") == "100"


def test_downloaded_geotiff_opens_in_the_right_place(
    app: App, samples: Path, tmp_path: Path
) -> None:
    app.open("Segment?sample=first&checkpoint=n2m-landcover")
    app.map("Map of The first sample")
    with app.page.expect_download(timeout=WAIT_MS) as download:
        app.page.get_by_role("button", name="GeoTIFF").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert path.suffix == ".tif"
    with rasterio.open(path) as made, rasterio.open(samples / "first.tif") as source:
        assert (made.crs, made.transform, made.shape) == (
            source.crs,
            source.transform,
            source.shape,
        )
        assert set(np.unique(made.read(1))) <= {0, 1, 2, 3, 4, 255}
        assert made.nodata == 255


def test_rubbish_gets_a_clear_message_and_the_map_stays(app: App, tmp_path: Path) -> None:
    app.open("Segment?sample=first&checkpoint=n2m-buildings")
    frame = app.map("Map of The first sample")
    frame.evaluate("window.stays = true")
    rubbish = tmp_path / "holiday.tif"
    rubbish.write_bytes(b"not an image at all" * 40)
    upload(app, "Your own image", rubbish)
    message = app.page.get_by_test_id("stAlert")
    expect(message).to_contain_text("This file could not be read", timeout=WAIT_MS)
    assert "Traceback" not in app.page.content()
    assert frame.evaluate("window.stays") is True


def test_large_scene_shows_its_own_pixels_when_zoomed_in(app: App, tmp_path: Path) -> None:
    path = write_utm(tmp_path / "long.tif", height=64, width=2400)
    app.open("Segment?sample=first&checkpoint=n2m-buildings")
    upload(app, "Your own image", path)
    frame = app.map("Map of long.tif")
    before = frame.locator("img.n2m-raster").count()
    with app.page.expect_response(lambda reply: "/detail/" in reply.url) as reply:
        frame.evaluate("map_0001.setZoom(map_0001.getZoom() + 4)")
    assert reply.value.status == 200
    south, west, north, east = bounds(frame)
    (low, left), (high, right) = reply.value.json()["bounds"]
    assert west - 1e-9 <= left < right <= east + 1e-9
    assert south - 1e-5 <= low < high <= north + 1e-5
    frame.wait_for_function(
        f'document.querySelectorAll("img.n2m-raster").length > {before}', timeout=WAIT_MS
    )


def test_two_dates_can_be_dropped_and_compared(app: App, samples: Path) -> None:
    app.open("Change?checkpoint=n2m-change")
    app.map("Change in The pair sample")
    upload(app, "Your before", samples / "before.tif")
    # The field itself names the file at once; the caption below says that the app has it.
    kept = app.page.locator(".st-key-narrow-change-before [data-testid=stCaptionContainer]")
    expect(kept).to_contain_text("before.tif", timeout=WAIT_MS)
    app.settle()
    upload(app, "Your after", samples / "after.tif")
    frame = app.map("Change in before.tif")
    assert frame.locator(".n2m-side").all_inner_texts() == ["Before", "After, with the change"]


def test_click_on_a_fused_map_chooses_the_pixel(app: App) -> None:
    app.open("Fuse", "?method=copy")
    frame = app.map("Fused image of")
    row = app.page.get_by_label("Row", exact=True)
    expect(row).to_have_value("32", timeout=WAIT_MS)
    rings = frame.locator(".leaflet-marker-pane path")
    expect(rings).to_have_count(2, timeout=WAIT_MS)
    ringed = rings.first.get_attribute("d")
    # The mouse is led by hand: a frame's element would be clicked where it lay before the scroll.
    app.page.evaluate(
        """document.querySelector("iframe[title^='Fused']").scrollIntoView({block: "center"})"""
    )
    app.page.wait_for_timeout(1000)
    box = frame.locator(".folium-map").bounding_box()
    assert box is not None
    app.page.mouse.click(box["x"] + 0.4 * box["width"], box["y"] + 40)
    expect(row).not_to_have_value("32", timeout=WAIT_MS)
    assert int(row.input_value()) < 16
    expect(rings.first).not_to_have_attribute("d", ringed or "", timeout=WAIT_MS)


def test_click_before_the_page_listens_is_told_again(app: App, tmp_path: Path) -> None:
    """The page's listener is loaded for itself; under load a person can be quicker."""
    grid = read_image(write_utm(tmp_path / "mine.tif"))
    panel = Panel("Grey", (image_layer("Grey", grid, np.moveaxis(grid.pixels, 0, -1), 120),))
    html = maps.side_by_side_html([panel], Setting(False, 0.5, clicks="some"))
    page = app.page
    page.set_content(
        f"""<iframe style="width: 600px; height: 400px" srcdoc="{escape(html)}"></iframe>"""
    )
    page.frame_locator("iframe").locator(".leaflet-container").click()
    page.evaluate(LISTEN_LATE)
    expect(page.locator("body")).to_have_attribute("data-told", "click", timeout=WAIT_MS)
