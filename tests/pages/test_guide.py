"""The user guide: its links lead somewhere, its pictures are there and small."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide"
PAGES = sorted(GUIDE.glob("*.md"))
PICTURE_BYTES = 250_000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_pictures_exist(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).is_file()] == []


@pytest.mark.parametrize("picture", sorted(GUIDE.glob("pictures/*")), ids=lambda path: path.stem)
def test_pictures_are_small_and_shown(picture: Path) -> None:
    assert picture.suffix == ".webp"
    assert picture.stat().st_size < PICTURE_BYTES
    with Image.open(picture) as image:
        assert image.width in (400, 1280)
    assert any(f"pictures/{picture.name}" in page.read_text(encoding="utf-8") for page in PAGES)


def test_every_page_of_the_app_has_its_chapter() -> None:
    pages = {
        path.stem.split("_", 1)[1].lower() for path in (GUIDE.parents[1] / "pages").glob("*.py")
    }
    assert pages <= {page.stem for page in PAGES}
