"""Running a page to its end, and reading what is on it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from html import unescape

from streamlit.testing.v1 import AppTest

OpenPage = Callable[..., AppTest]
"""Opens a page by its file's name, with the parameters of its link."""


def settle(app: AppTest, seconds: float = 90) -> AppTest:
    """Run the page again until no work is under way; there is no browser that would poll."""
    until = time.monotonic() + seconds
    while any(button.label == "Cancel" for button in app.button):
        assert time.monotonic() < until, "the page's work did not end"
        time.sleep(0.1)
        app.run()
    return app


def texts(app: AppTest) -> str:
    """All text of a page that people read, one string."""
    parts = [each.value for kind in ("title", "header", "subheader", "markdown", "caption")
             for each in app.get(kind)]  # fmt: skip
    parts += [unescape(each.proto.body) for each in app.get("html")]
    return "\n".join(part for part in parts if not part.startswith("<style>"))


def maps_of(app: AppTest) -> list[str]:
    """The HTML of every map on a page."""
    return [each.proto.srcdoc for each in app.get("iframe")]


def rows_of(app: AppTest) -> list[list[str]]:
    """What the cells of every table row on a page say, without their marks and swatches."""
    return [
        [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<td.*?>(.*?)</td>", row)]
        for row in re.findall(r"<tr.*?>(.*?)</tr>", texts(app), flags=re.DOTALL)
    ]
