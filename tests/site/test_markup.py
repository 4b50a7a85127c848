"""The W3C's checker reads every page, and what the functions make of the views."""

import urllib.error
import urllib.request
from pathlib import Path

import pytest

from ordering.order import State
from tests.site.test_accessibility import placed
from tests.support.site.document import pages
from tests.support.site.measure import markup_faults
from tests.support.site.origin import Origin

pytestmark = pytest.mark.needs("java")


def fetched(request: urllib.request.Request | str) -> str:
    """The body of an answer, whatever its status."""
    try:
        with urllib.request.urlopen(request) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return error.read().decode()


def test_the_w3c_checker_finds_no_fault(origin: Origin, tmp_path: Path) -> None:
    documents = {address: fetched(origin.url + address) for address in pages(origin.site)}
    for states in ((), (State.REJECTED,), (State.IN_PROGRESS, State.COMPLETED)):
        documents[f"order {states}"] = fetched(origin.url + placed(origin, *states))
    page = {"Accept": "text/html"}
    documents["form with errors"] = fetched(urllib.request.Request(f"{origin.url}/api/orders", b"phones=vijf", page))
    documents["problem"] = fetched(urllib.request.Request(f"{origin.url}/bestelling/0123456789", headers=page))
    assert [f"{name}: {fault}" for name, faults in markup_faults(documents, tmp_path).items() for fault in faults] == []
