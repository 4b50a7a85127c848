"""Which slow tests run on one worker, one after the other, and which begin first: a pytest plugin (tests/conftest.py loads it).

A file stays on one worker, as its tests share what they started; a folder of `_TOGETHER` does so whole. xdist's own
loadgroup would do the same by a marker, but does not find it with pytest 9.2
(https://pytest-xdist.readthedocs.io/en/stable/distribution.html).
"""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# One local system for all, and one synthesised template.
_TOGETHER = ("e2e", "infra")
# The one ends a node, the other moves the clock and stands in for the provider: each has a system of its own.
_APART = ("e2e/test_failover.py", "e2e/test_customer_life.py")
# What takes a minute or more begins first, the longest at the head: no worker is left alone with it at the end.
FIRST = (
    "infra",
    "e2e",
    "e2e/test_customer_life.py",
    "e2e/test_failover.py",
    "local/test_data.py",
    "site/test_accessibility.py",
    "media_node/test_phones.py",
    "media_node/test_phones_baresip.py",
    "media_node/test_phones_linphone.py",
    "media_node/test_phones_called.py",
    "media_node/test_phones_home.py",
    "media_node/test_node.py",
    "local/test_system.py",
    "site/test_console.py",
    "functions/customers/portal/test_screens.py",
    "functions/customers/portal/test_firefox.py",
    "site/test_consent.py",
    "site/test_form_page.py",
)


def group_of(nodeid: str) -> str:
    """What a test stays together with: a file, or a folder, of tests/."""
    path = nodeid.partition("::")[0].removeprefix("tests/")
    folder = path.partition("/")[0]
    return folder if folder in _TOGETHER and path not in _APART else path


def place(nodeid: str) -> int:
    """When a test begins, as a number that sorts."""
    group = group_of(nodeid)
    return FIRST.index(group) if group in FIRST else len(FIRST)


class Together(LoadScopeScheduling):  # type: ignore[misc]  # xdist is not typed
    """A worker gets one group after the other."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)

    def _reschedule(self, node: Any) -> None:
        # A worker that has two tests left gets no more yet: either may take minutes while others have nothing to do.
        if self.workqueue and not node.shutting_down and self._pending_of(self.assigned_work[node]) > 1:
            return
        super()._reschedule(node)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return Together(config, log) if config.getvalue("dist") == "loadgroup" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        items.sort(key=lambda item: place(item.nodeid))
