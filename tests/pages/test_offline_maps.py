"""Maps as self-contained HTML: nothing linked, nothing random, everything in its place."""

from __future__ import annotations

import re

import folium
import numpy as np
import pytest
from affine import Affine
from folium.plugins import Fullscreen
from pyproj import Transformer

from n2m_core.geo_image import GeoImage
from pages._ui import maps
from pages._ui.elements import script_json
from pages._ui.layers import MAX_PX, Layer, image_layer, mask_layer
from pages._ui.leaflet import OfflineMap, UnknownAssetError, offline_html
from pages._ui.maps import Basemap, LegendItem, Panel, Setting

COLORS = {1: (213, 94, 0)}
LINKED = re.compile(
    r"<(?:script|link|img|iframe)[^>]*\b(?:src|href)=[\"']?(?!data:)", re.IGNORECASE
)


def utm(height: int = 40, width: int = 60, pixel_m: float = 10.0) -> GeoImage:
    pixels = np.full((3, height, width), 100, np.uint8)
    return GeoImage(
        pixels,
        np.ones((height, width), np.bool_),
        "EPSG:32633",
        Affine(pixel_m, 0, 500_000, 0, -pixel_m, 5_300_000),
        ("red", "green", "blue"),
        pixel_m,
    )


def plain(height: int = 40, width: int = 60) -> GeoImage:
    image = utm(height, width)
    return GeoImage(image.pixels, image.valid, None, Affine.identity(), image.band_names)


def layers(image: GeoImage) -> list[Layer]:
    rgb = np.moveaxis(image.pixels, 0, -1)
    labels = np.ones(image.valid.shape, np.uint8)
    return [image_layer("Picture", image, rgb), mask_layer("Map", image, labels, COLORS)]


def setting(image: GeoImage, **more: object) -> Setting:
    legend = (LegendItem("building", "#d55e00"),)
    return Setting(pixels=not image.is_georeferenced, legend=legend, **more)  # type: ignore[arg-type]  # its fields


def every_kind(image: GeoImage) -> dict[str, str]:
    base, mask = layers(image)
    left, right = Panel("Picture", (base,)), Panel("Map", (base, mask))
    shared = setting(image)
    return {
        "overlay": maps.overlay_html([base, mask], shared),
        "swipe": maps.swipe_html(left, right, shared),
        "side": maps.side_by_side_html([left, right], shared),
        "player": maps.player_html([left, right], [{"t": 0, "text": "clean"}], shared),
    }


@pytest.mark.parametrize("image", [utm(), plain()], ids=["degrees", "pixels"])
def test_nothing_is_linked(image: GeoImage) -> None:
    for kind, html in every_kind(image).items():
        tags = [
            hit.group(0)
            for hit in LINKED.finditer(re.sub(r"<script.*?</script>", "", html, flags=re.S))
        ]
        assert tags == [], kind
        assert "sourceMappingURL" not in html
        assert not re.search(
            r"url\((?!['\"]?(?:data:|#))", html.split("<body>")[0].split("n2m =")[0]
        )


@pytest.mark.parametrize("image", [utm(), plain()], ids=["degrees", "pixels"])
def test_same_layers_give_the_same_text(image: GeoImage) -> None:
    assert every_kind(image) == every_kind(image)


def test_link_that_is_not_installed_is_a_defect() -> None:
    made = OfflineMap(tiles=None)
    Fullscreen().add_to(made)
    with pytest.raises(UnknownAssetError, match="not installed"):
        offline_html(made.get_root())


def test_foliums_own_lists_stay_as_they_were() -> None:
    assert any("cdn" in url for _, url in folium.Map.default_js)
    assert [name for name, _ in OfflineMap.default_js] == ["leaflet", "n2m_js"]


@pytest.mark.parametrize("name", ["</script><script>alert(1)</script>", "<!--", "a & b", "\u2028"])
def test_text_of_people_cannot_leave_its_string(name: str) -> None:
    base = layers(plain())[0]
    html = maps.side_by_side_html([Panel(name, (base,)), Panel("Map", (base,))], setting(plain()))
    assert name not in html
    assert script_json(name) in html


def test_overlay_lies_on_the_warped_box_of_its_file() -> None:
    image = utm()
    (south, west), (north, east) = layers(image)[0].bounds
    to_degrees = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True)
    columns, rows = np.meshgrid(np.linspace(0, 60, 50), np.linspace(0, 40, 50))
    x, y = to_degrees.transform(500_000 + 10 * columns.ravel(), 5_300_000 - 10 * rows.ravel())
    pixel = (x.max() - x.min()) / 60
    np.testing.assert_allclose([west, east], [x.min(), x.max()], atol=pixel)
    np.testing.assert_allclose([south, north], [y.min(), y.max()], atol=pixel)


def test_picture_without_georeference_lies_in_pixel_space() -> None:
    image = plain()
    assert layers(image)[0].bounds == ((-40.0, 0.0), (0.0, 60.0))
    html = maps.overlay_html(layers(image), setting(image, basemap=Basemap("Tiles", "u", "a")))
    assert "L.CRS.Simple" in html
    assert "No georeference: shown in pixel space" in html
    assert "n2m.basemap(" not in html


def test_basemap_is_asked_for_by_the_browser_alone() -> None:
    image = utm()
    basemap = Basemap("Tiles", "https://tiles.example/{z}/{x}/{y}.png", "somebody")
    html = maps.overlay_html(layers(image), setting(image, basemap=basemap))
    assert html.count("https://tiles.example/{z}/{x}/{y}.png") == 1
    assert "n2m.basemap(" in html
    assert "n2m.basemap(" not in maps.overlay_html(layers(image), setting(image))


def test_large_picture_is_sent_as_an_overview_with_a_token() -> None:
    image = plain(30, MAX_PX + 500)
    layer = layers(image)[0]
    assert layer.token
    assert layer.bounds == ((-30.0, 0.0), (0.0, float(MAX_PX + 500)))
    assert not layers(plain(30, MAX_PX))[0].token


def test_map_of_a_large_noisy_scene_fits_the_budget() -> None:
    rng = np.random.default_rng(2)
    image = plain(MAX_PX, MAX_PX)
    smooth = rng.normal(size=(3, 256, 256)).repeat(8, 1).repeat(8, 2) * 40 + 120
    rgb = np.moveaxis(np.clip(smooth, 0, 255).astype(np.uint8), 0, -1)
    labels = (rng.random((256, 256)) > 0.5).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    base, mask = image_layer("Picture", image, rgb), mask_layer("Map", image, labels, COLORS)
    html = maps.swipe_html(Panel("a", (base,)), Panel("b", (base, mask)), setting(image))
    assert len(html) < 5_000_000


def test_player_carries_frames_and_marks() -> None:
    base = layers(plain())[0]
    frames = [{"t": t, "text": f"step {t}"} for t in (999, 258, 0)]
    html = maps.player_html([Panel("Input", (base,))], frames, setting(plain()), marks=[258])
    assert '"marks": [258]' in html
    assert '"text": "step 258"' in html
    assert html.count("n2m.player([map_") == 1
