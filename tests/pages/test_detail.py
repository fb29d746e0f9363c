"""The window in view of a large scene: the right pixels, in the right place, for a token only."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import lonlat_bounds
from pages._ui import detail
from pages._ui.detail import WINDOW_PX, Detail, Registry, crop, cut, window


def scene(crs: str | None = "EPSG:32633", height: int = 300, width: int = 400) -> GeoImage:
    pixels = np.arange(height * width, dtype=np.int32).reshape(1, height, width)
    transform = Affine(2.0, 0, 500_000, 0, -2.0, 5_300_000) if crs else Affine.identity()
    return GeoImage(pixels, np.ones((height, width), np.bool_), crs, transform, ("n",), 2.0)


def shape_of(image: GeoImage) -> str:
    return f"{image.height}x{image.width}"


def test_window_of_a_part_of_the_view_holds_that_part() -> None:
    image = scene()
    part = crop(image, (slice(100, 180), slice(50, 200)))
    found = window(image, lonlat_bounds(part))
    assert found is not None
    rows, columns = found
    assert rows.start <= 100 < 180 <= rows.stop
    assert columns.start <= 50 < 200 <= columns.stop
    assert rows.stop - rows.start < 95
    assert columns.stop - columns.start < 165


def test_crop_keeps_its_place() -> None:
    image = scene()
    part = crop(image, (slice(100, 180), slice(50, 200)))
    assert part.transform @ (0, 0) == image.transform @ (50, 100)
    assert part.pixels[0, 0, 0] == image.pixels[0, 100, 50]


def test_window_beside_the_scene_is_none() -> None:
    assert window(scene(), (0.0, 0.0, 1.0, 1.0)) is None
    assert window(scene(None), (10.0, 500.0, 20.0, 600.0)) is None


def test_pixel_space_counts_rows_downwards() -> None:
    found = window(scene(None), (-30.0, 100.0, -20.0, 140.0))
    assert found == (slice(18, 32), slice(98, 142))
    made = cut(Detail(scene(None), shape_of, "nearest"), (-30.0, 100.0, -20.0, 140.0))
    assert made == ("14x44", [[-32.0, 98.0], [-18.0, 142.0]])


def test_cut_is_never_larger_than_a_window() -> None:
    image = scene(None, 40, 3 * WINDOW_PX)
    made = cut(Detail(image, shape_of, "nearest"), (-40.0, 0.0, 0.0, 3.0 * WINDOW_PX))
    assert made is not None
    assert made[0].endswith(f"x{WINDOW_PX}")


def test_cut_of_a_placed_scene_has_bounds_around_the_view() -> None:
    image = scene()
    bounds = lonlat_bounds(crop(image, (slice(100, 180), slice(50, 200))))
    made = cut(Detail(image, shape_of, "nearest"), bounds)
    assert made is not None
    (south, west), (north, east) = made[1]
    assert south <= bounds[0] < bounds[2] <= north
    assert west <= bounds[1] < bounds[3] <= east


def test_registry_forgets_the_least_recent() -> None:
    registry = Registry(keep=2)
    tokens = [registry.add(Detail(scene(), shape_of, "nearest")) for _ in range(2)]
    assert registry.get(tokens[0]) is not None
    registry.add(Detail(scene(), shape_of, "nearest"))
    assert registry.get(tokens[0]) is not None
    assert registry.get(tokens[1]) is None
    assert len(tokens[0]) > 20


@pytest.fixture
def client() -> TestClient:
    return TestClient(Starlette(routes=[Route("/detail/{token}", detail.answer)]))


VIEW = {"s": "-30", "w": "100", "n": "-20", "e": "140"}


def test_answer_gives_picture_and_bounds(client: TestClient) -> None:
    token = detail.OFFERED.add(Detail(scene(None), shape_of, "nearest"))
    reply = client.get(f"/detail/{token}", params=VIEW)
    assert reply.status_code == 200
    assert reply.json() == {"url": "14x44", "bounds": [[-32.0, 98.0], [-18.0, 142.0]]}
    assert "private" in reply.headers["cache-control"]


@pytest.mark.parametrize(
    ("view", "status"),
    [({**VIEW, "s": "south"}, 400), ({"s": "1"}, 400), ({**VIEW, "w": "900", "e": "990"}, 404)],
)
def test_answer_refuses_what_makes_no_sense(
    client: TestClient, view: dict[str, str], status: int
) -> None:
    token = detail.OFFERED.add(Detail(scene(None), shape_of, "nearest"))
    assert client.get(f"/detail/{token}", params=view).status_code == status


def test_unknown_token_opens_nothing(client: TestClient) -> None:
    assert client.get("/detail/guessed", params=VIEW).status_code == 404
