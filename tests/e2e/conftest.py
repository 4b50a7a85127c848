"""A Chromium for each file and one local system for all end-to-end tests."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from callvoip.phones.baresip import free_port
from callvoip.system import LocalSystem
from tests.support.log_privacy import leaks, stored_by

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
def browser(processes: None) -> Iterator[Browser]:
    """Debian's Chromium, for a file: while Playwright is open its event loop runs, and asynchronous tests could not
    have theirs.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def trunk_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def told() -> set[str]:
    """What tests told the system, or it told them, that no log may hold and no order does: passwords, what was refused,
    who was called.
    """
    return set()


@pytest.fixture(scope="session")
def system(
    processes: None, trunk_port: int, told: set[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalSystem]:
    """One local system for all files that a worker runs; whatever they did, its logs hold no personal data."""
    logs = tmp_path_factory.mktemp("logs")
    with LocalSystem.start(trunk=f"127.0.0.1:{trunk_port}", logs=logs) as system:
        yield system
        told |= {system.sales_user, system.sales_password, *stored_by(system)}
    assert any(path.stat().st_size for path in (logs / "functions").iterdir()), "there is something to read"
    found = leaks(logs, told)
    assert not found, "\n".join(["personal data in the logs:", *found])
