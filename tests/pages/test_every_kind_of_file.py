"""Every kind of file that people bring: a map or a clear sentence, never a defect."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from page_runs import OpenPage, maps_of, settle
from PIL import Image
from rasterio.transform import Affine, from_origin

RNG = np.random.default_rng(3)
UTM = from_origin(500_000, 5_300_000, 0.5, 0.5)


def tif(
    array: np.ndarray,
    *,
    crs: str | None = "EPSG:32633",
    transform: Affine = UTM,
    nodata: float | None = None,
) -> bytes:
    bands, height, width = array.shape
    with rasterio.MemoryFile() as memory:
        with memory.open(
            driver="GTiff", dtype=array.dtype.name, count=bands, height=height, width=width,
            crs=crs, transform=transform, nodata=nodata,
        ) as out:  # fmt: skip
            out.write(array)
        return bytes(memory.read())


def picture(
    mode: str, kind: str, size: tuple[int, int] = (70, 50), exif: Image.Exif | None = None
) -> bytes:
    channels = len(Image.new(mode, (1, 1)).getbands())
    data = RNG.integers(0, 255, (size[1], size[0], channels), dtype=np.uint8)
    stream = io.BytesIO()
    picture = Image.fromarray(data[..., 0] if channels == 1 else data, mode)
    picture.save(stream, kind, **({} if exif is None else {"exif": exif}))
    return stream.getvalue()


def palette() -> bytes:
    stream = io.BytesIO()
    Image.open(io.BytesIO(picture("RGB", "PNG"))).quantize(16).save(stream, "PNG")
    return stream.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return picture("RGB", "JPEG", exif=exif)


def noisy(*shape: int, dtype: str = "uint8", top: int = 255) -> np.ndarray:
    return RNG.integers(0, top, shape).astype(dtype)


def with_gaps() -> bytes:
    array = RNG.random((3, 60, 70)).astype(np.float32)
    array[:, 10:20, 10:40] = np.nan
    return tif(array)


def only_gaps() -> bytes:
    return tif(np.full((3, 40, 40), np.nan, np.float32))


def huge_header() -> bytes:
    """A PNG of 65,000 x 65,000 px by its header, and nothing in it."""
    head = struct.pack(">IIBBBBB", 65_000, 65_000, 8, 2, 0, 0, 0)
    body = b"IHDR" + head
    chunk = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + chunk


MAPPED: dict[str, Callable[[], bytes]] = {
    "one band.tif": lambda: tif(noisy(1, 60, 70)),
    "four bands.tif": lambda: tif(noisy(4, 60, 70)),
    "thirteen bands.tif": lambda: tif(noisy(13, 60, 70, dtype="uint16", top=9000)),
    "16 bit.tif": lambda: tif(noisy(3, 60, 70, dtype="uint16", top=4000)),
    "float.tif": with_gaps,
    "nodata.tif": lambda: tif(noisy(3, 60, 70), nodata=0),
    "palette.png": palette,
    "alpha.png": lambda: picture("RGBA", "PNG"),
    "grey.png": lambda: picture("L", "PNG"),
    "cmyk.jpg": lambda: picture("CMYK", "JPEG"),
    "turned.jpg": turned,
    "no crs.tif": lambda: tif(noisy(3, 60, 70), crs=None, transform=Affine.identity()),
    "degrees.tif": lambda: tif(
        noisy(3, 60, 70), crs="EPSG:4326", transform=from_origin(85.0, 27.7, 4e-6, 4e-6)
    ),
    "rotated.tif": lambda: tif(noisy(3, 60, 70), transform=UTM @ Affine.rotation(30)),
    "south up.tif": lambda: tif(
        noisy(3, 60, 70), transform=Affine(0.5, 0, 500_000, 0, 0.5, 5_299_970)
    ),
    "one pixel.png": lambda: picture("RGB", "PNG", (1, 1)),
    "one row.png": lambda: picture("RGB", "PNG", (90, 1)),
    "odd.png": lambda: picture("RGB", "PNG", (61, 37)),
}
REFUSED: dict[str, Callable[[], bytes]] = {
    "two bands.tif": lambda: tif(noisy(2, 60, 70)),
    "cut.tif": lambda: tif(noisy(3, 60, 70))[:2000],
    "only gaps.tif": only_gaps,
    "too large.png": huge_header,
    "far too coarse.tif": lambda: tif(
        noisy(3, 60, 70), transform=from_origin(500_000, 5_300_000, 250, 250)
    ),
}


@pytest.mark.parametrize("name", MAPPED)
def test_file_is_mapped(open_page: OpenPage, name: str) -> None:
    app = open_page("1_Segment")
    shown = maps_of(app)
    field = next(each for each in app.get("file_uploader") if each.label == "Your own image")
    field.upload(name, MAPPED[name]())
    settle(app.run())
    assert not app.exception
    assert [each.value for each in app.error] == []
    assert len(maps_of(app)) == 1
    assert maps_of(app) != shown


@pytest.mark.parametrize("name", REFUSED)
def test_file_is_refused_with_a_sentence(open_page: OpenPage, name: str) -> None:
    app = open_page("1_Segment")
    field = next(each for each in app.get("file_uploader") if each.label == "Your own image")
    field.upload(name, REFUSED[name]())
    settle(app.run())
    assert not app.exception
    assert len(app.error) == 1
    assert "our side" not in app.error[0].value


def test_truth_that_does_not_fit_is_refused(open_page: OpenPage, samples: Path) -> None:
    app = open_page("1_Segment")
    own = next(each for each in app.get("file_uploader") if each.label == "Truth mask")
    own.upload("small.png", picture("L", "PNG", (20, 20)))
    settle(app.run())
    assert not app.exception
    assert len(app.error) == 1
    assert "our side" not in app.error[0].value
    assert len(maps_of(app)) == 1
