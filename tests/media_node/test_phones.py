"""baresip, a phone we did not write, through a real node: the page's two examples."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from callvoip.phones.baresip import Baresip, talk, write_tone
from media_node.suites import Suite
from tests.support.node import DOMAIN, NodeFactory, NodeUnderTest, TestAccount, accounts, wait_until

pytestmark = pytest.mark.needs("baresip")
Handset = Callable[..., Baresip]


@pytest.fixture(scope="session")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audio") / "tone.wav"
    write_tone(path, [round(8000 * math.sin(2 * math.pi * 440 * n / 8000)) for n in range(8000 * 60)])
    return path


@pytest.fixture
def handset(microphone: Path, tmp_path: Path) -> Iterator[Handset]:
    """Makes desk phones: a baresip with an account on the node, encrypted or as `media` says."""
    phones: list[Baresip] = []

    def make(
        node: NodeUnderTest, account: TestAccount, media: str = "mediaenc=srtp-mand;", password: str | None = None
    ) -> Baresip:
        line = (
            f"<sip:{account.username}@{DOMAIN};transport=tls>;auth_user={account.username};auth_pass={password or account.password};"
            f'outbound="sip:{node.address}:5061;transport=tls";regint=60;{media}audio_codecs=pcma,pcmu;answermode=auto'
        )
        phone = Baresip(
            tmp_path / f"baresip{len(phones)}", account=line, microphone=microphone, ca_file=node.certificates.ca_file
        )
        phones.append(phone)
        return phone

    yield make
    for phone in phones:
        phone.__exit__(None, None, None)


@pytest.mark.feature("call", clients=("baresip",))
@pytest.mark.parametrize("suite", Suite)
def test_colleague_to_colleague_both_legs_are_encrypted(new_node: NodeFactory, handset: Handset, suite: Suite) -> None:
    node = new_node(suites=dict.fromkeys([suite, Suite.AES_CM_128_HMAC_SHA1_80]))
    phones = accounts("abc234")
    node.assign("abc234", phones)
    caller, callee = handset(node, phones[0]), handset(node, phones[1])
    caller.wait_for("REGISTER_OK")
    callee.wait_for("REGISTER_OK")
    caller.command("dial", "102")
    talk(caller, callee)
    for phone in (caller, callee):
        assert all(count > 100 for count in phone.packets()), phone.text()
    record = wait_until(lambda: node.records("abc234"))[0]
    assert [leg["suite"] for leg in record["legs"]] == ["AES_CM_128_HMAC_SHA1_80", suite], "baresip 1.0 offers no other"
    assert [leg["plaintextPackets"] for leg in record["legs"]] == [0, 0]
    assert record["from"] == "101"
    assert record["to"] == "102"
    assert record["reason"] == "completed"


@pytest.mark.feature("trunk", clients=("baresip",))
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_phone_to_another_provider_is_encrypted_as_far_as_the_exchange(
    new_node: NodeFactory, handset: Handset, microphone: Path, tmp_path: Path, transport: str
) -> None:
    number = "+31201234567"
    account = f"<sip:{number}@127.0.0.1;transport={transport}>;regint=0;audio_codecs=pcma;answermode=auto"
    with Baresip(tmp_path / "trunk", account=account, microphone=microphone) as trunk:
        node = new_node(trunk={"host": "127.0.0.1", "port": trunk.sip_port, "transport": transport})
        phones = accounts("abc234", 1)
        node.assign("abc234", phones)
        caller = handset(node, phones[0])
        caller.wait_for("REGISTER_OK")
        caller.command("dial", number)
        talk(caller, trunk)
        for phone in (caller, trunk):
            assert all(count > 100 for count in phone.packets()), phone.text()
        record = wait_until(lambda: node.records("abc234"))[0]
        assert [leg["suite"] for leg in record["legs"]] == ["AES_CM_128_HMAC_SHA1_80", "none"]
        assert record["to"] == "+31201234***"


@pytest.fixture
def emergency_services(microphone: Path, tmp_path: Path) -> Iterator[Baresip]:
    account = "<sip:112@127.0.0.1;transport=udp>;regint=0;audio_codecs=pcma;answermode=auto"
    with Baresip(tmp_path / "112", account=account, microphone=microphone) as trunk:
        yield trunk


@pytest.mark.feature("emergency", clients=("baresip",))
def test_112_is_reached_even_by_a_phone_without_srtp(
    new_node: NodeFactory, handset: Handset, emergency_services: Baresip
) -> None:
    node = new_node(trunk={"host": "127.0.0.1", "port": emergency_services.sip_port, "transport": "udp"})
    phones = accounts("abc234", 1)
    node.assign("abc234", phones)
    caller = handset(node, phones[0], media="")
    caller.wait_for("REGISTER_OK")
    caller.command("dial", "112")
    talk(caller, emergency_services, 2)
    assert all(count > 50 for count in caller.packets())
    assert "Priority: emergency" in emergency_services.text()
    record = wait_until(lambda: node.records("abc234"))[0]
    assert [leg["suite"] for leg in record["legs"]] == ["none", "none"]


def test_112_is_reached_through_a_node_that_is_stopping_which_waits_for_it(
    new_node: NodeFactory, handset: Handset, emergency_services: Baresip
) -> None:
    node = new_node(
        trunk={"host": "127.0.0.1", "port": emergency_services.sip_port, "transport": "udp"}, state="drain_s = 4"
    )
    phones = accounts("abc234", 3)
    node.assign("abc234", phones)
    caller, callee, in_need = (handset(node, phone) for phone in phones)
    for phone in (caller, callee, in_need):
        phone.wait_for("REGISTER_OK")
    caller.command("dial", "102")
    callee.wait_for("CALL_ESTABLISHED")
    assert node.process is not None
    node.process.terminate()
    wait_until(lambda: node.events("draining"))
    in_need.command("dial", "112")
    emergency_services.wait_for("CALL_ESTABLISHED")
    time.sleep(5)
    assert node.process.poll() is None, "it waits for a call to 112 longer than for others"
    in_need.command("hangup")
    callee.wait_for("CALL_CLOSED")
    assert node.process.wait(10) == 0, node.log.read_text()
    reasons = {record["reason"] for record in node.records("abc234")}
    assert reasons == {"completed", "this node is stopping"}


def test_a_trunk_that_cannot_be_reached_is_told_to_the_caller(new_node: NodeFactory, handset: Handset) -> None:
    node = new_node(trunk={"host": "127.0.0.1", "port": 9, "transport": "tcp"})
    phones = accounts("abc234", 1)
    node.assign("abc234", phones)
    caller = handset(node, phones[0])
    caller.wait_for("REGISTER_OK")
    caller.command("dial", "0201234567")
    assert "503" in caller.wait_for("CALL_CLOSED")["param"]
