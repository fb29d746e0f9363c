"""Time of a page's rerun when its result is kept: what a person waits for after a small click."""

from __future__ import annotations

import time
from pathlib import Path

from streamlit.testing.v1 import AppTest

from benchmarks.figures import Figure, report, time_in_turn, use_threads

APP = Path(__file__).resolve().parent.parent / "app.py"
PAGE, DOWNLOAD, REPEATS, PATIENCE_S = "pages/1_Segment.py", "GeoTIFF", 5, 120


def open_page() -> tuple[AppTest, float]:
    """Open the page and wait for its first map; the page and the seconds until then."""
    started = time.perf_counter()
    app = AppTest.from_file(str(APP), default_timeout=PATIENCE_S)
    app.switch_page(PAGE).run()
    while not has_map(app) and time.perf_counter() - started < PATIENCE_S:
        app.run()
    if app.exception or not has_map(app):
        raise SystemExit(f"{PAGE} shows no map after {PATIENCE_S} s: {app.exception}")
    return app, time.perf_counter() - started


def has_map(app: AppTest) -> bool:
    """Whether the map is there: then it can be taken home."""
    return any(DOWNLOAD in getattr(found, "label", "") for found in app.get("download_button"))


def main() -> None:
    """Measure the first map and the reruns after it."""
    threads = use_threads()
    app, first_s = open_page()
    taken = time_in_turn({"rerun": app.run}, REPEATS)["rerun"]
    report(
        "Rerun of a page",
        f"The Segment page with its first sample, without a browser, {threads} thread(s); median "
        f"of {REPEATS} reruns with the map kept.",
        [
            Figure("Rerun", taken.median_s, "s", at_most=0.5),
            Figure("Rerun, fastest", taken.fastest_s, "s"),
            Figure("First map, from a cold start", first_s, "s"),
        ],
    )


if __name__ == "__main__":
    main()
