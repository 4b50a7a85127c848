"""A Chromium for each file and one local system for all end-to-end tests."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from callvoip.system import LocalSystem
from tests.media_node.baresip import free_port

# The rest keeps Chromium from looking for the internet.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, for a file: while Playwright is open its event loop runs, and asynchronous tests could not have theirs."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def trunk_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def system(trunk_port: int) -> Iterator[LocalSystem]:
    with LocalSystem.start(trunk=f"127.0.0.1:{trunk_port}") as system:
        yield system
