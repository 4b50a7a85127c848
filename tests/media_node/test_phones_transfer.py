"""Hold and transfer with phones we did not write: baresip and linphone, through a real node."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from callvoip.phones.baresip import Baresip
from tests.media_node.test_phones import Handset
from tests.media_node.test_phones import handset as handset
from tests.media_node.test_phones import microphone as microphone
from tests.support.linphone import Linphone
from tests.support.node import DOMAIN, NodeFactory, NodeUnderTest, TestAccount, accounts, wait_until

CUSTOMER = "abc234"
Softphone = Callable[[NodeUnderTest, TestAccount], Linphone]


def three(node: NodeUnderTest, handset: Handset) -> list[Baresip]:
    phones = accounts(CUSTOMER, 3)
    node.assign(CUSTOMER, phones)
    handsets = [handset(node, phone) for phone in phones]
    for phone in handsets:
        phone.wait_for("REGISTER_OK")
    return handsets


def ended(phone: Baresip, times: int = 1) -> bool:
    phone._read(0.1)
    return [event["type"] for event in phone.events].count("CALL_CLOSED") >= times


@pytest.mark.feature("blind", clients=("baresip",))
@pytest.mark.needs("baresip")
def test_baresip_transfers_blind_and_the_two_hear_each_other(new_node: NodeFactory, handset: Handset) -> None:
    node = new_node()
    caller, transferor, target = three(node, handset)
    caller.command("dial", "102")
    transferor.wait_for("CALL_ESTABLISHED")
    time.sleep(1)
    transferor.command("transfer", f"sip:103@{DOMAIN}")
    target.wait_for("CALL_ESTABLISHED")
    wait_until(lambda: ended(transferor))
    time.sleep(3)
    assert not ended(caller), caller.text()[-3000:]
    caller.command("hangup")
    target.wait_for("CALL_CLOSED")
    for phone in (caller, target):
        assert all(count > 100 for count in phone.packets()), phone.text()[-3000:]
    assert "SIP/2.0 200 OK" in "".join(message.text for message in transferor.messages() if "NOTIFY" in message.text)
    (record,) = wait_until(lambda: node.records(CUSTOMER))
    assert record["reason"] == "completed"
    assert {leg["suite"] for leg in record["legs"]} <= {"AES_CM_128_HMAC_SHA1_80", "none"}
    assert all(leg["plaintextPackets"] == 0 for leg in record["legs"])


@pytest.mark.feature("hold", clients=("baresip",))
@pytest.mark.needs("baresip")
def test_baresip_holds_and_resumes(new_node: NodeFactory, handset: Handset) -> None:
    node = new_node()
    caller, callee, _ = three(node, handset)
    caller.command("dial", "102")
    callee.wait_for("CALL_ESTABLISHED")
    time.sleep(1)
    caller.command("hold")
    callee.wait_for_text("a=sendonly|a=inactive")
    caller.command("resume")
    time.sleep(2)
    assert not ended(callee)
    caller.command("hangup")
    callee.wait_for("CALL_CLOSED")
    offers = [
        line
        for message in callee.messages()
        if message.text.startswith("INVITE")
        for line in message.text.splitlines()
        if line in ("a=sendonly", "a=inactive", "a=sendrecv")
    ]
    assert offers[-1] == "a=sendrecv" and len(offers) >= 3


@pytest.fixture
def softphone(tmp_path: Path, microphone: Path) -> Iterator[Softphone]:
    """Makes linphones with an account on the node."""
    with contextlib.ExitStack() as phones:

        def make(node: NodeUnderTest, account: TestAccount) -> Linphone:
            return phones.enter_context(
                Linphone(tmp_path / account.username, node=node, account=account, microphone=microphone)
            )

        yield make


@pytest.mark.feature("attended", "two-calls", "hold", clients=("linphone",))
@pytest.mark.needs("baresip", "linphonec")
def test_linphone_consults_a_colleague_and_joins_the_two(
    new_node: NodeFactory, handset: Handset, softphone: Softphone
) -> None:
    node = new_node()
    phones = accounts(CUSTOMER, 3)
    node.assign(CUSTOMER, phones)
    caller, target = handset(node, phones[0]), handset(node, phones[2])
    for phone in (caller, target):
        phone.wait_for("REGISTER_OK")
    transferor = softphone(node, phones[1])
    transferor.wait_for(r"to \[LinphoneRegistrationOk\]")
    transferor.command("autoanswer enable")
    caller.command("dial", "102")
    caller.wait_for("CALL_ESTABLISHED")
    time.sleep(1)
    transferor.command("pause")
    caller.wait_for_text("a=sendonly|a=inactive")
    time.sleep(1)
    transferor.command(f"call sip:103@{DOMAIN}")
    target.wait_for("CALL_ESTABLISHED")
    time.sleep(1)
    transferor.command("transfer 1 --to-call 2")
    wait_until(lambda: sum(record["reason"] == "transferred" for record in node.records(CUSTOMER)) == 1, 30)
    time.sleep(3)
    assert not ended(caller) and not ended(target)
    caller.command("hangup")
    target.wait_for("CALL_CLOSED")
    for phone in (caller, target):
        assert all(count > 100 for count in phone.packets()), phone.text()[-3000:]


@pytest.mark.feature("reconnect", clients=("baresip",))
@pytest.mark.needs("baresip", "ss")
def test_baresip_loses_its_connection_and_its_call_goes_on(new_node: NodeFactory, handset: Handset) -> None:
    node = new_node()
    caller, callee, _ = three(node, handset)
    caller.command("dial", "102")
    callee.wait_for("CALL_ESTABLISHED")
    time.sleep(1)
    (mine, *_) = re.findall(r"rport=(\d+)", caller.text())
    subprocess.run(["ss", "-K", "dst", node.address, "dport", "=", "5061", "sport", "=", mine], check=True)
    wait_until(lambda: node.events("flow lost"), 10)
    wait_until(lambda: node.events("flow resumed"), 60, lambda: caller.text()[-3000:])
    time.sleep(2)
    assert not ended(callee)
    callee.command("hangup")
    caller.wait_for("CALL_CLOSED")
    for phone in (caller, callee):
        assert all(count > 150 for count in phone.packets())
    (record,) = wait_until(lambda: node.records(CUSTOMER))
    assert record["reason"] == "completed"
