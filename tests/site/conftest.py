"""What the tests of the site share: one build a run, the origin that serves it, and a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from shared import html, settings
from tests.support.site.build import built
from tests.support.site.measure import CHROMIUM, QUIET
from tests.support.site.origin import Origin, serve


@pytest.fixture(scope="session")
def site(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    return built(tmp_path_factory)


@pytest.fixture(scope="session")
def views(site: Path) -> Iterator[Path]:
    """The Jinja2 templates of the build, where the functions' own renderer finds them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIEWS_DIR", str(site / "views"))
        settings.views_directory.cache_clear()
        html._environment.cache_clear()
        yield site / "views"
    settings.views_directory.cache_clear()
    html._environment.cache_clear()


@pytest.fixture
def origin(site: Path, views: Path) -> Iterator[Origin]:
    """A fresh origin with no orders."""
    with serve(site) as running:
        yield running


@pytest.fixture(scope="module")
def chromium(processes: None) -> Iterator[Browser]:
    """One headless browser for a file: while Playwright is open its event loop runs, and asynchronous tests could not
    have theirs.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def width() -> int:
    """The width of the page in CSS pixels: a desk, unless a test is marked with `sizes`."""
    return 1280


@pytest.fixture
def page(chromium: Browser, width: int) -> Iterator[Page]:
    """A page of its own, in a Dutch browser."""
    context = chromium.new_context(
        locale="nl-NL", timezone_id="Europe/Amsterdam", viewport={"width": width, "height": 900}
    )
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()
