"""Servers, one Chromium and its visitors for all browser tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from app_in_browser import BASEMAP_HOST, ROOT, WATCHED, App, launch, run_server, watched
from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(ROOT / "tests" / "pages"))

import small_samples
import tiny_checkpoints


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test tells what its pages show; with N2M_SHOTS it leaves pictures in that folder."""
    report = yield
    if report.when == "call" and report.failed:
        for number, each in enumerate(WATCHED):
            if not each.page.is_closed():
                lines = filter(str.strip, each.page.inner_text("body").splitlines())
                report.sections.append((f"page {number}", " | ".join(lines)))
                folder = os.environ.get("N2M_SHOTS")
                if folder:
                    each.page.screenshot(path=f"{folder}/{item.name}-{number}.png", full_page=True)
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder carries the marker `browser`, and has a second try.

    A browser waits for a real server on a machine with other work; the run tells of both tries.
    """
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoints.write_all(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = small_samples.write(tmp_path_factory.mktemp("samples"))
    return small_samples.write_series(folder)


@pytest.fixture(scope="session")
def small_server(
    checkpoints: Path, samples: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The app on small checkpoints and samples, which take no time; gives its address."""
    places = {"N2M_CHECKPOINTS": str(checkpoints), "N2M_SAMPLES": str(samples)}
    yield from run_server(places, tmp_path_factory.mktemp("log"))


@pytest.fixture(scope="session")
def shipped_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app on the weights and samples that come with it."""
    yield from run_server(
        {"N2M_CHECKPOINTS": "", "N2M_SAMPLES": ""}, tmp_path_factory.mktemp("log")
    )


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = launch(playwright.chromium)
        yield opened
        opened.close()


@pytest.fixture
def app(browser: Browser, small_server: str) -> Iterator[App]:
    """A visitor of the small app; in the end no script failed and only the basemap was asked."""
    made = watched(browser, small_server)
    yield made
    _close(made)


@pytest.fixture
def open_app(browser: Browser, shipped_server: str) -> Iterator[Callable[..., App]]:
    """Open the shipped app in a window of some width."""
    made: list[App] = []

    def opened(width: int = 1280) -> App:
        made.append(watched(browser, shipped_server, width))
        return made[-1]

    yield opened
    for each in made:
        _close(each)


def _close(app: App) -> None:
    """End a visit and check what happened during it."""
    app.page.context.close()
    assert app.errors == []
    assert {url.split("/")[2] for url in app.outside} <= {BASEMAP_HOST}
