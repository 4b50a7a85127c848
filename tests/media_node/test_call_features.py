"""docs/call-features.md names tests that exist, and T.38 and video are refused as it says."""

from __future__ import annotations

import re
from pathlib import Path

from media_node.sip.sdp import Session, attach
from tests.support.office import Office, refused, talking

HERE = Path(__file__).parent


def test_the_page_names_tests_that_exist() -> None:
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", (HERE.parents[1] / "docs/call-features.md").read_text())
    assert len(named) > 30
    missing = [(file, test) for file, test in named if not re.search(rf"def {test}\(", (HERE / file).read_text())]
    assert missing == []


async def test_fax_in_a_running_call_is_refused_and_the_call_goes_on(office: Office) -> None:
    ours, theirs = await talking(office)
    assert ours.dialog is not None
    request = ours.dialog.request("INVITE", ours.phone.contact)
    attach(
        request,
        Session.parse(
            "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=image 4000 udptl t38\r\n"
        ),
    )
    assert (await refused(ours.phone.invite(ours.connection, request))).code == 488
    assert not ours.ended.is_set() and not theirs.ended.is_set()
