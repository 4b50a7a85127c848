"""Real-time text (RFC 4103) of a phone that we did not write: linphone's library, through a real node."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.desk import CUSTOMER, tone
from tests.support.linphone import Linphone
from tests.support.node import DOMAIN, NodeFactory, accounts, wait_until

pytestmark = pytest.mark.needs("linphonec")


def letters(phone: Linphone) -> str:
    """What has been typed to a phone."""
    return "".join(line[5:] for line in phone.printed().splitlines() if line.startswith("read "))


@pytest.mark.feature("text", "call", "dtls", clients=("linphone",))
def test_two_linphones_type_to_each_other_encrypted_one_by_sdes_and_one_by_dtls(
    new_node: NodeFactory, tmp_path: Path
) -> None:
    node, phones = new_node(), accounts(CUSTOMER, 2)
    node.assign(CUSTOMER, phones)
    sound = tone(tmp_path)
    with (
        Linphone(tmp_path / "101", node=node, account=phones[0], microphone=sound, text=True) as caller,
        Linphone(tmp_path / "102", node=node, account=phones[1], microphone=sound, text=True, media="dtls") as called,
    ):
        for phone in (caller, called):
            phone.wait_for(r"to \[LinphoneRegistrationOk\]")
        caller.command(f"call sip:102@{DOMAIN}")
        called.wait_for(r"LinphoneCallIncomingReceived|IncomingReceived")
        called.command("answer")
        for phone in (caller, called):
            phone.wait_for("StreamsRunning")
        caller.command("type Goedemiddag, met 101")
        called.command("type Dag!")
        wait_until(lambda: letters(called) == "Goedemiddag, met 101", 15, called.text)
        wait_until(lambda: letters(caller) == "Dag!", 15, caller.text)
        caller.command("hangup")
        (record,) = wait_until(lambda: node.records(CUSTOMER))
    assert [(leg["media"], leg["keying"]) for leg in record["legs"]] == [
        ("audio", "SDES"),
        ("audio", "DTLS-SRTP"),
        ("text", "SDES"),
        ("text", "DTLS-SRTP"),
    ]
    assert all(leg["packets"] and not leg["plaintextPackets"] for leg in record["legs"])
