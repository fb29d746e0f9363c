"""The app in a real Chromium: a server of its own, a visitor, nothing outside this machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, BrowserType, Frame, Page, Request, Route

ROOT = Path(__file__).resolve().parents[2]
BASEMAP_HOST = "tile.openstreetmap.org"
WAIT_MS = 90_000
_LOCAL = ("http://127.0.0.1", "http://localhost", "data:", "blob:", "about:")
_ARGS = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
_QUIET = """() => {
  const app = document.querySelector("[data-testid=stApp]");
  const busy = !app || app.dataset.testScriptState !== "notRunning"
    || document.querySelector("[data-testid=stSkeleton]")
    || !(document.querySelector("[data-testid=stMainBlockContainer]")?.innerText || "").trim();
  const now = performance.now();
  if (busy || window.n2mQuietSince === undefined) window.n2mQuietSince = now;
  return !busy && now - window.n2mQuietSince > 300;
}"""
_PICTURES = """() => {
  const pictures = [...document.querySelectorAll("img.n2m-raster")];
  return typeof n2m !== "undefined" && pictures.length > 0 && pictures.every((i) => i.complete);
}"""


WATCHED: list[App] = []
"""Every visitor of this run, for the report of a failure."""


@dataclass
class App:
    """The app open in a browser, and what failed or went outside meanwhile.

    Attributes:
        page: the browser's page.
        address: the server's, without a slash at the end.
        outside: addresses beyond this machine that were asked for, and refused.
        errors: script errors of the page and its frames.
    """

    page: Page
    address: str
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def open(self, path: str = "", query: str = "") -> Page:
        """Go to a page of the app and wait until its script has run."""
        self.page.goto(f"{self.address}/{path}{query}", timeout=WAIT_MS)
        self.settle()
        return self.page

    def settle(self) -> None:
        """Wait until the script has run, what it drew is there, and no work is under way."""
        self.page.wait_for_function(_QUIET, timeout=WAIT_MS)
        cancel = self.page.get_by_role("button", name="Cancel")
        cancel.first.wait_for(state="detached", timeout=2 * WAIT_MS)
        self.page.wait_for_function(_QUIET, timeout=WAIT_MS)

    def map(self, title: str) -> Frame:
        """The frame of the map whose name begins so, once its pictures are there."""
        handle = self.page.wait_for_selector(f'iframe[title^="{title}"]', timeout=2 * WAIT_MS)
        assert handle is not None
        frame = handle.content_frame()
        assert frame is not None
        frame.wait_for_function(_PICTURES, timeout=WAIT_MS)
        return frame


def free_port() -> int:
    """A port that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def run_server(extra: dict[str, str], log: Path) -> Iterator[str]:
    """Run the app until the tests are done with it."""
    port = free_port()
    process = start_server(port, extra, log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def start_server(port: int, extra: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start the app and wait until it answers."""
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    with (log / "server.txt").open("a") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **extra}, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health", process)
    except BaseException:
        process.kill()
        raise
    return process


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers."""
    until = time.monotonic() + 90
    while time.monotonic() < until:
        assert process.poll() is None, "the server ended at once; see its log"
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"{url} did not answer within 90 s")


def launch(chromium: BrowserType) -> Browser:
    """Start Chromium: the one N2M_BROWSER names, an installed one, else Playwright's own."""
    named = os.environ.get("N2M_BROWSER")
    found = named or next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return chromium.launch(
        executable_path=found, args=[*_ARGS, *(["--no-sandbox"] if is_root else [])]
    )


def watched(browser: Browser, address: str, width: int = 1280) -> App:
    """A fresh visitor whose requests to the world are refused and noted."""
    context = browser.new_context(viewport={"width": width, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    app = App(page, address)
    WATCHED.append(app)
    page.on("pageerror", lambda error: app.errors.append(str(error)))

    def only_local(route: Route, request: Request) -> None:
        """Let requests to this machine pass."""
        if request.url.startswith(_LOCAL):
            route.continue_()
        else:
            app.outside.append(request.url)
            route.abort()

    page.route("**/*", only_local)
    return app
